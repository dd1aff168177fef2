"""Memory kept within its budget, and what that cost, told as events. Knows no gate, no clock and who asks for what.

The buffer does what a policy says; this file says when the policy is asked, and with which budget.
"""

from collections.abc import Mapping
from typing import Any

from streambridge.errors import WrongUse
from streambridge.memory.buffer import Fit, MemoryBuffer
from streambridge.types import (
    Backbone,
    Compressed,
    Compression,
    Dropped,
    Event,
    Forgot,
    Item,
    OverBudget,
    Plan,
    Turn,
)

QUARTER = 4  # one question, and all pinned ones together, take at most this part of `max_len`: the rest is for seeing


class Recall:
    """The memory of one session.

    After every `add` a policy that is asked at frames and guarantees its budget leaves `tokens + reserve <= max_len`.

    Args:
        backbone: merges frames, counts tokens and renders plans.
        policy: the memory policy.
        max_len: tokens that memory and an answer may take together.
        answer_len: the longest answer, in tokens.
        system: words that stand first and are never forgotten.

    Raises:
        WrongUse: when what is fixed leaves too little room for pinned questions and the newest one.
    """

    def __init__(
        self, backbone: Backbone, policy: Compression, max_len: int, answer_len: int, system: str | None
    ) -> None:
        first = None if system is None else backbone.turn("system", system, 0.0, "system", "system")
        self.buffer = MemoryBuffer(first)  # line 2: MB = []
        self.backbone, self.policy, self.max_len = backbone, policy, max_len
        self.reserve = answer_len + backbone.overhead()
        self.budget = max_len - (self.reserve if policy.reserves else 0)
        fixed = self.reserve + self.buffer.tokens
        # Pinned questions and the newest one may take a quarter each: the other half has to hold what is fixed.
        if 2 * fixed > max_len:
            raise WrongUse(
                f"max_len {max_len} is too small: the answer and the system words alone take {fixed} tokens; "
                f"at least {2 * fixed} are needed, or a shorter answer_len"
            )

    def too_long(self, tokens: int) -> bool:
        """Whether words of so many tokens are more than one question, or all pinned ones, may take."""
        return tokens > self.max_len // QUARTER

    def add(self, item: Item, t: float) -> list[Event]:
        """Remember an item; `t` is the stream time of the events."""
        self.buffer.append(item)
        return self._fit(self.buffer, t) if self.policy.at == "frame" else []

    def close_round(self, answer: Turn | None, t: float) -> list[Event]:
        """Close the round with its answer, or without one when nothing was heard."""
        if answer is not None:
            self.buffer.append(answer)
        self.buffer.close()
        return self._fit(self.buffer, t) if self.policy.at == "frame" else []

    def plan(self, t: float) -> tuple[Plan, list[Event]]:
        """What the model reads for an answer: lines 13 to 15 of Algorithm 1.

        A policy that does not keep its result works on a copy, as Algorithm 1 compresses InputEmbeds and not MB.
        """
        buffer = self.buffer if self.policy.at == "frame" or self.policy.keeps else self.buffer.copy()
        events = self._fit(buffer, t) if self.policy.at == "answer" else []  # lines 14 and 15
        plan = self.backbone.render(buffer.items())  # line 13
        if buffer.tokens > self.budget:
            events.append(OverBudget(t=t, tokens=plan.tokens))
        return plan, events

    def settings(self) -> Mapping[str, Any]:
        """The policy's name and its numbers."""
        fields = getattr(self.policy, "__dataclass_fields__", ())
        return {"name": self.policy.name, **{field: getattr(self.policy, field) for field in fields}}

    def _fit(self, buffer: MemoryBuffer, t: float) -> list[Event]:
        fit = buffer.fit(self.policy, self.budget, self.backbone.merge, self.backbone.count)
        return [] if fit is None else _told(fit, t)


def _told(fit: Fit, t: float) -> list[Event]:
    """Nothing is silent: every round that lost detail, every turn forgotten, every frame let go."""
    events: list[Event] = [Compressed(t=t, before=fit.before, after=fit.after, rounds=fit.rounds_changed)]
    if fit.rounds_forgotten or fit.turns_forgotten:
        events.append(Forgot(t=t, rounds=fit.rounds_forgotten, turns=fit.turns_forgotten))
    if fit.frames_dropped:
        events.append(Dropped(t=t, frames=fit.frames_dropped, reason="memory"))
    return events
