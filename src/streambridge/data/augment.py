"""Samples varied by draws: questions left out, questions asked before what answers them. Knows no file and no model.

arXiv 2505.05467 leaves out a question with its answer (V Q A -> V) and asks before the clip (V Q A -> Q V A). A draw
depends on the seed, the sample and the question alone, so what becomes of a question does not hang on its neighbours,
on the order of samples or on shards. Epoch 0 is fixed data; every later epoch draws anew.

What is varied is a QA: a question with its answers that is no instruction and no standing watch. A sample whose order
is proactive has none. A question that was moved is one still, so that it may be left out later: it is known by
standing, once, at the start of its evidence.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from streambridge.data.draws import u
from streambridge.errors import WrongUse
from streambridge.streamit import to_ms, to_s
from streambridge.types import Question, Reference, Timeline

P_DROP: Final = 0.55  # arXiv 2505.05467, section on StreamingQA
P_SHIFT: Final = 0.1  # the same
SHIFTED: Final = "question_shifted"
QUIRKS: Final = (SHIFTED, "qa_dropped", "hallucination")  # last among a sample's quirks, always in this order


@dataclass(frozen=True, slots=True)
class QA:
    """A question and what is answered to it."""

    question: Question
    answers: tuple[Reference, ...]

    @property
    def turns(self) -> tuple[Question | Reference, ...]:
        """All of it, the question first."""
        return (self.question, *self.answers)

    @property
    def start_ms(self) -> int | None:
        """Where its evidence begins, or None without any."""
        return min((to_ms(start) for one in self.answers for start, _ in one.evidence), default=None)

    @property
    def moved(self) -> bool:
        """Does it stand at the start of its evidence and wait for its answer?"""
        return self.question.when == "watch" and self.question.once and to_ms(self.question.t) == self.start_ms


def draw(tag: str, timeline: Timeline, question: str, seed: int, epoch: int) -> float:
    """The number in [0, 1) that decides what becomes of a question.

    Args:
        tag: what is decided: `drop`, `shift`, `hallucination`.
        timeline: the sample.
        question: its id.
        seed: of the run.
        epoch: 0 is fixed data; another epoch is another draw.
    """
    return u(seed, *([epoch] if epoch else []), timeline.id, question, tag)


def qas(timeline: Timeline) -> list[QA]:
    """The QAs of a sample, in the order of its questions; none of a proactive one."""
    if timeline.meta.get("order") == "proactive":
        return []
    answers: dict[str, list[Reference]] = {}
    for reference in timeline.references:
        answers.setdefault(reference.reply_to, []).append(reference)
    found = [QA(question, tuple(answers.get(question.id, ()))) for question in timeline.questions]
    return [one for one in found if one.answers and _single(one)]


def drop(timeline: Timeline, p: float = P_DROP, seed: int = 0, epoch: int = 0, keep_min: int = 1) -> Timeline:
    """Leave QAs out, each with chance `p`; the video stays.

    Args:
        timeline: the sample; it is not changed.
        p: in [0, 1].
        seed: of the run.
        epoch: 0 is fixed data; another epoch is another draw.
        keep_min: so many QAs with something to learn stay at least, those with the highest draws: a sample with
            nothing to learn is no sample. 0 is the paper: 0.55 ** 10 = 0.25 % of its ten-clip videos are left empty.

    Returns:
        A new Timeline with the quirk `qa_dropped`, or the very same one when all QAs stay.

    Raises:
        WrongUse: when `p` is no share, or `keep_min` negative.
    """
    expect_share("p", p)
    if keep_min < 0:
        raise WrongUse(f"keep_min: 0 or more QAs stay; got {keep_min!r}")
    found = qas(timeline)
    draws = {qa.question.id: draw("drop", timeline, qa.question.id, seed, epoch) for qa in found}
    taught = [qa.question.id for qa in found if any(one.learn for one in qa.answers)]
    stay = sorted(taught, key=lambda name: (-draws[name], name))[:keep_min]
    kept = {name for name in draws if draws[name] >= p or name in stay}
    gone = {turn.id for qa in found if qa.question.id not in kept for turn in qa.turns}
    if not gone:
        return timeline
    return varied(timeline, [turn for turn in timeline.turns if turn.id not in gone], "qa_dropped")


def shift(timeline: Timeline, p: float = P_SHIFT, seed: int = 0, epoch: int = 0) -> Timeline:
    """Ask before the clip: move questions, each with chance `p`, to the start of their evidence. Answers stay.

    A moved question becomes a watch for one answer; asked "now" it would be answered at once. One whose extras say
    `shiftable: false` ("What did he just do?") never moves, nor one that stands at or before its evidence.

    At one instant all turns that stay come before the questions moved there: with clips end to end, the answer about
    the clip before precedes the question about the next one. Sorting by time and role would turn them round.

    Args:
        timeline: the sample; it is not changed.
        p: in [0, 1].
        seed: of the run.
        epoch: 0 is fixed data; another epoch is another draw.

    Returns:
        A new Timeline with the quirk `question_shifted`, or the very same one when no question moves.

    Raises:
        WrongUse: when `p` is no share.
    """
    expect_share("p", p)
    chosen = [qa for qa in qas(timeline) if draw("shift", timeline, qa.question.id, seed, epoch) < p]
    moved = {qa.question.id: _to_start(qa) for qa in chosen if _may_move(timeline, qa)}
    if not moved:
        return timeline
    turns = [moved.get(turn.id, turn) for turn in timeline.turns]
    turns.sort(key=lambda turn: (to_ms(turn.t), turn.id in moved))  # stable: what stays keeps its order
    return varied(timeline, turns, SHIFTED)


def varied(
    timeline: Timeline,
    turns: Iterable[Question | Reference],
    quirk: str,
    extras: Mapping[str, Mapping[str, Any]] | None = None,
) -> Timeline:
    """A sample with other turns, that owns up to it.

    Args:
        timeline: as it was.
        turns: all that it has now; extras of turns that are gone go too.
        quirk: what was done, one of QUIRKS.
        extras: of turns that are new.
    """
    new = replace(timeline, turns=tuple(turns))
    ids = {turn.id for turn in new.turns}
    own = {name: said for name, said in {**timeline.meta.get("turns", {}), **(extras or {})}.items() if name in ids}
    meta = {name: value for name, value in timeline.meta.items() if name != "turns"}
    meta |= {"quirks": _quirks(new, quirk)} | ({"turns": own} if own else {})
    return replace(new, meta=meta)


def expect_share(name: str, value: float) -> None:
    """Refuse what is no share in [0, 1]."""
    if not (isinstance(value, int | float) and 0 <= value <= 1):
        raise WrongUse(f"{name}: a share in [0, 1]; got {value!r}")


def _single(qa: QA) -> bool:
    return qa.question.kind != "instruction" and (qa.question.when != "watch" or qa.moved)


def _may_move(timeline: Timeline, qa: QA) -> bool:
    extras = timeline.meta.get("turns", {})
    barred = any(extras.get(turn.id, {}).get("shiftable") is False for turn in qa.turns)
    start, asked = qa.start_ms, qa.question
    if barred or start is None or start >= to_ms(asked.t):
        return False
    lasts = max(to_ms(one.t) for one in qa.answers) - start
    return asked.expires_s is None or to_ms(asked.expires_s) >= lasts  # a watch that ends unanswered teaches nothing


def _to_start(qa: QA) -> Question:
    return replace(qa.question, t=to_s(qa.start_ms or 0), when="watch", once=True)


def _quirks(timeline: Timeline, quirk: str) -> list[str]:
    """What is true of it now: where the only moved question was left out, none was moved. Then order never tells."""
    said = {*timeline.meta.get("quirks", ()), quirk}
    if not any(qa.moved for qa in qas(timeline)):
        said.discard(SHIFTED)
    before = [one for one in timeline.meta.get("quirks", ()) if one not in QUIRKS]
    return [*before, *(one for one in QUIRKS if one in said)]
