"""EgoTimeQA: questions made from narrations, several a clip, each with its window. Knows that file's layout only.

The merge step of its authors divides each window by the MEAN length in seconds and stores that as a length in seconds,
so windows in frames are too short: seconds are used where they stand, and frames are flagged. Questions have a lone
letter l where an I belongs. In the closed variant the answer may stand among its wrong answers.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from streambridge.data import spans, words
from streambridge.data.drafting import Asked, Draft
from streambridge.data.draws import u
from streambridge.data.rows import Row
from streambridge.data.sets.qaego4d import at_frame
from streambridge.data.source_set import Given, Input, Reject, SourceSet, mapping
from streambridge.data.spans import Span
from streambridge.errors import WrongUse
from streambridge.types import Timeline

PER: Final = ("clip", "question")
MOST_OPTIONS: Final = 6  # of the schema
_NEEDED: Final = ("video_id", "question", "answer")
_FIELDS: Final = (
    "question", "answer", "start_sec", "end_sec", "moment_start_frame", "moment_end_frame", "wrong_answers",
)  # fmt: skip
_LONE_L: Final = re.compile(r"(?<![\w'-])(?<!\d )l(?!\w)")  # not the litres of "2 l"


@dataclass(frozen=True, slots=True)
class Options:
    """What becomes a sample.

    Attributes:
        per: `clip`: all questions of a clip, each asked and answered where its window ends; `question`: each one by
            itself, asked at the start and answered where its window ends, which is what a gate learns from.
    """

    per: str = "clip"

    def __post_init__(self) -> None:
        if self.per not in PER:
            raise WrongUse(f"egotimeqa: per is one of {', '.join(PER)}; it is {self.per!r:.40}")


def clip_of(row: Row) -> str:
    """The clip that a record asks about."""
    return words.known_id(mapping(row.value, _NEEDED)["video_id"])


def convert(row: Row, given: Given) -> Iterator[Timeline]:
    """All questions of one clip, whatever order they came in."""
    parts = sorted((mapping(said, _NEEDED) for _, said in row.value), key=_sorted_by)
    _count(given, parts)
    clip = words.known_id(parts[0]["video_id"] if parts else None)
    length = words.number(given.looked_up("durations", clip, "duration_s", "missing_duration"), "missing_duration")
    if given.options.per == "clip":
        draft = Draft(given, row, clip, clip, length)
        yield draft.questions(draft.kept(parts, functools.partial(_asked, draft)))
        return
    told: set[object] = set()
    for number, said in enumerate(parts):
        draft = Draft(given, row, clip, clip, length, number=number)
        kept = draft.kept([said], functools.partial(_asked, draft), told)
        yield from (_ahead(draft, one) for one in kept)
    if not told:
        raise Reject("no_segment", clip)


def _sorted_by(said: Mapping[str, Any]) -> str:
    return json.dumps([said.get(name) for name in _FIELDS])


def _count(given: Given, parts: Sequence[Mapping[str, Any]]) -> None:
    """What stands there; `raw_ms` by `raw_windows` is the mean length by which the frames were divided."""
    lengths = [length for said in parts if (length := _raw_ms(said)) is not None]
    in_seconds = sum(_has_seconds(said) for said in parts)
    given.tally.read.update({"rows": len(parts), "clips": 1, "rows_with_seconds": in_seconds})
    given.tally.read.update({"raw_windows": len(lengths), "raw_ms": sum(lengths)})


def _raw_ms(said: Mapping[str, Any]) -> int | None:
    """The length of a window before it was divided: of its seconds, or of the narrations that it was made of."""
    told = said.get("narrations")
    notes = [one.get("timestamps") for one in told if isinstance(one, Mapping)] if isinstance(told, list) else []
    own: list[tuple[Any, Any]] = [(said["start_sec"], said["end_sec"])] if _has_seconds(said) else []
    pairs = own or [spans.pair(note) for note in notes]
    if not pairs or not all(_is_time(t) for pair in pairs for t in pair):
        return None
    length: float = max(end for _, end in pairs) - min(start for start, _ in pairs)
    return round(1000 * length)


def _has_seconds(said: Mapping[str, Any]) -> bool:
    return _is_time(said.get("start_sec")) and _is_time(said.get("end_sec"))


def _is_time(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < words.MOST_S


def _asked(draft: Draft, said: Mapping[str, Any]) -> Asked:
    question = draft.text(said["question"])
    spelled = _LONE_L.sub("I", question)
    if spelled != question:
        draft.repaired("letter_l")
    span = draft.one((*_window(draft, said), said["answer"]))
    extras = {"shiftable": False}  # it looks back: "What did I pick up?"
    if said.get("wrong_answers") is not None:
        extras |= _options(draft, said["wrong_answers"], span.text, (spelled, span.start))
    return Asked(spelled, span.text, ((span.start, span.end),), extras=extras)


def _window(draft: Draft, said: Mapping[str, Any]) -> tuple[Any, Any]:
    """Start and end in seconds, as they came; from the frames where there are none."""
    if said.get("start_sec") is not None and said.get("end_sec") is not None:
        return said["start_sec"], said["end_sec"]
    window = at_frame(said.get("moment_start_frame")), at_frame(said.get("moment_end_frame"))
    draft.repaired("frames_only")
    return window


def _options(draft: Draft, wrong: Any, answer: str, name: tuple[object, ...]) -> dict[str, Any]:
    """Answer and wrong answers in an order drawn by their words; nothing when fewer than two are different."""
    kept = [answer]
    for text in wrong if isinstance(wrong, list) else []:
        try:
            one = draft.text(text)
            if _folded(one) in map(_folded, kept):
                raise Reject("duplicate", f"{one!r:.60} among the wrong answers")
            kept.append(one)
        except Reject as err:
            draft.dropped(err)
    if not 2 <= len(kept) <= MOST_OPTIONS:
        draft.dropped(Reject("bad_options", f"{wrong!r:.80}"))
        return {}
    kept.sort(key=lambda one: u(draft.policy.seed, draft.key, *name, one, "options"))
    return {"options": kept, "answer_index": kept.index(answer)}


def _folded(text: str) -> str:
    return text.casefold().rstrip(" .")


def _ahead(draft: Draft, one: Asked) -> Timeline:
    (start, end), *_ = one.evidence
    sample = draft.proactive([Span(start, end, one.answer)], about=one.question)
    return replace(sample, meta={**sample.meta, "turns": {sample.references[0].id: one.extras}})


OFFER = SourceSet(
    name="egotimeqa",
    title="EgoTimeQA",
    dataset="ego4d",
    version="1",
    licence="annotations: MIT; videos: Ego4D licence",
    task="grounded_qa",
    inputs=(
        Input("annotations", "annotations.EgoTimeQA.json, open or closed variant", "json"),
        Input("durations", "length of each clip in seconds", "table", True, ("video_id", "duration_s")),
    ),
    convert=convert,
    options=Options,
    group=clip_of,
)
