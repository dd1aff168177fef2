"""How good a gate is, from scores that are stored: no model, no GPU. Knows events and timelines, no gate.

The main figures are of the fires that the logs tell. The sweep lets the product's own Trigger run over the stored
scores with other numbers.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final

from streambridge.activation.sweep import (
    REARMS,
    RESTS_S,
    THRESHOLDS,
    Trace,
    at,
    best,
    counted,
    fires,
    grid,
    share_of,
    summed,
)
from streambridge.activation.trigger import TriggerSettings
from streambridge.bench.gate_logs import Judged, Log, beside, hours, judged, paired, settings_of
from streambridge.data.labels import PAPER, WIDTHS, Width, share
from streambridge.errors import BadInput, WrongUse
from streambridge.scoring import calibration
from streambridge.scoring.alarms import Firing, firing, row, together
from streambridge.types import Question, Reference, Timeline

TOLERANCES_S: Final = (1.0, 2.0, 5.0)
Tell = Callable[[int, int], None]


def evaluate(
    logs: Sequence[Log],
    timelines: Sequence[Timeline],
    tolerances_s: Sequence[float] = TOLERANCES_S,
    tell: Tell = lambda done, total: None,
) -> dict[str, Any]:
    """Everything that stored scores can tell.

    Args:
        logs: of `gate_logs.read`.
        timelines: what should have been said.
        tolerances_s: how far a fire may be from its moment, in seconds; the first is that of the sweep's table.
        tell: called with the number of watches swept, and of all.

    Returns:
        `settings` (the triggers of the logs), `by_tolerance` {seconds: figures}, `by_kind` (at the first tolerance),
        `calibration`, `sweep` {seconds: figures by threshold}, `grid` (rest and hysteresis, each at its best
        threshold), `best`, and `n`.

    Raises:
        BadInput: when logs and timelines do not fit, or nothing in them is watched for.
        WrongUse: when a tolerance is none.
    """
    tols = _checked(tolerances_s)
    if not logs or all(one.when == "now" for timeline in timelines for one in timeline.questions):
        raise BadInput("there is no log, or the timelines watch for nothing: there is no gate to evaluate")
    pairs = paired(logs, timelines)
    streams = [judged(log, timeline) for log, timeline in pairs]
    every = [one for stream in streams for one in stream]
    lasted = [hours(stream) for stream in streams]
    traces = [one.trace() for one in every]
    own = logs[0].own
    return {
        "settings": settings_of(logs),
        "tolerance_s": tols[0],
        "by_tolerance": {f"{tol:g}": row(_told(streams, lasted, tol)) for tol in tols},
        "by_kind": _by_kind(every, tols[0]),
        "calibration": _calibration(every),
        "sweep": {f"{tol:g}": _sweep(traces, own, tol, sum(lasted)) for tol in tols},
        **_grid(traces, own, tols[0], sum(lasted), tell),
        "n": {
            "streams": len(logs),
            "watches": len(every),
            "unasked": sum(one.watched is None for one in every),
            "beside": sum(beside(log, timeline) for log, timeline in pairs),
            "ended_by_answer": sum(one.watched is not None and one.watched.why == "answered" for one in every),
            "fires_that_differ": sum(map(_differ, every)),
        },
    }


def _checked(tolerances_s: Sequence[float]) -> list[float]:
    tols = list(dict.fromkeys(float(tol) for tol in tolerances_s))
    if not tols or not all(0 <= tol < float("inf") for tol in tols):
        raise WrongUse(f"tolerances are seconds of 0 or more, e.g. 1,2,5; these are {list(tolerances_s)!r}")
    return tols


def _told(streams: Sequence[Sequence[Judged]], lasted: Sequence[float], tol_s: float) -> Firing:
    """What the logs say was fired."""
    parts = [firing((), (), tol_s, spent) for spent in lasted]
    return together([*parts, *(_fired(one, tol_s) for stream in streams for one in stream)])


def _fired(one: Judged, tol_s: float, spent: float = 0.0) -> Firing:
    return firing(one.moments, one.watched.fires if one.watched else (), tol_s, spent)


def _by_kind(every: Sequence[Judged], tol_s: float) -> dict[str, Any]:
    """By kind of question; here alarms are counted by the hour of a watch, since several may stand in a stream."""
    kinds = {one.question.kind or "?": None for one in every}
    return {
        kind: row(together(_fired(one, tol_s, hours([one])) for one in every if (one.question.kind or "?") == kind))
        for kind in sorted(kinds)
    }


def _differ(one: Judged) -> int:
    """Fires that the log tells and the Trigger run anew does not, or the other way round: 0 unless the log is odd."""
    if one.watched is None:
        return 0
    told, again = Counter(one.watched.fires), Counter(fires(one.trace(), one.log.own))
    return (told - again).total() + (again - told).total()


# ---------------------------------------------------------------------------------------------- calibration


def _calibration(every: Sequence[Judged]) -> dict[str, Any]:
    labels: list[int] = []
    scores: list[float] = []
    for one in every:
        if one.watched is None:
            continue
        trace = one.trace()
        marks = frame_labels(trace.times, one.question, one.timeline)
        labels += [mark for mark in marks if mark is not None]
        scores += [score for mark, score in zip(marks, trace.scores, strict=True) if mark is not None]
    return calibration.report(labels, scores)


def frame_labels(times: Sequence[float], question: Question, timeline: Timeline) -> list[int | None]:
    """What the gate should say at each of these frames: 1 fire, 0 be silent, None not judged.

    As `data.labels` with the widths "events", at the times of the frames that were really judged: of an instant, the
    first frames at or after it; of a span, the last of those in (start, answer]. An answer without evidence is an
    instant. Behind the answer of a question that is asked once nothing is judged.

    Args:
        times: of the frames, in seconds, in order.
        question: of the timeline.
        timeline: what should be said.
    """
    answers = [one for one in timeline.references if one.reply_to == question.id]
    width = _width(question, timeline)
    row: list[int | None] = [0] * len(times)
    for answer in answers:
        for number in _positive(times, answer, width, share(timeline.id)):
            row[number] = 1
    if question.once and answers:
        end = max(bisect_left(times, answers[0].t) + 1, max((k + 1 for k, mark in enumerate(row) if mark), default=0))
        row[end:] = [None] * len(row[end:])
    return row


def _width(question: Question, timeline: Timeline) -> Width:
    widths = WIDTHS["events"]
    return widths.get(question.kind) or widths.get(timeline.meta.get("task", "")) or PAPER


def _positive(times: Sequence[float], answer: Reference, width: Width, drawn: float) -> range:
    end, start = max(((end, start) for start, end in answer.evidence), default=(answer.t, answer.t))
    if start == end:
        first = bisect_left(times, end - 1e-9)
        return range(first, min(first + max(1, width.frames), len(times)))
    seen = range(bisect_left(times, start + 1e-9), bisect_left(times, answer.t + 1e-9))
    return seen[-width.count(len(seen), drawn) :] if len(seen) else seen


# ---------------------------------------------------------------------------------------------- other settings


def _sweep(traces: Sequence[Trace], own: TriggerSettings, tol_s: float, spent: float) -> list[dict[str, Any]]:
    """By threshold, at the logs' own rest and hysteresis."""
    cells = [at(own, threshold) for threshold in sorted({*THRESHOLDS, own.threshold})]
    worth = summed(counted(traces, cells, tol_s))
    return [
        {"threshold": cell.threshold, **row(together([one, firing((), (), tol_s, spent)]))}
        for cell, one in zip(cells, worth, strict=True)
    ]


def _grid(traces: Sequence[Trace], own: TriggerSettings, tol_s: float, spent: float, tell: Tell) -> dict[str, Any]:
    cells = grid(own)
    worth = summed(counted(traces, cells, tol_s, lambda done: tell(done, len(traces))))
    worth = [together([one, firing((), (), tol_s, spent)]) for one in worth]
    rows = []
    for part in (REARMS if own.rising else REARMS[:1]):
        for rest in RESTS_S:
            here = [k for k, cell in enumerate(cells) if cell.rest_s == rest and _alike(cell, part)]
            chosen = here[best([cells[k] for k in here], [worth[k] for k in here])]
            rows.append({"rearm_share": part, **cells[chosen].mapping(), **row(worth[chosen])})
    top = best(cells, worth)
    return {"grid": rows, "best": {**cells[top].mapping(), **row(worth[top])}}


def _alike(cell: TriggerSettings, part: float) -> bool:
    return not cell.rising or abs(share_of(cell) - part) < 1e-6
