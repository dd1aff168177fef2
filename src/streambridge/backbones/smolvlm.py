"""SmolVLM2, which a laptop can run: a frame is a picture with its time in words. Knows only its own features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from torch import Tensor

from streambridge.backbones.local import Local, expect_ids
from streambridge.backbones.turns import Grid
from streambridge.types import Frame

MODEL_TYPES: Final = ("smolvlm",)
MARKS: Final = ("<fake_token_around_image>", "<global-img>", "<image>")


class SmolVLM(Local):
    """SmolVLM2 (arXiv 2504.05299). The paper of StreamBridge does not know it: its preset is the native size."""

    CLASS = "SmolVLMForConditionalGeneration"
    PAPER = 1 << 16
    EYES = "smolvlm"
    PICTURE = MARKS[2]

    def _find_marks(self) -> None:
        self._around, self._whole, self._pad = expect_ids(self.tokenizer, MARKS, self.folder)

    @property
    def _body(self) -> Any:
        return self.model.model.text_model

    def _features(self, frame: Frame) -> tuple[Mapping[str, Tensor], Grid]:
        out = self.model.model.get_image_features(self._picture(frame)[None]).pooler_output
        tokens = out.reshape(-1, out.shape[-1]) if isinstance(out, Tensor) else out[0]  # [P, D]; a list in new versions
        tokens, grid = self._pooled(tokens)
        return {"embeds": tokens}, grid

    def _wrapper(self, frame: Frame) -> tuple[tuple[int, ...], int, tuple[int, ...]]:
        minutes, seconds = divmod(int(frame.t), 60)
        said = self.encode_text(f"\nFrame from {minutes:02d}:{seconds:02d}:")
        return (*said, self._around, self._whole), self._pad, (self._around,)


FAMILY = SmolVLM
