"""What policies share that keep the budget at every item. Knows no rule of merging or forgetting."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from streambridge.memory.draft import check_share


@dataclass(eq=False)
class Guaranteed:
    """A policy that is asked at every item, replaces the buffer with its result, and never leaves it over the budget.

    Args:
        low: the low-water mark, as a share of the budget: down to it goes what passed the budget, so that what the
            model has read stays valid for a while.

    Raises:
        WrongUse: when `low` is not above 0 and up to 1.
    """

    low: float = 0.75
    bounded: bool = field(default=True, init=False)
    at: Literal["frame", "answer"] = field(default="frame", init=False)
    keeps: bool = field(default=True, init=False)
    reserves: bool = field(default=True, init=False)

    def __post_init__(self) -> None:
        check_share("low", self.low)
