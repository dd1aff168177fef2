"""A plan becomes words: prefill and greedy decoding over a language model. Knows no memory policy and no picture.

The loop is our own, over `language_model(...)` with explicit positions: the library's `generate` on embeddings loses
them. Nothing of one plan stays behind in the weights, so sessions may share a Decoder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import DynamicCache

from streambridge.types import Plan, Segment


@dataclass(frozen=True, slots=True)
class Decoder:
    """A language model, its head and its embeddings.

    Attributes:
        body: takes `inputs_embeds`, `position_ids`, `past_key_values`; gives hidden states.
        head: hidden states to logits.
        embed: token ids to embeddings.
        stop: ids that end an answer.
    """

    body: nn.Module
    head: Callable[[Tensor], Tensor]
    embed: Callable[[Tensor], Tensor]
    stop: frozenset[int]

    def forward(self, embeds: Tensor, positions: Tensor, cache: Any) -> Tensor:
        """Hidden states [B, n, D] of embeddings [B, n, D] at positions [R, B, n]; the cache grows by n."""
        rows = positions if positions.shape[0] > 1 else positions[0]
        out = self.body(inputs_embeds=embeds, position_ids=rows, past_key_values=cache, use_cache=cache is not None)
        hidden: Tensor = out.last_hidden_state
        return hidden

    @torch.inference_mode()
    def prefill(self, plan: Plan) -> tuple[Any, Tensor]:
        """Read a whole plan afresh: the cache, and the logits [V] of what comes next."""
        cache = DynamicCache()
        hidden = self.forward(self.embeds(plan)[None], plan_positions(plan)[:, None], cache)
        return cache, self.head(hidden[0, -1])

    @torch.inference_mode()
    def greedy(self, plan: Plan, max_tokens: int) -> Iterator[int]:
        """The likeliest ids one after another; ends at a stop id (not given out) or after `max_tokens`."""
        cache, logits = self.prefill(plan)
        position = plan_positions(plan)[:, -1]  # [R]
        for spoken in range(max_tokens):
            token = int(logits.argmax())
            if token in self.stop:
                return
            yield token
            if spoken + 1 < max_tokens:
                position = position + 1
                embeds = self.embed(torch.tensor([[token]]))
                logits = self.head(self.forward(embeds, position[:, None, None], cache)[0, -1])

    def embeds(self, plan: Plan) -> Tensor:
        """[L, D]: word embeddings, with the features of frames in their places."""
        return torch.cat([self._segment(segment) for segment in plan.segments])

    def _segment(self, segment: Segment) -> Tensor:
        rows = self.embed(torch.tensor(segment.ids))  # [n, D]
        if segment.frame is None:
            return rows
        features = segment.frame.bundle["embeds"]  # [P, D]
        start = (len(segment.ids) - len(features)) // 2  # the wrapper is as long before as behind
        return torch.cat([rows[:start], features.to(rows.dtype), rows[start + len(features) :]])


def plan_positions(plan: Plan) -> Tensor:
    """All positions of a plan: int64 [R, L]."""
    return torch.cat([torch.from_numpy(segment.positions) for segment in plan.segments], dim=1)
