"""The words of streambridge: what moves between the rooms. Knows no room, no model, no file and no clock.

Stream time is always `t`, in float seconds from the start of the stream. Arrays of pixels are numpy; tensors are
passed through untouched, so that importing this file loads no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np

from streambridge.errors import BadInput

if TYPE_CHECKING:
    from typing import Self

    from numpy.typing import NDArray

Role: TypeAlias = Literal["system", "user", "assistant"]
When: TypeAlias = Literal["now", "watch", "auto"]


# ---------------------------------------------------------------------------------------------- what is seen


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture and the stream time at which it was true.

    Attributes:
        pixels: uint8 [H, W, 3], RGB.
        t: seconds of stream time.

    Raises:
        BadInput: when the pixels are no RGB picture or `t` is not a finite number.
    """

    pixels: NDArray[np.uint8]
    t: float

    def __post_init__(self) -> None:
        shape, dtype = getattr(self.pixels, "shape", None), getattr(self.pixels, "dtype", None)
        if dtype != np.uint8 or shape is None or len(shape) != 3 or shape[2] != 3 or 0 in shape:
            raise BadInput(f"a frame is uint8 [H, W, 3] RGB; this one is {dtype} {shape}")
        if not np.isfinite(self.t):
            raise BadInput(f"a frame needs a finite time in seconds; this one has {self.t}")


@dataclass(frozen=True, slots=True, eq=False)
class FrameTokens:
    """What a backbone made of one frame, or of several merged.

    Two of these are the same only if they are the same object: a merge makes a new one, so the engine may compare
    plans by identity.

    Attributes:
        bundle: tensors sharing dim 0 (tokens), e.g. `{"embeds": [P, D]}`; a remote backbone holds a JPEG here.
        tokens: what it costs in a plan, wrapper included.
        t: stream time in seconds; of a merge, the mean over its camera frames.
        span: first and last stream time that it stands for.
        frames: how many camera frames it stands for: the weight of a merge.
    """

    bundle: Mapping[str, Any]
    tokens: int
    t: float
    span: tuple[float, float]
    frames: int = 1


# ---------------------------------------------------------------------------------------------- what is said


@dataclass(frozen=True, slots=True, eq=False)
class Turn:
    """Words with a speaker and a time. Tokenised once, alone, and never again.

    Attributes:
        role: who speaks.
        text: the words as a person reads them.
        ids: the words as token ids, without header and end (a backbone renders those).
        t: stream time in seconds.
        kind: `system`, `question`, `cue` (restates a watched question before its answer) or `answer`.
        id: the question's or answer's name in the events, e.g. `q0`, `a3`; a cue bears its question's.
        tokens: what it costs in a plan, header and end included.
    """

    role: Role
    text: str
    ids: tuple[int, ...]
    t: float
    kind: Literal["system", "question", "cue", "answer"]
    id: str
    tokens: int


Item: TypeAlias = FrameTokens | Turn


@dataclass(slots=True, eq=False)
class Round:
    """Everything since the previous answer, closed by an answer (or by one cut before its first word)."""

    items: list[Item] = field(default_factory=list)


# ---------------------------------------------------------------------------------------------- memory in integers


@dataclass(frozen=True, slots=True)
class Shape:
    """All that a policy may know of one item: no tensor, no word.

    Attributes:
        kind: `frame` or `text`.
        tokens: its cost in a plan.
        frames: camera frames it stands for (0 for text).
        pinned: the question of a live Watch, never to be forgotten.
    """

    kind: Literal["frame", "text"]
    tokens: int
    frames: int = 0
    pinned: bool = False


Shapes: TypeAlias = Sequence[Sequence[Shape]]  # rounds, oldest first; the last one is the open round
Group: TypeAlias = tuple[int, ...]  # numbers of items, counted through all rounds; several = merge them into one
Layout: TypeAlias = tuple[tuple[Group, ...], ...]  # the rounds that shall be; an item in no group is let go


