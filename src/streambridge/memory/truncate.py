"""A baseline: the newest items, pictures and words alike (an ablation of arXiv 2505.05467). Knows integers only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from streambridge.memory.draft import Draft, over
from streambridge.memory.guaranteed import Guaranteed
from streambridge.memory.yielding import drop_misfits
from streambridge.types import Layout, Shape, Shapes


@dataclass(eq=False)
class Truncate(Guaranteed):
    """Keeps the end of the sequence, cut between items; pinned questions always stay.

    Above the budget the oldest items go until memory costs no more than the low-water mark. The newest item stays
    whenever it fits the budget.

    Args:
        low: the low-water mark, as a share of the budget.

    Raises:
        WrongUse: when `low` is not above 0 and up to 1.
    """

    merges: ClassVar[bool] = False  # it lets go, and never blurs
    name: str = field(default="truncate", init=False)

    def __call__(self, rounds: Shapes, budget: int, count: Callable[[Sequence[Shape]], int]) -> Layout | None:
        """Decide where to cut."""
        if over(rounds, budget) <= 0:
            return None
        draft = Draft(rounds, count)
        drop_misfits(draft, budget)
        free = [slot for slot in draft.slots() if not slot.shape.pinned]
        last = free[-1] if free else None
        for slot in free:
            goal = budget if slot is last else int(budget * self.low)
            if draft.tokens <= goal:
                break
            draft.let_go(slot)
        return draft.layout()


OFFER = Truncate
