"""What a session's model was fed, answer by answer, cut into training sequences. Knows no session, weights or pixels.

As long as the memory merely grows, successive answers share one sequence; a compaction begins a new one. Attention is
causal over a whole sequence in every family, as it is in use: no further mask is needed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

import numpy as np

from streambridge.types import Item, Piece, Plan, Role, Segment, Shape, Turn

if TYPE_CHECKING:
    from numpy.typing import NDArray

NOTHING: Final = -100  # a label that no loss looks at

Share: TypeAlias = Mapping[int, Fraction]  # raw frame -> its part of a merge; exact, so merges of merges stay so


class Writes(Protocol):
    """The words of a model without its weights: `Turns` of a local family, or `Words` of the embedded one."""

    caps: Any

    def turn(self, role: Role, text: str, t: float, kind: str, id: str) -> Turn:
        """Tokenise words once."""
        ...

    def spoken(self, pieces: Sequence[Piece], t: float, id: str) -> Turn:
        """The turn of an answer from the ids that were said."""
        ...

    def count(self, parts: Sequence[Shape]) -> int:
        """What a merge costs."""
        ...

    def overhead(self) -> int:
        """What an answer costs besides its words."""
        ...

    def render(self, items: Sequence[Item], header: bool = True) -> Plan:
        """Lay items out, one segment each, behind the opening and before the header of the answer to come."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Noted:
    """One answer as it was given.

    Attributes:
        items: what the model read for it.
        ids: what was said, without its end.
        question: the timeline's name of the question it answers.
        reference: the id of the reference it was taken from.
        learn: it is to be learned.
        whole: it was said to its end; otherwise `answer_len` cut it.
    """

    items: tuple[Item, ...]
    ids: tuple[int, ...]
    question: str = ""
    reference: str = ""
    learn: bool = True
    whole: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One training sequence of L tokens.

    A merged frame is a weighted mean of the features of raw ones, row by row (of every level, with DeepStack).

    Attributes:
        ids: int32 [L].
        positions: int32 [R, L]: R is 3 with M-RoPE, else 1.
        labels: int32 [L]; the id to be predicted *behind* each place, -100 where nothing is learned.
        places: where each frame's features begin.
        frames: for each frame, the raw frames (by number) that it is made of.
        weights: their weights in it, which sum to 1.
        grids: rows and columns of each frame's features; of raw frames of another grid, those refitted to this one.
        rows: how many rows of features each frame has; more than its grid where a newline follows.
        answers: for each answer that is learned, the id of its reference and the place of its first label.
    """

    ids: NDArray[np.int32]
    positions: NDArray[np.int32]
    labels: NDArray[np.int32]
    places: tuple[int, ...]
    frames: tuple[tuple[int, ...], ...]
    weights: tuple[tuple[float, ...], ...]
    grids: tuple[tuple[int, int], ...]
    rows: tuple[int, ...]
    answers: tuple[tuple[str, int], ...]


def cut(words: Writes, noted: Sequence[Noted]) -> Iterator[Sample]:
    """The training sequences of one stream; where nothing is to be learned, there is none.

    Args:
        words: lays items out.
        noted: all answers with words, in order.
    """
    for run in _runs(noted):
        while run and not run[-1].learn:
            run.pop()
        if run:
            yield _sequence(words, run)


def _runs(noted: Sequence[Noted]) -> Iterator[list[Noted]]:
    """Answers whose memories only grow from one to the next belong to one sequence."""
    run: list[Noted] = []
    for one in noted:
        if run and not _grows(run[-1], one.items):
            yield run
            run = []
        run.append(one)
    if run:
        yield run


def _grows(before: Noted, after: Sequence[Item]) -> bool:
    n = len(before.items)
    if len(after) <= n or any(a is not b for a, b in zip(before.items, after, strict=False)):
        return False
    answer = after[n]  # it must stand right behind what it was given for
    return isinstance(answer, Turn) and answer.kind == "answer" and answer.ids == before.ids


def _sequence(words: Writes, run: Sequence[Noted]) -> Sample:
    """The last plan of a run with its answer; earlier answers of the run stand inside it and are learned too."""
    items = run[-1].items
    last = Turn("assistant", "", run[-1].ids, 0.0, "answer", "", 0)
    segments = words.render([*items, last], header=False).segments
    opening = len(segments) - len(items) - 1  # segments that are no item's
    starts = [0, *accumulate(len(segment.ids) for segment in segments)]
    head = len(words.render((), header=True).segments[-1].ids)
    labels, answers = np.full(starts[-1], NOTHING, np.int32), []
    for one in run:
        if one.learn:
            place = len(one.items) + opening
            at = starts[place] + head - 1
            said = _said(segments[place], head, one)
            labels[at : at + len(said)] = said
            answers.append((one.reference, at))
    places, frames, weights, grids, rows = _frames(segments, starts)
    ids = np.concatenate([np.array(segment.ids, np.int32) for segment in segments])
    positions = np.concatenate([segment.positions for segment in segments], axis=1).astype(np.int32)
    return Sample(ids, positions, labels, places, frames, weights, grids, rows, tuple(answers))


def _said(segment: Segment, head: int, one: Noted) -> tuple[int, ...]:
    """What is learned of an answer's turn: its words, and the id that ends it where it was said to its end."""
    return segment.ids[head : head + len(one.ids) + one.whole]


def _frames(segments: Sequence[Segment], starts: Sequence[int]) -> tuple[Any, ...]:
    """Places, raw frames, weights, grids and rows, each a tuple over the frames."""
    found = []
    for at, segment in zip(starts, segments, strict=False):
        if segment.frame is not None:
            share, rows, grid = (segment.frame.bundle[name] for name in ("share", "rows", "grid"))
            raw = sorted(share)
            weights = tuple(float(share[number]) for number in raw)
            found.append((at + segment.frame_at(rows), tuple(raw), weights, grid, rows))
    return tuple(zip(*found, strict=True)) if found else ((), (), (), (), ())
