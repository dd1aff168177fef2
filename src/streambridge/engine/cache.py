"""Keys and values that stay: static buffers of one sequence, cut by moving a counter. Knows no plan and no model.

`DynamicCache` of the library copies everything at each frame (`cat`); here a frame is written in its place, and a crop
costs nothing. Several sequences of different lengths go through a model in one pass as `Parts`: the weights are read
once, each row attends to its own sequence only, and nothing is padded.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import torch
from torch import Tensor

STEP: Final = 256  # tokens by which buffers grow: a whole number of vector blocks on every device


class KV:
    """The keys and values of one sequence, layer by layer.

    Args:
        room: tokens to make room for at once; more is made when needed.
        static: short passes may run as static ones, on buffers that stay where they are.

    Attributes:
        length: tokens held.
        buffers: keys and values of each layer, each [1, G, room, D].
        passes: static passes made on these buffers; they die with them.
    """

    def __init__(self, room: int = 0, static: bool = False) -> None:
        self.length, self.static, self._room = 0, static, room
        self.buffers: list[tuple[Tensor, Tensor]] = []
        self.passes: dict[tuple[int, int], Any] = {}
        self._scratch: Tensor | None = None

    @property
    def nbytes(self) -> int:
        """Memory of the buffers."""
        return sum(keys.nbytes + values.nbytes for keys, values in self.buffers)

    def expect(self, room: int) -> None:
        """Make room for so many tokens at once, the next time that room is made."""
        self._room = room

    def crop(self, length: int) -> None:
        """Forget all but the first `length` tokens."""
        if not 0 <= length <= self.length:
            raise ValueError(f"a cache of {self.length} tokens cannot be cut to {length}")
        self.length = length

    def write(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Put new keys and values [1, G, n, D] behind those held; all of that layer, [1, G, length + n, D].

        `length` grows when the pass is over (`advance`), so a pass that breaks leaves the cache as it was.
        """
        end = self.length + keys.shape[2]
        held = self._reserve(layer, end, keys)
        for buffer, new in zip(held, (keys, values), strict=True):
            buffer[:, :, self.length : end] = new
        return held[0][:, :, :end], held[1][:, :, :end]

    def advance(self, n: int) -> None:
        """Count what a pass has written."""
        self.length += n

    def copy(self, other: KV, length: int) -> None:
        """Hold the first `length` tokens of another cache instead of one's own."""
        self.length = 0
        for layer, (keys, values) in enumerate(other.buffers):
            self.write(layer, keys[:, :, :length], values[:, :, :length])
        self.length = length

    def scratch(self, rows: int, length: int, like: Tensor) -> Tensor:
        """Room [rows, length] to work in, the same at every layer and pass: fresh memory costs more than the work."""
        need = rows * length
        if self._scratch is None or self._scratch.numel() < need or self._scratch.dtype != like.dtype:
            self._scratch = like.new_empty(rows * max(length, -(-length // STEP) * STEP, self._room))
        return self._scratch[:need].view(rows, length)

    def layers(self) -> list[tuple[Tensor, Tensor]]:
        """What is held: keys and values [1, G, length, D] of each layer, as views."""
        return [(keys[:, :, : self.length], values[:, :, : self.length]) for keys, values in self.buffers]

    def _reserve(self, layer: int, end: int, like: Tensor) -> tuple[Tensor, Tensor]:
        """The buffers of a layer with room for `end` tokens."""
        if layer == len(self.buffers):
            self.buffers.append((like[:, :, :0], like[:, :, :0]))
        if self.buffers[layer][0].shape[2] < end:
            room = max(self._room, -(-end // STEP) * STEP)
            self.buffers[layer] = self._grown(self.buffers[layer], room, like)
        return self.buffers[layer]

    def _grown(self, pair: tuple[Tensor, Tensor], room: int, like: Tensor) -> tuple[Tensor, Tensor]:
        self.passes.clear()
        # Zeros, not what memory held: a static pass reads it all, and a masked nan would still be one.
        fresh = [like.new_zeros(*like.shape[:2], room, like.shape[3]) for _ in pair]
        for new, old in zip(fresh, pair, strict=True):
            new[:, :, : self.length] = old[:, :, : self.length]
        return fresh[0], fresh[1]


class Parts:
    """What one pass adds to several sequences: handed to a library model as its cache.

    Args:
        parts: each sequence's cache and how many of the pass's rows are its own, in order.
    """

    is_compileable = False  # asked for by the library

    def __init__(self, parts: Sequence[tuple[KV, int]]) -> None:
        self.parts = list(parts)
        self.masks: dict[tuple[int, ...], Tensor] = {}  # made once a pass, used by every layer

    def update(self, keys: Tensor, values: Tensor, layer: int, *_: object) -> tuple[Rows, Rows]:
        """Write [1, G, N, D] of a layer; what attention reads, sequence by sequence."""
        sizes = [n for _, n in self.parts]
        news = zip(torch.split(keys, sizes, dim=2), torch.split(values, sizes, dim=2), strict=True)
        held = [kv.write(layer, *new) for (kv, _), new in zip(self.parts, news, strict=True)]
        return Rows([pair[0] for pair in held], self), Rows([pair[1] for pair in held], self)

    def get_seq_length(self, layer: int = 0) -> int:
        """Tokens held before this pass (the library asks; with explicit positions nothing depends on it)."""
        return max(kv.length for kv, _ in self.parts)

    def advance(self) -> None:
        """The pass is over."""
        for kv, n in self.parts:
            kv.advance(n)


class Rows(list[Tensor]):
    """Keys, or values, of several sequences: [1, G, L_i, D] each. The library passes them on to `attend` untouched.

    Args:
        tensors: one for each sequence.
        parts: the pass they belong to.
    """

    def __init__(self, tensors: list[Tensor], parts: Any) -> None:
        super().__init__(tensors)
        self.parts = parts
