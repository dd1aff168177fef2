"""A gate without training: after each frame the model is asked whether to speak up now. Knows no session and no tensor.

Nothing is generated: the model tells how likely its answer would begin with yes, and with no. Any model that can tell
serves, a local one or a server. How good a gate it makes depends on the model alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Protocol

from streambridge.activation.trigger import Trigger, TriggerSettings
from streambridge.errors import RunFailed, WrongUse
from streambridge.types import Backbone, Decision, Frame, FrameTokens, GateTokens, Item, Reader, Turn, Weighs

PROBE: Final = (
    "The pictures above are a live video, and the last one shows the present moment. "
    'The viewer asked for this: "{question}" '
    "Is this the moment to speak up: has what the viewer asked for just happened, or does the last picture show it? "
    "{said}Answer with one word: yes or no."
)
SAID: Final = "What you said above the viewer has heard, so say yes only if there is something new. "
YES: Final = ("yes", "Yes", "YES", " yes", " Yes", " YES")  # which one a model begins with, its tokenizer decides
NO: Final = ("no", "No", "NO", " no", " No", " NO")
LEAST: Final = 0.01  # of yes and no together: a model that says neither did not understand, and its share is chance
WORDS: Final = 512  # tokens of room for the question and own answers; more is made when needed


class Sight(Backbone, Weighs, Protocol):
    """A backbone that tells how it would begin an answer."""


class ZeroShot:
    """The model's own yes or no about the watched question.

    The score is yes / (yes + no) of the two probabilities, and 0 where they come to less than `LEAST` together. Each
    frame costs a pass over its tokens and the question's for every Watch (with a server: a request with up to `reach`
    pictures), so put `scene_change` before it where little happens.

    Args:
        sight: the model that is asked.
        shared: it is the session's own backbone, so its tokens are used as they come.
        threshold: a score above it may fire; after a fire the score must come down to half of it first.
        rest_s: seconds of rest after a fire.
        reach: frames that it looks back on; when so many are held, the older half is let go.
        answers: own answers that are kept beyond the frames held.

    Raises:
        WrongUse: when the model cannot tell how likely a yes is, or a number makes no sense.
    """

    name = "zero_shot"

    def __init__(
        self,
        sight: Backbone,
        shared: bool = True,
        threshold: float = 0.5,
        rest_s: float = 0.0,
        reach: int = 16,
        answers: int = 2,
    ) -> None:
        if not isinstance(sight, Weighs):
            who = f"the model {getattr(sight, 'name', sight)!r:.80}"
            raise WrongUse(f"zero_shot asks how likely a yes is, which {who} does not tell; try scene_change")
        for name, value, least in (("reach", reach, 1), ("answers", answers, 0)):
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise WrongUse(f"zero_shot's {name} is a whole number, {least} or more; this one is {value!r}")
        self.trigger = TriggerSettings(threshold, rest_s)
        self.reach, self.answers = reach, answers
        self._sight: Any = sight  # a Backbone that also weighs
        self._shared = shared

    def look(self, frame: Frame, tokens: FrameTokens) -> GateTokens:
        """What the model made of the frame; seen a second time only where the session's model is another one."""
        return GateTokens({"item": tokens if self._shared else self._sight.encode(frame)}, frame.t)

    def watch(self, question: str, t: float) -> ZeroShotWatch:
        """Begin to watch for a question posed at `t`."""
        probes = [PROBE.format(question=question, said=said) for said in ("", SAID)]
        first, later = (self._sight.turn("user", text, t, "question", "probe") for text in probes)
        return ZeroShotWatch(self._sight, (first, later), Trigger(self.trigger), self.reach, self.answers)

    def settings(self) -> Mapping[str, Any]:
        """The numbers and the words that decide."""
        kept = {"reach": self.reach, "answers": self.answers}
        return {"gate": self.name, **self.trigger.mapping(), **kept, "probe": PROBE, "said": SAID}


