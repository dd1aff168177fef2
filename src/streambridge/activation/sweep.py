"""Other thresholds, rests and hystereses over scores that are there already. Knows no gate, no frame and no file.

It runs the very Trigger of the product, so at the product's settings it fires where the product fired. What it cannot
know: a gate hears its own answers, and other fires would have been other answers; its scores might have differed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from streambridge.activation.trigger import Trigger, TriggerSettings
from streambridge.errors import WrongUse
from streambridge.scoring.alarms import Firing, firing, together

if TYPE_CHECKING:
    from numpy.typing import NDArray

# A fixed grid: one made from the scores would know the scores of a clip that is left out.
_EDGE: Final = (0.001, 0.002, 0.005, 0.01)  # well trained gates crowd their scores at both ends
THRESHOLDS: Final = (
    *_EDGE,
    *(round(0.02 * k, 2) for k in range(1, 50)),
    *(round(1 - edge, 3) for edge in reversed(_EDGE)),
)
RESTS_S: Final = (0.0, 1.0, 2.0, 3.0, 5.0, 8.0, 12.0, 20.0)
REARMS: Final = (0.5, 1.0, 0.25)  # shares of the threshold: as by default, no hysteresis, a deeper one
_SAME: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Trace:
    """What a gate scored for one question of one stream, and when something should have been said.

    Attributes:
        times: of the frames judged, in seconds, in order.
        scores: in [0, 1], one a frame.
        moments: seconds at which something should be said.
        asked: when the question was put; a frame that was in view then is told at this time.
        once: only the first fire counts.
        hours: of the stream in which it was watched for.

    Raises:
        BadInput: on a score or a time that is none.
        WrongUse: when there is not one time for each score.
    """

    times: Sequence[float]
    scores: Sequence[float]
    moments: Sequence[float] = ()
    asked: float = 0.0
    once: bool = False
    hours: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what a Trigger would refuse, once for all settings."""
        if len(self.times) != len(self.scores):
            raise WrongUse(f"one score a frame; there are {len(self.scores)} scores and {len(self.times)} times")
        trigger = Trigger()
        for t, score in zip(self.times, self.scores, strict=True):
            trigger.step(score, t)


def fires(trace: Trace, settings: TriggerSettings) -> list[float]:
    """The seconds at which a Watch with these settings would have fired."""
    trigger, found = Trigger(settings), []
    for number in _telling(np.asarray(trace.scores, np.float64), settings):
        if trigger.step(trace.scores[number], trace.times[number]):
            found.append(max(trace.times[number], trace.asked))
    return found[:1] if trace.once else found


def _telling(scores: NDArray[np.float64], settings: TriggerSettings) -> list[int]:
    """The frames that can move a Trigger: above its threshold, and the first of those that arm it again.

    The rest leave it as it is. Most frames are of that kind, and a thousand settings run over each.
    """
    high, low = scores > settings.threshold, scores <= settings.rearm_at
    first = low.copy()
    first[1:] &= ~low[:-1]
    found: list[int] = np.flatnonzero(high | first).tolist()
    return found


def trigger_of(settings: Mapping[str, Any]) -> TriggerSettings:
    """The trigger in what an Activation tells of itself; of FIRST+SECOND, the second's.

    Raises:
        WrongUse: when it tells no threshold: then there is nothing to sweep.
    """
    told = settings.get("second", settings)
    names = ("threshold", "rest_s", "rearm", "rising")
    numbers = {name: told[name] for name in names if name in told} if isinstance(told, Mapping) else {}
    if "threshold" not in numbers:
        raise WrongUse(f"the gate {settings.get('gate', '?')!r} has no threshold to sweep; score_head and zero_shot do")
    if numbers.get("rising") is False:
        numbers["rearm"] = None
    return TriggerSettings(**numbers)


def share_of(settings: TriggerSettings) -> float:
    """Its hysteresis as a share of its threshold."""
    return settings.rearm_at / settings.threshold if settings.threshold else 1.0


