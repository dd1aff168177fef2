"""Clips of several videos become one stream: each cut to whole ticks, laid end to end. Knows no question and no pixel.

Joined at any instant, about half of the joins would lie inside a frame: it shows the old clip, is there to be seen
only after the join, and would count to the new round. So the end of each clip is lowered to a tick.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from streambridge.data.flatten import TICK_MS, count_by, edge_ms
from streambridge.errors import BadInput
from streambridge.streamit import to_ms, to_s
from streambridge.types import Media

TRIMMED: Final = "trimmed_to_tick"


@dataclass(frozen=True, slots=True)
class Joined:
    """Clips on one clock.

    Attributes:
        media: one entry a clip, end to end from 0.
        words: of each clip, in the same order.
        trimmed: the numbers of the clips that lost their last part of a tick.
        duration_s: of all of it, in seconds.
    """

    media: tuple[Media, ...]
    words: tuple[str, ...]
    trimmed: tuple[int, ...]
    duration_s: float

    @property
    def quirks(self) -> list[str]:
        """What a sample of these clips must own up to."""
        return [TRIMMED] if self.trimmed else []

    def span(self, number: int) -> tuple[float, float]:
        """From when to when a clip is shown, in seconds of the stream: the evidence of what is asked about it."""
        media = self.media[number]
        start = to_ms(media.at_s)
        return to_s(start), to_s(start + _length_ms(media))


def join(clips: Iterable[tuple[Media, str]], tick_ms: float = TICK_MS) -> Joined:
    """Lay clips end to end, each cut to whole ticks.

    Args:
        clips: stretches of videos, each with its words; where they were placed before does not matter.
        tick_ms: milliseconds from frame to frame; 1000 / fps.

    Raises:
        BadInput: when there is no clip, one runs backwards, or one is shorter than a tick.
        WrongUse: when the tick is none.
    """
    media: list[Media] = []
    words: list[str] = []
    trimmed: list[int] = []
    at = 0
    for number, (clip, said) in enumerate(clips):
        length = _ticks_of(clip, at, tick_ms)
        media.append(Media(clip.uri, clip.start_s, to_s(to_ms(clip.start_s) + length), to_s(at)))
        words.append(said)
        trimmed += [number] if length < _length_ms(clip) else []
        at += length
    if not media:
        raise BadInput("a stream is joined of one clip or more; none came")
    return Joined(tuple(media), tuple(words), tuple(trimmed), to_s(at))


def _ticks_of(clip: Media, at: int, tick_ms: float) -> int:
    """The length in ms that whole ticks from `at` on take of this clip."""
    length = _length_ms(clip)
    whole = edge_ms(count_by(at + length, tick_ms), tick_ms) - at if length > 0 else 0
    if whole <= 0 or to_ms(clip.start_s) < 0:
        span = f"[{clip.start_s}, {clip.end_s}] s"
        raise BadInput(f"{clip.uri!r}: a clip is at least one tick of {tick_ms} ms, from 0 on; got {span}")
    return whole


def _length_ms(media: Media) -> int:
    return to_ms(media.end_s) - to_ms(media.start_s)
