"""The questions that are watched for, and the frame in view. Knows no memory but its pins, no answer and no clock.

Lines 5 to 11 of Algorithm 1 (arXiv 2505.05467) for any number of questions: each has a Watch of its own, which sees
the frame in view when it opens and every frame from there on. A gate that can judges them all in one pass.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from streambridge.errors import WrongUse, one_line
from streambridge.memory.buffer import MemoryBuffer
from streambridge.types import (
    Activation,
    Decision,
    Event,
    Failed,
    Frame,
    FrameTokens,
    GateTokens,
    Question,
    Scored,
    Turn,
    Unwatched,
    Watch,
    Watching,
)


@dataclass(slots=True, eq=False)
class Live:
    """A Watch that is open.

    Attributes:
        question: what is watched for, when it was put, whether once, and for how long.
        watch: the gate's state of it.
        tokens: what its pinned question costs in memory.
        due: a once-Watch that fired and whose answer is waited for or spoken: it does not fire again.
    """

    question: Question
    watch: Watch
    tokens: int
    due: bool = False


Together: TypeAlias = Callable[[Sequence[Watch], GateTokens], Sequence[Decision]]  # what an Activation may offer


class Watches:
    """All live Watches of a session, in order of opening.

    Args:
        activation: the gate.
        memory: where the questions of live Watches are pinned.
        tell: takes the events.
    """

    def __init__(self, activation: Activation, memory: MemoryBuffer, tell: Callable[[Event], None]) -> None:
        self._activation, self._memory, self._tell = activation, memory, tell
        self._together: Together | None = getattr(activation, "observe", None)
        self._live: dict[str, Live] = {}  # line 2: t_Q = None
        self._view: tuple[Frame, FrameTokens] | None = None
        self._look: GateTokens | None = None  # made when a Watch first needs it, then shared by all

    def __iter__(self) -> Iterator[Live]:
        return iter(tuple(self._live.values()))

    def get(self, id: str) -> Live | None:
        """The live Watch of that question, if it is one."""
        return self._live.get(id)

    def tokens_with(self, question: Question, turn: Turn) -> int:
        """What the pinned questions would cost with this one, which may take the place of another."""
        replaced = self._rivals(question)
        return turn.tokens + sum(live.tokens for live in self if live not in replaced)

    def open(self, question: Question, turn: Turn) -> Live | None:
        """Begin to watch (line 7: t_Q <- t); None, with a `failed`, when the gate cannot."""
        try:
            watch = self._activation.watch(question.text, question.t)
        except Exception as err:
            self._fail(question.t, f"the gate cannot watch for {question.id}", err, "ask again, or change the gate")
            return None
        for rival in self._rivals(question):
            self.close(rival, "replaced", question.t)
        live = self._live[question.id] = Live(question, watch, turn.tokens)
        self._memory.pin(question.id)
        self._tell(Watching(t=question.t, watch=question.id, text=question.text))
        return live

    def close(self, live: Live, why: str, t: float) -> None:
        """End a Watch; nothing happens when it has ended."""
        if self._live.pop(live.question.id, None) is not None:
            self._memory.unpin(live.question.id)
            self._tell(Unwatched(t=t, watch=live.question.id, why=why))

    def expire(self, t: float) -> None:
        """Close those whose time has passed. A once-Watch that fired in time still has its answer."""
        for live in self:
            lasts = live.question.expires_s
            if lasts is not None and not live.due and t > live.question.t + lasts:
                self.close(live, "expired", t)

    def show(self, frame: Frame, tokens: FrameTokens) -> None:
        """This frame is in view from now on."""
        self._view, self._look = (frame, tokens), None

    def judge(self, lives: Iterable[Live]) -> list[Live]:
        """D <- ACT(Q, frames since t_Q, F_t): line 9, for each of these; those that fire, in order.

        Without a frame nothing is judged (lines 10 and 11), nor where an answer is waited for already.
        """
        waiting = [] if self._view is None else [live for live in lives if not live.due]
        fired = []
        for live, said in zip(waiting, self._decide(waiting), strict=True):
            t, id = self._judged_at(live), live.question.id
            if isinstance(said, Exception):
                self._fail(t, f"the gate failed on a frame for {id}", said, "the next frame is tried again")
                continue
            self._tell(Scored(t=t, watch=id, score=said.score, fire=said.fire))
            if said.fire:
                fired.append(live)
        return fired

    def _decide(self, lives: Sequence[Live]) -> Sequence[Decision | Exception]:
        """What the gate makes of the frame in view, for each: in one pass if it can."""
        if self._together is None or len(lives) < 2:
            return [self._decide_alone(live) for live in lives]
        try:
            said = self._together([live.watch for live in lives], self._seen())
            if len(said) != len(lives):
                raise ValueError(f"{len(lives)} watches were to be judged, and {len(said)} decisions came")
            return said
        except Exception as err:  # each alone then, so that a broken Watch spoils no other
            alone = [self._decide_alone(live) for live in lives]
            if not any(isinstance(said, Exception) for said in alone):
                names = ", ".join(live.question.id for live in lives)
                what = f"the gate failed on a frame for {names} together"
                self._fail(self._judged_at(*lives), what, err, "each was judged alone")
            return alone

    def _decide_alone(self, live: Live) -> Decision | Exception:
        try:
            return live.watch.observe(self._seen())
        except Exception as err:
            return err

    def _seen(self) -> GateTokens:
        """The gate's look at the frame in view."""
        assert self._view is not None, "nothing is judged before the first frame"
        if self._look is None:
            self._look = self._activation.look(*self._view)
        return self._look

    def _judged_at(self, *lives: Live) -> float:
        """Nothing is judged for a question before it was put."""
        assert self._view is not None, "nothing is judged before the first frame"
        return max(self._view[0].t, *(live.question.t for live in lives))

    def hear(self, live: Live, text: str, t: float) -> None:
        """Let a Watch know of an answer to its own question, given at `t`."""
        try:
            live.watch.heard(text, t)
        except Exception as err:
            self._fail(t, f"the gate failed on its answer to {live.question.id}", err, "it watches on without it")

    def _rivals(self, question: Question) -> list[Live]:
        """Algorithm 1 knows one question: an `auto` takes the place of the `auto` before it."""
        return [live for live in self if question.when == "auto" == live.question.when]

    def _fail(self, t: float, what: str, err: Exception, what_next: str) -> None:
        self._tell(Failed(t=t, error=one_line(what, err), what_next=what_next))


def expect_question(text: str, t: float | None, when: str, once: bool, expires_s: float | None) -> None:
    """Refuse a question that makes no sense.

    Raises:
        WrongUse: with one line that says what came and what was expected.
    """
    if not isinstance(text, str) or not text.strip():
        raise WrongUse(f"a question is a text that is not blank; this is {text!r:.80}")
    if when not in ("now", "watch", "auto"):
        raise WrongUse(f"a question is put for 'now', 'watch' or 'auto'; {text!r:.80} for {when!r:.80}")
    if t is not None and not _is_number(t):
        raise WrongUse(f"a question's time is a finite number of seconds; {text!r:.80} is put at {t!r:.80}")
    if when == "now" and (once or expires_s is not None):
        raise WrongUse(f"once and expires_s go with a question that is watched for; {text!r:.80} is put for 'now'")
    if expires_s is not None and not (_is_number(expires_s) and expires_s >= 0):
        raise WrongUse(f"expires_s is a number of seconds, 0 or more; {text!r:.80} has {expires_s!r:.80}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
