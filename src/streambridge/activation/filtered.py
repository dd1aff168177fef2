"""One gate before another: the second is asked only where the first sees something. Knows none of the two.

For a dear gate on a stream where little happens: `scene_change+zero_shot` asks the model when the picture changed.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Final, TypeAlias

from streambridge.errors import WrongUse
from streambridge.types import Activation, Decision, Frame, FrameTokens, GateTokens, Watch

BAR: Final = 0.02  # of the first gate's score: of scene_change, a fiftieth of the picture
FIRST: Final = {"threshold": BAR, "rest_s": 0.0}  # a first gate's own numbers, so that it fires where it passes the bar

Together: TypeAlias = Callable[[Sequence["FilteredWatch"], GateTokens], list[Decision]]


class Filtered:
    """Two gates as one. The score is the second's; on frames where it was not asked it is 0.0, and nothing fires.

    The second sees the frames it is asked about and no other: skipped frames are not in its context, its hysteresis and
    the end of its rest wait for the next frame that it is asked about. A trained gate, which learned from every frame,
    judges less well so; and what happens without a visible change is missed. Both hear the own answers.

    The first frame of a Watch is always asked about, and a frame at which the second broke is made up for at the next.

    Args:
        first: the cheap gate. It should fire where its score passes the bar: `scene_change` compares with the picture
            at its last fire.
        second: the one that decides.
        bar: of the first's own score; above it the second is asked.

    Attributes:
        observe: several Watches in one pass, where the second gate offers that; else None.

    Raises:
        WrongUse: when the bar is no number in [0, 1).
    """

    def __init__(self, first: Activation, second: Activation, bar: float = BAR) -> None:
        if not isinstance(bar, int | float) or isinstance(bar, bool) or not 0.0 <= bar < 1.0:
            raise WrongUse(f"the bar between two gates is a number from 0 to below 1; this one is {bar!r}")
        self.first, self.second, self.bar = first, second, float(bar)
        self.name = f"{first.name}+{second.name}"
        self._together: Any = getattr(second, "observe", None)
        self.observe: Together | None = None if self._together is None else self._judge

    def look(self, frame: Frame, tokens: FrameTokens) -> GateTokens:
        """The first gate's look; the second's is taken when the first Watch asks for it, and shared by all."""
        looks = {"first": self.first.look(frame, tokens), "second": cache(lambda: self.second.look(frame, tokens))}
        return GateTokens(looks, frame.t)

    def watch(self, question: str, t: float) -> "FilteredWatch":
        """Begin to watch for a question, with both."""
        return FilteredWatch(self.first.watch(question, t), self.second.watch(question, t), self.bar)

    def settings(self) -> Mapping[str, Any]:
        """The numbers of both."""
        both = {"first": dict(self.first.settings()), "second": dict(self.second.settings())}
        return {"gate": self.name, "bar": self.bar, **both}

    def _judge(self, watches: Sequence["FilteredWatch"], frame: GateTokens) -> list[Decision]:
        asked = [watch for watch in watches if watch.asks(frame)]
        said = self._together([watch.second for watch in asked], frame.bundle["second"]()) if asked else []
        answers = dict(zip(asked, said, strict=True))
        return [watch.take(answers.get(watch)) for watch in watches]


class FilteredWatch:
    """One question being watched for by two gates.

    Args:
        first: the cheap one.
        second: the one that decides.
        bar: of the first's score.
    """

    def __init__(self, first: Watch, second: Watch, bar: float) -> None:
        self.first, self.second = first, second
        self._bar = bar
        self._newest: GateTokens | None = None
        self._due = True  # the second is to be asked; so it stays until it has answered

    def observe(self, frame: GateTokens) -> Decision:
        """Judge the newest frame."""
        return self.take(self.second.observe(frame.bundle["second"]()) if self.asks(frame) else None)

    def heard(self, text: str, t: float) -> None:
        """Both hear of an own answer."""
        self.first.heard(text, t)
        self.second.heard(text, t)

    def asks(self, frame: GateTokens) -> bool:
        """Whether the second is to be asked about this frame. The first judges it once, however often this is asked."""
        if frame is not self._newest:
            self._due = self.first.observe(frame.bundle["first"]).score > self._bar or self._due
            self._newest = frame
        return self._due

    def take(self, said: Decision | None) -> Decision:
        """What the second said, or that it was not asked."""
        if said is None:
            return Decision(0.0, False)
        self._due = False
        return said
