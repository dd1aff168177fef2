"""A layout in the making: what a policy merges and lets go, with the tokens counted along. Knows no policy.

The cost of a merge of merges is taken to be that of merging all at once, as with every backbone whose frames have one
size; the buffer holds the result against the real cost.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count as numbers

from streambridge.errors import WrongUse
from streambridge.types import Layout, Shape, Shapes


def check_share(name: str, value: object) -> None:
    """Refuse a share that is not in (0, 1].

    Raises:
        WrongUse: with the name and what came.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1 or math.isnan(value):
        raise WrongUse(f"{name} is a share of the budget, above 0 and up to 1; this one is {value!r}")


def check_count(name: str, value: object) -> None:
    """Refuse what is not a whole number of 0 or more.

    Raises:
        WrongUse: with the name and what came.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise WrongUse(f"{name} is a whole number, 0 or more; this one is {value!r}")


def over(rounds: Shapes, budget: int) -> int:
    """How many tokens are too many; 0 or less when all is well.

    Raises:
        WrongUse: when the budget is no number of tokens above 0.
    """
    if isinstance(budget, bool) or not isinstance(budget, int) or budget <= 0:
        raise WrongUse(f"the budget of memory is a number of tokens above 0; this one is {budget!r}")
    return sum(shape.tokens for round_ in rounds for shape in round_) - budget


@dataclass(slots=True, eq=False)
class Slot:
    """One item that shall be.

    Attributes:
        group: numbers of the items it is made of; empty when it is let go or merged into another.
        shape: what it will be.
        age: camera frames in all memory that are newer than its end, and one.
        recent: it lies in a window that is kept raw as long as possible.
        oldest: no frame in memory is older.
    """

    group: list[int]
    shape: Shape
    age: int
    recent: bool = False
    oldest: bool = False

    @property
    def is_frame(self) -> bool:
        """It holds a picture."""
        return self.shape.kind == "frame"

    @property
    def is_loose(self) -> bool:
        """It holds words that may be forgotten."""
        return self.shape.kind == "text" and not self.shape.pinned


class Draft:
    """The rounds that shall be, in slots, oldest first and the open round last.

    Args:
        rounds: shapes as a policy gets them.
        count: what a merge of frame shapes would cost.

    Attributes:
        rounds: lists of slots.
        tokens: what all slots cost now.
    """

    def __init__(self, rounds: Shapes, count: Callable[[Sequence[Shape]], int]) -> None:
        self._count = count
        self.tokens = sum(shape.tokens for round_ in rounds for shape in round_)
        newer = sum(shape.frames for round_ in rounds for shape in round_)
        self.rounds: list[list[Slot]] = []
        number = numbers()
        for round_ in rounds:
            self.rounds.append([])
            for shape in round_:
                newer -= shape.frames
                self.rounds[-1].append(Slot([next(number)], shape, newer + 1))

    def slots(self) -> list[Slot]:
        """All slots in order."""
        return [slot for round_ in self.rounds for slot in round_]

    def runs(self, recent: bool = True) -> list[list[Slot]]:
        """The unbroken runs of frames: neighbours in one round with no words between, oldest run first.

        Args:
            recent: count the frames of the window in; otherwise a run ends before it.
        """
        return [run for round_ in self.rounds for run in runs_of(round_, recent)]

    def merge(self, older: Slot, newer: Slot) -> None:
        """Merge a frame into its older neighbour, which stays; `newer` is let go of (see `sweep`)."""
        cost = self._count((older.shape, newer.shape))
        self.tokens += cost - older.shape.tokens - newer.shape.tokens
        older.shape = Shape("frame", cost, older.shape.frames + newer.shape.frames)
        older.group.extend(newer.group)
        older.age = newer.age
        newer.group = []

    def let_go(self, slot: Slot) -> None:
        """Let a slot go."""
        self.tokens -= slot.shape.tokens
        slot.group = []

    def sweep(self) -> None:
        """Take what was merged away or let go out of the rounds."""
        self.rounds = [[slot for slot in round_ if slot.group] for round_ in self.rounds]

    def layout(self) -> Layout:
        """The layout as a policy returns it; closed rounds without items are gone, the open one stays."""
        self.sweep()
        *closed, opened = self.rounds
        return tuple(tuple(tuple(slot.group) for slot in round_) for round_ in [*filter(None, closed), opened])


def runs_of(round_: Sequence[Slot], recent: bool) -> Iterator[list[Slot]]:
    """The unbroken runs of frames in one round, oldest first; without `recent` a run ends before the window."""
    run: list[Slot] = []
    for slot in round_:
        if slot.group and slot.is_frame and (recent or not slot.recent):
            run.append(slot)
        elif slot.group and run:  # what is gone breaks no run
            yield run
            run = []
    if run:
        yield run
