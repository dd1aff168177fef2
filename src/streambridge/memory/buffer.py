"""What is remembered: closed rounds and the open one. Knows no model, no policy's reasons, and no clock.

A policy decides in integers; the buffer does what it decided with the backbone's `merge`, and refuses what would break
memory's promises: order kept, words never merged, pinned questions never lost.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from streambridge.errors import WrongUse
from streambridge.types import Compression, FrameTokens, Group, Item, Layout, Round, Shape, Turn


@dataclass(frozen=True, slots=True)
class Fit:
    """What one fit did: the session makes its events from these numbers.

    Attributes:
        before: tokens of the whole memory before, the system turn included.
        after: tokens afterwards, the system turn included.
        rounds_changed: rounds, as they were before, in which something was merged or let go.
        rounds_forgotten: how many rounds there are fewer (joined or let go).
        turns_forgotten: turns whose words were let go.
        frames_dropped: camera frames let go without being merged into anything.
    """

    before: int
    after: int
    rounds_changed: int
    rounds_forgotten: int
    turns_forgotten: int
    frames_dropped: int


class MemoryBuffer:
    """MB of Algorithm 1: everything seen and said, in order, in rounds.

    Args:
        system: the system turn. It stands first, is never compressed and is no part of the shapes.

    Raises:
        WrongUse: when `system` is not a turn of kind `system`.
    """

    def __init__(self, system: Turn | None = None) -> None:
        if system is not None and getattr(system, "kind", None) != "system":
            raise WrongUse(f"memory begins with a turn of kind 'system' or with None; this is {_what(system)}")
        self._system = system
        self._rounds: list[Round] = [Round()]
        self._pinned: set[str] = set()
        self._tokens = 0  # without the system turn

    @property
    def system(self) -> Turn | None:
        """The system turn."""
        return self._system

    @property
    def rounds(self) -> list[Round]:
        """All rounds, oldest first; the open one is last and may be empty. A new list of the buffer's own rounds."""
        return list(self._rounds)

    @property
    def tokens(self) -> int:
        """What all items cost together, the system turn included; kept up to date, so O(1)."""
        return self._tokens + self._system_tokens

    @property
    def pinned_tokens(self) -> int:
        """What the pinned questions in memory cost together."""
        return sum(item.tokens for item in self._flat() if self._is_pinned(item))

    @property
    def fixed_tokens(self) -> int:
        """What no policy may let go: the system turn and the pinned questions."""
        return self.pinned_tokens + self._system_tokens

    def items(self) -> list[Item]:
        """All items in order, the system turn first."""
        first: list[Item] = [] if self._system is None else [self._system]
        return first + self._flat()

    def append(self, item: Item) -> None:
        """Add a frame or a turn to the open round.

        Raises:
            WrongUse: for anything else, for a second system turn, and for a cost that is no count of tokens.
        """
        if not isinstance(item, FrameTokens | Turn) or (isinstance(item, Turn) and item.kind == "system"):
            raise WrongUse(f"memory takes FrameTokens and turns that are not 'system'; this is {_what(item)}")
        least = 1 if isinstance(item, FrameTokens) else 0
        if not isinstance(item.tokens, int) or item.tokens < least:
            raise WrongUse(f"{_what(item)} must cost at least {least} tokens; it says {item.tokens!r}")
        self._rounds[-1].items.append(item)
        self._tokens += item.tokens

    def newest(self) -> Item | None:
        """The last item of the open round."""
        items = self._rounds[-1].items
        return items[-1] if items else None

    def put_in_place(self, item: Item) -> None:
        """Let an item take the place of the newest one of the open round."""
        gone = self._rounds[-1].items.pop()
        self._tokens -= gone.tokens
        self.append(item)

    def close(self) -> None:
        """Close the open round and open the next; a round without items is not kept."""
        if self._rounds[-1].items:
            self._rounds.append(Round())

    def pin(self, question_id: str) -> None:
        """Never forget the question of that id (it may come later): the question of a live Watch."""
        self._pinned.add(question_id)

    def unpin(self, question_id: str) -> None:
        """Let the question of that id be forgotten like any other; nothing happens when it was not pinned."""
        self._pinned.discard(question_id)

    def newest_question(self) -> Turn | None:
        """The last turn of the user, a question or a cue; None when there is none."""
        for round_ in reversed(self._rounds):
            for item in reversed(round_.items):
                if isinstance(item, Turn) and item.role == "user":
                    return item
        return None

    def shapes(self) -> list[list[Shape]]:
        """All that a policy may know, O(n): built only when the budget is passed."""
        return [[self._shape(item) for item in round_.items] for round_ in self._rounds]

    def copy(self) -> MemoryBuffer:
        """A buffer of its own with the same items, for policies whose result is not kept."""
        twin = MemoryBuffer(self._system)
        twin._rounds = [Round(list(round_.items)) for round_ in self._rounds]
        twin._pinned, twin._tokens = set(self._pinned), self._tokens
        return twin

    def adopt(self, other: MemoryBuffer) -> None:
        """Hold what the other holds from now on; pins stay one's own. The other is not to be used any more."""
        self._rounds, self._tokens = other._rounds, other._tokens

    def fit(
        self,
        policy: Compression,
        budget: int,
        merge: Callable[[Sequence[FrameTokens]], FrameTokens],
        count: Callable[[Sequence[Shape]], int],
    ) -> Fit | None:
        """Ask the policy, when memory costs more than the budget, and do what it says.

        Args:
            policy: which is asked with what the system turn leaves of the budget.
            budget: tokens that all items together may cost, the system turn included.
            merge: the backbone's `merge`. A policy with `weighted = False` has frames averaged as if each stood for
                one camera frame; the true count and time are put back afterwards.
            count: the backbone's `count`.

        Returns:
            What was done, or None when nothing changed. Memory may still be over the budget when the policy is not
            `bounded`: compare `tokens`.

        Raises:
            WrongUse: when the system turn leaves nothing of the budget, and when the policy's layout breaks order,
                merges words, loses a pinned question, or is over a budget that it guarantees. Nothing is changed then.
        """
        room = budget - self._system_tokens
        if room <= 0:
            raise WrongUse(f"the system turn costs {self._system_tokens} tokens and the budget is {budget}: raise it")
        layout = policy(self.shapes(), room, count) if self._tokens > room else None
        if layout is None:
            return None
        flat = self._flat()
        lost = self._check(layout, flat, policy.name)
        weighted = getattr(policy, "weighted", True)
        rounds = [Round([_apply(group, flat, merge, weighted) for group in groups]) for groups in layout]
        tokens = sum(item.tokens for round_ in rounds for item in round_.items)
        if policy.bounded and tokens > room:
            raise WrongUse(
                f"memory policy {policy.name!r} guarantees {room} tokens and left {tokens}, "
                f"{self.pinned_tokens} of them pinned: pin less or raise the budget"
            )
        return self._replace(rounds, tokens, layout, [flat[number] for number in lost])

    def _check(self, layout: Layout, flat: Sequence[Item], policy: str) -> list[int]:
        """Hold the layout against memory's promises; the numbers of the items that it lets go."""
        groups = [group for round_ in layout for group in round_]
        numbers = [number for group in groups for number in group]
        # Numbers that only rise are order kept, nothing used twice, and no item left standing inside a merge.
        rising = all(a < b for a, b in pairwise(numbers))
        if not layout or not all(groups) or not rising or (numbers and not 0 <= numbers[0] <= numbers[-1] < len(flat)):
            raise WrongUse(f"memory policy {policy!r} broke the order of {len(flat)} items: {str(layout)[:200]}")
        words = [number for group in groups if len(group) > 1 for number in group if isinstance(flat[number], Turn)]
        if words:
            raise WrongUse(f"memory policy {policy!r} merges words: {_what(flat[words[0]])}")
        kept = set(numbers)
        lost = [number for number in range(len(flat)) if number not in kept]
        for number in lost:
            if self._is_pinned(flat[number]):
                raise WrongUse(f"memory policy {policy!r} lets a pinned question go: {_what(flat[number])}")
        return lost

    def _replace(self, rounds: list[Round], tokens: int, layout: Layout, lost: Sequence[Item]) -> Fit:
        """Put the new rounds in place and say what changed."""
        kept = [round_ for round_ in rounds[:-1] if round_.items]
        same = {group[0] for groups in layout for group in groups if len(group) == 1}
        changed, number = 0, 0
        for round_ in self._rounds:
            changed += not all(n in same for n in range(number, number + len(round_.items)))
            number += len(round_.items)
        fit = Fit(
            before=self.tokens,
            after=tokens + self._system_tokens,
            rounds_changed=changed,
            rounds_forgotten=max(0, len(self._rounds) - 1 - len(kept)),
            turns_forgotten=sum(isinstance(item, Turn) for item in lost),
            frames_dropped=sum(item.frames for item in lost if isinstance(item, FrameTokens)),
        )
        self._rounds, self._tokens = [*kept, rounds[-1]], tokens
        return fit

    @property
    def _system_tokens(self) -> int:
        return 0 if self._system is None else self._system.tokens

    def _flat(self) -> list[Item]:
        return [item for round_ in self._rounds for item in round_.items]

    def _is_pinned(self, item: Item) -> bool:
        return isinstance(item, Turn) and item.kind == "question" and item.id in self._pinned

    def _shape(self, item: Item) -> Shape:
        if isinstance(item, FrameTokens):
            return Shape("frame", item.tokens, item.frames)
        return Shape("text", item.tokens, pinned=self._is_pinned(item))


def _apply(
    group: Group, flat: Sequence[Item], merge: Callable[[Sequence[FrameTokens]], FrameTokens], weighted: bool
) -> Item:
    """One item of the layout: the very object, or several frames merged into one."""
    if len(group) == 1:
        return flat[group[0]]
    parts = [item for item in (flat[number] for number in group) if isinstance(item, FrameTokens)]
    if weighted:
        return merge(parts)
    frames = sum(part.frames for part in parts)
    t = sum(part.t * part.frames for part in parts) / frames
    return replace(merge([replace(part, frames=1) for part in parts]), frames=frames, t=t)


def _what(item: object) -> str:
    """A few words that name an item in a message."""
    if isinstance(item, Turn):
        return f"the {item.kind} {item.id!r} at {item.t:g} s ({item.tokens} tokens)"
    return f"a frame at {item.t:g} s" if isinstance(item, FrameTokens) else f"{item!r:.80}"
