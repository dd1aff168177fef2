"""A baseline: the newest frames that fit, and the words. Knows integers only; old frames are gone, not blurred."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from streambridge.memory.draft import Draft, Slot, over
from streambridge.memory.guaranteed import Guaranteed
from streambridge.memory.yielding import drop_misfits
from streambridge.types import Layout, Shape, Shapes


@dataclass(eq=False)
class Recent(Guaranteed):
    """A window of raw frames; every word is kept while words leave room for the newest frame.

    Above the budget the oldest frames go until the frames cost no more than `low` of what the words leave; the newest
    one stays whenever it fits. Words go, oldest first, only when they leave no room for the newest frame, and then
    down to `low` of the budget. Pinned questions always stay.

    Args:
        low: the low-water mark as a share, so that what the model has read stays valid for a while.

    Raises:
        WrongUse: when `low` is not above 0 and up to 1.
    """

    merges: ClassVar[bool] = False  # it lets go, and never blurs
    name: str = field(default="recent", init=False)

    def __call__(self, rounds: Shapes, budget: int, count: Callable[[Sequence[Shape]], int]) -> Layout | None:
        """Decide which frames, and if need be which words, are let go."""
        if over(rounds, budget) <= 0:
            return None
        draft = Draft(rounds, count)
        drop_misfits(draft, budget)
        frames = [slot for slot in draft.slots() if slot.is_frame]
        words = draft.tokens - sum(slot.shape.tokens for slot in frames)
        room = budget - (frames[-1].shape.tokens if frames else 0)
        if words > room:
            words = self._forget(draft, words, min(room, int(budget * self.low)))
        self._drop(draft, frames, budget - words)
        return draft.layout()

    def _forget(self, draft: Draft, words: int, goal: int) -> int:
        """Let the oldest loose words go until words cost no more than `goal`; what they cost then."""
        for slot in draft.slots():
            if slot.is_loose and words > goal:
                draft.let_go(slot)
                words -= slot.shape.tokens
        return words

    def _drop(self, draft: Draft, frames: Sequence[Slot], room: int) -> None:
        """Let all frames go but the newest that fit."""
        cost, full = 0, False
        for number, slot in enumerate(reversed(frames)):
            cost += slot.shape.tokens
            full = full or cost > (room if number == 0 else int(room * self.low))
            if full:
                draft.let_go(slot)


OFFER = Recent
