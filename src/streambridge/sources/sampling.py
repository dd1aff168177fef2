"""Sampling by time: from pictures at any rate to one frame per tick. Knows no file and no pixels.

Tick k stands at k / fps seconds of stream time and takes the picture on screen at that instant: the newest one whose
time is not after the tick. So variable rates, gaps and repeated pictures need no case of their own.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

P = TypeVar("P")

GRAIN_S = 0.00051  # half of Matroska's millisecond: it writes 0.067 for 0.0667, which a tick at 1/15 s must still see
BACK_S = 1.0  # a step back up to this long is disorder (clamped), a longer one is a clock that was set anew
LEAP_S = 3600.0  # a step ahead longer than this is a broken clock, not a picture that stood for an hour
HOLE_S, MOST_HOLES = 1.0, 3
PAST_END_S = 10.0  # so is a step of this length that leads as far past the stated end


@dataclass(frozen=True, slots=True)
class Picture(Generic[P]):
    """A picture not yet turned into pixels.

    Attributes:
        t: seconds at which it appears.
        duration_s: how long it stays when no other follows, None when not known.
        of: whatever the pixels are made from.
    """

    t: float
    duration_s: float | None
    of: P


def at_ticks(pictures: Iterable[Picture[P]], fps: float, end_s: float | None = None) -> Iterator[tuple[float, P]]:
    """One picture per tick, stamped with the tick.

    A picture before time 0 is on screen at time 0 if no newer one is. The last picture lasts its own duration; where
    that is unknown, the last tick is the last one not after it. At most two pictures are held.

    Args:
        pictures: in time order; only those on a tick are worth decoding into pixels.
        fps: ticks per second of stream time.
        end_s: ticks are before this time.

    Yields:
        Stream time in seconds, and what the picture is made from.
    """
    tick, shown = 0, None
    for picture in pictures:
        while shown is not None and tick / fps < picture.t - GRAIN_S and _before(tick / fps, end_s):
            yield tick / fps, shown.of
            tick += 1
        if not _before(tick / fps, end_s):
            return
        tick = tick if shown is not None else max(0, math.ceil((picture.t - GRAIN_S) * fps))
        shown = picture
    while shown is not None and _on_screen(shown, tick / fps) and _before(tick / fps, end_s):
        yield tick / fps, shown.of
        tick += 1


def steady(
    pictures: Iterable[Picture[P]], told: Callable[[str], None], stated_s: float | None = None
) -> Iterator[Picture[P]]:
    """The same pictures with times that never go back and never leap: a clock set anew goes on where it was.

    Args:
        pictures: in the order in which they are shown.
        told: is given one line for every jump of the clock.
        stated_s: where the stream should end, if that is known.

    Yields:
        Every picture; small steps back are clamped.
    """
    shift, last = 0.0, None
    for picture in pictures:
        t = picture.t + shift
        if last is not None and _jumps(last.t, t, stated_s):
            told(f"the clock of the video jumps from {last.t:.3f} s to {t:.3f} s; stream time goes on without the jump")
            shift += last.t + (last.duration_s or 0.0) - t
            t = picture.t + shift
        last = dataclasses.replace(picture, t=t if last is None else max(t, last.t))
        yield last


def holes(pictures: Iterable[Picture[P]], told: Callable[[str], None]) -> Iterator[Picture[P]]:
    """The same pictures; where a damaged file skips some without a word, that is told.

    A hole is a second or more between the end of one picture (by its own duration) and the next. The first three are
    told one by one, the others in one line at the end. The picture before a hole stands for it.
    """
    last, found, total = None, 0, 0.0
    for picture in pictures:
        gap = 0.0 if last is None or not last.duration_s else picture.t - last.t - last.duration_s
        if gap >= HOLE_S:
            found, total = found + 1, total + gap
            if last is not None and found <= MOST_HOLES:
                told(f"no pictures from {picture.t - gap:.3f} s to {picture.t:.3f} s of the video")
        last = picture
        yield picture
    if found > MOST_HOLES:
        told(f"{found} holes without pictures in the video, {total:.3f} s in all")


def _jumps(before: float, t: float, stated_s: float | None) -> bool:
    step = t - before
    past_end = stated_s is not None and step > PAST_END_S and t > stated_s + PAST_END_S
    return step < -BACK_S or step > LEAP_S or past_end


def _before(t: float, end_s: float | None) -> bool:
    return end_s is None or t < end_s - 1e-9


def _on_screen(last: Picture[P], t: float) -> bool:
    return t <= last.t + GRAIN_S or t < last.t + (last.duration_s or 0.0) - GRAIN_S
