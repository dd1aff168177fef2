"""The published rule to the letter: arXiv 2505.05467, Appendix I. Knows integers only, and has the paper's holes.

The holes: the budget is not guaranteed, one long round becomes one blur, and nothing is written back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from streambridge.memory.draft import check_count, over
from streambridge.types import Group, Layout, Shape, Shapes


@dataclass(eq=False)
class Paper:
    """Round-decayed compression as printed: at answer time, on a copy, oldest round first.

    A round is here what the paper's splitting makes of the flat sequence: a run of frames and the run of words after
    it. Leading words have no frames, trailing frames no words. With L tokens and a limit of M, frames to remove =
    floor((L - M) / T) + `margin`; each round gives all its frames but one, the last one concerned only as many as are
    still needed, its first. Nothing happens while L <= M. When every round is down to one frame the result may be over
    the limit: compare the tokens.

    T is the tokens of one frame. The paper has one T for the whole sequence; where frames differ it is the first's.

    Args:
        margin: what is added to the floor; 1 as printed.

    Raises:
        WrongUse: when `margin` is not a whole number of 0 or more.
    """

    margin: int = 1
    name: str = field(default="paper", init=False)
    bounded: bool = field(default=False, init=False)
    at: Literal["frame", "answer"] = field(default="answer", init=False)
    keeps: bool = field(default=False, init=False)  # Algorithm 1 compresses the flattened copy
    reserves: bool = field(default=False, init=False)  # the paper knows no reserve for the answer
    weighted: bool = field(default=True, init=False)  # the plain mean of raw frames, each of which weighs 1

    def __post_init__(self) -> None:
        check_count("margin", self.margin)

    def __call__(self, rounds: Shapes, budget: int, count: Callable[[Sequence[Shape]], int]) -> Layout | None:
        """Decide what to merge; words are never touched. None when nothing changes."""
        excess = over(rounds, budget)
        shapes = [shape for round_ in rounds for shape in round_]
        per_frame = next((shape.tokens for shape in shapes if shape.kind == "frame"), 0)
        if excess <= 0 or not per_frame:
            return None
        owner: dict[int, Group] = {}  # number of a group's last item -> the whole group
        target = excess // per_frame + self.margin
        for run in _image_runs(shapes):
            taken = min(len(run), target + 1) if target > 0 else 1
            target -= taken - 1
            for group in (run[:taken], *([number] for number in run[taken:])):
                owner[group[-1]] = tuple(group)
        return _in_rounds(rounds, owner) if len(owner) < sum(s.kind == "frame" for s in shapes) else None


def _image_runs(shapes: Sequence[Shape]) -> Iterator[list[int]]:
    """The image groups of the paper's rounds: maximal runs of frames in the flat sequence."""
    run: list[int] = []
    for number, shape in enumerate(shapes):
        if shape.kind == "frame":
            run.append(number)
        elif run:
            yield run
            run = []
    if run:
        yield run


def _in_rounds(rounds: Shapes, groups: dict[int, Group]) -> Layout:
    """Each group stands in the round of its last item; every item of words stands alone."""
    layout: list[tuple[Group, ...]] = []
    number = 0
    for round_ in rounds:
        kept: list[Group] = []
        for shape in round_:
            if shape.kind == "text":
                kept.append((number,))
            elif number in groups:
                kept.append(groups[number])
            number += 1
        layout.append(tuple(kept))
    return tuple([*filter(None, layout[:-1]), layout[-1]])


OFFER = Paper
