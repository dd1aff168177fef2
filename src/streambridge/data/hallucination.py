"""Questions that nothing in the video answers, with a refusal. Knows no model and no picture.

arXiv 2505.05467 adds questions that have nothing to do with the video, 0.01 % of all. Where they come from and what is
answered is not told; here they are questions of other samples with no content word in common with any text of this
one. That is a guess from words: what is shown and not told may still answer one.
"""

import heapq
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from streambridge.data.augment import QA, draw, expect_share, qas, varied
from streambridge.data.draws import pick, u
from streambridge.errors import WrongUse
from streambridge.types import Question, Reference, Timeline

RATIO: Final = 0.0001  # of QAs, arXiv 2505.05467
MOST: Final = 10_000  # questions in a pool: some megabytes
LEAST_WORDS: Final = 2  # content words of a question; with fewer it fits anything ("What is happening?")
TRIES: Final = 20  # questions looked at for one place
TYPE: Final = "NA"

REFUSALS: Final = (
    "I have not seen anything like that.",
    "Nothing so far answers that.",
    "That has not been shown.",
    "I cannot tell; it has not come into view.",
    "There has been no sign of that yet.",
)

# Words that ask or point and name nothing that could be seen; and what any moment of any video has.
_EMPTY: Final = frozenset(
    "a about after again all also am an and any are as at back be been before being but by can could did do does doing "
    "done during each for from get gets getting go goes going had happen happened happening happens has have he her "
    "here him his how i if in into is it its just kind like look looking looks made make makes making many me moment "
    "moving much my next no not now of off on one or other our out over right scene screen see seen she show showing "
    "shown shows so some something still take taken takes taking that the their them then there these they thing "
    "things this those time to tell type under up us use used uses using video view visible was we were what when "
    "where which while who whom whose why will with would you your current currently first last color colour".split()
)
_WORD: Final = re.compile(r"[\u2e80-\u9fff\uac00-\ud7af]|[^\W_\u2e80-\u9fff\uac00-\ud7af]+")  # a sign of CJK is a word
_ENDINGS: Final = ("ing", "ers", "er", "ed", "es", "ly", "s", "e")


def content_words(text: str) -> frozenset[str]:
    """The words of a text that name something, cut to their stems: rather too short than too long."""
    return frozenset(_stem(word) for word in _WORD.findall(text.lower()) if word not in _EMPTY)


def _stem(word: str) -> str:
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word[: -len(ending)]
            break
    return word[:-1] if len(word) > 3 and word[-1] == word[-2] else word  # chopped, chop


@dataclass(frozen=True, slots=True)
class Foreign:
    """A question that some sample asks: its words, and where it comes from."""

    text: str
    words: frozenset[str]
    sample: str
    uris: frozenset[str]


class Pool:
    """Questions to be asked where they do not belong. Made in one pass, bounded, the same whatever the order.

    Those with the lowest draws are held. One that several samples ask is left out: it may fit any video.

    Attributes:
        questions: what there is, in the order of their draws.
    """

    def __init__(self, timelines: Iterable[Timeline], seed: int = 0, most: int = MOST) -> None:
        """Read the questions of samples.

        Args:
            timelines: of one split; each is looked at once and let go.
            seed: another choice.
            most: so many different questions are held.

        Raises:
            WrongUse: when nothing may be held.
        """
        if most < 1:
            raise WrongUse(f"most: a pool holds 1 question or more; got {most!r}")
        self._seed, self._most = seed, most
        self._held: dict[str, Foreign | None] = {}  # None: several samples ask it
        self._highest: list[tuple[float, str]] = []  # a heap of (-draw, folded text)
        for timeline in timelines:
            uris = frozenset(media.uri for media in timeline.media)
            for qa in qas(timeline):
                self._offer(qa, timeline, uris)
        ranked = (self._held[folded] for _, folded in sorted(self._highest, reverse=True))
        self.questions = tuple(one for one in ranked if one is not None)

    def _offer(self, qa: QA, timeline: Timeline, uris: frozenset[str]) -> None:
        text, words = qa.question.text, content_words(qa.question.text)
        folded = " ".join(text.lower().split())
        held = self._held.get(folded)
        if folded in self._held:
            self._held[folded] = held if held and held.sample == timeline.id else None
        elif len(words) >= LEAST_WORDS and _extras(timeline, qa).get("qa_type") != TYPE:
            self._held[folded] = Foreign(text, words, timeline.id, uris)
            heapq.heappush(self._highest, (-u(self._seed, folded, "pool"), folded))
            if len(self._highest) > self._most:  # by its words, so one let go never comes back
                del self._held[heapq.heappop(self._highest)[1]]


