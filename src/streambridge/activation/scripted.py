"""A gate that fires when it was told to: for benchmarks, oracle studies and tests. Knows no model and no pixel."""

import math
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

from streambridge.errors import WrongUse
from streambridge.types import Decision, Frame, FrameTokens, GateTokens


class Scripted:
    """Each Watch fires on the first frame at or after each time scripted for its question's text.

    Several times that pass between two frames make one fire. A time before the question was posed belongs to an
    earlier asking of the same words and is let go. A question that the script does not name never fires.

    Args:
        fires: the question's text -> stream times in seconds, in any order.

    Raises:
        WrongUse: when the script is no such mapping.
    """

    name = "scripted"

    def __init__(self, fires: Mapping[str, Sequence[float]]) -> None:
        if not isinstance(fires, Mapping):
            raise WrongUse(f"a script maps a question's text to times in seconds; this one is {fires!r}")
        self._fires = {_text(text): _times(text, times) for text, times in fires.items()}

    def look(self, frame: Frame, tokens: FrameTokens) -> GateTokens:
        """Note the time of the frame; nothing else is needed."""
        return GateTokens({}, frame.t)

    def watch(self, question: str, t: float) -> "_Script":
        """Begin to watch for a question posed at `t`."""
        return _Script(tuple(due for due in self._fires.get(question, ()) if due >= t))

    def settings(self) -> Mapping[str, Any]:
        """The whole script."""
        return {"gate": self.name, "fires": {text: list(times) for text, times in self._fires.items()}}


class _Script:
    def __init__(self, due: tuple[float, ...]) -> None:
        self._due = due  # sorted

    def observe(self, frame: GateTokens) -> Decision:
        left = tuple(due for due in self._due if due > frame.t)
        fire, self._due = len(left) < len(self._due), left
        return Decision(1.0 if fire else 0.0, fire)

    def heard(self, text: str, t: float) -> None:
        """An answer changes nothing."""


def _text(text: object) -> str:
    if not isinstance(text, str):
        raise WrongUse(f"a script maps a question's text to times; {text!r} is no text")
    return text


def _times(text: str, times: Sequence[float]) -> tuple[float, ...]:
    if isinstance(times, str) or not isinstance(times, Sequence) or not all(_is_time(t) for t in times):
        raise WrongUse(f"the times scripted for {text!r} are finite numbers of seconds in a list; they are {times!r}")
    return tuple(sorted(float(t) for t in times))


def _is_time(t: object) -> bool:
    return isinstance(t, Real) and not isinstance(t, bool) and math.isfinite(t)


def example() -> Scripted:
    """One for the promise tests, which know no script."""
    return Scripted({"Tell me each step.": [1.0, 2.5, 4.0]})


OFFER = Scripted
