"""Pixels to patches: sizes, resize, normalise, patchify. Knows no model, no processor and no file.

Own code instead of the library's processors, which need torchvision at run time; the layout of a patch row is that of
`Qwen2VLImageProcessor` (tests hold the two together, and every resize to golden arrays of the torchvision-backed ones).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  # torch's own custom

from streambridge.errors import BadInput

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

Filter: TypeAlias = Literal["bicubic", "lanczos"]

_LONGEST_ASPECT: Final = 200  # the library's own limit
_LANCZOS: Final = hasattr(torch._C._nn, "_upsample_lanczos2d_aa")  # older torch has none


# ---------------------------------------------------------------------------------------------- sizes


def smart_size(height: int, width: int, factor: int, min_pixels: int, max_pixels: int) -> tuple[int, int]:
    """The size that a Qwen-VL picture is resized to: the library's `smart_resize`, number for number.

    Args:
        height: pixels of the picture.
        width: pixels of the picture.
        factor: pixels a side of one token (patch * merge); both sides become multiples of it.
        min_pixels: smallest area.
        max_pixels: largest area; a very long picture may pass it, since no side falls below `factor`.

    Returns:
        Height and width in pixels. Halves round to even, as Python's `round` does and as the models were trained.

    Raises:
        BadInput: when one side is more than 200 times the other.
    """
    if max(height, width) > _LONGEST_ASPECT * min(height, width):
        raise BadInput(f"a picture of {width}x{height} is too long; one side may be {_LONGEST_ASPECT} times the other")
    high, wide = round(height / factor) * factor, round(width / factor) * factor
    if high * wide > max_pixels:
        shrink = math.sqrt(height * width / max_pixels)
        high = max(factor, math.floor(height / shrink / factor) * factor)
        wide = max(factor, math.floor(width / shrink / factor) * factor)
    elif high * wide < min_pixels:
        grow = math.sqrt(min_pixels / (height * width))
        high, wide = math.ceil(height * grow / factor) * factor, math.ceil(width * grow / factor) * factor
    return high, wide


def fit_grid(height: int, width: int, tokens: int) -> tuple[int, int]:
    """The grid of at most `tokens` cells that keeps most detail of a picture along its worse side.

    Of grids that keep the same, the one that stretches the picture least. Whole numbers only, so no rounding decides.

    Args:
        height: of the picture; only the ratio to the width counts.
        width: of the picture.
        tokens: at least 1.

    Returns:
        Rows and columns, each at least 1.
    """
    grids = ((rows, min(tokens // rows, -(-rows * width // height))) for rows in range(1, tokens + 1))
    return max(grids, key=lambda grid: min(grid[0] * width, grid[1] * height))  # of equals the first stretches least


def edge_size(height: int, width: int, edge: int) -> tuple[int, int]:
    """The size with the longer side `edge` and the shorter one even, as SmolVLM's processors make it.

    Returns:
        Height and width in pixels, each at least 1.
    """
    if width >= height:
        short = int(edge / (width / height))
        return max(1, short + short % 2), edge
    short = int(edge * (width / height))
    return edge, max(1, short + short % 2)


# ---------------------------------------------------------------------------------------------- resize


def resize(pixels: NDArray[np.uint8] | Tensor, height: int, width: int) -> Tensor:
    """Bicubic with antialiasing on uint8, as torchvision does it.

    Args:
        pixels: uint8 [..., H, W, 3].
        height: pixels.
        width: pixels.

    Returns:
        uint8 [N, 3, height, width]; N = 1 for a single picture.
    """
    picture = torch.from_numpy(np.array(pixels)) if isinstance(pixels, np.ndarray) else pixels  # may be a view
    batch = picture.reshape(-1, *picture.shape[-3:]).permute(0, 3, 1, 2)  # [N, 3, H, W]
    if batch.shape[-2:] == (height, width):
        return batch
    return F.interpolate(batch.contiguous(), (height, width), mode="bicubic", antialias=True)


def stretch(batch: Tensor, height: int, width: int, how: Filter = "bicubic", whole: bool | None = None) -> Tensor:
    """Resize with antialiasing where the batch lies, by the filter that a checkpoint asks for.

    On the CPU it resizes in whole numbers, as torchvision does: the width, then the height, each cut off at 0 and 255.
    Elsewhere torch knows no such way, so the same is done in floats: within 2 grey levels of the CPU. Lanczos is the
    CPU's alone and not in every torch; without it the library takes bicubic, and so does this.

    Args:
        batch: uint8 [N, 3, H, W].
        height: pixels.
        width: pixels.
        how: the filter.
        whole: resize in whole numbers; None = where the device can.

    Returns:
        uint8 [N, 3, height, width].
    """
    if batch.shape[-2:] == (height, width):
        return batch
    on_cpu = batch.device.type == "cpu"
    mode = "bicubic" if how == "lanczos" and not (on_cpu and _LANCZOS) else how
    if on_cpu if whole is None else whole:
        return F.interpolate(batch.contiguous(), (height, width), mode=mode, antialias=True)
    smooth = batch.contiguous().float()
    for size in ((batch.shape[-2], width), (height, width)):
        smooth = F.interpolate(smooth, size, mode=mode, antialias=True).clamp(0, 255).round()
    return smooth.to(torch.uint8)


# ---------------------------------------------------------------------------------------------- numbers and patches


def normalise(batch: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """uint8 [N, 3, H, W] -> float32 [N, 3, H, W]."""
    scale = batch.new_tensor(std, dtype=torch.float32).view(1, 3, 1, 1)
    shift = batch.new_tensor(mean, dtype=torch.float32).view(1, 3, 1, 1)
    return (batch.float() / 255 - shift) / scale


def patchify(batch: Tensor, patch: int, merge: int, temporal: int) -> Tensor:
    """Each picture alone, repeated along time to fill the temporal patch.

    Args:
        batch: float32 [N, 3, H, W]; H and W multiples of patch * merge.
        patch: pixels a side of one patch.
        merge: patches a side that become one token.
        temporal: frames in one temporal patch.

    Returns:
        float32 [N, P, 3 * temporal * patch * patch]; rows ordered so that merge groups are contiguous.
    """
    n, channels, height, width = batch.shape
    rows, cols = height // (patch * merge), width // (patch * merge)
    cut = batch.view(n, channels, rows, merge, patch, cols, merge, patch)
    cut = cut.permute(0, 2, 5, 3, 6, 1, 4, 7)  # [N, rows, cols, merge, merge, C, patch, patch]
    cut = cut.unsqueeze(6).expand(*cut.shape[:6], temporal, patch, patch)  # [..., C, temporal, patch, patch]
    return cut.reshape(n, rows * cols * merge * merge, channels * temporal * patch * patch)


def pair_patches(first: Tensor, second: Tensor, patch: int) -> Tensor:
    """Two frames in one temporal patch: the first half of each row in time from one, the second from the other.

    Args:
        first: float32 [P, 3 * 2 * patch * patch], the earlier frame alone, as `patchify` makes it.
        second: the same of the later frame.
        patch: pixels a side of one patch.

    Returns:
        float32 [P, 3 * 2 * patch * patch].
    """
    early, late = (rows.view(len(rows), 3, 2, patch * patch) for rows in (first, second))
    return torch.stack([early[:, :, 0], late[:, :, 1]], dim=2).reshape(first.shape)
