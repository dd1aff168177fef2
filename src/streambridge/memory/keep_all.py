"""No policy at all: everything is kept, whatever it costs. Knows nothing; others are held against it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from streambridge.memory.draft import over
from streambridge.types import Layout, Shape, Shapes


@dataclass(eq=False)
class KeepAll:
    """Keeps everything and guarantees nothing."""

    merges: ClassVar[bool] = False  # it lets go, and never blurs
    name: str = field(default="keep_all", init=False)
    bounded: bool = field(default=False, init=False)
    at: Literal["frame", "answer"] = field(default="answer", init=False)  # it has nothing to say, so ask it seldom
    keeps: bool = field(default=True, init=False)
    reserves: bool = field(default=True, init=False)

    def __call__(self, rounds: Shapes, budget: int, count: Callable[[Sequence[Shape]], int]) -> Layout | None:
        """Change nothing."""
        over(rounds, budget)  # a budget that is none is refused here as everywhere
        return None


OFFER = KeepAll
