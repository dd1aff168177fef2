"""A backbone without weights that says what the references say, and notes what it was shown. Knows no session.

It writes as the model to be taught does: a local family's own words, read from the small files of its checkpoint. Its
frames are numbers; a merge of frames keeps which ones, and with which weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import isqrt
from pathlib import Path
from typing import TypeAlias

import numpy as np
from tokenizers import Tokenizer

from streambridge.backbones.checkpoint import read_words
from streambridge.backbones.local import Budget
from streambridge.backbones.sketch import Sketch
from streambridge.backbones.template import ASKED, SAID, Write
from streambridge.backbones.tiny import Words
from streambridge.backbones.turns import Seen
from streambridge.errors import BadInput
from streambridge.train.sequences import Noted, Share, Writes
from streambridge.types import Frame, FrameTokens, Item, Piece, Plan, Reference, Role, Shape, Turn

Size: TypeAlias = tuple[int, int]  # height and width of a picture in pixels
Due: TypeAlias = Mapping[tuple[str, int], Sequence[Reference]]  # (question, frames seen) -> what is to be said then


@dataclass(frozen=True, slots=True, eq=False)
class Style:
    """How a model writes.

    Attributes:
        words: its turns and layout.
        look: (time in seconds, size of the picture) -> what a frame is in a plan; its bundle holds `rows` of features
            and their `grid`.
        lead: what stands before an answer's words where its template puts something: a blank, with SmolVLM.
        sized: a picture's size decides its tokens.
    """

    words: Writes
    look: Callable[[float, Size], FrameTokens]
    lead: str = ""
    sized: bool = False


def style_of(name: str | Path, tokens_per_frame: Budget = "paper") -> Style:
    """How a checkpoint of a local family writes; no weight is read.

    Args:
        name: a checkpoint's folder, or a hub id in the cache.
        tokens_per_frame: as the model will be used: `native`, `paper` or at most so many.

    Raises:
        BadInput: when there is no such checkpoint, or its turns end with no special word.
        WrongUse: on a budget that makes no frame.
    """
    sketch = Sketch(name)
    budget = sketch.budget(tokens_per_frame)
    end = sketch.model.encode_text(sketch.model.template.close)[:1]
    added = sketch.model.tokenizer.get_added_tokens_decoder()
    if not end or end[0] not in added or not added[end[0]].special:
        raise BadInput(f"{name}: its chat template ends an answer with no special word; expected one to be learned")
    _, write = read_words(sketch.folder)
    sized = sketch.model.eyes.rule == "qwen"
    return Style(sketch.model, lambda t, size: _look(sketch, budget, t, size), _lead(write), sized)


def tiny_style(tokenizer: Tokenizer, grid: tuple[int, int]) -> Style:
    """How a model of the embedded kind writes.

    Args:
        tokenizer: of the model.
        grid: rows and columns of tokens in one frame.
    """
    words = Words(tokenizer, grid, 1 << 30)
    bundle = {"rows": grid[0] * grid[1], "grid": grid}
    return Style(words, lambda t, _: FrameTokens(bundle, len(words.frame_ids), t, (t, t)))


def _look(sketch: Sketch, budget: int | None, t: float, size: Size) -> Seen:
    """What a frame of this size is in a plan, as the family's `encode` makes it."""
    rows = sketch.features(*size, budget)
    exact = sketch.model.eyes.rule == "qwen"
    grid = sketch.model.eyes.grid(*size, budget) if exact else (isqrt(rows),) * 2  # a square, a newline behind it
    before, pad, behind = sketch.model._wrapper(Frame(np.zeros((1, 1, 3), np.uint8), t))
    ids = (*before, *(pad,) * rows, *behind)
    return Seen({"rows": rows, "grid": grid}, len(ids), t, (t, t), 1, grid, ids, len(before))


def _lead(write: Write) -> str:
    """What a template puts between the header that asks for an answer and the words of one given before."""
    user = {"role": "user", "content": [{"type": "text", "text": ASKED}]}
    said = {"role": "assistant", "content": [{"type": "text", "text": SAID}]}
    header, told = write([user], True), write([user, said], False).partition(SAID)[0]
    return told[len(header) :] if told.startswith(header) else ""


