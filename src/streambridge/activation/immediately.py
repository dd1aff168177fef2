"""A gate that speaks at once, and once: on the first frame it is shown. Knows no model and looks at no pixel.

With it a multi-turn benchmark of real-time questions runs through the same Session as everything else.
"""

from collections.abc import Mapping
from typing import Any

from streambridge.types import Decision, Frame, FrameTokens, GateTokens


class Immediately:
    """Each Watch fires on the first frame it judges (the frame in view, if there is one) and never again."""

    name = "immediately"

    def look(self, frame: Frame, tokens: FrameTokens) -> GateTokens:
        """Note the time of the frame; nothing else is needed."""
        return GateTokens({}, frame.t)

    def watch(self, question: str, t: float) -> "_Once":
        """Begin to watch for a question posed at `t`."""
        return _Once()

    def settings(self) -> Mapping[str, Any]:
        """No number decides here."""
        return {"gate": self.name}


class _Once:
    def __init__(self) -> None:
        self._fired = False

    def observe(self, frame: GateTokens) -> Decision:
        fire, self._fired = not self._fired, True
        return Decision(1.0 if fire else 0.0, fire)

    def heard(self, text: str, t: float) -> None:
        """An answer changes nothing."""


OFFER = Immediately
