"""What the cache is held against: the same plan read afresh, by the library alone. Knows no cache of ours.

One pass over everything, with the library's own attention and masks: nothing that the engine is fast by is used here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor

from streambridge.engine.decoder import Decoder, positions
from streambridge.engine.layers import Deep, by_name
from streambridge.types import Plan, Segment


@contextmanager
def by_library(body: Any) -> Iterator[None]:
    """Meanwhile the model runs as its library means it to: its own layers, attention and masks."""
    before, body.config._attn_implementation = body.config._attn_implementation, "sdpa"
    try:
        yield
    finally:
        body.config._attn_implementation = before


@torch.inference_mode()
def recompute(decoder: Decoder, segments: Sequence[Segment], chunk: int | None = None) -> Tensor:
    """Hidden states [L, D] of all segments, read at once.

    Args:
        decoder: whose language model reads.
        segments: what is read.
        chunk: read in chunks of so many tokens with the library's cache: how far two ways of rounding differ.
    """
    from transformers import DynamicCache

    body = cast(Any, decoder.body)
    embeds, at = decoder.embeds(segments)[None], positions(segments)[:, None].to(decoder.device)
    at = at if at.shape[0] > 1 else at[0]
    deep = decoder.deep(segments)
    with by_library(body):
        if chunk is None:
            given = {"inputs_embeds": embeds, "position_ids": at, **by_name(deep)}
            return cast(Tensor, body(**given, use_cache=False).last_hidden_state[0])
        cache, parts = DynamicCache(), []
        for start in range(0, embeds.shape[1], chunk):
            span = slice(start, start + chunk)
            given = {"inputs_embeds": embeds[:, span], "position_ids": at[..., span], **by_name(_part(deep, span))}
            out = body(**given, past_key_values=cache, use_cache=True)
            parts.append(out.last_hidden_state[0])
        return torch.cat(parts)


def _part(deep: Deep | None, span: slice) -> Deep | None:
    if deep is None or not deep.rows[span].any():
        return None
    before, n = int(deep.rows[: span.start].sum()), int(deep.rows[span].sum())
    return Deep(deep.rows[span], tuple(level[before : before + n] for level in deep.levels))


@torch.inference_mode()
def logits(decoder: Decoder, plan: Plan, spoken: Sequence[int] = (), chunk: int | None = None) -> Tensor:
    """[1 + n, V]: what follows a plan, and what follows each of the n ids spoken after it."""
    at = plan.segments[-1].positions[:, -1:]
    said = [Segment((token,), at + 1 + number) for number, token in enumerate(spoken)]
    hidden = recompute(decoder, [*plan.segments, *said], chunk)
    return decoder.head(hidden[-1 - len(spoken) :])
