"""Training sequences laid out by the very code that serves: a Session whose answers a teacher dictates.

A stream is run through Session, buffer and policy with frames that are only numbers; each answer's plan is noted. As
long as the memory merely grows, successive answers share one sequence; a compaction begins a new one. So merged
frames, forgotten words and cue turns stand in training exactly where they stand in use. Knows no weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from tokenizers import Tokenizer

from streambridge.activation.scripted import Scripted
from streambridge.backbones.tiny import Words
from streambridge.replay import replay
from streambridge.session import Session
from streambridge.types import Compression, Frame, FrameTokens, Item, Piece, Plan, Question, Timeline, Turn

if TYPE_CHECKING:
    from numpy.typing import NDArray

_DARK = np.zeros((1, 1, 3), dtype=np.uint8)  # frames here are numbers; nobody looks at them


@dataclass(frozen=True, slots=True)
class Sample:
    """One training sequence of L tokens.

    Attributes:
        ids: int32 [L].
        positions: int32 [3, L].
        labels: int32 [L]; the id to be predicted at each place, -100 where nothing is learned.
        places: where each frame's tokens begin.
        frames: for each frame, the rows (seconds of the stream's features) whose mean it is.
    """

    ids: NDArray[np.int32]
    positions: NDArray[np.int32]
    labels: NDArray[np.int32]
    places: tuple[int, ...]
    frames: tuple[tuple[int, ...], ...]


class Teacher(Words):
    """A backbone without weights: it notes what it is shown and says what the reference says."""

    name = "teacher"

    def __init__(self, tokenizer: Tokenizer, grid: tuple[int, int], timeline: Timeline) -> None:
        super().__init__(tokenizer, grid, 1 << 30)
        self._answers = _references(timeline)
        self._shown: dict[int, tuple[Item, ...]] = {}
        self.noted: list[tuple[tuple[Item, ...], tuple[int, ...]]] = []  # (what was read, what was answered)

    def encode(self, frame: Frame) -> FrameTokens:
        """A frame is the number of its second."""
        row = round(frame.t)
        return FrameTokens({"rows": (row,)}, len(self.frame_ids), frame.t, (frame.t, frame.t))

    def merge(self, parts: Sequence[FrameTokens]) -> FrameTokens:
        """All numbers together."""
        rows = tuple(row for part in parts for row in part.bundle["rows"])
        span = (parts[0].span[0], parts[-1].span[1])
        return replace(parts[0], bundle={"rows": rows}, span=span, frames=sum(part.frames for part in parts))

    def render(self, items: Sequence[Item], header: bool = True) -> Plan:
        """The usual plan; what it was made of is noted beside it."""
        plan = super().render(items, header)
        self._shown[id(plan)] = tuple(items)
        return plan

    def reader(self, room: int) -> None:
        """Nothing is read, so nothing is kept."""

    def answer(self, plan: Plan, max_tokens: int, reader: object = None) -> Iterator[Piece]:
        """The reference to the newest question, as of the newest frame."""
        items = self._shown.pop(id(plan))
        question = next(item for item in reversed(items) if isinstance(item, Turn) and item.role == "user")
        newest = max((item.span[1] for item in items if isinstance(item, FrameTokens)), default=question.t)
        ids = self.encode_text(self._answers(question, newest))
        self.noted.append((items, ids))
        yield from (Piece(token, "") for token in ids)


def _references(timeline: Timeline):  # type: ignore[no-untyped-def]  # a closure used once, just above
    """`(question turn, time) -> words`: the reference to that question nearest to that time."""
    by_text: dict[str, list[tuple[float, str]]] = {}
    texts = {question.id: question.text for question in timeline.questions}
    for ref in timeline.references:
        by_text.setdefault(texts[ref.reply_to], []).append((ref.t, ref.text))

    def say(question: Turn, newest: float) -> str:
        return min(by_text[question.text], key=lambda said: abs(said[0] - newest))[1]

    return say


def lay_out(
    timeline: Timeline, tokenizer: Tokenizer, grid: tuple[int, int], policy: Compression, max_len: int, fps: float = 1.0
) -> list[Sample]:
    """Run a timeline through a Session and cut its dialogue into training sequences, one per plan."""
    teacher = Teacher(tokenizer, grid, timeline)
    fires: dict[str, list[float]] = {}
    texts = {question.id: question for question in timeline.questions if question.when == "watch"}
    for ref in timeline.references:
        if ref.reply_to in texts:
            fires.setdefault(texts[ref.reply_to].text, []).append(ref.t)
    session = Session(teacher, Scripted(fires), compression=policy, max_len=max_len)
    frames = (Frame(_DARK, k / fps) for k in range(int(timeline.duration_s * fps)))
    for _ in replay(session, frames, _put_in_time(timeline.questions, timeline.duration_s)):
        pass
    return [_sequence(teacher, noted) for noted in _runs(teacher.noted)]


def _put_in_time(questions: Sequence[Question], end: float) -> list[Question]:
    return [question for question in questions if question.t < end]


_Noted = tuple[tuple[Item, ...], tuple[int, ...]]


def _runs(noted: Sequence[_Noted]) -> Iterator[list[_Noted]]:
    """Answers whose memories only grow from one to the next belong to one sequence."""
    run: list[_Noted] = []
    for one in noted:
        if run and not _grows(run[-1][0], one[0]):
            yield run
            run = []
        run.append(one)
    if run:
        yield run


def _grows(before: Sequence[Item], after: Sequence[Item]) -> bool:
    if len(after) <= len(before) or any(a is not b for a, b in zip(before, after, strict=False)):
        return False
    answer = after[len(before)]  # the answer to `before` must stand right behind it
    return isinstance(answer, Turn) and answer.kind == "answer"


def _sequence(words: Words, run: Sequence[_Noted]) -> Sample:
    """The last plan of a run with its answer; earlier answers of the run stand inside it and are learned too."""
    items, ids = run[-1]
    last = Turn("assistant", "", ids, 0.0, "answer", "", 0)
    segments = words.render([*items, last]).segments[:-1]  # without the header of an answer to come
    learned = {len(before) for before, _ in run}  # the place of each answer that was noted in this run
    labels = [
        _labels(words, segment.ids) if place in learned else np.full(len(segment.ids), -100, np.int32)
        for place, segment in enumerate(segments)
    ]
    starts = np.cumsum([0, *(len(segment.ids) for segment in segments)])
    frames = [(int(at) + 1, s.frame.bundle["rows"]) for at, s in zip(starts, segments, strict=False) if s.frame]
    return Sample(
        np.concatenate([np.array(segment.ids, np.int32) for segment in segments]),
        np.concatenate([segment.positions for segment in segments], axis=1).astype(np.int32),
        np.concatenate(labels),
        tuple(at for at, _ in frames),
        tuple(rows for _, rows in frames),
    )


def _labels(words: Words, ids: Sequence[int]) -> NDArray[np.int32]:
    """Each place of an answer predicts the next id, from the end of the header up to the end token."""
    labels = np.full(len(ids), -100, np.int32)
    head, tail = len(words.headers["assistant"]), len(words.end)
    labels[head - 1 : len(ids) - tail] = ids[head : len(ids) - tail + 1]
    return labels
