"""The frames of a sample, and its causal order: what is shown before what is said. Knows no pixel and no file.

Frame k covers [k, k + 1) ticks of the sample's clock, its picture is the content at the middle, and it is there to be
seen at the end. Turns stand in the order of their list; before each come all frames that are there by then. So a
question at 0 precedes every frame (`<Q><V1><A1>` of arXiv 2505.05467), and an answer at the first tick after its
segment sees all of the segment and nothing later. Everything is whole milliseconds, so nothing hangs on a rounding.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from streambridge.errors import BadInput, WrongUse
from streambridge.streamit import to_ms
from streambridge.types import Media, Question, Reference, Timeline

TICK_MS: Final = 1000  # one frame a second, the paper's rate in training
LEAST_TICK_MS: Final = 1  # finer than the clock of the samples, frames would fall together


@dataclass(frozen=True, slots=True)
class Seen:
    """A frame by reference.

    Attributes:
        number: k, from 0.
        start_ms: where it begins, on the sample's clock.
        available_ms: when it may be seen: where it ends.
        media: which entry of the sample's media shows it.
        uri: of that entry.
        source_ms: where its picture is in that video: the middle, rounded down.
    """

    number: int
    start_ms: int
    available_ms: int
    media: int
    uri: str
    source_ms: int


def edge_ms(number: int, tick_ms: float = TICK_MS) -> int:
    """Where a frame begins and the one before it ends: `number` ticks, to the nearest millisecond."""
    return math.floor(number * tick_ms + 0.5)


def count_by(ms: int, tick_ms: float = TICK_MS) -> int:
    """How many frames may be seen at `ms`: those that end then or before.

    Raises:
        WrongUse: when the tick is no number of milliseconds from 1 on.
    """
    expect_tick(tick_ms)
    count = max(0, int(ms / tick_ms) + 1)  # edges are rounded: at most one off
    while edge_ms(count, tick_ms) > ms and count:
        count -= 1
    return count


def expect_tick(tick_ms: float) -> None:
    """Refuse what is no tick."""
    if not (isinstance(tick_ms, int | float) and math.isfinite(tick_ms) and tick_ms >= LEAST_TICK_MS):
        raise WrongUse(f"a tick is a number of milliseconds, {LEAST_TICK_MS} or more (1000 / fps); got {tick_ms!r}")


def frames(timeline: Timeline, tick_ms: float = TICK_MS) -> Iterator[Seen]:
    """All frames of a sample, in order, one by one. Only whole ticks within its duration are frames.

    Args:
        timeline: the sample.
        tick_ms: milliseconds from frame to frame; 1000 / fps.

    Raises:
        WrongUse: when the tick is none.
        BadInput: when no media entry shows a frame, or their times go back.
    """
    at = 0
    for number in range(count_by(to_ms(timeline.duration_s), tick_ms)):
        start, end = edge_ms(number, tick_ms), edge_ms(number + 1, tick_ms)
        middle = (start + end) // 2
        while at < len(timeline.media) - 1 and middle >= _end_ms(timeline.media[at]):
            at += 1
        yield Seen(number, start, end, at, *_picture(timeline, at, middle))


def flatten(timeline: Timeline, tick_ms: float = TICK_MS) -> Iterator[Seen | Question | Reference]:
    """Frames and turns in causal order, one by one: before a turn all frames there by then, the rest at the end.

    Args:
        timeline: the sample; at one instant the order of its turns is kept.
        tick_ms: milliseconds from frame to frame; 1000 / fps.

    Raises:
        WrongUse: as `frames`.
        BadInput: as `frames`.
    """
    coming = frames(timeline, tick_ms)
    frame = next(coming, None)
    for turn in timeline.turns:
        now = to_ms(turn.t)
        while frame is not None and frame.available_ms <= now:
            yield frame
            frame = next(coming, None)
        yield turn
    if frame is not None:
        yield frame
    yield from coming


def shown(after_ms: int, until_ms: int, tick_ms: float = TICK_MS) -> range:
    """The numbers of the frames that become available in (after, until]."""
    return range(count_by(after_ms, tick_ms), count_by(until_ms, tick_ms))


def between(question: Question, answer: Reference, tick_ms: float = TICK_MS) -> range:
    """The numbers of the frames that lie between a question and its answer. Of a multi-turn pair, none do."""
    return shown(to_ms(question.t), to_ms(answer.t), tick_ms)


def is_after(number: int, evidence: Sequence[tuple[float, float]], tick_ms: float = TICK_MS) -> bool:
    """Does this frame begin where all of the evidence has ended, or later? Without evidence there is no after."""
    return bool(evidence) and edge_ms(number, tick_ms) >= max(to_ms(end) for _, end in evidence)


def said_late(answer: Reference, tick_ms: float = TICK_MS) -> range:
    """The numbers of the frames that begin after the evidence and still come before the answer.

    None do where an answer stands at the first tick after its evidence. An answer before its evidence has ended is
    early, not late, and none do either.
    """
    seen = first = count_by(to_ms(answer.t), tick_ms)
    while first and is_after(first - 1, answer.evidence, tick_ms):
        first -= 1
    return range(first, seen)


def _end_ms(media: Media) -> int:
    return to_ms(media.at_s) + to_ms(media.end_s) - to_ms(media.start_s)


def _picture(timeline: Timeline, at: int, middle: int) -> tuple[str, int]:
    """The uri and the source time that show this instant of the sample's clock."""
    media = timeline.media[at] if timeline.media else None
    if media is None or not to_ms(media.at_s) <= middle < _end_ms(media):
        raise BadInput(f"{timeline.id!r}: media lie end to end from 0 to {timeline.duration_s} s; none at {middle} ms")
    return media.uri, to_ms(media.start_s) + middle - to_ms(media.at_s)