@runtime_checkable
class Compression(Protocol):
    """A policy of memory: a pure function in integers.

    Attributes:
        name: the file's name, and the name on the command line.
        bounded: it guarantees the budget at every length (`paper`, `repo`, `keep_all` do not).
        at: when it is asked: at each `frame` (and each text), or only before an `answer`.
        keeps: its result replaces the buffer; otherwise the answer reads a compressed copy (Algorithm 1).
        reserves: the answer's reserve counts against the budget (the paper knows no reserve).
    """

    name: str
    bounded: bool
    at: Literal["frame", "answer"]
    keeps: bool
    reserves: bool

    def __call__(self, rounds: Shapes, budget: int, count: Callable[[Sequence[Shape]], int]) -> Layout | None:
        """Decide what to merge and what to forget.

        Args:
            rounds: the shapes of all items, oldest round first, the open round last (it may be empty).
            budget: tokens that all items together may cost.
            count: what a merge of these frame shapes would cost in tokens.

        Returns:
            The layout that shall be, or None when nothing changes.
        """
        ...


# ---------------------------------------------------------------------------------------------- what a model reads


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """One piece of a plan: a frame, a turn, a header.

    Attributes:
        ids: token ids; placeholder ids where a frame's features go.
        positions: int64 [R, n]: R rows of positions (3 for M-RoPE, 1 for RoPE).
        frame: whose features replace the placeholders, or None for words.
        start: the first placeholder; None: the wrapper is as long before the placeholders as behind them.
    """

    ids: tuple[int, ...]
    positions: NDArray[np.int64]
    frame: FrameTokens | None = None
    start: int | None = None

    def frame_at(self, tokens: int) -> int:
        """Where so many placeholders begin."""
        return (len(self.ids) - tokens) // 2 if self.start is None else self.start


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What a backbone renders from memory: ordered segments with explicit positions, ready for the model.

    Attributes:
        segments: in order.
        tokens: their total length.
    """

    segments: tuple[Segment, ...]
    tokens: int


@dataclass(frozen=True, slots=True)
class Piece:
    """One generated token: its id (None from a remote model) and the text that it completes (may be empty)."""

    id: int | None
    text: str


@dataclass(frozen=True, slots=True)
class Caps:
    """What is true of a backbone.

    Attributes:
        embeds: frames become embeddings (else pictures are sent along).
        exact_count: `count` is the model's own count (else a stated estimate).
        can_crop: a KV cache can be cut at any token.
        atomic_frame: one frame can be encoded alone, leaving no trace.
        positions: scheme of positions.
        max_context: the longest plan in tokens, the answer included.
    """

    embeds: bool
    exact_count: bool
    can_crop: bool
    atomic_frame: bool
    positions: Literal["mrope", "rope", "none"]
    max_context: int


@runtime_checkable
class Backbone(Protocol):
    """The Video-LLM. Holds weights and nothing that belongs to one session."""

    name: str
    caps: Caps

    def encode(self, frame: Frame) -> FrameTokens:
        """See one frame, alone, leaving no trace: I(F_t) of Algorithm 1."""
        ...

    def merge(self, parts: Sequence[FrameTokens]) -> FrameTokens:
        """The count-weighted mean of several frames, token position by token position, in fp32."""
        ...

    def turn(self, role: Role, text: str, t: float, kind: str, id: str) -> Turn:
        """Tokenise words once."""
        ...

    def spoken(self, pieces: Sequence[Piece], t: float, id: str) -> Turn:
        """The turn of an answer from the very pieces that were generated: never re-tokenised."""
        ...

    def count(self, parts: Sequence[Shape]) -> int:
        """What a merge of frames of these shapes would cost in tokens."""
        ...

    def overhead(self) -> int:
        """Tokens of an answer besides its words (header and end), to be reserved beside its length."""
        ...

    def render(self, items: Sequence[Item], header: bool = True) -> Plan:
        """Lay items out as the model reads them, ending with the header of the answer to come, unless told not to.

        Where an item stands may depend on those before it, never on those behind: what was read stays valid.
        """
        ...

    def reader(self, room: int) -> Reader | None:
        """A cache for one session, with room for so many tokens; None when there is nothing to keep."""
        ...

    def answer(self, plan: Plan, max_tokens: int, reader: Reader | None = None) -> Iterator[Piece]:
        """Greedy words for a plan, one piece at a time; ends at the end token or after `max_tokens`.

        With a reader only what it has not read yet is computed, and it keeps what it read.
        """
        ...


@runtime_checkable
class Weighs(Protocol):
    """What a backbone may offer: how it would begin an answer, asked without having it said."""

    def weigh(
        self, items: Sequence[Item], choices: Sequence[Sequence[str]], reader: Reader | None = None
    ) -> list[float]:
        """How likely the answer to these items begins with a word of each choice.

        Nothing is said or remembered. With a reader only what it has not read yet is computed, and what it read stays
        until its next `follow`, which cuts it off.

        Returns:
            A probability for each choice; they need not sum to 1.

        Raises:
            RunFailed: when the model does not tell.
        """
        ...


@runtime_checkable
class Joins(Protocol):
    """What a backbone may offer whose temporal patch holds two frames.

    Attributes:
        pair: `wait`, a frame enters memory with the next one or with the next words; `upgrade`, at once, to be replaced
            when the next one comes; `duplicate`, each alone.
    """

    pair: Literal["duplicate", "wait", "upgrade"]

    def join(self, first: FrameTokens, second: FrameTokens) -> FrameTokens | None:
        """Two frames as one; None where they do not fit. It costs what one of them costs."""
        ...


@runtime_checkable
class Reader(Protocol):
    """What one session's model has read: a cache, and the plan it was built from."""

    @property
    def unread(self) -> int:
        """Tokens that wait to be read, those of a portion too small to be worth a pass not counted."""
        ...

    @property
    def nbytes(self) -> int:
        """Memory of the cache."""
        ...

    def follow(self, plan: Plan) -> None:
        """Be about to read this plan: keep what it has in common with what was read, queue what is new."""
        ...

    def work(self, max_tokens: int | None = None) -> int:
        """Read on, until at least so many tokens are read, or all that waits; how many it were."""
        ...

    def fork(self, plan: Plan, into: Any = None) -> Self:
        """Another reader that follows that plan, starting from what it has in common; `into`: one to be reused."""
        ...