def add(timeline: Timeline, pool: Pool, ratio: float = RATIO, seed: int = 0, epoch: int = 0) -> Timeline:
    """After each QA, with chance `ratio`, ask something that nothing here answers, at the same instant.

    The paper's ratio is some 12 questions in 120,000, too few to teach anything; 0.01 is one to try. The answer has
    the evidence of the QA before it: this much had been seen when it was refused. It never moves.

    Args:
        timeline: the sample; it is not changed.
        pool: questions of other samples.
        ratio: in [0, 1], of the QAs.
        seed: of the run.
        epoch: 0 is fixed data; another epoch is another draw.

    Returns:
        A new Timeline with the quirk `hallucination`; the very same one when no QA is chosen, or nothing in the pool
        was found to fit.

    Raises:
        WrongUse: when `ratio` is no share.
    """
    expect_share("ratio", ratio)
    known = None  # the words here: told only where they are needed, which is almost nowhere
    new: dict[str, tuple[Question, Reference]] = {}
    for qa in qas(timeline):
        if not _chosen(timeline, qa, ratio, seed, epoch):
            continue
        known = known if known is not None else _words_of(timeline)
        foreign = _find(timeline, pool, known, (seed, *([epoch] if epoch else []), timeline.id, qa.question.id))
        if foreign:
            known |= foreign.words
            new[qa.answers[-1].id] = _refused(qa, foreign, seed)
    if not new:
        return timeline
    turns = [one for turn in timeline.turns for one in (turn, *new.get(turn.id, ()))]
    extras = {refused.id: {"qa_type": TYPE, "shiftable": False} for _, refused in new.values()}
    return varied(timeline, turns, "hallucination", extras)


def _chosen(timeline: Timeline, qa: QA, ratio: float, seed: int, epoch: int) -> bool:
    """Not after a refusal, and not twice after one QA, so that adding again adds nothing."""
    if draw("hallucination", timeline, qa.question.id, seed, epoch) >= ratio:
        return False
    there = {turn.id for turn in timeline.turns}
    return _extras(timeline, qa).get("qa_type") != TYPE and not there & set(_ids(qa))


def _find(timeline: Timeline, pool: Pool, known: set[str], words: tuple[Any, ...]) -> Foreign | None:
    uris = {media.uri for media in timeline.media}
    for one in range(TRIES if pool.questions else 0):
        foreign = pool.questions[pick(len(pool.questions), *words, "foreign", one)]
        if foreign.sample != timeline.id and not foreign.uris & uris and not foreign.words & known:
            return foreign
    return None


def _words_of(timeline: Timeline) -> set[str]:
    """The content words of all that is said in a sample, options too."""
    texts = [turn.text for turn in timeline.turns]
    for extras in timeline.meta.get("turns", {}).values():
        texts += [str(option) for option in extras.get("options", ())]
    return {word for text in texts for word in content_words(text)}


def _refused(qa: QA, foreign: Foreign, seed: int) -> tuple[Question, Reference]:
    asked, refused = _ids(qa)
    last = qa.answers[-1]
    text = REFUSALS[pick(len(REFUSALS), seed, foreign.sample, qa.question.id, "refusal")]
    question = Question(asked, last.t, foreign.text, kind="question")
    return question, Reference(refused, last.t, text, asked, last.evidence, kind=last.kind)


def _ids(qa: QA) -> tuple[str, str]:
    return f"{qa.question.id}.na", f"{qa.question.id}.na.a"


def _extras(timeline: Timeline, qa: QA) -> Mapping[str, Any]:
    """What is noted of a QA, at its question or at its answers."""
    noted = timeline.meta.get("turns", {})
    return {name: value for turn in qa.turns for name, value in noted.get(turn.id, {}).items()}
