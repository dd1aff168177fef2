"""A plan becomes words: tokens read into a cache and the likeliest next one. Knows no memory policy and no picture.

The loop is our own, over the library's language model with explicit positions: `generate` on embeddings loses them.
Nothing of one plan stays behind in the weights, so sessions may share a Decoder; each has a track of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from streambridge.engine.attention import run
from streambridge.engine.cache import KV
from streambridge.engine.layers import Deep
from streambridge.engine.reader import LEAST, MOST, Reader
from streambridge.types import Plan, Segment


@dataclass(frozen=True, slots=True)
class Decoder:
    """A language model, its head and its embeddings.

    Attributes:
        body: a language model of transformers: takes `inputs_embeds`, `position_ids`, `past_key_values`.
        head: hidden states to logits.
        embed: token ids to embeddings.
        stop: ids that end an answer.
    """

    body: nn.Module
    head: Callable[[Tensor], Tensor]
    embed: Callable[[Tensor], Tensor]
    stop: frozenset[int]

    def reader(self, room: int = 0, least: int = LEAST, most: int = MOST, lasts: bool = True) -> Reader:
        """A cache for one session, empty.

        Args:
            room: tokens to make room for at once.
            least: tokens that make a chunk.
            most: tokens after which a chunk ends.
            lasts: it is for more than one answer, so that graphs are worth being captured.
        """
        return Reader(CachedTrack(self, room, lasts), self.stop, least, most)

    def greedy(self, plan: Plan, max_tokens: int) -> Iterator[int]:
        """The likeliest ids one after another, from a cache of their own."""
        return self.reader(plan.tokens + max_tokens, most=plan.tokens, lasts=False).answer(plan, max_tokens)

    def embeds(self, segments: Sequence[Segment]) -> Tensor:
        """[L, D]: word embeddings, with the features of frames in their places."""
        ids = torch.tensor([token for segment in segments for token in segment.ids], device=self.device)
        rows, at = self.embed(ids), 0  # [L, D]; one look-up for all
        for segment in segments:
            if segment.frame is not None:
                features = segment.frame.bundle["embeds"]  # [P, D]
                start = at + segment.frame_at(len(features))
                rows[start : start + len(features)] = features
            at += len(segment.ids)
        return rows

    def deep(self, segments: Sequence[Segment]) -> Deep | None:
        """What frames add behind the first layers as well (DeepStack: `deep0`, `deep1` ... of a bundle), if they do."""
        bundles = [segment.frame.bundle for segment in segments if segment.frame is not None]
        names = sorted(name for name in (bundles[0] if bundles else ()) if name.startswith("deep"))
        if not names:
            return None
        seen = [_seen(segment) for segment in segments]
        levels = tuple(torch.cat([bundle[name] for bundle in bundles]) for name in names)  # each [V, D]
        return Deep(torch.cat(seen).to(self.device), levels)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.body.parameters()).device


def _seen(segment: Segment) -> Tensor:
    """Bool [n]: which tokens of a segment are a frame's features."""
    rows = torch.zeros(len(segment.ids), dtype=torch.bool)
    if segment.frame is not None:
        n = len(segment.frame.bundle["embeds"])
        start = segment.frame_at(n)
        rows[start : start + n] = True
    return rows


class CachedTrack:
    """One sequence in a decoder: its keys and values, and what the model makes of the last token."""

    def __init__(self, decoder: Decoder, room: int = 0, lasts: bool = True) -> None:
        self.decoder, self.kv = decoder, KV(room, static=lasts and room > 0 and decoder.device.type == "cuda")
        self._room = room
        self._last: Tensor | None = None  # [D]

    @torch.inference_mode()
    def read(self, segments: Sequence[Segment]) -> None:
        """Append these tokens in one pass."""
        embeds = self.decoder.embeds(segments)
        at = positions(segments).to(embeds.device)
        deep = self.decoder.deep(segments)
        self._last = run(self.decoder.body, embeds, at, [(self.kv, len(embeds))], deep)[-1]

    def crop(self, length: int) -> None:
        """Forget all but the first `length` tokens."""
        self.kv.crop(length)
        self._last = None

    @torch.inference_mode()
    def copy(self, other: CachedTrack, length: int) -> None:
        """Hold the first `length` tokens of another track instead."""
        self.kv.copy(other.kv, length)
        self._last = None

    def fresh(self) -> CachedTrack:
        """Another track in the same model."""
        return CachedTrack(self.decoder, self._room)

    def hidden(self) -> Tensor:
        """[D]: what the model makes of the token read last."""
        assert self._last is not None, "nothing was read since the cache was cut"
        return self._last

    @torch.inference_mode()
    def logits(self) -> Tensor:
        """[V]: of what follows the token read last."""
        return self.decoder.head(self.hidden())

    def next(self) -> int:
        """The likeliest id to follow."""
        return int(self.logits().argmax())

    @property
    def nbytes(self) -> int:
        """Memory of the cache."""
        return self.kv.nbytes


def positions(segments: Sequence[Segment]) -> Tensor:
    """All positions: int64 [R, L]."""
    return torch.from_numpy(np.concatenate([segment.positions for segment in segments], axis=1))
