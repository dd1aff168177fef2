"""MultiHop-EgoQA: questions about segments of 180 s whose answers need several windows. Knows that layout only.

Windows are whole seconds of the segment, INCLUSIVE at both ends, so [47, 52] lasts until 53. An answer comes after its
LAST window. In the train file it names its windows by tags; what the official loader drops (no window, unpaired tags,
more than five, not as many as there is evidence) is dropped here too. The test file is flat and has no evidence.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

from streambridge.data import prompts, spans, words
from streambridge.data.drafting import Asked, Draft
from streambridge.data.rows import Row
from streambridge.data.source_set import Given, Input, Reject, SourceSet, listed, mapping
from streambridge.streamit import to_s
from streambridge.types import Media, Question, Reference, Timeline

MOST_TAGS: Final = 5  # of one answer; the official loader drops one with more
_TAG: Final = re.compile(r"<(/?)T(\d{1,3})>")
_SEGMENT: Final = re.compile(r"(.+)_(\d{1,6})_(\d{1,6})", re.ASCII)


def convert(row: Row, given: Given) -> Iterator[Timeline]:
    """One segment with its questions, or one question of the flat test file."""
    if isinstance(row.value, Mapping) and "annotated_QA" in row.value:
        yield from _segment(row, given)
        return
    said = mapping(row.value, ("sample_id", "segment_id", "Q", "A", "T"))
    _count(given, said["segment_id"], 1)
    draft = _draft(row, given, said["sample_id"], said["segment_id"], split="test")
    yield _sample(draft, said["segment_id"], _asked(draft, said, None))


def _segment(row: Row, given: Given) -> Iterator[Timeline]:
    said = mapping(row.value, ("segment_id", "annotated_QA"))
    segment, parts = said["segment_id"], listed(said["annotated_QA"], "annotated_QA")
    _count(given, segment, len(parts))
    told: set[object] = set()
    for number, part in enumerate(parts):
        draft = _draft(row, given, segment, segment, number)
        kept = draft.kept([part], functools.partial(_of_segment, draft), told)
        yield from (_sample(draft, segment, asked) for asked in kept)
    if not told:
        raise Reject("no_segment", f"{segment!r:.60}")


def _of_segment(draft: Draft, part: Any) -> Asked:
    said = mapping(part, ("Q", "A", "T", "Evidence"))
    return _asked(draft, said, len(mapping(said["Evidence"], ())))


def _count(given: Given, segment: Any, questions: int) -> None:
    given.tally.read.update({"segments": int(given.first("segments", str(segment))), "qa": questions})


def _bounds(segment: Any) -> tuple[str, int, int]:
    """The clip that a segment is cut from, and from when to when in seconds."""
    found = _SEGMENT.fullmatch(words.known_id(segment))
    if found is None or int(found[2]) >= int(found[3]):
        raise Reject("bad_id", f"{segment!r:.60}; expected CLIP_START_END")
    return found[1], int(found[2]), int(found[3])


def _draft(row: Row, given: Given, key: Any, segment: Any, number: int = 0, split: str = "") -> Draft:
    clip, start, end = _bounds(segment)
    return Draft(given, row, key, clip, end - start, split, number=number)


def _asked(draft: Draft, said: Mapping[str, Any], evidence: int | None) -> Asked:
    """The question, its answer without tags, and its windows; `evidence`: how many the answer should name."""
    question, answer = draft.text(said["Q"]), _untagged(draft, said["A"], evidence)
    raw = [(*window, answer) for window in _windows(said["T"], draft.duration // 1000)]
    found = spans.tidy(raw, draft.duration, draft.policy, draft.repaired, lambda err: _lost(draft, err))
    return Asked(question, found[0].text, tuple((span.start, span.end) for span in found))


def _lost(draft: Draft, reject: Reject) -> None:
    """A window said twice is once too many; any other that falls takes the question along: it needs them all."""
    if reject.reason != "duplicate":
        raise reject
    draft.dropped(reject)


def _untagged(draft: Draft, answer: Any, evidence: int | None) -> str:
    if not isinstance(answer, str):
        return draft.text(answer)  # raises
    tags = _TAG.findall(answer)
    is_open: Counter[str] = Counter()
    for slash, name in tags:
        is_open[name] += -1 if slash else 1
        if is_open[name] not in (0, 1):
            raise Reject("bad_text", f"unpaired tags: {answer!r:.80}")
    if any(is_open.values()):
        raise Reject("bad_text", f"unpaired tags: {answer!r:.80}")
    if len(tags) > 2 * MOST_TAGS or (evidence is not None and len(tags) != 2 * evidence):
        raise Reject("length_mismatch", f"{len(tags) // 2} tags, {evidence} evidence")
    if tags:
        draft.repaired("tags_stripped")
        answer = " ".join(_TAG.sub("", answer).split())
    return draft.text(answer)


def _windows(told: Any, length: int) -> list[tuple[int, int]]:
    """Windows with the second after their last one, in seconds: one `[s, e]`, or a list of such."""
    many = listed(told, "T")
    if not many:
        raise Reject("no_segment", "T is empty")
    pairs = [spans.pair(one) for one in (many if isinstance(many[0], list) else [many])]
    return [_window(_second(start), _second(end), length) for start, end in pairs]


def _window(start: int, end: int, length: int) -> tuple[int, int]:
    if start > end:
        raise Reject("reversed", f"{start} - {end} s")
    return start, min(end + 1, max(end, length))  # the last second of a segment ends with it


def _second(value: Any) -> int:
    t = words.seconds(value)
    if not t.is_integer():
        raise Reject("bad_time", f"{value!r:.40}; expected whole seconds")
    return int(t)


def _sample(draft: Draft, segment: str, asked: Asked) -> Timeline:
    policy = draft.policy
    question = prompts.worded(draft.given.source.task, policy.seed, draft.id, 0, asked.question)
    at = policy.instant(max(end for _, end in asked.evidence), draft.duration)
    proof = tuple((to_s(start), to_s(end)) for start, end in asked.evidence)
    standing = Question("q0", 0.0, question, "watch", "instruction")
    turns = (standing, Reference("a0", to_s(at), asked.answer, "q0", proof))
    _, start, end = _bounds(segment)
    return draft.finish(turns, "proactive", media=(Media(draft.uri, float(start), float(end)),))


OFFER = SourceSet(
    name="multihop_egoqa",
    title="MultiHop-EgoQA",
    dataset="ego4d",
    version="1",
    licence="annotations: not stated where they were read; videos: Ego4D licence",
    task="grounded_qa",
    inputs=(Input("annotations", "train_annotations.json, or the flat test file", "json"),),
    convert=convert,
)