class ZeroShotWatch:
    """One question being watched for: the frames and own answers held, and the cache they are read into.

    It reads a line of its own and not the session's memory. Frames are judged while an answer is being spoken, when the
    session's cache is taken and its memory stands still; memory holds what others asked, and is merged and rebuilt at
    times of its own; and this line is short, begins at the question and ends with it. So the frames stay in the cache
    from one frame to the next, and only the probe behind them is read and cut off again.

    Args:
        sight: the model that is asked.
        probes: what it is asked: before the first own answer, and after it.
        trigger: turns scores into fires.
        reach: frames held at most.
        answers: own answers kept beyond them.

    Attributes:
        items: frames and own answers, in order of time.
    """

    def __init__(self, sight: Sight, probes: tuple[Turn, Turn], trigger: Trigger, reach: int, answers: int) -> None:
        self.items: list[Item] = []
        self._sight, self._probes, self._trigger = sight, probes, trigger
        self._reach, self._answers = reach, answers
        self._reader: Reader | None = None

    def observe(self, frame: GateTokens) -> Decision:
        """Judge the newest frame. When something breaks the frame is not taken, and the next one is judged as ever."""
        items = self._with(frame.bundle["item"])
        score = share_of_yes(*self._weigh([*items, replace(self._probe(items), t=frame.t)]))
        fire = self._trigger.step(score, frame.t)
        self.items = items
        return Decision(score, fire)

    def heard(self, text: str, t: float) -> None:
        """An own answer joins the line; one without words leaves no trace."""
        if text.strip():
            self.items.append(self._sight.turn("assistant", text, t, "answer", "said"))

    def _with(self, seen: FrameTokens) -> list[Item]:
        """What is held once this frame is: halved while it is too many frames, or too long for the model."""
        items: list[Item] = [*self.items, seen]
        while (frames := _frames(items)) > 1 and (frames > self._reach or self._too_long(items)):
            items = halved(items, self._answers)
        return items

    def _too_long(self, items: Sequence[Item]) -> bool:
        tokens = sum(item.tokens for item in items) + self._probe(items).tokens + self._sight.overhead()
        return tokens > self._sight.caps.max_context

    def _probe(self, items: Sequence[Item]) -> Turn:
        return self._probes[any(isinstance(item, Turn) for item in items)]

    def _weigh(self, items: Sequence[Item]) -> list[float]:
        if self._reader is None:
            longest = max(item.tokens for item in items if isinstance(item, FrameTokens))
            room = min((self._reach + 1) * longest + WORDS, self._sight.caps.max_context)
            self._reader = self._sight.reader(room)
        try:
            return self._sight.weigh(items, (YES, NO), self._reader)
        except Exception:
            self._reader = None  # who knows what of it was read; a new one reads again the little that is held
            raise


def share_of_yes(*weights: float) -> float:
    """How much of what the model gives to yes and no goes to yes, in [0, 1]; 0.0 when that is next to nothing.

    Raises:
        RunFailed: when the model told anything but two probabilities.
    """
    if len(weights) != 2 or not all(math.isfinite(weight) and weight >= 0.0 for weight in weights):
        raise RunFailed(f"the model was to tell the probabilities of yes and of no; it told {weights!r:.80}")
    yes, no = weights
    return float(yes / (yes + no)) if yes + no >= LEAST else 0.0


def halved(items: Sequence[Item], answers: int) -> list[Item]:
    """The newer half of the frames with the answers among them, and the newest so many answers before them."""
    keep, frames = len(items), 0
    while frames < max(1, _frames(items) // 2):
        keep -= 1
        frames += isinstance(items[keep], FrameTokens)
    older = [item for item in items[:keep] if isinstance(item, Turn)]
    return [*older[max(0, len(older) - answers) :], *items[keep:]]


def _frames(items: Sequence[Item]) -> int:
    return sum(isinstance(item, FrameTokens) for item in items)


def example() -> ZeroShot:
    """The embedded model asked, with eyes of its own, for the promise tests, which bring no backbone."""
    from streambridge.backbones.tiny import Tiny

    return ZeroShot(Tiny(), shared=False)


OFFER = ZeroShot
