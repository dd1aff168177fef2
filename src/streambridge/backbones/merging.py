"""Frames of a local model into one: the count-weighted mean of every tensor. Knows no family and no policy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import isqrt
from typing import Any, TypeVar

import torch.nn.functional as F  # noqa: N812  # torch's own custom
from torch import Tensor

from streambridge.types import FrameTokens

Some = TypeVar("Some", bound=FrameTokens)


def mean_of(parts: Sequence[Some], bundles: Sequence[Any] | None = None) -> Some:
    """The count-weighted mean of every tensor in the bundles, accumulated in fp32; times likewise.

    Args:
        parts: frames whose bundles have the same keys.
        bundles: take these instead of the frames' own.
    """
    weights = [part.frames for part in parts]
    total = sum(weights)
    held = [part.bundle for part in parts] if bundles is None else bundles
    bundle = {
        name: (sum(w * one[name].float() for w, one in zip(weights, held, strict=True)) / total).to(tensor.dtype)
        for name, tensor in held[0].items()
    }
    t = sum(w * part.t for w, part in zip(weights, parts, strict=True)) / total
    span = (min(part.span[0] for part in parts), max(part.span[1] for part in parts))
    return replace(parts[0], bundle=bundle, t=t, span=span, frames=total)


def refit(tokens: Tensor, grid: tuple[int, int], wanted: tuple[int, int]) -> Tensor:
    """Tokens [P, D] of one grid as those of another, bilinear: for frames whose pictures changed their shape."""
    picture = tokens.float().T.reshape(1, -1, *grid)  # [1, D, rows, cols]
    fitted = F.interpolate(picture, wanted, mode="bilinear", antialias=True)
    return fitted[0].flatten(1).T.to(tokens.dtype)  # [P', D]


def pooled(tokens: Tensor, grid: tuple[int, int], most: int) -> tuple[Tensor, tuple[int, int]]:
    """The largest square of at most so many tokens, each the mean of its part of the picture.

    Args:
        tokens: [P, D] of a grid.
        grid: its rows and columns.
        most: tokens.
    """
    side = isqrt(most)
    picture = tokens.float().T.reshape(1, -1, *grid)  # [1, D, rows, cols]
    mean = F.adaptive_avg_pool2d(picture, (side, side))
    return mean[0].flatten(1).T.to(tokens.dtype), (side, side)
