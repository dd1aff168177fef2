"""The default policy: round-decayed compression with the paper's holes closed (arXiv 2505.05467, Appendix I).

Knows integers only. Where it differs from the paper: it guarantees the budget, it works at frame time on the buffer
itself, a long round decays gradually instead of to one blur, and a recent window stays raw.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from streambridge.memory.draft import Draft, Slot, check_count, over
from streambridge.memory.guaranteed import Guaranteed
from streambridge.memory.yielding import drop_frames, drop_misfits, forget_words, join_rounds, thin
from streambridge.types import Layout, Shape, Shapes

WINDOW: Final = 16  # camera frames; with a quarter of the budget as its cap when no window is asked for
BLUR: Final = 8  # camera frames that one slot may stand for before a run keeps a second one


@dataclass(eq=False)
class RoundDecay(Guaranteed):
    """Detail decays with age; words outlive frames; nothing passes the budget.

    Nothing happens up to the budget. Above it, the draft gives way in this order, oldest first within each step:

    1. unbroken runs of frames older than the window merge, each down to its floor: one slot for a run of fewer than 16
       camera frames, one more for each doubling. Inside a run the pair with the smallest (camera frames of both) / age
       merges first, so that what a slot stands for grows in proportion to its age;
    2. neighbouring closed rounds are joined: the words of the older one go, and what becomes one run merges on, down
       to the floor of that run;
    3. what is left of older frames merges down to one slot a run, then the window like the rest;
    4. words go, those of the last closed round first, then those of the open one;
    5. frames go for good.

    Step 1 stops at the low-water mark, so that what the model has read stays valid for long. Step 2 begins where
    frames alone cannot come down to midway between mark and budget, and stops there: otherwise memory would stand at
    its budget and change with every frame. Steps 3 and 4 begin only while memory is over the budget itself, and then go
    on to midway; step 5 stops at the budget. Pinned questions always stay. (An item larger than all that they leave
    goes before step 1: nothing else would make it fit.)

    Args:
        low: the low-water mark, as a share of the budget.
        window: newest camera frames kept raw as long as anything older can give; None for the lesser of 16 frames
            and a quarter of the budget.

    Raises:
        WrongUse: when a number is out of its range.
    """

    low: float = 0.5
    window: int | None = None
    name: str = field(default="round_decay", init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.window is not None:
            check_count("window", self.window)

    def __call__(self, rounds: Shapes, budget: int, count: Callable[[Sequence[Shape]], int]) -> Layout | None:
        """Decide what to merge and what to forget, O(n log n); see the class for the rule."""
        if over(rounds, budget) <= 0:
            return None
        draft = Draft(rounds, count)
        drop_misfits(draft, budget)
        self._mark(draft, budget)
        low = int(budget * self.low)
        midway = (low + budget) // 2
        self._thin(draft, low, _floor, recent=False)
        if draft.tokens > midway:
            join_rounds(draft, midway, _floor)
        for recent in (False, True):
            if draft.tokens > budget:
                self._thin(draft, midway, lambda run: 1, recent)
        if draft.tokens > budget:
            forget_words(draft, midway)
        if draft.tokens > budget:
            drop_frames(draft, budget)
        return draft.layout()

    def _mark(self, draft: Draft, budget: int) -> None:
        """Mark the window: the newest frames, while they fit it."""
        frames, tokens = (WINDOW, budget // 4) if self.window is None else (self.window, budget)
        for slot in reversed([slot for slot in draft.slots() if slot.is_frame]):
            frames -= slot.shape.frames
            tokens -= slot.shape.tokens
            if frames < 0 or tokens < 0:
                return
            slot.recent = True

    def _thin(self, draft: Draft, goal: int, keep: Callable[[list[Slot]], int], recent: bool) -> None:
        for run in draft.runs(recent):
            if draft.tokens <= goal:
                break
            thin(draft, run, keep(run), goal)
        draft.sweep()


def _floor(run: list[Slot]) -> int:
    """1 + log2(camera frames / 8), rounded down, at least 1."""
    return max(1, (sum(slot.shape.frames for slot in run) // BLUR).bit_length())


OFFER = RoundDecay
