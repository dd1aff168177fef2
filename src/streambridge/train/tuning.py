"""From labelled moments to the numbers of the trigger: threshold, rest, hysteresis. Knows no terminal and no plot.

The gate runs once over every clip, in the Session that serves users, one session for each question; its scores are
kept in files. Then the product's Trigger runs over them with other numbers. What is proposed is judged on clips that
it was not chosen on: each clip in turn is left out, and the numbers come from the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from streambridge.activation.sweep import THRESHOLDS, Trace, at, best, counted, fires, grid, summed, trigger_of
from streambridge.activation.trigger import TriggerSettings
from streambridge.errors import BadInput, WrongUse
from streambridge.scoring.alarms import Firing, firing, row, together
from streambridge.train.clip_scores import Part, Tell

# With ten moments, all met, the 95 % interval of the recall still begins at 72 %; with fewer a choice is chance.
LEAST_MOMENTS: Final = 10
LEAST_GAIN: Final = 1.0  # points of F1 on clips left out; wishes that no threshold can meet gained up to 0.6 by chance
TOLERANCE_S: Final = 1.0  # as the world's bench counts


def tune(
    parts: Sequence[Part],
    settings: Mapping[str, Any],
    tol_s: float = TOLERANCE_S,
    tell: Tell = lambda done, total: None,
) -> dict[str, Any]:
    """The best settings for these wishes, and what they are worth on clips that they were not chosen on.

    Args:
        parts: of `gather`.
        settings: what the gate tells of itself.
        tol_s: how far a fire may be from its moment, in seconds.
        tell: called with the number of wishes swept, and of all.

    Returns:
        `own`, `best` (in sample) and `proposed` settings: the best ones, or the gate's own where those chosen on the
        other clips gained nothing on the clips left out, or None where there are too few moments; `why` tells.
        `in_sample` and `left_out` {before, after}, `by_clip` (left out) and `by_watch` (in sample), `curve` by
        threshold, `n`. Figures as of `scoring.alarms.row`.

    Raises:
        BadInput: when nothing is watched for.
        WrongUse: when the gate has no threshold, or the tolerance is none.
    """
    if not parts:
        raise BadInput("there is nothing to tune on: no label names a watch")
    if not 0 <= tol_s < float("inf"):
        raise WrongUse(f"a tolerance is a number of seconds of 0 or more; this one is {tol_s}")
    own, clips = trigger_of(settings), list(dict.fromkeys(part.wish.clip for part in parts))
    traces = [part.trace("second" in settings) for part in parts]
    cells = [own, *grid(own)]  # the gate's own settings stand first; they need not be on the grid
    table = counted(traces, cells, tol_s, lambda done: tell(done, len(traces)))
    rows = _by_clip(parts, table, clips)
    moments = sum(len(part.wish.moments) for part in parts)
    chosen, folds = _choose(cells, rows, range(len(clips))), _folds(cells, rows) if len(clips) > 1 else []
    left_out = _left_out(rows, folds)
    few, kept = _too_few(moments), _nothing_gained(left_out)
    return {
        "own": _said(own),
        "best": _said(cells[chosen]),
        "proposed": None if few else _said(own if kept else cells[chosen]),
        "why": few or kept,
        "tolerance_s": tol_s,
        "in_sample": _pair([one[0] for one in rows], [one[chosen] for one in rows]),
        "left_out": left_out,
        "by_clip": [
            {"clip": clip, "settings": _said(cells[k]), **_pair([one[0]], [one[k]])}
            for clip, one, k in zip(clips, rows, folds, strict=False)
        ],
        "by_watch": _by_watch(parts, table, chosen),
        "curve": _curve(traces, own, cells[chosen], tol_s, _spare(rows)),
        "n": {
            "clips": len(clips),
            "watches": len(parts),
            "moments": moments,
            "frames": sum(len(trace.times) for trace in traces),
            "failed": sum(len(part.scores.failed) for part in parts),
            "fires_that_differ": _differ(parts, traces, own),
        },
    }


def _left_out(rows: Sequence[Sequence[Firing]], folds: Sequence[int]) -> dict[str, Any] | None:
    if not folds:
        return None  # one clip: nothing is left to choose on
    return _pair([one[0] for one in rows], [one[k] for one, k in zip(rows, folds, strict=True)])


def _nothing_gained(left_out: Mapping[str, Any] | None) -> str | None:
    """Numbers that help only where they were chosen are chance."""
    if left_out is None:
        return None
    gain = (left_out["after"]["f1"] or 0.0) - (left_out["before"]["f1"] or 0.0)
    if gain >= LEAST_GAIN:
        return None
    return f"on clips left out F1 moved by {gain:+.1f}, less than {LEAST_GAIN:g}: the gate's own settings stay"


def told(parts: Sequence[Part], tol_s: float) -> dict[str, Any]:
    """Figures of the fires that the sessions themselves told, without any sweep: of a gate that was run again."""
    worth = []
    for clip in dict.fromkeys(part.wish.clip for part in parts):
        own = [part for part in parts if part.wish.clip == clip]
        fired = [part.scores.fires[:1] if part.wish.once else part.scores.fires for part in own]
        found = [firing([one.t for one in p.wish.moments], f, tol_s) for p, f in zip(own, fired, strict=True)]
        worth.append(_lasting(together(found), max(part.trace().hours for part in own)))
    return row(together(worth))


def worth(parts: Sequence[Part], settings: Mapping[str, Any], trigger: TriggerSettings, tol_s: float) -> dict[str, Any]:
    """Figures of one trigger over the stored scores, in sample.

    Args:
        parts: of `gather`.
        settings: what the gate tells of itself.
        trigger: the numbers.
        tol_s: how far a fire may be from its moment, in seconds.
    """
    table = counted([part.trace("second" in settings) for part in parts], [trigger], tol_s)
    clips = list(dict.fromkeys(part.wish.clip for part in parts))
    return row(together(one[0] for one in _by_clip(parts, table, clips)))


def _too_few(moments: int) -> str | None:
    if moments >= LEAST_MOMENTS:
        return None
    return f"{moments} labelled moments are too few to propose from; label {LEAST_MOMENTS} or more"


def _by_clip(parts: Sequence[Part], table: Sequence[Sequence[Firing]], clips: Sequence[str]) -> list[list[Firing]]:
    """What each of the settings is worth on each clip; its hours count once, however many watches stand in it."""
    found = []
    for clip in clips:
        own = [number for number, part in enumerate(parts) if part.wish.clip == clip]
        worth = summed([table[number] for number in own])
        spent = max(table[number][0].moments.hours for number in own)
        found.append([_lasting(one, spent) for one in worth])
    return found


def _lasting(one: Firing, hours: float) -> Firing:
    moments = one.moments
    return Firing(type(moments)(moments.references, moments.fires, moments.delays, hours), one.duplicates)


def _choose(cells: Sequence[TriggerSettings], rows: Sequence[Sequence[Firing]], clips: Sequence[int] | range) -> int:
    """Which of the settings is best on these clips."""
    return best(cells, summed([rows[number] for number in clips]))


def _folds(cells: Sequence[TriggerSettings], rows: Sequence[Sequence[Firing]]) -> list[int]:
    """For each clip, the settings that all the others would have chosen."""
    return [_choose(cells, rows, [k for k in range(len(rows)) if k != left]) for left in range(len(rows))]


def _pair(before: Sequence[Firing], after: Sequence[Firing]) -> dict[str, Any]:
    return {"before": row(together(before)), "after": row(together(after))}


def _by_watch(parts: Sequence[Part], table: Sequence[Sequence[Firing]], chosen: int) -> list[dict[str, Any]]:
    found = []
    for watch in dict.fromkeys(part.wish.watch for part in parts):
        own = [line for part, line in zip(parts, table, strict=True) if part.wish.watch == watch]
        found.append({"watch": watch, **_pair([one[0] for one in own], [one[chosen] for one in own])})
    return found


def _spare(rows: Sequence[Sequence[Firing]]) -> float:
    return sum(one[0].moments.hours for one in rows)


def _curve(
    traces: Sequence[Trace], own: TriggerSettings, chosen: TriggerSettings, tol_s: float, hours: float
) -> dict[str, list[dict[str, Any]]]:
    """Figures by threshold, at the gate's own rest and hysteresis, and at the best ones."""
    found = {}
    for name, settings in (("own", own), ("best", chosen)):
        cells = [at(settings, threshold) for threshold in sorted({*THRESHOLDS, own.threshold, chosen.threshold})]
        worth = summed(counted(traces, cells, tol_s))
        found[name] = [
            {"threshold": cell.threshold, **row(_lasting(one, hours))} for cell, one in zip(cells, worth, strict=True)
        ]
    return found


def _differ(parts: Sequence[Part], traces: Sequence[Trace], own: TriggerSettings) -> int:
    """Fires of the sessions that the Trigger run anew does not make, or the other way round."""
    differ = 0
    for part, trace in zip(parts, traces, strict=True):
        again = Trace(trace.times, trace.scores, trace.moments, trace.asked)  # watched as standing
        differ += len(set(part.scores.fires) ^ set(fires(again, own)))
    return differ


def _said(settings: TriggerSettings) -> dict[str, Any]:
    return dict(settings.mapping())
