"""Intervals for shares and rates, exact arithmetic on counts. Knows no event and no timeline."""

import math
from collections.abc import Callable
from statistics import NormalDist

from streambridge.errors import WrongUse

Interval = tuple[float, float]


def wilson(hits: int, n: int, confidence: float = 0.95) -> Interval | None:
    """Wilson's score interval for a share, as shares in [0, 1]; None when n is 0.

    Raises:
        WrongUse: when `hits` is not between 0 and `n`, or `confidence` not between 0 and 1.
    """
    _check_confidence(confidence)
    if not 0 <= hits <= n:
        raise WrongUse(f"hits lie between 0 and n; they are {hits} of {n}")
    if n == 0:
        return None
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share, weight = hits / n, z * z / n
    middle = (share + weight / 2) / (1 + weight)
    half = z / (1 + weight) * math.sqrt(share * (1 - share) / n + weight / (4 * n))
    # At the ends the bound is 0 or 1 exactly; floats miss it by a hair.
    return (0.0 if hits == 0 else middle - half, 1.0 if hits == n else middle + half)


def poisson(count: int, exposure: float, confidence: float = 0.95) -> Interval | None:
    """The exact (Garwood) interval for a rate: `count` events in `exposure` units; None when exposure is 0.

    Returns:
        The lowest and highest rate per unit: those at which `count` or more, and `count` or fewer, have the
        probability (1 - confidence) / 2.

    Raises:
        WrongUse: when the count is below 0, the exposure below 0 or not finite, or `confidence` not between 0 and 1.
    """
    _check_confidence(confidence)
    if count < 0 or not 0 <= exposure < math.inf:
        raise WrongUse(f"a rate needs a count and an exposure of 0 or more; they are {count} and {exposure}")
    if exposure == 0:
        return None
    tail = (1 - confidence) / 2
    # Both bounds lie within ten standard deviations and some; the CDF falls as the mean grows.
    most = count + 20 + 10 * math.sqrt(count + 1) - 2 * math.log(tail)
    low = 0.0 if count == 0 else _where(lambda mean: _cdf(count - 1, mean) <= 1 - tail, most)
    return low / exposure, _where(lambda mean: _cdf(count, mean) <= tail, most) / exposure


def _where(holds: Callable[[float], bool], most: float) -> float:
    """The mean in [0, most] from which on it holds, by bisection to the last bits."""
    low, high = 0.0, most
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def _cdf(count: int, mean: float) -> float:
    """P(X <= count) of a Poisson variable; logarithms, since the factorials overflow."""
    if mean == 0:
        return 1.0
    return math.fsum(math.exp(i * math.log(mean) - mean - math.lgamma(i + 1)) for i in range(count + 1))


def _check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise WrongUse(f"a confidence lies between 0 and 1, e.g. 0.95; this one is {confidence}")