class Teacher:
    """A backbone whose answers are dictated.

    Questions come to it under their names, so that two of the same words stay apart; it puts the words in.

    Args:
        style: how the model to be taught writes.
        asked: name -> words, of each question.
        due: what is to be said to a question when so many frames were seen. Of several the last one is.
        size_of: the size of each raw frame's picture, by its number.

    Attributes:
        seen: how many frames were shown so far.
        noted: each answer that was asked for, in order; one without words where nothing was due.
    """

    name = "teacher"

    def __init__(self, style: Style, asked: Mapping[str, str], due: Due, size_of: Callable[[int], Size]) -> None:
        self.style, self.words, self.caps = style, style.words, style.words.caps
        self.seen, self.noted = 0, list[Noted]()
        self._asked, self._due, self._size_of = asked, due, size_of
        self._names: dict[str, str] = {}  # the session's name of a question -> the timeline's
        self._shown: tuple[Plan, tuple[Item, ...]] | None = None

    def encode(self, frame: Frame) -> FrameTokens:
        """A frame is its number."""
        look = self.style.look(frame.t, self._size_of(self.seen))
        share: Share = {self.seen: Fraction(1)}
        self.seen += 1
        return replace(look, bundle={**look.bundle, "share": share})

    def merge(self, parts: Sequence[FrameTokens]) -> FrameTokens:
        """The first one's shape; of whom it is made, weighted as the models' own merge weighs."""
        total, shares = sum(part.frames for part in parts), dict[int, Fraction]()
        for part in parts:
            for number, share in part.bundle["share"].items():
                shares[number] = shares.get(number, Fraction(0)) + share * Fraction(part.frames, total)
        t = sum(part.frames * part.t for part in parts) / total
        span = (min(part.span[0] for part in parts), max(part.span[1] for part in parts))
        return replace(parts[0], bundle={**parts[0].bundle, "share": shares}, t=t, span=span, frames=total)

    def turn(self, role: Role, text: str, t: float, kind: str, id: str) -> Turn:
        """The words of the question of that name; other words as they are."""
        if role == "user":
            self._names[id] = text
        return self.words.turn(role, self._asked[text] if role == "user" else text, t, kind, id)

    def spoken(self, pieces: Sequence[Piece], t: float, id: str) -> Turn:
        """The turn of an answer."""
        return self.words.spoken(pieces, t, id)

    def count(self, parts: Sequence[Shape]) -> int:
        """What a merge costs."""
        return self.words.count(parts)

    def overhead(self) -> int:
        """What an answer costs besides its words."""
        return self.words.overhead()

    def render(self, items: Sequence[Item], header: bool = True) -> Plan:
        """The usual plan; what it was made of is remembered for the answer."""
        plan = self.words.render(items, header)
        self._shown = plan, tuple(items)
        return plan

    def reader(self, room: int) -> None:
        """Nothing is read, so nothing is kept."""

    def answer(self, plan: Plan, max_tokens: int, reader: object = None) -> Iterator[Piece]:
        """What is due to the newest question now: the last of it, up to so many tokens; nothing where nothing is."""
        assert self._shown is not None and self._shown[0] is plan, "an answer is asked for on the plan rendered last"
        items = self._shown[1]
        asked = next((item for item in reversed(items) if isinstance(item, Turn) and item.role == "user"), None)
        name = "" if asked is None else self._names[asked.id]
        refs = self._due.get((name, self.seen), ())
        if not refs:
            self.noted.append(Noted(items, (), name, learn=False))
            return
        said = self.words.turn("assistant", self.style.lead + refs[-1].text, 0.0, "answer", "").ids
        ids = said[:max_tokens]
        self.noted.append(Noted(items, ids, name, refs[-1].id, refs[-1].learn, ids == said))
        yield from (Piece(token, "") for token in ids)
