"""What the model has read of memory, and when it reads: at once, in lent time, or only for an answer.

Knows no policy, no event and no clock. There are two readers while memory is about to change: one of the memory as it
is, which answers, and one of the memory to come, which is read in lent time (`work`) and takes over at `commit`.
"""

from collections.abc import Iterator, Sequence
from typing import Final, Literal, TypeAlias, get_args

from streambridge.types import Backbone, Item, Piece, Plan, Reader

Prefill: TypeAlias = Literal["eager", "budgeted", "lazy"]
PREFILL: Final[tuple[str, ...]] = get_args(Prefill)


class Reading:
    """One session's readers.

    Args:
        backbone: renders and answers.
        prefill: `eager` reads what is new at once; `budgeted` in time lent by `work`, the rest for the answer; `lazy`
            only for an answer. Answers are the same: `eager` and `budgeted` to the bit, `lazy` up to rounding.
        room: tokens of the longest plan and its answer.
    """

    def __init__(self, backbone: Backbone, prefill: Prefill, room: int) -> None:
        self._backbone, self._prefill, self._room = backbone, prefill, room
        self._now = backbone.reader(room)
        self._next: Reader | None = None
        self._spare: Reader | None = None  # its buffers are used again

    @property
    def nbytes(self) -> int:
        """Memory of all caches."""
        return sum(reader.nbytes for reader in (self._now, self._next, self._spare) if reader is not None)

    def follow(self, items: Sequence[Item], to_come: Sequence[Item] | None = None) -> None:
        """Memory is this from now on; `to_come`: what it will be soon, if that is known."""
        if self._now is None or self._prefill == "lazy":
            return
        if self._next is not None and to_come is not None:
            self._next.follow(self._backbone.render(to_come, header=False))
        self._now.follow(self._backbone.render(items, header=False))
        if self._prefill == "eager":
            self._now.work()

    def begin(self, to_come: Sequence[Item]) -> None:
        """Begin to read the memory to come beside the one that is."""
        if self._now is not None and self._prefill != "lazy":
            self._next = self._now.fork(self._backbone.render(to_come, header=False), self._spare)
            self._spare = None

    def commit(self) -> int:
        """The memory to come is memory now; how many tokens of it had not been read in lent time and now were."""
        if self._next is None:
            return 0
        late = self._next.work()
        self._now, self._next, self._spare = self._next, None, self._now
        return late

    def work(self, max_tokens: int) -> int:
        """Read in lent time, first what answers would wait for; how many tokens were read."""
        done = 0
        for reader in (self._now, self._next):
            if reader is not None and done < max_tokens:
                done += reader.work(max_tokens - done)
        return done

    def answer(self, plan: Plan, max_tokens: int) -> Iterator[Piece]:
        """The words of an answer; what was read for it stays read."""
        if self._now is None:
            return self._backbone.answer(plan, max_tokens)
        return self._backbone.answer(plan, max_tokens, self._now)

    def forget(self) -> None:
        """Begin anew, after something broke: whatever is needed is read again."""
        self._now, self._next, self._spare = self._backbone.reader(self._room), None, None