# ---------------------------------------------------------------------------------------------- when to speak


@dataclass(frozen=True, slots=True)
class Decision:
    """Both always: the score in [0, 1], so that curves can be drawn later, and whether it fires."""

    score: float
    fire: bool


@dataclass(frozen=True, slots=True, eq=False)
class GateTokens:
    """What a gate made of one frame, looked at once and shared by all Watches.

    Attributes:
        bundle: the gate's own features.
        t: stream time in seconds.
    """

    bundle: Mapping[str, Any]
    t: float


@runtime_checkable
class Watch(Protocol):
    """One question being watched for. Owns its state and dies with the question."""

    def observe(self, frame: GateTokens) -> Decision:
        """Judge the newest frame."""
        ...

    def heard(self, text: str, t: float) -> None:
        """Take note of an answer that was given to this very question."""
        ...


@runtime_checkable
class Activation(Protocol):
    """Knows how to watch. Holds weights and settings, nothing that belongs to one question.

    It may offer `observe(watches, frame) -> list[Decision]`: several of its Watches judge the newest frame in one pass,
    each as it would alone. When that raises, none of them has taken the frame, and each is asked alone.
    """

    name: str

    def look(self, frame: Frame, tokens: FrameTokens) -> GateTokens:
        """Look at a frame once, for all Watches; `tokens` is what the session's backbone made of it."""
        ...

    def watch(self, question: str, t: float) -> Watch:
        """Begin to watch for a question posed at `t`."""
        ...

    def settings(self) -> Mapping[str, Any]:
        """The numbers that decide (threshold, rest ...), for the log."""
        ...


