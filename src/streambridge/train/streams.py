"""Training sequences of any stream, laid out by the very code that serves: a Session whose answers are dictated.

A timeline is run through Session, gate, buffer and policy with frames that are only numbers. So merged frames,
forgotten words and cue turns stand in training exactly where they stand in use. Knows no weights and no pixels.

Frame k of a sample is there to be seen at the end of its tick (`data.flatten`), so the session is shown it then: an
answer at t sees the frames that `flatten` puts before it, all of them and no later one. The gate fires at the newest
frame that is there at t. What is evident from a point is said at the first frame whose picture is of it or later.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Self

import numpy as np

from streambridge.activation.scripted import Scripted
from streambridge.data.draws import u
from streambridge.data.flatten import TICK_MS, count_by, edge_ms
from streambridge.errors import BadInput, RunFailed, WrongUse
from streambridge.recall import GRACE
from streambridge.replay import replay
from streambridge.session import ANSWER_LEN, QUEUE, Session
from streambridge.streamit import to_ms, to_s
from streambridge.train.sequences import Noted, Sample, cut
from streambridge.train.teacher import Due, Size, Style, Teacher
from streambridge.train.unsaid import reasons
from streambridge.types import (
    Answered,
    Asked,
    Compression,
    Event,
    Failed,
    Frame,
    Question,
    Reference,
    Timeline,
)

REFUSED: Final = "raise max_len"  # what the session advises when a question is too long for it
_DARK: Final = np.zeros((1, 1, 3), dtype=np.uint8)  # frames here are numbers; nobody looks at them


@dataclass(frozen=True, slots=True)
class Clock:
    """When each frame of a stream is there to be seen, and what instant its picture shows; milliseconds."""

    there: Sequence[int]
    shown: Sequence[int]

    @classmethod
    def of_sample(cls, timeline: Timeline, tick_ms: float = TICK_MS) -> Self:
        """Frames as `data.flatten` has them: shown at the middle of their tick, there at its end."""
        edges = [edge_ms(k, tick_ms) for k in range(count_by(to_ms(timeline.duration_s), tick_ms) + 1)]
        return cls(edges[1:], [(a + b) // 2 for a, b in zip(edges[:-1], edges[1:], strict=True)])

    @classmethod
    def of_instants(cls, timeline: Timeline, fps: float) -> Self:
        """Frames as the world's source has them: shown and there at one instant, the first one at 0."""
        ticks = [to_ms(k / fps) for k in range(int(timeline.duration_s * fps))]
        return cls(ticks, ticks)

    def by(self, ms: int) -> int:
        """How many frames are there at an instant."""
        return bisect_right(self.there, ms)

    def by_point(self, ms: int) -> int:
        """How many frames are there as soon as an instant is shown; 0 where it never is."""
        first = bisect_left(self.shown, ms)
        return first + 1 if first < len(self.there) else 0


@dataclass(frozen=True, slots=True)
class Served:
    """The session that a sequence is laid out for.

    Attributes:
        max_len: tokens of memory and an answer.
        policy: of memory.
        answer_len: the longest answer, in tokens; a longer reference is cut there and its end is not learned.
        system: words that stand first.
        grace: as Session takes it.
        queue: as Session takes it.
    """

    max_len: int
    policy: Compression
    answer_len: int = ANSWER_LEN
    system: str | None = None
    grace: int = GRACE
    queue: int = QUEUE


@dataclass(frozen=True, slots=True)
class Laid:
    """A stream laid out.

    Attributes:
        samples: its training sequences.
        said: references that were said, in order, those that are not learned among them.
        cut: those of them that were longer than an answer may be.
        unsaid: references that were not said, and why (`unsaid.WHY`).
        events: all that the session told.
    """

    samples: tuple[Sample, ...]
    said: tuple[str, ...]
    cut: tuple[str, ...]
    unsaid: tuple[tuple[str, str], ...]
    events: tuple[Event, ...]


def draw_max_len(timeline: Timeline, between: tuple[int, int], seed: int = 0, epoch: int = 0) -> int:
    """A size of memory in tokens for a sample, so that merged frames are learned; small ones as often as large ones.

    Args:
        timeline: the sample.
        between: the smallest and the largest.
        seed: of the run.
        epoch: another epoch is another draw.

    Raises:
        WrongUse: when the range is none.
    """
    low, high = between
    if not 1 <= low <= high:
        raise WrongUse(f"max_len is drawn between two counts of tokens, the smaller first; got {between!r:.80}")
    return int(low * (high / low) ** u(seed, *([epoch] if epoch else []), timeline.id, "max_len"))


