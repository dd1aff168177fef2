"""What a gate scored, read back from event logs and laid beside the timelines of their streams. Knows no gate.

Which timeline belongs to which log: when there are as many of both, by their order; otherwise each log takes the one
timeline whose watches it asked, in the same words and within a second of their times.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from streambridge import wire
from streambridge.activation.sweep import Trace, trigger_of
from streambridge.activation.trigger import TriggerSettings
from streambridge.errors import BadInput
from streambridge.scoring.answers import pair_questions
from streambridge.types import Asked, Ended, Event, Question, Scored, Started, Timeline, Unwatched, Watching

APART_S: Final = 1.0  # a question is put at the frame, a timeline says its own time
STEADY: Final = 1e-3  # of a step: what gaps between frames may differ by at a steady pace


@dataclass(slots=True)
class Watched:
    """One question as the log tells it.

    Attributes:
        opened: when it was put, in seconds.
        text: its words.
        times: of the scores, in seconds.
        scores: in [0, 1].
        fires: seconds of those that fired.
        closed: when it ended; the last time of the log while it stood.
        why: what ended it.
    """

    opened: float
    text: str
    times: list[float] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    fires: list[float] = field(default_factory=list)
    closed: float = 0.0
    why: str = ""


@dataclass(slots=True)
class Log:
    """One session.

    Attributes:
        path: where it stands.
        own: the trigger it ran with.
        filtered: one gate before another: a score of exactly 0.0 is of a frame that the second was not asked about.
        asked: its questions.
        watched: those that were watched for, by name.
    """

    path: str
    own: TriggerSettings
    filtered: bool
    asked: list[Asked] = field(default_factory=list)
    watched: dict[str, Watched] = field(default_factory=dict)

    def frame_times(self, one: Watched) -> list[float]:
        """When the frames that it judged were in view.

        A question that comes between two frames judges the older one, and the log tells the time of the question. At a
        steady pace the first gap is then too short, and the time of that frame is one step before the next.
        """
        times = list(one.times)
        gaps = [later - t for t, later in zip(times, times[1:], strict=False)]
        step = min(gaps[1:], default=0.0)
        steady = step > 0 and all(abs(gap / step - round(gap / step)) < STEADY for gap in gaps[1:])
        if steady and times[0] == one.opened and gaps[0] < step * (1 - STEADY) and times[1] >= step:
            times[0] = times[1] - step
        return times


def read(path: str | Path) -> Log:
    """Read the log of one session.

    Raises:
        BadInput: when it cannot be read, tells of no session or of two, or its gate has no threshold.
    """
    log: Log | None = None
    last = 0.0
    for event in wire.read(path):
        last = max(last, event.t)
        if isinstance(event, Started):
            if log is not None:
                raise BadInput(f"{path} holds two sessions; expected one stream a file, as `watch --events` writes it")
            log = _begun(str(path), event)
        elif log is None:
            raise BadInput(f"{path} begins with {event.type!r}; expected `started`, as `watch --events` writes it")
        else:
            _take(log, event)
    if log is None:
        raise BadInput(f"{path} holds no event; expected a log as `watch --events` writes it")
    for one in log.watched.values():
        one.closed = one.closed if one.why else last
    return log


def _begun(path: str, event: Started) -> Log:
    told = event.settings.get("activation")
    if not isinstance(told, dict):
        raise BadInput(f"{path}: `started` tells no settings of a gate; expected `activation` among them")
    try:
        return Log(path, trigger_of(told), "second" in told)
    except (ValueError, TypeError) as err:  # WrongUse is a ValueError
        raise BadInput(f"{path}: {err}") from err


def _take(log: Log, event: Event) -> None:
    if isinstance(event, Asked):
        log.asked.append(event)
    elif isinstance(event, Watching):
        log.watched[event.watch] = Watched(event.t, event.text)
    elif isinstance(event, Scored):
        _score(log, event)
    elif isinstance(event, Unwatched) and event.watch in log.watched:
        log.watched[event.watch].closed, log.watched[event.watch].why = event.t, event.why
    elif isinstance(event, Ended):
        for one in log.watched.values():
            one.closed, one.why = (one.closed, one.why) if one.why else (event.t, "ended")


def _score(log: Log, event: Scored) -> None:
    one = log.watched.get(event.watch)
    if one is None:
        raise BadInput(f"{log.path}: {event.watch!r} is scored at {event.t:g} s, and no `watching` came before it")
    if not 0.0 <= event.score <= 1.0 or (one.times and event.t < one.times[-1]):
        what = f"{event.watch!r} has a score of {event.score!r} at {event.t:g} s"
        raise BadInput(f"{log.path}: {what}; expected one in [0, 1], and times that do not go back")
    one.times.append(event.t)
    one.scores.append(event.score)
    if event.fire:
        one.fires.append(event.t)


# ---------------------------------------------------------------------------------------------- log and timeline


@dataclass(frozen=True, slots=True)
class Judged:
    """One question of a timeline, and what the gate made of it.

    Attributes:
        log: its session.
        timeline: its stream.
        question: of the timeline.
        watched: as the log tells it; None when it was never put.
    """

    log: Log
    timeline: Timeline
    question: Question
    watched: Watched | None

    @property
    def moments(self) -> list[float]:
        """The seconds at which something should be said."""
        return [one.t for one in self.timeline.references if one.reply_to == self.question.id]

    def trace(self, hours: float = 0.0) -> Trace:
        """The scores, ready to be swept."""
        one = self.watched
        if one is None:
            return Trace((), (), self.moments, self.question.t, self.question.once, hours)
        pairs = list(zip(self.log.frame_times(one), one.scores, strict=True))
        if self.log.filtered:
            pairs = [(t, score) for t, score in pairs if score != 0.0]
        times, scores = [t for t, _ in pairs], [score for _, score in pairs]
        return Trace(times, scores, self.moments, one.opened, self.question.once, hours)


def paired(logs: Sequence[Log], timelines: Sequence[Timeline]) -> list[tuple[Log, Timeline]]:
    """Which timeline belongs to which log; see the top of this file.

    Raises:
        BadInput: when a log fits none or several, or, by order, asked nothing that its timeline asks.
    """
    if len(logs) == len(timelines):
        for log, timeline in zip(logs, timelines, strict=True):
            if not _fit(log, timeline, float("inf")):
                raise BadInput(f"{log.path} asked no watch of {timeline.id!r}, the timeline in its place")
        return list(zip(logs, timelines, strict=True))
    return [(log, _only(log, timelines)) for log in logs]


def _only(log: Log, timelines: Sequence[Timeline]) -> Timeline:
    fitting = [timeline for timeline in timelines if _fit(log, timeline, APART_S, every=True)]
    if len(fitting) != 1:
        which = ", ".join(repr(one.id) for one in fitting[:4]) or "none"
        rule = "give one timeline for each log, in their order"
        raise BadInput(f"{log.path} fits {which} of the {len(timelines)} timelines by its watches; {rule}")
    return fitting[0]


def _watches(timeline: Timeline) -> list[Question]:
    return [one for one in timeline.questions if one.when != "now"]


def _fit(log: Log, timeline: Timeline, apart_s: float, every: bool = False) -> bool:
    """Whether the log asked a watch of the timeline (or every one), in its words, so near to its time."""
    wanted = _watches(timeline)
    found = [one for one in wanted if (put := _put(log, timeline).get(one.id)) and abs(put.opened - one.t) <= apart_s]
    return bool(found) and (not every or len(found) == len(wanted))


def _put(log: Log, timeline: Timeline) -> dict[str, Watched]:
    """The timeline's questions that were watched for, by their names in the timeline."""
    asked = [one for one in log.asked if one.id in log.watched]
    return {name: log.watched[own] for name, own in pair_questions(_watches(timeline), asked).items()}


def judged(log: Log, timeline: Timeline) -> list[Judged]:
    """Every watch of a timeline, beside what its log tells."""
    put = _put(log, timeline)
    return [Judged(log, timeline, one, put.get(one.id)) for one in _watches(timeline)]


def beside(log: Log, timeline: Timeline) -> int:
    """How many watches of the log the timeline does not know; they count for nothing."""
    return len(log.watched) - len(_put(log, timeline))


def hours(ones: Iterable[Judged]) -> float:
    """Hours of a stream in which something was watched for, however many watches stood at a time."""
    spans = sorted((one.watched.opened, one.watched.closed) for one in ones if one.watched is not None)
    total, reached = 0.0, float("-inf")
    for start, end in spans:
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total / 3600


def settings_of(logs: Iterable[Log]) -> list[dict[str, Any]]:
    """The triggers that the logs ran with, each once."""
    found: list[dict[str, Any]] = []
    for log in logs:
        told = dict(log.own.mapping())
        found += [] if told in found else [told]
    return found
