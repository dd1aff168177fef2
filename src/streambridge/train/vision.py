"""Stage 1: the eyes. Learns to see a desk by naming what lies in each place; the naming heads are thrown away.

Knows no words and no stream. Heads read single vision tokens, so that a place's content ends up in its own token; the
tower is frozen afterwards and its tokens are what the next stages learn from.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  # torch's own custom
from torch import Tensor, nn

from streambridge.backbones.pixels import normalise, patchify, resize
from streambridge.world.draw import Painter
from streambridge.world.script import CELLS, COLOURS, FORMS, NUMBERS, TOOLS, WORDS, State, World

if TYPE_CHECKING:
    from numpy.typing import NDArray

HALF: Final = (0.5, 0.5, 0.5)
SIZES: Final = (84, 112, 168, 336)  # worlds are drawn at several sizes, so that the eyes do not depend on one
# What each of the 3 x 3 tokens must tell: head -> (tokens, classes).
HEADS: Final[dict[str, tuple[tuple[int, ...], int]]] = {
    "sign": ((0, 1), len(WORDS) + len(NUMBERS)),
    "counter": ((2,), 10),
    "cell": ((3, 4, 5, 6), len(FORMS) * len(COLOURS) + 1),
    "step": ((7, 8), len(TOOLS) * len(COLOURS) + 1),
    "level": ((8,), 5),
}


def classes(state: State) -> dict[str, list[int]]:
    """The right class for each head and token of one state."""
    sign = WORDS.index(state.sign) if state.sign in WORDS else len(WORDS) + int(state.sign) - NUMBERS[0]
    cells = [0] * CELLS
    for thing in state.things:
        cells[thing.cell] = 1 + FORMS.index(thing.form) * len(COLOURS) + COLOURS.index(thing.colour)
    step = state.bowl.step
    done = 0 if step is None else 1 + TOOLS.index(step.tool) * len(COLOURS) + COLOURS.index(step.colour)
    return {
        "sign": [sign, sign],
        "counter": [state.counter],
        "cell": cells,
        "step": [done, done],
        "level": [state.bowl.level],
    }


def forward_frames(tower: Any, patches: Tensor) -> Tensor:
    """All frames of one size at once; the same numbers as the tower gives one by one, without its loop over frames.

    Args:
        tower: transformers' Qwen2-VL vision model.
        patches: float32 [N, P, C * temporal * patch * patch].

    Returns:
        [N, tokens, D].
    """
    n, rows, _ = patches.shape
    side = int(rows**0.5)
    grid = torch.tensor([[1, side, side]])
    x = tower.patch_embed(patches.flatten(0, 1)).view(n, rows, -1)  # [N, P, E]
    cos, sin = _rope(tower, x[0], grid)
    for block in tower.blocks:
        x = x + _attend(block.attn, block.norm1(x), cos, sin)
        x = x + block.mlp(block.norm2(x))
    merge = tower.spatial_merge_size**2
    out: Tensor = tower.merger(x.flatten(0, 1))
    return out.view(n, rows // merge, -1)


def _rope(tower: Any, x: Tensor, grid: Tensor) -> tuple[Tensor, Tensor]:
    from transformers.models.qwen2_vl import modeling_qwen2_vl as library

    positions: Any = library.get_vision_position_ids  # type: ignore[attr-defined]  # not in the library's own list of names
    cos, sin = tower.rotary_pos_emb(x, positions(grid, tower.spatial_merge_size))
    return cos[None, None], sin[None, None]  # [1, 1, P, E / heads]


def _attend(attn: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    from transformers.models.qwen2_vl import modeling_qwen2_vl as library

    n, rows, width = x.shape
    q, k, v = attn.qkv(x).view(n, rows, 3, attn.num_heads, -1).permute(2, 0, 3, 1, 4)  # each [N, heads, P, d]
    half: Any = library.rotate_half
    q, k = q * cos + half(q) * sin, k * cos + half(k) * sin
    mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, rows, width)
    out: Tensor = attn.proj(mixed)
    return out


def to_patches(pictures: NDArray[np.uint8], size: int = 84) -> Tensor:
    """uint8 [N, H, W, 3] -> [N, P, 1176] as the tower takes it."""
    return patchify(normalise(resize(pictures, size, size), HALF, HALF), patch=14, merge=2, temporal=2)


@dataclass(frozen=True, slots=True)
class Looks:
    """Pictures with what they show: uint8 [N, size, size, 3] (each drawn at one of SIZES) and classes per head."""

    patches: Tensor  # uint8 [N, 3, 84, 84]
    labels: dict[str, Tensor]  # head -> int64 [N, tokens of the head]


def draw_looks(first_seed: int, count: int, split: str, per_world: int = 8) -> Looks:
    """Independent instants: a few from each of many worlds (its texture, light and grain are its own)."""
    pictures, labels = [], []
    for number in range(count // per_world):
        world = World(first_seed + number, 60, split)  # type: ignore[arg-type]  # checked by World
        painter = Painter(world, SIZES[number % len(SIZES)])
        times = world.rng(9).uniform(0, world.duration_s, per_world)
        batch = np.stack([painter.paint(float(t)) for t in times])
        pictures.append(resize(batch, 84, 84))
        labels += [classes(world.state(float(t))) for t in times]
    stacked = {head: torch.tensor([label[head] for label in labels]) for head in HEADS}
    return Looks(torch.cat(pictures), stacked)


def heads(width: int) -> nn.ModuleDict:
    """One linear reader per head."""
    return nn.ModuleDict({name: nn.Linear(width, size) for name, (_, size) in HEADS.items()})


def loss_and_right(tokens: Tensor, readers: Any, labels: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
    """Cross-entropy summed over heads, and each head's share of right answers."""
    total, right = tokens.new_zeros(()), {}
    for name, (places, _) in HEADS.items():
        logits = readers[name](tokens[:, list(places)])  # [N, places, classes]
        total = total + F.cross_entropy(logits.flatten(0, 1), labels[name].flatten())
        right[name] = float((logits.argmax(-1) == labels[name]).float().mean())
    return total, right


def batches(
    looks: Looks, size: int, steps: int, rng: np.random.Generator
) -> Iterator[tuple[Tensor, dict[str, Tensor]]]:
    """Random batches, each picture rolled by up to two pixels and lit anew."""
    for _ in range(steps):
        pick = torch.from_numpy(rng.integers(0, len(looks.patches), size))
        roll = tuple(int(v) for v in rng.integers(-2, 3, 2))
        pictures = torch.roll(looks.patches[pick], roll, (2, 3)).float()
        gain = torch.from_numpy(rng.uniform(0.9, 1.1, (size, 3, 1, 1)).astype(np.float32))
        pictures = (pictures * gain).clamp(0, 255) / 255
        yield patchify((pictures - 0.5) / 0.5, 14, 2, 2), {name: value[pick] for name, value in looks.labels.items()}
