"""A family held against the library's own path from pixels and ids: features, logits, words. Knows no clock, no page.

What the library does by itself is its own resize of positions, masks, placeholders and merging of features into text;
only the patches are ours, which have golden arrays of their own to be held against.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from streambridge.types import Frame, Item, Plan


def frames(count: int, seed: int = 0, height: int = 90, width: int = 120) -> Iterator[Frame]:
    """Coarse pictures, one a second: noise alone would be one and the same grey to a tower."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        coarse = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        yield Frame(np.kron(coarse, np.ones((height // 6, width // 8, 1), dtype=np.uint8)), float(number))


def read_reference(folder: Path) -> Any:
    """The same checkpoint as the library itself reads it."""
    import transformers
    from transformers.utils import logging

    cast(Any, logging).disable_progress_bar()
    read: Any = transformers.AutoModelForImageTextToText.from_pretrained
    return read(folder, dtype=torch.float32, local_files_only=True).eval()


def pixels_of(model: Any, pictures: Sequence[Frame]) -> dict[str, Tensor]:
    """What the library's own path takes: every picture at once."""
    budget = model.budget if model.POSITIONS == "mrope" else None  # the others pool what they see: no pixels do that
    grids = [model.eyes.grid(*one.pixels.shape[:2], budget) for one in pictures]
    patches = [model.eyes.patches(one.pixels, *grid) for one, grid in zip(pictures, grids, strict=True)]
    if model.POSITIONS == "mrope":
        merge = model.eyes.merge
        sizes = torch.tensor([[1, rows * merge, cols * merge] for rows, cols in grids])
        return {"pixel_values": torch.cat(patches), "image_grid_thw": sizes}
    if model.KIND == "video":
        return {"pixel_values_videos": torch.stack(patches)}  # [n, 1, 3, S, S]
    return {"pixel_values": torch.cat(patches)[None]}  # [1, n, 3, S, S]


@torch.inference_mode()
def library_logits(reference: Any, model: Any, ids: Sequence[int], pixels: dict[str, Tensor]) -> Tensor:
    """[V] of what follows, by the library's own path from pixels and ids alone: its positions, masks and merging."""
    given = {"input_ids": torch.tensor([list(ids)])}
    if model.POSITIONS == "mrope":
        given["mm_token_type_ids"] = (given["input_ids"] == model._pad).int()
    return cast(Tensor, reference(**given, **pixels, use_cache=False).logits[0, -1])


@torch.inference_mode()
def library_features(reference: Any, model: Any, pixels: dict[str, Tensor], count: int) -> list[list[Tensor]]:
    """Features [P, D] of each of so many pictures, encoded as one batch; with DeepStack, each further level behind."""
    inner = reference.model
    if model.KIND == "video":
        return [[one] for one in inner.get_video_features(pixels["pixel_values_videos"]).pooler_output]
    if model.POSITIONS != "mrope":
        rows = torch.cat(list(inner.get_image_features(pixels["pixel_values"]).pooler_output))
        return [[one] for one in rows.chunk(count)]
    out = inner.get_image_features(pixels["pixel_values"], image_grid_thw=pixels["image_grid_thw"])
    sizes = [len(one) for one in out.pooler_output]
    deep = getattr(out, "deepstack_features", None) or ()
    whole = [level if isinstance(level, Tensor) else torch.cat(list(level)) for level in deep]
    levels = [torch.split(level, sizes) for level in whole]
    return [[one, *(level[n] for level in levels)] for n, one in enumerate(out.pooler_output)]


def plan_of(model: Any, pictures: Sequence[Frame]) -> Plan:
    """Half of the pictures, a question and its answer; the other half, and a question."""
    seen: list[Item] = [model.encode(one) for one in pictures]
    half = len(seen) // 2
    question = model.turn("user", "What is it?", 1.0, "question", "q0")
    answer = model.turn("assistant", "A sign.", 1.0, "answer", "a0")
    last = model.turn("user", "And now?", 3.0, "question", "q1")
    plan: Plan = model.render([*seen[:half], question, answer, *seen[half:], last])
    return plan


def library_words(
    reference: Any, model: Any, plan: Plan, pixels: dict[str, Tensor], most: int
) -> tuple[list[int], Tensor]:
    """The likeliest ids one after another, each by a fresh pass over all; and the logits [V] of the first."""
    ids = [token for segment in plan.segments for token in segment.ids]
    said: list[int] = []
    first = logits = library_logits(reference, model, ids, pixels)
    while len(said) < most and (token := int(logits.argmax())) not in model.stop:
        said.append(token)
        ids.append(token)
        logits = library_logits(reference, model, ids, pixels)
    return said, first
