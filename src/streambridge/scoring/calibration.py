"""Does a score of 0.8 come true eight times in ten: scores of frames against labels. Knows no gate and no time."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from streambridge.errors import WrongUse
from streambridge.scoring.alarms import share_interval
from streambridge.scoring.moments import percent

BINS: Final = 10  # of equal width


@dataclass(frozen=True, slots=True)
class Bin:
    """The frames whose scores lie in [low, high), the last one including 1.

    Attributes:
        low: its lower end.
        high: its upper end.
        n: how many frames.
        positive: how many of them should fire.
        score: the sum of their scores.
    """

    low: float
    high: float
    n: int = 0
    positive: int = 0
    score: float = 0.0

    @property
    def gap(self) -> float:
        """How far the mean score lies from the share of positive frames; 0 of nothing."""
        return abs(self.score - self.positive) / self.n if self.n else 0.0


def bins(labels: Sequence[int], scores: Sequence[float], count: int = BINS) -> list[Bin]:
    """The reliability table.

    Args:
        labels: 1 where the frame should fire, 0 where it should not.
        scores: in [0, 1], one a label.
        count: how many bins.

    Raises:
        WrongUse: when labels and scores are not one to one, or one of them is none.
    """
    _check(labels, scores)
    held: list[list[int]] = [[] for _ in range(count)]
    for number, score in enumerate(scores):
        held[min(int(score * count), count - 1)].append(number)
    return [
        Bin(k / count, (k + 1) / count, len(own), sum(labels[i] for i in own), math.fsum(scores[i] for i in own))
        for k, own in enumerate(held)
    ]


def expected_error(table: Sequence[Bin]) -> float | None:
    """The expected calibration error (ECE): the mean gap, weighted by frames; None of nothing."""
    n = sum(one.n for one in table)
    return math.fsum(one.gap * one.n for one in table) / n if n else None


def brier(labels: Sequence[int], scores: Sequence[float]) -> float | None:
    """Brier's score: the mean square of what a score lacks; None of nothing."""
    _check(labels, scores)
    squares = ((score - label) ** 2 for label, score in zip(labels, scores, strict=True))
    return math.fsum(squares) / len(labels) if labels else None


def report(labels: Sequence[int], scores: Sequence[float]) -> dict[str, Any]:
    """All of it, JSON-able; `brier_of_the_base_rate` is what one gets who always says how often frames are positive."""
    table, n, positive = bins(labels, scores), len(labels), sum(labels)
    rate = positive / n if n else None
    return {
        "n": {"frames": n, "positive": positive},
        "ece": expected_error(table),
        "brier": brier(labels, scores),
        "brier_of_the_base_rate": None if rate is None else rate * (1 - rate),
        "bins": [_said(one) for one in table],
    }


def _said(one: Bin) -> dict[str, Any]:
    return {
        "low": one.low,
        "high": one.high,
        "n": one.n,
        "score": one.score / one.n if one.n else None,
        "positive": percent(one.positive, one.n),
        "interval": share_interval(one.positive, one.n),
    }


def _check(labels: Sequence[int], scores: Sequence[float]) -> None:
    if len(labels) != len(scores):
        raise WrongUse(f"one score a label; there are {len(labels)} labels and {len(scores)} scores")
    for label, score in zip(labels, scores, strict=True):
        if label not in (0, 1) or not 0.0 <= score <= 1.0:
            raise WrongUse(f"a label is 0 or 1 and a score lies in [0, 1]; one pair is {label!r}, {score!r}")