def lay_out(
    timeline: Timeline,
    style: Style,
    served: Served,
    clock: Clock | None = None,
    size_of: Callable[[int], Size] | None = None,
) -> Laid:
    """Run a timeline through a Session and cut what was read into training sequences, one per plan that only grew.

    Args:
        timeline: the sample; its times count to the millisecond, as in its file.
        style: how the model to be taught writes.
        served: the session's settings.
        clock: when frames are there; `data.flatten`'s, at one a second, when None.
        size_of: height and width of each raw frame's picture, by its number; needed where they decide its tokens.

    Raises:
        BadInput: when two turns have one id, or an answer replies to no question.
        WrongUse: when the settings cannot work together, or sizes are needed.
        RunFailed: when the layout breaks: a mistake in the program.
    """
    if style.sized and size_of is None:
        raise WrongUse("this model's frames have tokens by the size of their pictures: pass size_of")
    clock = Clock.of_sample(timeline) if clock is None else clock
    asked = _asked(timeline)
    due = _due(timeline, asked, clock)
    teacher = Teacher(style, {one.id: one.text for one in timeline.questions}, due, size_of or _any_size)
    events = _run(teacher, list(asked.values()), clock, due, served)
    noted = [one for one in _answering(teacher.noted, events) if one.ids]
    said = tuple(one.reference for one in noted if one.reference)
    return Laid(
        tuple(cut(style.words, noted)),
        said,
        tuple(one.reference for one in noted if one.reference and not one.whole),
        tuple(reasons(asked, due, clock.there, said, events)),
        tuple(events),
    )


def _any_size(number: int) -> Size:
    return 1, 1


def _asked(timeline: Timeline) -> dict[str, Question]:
    """The questions under their names, which are their words as well; their times in whole milliseconds."""
    ids = [turn.id for turn in timeline.turns]
    if len(set(ids)) < len(ids):
        raise BadInput(f"{timeline.id!r}: the id of a turn stands once in a sample")
    asked = {one.id: replace(one, t=to_s(to_ms(one.t)), text=one.id) for one in timeline.questions}
    if lost := [one.id for one in timeline.references if one.reply_to not in asked]:
        raise BadInput(f"{timeline.id!r}: answer {lost[0]!r} replies to no question of the sample")
    return asked


def _due(timeline: Timeline, asked: Mapping[str, Question], clock: Clock) -> dict[tuple[str, int], list[Reference]]:
    """What is to be said to each question when so many frames were seen."""
    due: dict[tuple[str, int], list[Reference]] = {}
    for ref in timeline.references:
        due.setdefault((ref.reply_to, _frames_of(ref, asked[ref.reply_to], clock)), []).append(ref)
    return due


def _frames_of(ref: Reference, question: Question, clock: Clock) -> int:
    """How many frames a reference sees."""
    shown = ref.kind == "point" and question.when != "now"
    return (clock.by_point if shown else clock.by)(to_ms(ref.t))


def _run(teacher: Teacher, asked: Sequence[Question], clock: Clock, due: Due, served: Served) -> list[Event]:
    """All that a session tells of the stream."""
    fires: dict[str, list[float]] = {}
    watched = {question.id for question in asked if question.when != "now"}
    for name, frames in due:
        if name in watched and frames:
            fires.setdefault(name, []).append(to_s(clock.there[frames - 1]))
    session = Session(
        teacher,
        Scripted(fires),
        compression=served.policy,
        max_len=served.max_len,
        answer_len=served.answer_len,
        system=served.system,
        queue=served.queue,
        grace=served.grace,
    )
    return list(replay(session, (Frame(_DARK, to_s(ms)) for ms in clock.there), asked))


def _answering(noted: Sequence[Noted], events: Sequence[Event]) -> list[Noted]:
    """The answers, held against what the session says that it answered.

    Where a policy let the very question go, the teacher took another one for it: those words stay, unlearned.
    """
    broken = [event.error for event in events if isinstance(event, Failed) and REFUSED not in event.what_next]
    if broken:
        raise RunFailed(f"a stream could not be laid out: {broken[0]}")
    names = {event.id: event.text for event in events if isinstance(event, Asked)}
    told = [names[event.asked] for event in events if isinstance(event, Answered)]
    pairs = zip(noted, told, strict=True)
    return [one if one.question == name else replace(one, reference="", learn=False) for one, name in pairs]
