"""What local models say, piece by piece; and what they would begin with, unsaid. Knows no family."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from streambridge.engine.decoder import Decoder
from streambridge.engine.reader import Reader
from streambridge.types import Item, Piece, Plan


class Speaks:
    """A model with a decoder: what it does once plans are laid out."""

    @property
    def decoder(self) -> Decoder:
        """Its language model with its loop."""
        raise NotImplementedError

    def render(self, items: Sequence[Item], header: bool = True) -> Plan:
        """Its layout."""
        raise NotImplementedError

    def encode_text(self, text: str) -> tuple[int, ...]:
        """Ids of its words."""
        raise NotImplementedError

    def decode(self, ids: Sequence[int]) -> str:
        """Their text."""
        raise NotImplementedError

    def reader(self, room: int) -> Reader:
        """A cache for one session."""
        return self.decoder.reader(room)

    def answer(self, plan: Plan, max_tokens: int, reader: Any = None) -> Iterator[Piece]:
        """Greedy words, each piece as soon as its characters are whole."""
        ids: list[int] = []
        said = ""
        spoken = self.decoder.greedy(plan, max_tokens) if reader is None else reader.answer(plan, max_tokens)
        for token in spoken:
            ids.append(token)
            new = self.decode(ids).rstrip("\ufffd")[len(said) :]  # a character half said is held back
            said += new
            yield Piece(token, new)

    @torch.inference_mode()
    def weigh(self, items: Sequence[Item], choices: Sequence[Sequence[str]], reader: Any = None) -> list[float]:
        """How likely the answer to these items begins with a word of each choice: its first token counts.

        A token that begins words of several choices (a blank, say) speaks for none.
        """
        plan = self.render(items)
        held: Any = self.decoder.reader(plan.tokens, most=plan.tokens, lasts=False) if reader is None else reader
        held.finish(plan)
        likely = held.track.logits().float().softmax(dim=-1)  # [V]
        firsts = [{self.encode_text(word)[0] for word in words if word} for words in choices]
        shared = {id for n, ids in enumerate(firsts) for other in firsts[:n] for id in ids & other}
        return [float(likely[sorted(ids - shared)].sum()) for ids in firsts]
