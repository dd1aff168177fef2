"""The trained gate: a score after each frame, a fire where the trigger says so. Knows no session and no answer model.

One step costs one frame: the cache holds the question, the frames and the own answers so far; <ACT> is cut from it at
once. When the reach is full the older half is let go and the rest is read anew behind the question, so a step always
equals the training forward of what is held. Several Watches look at a frame in one pass.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from streambridge.activation.score_net import Entry, Reach, ScoreNet, read_net, read_words
from streambridge.activation.trigger import Trigger, TriggerSettings
from streambridge.engine.cache import KV
from streambridge.errors import BadInput, WrongUse
from streambridge.types import Backbone, Decision, Frame, FrameTokens, GateTokens

WORDS: Final = 256  # tokens of room for the question and own answers; more is made when needed
MOST: Final = 8192  # tokens of room at once, however far a gate reaches
EMBEDDED: Final = Path(__file__).parent.parent / "embedded" / "gate"


class ScoreHead:
    """A gate read from a folder.

    Args:
        sight: the backbone whose eyes it shares (the embedded gate: `tiny`).
        shared: `sight` is the session's own backbone, so its tokens are used as they come.
        folder: of the gate; None for the embedded one.
        threshold: a score above it may fire; None: as chosen in training.
        rest_s: seconds of rest after a fire; None: as chosen in training.

    Raises:
        BadInput: when the folder holds no gate.
        WrongUse: when a number makes no sense.
    """

    name = "score_head"

    def __init__(
        self,
        sight: Backbone,
        shared: bool = True,
        folder: str | Path | None = None,
        threshold: float | None = None,
        rest_s: float | None = None,
    ) -> None:
        where = Path(folder) if folder is not None else EMBEDDED
        self.net, self.tokenizer, trigger = read_net(where)
        self.trigger = _changed(_trained(trigger, where), threshold, rest_s)
        self._sight, self._shared = sight, shared

    def look(self, frame: Frame, tokens: FrameTokens) -> GateTokens:
        """The vision tokens float32 [P, V] of a frame, made once for all Watches."""
        seen = tokens if self._shared else self._sight.encode(frame)
        return GateTokens({"tokens": seen.bundle["embeds"]}, frame.t)

    def watch(self, question: str, t: float) -> ScoreWatch:
        """Begin to watch for a question."""
        return ScoreWatch(self.net, self.encode_text(question), Trigger(self.trigger), self.encode_text)

    def observe(self, watches: Sequence[ScoreWatch], frame: GateTokens) -> list[Decision]:
        """Judge the newest frame for several Watches in one pass."""
        return judge(self.net, watches, frame)

    def encode_text(self, text: str) -> list[int]:
        """Ids of words, as in training."""
        return read_words(self.tokenizer, text)

    def settings(self) -> Mapping[str, Any]:
        """The numbers that decide."""
        return {"gate": self.name, **self.trigger.mapping(), **asdict(self.net.reach)}


def _trained(saved: Mapping[str, Any], where: Path) -> TriggerSettings:
    try:
        return TriggerSettings(**saved)
    except (TypeError, WrongUse) as err:
        raise BadInput(f"{where} cannot be read as a gate: its trigger is {saved!r:.200}: {err}") from err


def _changed(trained: TriggerSettings, threshold: float | None, rest_s: float | None) -> TriggerSettings:
    if threshold is not None:
        rearm, trained = trained.rearm, replace(trained, threshold=threshold, rearm=None)
        if rearm is not None and rearm <= threshold:  # else half of the new one, as by default
            trained = replace(trained, rearm=rearm)
    return trained if rest_s is None else replace(trained, rest_s=rest_s)


class ScoreWatch:
    """One question being watched for: the entries held, and the cache they are read into.

    Attributes:
        entries: the question, then frames and own answers in order of time.
        kv: their keys and values, as far as they were read.
    """

    def __init__(
        self, net: ScoreNet, question: Sequence[int], trigger: Trigger, encode_text: Callable[[str], list[int]]
    ) -> None:
        self.net, self.trigger, self._encode = net, trigger, encode_text
        self.entries: list[Entry] = [question]
        self.kv = KV(static=net.act.is_cuda)
        self._read = 0  # entries that are in the cache

    def observe(self, frame: GateTokens) -> Decision:
        """Judge the newest frame."""
        return judge(self.net, [self], frame)[0]

    def heard(self, text: str, t: float) -> None:
        """An own answer joins the line, as in training."""
        self.entries.append(self._encode(text))

    def unread(self, tokens: Tensor) -> list[Entry]:
        """What is to be read to judge this frame, itself the last; room is made for it."""
        if not self.kv.length:
            self.kv.expect(min((self.net.reach.frames + 1) * len(tokens) + WORDS, MOST))
        if sum(isinstance(entry, Tensor) for entry in self.entries) >= self.net.reach.frames:
            self.entries = cut([*self.entries, tokens], self.net.reach)[:-1]
            self._read = min(self._read, 1)  # the question stands where it stood
        self.kv.crop(sum(len(entry) for entry in self.entries[: self._read]))  # without what a broken pass left
        return [*self.entries[self._read :], tokens]

    def take(self, tokens: Tensor, score: float, t: float) -> Decision:
        """The frame was read, and this is its score."""
        self.entries.append(tokens)
        self._read = len(self.entries)
        return Decision(score, self.trigger.step(score, t))


def judge(net: ScoreNet, watches: Sequence[ScoreWatch], frame: GateTokens) -> list[Decision]:
    """One pass for all; when it breaks, none of them has taken the frame."""
    tokens = frame.bundle["tokens"]
    logits = net.step([(watch.kv, watch.unread(tokens)) for watch in watches])  # [W]
    scores = torch.sigmoid(logits.float()).tolist()
    return [watch.take(tokens, score, frame.t) for watch, score in zip(watches, scores, strict=True)]


def cut(entries: Sequence[Entry], reach: Reach) -> list[Entry]:
    """The question, the newest own answers, and the newer half of the frames with the answers among them."""
    keep, frames = len(entries), 0
    while frames < max(1, reach.frames // 2):
        keep -= 1
        frames += isinstance(entries[keep], Tensor)
    older = [entry for entry in entries[1:keep] if not isinstance(entry, Tensor)]
    return [entries[0], *older[max(0, len(older) - reach.answers) :], *entries[keep:]]


def example() -> ScoreHead:
    """The embedded gate with eyes of its own, for the promise tests, which bring no backbone."""
    from streambridge.backbones.tiny import Tiny

    return ScoreHead(Tiny(), shared=False)


OFFER = ScoreHead
