"""LLaVA-OneVision, 7B and the 0.5B that serves as a gate: a frame is a video of one frame. Knows only its own."""

from __future__ import annotations

from collections.abc import Mapping
from math import isqrt
from typing import Final

import torch
from torch import Tensor

from streambridge.backbones.local import Local, expect_ids
from streambridge.backbones.turns import Grid
from streambridge.types import Frame

MODEL_TYPES: Final = ("llava_onevision",)
VIDEO: Final = "<video>"


class LlavaOnevision(Local):
    """LLaVA-OneVision (arXiv 2408.03326).

    Trained on videos of many frames with one newline at their end. In a stream a video has no end that would be known,
    so each frame is a video of its own, newline and all: one token more a frame.
    """

    CLASS = "LlavaOnevisionForConditionalGeneration"
    PAPER = 49
    EYES = "llava_onevision"
    PICTURE = VIDEO
    KIND = "video"

    def _find_marks(self) -> None:
        (self._video,) = expect_ids(self.tokenizer, (VIDEO,), self.folder)

    def _features(self, frame: Frame) -> tuple[Mapping[str, Tensor], Grid]:
        inner = self.model.model
        out = inner.get_video_features(self._picture(frame)[None].to(inner.dtype)).pooler_output
        tokens = out.reshape(-1, out.shape[-1])
        side = isqrt(len(tokens))  # transformers 5.17 leaves the newline to the caller, later ones put it at the end
        tokens, grid = self._pooled(tokens[: side * side])
        return {"embeds": torch.cat((tokens, inner.image_newline[None].to(tokens)))}, grid

    def _wrapper(self, frame: Frame) -> tuple[tuple[int, ...], int, tuple[int, ...]]:
        return (), self._video, ()


FAMILY = LlavaOnevision