# ---------------------------------------------------------------------------------------------- what the world is told


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What the world is told; also what is logged, replayed and scored. `t` is stream time in seconds."""

    type: ClassVar[str]
    t: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Started(Event):
    """The stream begins: the schema of the log and every setting that decides something."""

    type = "started"
    schema: str
    settings: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored(Event):
    """A Watch judged a frame."""

    type = "scored"
    watch: str
    score: float
    fire: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked(Event):
    """A question was put; `id` names it, and its Watch."""

    type = "asked"
    id: str
    text: str
    when: When


@dataclass(frozen=True, slots=True, kw_only=True)
class Watching(Event):
    """A Watch opened; it bears its question's id."""

    type = "watching"
    watch: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unwatched(Event):
    """A Watch closed: `answered`, `expired`, `replaced`, `asked` (by the user) or `ended`."""

    type = "unwatched"
    watch: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta(Event):
    """A few more words of an answer."""

    type = "delta"
    answer: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered(Event):
    """An answer is complete. `asked` is the question's id; `tokens` the length of the plan it read."""

    type = "answered"
    answer: str
    asked: str
    text: str
    t_asked: float
    t_fired: float
    tokens: int
    ms: Mapping[str, float] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Interrupted(Event):
    """An answer was cut: `tokens` of it were heard and are remembered."""

    type = "interrupted"
    answer: str
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Compressed(Event):
    """Memory was made smaller: tokens before and after, and how many rounds lost detail."""

    type = "compressed"
    before: int
    after: int
    rounds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgot(Event):
    """Rounds were joined or let go (`rounds` fewer), and the words of `turns` turns with them."""

    type = "forgot"
    rounds: int
    turns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OverBudget(Event):
    """A policy without guarantee left the plan `tokens` long, above the limit."""

    type = "over_budget"
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped(Event):
    """Something was let go unseen or unsaid. `frames` may be 0 (a fire that found the queue full: `busy`)."""

    type = "dropped"
    frames: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stalled(Event):
    """Background work had to be finished at its commit frame: `tokens` were still to be read."""

    type = "stalled"
    tokens: int
    ms: Mapping[str, float] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted(Event):
    """A server counted what an answer read otherwise than we did: `tokens` by our estimate, `read` by its own count."""

    type = "counted"
    answer: str
    tokens: int
    read: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice(Event):
    """One line that a person should know."""

    type = "notice"
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed(Event):
    """Something went wrong in the stream; it goes on, or ends in order. `what_next` is what to do."""

    type = "failed"
    error: str
    what_next: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended(Event):
    """The stream is over."""

    type = "ended"


# ---------------------------------------------------------------------------------------------- scripted streams


@dataclass(frozen=True, slots=True)
class Media:
    """A stretch of video: from `start_s` to `end_s` of `uri`, placed at `at_s` of the stream."""

    uri: str
    start_s: float
    end_s: float
    at_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Question:
    """A scripted question. `kind` names its type, e.g. `sign`, `first_sign`, `each_step`."""

    id: str
    t: float
    text: str
    when: When = "now"
    kind: str = ""
    once: bool = False
    expires_s: float | None = None


@dataclass(frozen=True, slots=True)
class Reference:
    """A reference answer: what should be said at `t` in reply to `reply_to`, and the span that proves it.

    `kind` is `point` where the evidence is an instant and not a span.
    """

    id: str
    t: float
    text: str
    reply_to: str
    evidence: tuple[tuple[float, float], ...] = ()
    learn: bool = True
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Timeline:
    """A scripted stream: questions and reference answers at times over a video.

    One object for a training sample, a test and a benchmark item; its file form is `streamit/1`. The order of `turns`
    is causal: at one instant, what stands first happened first.
    """

    id: str
    media: tuple[Media, ...]
    duration_s: float
    turns: tuple[Question | Reference, ...]
    meta: Mapping[str, Any] = field(default_factory=dict)

    @property
    def questions(self) -> tuple[Question, ...]:
        """The questions, in causal order."""
        return tuple(turn for turn in self.turns if isinstance(turn, Question))

    @property
    def references(self) -> tuple[Reference, ...]:
        """The reference answers, in causal order."""
        return tuple(turn for turn in self.turns if isinstance(turn, Reference))
