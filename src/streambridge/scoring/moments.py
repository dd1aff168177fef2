"""Did it speak when it should: answers against reference times. Knows times only, no words and no events."""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from streambridge.errors import WrongUse

_SAME_TIME_S = 1e-9  # 1.3 - 0.3 is more than 1.0 in floats; it is within a second all the same


def match(references: Sequence[float], fires: Sequence[float], tol_s: float) -> tuple[tuple[int, int], ...]:
    """Pair fires with reference times one to one, each pair at most `tol_s` seconds apart, in either direction.

    Optimal: as many pairs as can be, and among those the least sum of distances. On a line uncrossing two pairs makes
    neither longer than the longer one, nor the sum greater, so that one pass over both in order of time finds it.

    Args:
        references: times in seconds, in any order.
        fires: times in seconds, in any order.
        tol_s: the window is [-tol_s, +tol_s]; infinity is allowed.

    Returns:
        Pairs (number in `references`, number in `fires`), in order of time.

    Raises:
        WrongUse: when `tol_s` is below 0 or a time is not finite.
    """
    _check(references, fires, tol_s)
    first = sorted(range(len(references)), key=references.__getitem__)
    second = sorted(range(len(fires)), key=fires.__getitem__)
    table = _Table([references[i] for i in first], [fires[j] for j in second], tol_s)
    return tuple((first[i], second[j]) for i, j in table.pairs())


def _check(references: Sequence[float], fires: Sequence[float], tol_s: float) -> None:
    if not tol_s >= 0:
        raise WrongUse(f"a tolerance is a number of seconds of 0 or more; this one is {tol_s}")
    for t in (*references, *fires):
        if not math.isfinite(t):
            raise WrongUse(f"times are finite numbers of seconds; one is {t}")


class _Table:
    """The best of the first i references and the first j fires, both sorted: (pairs, -sum of distances).

    Only the cells inside the window of a reference are kept, so the cost is the number of pairs within reach. Windows
    move to the right with i; right of its window a row is constant, left of it it is never asked for again.
    """

    def __init__(self, references: list[float], fires: list[float], tol_s: float) -> None:
        self._references, self._fires = references, fires
        reach = tol_s + _SAME_TIME_S
        self._from = [0, *(bisect_left(fires, t - reach) for t in references)]
        self._to = [0, *(bisect_right(fires, t + reach) for t in references)]
        self._rows = [[(0, 0.0)]]
        for i in range(1, len(references) + 1):
            self._rows.append(self._row(i))

    def _best(self, i: int, j: int) -> tuple[int, float]:
        return self._rows[i][min(j, self._to[i]) - self._from[i]]

    def _row(self, i: int) -> list[tuple[int, float]]:
        row = [self._best(i - 1, self._from[i])]
        for j in range(self._from[i] + 1, self._to[i] + 1):
            pairs, distance = self._best(i - 1, j - 1)
            taken = (pairs + 1, distance - abs(self._references[i - 1] - self._fires[j - 1]))
            row.append(max(taken, self._best(i - 1, j), row[-1]))
        return row

    def pairs(self) -> list[tuple[int, int]]:
        found, i, j = [], len(self._references), len(self._fires)
        while i:
            j = min(j, self._to[i])
            here = self._best(i, j)
            if here == self._best(i - 1, j):
                i -= 1
            elif here == self._best(i, j - 1):
                j -= 1
            else:
                i, j = i - 1, j - 1
                found.append((i, j))
        return found[::-1]


@dataclass(frozen=True, slots=True)
class Moments:
    """How well the moments were met; shares are percentages, and None where there is nothing to divide by.

    Attributes:
        references: how many times something should be said.
        fires: how many times something was said.
        delays: seconds of each matched fire after its reference (negative: before).
        hours: hours of stream in which something was watched for.
    """

    references: int = 0
    fires: int = 0
    delays: tuple[float, ...] = ()
    hours: float = 0.0

    @property
    def matched(self) -> int:
        """How many fires met a reference."""
        return len(self.delays)

    @property
    def false_alarms(self) -> int:
        """How many fires met none."""
        return self.fires - self.matched

    @property
    def precision(self) -> float | None:
        """Percentage of fires that met a reference."""
        return percent(self.matched, self.fires)

    @property
    def recall(self) -> float | None:
        """Percentage of references that were met."""
        return percent(self.matched, self.references)

    @property
    def f1(self) -> float | None:
        """Harmonic mean of both; 0 for one who is silent when something should be said."""
        return percent(2 * self.matched, self.fires + self.references)

    @property
    def delay_s(self) -> float | None:
        """Mean of the delays, with their signs."""
        return math.fsum(self.delays) / self.matched if self.delays else None

    @property
    def false_alarms_per_hour(self) -> float | None:
        """False alarms per hour of stream in which something was watched for."""
        return self.false_alarms / self.hours if self.hours else None


def measure(references: Sequence[float], fires: Sequence[float], tol_s: float, hours: float = 0.0) -> Moments:
    """Match and count, for one question.

    Raises:
        WrongUse: as `match`.
    """
    pairs = match(references, fires, tol_s)
    return Moments(len(references), len(fires), tuple(fires[j] - references[i] for i, j in pairs), hours)


def pool(parts: Iterable[Moments]) -> Moments:
    """All of them as one: counts, delays and hours add up, and shares are taken of the sums."""
    every = list(parts)
    delays = tuple(delay for part in every for delay in part.delays)
    hours = math.fsum(part.hours for part in every)
    return Moments(sum(part.references for part in every), sum(part.fires for part in every), delays, hours)


def percent(hits: int, n: int) -> float | None:
    """A share as a percentage, or None of nothing."""
    return 100.0 * hits / n if n else None
