"""From cleaned spans and words to a sample: who says what at which instant. Knows the schema, no data set.

The three shapes of arXiv 2505.05467, section 4: proactive (the question first, answers where their spans end),
multi-turn (a question about now at each end), and questions of their own that are answered where their evidence ends.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from streambridge.data import prompts, spans, words
from streambridge.data.draws import u
from streambridge.data.rows import Row
from streambridge.data.source_set import Given, Reject
from streambridge.data.spans import Raw, Span
from streambridge.streamit import to_s
from streambridge.types import Media, Question, Reference, Timeline


@dataclass(frozen=True, slots=True)
class Asked:
    """A question of its own.

    Attributes:
        question: its words, cleaned.
        answer: its words, cleaned.
        evidence: spans in ms on the video, in order; empty when the answer has no place in it.
        at: when it is answered, in ms; None: where the evidence ends.
        extras: `qa_type`, `options`, `answer_index`, `shiftable`, for the answer.
    """

    question: str
    answer: str
    evidence: tuple[tuple[int, int], ...] = ()
    at: int | None = None
    extras: dict[str, Any] = field(default_factory=dict)


class Draft:
    """One sample in the making; counts what is repaired and dropped on the way.

    Args:
        given: policy, tables and tally.
        row: the record it is made from.
        key: what its id is made of: the video's id, or the question's.
        video: the video's id, for `dataset:ID`.
        duration_s: of the video; whatever came.
        split: when the record tells it; default: the caller's.
        dataset: of the video, where it is not the set's.
        number: of the sample among those of its key.

    Raises:
        Reject: `missing_duration`, `missing_id`, `bad_id`.
    """

    def __init__(
        self,
        given: Given,
        row: Row,
        key: Any,
        video: Any,
        duration_s: Any,
        split: str = "",
        dataset: str = "",
        number: int = 0,
    ) -> None:
        self.given, self.row = given, row
        self.policy = given.policy
        self.key, self.split = words.known_id(key), split or given.split
        self.uri = f"{dataset or given.source.dataset}:{words.known_id(video)}"
        self.duration = round(1000 * words.seconds(duration_s, "missing_duration"))  # ms
        if self.duration < self.policy.tick_ms:
            raise Reject("zero_length", f"{duration_s!r:.40} s is less than one frame")
        self.id = f"{given.source.name}/{self.split}/{self.key}#{number}"
        self.quirks: set[str] = set()
        self.place: Any = None  # of the record, where several records are one sample

    def repaired(self, quirk: str) -> None:
        """Note a quirk that was mended."""
        self.quirks.add(quirk)

    def dropped(self, reject: Reject, part: Any = None) -> None:
        """Note a part of the record that is left out; `part` may know the line it stands on."""
        reject.place = getattr(part, "place", self.place)
        self.given.tally.drop(reject)
        self.quirks.add(f"dropped_{reject.reason}")

    def text(self, value: Any) -> str:
        """Words, cleaned. Raises Reject: `empty_text`, `bad_text`."""
        return words.clean(value, self.repaired)

    def tidy(self, raw: Iterable[Raw]) -> list[Span]:
        """Spans that can be answered, in the order of their ends; the others are counted."""
        return spans.tidy(raw, self.duration, self.policy, self.repaired, self.dropped)

    def one(self, raw: Raw) -> Span:
        """The one span of a question; without it there is no question.

        Raises:
            Reject: why it cannot be one.
        """
        return spans.tidy([raw], self.duration, self.policy, self.repaired, _refuse)[0]

    def kept(
        self, parts: Iterable[Any], make: Callable[[Any], Asked], before: set[object] | None = None
    ) -> list[Asked]:
        """The questions that can be put and were not put before; the others are counted.

        Args:
            parts: as they came.
            make: a question from a part; raises Reject.
            before: what was put in other samples of the record; grows.
        """
        before, kept = set() if before is None else before, []
        for part in parts:
            try:
                one = make(part)
                if (said := (one.question, one.answer, one.evidence, one.at)) in before:
                    raise Reject("duplicate", f"{one.question!r:.60}")
                before.add(said)
                kept.append(one)
            except Reject as err:
                self.dropped(err, part)
        return kept

    def proactive_by_draw(self) -> bool:
        """Whether this one is among the share of proactive samples, by a hash of its id."""
        return u(self.policy.seed, self.id, "order") < self.policy.proactive_share

    # ------------------------------------------------------------------------------------------ the three shapes

    def proactive(self, told: Sequence[Span], task: str = "", about: str = "", spoken: str = "") -> Timeline:
        """One question at the start; each span is told at the first tick not before its end.

        Args:
            told: in the order of their ends.
            task: whose wording the question has; default: the set's.
            about: words that the wording asks about.
            spoken: the question itself, instead of a wording.
        """
        asked = spoken or prompts.worded(task or self.given.source.task, self.policy.seed, self.id, 0, about)
        standing = Question("q0", 0.0, asked, "watch", "instruction")
        return self.finish((standing, *self._answers(told)), "proactive", task)

    def _answers(self, told: Sequence[Span]) -> list[Reference]:
        met = self._met(told)
        return [Reference(f"a{k}", to_s(t), text, "q0", evidence) for k, (t, text, evidence) in enumerate(met)]

    def _met(self, told: Sequence[Span]) -> list[tuple[int, str, tuple[tuple[float, float], ...]]]:
        """Spans by their instants; those that meet at one become one turn."""
        by_instant: dict[int, list[Span]] = {}
        for span in told:
            by_instant.setdefault(self.policy.instant(span.end, self.duration), []).append(span)
        if len(by_instant) < len(told):
            self.repaired("merged")
        said = {t: " ".join(dict.fromkeys(span.text for span in met)) for t, met in by_instant.items()}
        proof = {t: tuple((to_s(span.start), to_s(span.end)) for span in met) for t, met in by_instant.items()}
        return [(t, said[t], proof[t]) for t in sorted(by_instant)]

    def multi_turn(self, told: Sequence[Span], task: str = "") -> Timeline:
        """At the end of each span somebody asks what is going on, and is told."""
        turns: list[Question | Reference] = []
        for k, (t, text, evidence) in enumerate(self._met(told)):
            asked = prompts.worded("now", self.policy.seed, self.id, k)
            turns += [Question(f"q{k}", to_s(t), asked, "now", "question")]
            turns += [Reference(f"a{k}", to_s(t), text, f"q{k}", evidence)]
        return self.finish(turns, "multi_turn", task)

    def questions(self, asked: Sequence[Asked], task: str = "", ahead: bool = False) -> Timeline:
        """Questions of their own, answered in the order of their instants.

        Args:
            asked: each with its evidence or its instant.
            task: default: the set's.
            ahead: put all questions at the start, each to be answered once when its evidence is complete.
        """
        placed = sorted(((self._instant(one), one) for one in asked), key=lambda pair: pair[0])
        turns: list[Question | Reference] = []
        if ahead:
            pairs = enumerate(one for _, one in placed)
            turns += [Question(f"q{k}", 0.0, one.question, "watch", "question", True) for k, one in pairs]
        extras: dict[str, Any] = {}
        for k, (t, one) in enumerate(placed):
            turns += [] if ahead else [Question(f"q{k}", to_s(t), one.question, "now", "question")]
            proof = tuple((to_s(start), to_s(end)) for start, end in one.evidence)
            turns += [Reference(f"a{k}", to_s(t), one.answer, f"q{k}", proof)]
            extras |= {f"a{k}": one.extras} if one.extras else {}
        return self.finish(turns, "proactive" if ahead else "multi_turn", task, extras)

    def _instant(self, one: Asked) -> int:
        if one.at is not None:
            return one.at
        return self.policy.instant(max(end for _, end in one.evidence), self.duration)

    def finish(
        self,
        turns: Sequence[Question | Reference],
        order: str,
        task: str = "",
        extras: dict[str, Any] | None = None,
        media: tuple[Media, ...] = (),
    ) -> Timeline:
        """The sample, with where it comes from and what was mended.

        Raises:
            Reject: `no_segment` when nothing is answered.
        """
        if not any(isinstance(turn, Reference) for turn in turns):
            raise Reject("no_segment", self.key)
        source = self.given.source
        meta: dict[str, Any] = {
            "task": task or source.task,
            "order": order,
            "split": self.split,
            "source": {
                "dataset": source.name,
                "version": source.version,
                "key": self.key,
                "licence": source.licence,
                "converter": f"{source.name}@{source.revision}",
                "raw_sha256": hashlib.sha256(self.row.raw).hexdigest(),
            },
            "quirks": sorted(self.quirks),
            "policy": self.policy.said(),
        }
        meta |= {"turns": extras} if extras else {}
        one = (Media(self.uri, 0.0, to_s(self.duration)),)
        return Timeline(self.id, media or one, to_s(self.duration), tuple(turns), meta)


def _refuse(reject: Reject) -> None:
    raise reject
