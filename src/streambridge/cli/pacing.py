"""Frames on their way to the session: until told to stop, and by the clock if asked. The program's only clock.

Knows no session and no model.
"""

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from types import FrameType, TracebackType
from typing import Any, Self

from streambridge.sources import Source
from streambridge.types import Dropped, Event, Frame

_LOOK_S = 0.05  # while waiting for a frame's time: how often we look at the keyboard and whether to stop


def _nothing() -> None: ...


class Stop:
    """Whether someone wants the program to stop. The first Ctrl-C asks, so that all ends in order; the second insists.

    Raises:
        KeyboardInterrupt: at the second signal, wherever the program is.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __bool__(self) -> bool:
        return self.signal is not None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # only there may signals be asked for
            self._before = {one: signal.signal(one, self._asked) for one in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, kind: type[BaseException] | None, err: BaseException | None, at: TracebackType | None) -> None:
        for one, before in self._before.items():
            signal.signal(one, before)

    def _asked(self, number: int, _frame: FrameType | None) -> None:
        if self.signal is not None:
            raise KeyboardInterrupt
        self.signal = number


class Stopped(Exception):
    """No more frames, because someone wants the program to stop. Never leaves this room."""


class Flow:
    """Frames as fast as they go, until the stop.

    Args:
        source: where they come from.
        stop: true when no more shall come.
        tick: called at each frame, and often while waiting for one.
        others: misfortunes that are not the source's, to be told with its own.
    """

    def __init__(
        self,
        source: Source,
        stop: Stop,
        tick: Callable[[], None] = _nothing,
        others: Callable[[], Sequence[Event]] = tuple,
    ) -> None:
        self.source, self.stop, self.tick, self.others = source, stop, tick, others
        self.t = 0.0  # stream time of the newest frame
        self.behind = 0  # frames whose time had passed when the newest was taken

    def __iter__(self) -> Iterator[Frame]:
        return self

    def __next__(self) -> Frame:
        frame = None if self.stop else self._next()
        self.tick()
        if self.stop:
            raise Stopped  # not the end of the frames: what is scripted for later shall not be asked now
        if frame is None:
            raise StopIteration
        self.t = frame.t
        return frame

    def events(self) -> list[Event]:
        """What went wrong on the way since the last call."""
        return [*self.source.events(), *self.others()]

    def _next(self) -> Frame | None:
        return next(self.source, None)


class Clocked(Flow):
    """Frames when their time has come. Who takes them late gets the newest; those between are dropped, and told."""

    def __init__(
        self,
        source: Source,
        stop: Stop,
        tick: Callable[[], None] = _nothing,
        others: Callable[[], Sequence[Event]] = tuple,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(source, stop, tick, others)
        self._clock, self._sleep = clock, sleep
        self._start: float | None = None  # what the clock showed at stream time 0
        self._ahead: Frame | None = None
        self._dropped: list[Event] = []

    def events(self) -> list[Event]:
        """What went wrong on the way, and how many frames were passed over."""
        dropped, self._dropped = self._dropped, []
        return [*super().events(), *dropped]

    def _next(self) -> Frame | None:
        newest = self._ahead or next(self.source, None)
        if newest is None:
            return None
        self._start = self._clock() - newest.t if self._start is None else self._start
        self._wait_for(newest.t)
        self.behind = 0
        while (after := next(self.source, None)) is not None and after.t <= self._clock() - self._start:
            newest, self.behind = after, self.behind + 1
        self._ahead = after
        if self.behind:
            self._dropped.append(Dropped(t=newest.t, frames=self.behind, reason="behind"))
        return newest

    def _wait_for(self, t: float) -> None:
        assert self._start is not None
        while not self.stop and (left := t - (self._clock() - self._start)) > 0:
            self.tick()
            self._sleep(min(left, _LOOK_S))
