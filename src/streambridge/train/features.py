"""Worlds seen once by the frozen eyes: a table of vision tokens, one row a second. Knows no words and no training."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from streambridge.train.vision import SIZES, forward_frames, to_patches
from streambridge.world.draw import Painter
from streambridge.world.script import Split, World


@dataclass(frozen=True, slots=True)
class Seen:
    """One world and what the eyes made of it: float16 [seconds, P, D]."""

    world: World
    tokens: Tensor


def see_worlds(tower: nn.Module, seeds: range, seconds: int, split: Split) -> list[Seen]:
    """Draw each world at one frame a second, at a size that varies from world to world, and encode it."""
    return [_see(tower, World(seed, seconds, split)) for seed in seeds]


@torch.inference_mode()
def _see(tower: nn.Module, world: World) -> Seen:
    painter = Painter(world, SIZES[world.seed % len(SIZES)])
    pictures = np.stack([painter.paint(float(t)) for t in range(int(world.duration_s))])
    return Seen(world, forward_frames(tower, to_patches(pictures)).half())
