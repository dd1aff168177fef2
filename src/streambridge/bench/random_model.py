"""Video-LLMs of known sizes with random weights: what speed and equality are measured on. They say nothing sensible.

The language model is transformers' Qwen2, the loop the one that serves users; frames are random embeddings, since the
eyes cost the same for every variant. Nothing is downloaded.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, Final, Literal, cast

import numpy as np
import torch

from streambridge.engine.decoder import Decoder
from streambridge.engine.reader import LEAST, MOST, Reader
from streambridge.errors import UnknownName
from streambridge.types import Caps, Frame, FrameTokens, Item, Piece, Plan, Role, Segment, Shape, Turn

HEADER: Final = (1,)
END: Final = (2,)

# layers, width, heads, heads of keys, feed-forward, vocabulary: decoders of the Qwen2 family; 0.5B and 7B are its own
SIZES: Final[dict[str, tuple[int, int, int, int, int, int]]] = {
    "1M": (3, 64, 4, 2, 256, 512),
    "16M": (6, 384, 6, 2, 1536, 4096),
    "110M": (12, 768, 12, 2, 3072, 8192),
    "0.5B": (24, 896, 14, 2, 4864, 151936),
    "7B": (28, 3584, 28, 4, 18944, 152064),
}


class Lines:
    """Words and layout without weights: a turn costs a token a word, its header and its end; positions just count.

    Args:
        frame_tokens: tokens of a frame.
        max_context: what `caps` says.
    """

    name = "random"

    def __init__(self, frame_tokens: int = 16, max_context: int = 1 << 17, vocab: int = 512) -> None:
        self.frame_tokens, self.vocab = frame_tokens, vocab
        self.caps = Caps(True, True, True, True, "rope", max_context)

    def turn(self, role: Role, text: str, t: float, kind: str, id: str) -> Turn:
        """One id a word."""
        ids = tuple(3 + zlib.crc32(word.encode()) % (self.vocab - 3) for word in text.split())
        return self._turn(role, text, ids, t, kind, id)

    def spoken(self, pieces: Sequence[Piece], t: float, id: str) -> Turn:
        """The very ids that were generated."""
        ids = tuple(piece.id for piece in pieces if piece.id is not None)
        return self._turn("assistant", "".join(piece.text for piece in pieces), ids, t, "answer", id)

    def _turn(self, role: Role, text: str, ids: tuple[int, ...], t: float, kind: str, id: str) -> Turn:
        sort = cast(Literal["system", "question", "cue", "answer"], kind)
        return Turn(role, text, ids, t, sort, id, len(HEADER) + len(ids) + len(END))

    def count(self, parts: Sequence[Shape]) -> int:
        """A merge costs what one frame costs."""
        return parts[0].tokens

    def overhead(self) -> int:
        """Header and end of an answer."""
        return len(HEADER) + len(END)

    def render(self, items: Sequence[Item], header: bool = True) -> Plan:
        """One after another, then the header of the answer to come."""
        segments, at = [], 0
        for item in items:
            frame = item if isinstance(item, FrameTokens) else None
            ids = (0,) * item.tokens if isinstance(item, FrameTokens) else (*HEADER, *item.ids, *END)
            segments.append(Segment(ids, _line(at, len(ids)), frame))
            at += len(ids)
        if header:
            segments.append(Segment(HEADER, _line(at, len(HEADER))))
        return Plan(tuple(segments), at + header * len(HEADER))


def _line(at: int, n: int) -> Any:
    return np.arange(at, at + n, dtype=np.int64)[None]


def config_of(size: str, **besides: Any) -> Any:
    """A transformers' Qwen2Config of a named size."""
    from transformers import Qwen2Config

    layers, width, heads, key_heads, inner, vocab = SIZES[size]
    return Qwen2Config(
        vocab_size=vocab,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=key_heads,
        intermediate_size=inner,
        # Embeddings of norm 1 a dimension: with the usual 0.02 all would say the same token for ever.
        initializer_range=width**-0.5,
        **besides,
    )


class RandomModel(Lines):
    """A decoder of a named size.

    Args:
        size: one of `SIZES`.
        frame_tokens: tokens of a frame.
        dtype: of the weights.
        device: where they are.
        seed: of the weights and the frames.
        least: tokens that the engine reads in one pass at least.
        most: tokens after which a pass ends.
        cached: keep what was read (the engine); otherwise every answer reads all again, as published.

    Raises:
        UnknownName: when there is no such size.
    """

    def __init__(
        self,
        size: str,
        frame_tokens: int = 16,
        dtype: torch.dtype = torch.float32,
        device: str = "cpu",
        seed: int = 0,
        least: int = LEAST,
        most: int = MOST,
        cached: bool = True,
    ) -> None:
        if size not in SIZES:
            raise UnknownName("size", size, SIZES)
        super().__init__(frame_tokens, vocab=SIZES[size][-1])
        self.size, self.dtype, self.device, self.seed, self.cached = size, dtype, device, seed, cached
        self.pace = (least, most)

    @property
    def dtype_name(self) -> str:
        """Of the weights, as records say it."""
        return str(self.dtype).removeprefix("torch.")

    @cached_property
    def decoder(self) -> Decoder:
        """The language model; no id ends an answer, so that all answers have one length."""
        from transformers import Qwen2Model

        width, vocab = SIZES[self.size][1], SIZES[self.size][-1]
        torch.manual_seed(self.seed)
        config = config_of(self.size, rope_parameters={"rope_type": "default", "rope_theta": 1e6})
        with torch.device(self.device):
            before = torch.get_default_dtype()
            torch.set_default_dtype(self.dtype)
            try:
                body: Any = cast(Any, Qwen2Model(config)).eval().requires_grad_(False)
                head = torch.nn.Linear(width, vocab, bias=False).requires_grad_(False)
            finally:
                torch.set_default_dtype(before)
        torch.nn.init.normal_(body.embed_tokens.weight)
        torch.nn.init.normal_(head.weight, std=width**-0.5)
        return Decoder(body, head, body.embed_tokens, frozenset())

    @cached_property
    def bank(self) -> torch.Tensor:
        """Random frames [64, P, D]."""
        generator = torch.Generator().manual_seed(self.seed + 1)
        width = SIZES[self.size][1]
        return torch.randn(64, self.frame_tokens, width, generator=generator).to(self.device)

    def encode(self, frame: Frame) -> FrameTokens:
        """One of the random frames, by the time in milliseconds."""
        number = zlib.crc32(str(round(1000 * frame.t)).encode()) % len(self.bank)
        return FrameTokens({"embeds": self.bank[number]}, self.frame_tokens, frame.t, (frame.t, frame.t))

    def merge(self, parts: Sequence[FrameTokens]) -> FrameTokens:
        """The weighted mean."""
        from streambridge.backbones.merging import mean_of

        return mean_of(parts)

    def reader(self, room: int) -> Reader | None:
        """A cache, or none for the published loop."""
        return self.decoder.reader(room, *self.pace) if self.cached else None

    def answer(self, plan: Plan, max_tokens: int, reader: Any = None) -> Iterator[Piece]:
        """Greedy ids; the text is their numbers."""
        spoken = self.decoder.greedy(plan, max_tokens) if reader is None else reader.answer(plan, max_tokens)
        return (Piece(token, f" {token}") for token in spoken)