def at(
    own: TriggerSettings, threshold: float, rest_s: float | None = None, share: float | None = None
) -> TriggerSettings:
    """These settings with another threshold; the hysteresis keeps its share of it unless another is given."""
    share = share_of(own) if share is None else share
    rearm = None if not own.rising or abs(share - 0.5) < _SAME else min(threshold, share * threshold)
    return replace(own, threshold=threshold, rest_s=own.rest_s if rest_s is None else rest_s, rearm=rearm)


def grid(own: TriggerSettings) -> list[TriggerSettings]:
    """All settings that are tried, in a fixed order. A trigger without edges has no hysteresis to vary."""
    shares = REARMS if own.rising else REARMS[:1]
    return [at(own, threshold, rest, share) for share, rest, threshold in product(shares, RESTS_S, THRESHOLDS)]


def counted(
    traces: Sequence[Trace],
    cells: Sequence[TriggerSettings],
    tol_s: float,
    tell: Callable[[int], None] = lambda done: None,
) -> list[list[Firing]]:
    """For each trace, what each of the settings is worth on it.

    Args:
        traces: of all streams.
        cells: the settings.
        tol_s: how far a fire may be from its moment, in seconds.
        tell: called with the number of traces done.
    """
    table = []
    for done, trace in enumerate(traces, 1):
        known: dict[tuple[float, ...], Firing] = {}
        rows = []
        for cell in cells:
            found = tuple(fires(trace, cell))
            if found not in known:  # neighbours on the grid mostly fire alike
                known[found] = firing(trace.moments, found, tol_s, trace.hours)
            rows.append(known[found])
        table.append(rows)
        tell(done)
    return table


def summed(table: Iterable[Sequence[Firing]]) -> list[Firing]:
    """The worth of each of the settings on all these traces together."""
    return [together(column) for column in zip(*table, strict=True)]


def best(cells: Sequence[TriggerSettings], worth: Sequence[Firing]) -> int:
    """Which of the settings to take: the best F1, then the fewest false alarms, then the middle of the plateau.

    A plateau is a run of neighbouring thresholds, at one rest and one hysteresis, that are all as good as that. The
    widest is taken; of equally wide ones, that with the usual hysteresis (half), then the shortest rest.

    Raises:
        WrongUse: when there is nothing to choose from.
    """
    if not cells or len(cells) != len(worth):
        raise WrongUse(f"{len(cells)} settings and {len(worth)} results: there is nothing to choose from")
    marks = [_mark(one) for one in worth]
    top = max(marks)
    runs = _runs(cells, [mark == top for mark in marks])
    usual = [abs(share_of(cells[run[0]]) - 0.5) < _SAME for run in runs]

    def rank(number: int) -> tuple[float, bool, float]:
        first, last = cells[runs[number][0]], cells[runs[number][-1]]
        return round(last.threshold - first.threshold, 9), usual[number], -first.rest_s

    chosen = runs[max(range(len(runs)), key=rank)]
    middle = (cells[chosen[0]].threshold + cells[chosen[-1]].threshold) / 2
    return min(chosen, key=lambda number: round(abs(cells[number].threshold - middle), 9))


def _mark(one: Firing) -> tuple[float, int]:
    f1 = one.moments.f1
    return (-1.0 if f1 is None else f1, -one.moments.false_alarms)


def _runs(cells: Sequence[TriggerSettings], good: Sequence[bool]) -> list[list[int]]:
    """Runs of good neighbours on the grid, which differ in nothing but the threshold."""
    found: list[list[int]] = []
    for number, cell in enumerate(cells):
        if not good[number]:
            continue
        before = cells[found[-1][-1]] if found and found[-1][-1] == number - 1 else None
        alike = before is not None and before.rest_s == cell.rest_s and before.threshold < cell.threshold
        if alike:
            found[-1].append(number)
        else:
            found.append([number])
    return found
