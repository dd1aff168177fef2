"""The answer that is being spoken, and who waits for its end. Knows no memory, no gate, no model and no clock.

Session's second idea: while an answer is spoken the stream goes on. What arrives in that time stands in one line, in
order of arrival, and the `Reply` that carries the words is what a driver reads, piece by piece, or closes midway.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING

from streambridge.types import Event, FrameTokens, Piece, Question, Turn

if TYPE_CHECKING:
    from typing import Self


class Reply(Iterator[Event]):
    """What a call of the Session tells: first what has happened, then, if it is this Reply's, the answer as it comes.

    Everything but the words has happened before a Reply is there. Reading on makes the words; one Reply may carry
    several answers, since it also works off what waited meanwhile. Closing it midway (`close`, leaving a `with`, or
    dropping it) cuts the answer: what was read is remembered, and the cut is told at the head of the next call.

    Args:
        events: what has happened.
        speak: gives more events of this Reply, or none when its part is over.
        hush: cuts the answer that this Reply carries, if it does.
    """

    def __init__(
        self, events: Iterable[Event], speak: Callable[[Reply], list[Event]], hush: Callable[[Reply], None]
    ) -> None:
        self._ready, self._speak, self._hush = deque(events), speak, hush

    def __next__(self) -> Event:
        if not self._ready:
            self._ready.extend(self._speak(self))
        if not self._ready:
            raise StopIteration
        return self._ready.popleft()

    def close(self) -> None:
        """Stop listening: cut the answer being spoken. What has happened already can still be read."""
        self._hush(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, err: BaseException | None, tb: TracebackType | None) -> None:
        self.close()


@dataclass(frozen=True, slots=True, eq=False)
class Fire:
    """An answer that is owed at `t`, because a Watch fired or because the question was put for `now`."""

    question: Question
    t: float


class Speech:
    """One answer, from its plan to its last piece.

    Args:
        id: its name in the events.
        fire: what it answers.
        stopwatch: seconds of a running clock, or None to measure nothing.
    """

    def __init__(self, id: str, fire: Fire, stopwatch: Callable[[], float] | None) -> None:
        self.id, self.fire, self.plan_tokens = id, fire, 0
        self.heard: list[Piece] = []
        self._begin: Callable[[], Iterator[Piece]] = lambda: iter(())
        self._pieces: Iterator[Piece] | None = None
        self._stopwatch = stopwatch
        self._opened = self._first = stopwatch() if stopwatch else 0.0

    def open(self, tokens: int, begin: Callable[[], Iterator[Piece]]) -> None:
        """Take what begins the words (called when the first is read) of a plan of so many tokens."""
        self.plan_tokens, self._begin = tokens, begin

    @property
    def text(self) -> str:
        """What was heard so far: the deltas, joined."""
        return "".join(piece.text for piece in self.heard)

    def next(self) -> Piece | None:
        """One more piece, or None at the end."""
        if self._pieces is None:
            self._pieces = iter(self._begin())
        piece = next(self._pieces, None)
        if self._stopwatch and not self.heard:
            self._first = self._stopwatch()
        if piece is not None:
            self.heard.append(piece)
        return piece

    def stop(self) -> None:
        """Tell the model that nobody listens any more."""
        close = getattr(self._pieces, "close", None)
        if close is not None:
            close()

    def ms(self) -> Mapping[str, float]:
        """Milliseconds from opening to the first piece (`first`) and until now (`all`); empty without a stopwatch."""
        if self._stopwatch is None:
            return {}
        return {"first": 1e3 * (self._first - self._opened), "all": 1e3 * (self._stopwatch() - self._opened)}


class Line:
    """What waits, in order of arrival: frames and questions to be remembered, and answers that are owed."""

    def __init__(self) -> None:
        self._line: deque[FrameTokens | Turn | Fire] = deque()
        self.frames = 0  # how many frames wait
        self.fires = 0  # how many fires of Watches wait; answers owed to `now` questions do not count

    def __len__(self) -> int:
        return len(self._line)

    def join(self, item: FrameTokens | Turn | Fire) -> None:
        """Stand at the end."""
        self._line.append(item)
        self._count(item, 1)

    def next_item(self) -> FrameTokens | Turn | None:
        """Take the first, if it only has to be remembered."""
        if not self._line or isinstance(first := self._line[0], Fire):
            return None
        self._take(first)
        return first

    def next_fire(self) -> Fire | None:
        """Take the first, if it is an answer that is owed."""
        if not self._line or not isinstance(first := self._line[0], Fire):
            return None
        self._take(first)
        return first

    def drop_frame(self) -> None:
        """Let the oldest frame go."""
        self._take(next(item for item in self._line if isinstance(item, FrameTokens)))

    def drop_fires(self, question_id: str) -> int:
        """Let the fires of one question go; how many there were."""
        fires = [item for item in self._line if isinstance(item, Fire) and item.question.id == question_id]
        for fire in fires:
            self._take(fire)
        return len(fires)

    def drop_all(self) -> tuple[int, int]:
        """Let everything go; how many frames, and how many answers owed, there were."""
        frames, owed = self.frames, sum(isinstance(item, Fire) for item in self._line)
        self._line.clear()
        self.frames = self.fires = 0
        return frames, owed

    def _take(self, item: FrameTokens | Turn | Fire) -> None:
        self._line.remove(item)  # by identity: none of these has an equal; the first is found at once
        self._count(item, -1)

    def _count(self, item: FrameTokens | Turn | Fire, by: int) -> None:
        self.frames += by * isinstance(item, FrameTokens)
        self.fires += by * (isinstance(item, Fire) and item.question.when != "now")


class Floor:
    """Who speaks and who waits: one answer at a time, the line behind it, and the Reply by which it is heard.

    Args:
        remember: puts an item into memory.
        answer: opens an answer that is owed; None when that failed.
        utter: makes one more piece of an answer; False when it is over.
        cut: ends an answer midway.
        take: what has been told and not yet given to a Reply.
    """

    def __init__(
        self,
        remember: Callable[[FrameTokens | Turn], None],
        answer: Callable[[Fire], Speech | None],
        utter: Callable[[Speech], bool],
        cut: Callable[[Speech], None],
        take: Callable[[], list[Event]],
    ) -> None:
        self._remember, self._answer, self._utter, self._cut, self._take = remember, answer, utter, cut, take
        self.line = Line()
        self.open: Speech | None = None
        self._driver: weakref.ref[Reply] | None = None  # who reads the open answer; a dead one was dropped unread

    @property
    def speaking(self) -> bool:
        """Whether an answer is open and somebody still holds its Reply."""
        return self.open is not None and self._driver is not None and self._driver() is not None

    def wait(self, item: FrameTokens | Turn | Fire) -> None:
        """Stand in the line; with no answer being spoken or owed before it, an item is in memory at once."""
        self.line.join(item)
        self._absorb()

    def work(self) -> None:
        """Work the line off until an answer is open."""
        self._absorb()
        while self.open is None and (fire := self.line.next_fire()) is not None:
            self.open = self._answer(fire)
            self._absorb()

    def cut(self) -> None:
        """Barge-in: end the open answer, and remember what waited up to the next answer that is owed."""
        speech, self.open, self._driver = self.open, None, None
        if speech is not None:
            self._cut(speech)
            self._absorb()

    def reply(self) -> Reply:
        """What has been told; this Reply carries the answer if nobody carries it yet."""
        self.work()
        reply = Reply(self._take(), self._speak, self._hush)
        if self.open is not None and self._driver is None:
            self._driver = weakref.ref(reply)
        return reply

    def _absorb(self) -> None:
        """Remember the head of the line, up to the first answer that is owed: it may see nothing later."""
        while self.open is None and (item := self.line.next_item()) is not None:
            self._remember(item)

    def _speak(self, reply: Reply) -> list[Event]:
        events: list[Event] = []
        while not events and self._drives(reply):
            self._step()
            events = self._take()
        return events

    def _step(self) -> None:
        """One more piece of the open answer; at its end, on to what waits."""
        if self.open is not None and not self._utter(self.open):
            self.open = None
            self.work()
        self._driver = self._driver if self.open else None

    def _hush(self, reply: Reply) -> None:
        if self._drives(reply):
            self.cut()

    def _drives(self, reply: Reply) -> bool:
        return self.open is not None and self._driver is not None and self._driver() is reply
