"""The default policy: round-decayed compression with the paper's holes closed (arXiv 2505.05467, Appendix I).

Knows integers only; that there is a cache it knows from its reasons alone. Where it differs from the paper: it
guarantees the budget, it works at frame time on the buffer itself, what it has once squeezed it leaves alone, a long
round decays gradually instead of to one blur, and a recent window stays raw.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from streambridge.memory.draft import Draft, Slot, check_count, over
from streambridge.memory.guaranteed import Guaranteed
from streambridge.memory.yielding import cut, drop_frames, drop_misfits, forget_words, join_rounds, thin, to_one
from streambridge.types import Layout, Shape, Shapes

WINDOW: Final = 16  # camera frames; with a quarter of the budget as its cap when no window is asked for
BLOCK: Final = 8  # camera frames from which on a slot is squeezed
# Of the way from mark to budget: 0.53 of the budget. More would keep more of the past and read it again more often;
# as it is, half as much is read again as comes in (an hour, 2k tokens, 16 a frame, an answer every 30 s).
ACCEPT: Final = 1 / 3


@dataclass(eq=False)
class RoundDecay(Guaranteed):
    """Detail decays with age; words outlive frames; nothing passes the budget; a cached prefix lives long.

    Whoever caches what was read reads again from the first changed item on. So memory is decided per block, once: a
    *squeezed* slot is one that stands for 8 camera frames or more, or for all of a shorter closed run, and most
    compressions leave every squeezed slot and every word before the first raw frame as they are.

    Nothing happens up to the budget. Above it, the draft gives way in this order, oldest first within each step:

    1. raw frames older than the window are squeezed, until memory is at the low-water mark: each raw stretch of a
       closed run at once, evenly, to its floor (one slot for fewer than 16 camera frames, one more for each doubling);
       of the run that still grows into the window, block by block of 8, and what is left over is one slot until it
       is a block;
    2. only where that leaves more than a third of the way from mark to budget, the squeezed past gives as well, down
       to the mark, so that compressions of step 1 alone fit before the next one of this kind. Runs merge on, each
       down to its floor; inside a run the pair with the smallest (camera frames of both) / age merges first, so that
       what a slot stands for grows in proportion to its age. Then neighbouring closed rounds are joined: the words of
       the older one go, and what becomes one run merges on, down to the floor of that run;
    3. what is left of older frames merges down to one slot a run, then the window like the rest;
    4. words go, those of the last closed round first, then those of the open one;
    5. frames go for good.

    Step 2 spares the oldest slot of memory as long as its run keeps a second one: how it all began stays known. Steps
    3 and 4 begin only while memory is over the budget itself, and then go on to that third; step 5 stops at the budget.
    Pinned questions always stay. (An item larger than all that they leave goes before step 1: nothing else would make
    it fit.)

    Args:
        low: the low-water mark, as a share of the budget; it is never below twice the window (or, where that is less,
            midway between window and budget). The lower the mark, the less is read again.
        window: newest camera frames kept raw as long as anything older can give; None for the lesser of 16 frames
            and a quarter of the budget.

    Raises:
        WrongUse: when a number is out of its range.
    """

    low: float = 0.3
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
        low = self._low_water(budget, self._mark(draft, budget))
        enough = low + int((budget - low) * ACCEPT)
        _squeeze(draft, low)
        if draft.tokens > enough:
            _each(draft, low, _to_floor)
            join_rounds(draft, low, _joined)
        for recent in (False, True):
            if draft.tokens > budget:
                _each(draft, enough, to_one, recent)
        if draft.tokens > budget:
            forget_words(draft, enough)
        if draft.tokens > budget:
            drop_frames(draft, budget)
        return draft.layout()

    def _low_water(self, budget: int, window: int) -> int:
        """The mark; beside a large window there must be something for memory to be."""
        return max(int(budget * self.low), window + min(window, (budget - window) // 2))

    def _mark(self, draft: Draft, budget: int) -> int:
        """Mark the oldest frame, and the window: the newest frames, while they fit it. What the window costs."""
        frames, room = (WINDOW, budget // 4) if self.window is None else (self.window, budget)
        slots = [slot for slot in draft.slots() if slot.is_frame]
        for slot in slots[:1]:
            slot.oldest = True
        cost = 0
        for slot in reversed(slots):
            frames -= slot.shape.frames
            if frames < 0 or cost + slot.shape.tokens > room:
                break
            slot.recent = True
            cost += slot.shape.tokens
        return cost


def _squeeze(draft: Draft, goal: int) -> None:
    """Step 1: what was squeezed before stays, so that the start of memory is the same afterwards."""
    for run in draft.runs():
        old = [slot for slot in run if not slot.recent]
        grows = len(old) < len(run)
        for raw in _raw(old):
            # What a run that still grows has at its end is decided block by block: the rest of the block is to come.
            blocks = _blocks(raw) if grows and raw[-1] is old[-1] else [raw]
            for block in blocks:
                if draft.tokens > goal:
                    cut(draft, block, _floor(block))
    draft.sweep()


def _each(draft: Draft, goal: int, give: Callable[[Draft, list[Slot], int], None], recent: bool = False) -> None:
    for run in draft.runs(recent):
        if draft.tokens <= goal:
            break
        give(draft, run, goal)
    draft.sweep()


def _to_floor(draft: Draft, run: list[Slot], goal: int) -> None:
    """Thin a run to its floor; the oldest slot of memory stays beside what the others become."""
    apart = run[0].oldest and _floor(run) > 1
    thin(draft, run[apart:], _floor(run) - apart, goal)


def _joined(draft: Draft, run: list[Slot], goal: int) -> None:
    """The short runs that a join makes one are squeezed at once: left for later, they would change the start again."""
    for raw in _raw(run):
        cut(draft, raw, _floor(raw))
    _to_floor(draft, [slot for slot in run if slot.group], goal)


def _raw(run: Sequence[Slot]) -> Iterator[list[Slot]]:
    """Neighbours that stand for less than a block each: single frames, and what too short a run became."""
    found: list[Slot] = []
    for slot in run:
        if slot.shape.frames < BLOCK:
            found.append(slot)
        elif found:
            yield found
            found = []
    if found:
        yield found


def _blocks(raw: Sequence[Slot]) -> Iterator[list[Slot]]:
    """Cut into blocks, oldest first; the last one may be short."""
    block: list[Slot] = []
    for slot in raw:
        block.append(slot)
        if sum(one.shape.frames for one in block) >= BLOCK:
            yield block
            block = []
    if block:
        yield block


def _floor(run: Sequence[Slot]) -> int:
    """1 + log2(camera frames / 8), rounded down, at least 1."""
    return max(1, (sum(slot.shape.frames for slot in run) // BLOCK).bit_length())


OFFER = RoundDecay
