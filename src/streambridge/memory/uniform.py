"""A baseline: every round loses the same share of its pictures (an ablation of arXiv 2505.05467). Knows integers only.

The printed share (L - M) / L misses the limit as soon as there are words; with V tokens of pictures it is (L - M) / V.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from streambridge.memory.draft import Draft, Slot, over
from streambridge.memory.guaranteed import Guaranteed
from streambridge.memory.yielding import drop_frames, drop_misfits, forget_words, join_rounds
from streambridge.types import Layout, Shape, Shapes


@dataclass(eq=False)
class Uniform(Guaranteed):
    """Detail is the same everywhere: each unbroken run of frames keeps slots in proportion to its camera frames.

    Above the budget every run is merged evenly, so that the frames cost no more than `low` of what the words leave; a
    run keeps one slot at least, and then the others give more. Shares are of camera frames, not of slots, so that
    detail stays even when merged frames merge again. When one slot for each run is over the budget, the oldest rounds
    are joined, then words go, then frames, as in `round_decay`. Pinned questions always stay.

    Args:
        low: the low-water mark as a share, so that what the model has read stays valid for a while.

    Raises:
        WrongUse: when `low` is not above 0 and up to 1.
    """

    name: str = field(default="uniform", init=False)

    def __call__(self, rounds: Shapes, budget: int, count: Callable[[Sequence[Shape]], int]) -> Layout | None:
        """Decide how far each run is merged and, if that is not enough, what is let go."""
        if over(rounds, budget) <= 0:
            return None
        draft = Draft(rounds, count)
        drop_misfits(draft, budget)
        runs = draft.runs()
        words = draft.tokens - sum(slot.shape.tokens for run in runs for slot in run)
        total = _frames(runs)
        kept = _kept(runs, int(max(0, budget - words) * self.low), count)
        for run in runs:
            for older, *newer in _parts(run, kept, total):
                for slot in newer:
                    draft.merge(older, slot)
        midway = (int(budget * self.low) + budget) // 2
        for give, goal in ((join_rounds, midway), (forget_words, midway), (drop_frames, budget)):
            if draft.tokens > budget:
                give(draft, goal)
        return draft.layout()


def _kept(runs: Sequence[Sequence[Slot]], goal: int, count: Callable[[Sequence[Shape]], int]) -> int:
    """The largest number of slots to be shared out, in proportion to camera frames, that cost no more than `goal`."""
    total = _frames(runs)
    fits, fails = 0, total + 1
    while fails - fits > 1:
        kept = (fits + fails) // 2
        cost = sum(_cost(part, count) for run in runs for part in _parts(run, kept, total))
        fits, fails = (kept, fails) if cost <= goal else (fits, kept)
    return fits


def _parts(run: Sequence[Slot], kept: int, total: int) -> Iterator[list[Slot]]:
    """Cut a run into its share of `kept` slots: neighbours with about the same number of camera frames in each part."""
    frames = _frames([run])
    share = max(1, frames * kept // total)
    parts: dict[int, list[Slot]] = {}
    before = 0
    for slot in run:
        middle = 2 * before + slot.shape.frames
        parts.setdefault(middle * share // (2 * frames), []).append(slot)
        before += slot.shape.frames
    yield from parts.values()


def _cost(part: Sequence[Slot], count: Callable[[Sequence[Shape]], int]) -> int:
    return part[0].shape.tokens if len(part) == 1 else count([slot.shape for slot in part])


def _frames(runs: Sequence[Sequence[Slot]]) -> int:
    return sum(slot.shape.frames for run in runs for slot in run)


OFFER = Uniform
