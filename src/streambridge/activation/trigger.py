"""Turns scores over time into fires: threshold, rest, hysteresis. Knows no model, no frame and no question."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any, TypeGuard

from streambridge.errors import BadInput, WrongUse

_SAME_TIME_S = 1e-9  # 0.3 - 0.1 is less than 0.2 in floats; a rest of 0.2 s has passed all the same


@dataclass(frozen=True, slots=True)
class TriggerSettings:
    """The one home of the numbers that decide when a score becomes a fire; written into every log.

    Attributes:
        threshold: a score above it may fire; a score equal to it does not. In [0, 1].
        rest_s: seconds after a fire in which nothing fires. A rise during the rest is *delayed* to the first frame at
            or after its end if the score is still above the threshold there, and *lost* if it has fallen by then.
        rearm: after a fire the score must come down to this or below before the next fire (hysteresis); at most
            `threshold`, and half of it when None. Without meaning when `rising` is False.
        rising: fire on rising edges only. False: every score above the threshold fires, but for the rest.

    Raises:
        WrongUse: on numbers that make no sense.
    """

    threshold: float = 0.5
    rest_s: float = 0.0
    rearm: float | None = None
    rising: bool = True

    def __post_init__(self) -> None:
        _expect_between("threshold", self.threshold, 1.0)
        _expect_between("rest_s", self.rest_s, math.inf)
        if self.rearm is not None:
            _expect_between("rearm", self.rearm, 1.0)
            if self.rearm > self.threshold:
                raise WrongUse(f"rearm lies at or below the threshold {self.threshold}; this one is {self.rearm}")
        if not isinstance(self.rising, bool):
            raise WrongUse(f"rising is True or False; this one is {self.rising!r}")

    @property
    def rearm_at(self) -> float:
        """The score at or below which the trigger is armed again after a fire."""
        return self.threshold / 2 if self.rearm is None else self.rearm

    def mapping(self) -> Mapping[str, Any]:
        """The numbers as they decide, JSON-able, for the log: what was left to a default is filled in."""
        rearm = float(self.rearm_at) if self.rising else None
        numbers = {"threshold": float(self.threshold), "rest_s": float(self.rest_s)}
        return {**numbers, "rearm": rearm, "rising": self.rising}


class Trigger:
    """The state of one Watch's trigger: whether it is armed, and when it last fired. Armed at first."""

    def __init__(self, settings: TriggerSettings | None = None) -> None:
        """Begin armed and rested; without settings, with the defaults of `TriggerSettings`."""
        self.settings = settings or TriggerSettings()
        self._armed = True
        self._fired_at = -math.inf
        self._newest = -math.inf

    def step(self, score: float, t: float) -> bool:
        """Take the score of the newest frame, at stream time `t` in seconds, and say whether it fires.

        Raises:
            BadInput: when the score is no number in [0, 1], or the time is not finite or goes back.
        """
        _expect_score(score)
        self._move_to(t)
        # Coming down re-arms during the rest too: the rest holds back fires, not the memory of the fall.
        if not self.settings.rising or score <= self.settings.rearm_at:
            self._armed = True
        rested = t - self._fired_at >= self.settings.rest_s - _SAME_TIME_S
        fire = self._armed and rested and bool(score > self.settings.threshold)
        if fire:
            self._armed, self._fired_at = False, t
        return fire

    def _move_to(self, t: float) -> None:
        if not _is_number(t) or not math.isfinite(t) or t < self._newest:
            raise BadInput(f"a score needs a finite time that does not go back; this one is at {t!r} s")
        self._newest = t


def _expect_score(score: float) -> None:
    if not _is_number(score) or not 0.0 <= score <= 1.0:  # NaN fails both comparisons
        raise BadInput(f"a score is a number in [0, 1]; this one is {score!r}")


def _expect_between(name: str, value: object, most: float) -> None:
    if not _is_number(value) or not 0.0 <= value <= most or not math.isfinite(value):
        room = f"in [0, {most:g}]" if math.isfinite(most) else "of 0 or more seconds"
        raise WrongUse(f"{name} is a number {room}; this one is {value!r}")


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, Real) and not isinstance(value, bool)


# The published rule: D is computed anew from each frame's score, without rest and without hysteresis
# (arXiv 2505.05467, Algorithm 1; the default threshold of 0.35 from its experiments).
PAPER = TriggerSettings(threshold=0.35, rest_s=0.0, rising=False)
