"""What every source is: frames in time order, and the misfortunes met on the way. Knows no file, no camera, no session.

Wrong use and input that cannot be read at all raise when a source is opened; what goes wrong later is an event.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from types import TracebackType
from typing import Protocol, Self, runtime_checkable

from streambridge.errors import WrongUse
from streambridge.types import Dropped, Event, Failed, Frame, Notice

MOST_FPS = 240.0  # frames per second of stream; far above any Video-LLM, low enough that a slip of the hand is caught
MOST_PIXELS = 89_478_485  # of one picture; Pillow's own limit against decompression bombs, used for video as well


@runtime_checkable
class Source(Protocol):
    """A context manager and an iterator of Frames whose times never go back.

    Attributes:
        name: what it was opened from, for people and logs.
        fps: frames per second of stream time.
        duration_s: length of the stream in seconds, None when it is not known (yet).
    """

    name: str
    fps: float
    duration_s: float | None

    def __enter__(self) -> Self:
        """Itself."""
        ...

    def __exit__(self, kind: type[BaseException] | None, err: BaseException | None, at: TracebackType | None) -> None:
        """Close."""
        ...

    def __iter__(self) -> Iterator[Frame]:
        """Itself: a source is read once."""
        ...

    def __next__(self) -> Frame:
        """The next frame."""
        ...

    def events(self) -> list[Event]:
        """What went wrong since the last call (`dropped`, `failed`, `notice`), in order; drained by the driver."""
        ...

    def close(self) -> None:
        """Let go of everything. Twice is fine; after it the iteration is over."""
        ...


class Opened:
    """The common part of sources: iteration, misfortunes, closing. A source adds `_run` and, if need be, `_release`.

    An event bears the time of the newest frame when it is drained, so that a log of both never goes back.
    """

    def __init__(self, name: str, fps: float, duration_s: float | None = None) -> None:
        """Check `fps`; open nothing.

        Raises:
            WrongUse: when `fps` is no number in (0, 240].
        """
        self.name, self.fps, self.duration_s = name, checked_fps(fps), duration_s
        self._t = 0.0  # stream time of the newest frame
        self._events: list[Event] = []
        self._frames: Iterator[Frame] | None = None
        self._closed = False

    def _run(self) -> Iterator[Frame]:
        raise NotImplementedError

    def _release(self) -> None:
        """Let go of files; called once."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, err: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def __iter__(self) -> Iterator[Frame]:
        return self

    def __next__(self) -> Frame:
        if self._closed:
            raise StopIteration
        self._frames = self._frames or self._run()
        try:
            frame = next(self._frames)
        except StopIteration:
            self.close()
            raise
        self._t = frame.t
        return frame

    def events(self) -> list[Event]:
        """What went wrong since the last call, in order, stamped with the newest frame's time."""
        found, self._events = self._events, []
        return [dataclasses.replace(event, t=self._t) for event in found]

    def close(self) -> None:
        """Let go of everything; twice is fine."""
        if not self._closed:
            self._closed = True
            self._release()

    def _notice(self, text: str) -> None:
        self._events.append(Notice(t=self._t, text=text))

    def _dropped(self, frames: int, reason: str) -> None:
        self._events.append(Dropped(t=self._t, frames=frames, reason=reason))

    def _failed(self, error: str, what_next: str) -> None:
        self._events.append(Failed(t=self._t, error=error, what_next=what_next))


def checked_fps(fps: float, what: str = "fps") -> float:
    """The rate as a float.

    Raises:
        WrongUse: when it is no number in (0, 240].
    """
    number = _number(fps, what)
    if not 0 < number <= MOST_FPS:
        raise WrongUse(f"{what} is {fps}; expected frames per second above 0 and at most {MOST_FPS:g}, e.g. {what} 2")
    return number


def checked_span(start_s: float, end_s: float | None) -> tuple[float, float | None]:
    """The borders of a stretch in seconds.

    Raises:
        WrongUse: when they are no stretch of time.
    """
    start, end = _number(start_s, "start"), None if end_s is None else _number(end_s, "end")
    if start < 0:
        raise WrongUse(f"start is {start:g} s; expected seconds from the beginning, 0 or more")
    if end is not None and end <= start:
        raise WrongUse(f"end is {end:g} s and start is {start:g} s; expected an end after the start")
    return start, end


def _number(value: float, what: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise WrongUse(f"{what} is {value!r}; expected a number, e.g. {what} 2")
    return number
