"""What a gate should say at each frame: fire, keep silent, or not judged. Knows no model and no pixel.

arXiv 2505.05467 makes the last P % of the frames of a segment positive, P drawn in [0, 50] for each sample. Labels come
from the evidence of an answer, never from the gap between answers. A width is a rule: how many of these frames.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from streambridge.data.draws import u
from streambridge.data.flatten import TICK_MS, count_by, edge_ms, shown
from streambridge.errors import BadInput, UnknownName, WrongUse
from streambridge.streamit import to_ms
from streambridge.types import Question, Reference, Timeline

WIDEST: Final = 0.5  # P is drawn below this share, arXiv 2505.05467
FIRE, SILENT, IGNORED = 1, 0, -1
_NOISE: Final = 1e-9  # 0.07 * 100 is a hair over 7 in floats; ceil would say 8


@dataclass(frozen=True, slots=True)
class Width:
    """How many of the last frames of an answer's evidence are positive.

    Attributes:
        frames: so many, or 0 where a share decides.
        share: of the frames, or None for the P of the sample.
    """

    frames: int = 0
    share: float | None = None

    def count(self, seen: int, drawn: float) -> int:
        """Positive frames of `seen` frames; one at least, which is ours: with P near 0 the paper's rule has none."""
        share = drawn if self.share is None else self.share
        return self.frames or max(1, math.ceil(share * seen - _NOISE))


PAPER: Final = Width()
CHANGE: Final = Width(frames=1)  # two frames wide, two changes in a row run together and the second never fires
ALERT: Final = Width(frames=3)
STEP: Final = Width(share=0.3)

# Widths by the kind of a question or else the task of its sample; what is not named has the paper's.
WIDTHS: Final[dict[str, dict[str, Width]]] = {
    "paper": {},
    "events": {
        "new_sign": CHANGE,
        "sign_says": ALERT,
        "each_step": STEP,
        "step": STEP,
        "action_detect": ALERT,
    },
}


def share(sample_id: str, seed: int = 0, epoch: int = 0) -> float:
    """P of a sample, in [0, 0.5): the share of positive frames. Another epoch is another draw."""
    return WIDEST * u(seed, *([epoch] if epoch else []), sample_id, "share")


def labels(
    timeline: Timeline,
    widths: str | Mapping[str, Width] = "paper",
    tick_ms: float = TICK_MS,
    seed: int = 0,
    epoch: int = 0,
) -> list[int]:
    """A label for each frame of a sample, for all of its watches together.

    Args:
        timeline: the sample. Questions asked "now" have no labels: nobody waits.
        widths: a name of WIDTHS, or widths by kind of question or task.
        tick_ms: milliseconds from frame to frame; 1000 / fps.
        seed: of the run.
        epoch: another epoch draws another P.

    Returns:
        1 where some watch should fire, 0 where all that stand should keep silent, -1 where none stands.

    Raises:
        BadInput: when the answer to a watch has no evidence.
        UnknownName: when there are no such widths.
        WrongUse: when the tick is none.
    """
    rows = [
        labels_of(timeline, question.id, widths, tick_ms, seed, epoch)
        for question in timeline.questions
        if question.when != "now"
    ]
    nobody = [IGNORED] * count_by(to_ms(timeline.duration_s), tick_ms)
    return [max(here) for here in zip(nobody, *rows, strict=True)]


def labels_of(
    timeline: Timeline,
    question_id: str,
    widths: str | Mapping[str, Width] = "paper",
    tick_ms: float = TICK_MS,
    seed: int = 0,
    epoch: int = 0,
) -> list[int]:
    """A label for each frame of a sample, for one of its watches. Arguments and errors as `labels`.

    In view are the frames that come after the question, up to the first answer where it is asked for once, up to its
    end where it expires. All others are -1.

    Raises:
        WrongUse: also when the sample has no such watch.
    """
    question = _watch(timeline, question_id)
    answers = [one for one in timeline.references if one.reply_to == question_id]
    width = _width(question, timeline, widths)
    drawn = share(timeline.id, seed, epoch)
    view = _view(question, answers, to_ms(timeline.duration_s), tick_ms)
    row = [IGNORED] * count_by(to_ms(timeline.duration_s), tick_ms)
    row[view.start : view.stop] = [SILENT] * len(view)
    for answer in answers:
        for number in _positive(answer, width, drawn, tick_ms):
            if number in view:  # never before the question: what was not asked cannot be answered
                row[number] = FIRE
    return row


def _watch(timeline: Timeline, question_id: str) -> Question:
    for question in timeline.questions:
        if question.id == question_id and question.when != "now":
            return question
    there = ", ".join(one.id for one in timeline.questions if one.when != "now") or "none"
    raise WrongUse(f"{timeline.id!r} has no watch {question_id!r}; its watches: {there}")


def _width(question: Question, timeline: Timeline, widths: str | Mapping[str, Width]) -> Width:
    if isinstance(widths, str):
        if widths not in WIDTHS:
            raise UnknownName("widths", widths, WIDTHS)
        widths = WIDTHS[widths]
    return widths.get(question.kind) or widths.get(timeline.meta.get("task", "")) or PAPER


def _view(question: Question, answers: list[Reference], end: int, tick_ms: float) -> range:
    """The frames that a live watch would look at."""
    asked = to_ms(question.t)
    if question.once and answers:
        end = to_ms(answers[0].t)
    if question.expires_s is not None:
        end = min(end, asked + to_ms(question.expires_s))
    return shown(asked, max(asked, end), tick_ms)


def _positive(answer: Reference, width: Width, drawn: float, tick_ms: float) -> range:
    """The frames that should fire: the last ones available in (start of the evidence, t].

    Of several spans the one that ends last counts: only when the last piece is complete can be answered. Where no
    frame is available in between (the part of a tick at the end of a video), none can show it and none is positive.
    """
    if not answer.evidence:
        raise BadInput(f"answer {answer.id!r}: labels come from evidence, and it has none")
    end, start = max((to_ms(end), to_ms(start)) for start, end in answer.evidence)
    if start == end:
        return _from_point(start, width, tick_ms)
    seen = shown(start, to_ms(answer.t), tick_ms)
    return seen[-width.count(len(seen), drawn) :]


def _from_point(ms: int, width: Width, tick_ms: float) -> range:
    """An instant is shown by the first frame whose picture is of it or later; a share of one frame is this one."""
    first = count_by(ms, tick_ms)
    if (edge_ms(first, tick_ms) + edge_ms(first + 1, tick_ms)) // 2 < ms:
        first += 1
    return range(first, first + max(1, width.frames))
