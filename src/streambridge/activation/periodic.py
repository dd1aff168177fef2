"""A gate that speaks by the stream's own clock: every so many seconds. Knows no model and looks at no pixel."""

import math
from collections.abc import Mapping
from typing import Any

from streambridge.errors import WrongUse
from streambridge.types import Decision, Frame, FrameTokens, GateTokens

_SAME_TIME_S = 1e-9  # three steps of 0.1 s make 0.30000000000000004 s


class Periodic:
    """Each Watch fires `every_s` seconds after its question, and every `every_s` seconds from there.

    It fires on the first frame at or after each of these times. When no frame came for several periods there is one
    fire, not several.

    Args:
        every_s: seconds of stream time between two fires, above 0.

    Raises:
        WrongUse: when `every_s` is no finite number above 0.
    """

    name = "periodic"

    def __init__(self, every_s: float = 10.0) -> None:
        if not isinstance(every_s, int | float) or isinstance(every_s, bool) or not 0.0 < every_s < math.inf:
            raise WrongUse(f"every_s is a number of seconds above 0; this one is {every_s!r}")
        self.every_s = float(every_s)

    def look(self, frame: Frame, tokens: FrameTokens) -> GateTokens:
        """Note the time of the frame; nothing else is needed."""
        return GateTokens({}, frame.t)

    def watch(self, question: str, t: float) -> "_Beat":
        """Begin to count from `t`, the time at which the question was posed."""
        return _Beat(self.every_s, t)

    def settings(self) -> Mapping[str, Any]:
        """The period."""
        return {"gate": self.name, "every_s": self.every_s}


class _Beat:
    def __init__(self, every_s: float, t: float) -> None:
        self._every_s, self._start, self._beats = every_s, t, 0

    def observe(self, frame: GateTokens) -> Decision:
        beats = math.floor((frame.t - self._start + _SAME_TIME_S) / self._every_s)
        fire = beats > self._beats
        self._beats = max(beats, self._beats)
        return Decision(1.0 if fire else 0.0, fire)

    def heard(self, text: str, t: float) -> None:
        """An answer changes nothing."""


OFFER = Periodic
