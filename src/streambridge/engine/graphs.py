"""Short passes as CUDA graphs: one launch instead of hundreds. Knows no plan and no model family.

A graph has fixed addresses and shapes: rows come in buckets, are written to numbered slots of buffers that never move,
and look at the whole buffer under a mask. On a CPU the same static pass runs without a graph, for the tests alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, cast

import torch
from torch import Tensor, nn

from streambridge.engine.cache import KV, Rows

BUCKETS: Final = (1, 8, 32)  # rows of a pass: an answer's tokens; a cue; a question, or a frame of the gate
WARM: Final = 2  # passes before the capture, as the library of the device asks

Buffers = Sequence[tuple[Tensor, Tensor]]
Forward = Callable[[Any, Tensor, Tensor], Tensor]  # cache, embeddings [n, D], positions [R, n] -> hidden [n, D]


class StaticParts:
    """What one static pass adds to one sequence: handed to a library model as its cache.

    Args:
        buffers: of the sequence, keys and values of each layer [1, G, room, D].
        slots: int64 [n], where each row is written.
        mask: [n, room], to be added: 0 where a row may look.
    """

    is_compileable = False  # asked for by the library

    def __init__(self, buffers: Buffers, slots: Tensor, mask: Tensor) -> None:
        self.buffers, self.slots, self.mask = buffers, slots, mask

    def update(self, keys: Tensor, values: Tensor, layer: int, *_: object) -> tuple[Rows, Rows]:
        """Write [1, G, n, D] of a layer to its slots; attention reads the whole buffer."""
        held = self.buffers[layer]
        for buffer, new in zip(held, (keys, values), strict=True):
            buffer.index_copy_(2, self.slots, new)
        return Rows([held[0]], self), Rows([held[1]], self)

    def get_seq_length(self, layer: int = 0) -> int:
        """The library asks; with explicit positions nothing depends on it."""
        return 0


class StaticPass:
    """One bucket of one sequence: its inputs, and the graph that was captured on them.

    Args:
        buffers: of the sequence. The sequence itself is not held: it holds this, and should go as soon as it may.
        rows: of the bucket.
        embeds: of the first pass, for width, type and device.
        positions: of the first pass.
        forward: the model.
    """

    def __init__(self, buffers: Buffers, rows: int, embeds: Tensor, positions: Tensor, forward: Forward) -> None:
        self.buffers, self.forward, self.room = list(buffers), forward, room_of(buffers)
        self.embeds = embeds.new_zeros(rows, embeds.shape[1])
        self.positions = positions.new_zeros(positions.shape[0], rows)
        self.slots = positions.new_zeros(rows)
        self.columns = torch.arange(self.room, device=embeds.device)
        self.graph: Any = None
        self.hidden: Tensor | None = None

    def run(self, start: int, embeds: Tensor, positions: Tensor) -> Tensor:
        """Hidden states [m, D] of m rows after `start` others; the rest of the bucket goes to the last slot, unseen."""
        m = len(embeds)
        self.embeds[:m] = embeds
        self.positions[:, :m] = positions
        self.slots[:m] = self.columns[start : start + m]
        self.slots[m:] = self.room - 1
        if not embeds.is_cuda:
            return self._pass()[:m]
        if self.graph is None:
            self.graph, self.hidden = self._captured()
        self.graph.replay()
        assert self.hidden is not None
        return self.hidden[:m].clone()

    def _pass(self) -> Tensor:
        unseen = self.columns[None] > self.slots[:, None]  # [n, room]
        mask = torch.zeros_like(unseen, dtype=self.embeds.dtype).masked_fill(unseen, float("-inf"))
        return self.forward(StaticParts(self.buffers, self.slots, mask), self.embeds, self.positions)

    def _captured(self) -> tuple[Any, Tensor]:
        side: Any = cast(Any, torch.cuda.Stream)()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM):
                self._pass()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            hidden = self._pass()
        return graph, hidden


def room_of(buffers: Buffers) -> int:
    """Tokens that every layer has room for."""
    return min(keys.shape[2] for keys, _ in buffers)


def short_pass(kv: KV, embeds: Tensor, positions: Tensor, body: nn.Module, forward: Forward) -> Tensor | None:
    """The hidden states of a short pass, or None where it has to be made the usual way."""
    n = len(embeds)
    rows = next((bucket for bucket in BUCKETS if bucket >= n), None)
    if not kv.static or rows is None or not kv.length or kv.length + n >= room_of(kv.buffers):
        return None  # a sequence without a token may have lost a first pass midway, and lack layers
    if "sliding_attention" in (getattr(cast(Any, body).config, "layer_types", None) or ()):
        return None  # a window that moves has no fixed shape
    made = kv.passes.get((id(body), rows))
    if made is None:
        made = kv.passes[id(body), rows] = StaticPass(kv.buffers, rows, embeds, positions, forward)
    hidden: Tensor = made.run(kv.length, embeds, positions)
    kv.advance(n)
    return hidden
