"""Pixels to patches for the Qwen-VL towers: resize, normalise, patchify. Knows no model and no processor.

Own code instead of the library's processors, which need torchvision at run time; the layout of a patch row is that of
`Qwen2VLImageProcessor` (a test holds the two together).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  # torch's own custom

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor


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
