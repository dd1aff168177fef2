"""What a gate's fires were worth: counts, delays, alarms and their intervals as one row. Knows times only, no gate."""

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from streambridge.scoring.intervals import poisson, wilson
from streambridge.scoring.moments import Moments, measure, pool

_SAME_TIME_S: Final = 1e-9  # as in `moments`: a fire one second late in floats is within a second


@dataclass(frozen=True, slots=True)
class Firing:
    """Fires against the moments at which something should be said.

    Attributes:
        moments: the counts, delays and hours.
        duplicates: those of the false alarms that came near a moment which another fire had met already.
    """

    moments: Moments = Moments()
    duplicates: int = 0


def firing(references: Sequence[float], fires: Sequence[float], tol_s: float, hours: float = 0.0) -> Firing:
    """Match and count, for one question of one stream.

    Args:
        references: seconds at which something should be said.
        fires: seconds at which the gate fired.
        tol_s: how far apart a pair may be, in seconds, either way.
        hours: of the stream in which it was watched for.

    Raises:
        WrongUse: as `moments.match`.
    """
    moments = measure(references, fires, tol_s, hours)
    ordered = sorted(references)
    near = sum(_is_near(ordered, t, tol_s) for t in fires)
    return Firing(moments, near - moments.matched)


def _is_near(ordered: Sequence[float], t: float, tol_s: float) -> bool:
    reach = tol_s + _SAME_TIME_S
    first = bisect_left(ordered, t - reach)
    return first < len(ordered) and ordered[first] <= t + reach


def together(parts: Iterable[Firing]) -> Firing:
    """All of them as one: counts, delays and hours add up."""
    every = list(parts)
    return Firing(pool(part.moments for part in every), sum(part.duplicates for part in every))


def quantile(values: Sequence[float], share: float) -> float | None:
    """The value below which so large a share lies, straight between two neighbours; None of nothing."""
    if not values:
        return None
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


def row(found: Firing) -> dict[str, Any]:
    """All figures of it, JSON-able: percentages 0-100, seconds, alarms an hour; None where there is nothing to divide.

    Returns:
        `precision`, `recall`, `f1`, `delay_median_s`, `delay_p90_s`, `false_alarms_per_hour`; `n` with the counts
        behind; `intervals` of 95 %: Wilson's for shares, exact Poisson for the rate. F1 is no share and has none.
    """
    moments = found.moments
    return {
        "precision": moments.precision,
        "recall": moments.recall,
        "f1": moments.f1,
        "delay_median_s": quantile(moments.delays, 0.5),
        "delay_p90_s": quantile(moments.delays, 0.9),
        "false_alarms_per_hour": moments.false_alarms_per_hour,
        "n": _counts(found),
        "intervals": {
            "precision": share_interval(moments.matched, moments.fires),
            "recall": share_interval(moments.matched, moments.references),
            "false_alarms_per_hour": _listed(poisson(moments.false_alarms, moments.hours)),
        },
    }


def _counts(found: Firing) -> dict[str, float]:
    moments = found.moments
    return {
        "references": moments.references,
        "fires": moments.fires,
        "matched": moments.matched,
        "false_alarms": moments.false_alarms,
        "duplicates": found.duplicates,
        "hours": moments.hours,
    }


def share_interval(hits: int, n: int) -> list[float] | None:
    """Wilson's 95 % interval of a share, in percent."""
    return _listed(wilson(hits, n), 100.0)


def _listed(interval: tuple[float, float] | None, scale: float = 1.0) -> list[float] | None:
    return None if interval is None else [scale * bound for bound in interval]
