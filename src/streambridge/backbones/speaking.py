"""What local models say, piece by piece; and what they would begin with, unsaid. Knows no family."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import torch

from streambridge.engine.decoder import Decoder
from streambridge.types import Item, Piece, Plan


class Speaker(Protocol):
    """What is asked of a model here."""

    @property
    def decoder(self) -> Decoder:
        """Its language model."""
        ...

    def render(self, items: Sequence[Item]) -> Plan:
        """Its layout."""
        ...

    def encode_text(self, text: str) -> tuple[int, ...]:
        """Its words."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """Their text."""
        ...


def speak(model: Speaker, plan: Plan, max_tokens: int, reader: Any = None) -> Iterator[Piece]:
    """Greedy words for a plan, each piece as soon as its characters are whole."""
    ids: list[int] = []
    said = ""
    spoken = model.decoder.greedy(plan, max_tokens) if reader is None else reader.answer(plan, max_tokens)
    for token in spoken:
        ids.append(token)
        new = model.decode(ids).rstrip("\ufffd")[len(said) :]  # a character half said is held back
        said += new
        yield Piece(token, new)


@torch.inference_mode()
def weigh(
    model: Speaker, items: Sequence[Item], choices: Sequence[Sequence[str]], reader: Any = None
) -> list[float]:
    """How likely the answer to these items begins with a word of each choice: its first token counts.

    A token that begins words of several choices (a blank, say) speaks for none.
    """
    plan = model.render(items)
    held: Any = model.decoder.reader(plan.tokens, most=plan.tokens, lasts=False) if reader is None else reader
    held.finish(plan)
    likely = held.track.logits().float().softmax(dim=-1)  # [V]
    firsts = [{model.encode_text(word)[0] for word in words if word} for words in choices]
    shared = {id for n, ids in enumerate(firsts) for other in firsts[:n] for id in ids & other}
    return [float(likely[sorted(ids - shared)].sum()) for ids in firsts]
