"""Qwen2-VL: a frame is one image item with M-RoPE positions. Knows only its own features and words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import torch
from torch import Tensor

from streambridge.backbones.local import Local, expect_ids
from streambridge.backbones.turns import Grid, Seen
from streambridge.types import Frame, FrameTokens

MODEL_TYPES: Final = ("qwen2_vl",)
MARKS: Final = ("<|vision_start|>", "<|image_pad|>", "<|vision_end|>")


class Qwen2VL(Local):
    """Qwen2-VL (arXiv 2409.12191). A lone frame fills its temporal patch twice, as a picture does."""

    CLASS = "Qwen2VLForConditionalGeneration"
    PAPER = 64
    EYES = "qwen2_vl"
    PICTURE = "".join(MARKS)
    POSITIONS = "mrope"
    TWO = True

    def _find_marks(self) -> None:
        self._start, self._pad, self._end = expect_ids(self.tokenizer, MARKS, self.folder)

    def _features(self, frame: Frame) -> tuple[Mapping[str, Tensor], Grid]:
        height, width, _ = frame.pixels.shape
        rows, cols = self.eyes.grid(height, width, self.budget)
        patches = self.eyes.patches(frame.pixels, rows, cols, self.device)  # [P * merge^2, 3 * temporal * patch^2]
        bundle = self._tower(patches, (rows, cols))
        if self.pair != "duplicate":
            bundle["raw"] = patches.view(rows * cols, -1)  # [P, ...]: for the next frame to join it
        return bundle, (rows, cols)

    def _tower(self, patches: Tensor, grid: Grid) -> dict[str, Tensor]:
        size = torch.tensor([[1, *(self.eyes.merge * side for side in grid)]], device=self.device)
        return self._bundle(self.model.model.get_image_features(patches.to(self.device), image_grid_thw=size))

    @torch.inference_mode()
    def join(self, first: FrameTokens, second: FrameTokens) -> Seen | None:
        """Two lone frames in one temporal patch, as the model was trained; None where they do not fit."""
        pair = [one for one in (first, second) if isinstance(one, Seen) and "raw" in one.bundle and one.frames == 1]
        if len(pair) < 2 or pair[0].grid != pair[1].grid:
            return None
        width = self.eyes.merge**2
        raw = [one.bundle["raw"].view(width * len(one.bundle["raw"]), -1) for one in pair]
        bundle = self._tower(self.eyes.pair(raw[0], raw[1]), pair[0].grid)
        times = first.t, second.t
        return replace(pair[0], bundle=bundle, t=sum(times) / 2, span=(min(times), max(times)), frames=2)

    def _bundle(self, out: Any) -> dict[str, Tensor]:
        return {"embeds": out.pooler_output[0]}

    def _wrapper(self, frame: Frame) -> tuple[tuple[int, ...], int, tuple[int, ...]]:
        return (self._start,), self._pad, (self._end,)


FAMILY = Qwen2VL
