"""What a checkpoint's own files say about how pictures go in, and doing it. Knows no weights and no tower.

What a checkpoint decides is never taken from memory: sizes, areas, mean and deviation stand in its processor's file
(see `sheet`), the tower's patch in its config.json.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import numpy as np
import torch

from streambridge.backbones.pixels import (
    Filter,
    edge_size,
    fit_grid,
    normalise,
    pair_patches,
    patchify,
    smart_size,
    stretch,
)
from streambridge.backbones.sheet import Sheet, config_sheet, processor_sheet
from streambridge.errors import BadInput, UnknownName, WrongUse

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

Rule: TypeAlias = Literal["qwen", "square", "edge"]

FAMILIES: Final[Mapping[str, Rule]] = {
    "qwen2_vl": "qwen",
    "qwen2_5_vl": "qwen",
    "qwen3_vl": "qwen",
    "llava_onevision": "square",
    "smolvlm": "edge",
}
"""The families whose files are understood (their `model_type`), and the rule of each."""

LARGEST: Final = 4096  # pixels a side; the libraries' own limit where they have one

_FILTERS: Final[Mapping[int, Filter]] = {1: "lanczos", 3: "bicubic"}
_STEPS: Final = {"do_resize": True, "do_rescale": True, "do_normalize": True, "do_center_crop": False}
_QWEN_SIDES: Final = {
    "patch": ("patch_size", "vision_config.patch_size"),
    "merge": ("merge_size", "vision_config.spatial_merge_size"),
    "temporal": ("temporal_patch_size", "vision_config.temporal_patch_size"),
}


@dataclass(frozen=True, slots=True)
class Eyes:
    """How the pictures of one checkpoint go in.

    Attributes:
        rule: `qwen`: any size that is a multiple of patch * merge pixels, cut into patch rows; `square`: squashed to
            `size` (LLaVA-OneVision's videos); `edge`: first to a longest side of `edge`, then squashed to `size`
            (SmolVLM's videos, which are never split).
        patch: pixels a side of one patch.
        merge: patches a side that become one token.
        mean: of each channel, on a scale of 0 to 1.
        std: of each channel, on the same scale.
        how: the filter of the resize.
        temporal: frames in one temporal patch.
        min_pixels: smallest area of a frame (`qwen`).
        max_pixels: largest area of a frame (`qwen`).
        size: height and width in pixels where every frame gets the same; None where the rule decides.
        edge: the longest side of the first resize in pixels (`edge`).
    """

    rule: Rule
    patch: int
    merge: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    how: Filter = "bicubic"
    temporal: int = 1
    min_pixels: int = 0
    max_pixels: int = 0
    size: tuple[int, int] | None = None
    edge: int = 0

    def grid(self, height: int, width: int, tokens: int | None = None) -> tuple[int, int]:
        """Rows and columns of tokens that a frame of this size becomes.

        Args:
            height: pixels of the frame.
            width: pixels of the frame.
            tokens: at most this many a frame, in the shape that keeps most detail (see `fit_grid`); None for the
                family's own rule. What the rule itself keeps below `tokens` stays as it is.

        Raises:
            WrongUse: when `tokens` is not positive, or fewer than a family of fixed size takes.
            BadInput: when the frame is longer than the family's rule allows.
        """
        if tokens is not None and tokens < 1:
            raise WrongUse(f"a frame needs at least 1 token; got {tokens}; type e.g. --tokens-per-frame 64")
        rows, cols = self._native(height, width)
        if tokens is None or rows * cols <= tokens:
            return rows, cols
        if self.size is not None:
            raise WrongUse(
                f"this model always takes {rows * cols} tokens a frame; got {tokens}; leave out --tokens-per-frame"
            )
        return fit_grid(height, width, tokens)

    def patches(self, pixels: NDArray[np.uint8] | Tensor, rows: int, cols: int, device: str = "cpu") -> Tensor:
        """What the tower takes for one frame.

        Args:
            pixels: uint8 [H, W, 3], RGB.
            rows: of tokens, as `grid` gave them.
            cols: of tokens.
            device: where the result shall lie. `cpu` equals the torchvision-backed processors within 1e-6; elsewhere
                the resize is done there, within 2 grey levels (see `stretch`); Lanczos always on the CPU, which alone
                knows it.

        Returns:
            float32 [rows * cols * merge^2, 3 * temporal * patch^2] for the rule `qwen` (the tower's grid_thw is then
            1, rows * merge, cols * merge), else float32 [1, 3, height, width].

        Raises:
            WrongUse: when a family of fixed size is given another grid.
        """
        picture = torch.from_numpy(np.array(pixels)) if isinstance(pixels, np.ndarray) else pixels  # may be a view
        batch = picture.to(device if self.how == "bicubic" else "cpu").permute(2, 0, 1).unsqueeze(0)  # [1, 3, H, W]
        if self.size is not None and (rows, cols) != self._cells(*self.size):
            raise WrongUse(f"this model takes frames of {self._cells(*self.size)} tokens; got {(rows, cols)}")
        if self.rule == "edge":  # two resizes, as the family's own processor does it
            height, width = picture.shape[:2]
            batch = stretch(batch, *edge_size(height, width, self.edge), self.how)
        size = self.size or (rows * self.patch * self.merge, cols * self.patch * self.merge)
        numbers = normalise(stretch(batch, *size, self.how).to(device), self.mean, self.std)
        return patchify(numbers, self.patch, self.merge, self.temporal)[0] if self.rule == "qwen" else numbers

    def pair(self, first: Tensor, second: Tensor) -> Tensor:
        """Two frames of one grid in one temporal patch, from the `patches` of each: a slice of two instants.

        Raises:
            WrongUse: when the family has no temporal patch of two frames, or the grids differ.
        """
        if self.rule != "qwen" or self.temporal != 2:
            raise WrongUse("frames pair up only where a temporal patch holds two; this model takes each alone")
        if first.shape != second.shape:
            raise WrongUse(f"two frames pair up on one grid; got {len(first)} and {len(second)} patches")
        return pair_patches(first, second, self.patch)

    def _native(self, height: int, width: int) -> tuple[int, int]:
        if self.size is not None:
            return self._cells(*self.size)
        return self._cells(*smart_size(height, width, self.patch * self.merge, self.min_pixels, self.max_pixels))

    def _cells(self, height: int, width: int) -> tuple[int, int]:
        """Tokens of a size; a part of a patch is cut off, a part of a merge still makes a token (27 -> 14)."""
        return -(-(height // self.patch) // self.merge), -(-(width // self.patch) // self.merge)


def read_eyes(folder: Path, family: str) -> Eyes:
    """Read how pictures go in from the files of a checkpoint.

    A frame is an image to the Qwen families (one item a frame) and one picture of a video to the others, so the first
    are read as the library reads its image processor, the others as it reads its video processor.

    Args:
        folder: of the checkpoint.
        family: `model_type` of its config.json; see `FAMILIES`.

    Raises:
        UnknownName: when the family is not one of `FAMILIES`.
        BadInput: when a file or a key is missing or no such thing as it should be; it names both.
    """
    if family not in FAMILIES:
        raise UnknownName("family of models", family, FAMILIES)
    rule = FAMILIES[family]
    sheet = processor_sheet(folder, "image_processor" if rule == "qwen" else "video_processor")
    _check_steps(sheet)
    sides = {"qwen": _read_qwen, "square": _read_square, "edge": _read_edge}[rule](sheet, config_sheet(folder))
    mean, std = sheet.channels("image_mean"), sheet.channels("image_std", positive=True)
    return Eyes(rule, mean=mean, std=std, how=_read_filter(sheet, rule), **sides)


def _read_qwen(sheet: Sheet, config: Sheet) -> dict[str, Any]:
    sides: dict[str, Any] = {name: _agreed(sheet, key, config, path) for name, (key, path) in _QWEN_SIDES.items()}
    if sheet.find("size.height") is not None:  # every frame gets the same, as in the embedded pair
        return {**sides, "size": _read_size(sheet, sides["patch"] * sides["merge"])}
    least = sheet.whole("min_pixels", "size.shortest_edge", "size.min_pixels", most=LARGEST**2)
    most = sheet.whole("max_pixels", "size.longest_edge", "size.max_pixels", most=2**53)
    if least > most:
        raise BadInput(f"{sheet.file}: the smallest area, {least} pixels, is above the largest, {most}")
    return {**sides, "min_pixels": least, "max_pixels": most}


def _read_square(sheet: Sheet, config: Sheet) -> dict[str, Any]:
    size = _read_size(sheet)
    return {"patch": _read_patch(sheet, size, config), "merge": 2, "size": size}  # the model always pools by 2


def _read_edge(sheet: Sheet, config: Sheet) -> dict[str, Any]:
    side = sheet.whole("max_image_size.longest_edge", most=LARGEST)
    edge = sheet.whole("size.longest_edge", "video_sampling.video_size.longest_edge", most=2**53)
    patch, merge = _read_patch(sheet, (side, side), config), config.whole("scale_factor", most=LARGEST)
    if side // patch % merge:
        raise config.wrong("scale_factor", merge, f"a divisor of {side // patch} patches a side")
    return {"patch": patch, "merge": merge, "size": (side, side), "edge": min(edge, LARGEST)}


def _read_size(sheet: Sheet, multiple: int = 1) -> tuple[int, int]:
    height, width = sheet.whole("size.height", most=LARGEST), sheet.whole("size.width", most=LARGEST)
    if height % multiple or width % multiple:
        raise sheet.wrong("size", sheet.find("size"), f"multiples of {multiple}, the pixels a side of one token")
    return height, width


def _read_patch(sheet: Sheet, size: tuple[int, int], config: Sheet) -> int:
    """The tower's patch; its own size is that of the pictures, or its positions would not fit them."""
    side = config.whole("vision_config.image_size", most=LARGEST)
    if size != (side, side):
        raise BadInput(
            f"{sheet.file}: pictures are {size[1]}x{size[0]}, but the tower of config.json takes {side}x{side}"
        )
    return config.whole("vision_config.patch_size", most=side)


def _agreed(sheet: Sheet, key: str, config: Sheet, path: str) -> int:
    """A number of the tower, which the processor's file may repeat but not change."""
    told = config.whole(path, most=LARGEST)
    if sheet.find(key) is not None and sheet.whole(key, most=LARGEST) != told:
        raise sheet.wrong(key, sheet.find(key), f"{told}, as {path} of config.json")
    return told


def _read_filter(sheet: Sheet, rule: Rule) -> Filter:
    """By Pillow's number; many files leave it out and mean what the family's processor takes by itself."""
    number = sheet.find("resample")
    if number is None:
        return "lanczos" if rule == "edge" else "bicubic"
    if type(number) is not int or number not in _FILTERS:
        raise sheet.wrong("resample", number, "1 (lanczos) or 3 (bicubic)")
    return _FILTERS[number]


def _check_steps(sheet: Sheet) -> None:
    """Refuse a file that asks for other steps than resize, scale to 0..1, normalise: its numbers would be others."""
    for key, expected in _STEPS.items():
        if (value := sheet.find(key)) is not None and value is not expected:
            raise sheet.wrong(key, value, json.dumps(expected))
    scale = sheet.find("rescale_factor")
    if scale is not None and (type(scale) is not float or abs(scale * 255 - 1) > 1e-6):
        raise sheet.wrong("rescale_factor", scale, "1/255")
