"""One stream, one conversation: Algorithm 1 of arXiv 2505.05467, made precise. Knows no file, clock, thread or chance.

    session = Session(backbone, activation)
    session.ask("Tell me each step as it is finished.", t=0.0, when="watch")
    for frame in frames:
        for event in session.see(frame):
            print(event)

The act is eager, the words are lazy: when `see` or `ask` returns, the frame is in memory (or waits for the end of the
answer being spoken), every Watch has judged it and every event is recorded; only reading the `Reply` makes words.
The rest of the house: `watching` (questions that are watched for), `speech` (the answer being spoken and those who
wait for its end), `recall` (the memory and its budget).
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

from streambridge.errors import UnknownName, WrongUse, one_line
from streambridge.loading import load
from streambridge.memory.buffer import MemoryBuffer
from streambridge.reading import PREFILL, Prefill
from streambridge.recall import GRACE, Recall
from streambridge.speech import Fire, Floor, Reply, Speech
from streambridge.types import (
    Activation,
    Answered,
    Asked,
    Backbone,
    Compression,
    Counted,
    Delta,
    Dropped,
    Ended,
    Event,
    Failed,
    Frame,
    FrameTokens,
    Interrupted,
    Notice,
    Question,
    Started,
    Turn,
    When,
)
from streambridge.watching import Live, Watches, expect_question

SCHEMA = "streambridge/1"
MAX_LEN = 16_384  # MaxLen of the paper (arXiv 2505.05467); more only if asked for, since every answer reads all of it
ANSWER_LEN = 64  # tokens; spoken answers are a sentence or two
QUEUE = 8  # fires that may wait for the end of an answer: more would be said too late to be of use
PENDING = 256  # frames that may wait outside `max_len`: over four minutes at one a second

_SETTINGS = ("max_len", "answer_len", "system", "cue", "queue", "pending", "grace", "prefill")


class Session:
    """A stream being watched, and what is said about it.

    Args:
        backbone: the Video-LLM.
        activation: the gate that says when to speak.
        compression: the memory policy; `round_decay` when None.
        max_len: tokens that memory and an answer together may take; when None, the model's context, at most 16,384.
        answer_len: the longest answer, in tokens.
        system: words that stand first and are never forgotten.
        cue: restate a watched question before its answer when a newer one was put (Algorithm 1 does not).
        queue: how many fires may wait for the end of an answer; more are dropped with an event, reason `busy`.
        pending: how many frames may wait for it, outside of `max_len`; above that the oldest go, reason `busy`.
        grace: frames between the decision to compress memory and the frame at which it takes effect. So long the model
            may read the memory to come in lent time (`idle`); 0: at once, which makes that frame wait.
        prefill: when the model reads what is new: `eager`, as it arrives; `budgeted`, in lent time (`idle`) and the
            rest for an answer; `lazy`, only for an answer: cheaper where answers are rare, and slower to answer.
        stopwatch: seconds of a running clock, for the `ms` of the events; nothing is measured when None.
        on_event: a journal: told every event once and in order, also those that nobody reads. It must not call back.

    Raises:
        WrongUse: on numbers that cannot work together.
    """

    def __init__(
        self,
        backbone: Backbone,
        activation: Activation,
        *,
        compression: Compression | None = None,
        max_len: int | None = None,
        answer_len: int = ANSWER_LEN,
        system: str | None = None,
        cue: bool = True,
        queue: int = QUEUE,
        pending: int = PENDING,
        grace: int = GRACE,
        prefill: Prefill = "eager",
        stopwatch: Callable[[], float] | None = None,
        on_event: Callable[[Event], None] | None = None,
    ) -> None:
        policy: Compression = load("memory", "round_decay") if compression is None else compression
        self.backbone, self.activation, self.system, self.cue = backbone, activation, system, cue
        self.max_len = min(backbone.caps.max_context, MAX_LEN) if max_len is None else max_len
        self.answer_len, self.queue, self.pending = answer_len, queue, pending
        self.grace, self.prefill = grace, prefill
        for name, least in {"max_len": 1, "answer_len": 1, "queue": 0, "pending": 1, "grace": 0}.items():
            _expect_count(name, getattr(self, name), least)
        if prefill not in PREFILL:
            raise WrongUse(f"prefill is one of {', '.join(PREFILL)}; this one is {prefill!r:.80}")
        # line 2: MB = [], MaxLen
        self._recall = Recall(backbone, policy, self.max_len, answer_len, system, grace, prefill)
        self._watches = Watches(activation, self._recall.buffer, self._tell)  # line 2: t_Q = None
        self._floor = Floor(self._remember, self._answer, self._utter, self._cut, self._take)
        self._stopwatch, self._on_event = stopwatch, on_event
        self._outbox: list[Event] = []
        self._now = self._frame_t = -math.inf
        self._questions = self._answers = 0
        self._started = self._ended = False

    # ------------------------------------------------------------------------------------------ Algorithm 1

    def see(self, frame: Frame) -> Reply:
        """Take the next frame: remember it, let every live Watch judge it, and answer if one fires.

        Raises:
            WrongUse: when the frame is none, its time goes back, or the session has ended.
        """
        if not isinstance(frame, Frame):
            raise WrongUse(f"see takes a Frame; this is {frame!r:.80}. Make one: Frame(pixels, t)")
        if frame.t < self._frame_t:
            raise WrongUse(f"frames come in order of time; one at {frame.t:g} s came after one at {self._frame_t:g} s")
        self._begin(frame.t)
        self._frame_t = frame.t
        self._watches.expire(frame.t)
        if self._encode(frame):  # line 4: MB <- I(F_t)
            for live in self._watches.judge(self._watches):  # line 9: D, for every Watch
                self._fire(live, frame.t)  # line 12
        return self._floor.reply()

    def ask(
        self,
        text: str,
        t: float | None = None,
        when: When = "auto",
        once: bool = False,
        expires_s: float | None = None,
        interrupt: bool = False,
    ) -> Reply:
        """Put a question: for `now`, to be watched for (`watch`), or as Algorithm 1 has it (`auto`).

        `auto` is watched for, too, and takes the place of the `auto` question before it. The frame in view is judged
        at once. A question waits while an answer is spoken; what it may see is settled by when it was put.

        Args:
            text: the question.
            t: stream time in seconds; the newest time known when None. An earlier one counts as that, with a notice.
            when: `now`, `watch` or `auto`.
            once: the Watch ends with its first answer.
            expires_s: the Watch ends at the first frame later than this after the question.
            interrupt: cut the answer being spoken. What waited before this question still comes before it.

        Raises:
            WrongUse: when the question makes no sense, or the session has ended.
        """
        expect_question(text, t, when, once, expires_s)
        at = self._begin(t)
        if interrupt:
            self._floor.cut()
        question = Question(f"q{self._questions}", at, text, when, "", once, expires_s)
        self._questions += 1
        self._tell(Asked(t=at, id=question.id, text=text, when=when))
        if t is not None and t < at:
            self._tell(
                Notice(t=at, text=f"{question.id} was put for {t:g} s and counts from {at:g} s, the newest time")
            )
        turn = self._turn_of(question)
        if turn is not None and when == "now":
            self._recall.buffer.pin(question.id)  # until it is answered
            self._wait(turn)
            self._wait(Fire(question, at))
        elif turn is not None:
            self._watch_for(question, turn)
        return self._floor.reply()

    def _watch_for(self, question: Question, turn: Turn) -> None:
        """Lines 5 to 9, for one question of several."""
        if self._recall.too_long(pinned := self._watches.tokens_with(question, turn)):
            error = f"{question.id} and the questions watched for take {pinned} tokens of max_len {self.max_len}"
            return self._fail(error, "a quarter is the most: unwatch one, ask it shorter, or raise max_len")
        live = self._watches.open(question, turn)  # line 7: t_Q <- t
        if live is not None:
            self._wait(turn)  # line 6: MB <- Q
            if self._watches.judge([live]):  # line 9: F_t is in view
                self._fire(live, question.t)  # line 12

    def _fire(self, live: Live, t: float) -> None:
        """Owe an answer (line 12), unless too many are owed already."""
        if (self._floor.open or len(self._floor.line)) and self._floor.line.fires >= self.queue:
            return self._tell(Dropped(t=self._now, frames=0, reason="busy"))
        live.due = live.question.once
        self._wait(Fire(live.question, max(t, live.question.t)))
        self._floor.work()

    def _answer(self, fire: Fire) -> Speech | None:
        """Open an answer: lines 12 to 16. Its plan is frozen here, so that no later frame can enter it."""
        question, newest = fire.question, self._recall.buffer.newest_question()
        speech = Speech(f"a{self._answers}", fire, self._stopwatch)
        self._answers += 1
        if self.cue and (newest is None or newest.id != question.id):
            self._remember(self.backbone.turn("user", question.text, fire.t, "cue", question.id))
        try:
            plan, events = self._recall.plan(self._now)  # lines 13 to 15
        except WrongUse:
            raise  # a policy that breaks its promises is a mistake in the program, not a misfortune of the stream
        except Exception as err:
            self._fail(one_line(f"memory could not be laid out for {speech.id}", err), "the stream goes on; ask again")
            self._finish(speech, whole=False)
            return None
        self._tell(*events)
        speech.open(plan.tokens, lambda: self._recall.answer(plan, self.answer_len))  # line 16: R <- LLM(InputEmbeds)
        return speech

    def _utter(self, speech: Speech) -> bool:
        """One more piece of R; False at its end."""
        try:
            piece = speech.next()
        except Exception as err:
            self._recall.forget_read()
            self._fail(one_line(f"{speech.id} broke off", err), "what was heard is kept; ask again")
            self._finish(speech, whole=False)
            return False
        if piece is None:
            self._finish(speech, whole=True)
        elif piece.text:
            self._tell(Delta(t=self._now, answer=speech.id, text=piece.text))
        elif (read := getattr(piece, "read", None)) is not None and read != speech.plan_tokens:
            self._tell(Counted(t=self._now, answer=speech.id, tokens=speech.plan_tokens, read=read))
        return piece is not None

    def _cut(self, speech: Speech) -> None:
        """Barge-in."""
        try:
            speech.stop()
        except Exception as err:
            self._fail(one_line(f"{speech.id} could not be stopped in order", err), "the stream goes on")
        self._finish(speech, whole=False)

    def _finish(self, speech: Speech, whole: bool) -> None:
        """MB <- R: line 17, which closes the round. Of a cut answer it is what was heard."""
        question, t_fired, live = speech.fire.question, speech.fire.t, self._watches.get(speech.fire.question.id)
        if whole:
            self._tell(_answered(speech, self._now))
        else:
            self._tell(Interrupted(t=self._now, answer=speech.id, tokens=len(speech.heard)))
        if live is None:
            self._recall.buffer.unpin(question.id)
        elif speech.heard:
            self._watches.hear(live, speech.text, t_fired)
        if live is not None and live.due:
            self._watches.close(live, "answered", self._now)
        answer = self.backbone.spoken(speech.heard, t_fired, speech.id) if speech.heard else None
        self._tell(*self._recall.close_round(answer, self._now))

    # ------------------------------------------------------------------------------------------ other calls

    def unwatch(self, id: str) -> Reply:
        """Stop watching for a question. Its fires that wait are dropped; an answer being spoken is not cut.

        Raises:
            WrongUse: when no live Watch bears the name, or the session has ended.
        """
        live = self._watches.get(id)
        if live is None:
            raise UnknownName("live watch", str(id), self.watches)
        self._begin(None)
        for _ in range(self._floor.line.drop_fires(id)):
            self._tell(Dropped(t=self._now, frames=0, reason="unwatched"))
        self._watches.close(live, "asked", self._now)
        return self._floor.reply()

    def idle(self, max_tokens: int) -> Reply:
        """Lend time to background work: to read ahead, `max_tokens` and at most one portion more; what is owed begins.

        Answers do not depend on how much is lent, only how soon they come.
        """
        _expect_count("max_tokens", max_tokens, 0)
        self._begin(None)
        self._tell(*self._recall.work(max_tokens, self._now))
        return self._floor.reply()

    def tell(self, event: Event) -> Reply:
        """Take in what the driver has to say (frames it dropped, a lost camera), so that the log holds all in order."""
        if not isinstance(event, Event):
            raise WrongUse(f"tell takes an Event; this is {event!r:.80}")
        self._begin(None)
        self._tell(event)
        return self._floor.reply()

    def end(self, t: float | None = None) -> Reply:
        """End the stream. What is unsaid and undone is told; ending twice is fine."""
        if not self._ended:
            self._begin(t)
            self._floor.cut()
            frames, owed = self._floor.line.drop_all()
            for count in [frames] * bool(frames) + [0] * owed:
                self._tell(Dropped(t=self._now, frames=count, reason="ended"))
            self._tell(*self._recall.finish(self._now))
            for live in self._watches:
                self._watches.close(live, "ended", self._now)
            self._tell(Ended(t=self._now))
            self._ended = True
        return self._floor.reply()

    def _begin(self, t: float | None) -> float:
        """Every call begins here; the newest stream time, this call's included."""
        if self._ended:
            raise WrongUse("this session has ended; make a new Session for a new stream")
        if self._floor.open and not self._floor.speaking:
            self._floor.cut()  # its Reply was dropped unread, which closes it
        known = self._now if self._started else 0.0
        self._now = known if t is None else max(float(t), self._now)
        if not self._started:
            self._started = True
            self._tell(Started(t=self._now, schema=SCHEMA, settings=self.settings))
        return self._now

    # ------------------------------------------------------------------------------------------ memory and events

    def _encode(self, frame: Frame) -> bool:
        """I(F_t): line 4. A frame that cannot be encoded is dropped, and judged by no Watch."""
        try:
            tokens = self.backbone.encode(frame)
        except Exception as err:
            self._fail(
                one_line(f"the frame at {frame.t:g} s could not be encoded", err), "the stream goes on without it"
            )
            self._tell(Dropped(t=frame.t, frames=1, reason="unreadable"))
            return False
        self._wait(tokens)
        self._watches.show(frame, tokens)
        return True

    def _turn_of(self, question: Question) -> Turn | None:
        """The question's words, tokenised; None, with a `failed`, when they cannot be or are too long."""
        try:
            turn = self.backbone.turn("user", question.text, question.t, "question", question.id)
        except Exception as err:
            self._fail(one_line(f"{question.id} could not be tokenised", err), "put it in other words")
            return None
        if self._recall.too_long(turn.tokens):
            error = f"{question.id} has {turn.tokens} tokens; a quarter of max_len {self.max_len} is the most"
            self._fail(error, "ask it shorter, or raise max_len")
            return None
        return turn

    def _wait(self, item: FrameTokens | Turn | Fire) -> None:
        self._floor.wait(item)
        if self._floor.line.frames > self.pending:
            self._floor.line.drop_frame()
            self._tell(Dropped(t=self._now, frames=1, reason="busy"))

    def _remember(self, item: FrameTokens | Turn) -> None:
        self._tell(*self._recall.add(item, self._now))

    def _fail(self, error: str, what_next: str) -> None:
        self._tell(Failed(t=self._now, error=error, what_next=what_next))

    def _tell(self, *events: Event) -> None:
        for event in events:
            self._outbox.append(event)
            if self._on_event is not None:
                self._on_event(event)

    def _take(self) -> list[Event]:
        events, self._outbox = self._outbox, []
        return events

    # ------------------------------------------------------------------------------------------ what is so

    @property
    def settings(self) -> Mapping[str, Any]:
        """Everything that decides something, for the log."""
        return {
            "backbone": self.backbone.name,
            "frames": getattr(self.backbone, "settings", dict)(),
            "activation": {"name": self.activation.name, **self.activation.settings()},
            "compression": self._recall.settings(),
            "reserve": self._recall.reserve,
            **{name: getattr(self, name) for name in _SETTINGS},
        }

    @property
    def speaking(self) -> bool:
        """Whether an answer is being spoken and somebody still holds its Reply."""
        return self._floor.speaking

    @property
    def memory(self) -> MemoryBuffer:
        """What is remembered. To be read only."""
        return self._recall.buffer

    @property
    def rebuilding(self) -> bool:
        """Whether memory is about to change, and the model reads what it will be."""
        return self._recall.rebuilding

    @property
    def cache_bytes(self) -> int:
        """What the model's caches of this session take."""
        return self._recall.nbytes

    @property
    def waiting(self) -> int:
        """How many frames wait for the end of an answer."""
        return self._floor.line.frames

    @property
    def now(self) -> float:
        """The newest stream time known, in seconds; -inf before the first call."""
        return self._now

    @property
    def watches(self) -> Mapping[str, str]:
        """The live Watches: id -> the question watched for, in order of opening."""
        return {live.question.id: live.question.text for live in self._watches}


def _answered(speech: Speech, t: float) -> Answered:
    question = speech.fire.question
    return Answered(
        t=t,
        answer=speech.id,
        asked=question.id,
        text=speech.text,
        t_asked=question.t,
        t_fired=speech.fire.t,
        tokens=speech.plan_tokens,
        ms=speech.ms(),
    )


def _expect_count(name: str, value: object, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise WrongUse(f"{name} is a whole number, {least} or more; this one is {value!r:.80}")
