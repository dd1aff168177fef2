"""Was it said, in the right words and at the right time: events against a Timeline. Knows no model and no file.

Ids of a Timeline and of a session are different names for the same questions: a session counts q0, q1 ... as it is
asked, a Timeline names its own. They are paired here by what both know, the words and the time: of the same words,
as many as possible in order, with the least sum of time differences. Questions asked beside the script (typed by a
person, say) pair with nothing and their answers are counted apart, never as false alarms.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from streambridge.errors import WrongUse
from streambridge.scoring.intervals import poisson, wilson
from streambridge.scoring.moments import Moments, match, percent, pool
from streambridge.types import Answered, Asked, Event, Question, Timeline


@dataclass(frozen=True, slots=True)
class Mark:
    """One question that was to be answered at once: its kind, what it is about, and whether the answer was right."""

    kind: str
    about: str
    right: bool


@dataclass(frozen=True, slots=True)
class StreamScore:
    """What one stream was worth, in counts, so that many can be combined.

    Attributes:
        marks: of the questions answered at once that have a reference.
        moments: of the watches, all questions of the stream together; matched per question.
        exact: how many matched answers have the very words of their reference.
        unasked: questions of the Timeline that no `asked` event bears out; they count as unanswered.
        beside: answers to questions that the Timeline does not know; they count for nothing.
    """

    marks: tuple[Mark, ...] = ()
    moments: Moments = field(default_factory=Moments)
    exact: int = 0
    unasked: int = 0
    beside: int = 0


def score_stream(
    timeline: Timeline, events: Iterable[Event], tol_s: float = 1.0, about: Mapping[str, str] | None = None
) -> StreamScore:
    """Score what was said in one stream.

    A question of `when="now"` is right when its first answer has the words of one of its references; its time is not
    judged. The answers to all others are matched with their references in time, by the moment they fired.

    Args:
        timeline: what should be said.
        events: what was said: the events of one session, in order.
        tol_s: how far a fire may be from its reference, in seconds, before or after.
        about: kind of question -> what it is about, e.g. `now` or `past`; without it all are about `now`.

    Raises:
        WrongUse: when `about` is given and lacks a kind, or `tol_s` makes no sense.
    """
    events = list(events)
    names = pair_questions(timeline.questions, [event for event in events if isinstance(event, Asked)])
    answers = _answers(events)
    asked = [(question, answers.get(names.get(question.id, ""), [])) for question in timeline.questions]
    watches = [_watch(timeline, one, given, tol_s) for one, given in asked if one.when != "now"]
    hours = timeline.duration_s / 3600 if watches else 0.0
    return StreamScore(
        marks=tuple(mark for one, given in asked if one.when == "now" for mark in _mark(timeline, one, given, about)),
        moments=pool([Moments(hours=hours), *(moments for moments, _ in watches)]),
        exact=sum(exact for _, exact in watches),
        unasked=len(timeline.questions) - len(names),
        beside=sum(len(given) for name, given in answers.items() if name not in names.values()),
    )


def pair_questions(questions: Sequence[Question], asked: Sequence[Asked]) -> dict[str, str]:
    """Which `asked` event is which question of the Timeline.

    Returns:
        Id in the Timeline -> id in the session, for those that were asked.
    """
    scripted, heard = defaultdict(list), defaultdict(list)
    for question in questions:
        scripted[plain(question.text)].append(question)
    for event in asked:
        heard[plain(event.text)].append(event)
    return {
        ones[i].id: heard[words][j].id
        for words, ones in scripted.items()
        for i, j in match([one.t for one in ones], [event.t for event in heard[words]], math.inf)
    }


def plain(text: str) -> str:
    """Words as they are compared: without case, with single blanks, without a final full stop."""
    return " ".join(text.split()).removesuffix(".").rstrip().casefold()


def _answers(events: Iterable[Event]) -> dict[str, list[Answered]]:
    answers = defaultdict(list)
    for event in events:
        if isinstance(event, Answered):
            answers[event.asked].append(event)
    return answers


def _mark(timeline: Timeline, one: Question, given: list[Answered], about: Mapping[str, str] | None) -> list[Mark]:
    right = {plain(reference.text) for reference in timeline.references if reference.reply_to == one.id}
    if about is not None and one.kind not in about:
        raise WrongUse(f"no word on what questions of kind {one.kind!r} are about; known kinds: {', '.join(about)}")
    said = plain(given[0].text) if given else None
    return [Mark(one.kind, "now" if about is None else about[one.kind], said in right)] if right else []


def _watch(timeline: Timeline, one: Question, given: list[Answered], tol_s: float) -> tuple[Moments, int]:
    due = [reference for reference in timeline.references if reference.reply_to == one.id]
    pairs = match([reference.t for reference in due], [answer.t_fired for answer in given], tol_s)
    delays = tuple(given[j].t_fired - due[i].t for i, j in pairs)
    exact = sum(plain(given[j].text) == plain(due[i].text) for i, j in pairs)
    return Moments(len(due), len(given), delays), exact


# ---------------------------------------------------------------------------------------------- many streams


def combine(scores: Iterable[StreamScore]) -> dict[str, Any]:
    """All streams as one report: percentages 0-100, None where nothing was there to be judged.

    Returns:
        `questions` {kind: {about, accuracy, n}}, `now`, `past`, `proactive` {precision, recall, f1, text_exact,
        delay_s, false_alarms_per_hour}; beside them `n` (the counts behind) and `intervals` (95 %: Wilson's for
        shares, exact Poisson for the rate; same shape, None where there is none).
    """
    every = list(scores)
    marks = [mark for score in every for mark in score.marks]
    moments, exact = pool(score.moments for score in every), sum(score.exact for score in every)
    kinds = {kind: [mark for mark in marks if mark.kind == kind] for kind in sorted({mark.kind for mark in marks})}
    sorts = {about: [mark for mark in marks if mark.about == about] for about in ("now", "past")}
    asked = {kind: {"about": own[0].about, "accuracy": _accuracy(own), "n": len(own)} for kind, own in kinds.items()}
    counts = {about: len(own) for about, own in sorts.items()} | _counts(every, moments, exact)
    intervals = {
        "questions": {kind: _interval(own) for kind, own in kinds.items()},
        **{about: _interval(own) for about, own in sorts.items()},
        "proactive": _proactive_intervals(moments, exact),
    }
    accuracies = {about: _accuracy(own) for about, own in sorts.items()}
    return {
        "questions": asked, **accuracies, "proactive": _proactive(moments, exact), "n": counts, "intervals": intervals,
    }  # fmt: skip


def _proactive(moments: Moments, exact: int) -> dict[str, float | None]:
    return {
        "precision": moments.precision,
        "recall": moments.recall,
        "f1": moments.f1,
        "text_exact": percent(exact, moments.matched),
        "delay_s": moments.delay_s,
        "false_alarms_per_hour": moments.false_alarms_per_hour,
    }


def _proactive_intervals(moments: Moments, exact: int) -> dict[str, list[float] | None]:
    return {
        "precision": _share(moments.matched, moments.fires),
        "recall": _share(moments.matched, moments.references),
        "text_exact": _share(exact, moments.matched),
        "false_alarms_per_hour": _list(poisson(moments.false_alarms, moments.hours)),
    }


def _counts(scores: Sequence[StreamScore], moments: Moments, exact: int) -> dict[str, float]:
    return {
        "streams": len(scores),
        "references": moments.references,
        "fires": moments.fires,
        "matched": moments.matched,
        "text_exact": exact,
        "false_alarms": moments.false_alarms,
        "hours": moments.hours,
        "unasked": sum(score.unasked for score in scores),
        "beside": sum(score.beside for score in scores),
    }


def _accuracy(marks: Sequence[Mark]) -> float | None:
    return percent(sum(mark.right for mark in marks), len(marks))


def _interval(marks: Sequence[Mark]) -> list[float] | None:
    return _share(sum(mark.right for mark in marks), len(marks))


def _share(hits: int, n: int) -> list[float] | None:
    return _list(wilson(hits, n), 100.0)


def _list(interval: tuple[float, float] | None, scale: float = 1.0) -> list[float] | None:
    return None if interval is None else [scale * bound for bound in interval]
