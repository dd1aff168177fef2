"""Memory kept within its budget, and what that cost, told as events. Knows no gate, no clock and who asks for what.

The buffer does what a policy says; this file says when the policy is asked, and with which budget. A policy asked at
frames is asked a few frames early (`grace`): until then the model reads the memory to come in lent time, beside the
one that is, and at a frame fixed in advance the one takes the place of the other, however fast the machine is.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from streambridge.errors import WrongUse, one_line
from streambridge.memory.buffer import Fit, MemoryBuffer
from streambridge.reading import Prefill, Reading
from streambridge.types import (
    Backbone,
    Compressed,
    Compression,
    Dropped,
    Event,
    Failed,
    Forgot,
    FrameTokens,
    Item,
    Joins,
    OverBudget,
    Piece,
    Plan,
    Stalled,
    Turn,
)

QUARTER = 4  # one question, and all pinned ones together, take at most this part of `max_len`: the rest is for seeing
GRACE = 4  # frames: at one a second, time enough to read half of 16k tokens with 7 B on one GPU, twenty times over
EIGHTH = 8  # the grace takes at most this part of the budget


@dataclass(slots=True)
class Coming:
    """The memory to come.

    Attributes:
        buffer: what it will be; all that is new goes into it, too.
        fit: what was done.
        frames: how many frames until it takes over.
    """

    buffer: MemoryBuffer
    fit: Fit
    frames: int


class Recall:
    """The memory of one session.

    After every `add` a policy that is asked at frames and guarantees its budget leaves `tokens + reserve <= max_len`.

    Args:
        backbone: merges frames, counts tokens and renders plans.
        policy: the memory policy.
        max_len: tokens that memory and an answer may take together.
        answer_len: the longest answer, in tokens.
        system: words that stand first and are never forgotten.
        grace: frames between a policy's decision and its taking effect; 0: at once.
        prefill: when the model reads what is new.

    Raises:
        WrongUse: when what is fixed leaves too little room for pinned questions and the newest one.
    """

    def __init__(
        self,
        backbone: Backbone,
        policy: Compression,
        max_len: int,
        answer_len: int,
        system: str | None,
        grace: int = GRACE,
        prefill: Prefill = "eager",
    ) -> None:
        first = None if system is None else backbone.turn("system", system, 0.0, "system", "system")
        self.buffer = MemoryBuffer(first)  # line 2: MB = []
        self.backbone, self.policy, self.max_len = backbone, policy, max_len
        self.reserve = answer_len + backbone.overhead()
        self.budget = max_len - (self.reserve if policy.reserves else 0)
        self.grace, self._per_frame = grace, 0
        self._coming: Coming | None = None
        self._lone: FrameTokens | None = None  # waits for the frame that it shares a temporal patch with
        self._reading = Reading(backbone, prefill, max_len)
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
        if not isinstance(item, FrameTokens):  # words are read with the answer, or with the next frame: one pass less
            events = self._take_lone(t)
            self._append(item)
            return [*events, *self._settle(t)]
        events = self._count_down(t)
        pair = getattr(self.backbone, "pair", "duplicate")
        if pair == "wait":
            return [*events, *self._wait(item, t)]
        if pair == "upgrade":
            events += self._upgrade(item, t)
        else:
            self._append(item)
        return [*events, *self._settle(t), *self._follow(t)]

    def _wait(self, item: FrameTokens, t: float) -> list[Event]:
        """Hold a lone frame back until the next one comes, or words do."""
        if self._lone is None:
            self._lone = item
            return []
        first, self._lone = self._lone, None
        joined, events = self._join(first, item, t)
        for one in (first, item) if joined is None else (joined,):
            self._append(one)
        return [*events, *self._settle(t), *self._follow(t)]

    def _join(self, first: FrameTokens, second: FrameTokens, t: float) -> tuple[FrameTokens | None, list[Event]]:
        """Two frames as one, where the model can; when it breaks, each is remembered alone."""
        try:
            return (self.backbone.join(first, second) if isinstance(self.backbone, Joins) else None), []
        except Exception as err:
            told = one_line("two frames could not be joined", err)
            return None, [Failed(t=t, error=told, what_next="each is remembered alone")]

    def _take_lone(self, t: float) -> list[Event]:
        """A frame that waits for another is remembered alone."""
        if self._lone is None:
            return []
        item, self._lone = self._lone, None
        self._append(item)
        return self._settle(t)

    def _upgrade(self, item: FrameTokens, t: float) -> list[Event]:
        """Remember a frame: joined with the one before, in its place, where the two fit."""
        last = self.buffer.newest()
        joined, events = self._join(last, item, t) if isinstance(last, FrameTokens) else (None, [])
        for buffer in self._buffers():
            if joined is not None and buffer.newest() is last:
                buffer.put_in_place(joined)
            else:
                buffer.append(item)  # where the one before is merged already, too
        self._per_frame = item.tokens
        return events

    def finish(self, t: float) -> list[Event]:
        """The stream ends: nothing waits any more."""
        return self._take_lone(t)

    def close_round(self, answer: Turn | None, t: float) -> list[Event]:
        """Close the round with its answer, or without one when nothing was heard."""
        events = self._take_lone(t)
        if answer is not None:
            self._append(answer)
        for buffer in self._buffers():
            buffer.close()
        return [*events, *self._settle(t)]

    def answer(self, plan: Plan, max_tokens: int) -> Iterator[Piece]:
        """The words for a plan."""
        return self._reading.answer(plan, max_tokens)

    def forget_read(self) -> None:
        """Give up what was read, after something broke: the next answer reads all that it needs."""
        self._reading.forget()

    def work(self, max_tokens: int, t: float) -> list[Event]:
        """Read ahead in lent time."""
        try:
            self._reading.work(max_tokens)
        except Exception as err:
            return [self._broken(err, t)]
        return []

    @property
    def rebuilding(self) -> bool:
        """Whether there is a memory to come."""
        return self._coming is not None

    @property
    def nbytes(self) -> int:
        """Memory of the model's caches of this session."""
        return self._reading.nbytes

    def plan(self, t: float) -> tuple[Plan, list[Event]]:
        """What the model reads for an answer: lines 13 to 15 of Algorithm 1.

        A policy that does not keep its result works on a copy, as Algorithm 1 compresses InputEmbeds and not MB.
        """
        events = self._take_lone(t)
        buffer = self.buffer if self.policy.at == "frame" or self.policy.keeps else self.buffer.copy()
        events += self._fit(buffer, t) if self.policy.at == "answer" else []  # lines 14 and 15
        plan = self.backbone.render(buffer.items())  # line 13
        if buffer.tokens > self.budget:
            events.append(OverBudget(t=t, tokens=plan.tokens))
        return plan, events

    def settings(self) -> Mapping[str, Any]:
        """The policy's name and its numbers."""
        fields = getattr(self.policy, "__dataclass_fields__", ())
        return {"name": self.policy.name, **{field: getattr(self.policy, field) for field in fields}}

    def _buffers(self) -> list[MemoryBuffer]:
        return [self.buffer] if self._coming is None else [self.buffer, self._coming.buffer]

    def _append(self, item: Item) -> None:
        for buffer in self._buffers():
            buffer.append(item)
        if isinstance(item, FrameTokens):
            self._per_frame = item.tokens

    def _settle(self, t: float) -> list[Event]:
        """Keep the budget."""
        if self.policy.at != "frame":
            return []
        events = self._look_ahead(t)
        if self._coming is not None and self.buffer.tokens > self.budget:  # many words came at once
            events += self._commit(t)
        return [*events, *self._fit(self.buffer, t)]

    def _look_ahead(self, t: float) -> list[Event]:
        """Decide, some frames before the budget is passed, what memory shall be when it would be."""
        room = self.budget - min(self.grace * self._per_frame, self.budget // EIGHTH)
        if self._coming is not None or not room < self.buffer.tokens <= self.budget:
            return []
        if self.buffer.fixed_tokens >= room:  # what may not go takes the grace as well
            return []
        twin = self.buffer.copy()
        fit = twin.fit(self.policy, room, self.backbone.merge, self.backbone.count)
        if fit is None:
            return []
        self._coming = Coming(twin, fit, self.grace)
        try:
            self._reading.begin(twin.items())
        except Exception as err:
            return [self._broken(err, t)]
        return []

    def _count_down(self, t: float) -> list[Event]:
        """One frame nearer to the memory to come."""
        if self._coming is None:
            return []
        self._coming.frames -= 1
        return self._commit(t) if self._coming.frames <= 0 else []

    def _commit(self, t: float) -> list[Event]:
        """The memory to come takes over; what of it was not read in lent time is read now, and told."""
        assert self._coming is not None
        coming, self._coming = self._coming, None
        fit = replace(coming.fit, before=self.buffer.tokens, after=coming.buffer.tokens)
        self.buffer.adopt(coming.buffer)
        try:
            late = self._reading.commit()
        except Exception as err:
            return [*_told(fit, t), self._broken(err, t)]
        return [*_told(fit, t), *([Stalled(t=t, tokens=late)] if late else [])]

    def _follow(self, t: float) -> list[Event]:
        """Let the model read along, where what it reads will be what an answer needs."""
        if not self.policy.keeps or self.buffer.tokens > self.max_len:
            return []
        try:
            to_come = None if self._coming is None else self._coming.buffer.items()
            self._reading.follow(self.buffer.items(), to_come)
        except Exception as err:
            return [self._broken(err, t)]
        return []

    def _broken(self, err: Exception, t: float) -> Event:
        """What was read is given up; the next answer reads all that it needs."""
        self._reading.forget()
        return Failed(t=t, error=one_line("the model broke off reading", err), what_next="memory is read again")

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
