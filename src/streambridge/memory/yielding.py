"""How memory gives way, oldest first: frames merge, rounds join, words go, frames go. Knows no policy.

Each function that is given a `goal` works on a draft until it costs no more, or has nothing left of its kind to give.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import heapify, heappop, heappush

from streambridge.memory.draft import Draft, Slot, runs_of


def drop_misfits(draft: Draft, budget: int) -> None:
    """Let go, before all else, what is larger than all that pinned questions leave: nothing else would make it fit."""
    room = budget - sum(slot.shape.tokens for slot in draft.slots() if slot.shape.pinned)
    for slot in draft.slots():
        if not slot.shape.pinned and slot.shape.tokens > room:
            draft.let_go(slot)
    draft.sweep()


def cut(draft: Draft, run: Sequence[Slot], parts: int) -> None:
    """Merge one unbroken run into so many parts, each of about the same number of camera frames."""
    total, before = sum(slot.shape.frames for slot in run), 0
    found: dict[int, list[Slot]] = {}
    for slot in run:
        middle = 2 * before + slot.shape.frames
        found.setdefault(middle * parts // (2 * total), []).append(slot)
        before += slot.shape.frames
    for older, *newer in found.values():
        for slot in newer:
            draft.merge(older, slot)


def thin(draft: Draft, run: Sequence[Slot], keep: int, goal: int) -> None:
    """Merge neighbours of one unbroken run, so that what a slot stands for grows in proportion to its age.

    The pair with the smallest (camera frames of both) / age gives first, of equal ones the oldest: log-spaced detail.

    Args:
        draft: where the run lies.
        run: neighbouring frames of one round.
        keep: slots that stay at least.
        goal: tokens at which to stop.
    """
    left, right = list(range(-1, len(run) - 1)), list(range(1, len(run) + 1))
    heap = [(_price(a, b), i, i + 1) for i, (a, b) in enumerate(zip(run, run[1:], strict=False))]
    heapify(heap)
    slots = len(run)
    while heap and slots > keep and draft.tokens > goal:
        price, i, j = heappop(heap)
        if not run[i].group or right[i] != j or price != _price(run[i], run[j]):
            continue  # one of the two has changed since
        draft.merge(run[i], run[j])
        slots -= 1
        right[i] = right[j]
        if right[i] < len(run):
            left[right[i]] = i
            heappush(heap, (_price(run[i], run[right[i]]), i, right[i]))
        if left[i] >= 0:
            heappush(heap, (_price(run[left[i]], run[i]), left[i], i))


def _price(older: Slot, newer: Slot) -> float:
    return (older.shape.frames + newer.shape.frames) / newer.age


def to_one(draft: Draft, run: list[Slot], goal: int) -> None:
    """Thin a run, down to one slot if need be."""
    thin(draft, run, 1, goal)


def join_rounds(draft: Draft, goal: int, give: Callable[[Draft, list[Slot], int], None] = to_one) -> None:
    """Join the two oldest closed rounds into one, and again, in as few joins as needed.

    A join lets all loose words of the older round go; frames that thereby become neighbours form one run outside the
    window and merge on as `give` says: down to a floor of more than one slot, a past of many joined rounds does not
    end as one blur.

    Args:
        draft: what gives way.
        goal: tokens at which to stop.
        give: what a run of the joined round does towards the goal.
    """
    draft.sweep()
    *closed, opened = draft.rounds
    head, rest, joins = (closed or [[]])[0], closed[1:], 0
    while draft.tokens > goal and joins < len(rest):
        for slot in head:
            if slot.is_loose:
                draft.let_go(slot)
        head = [slot for slot in head if slot.group] + rest[joins]
        for run in runs_of(head, recent=False):
            give(draft, run, goal)
        head = [slot for slot in head if slot.group]
        joins += 1
    draft.rounds = [head, *rest[joins:], opened]


def forget_words(draft: Draft, goal: int) -> None:
    """Let loose words go wherever they are, oldest first; frames that become neighbours merge."""
    draft.sweep()
    for number, round_ in enumerate(draft.rounds):
        kept: list[Slot] = []
        for slot in round_:
            if slot.is_loose and draft.tokens > goal:
                draft.let_go(slot)
            elif slot.is_frame and kept and kept[-1].is_frame and draft.tokens > goal:
                draft.merge(kept[-1], slot)
            else:
                kept.append(slot)
        draft.rounds[number] = kept


def drop_frames(draft: Draft, goal: int) -> None:
    """Let frames go for good, oldest first."""
    draft.sweep()
    for slot in draft.slots():
        if draft.tokens <= goal:
            return
        if slot.is_frame:
            draft.let_go(slot)
