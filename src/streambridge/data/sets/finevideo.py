"""FineVideo: scenes with timed activities, and questions without times. Knows that layout, nothing of videos.

How the authors of arXiv 2505.05467 timed the questions is not known. Ours: activities are told as they end (sample
`#0`), questions stand at the end of the video (`#1`), and only on request those that fit one activity alone, by their
words, are asked at its end (`#2`). The records come as JSON Lines or as the column `json` of the Parquet files.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from streambridge.data import words
from streambridge.data.drafting import Asked, Draft
from streambridge.data.hallucination import content_words
from streambridge.data.rows import Row
from streambridge.data.source_set import Given, Input, Reject, SourceSet, listed, mapping
from streambridge.data.spans import Raw, Span
from streambridge.data.texts import unsafe_note
from streambridge.errors import WrongUse
from streambridge.types import Timeline

WHAT: Final = ("activities", "questions", "both")
LEAST_SCORE: Final = 0.6  # share of the content words of a question and its answer that an activity has
LEAST_WORDS: Final = 3  # content words; fewer fit anything
MOST_LICENCE: Final = 300
_LICENCE: Final = re.compile(r"licen[cs]e", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Options:
    """What becomes samples.

    Attributes:
        what: `activities`, `questions` or `both`.
        ground: put a question at the end of an activity where it fits that one alone.
    """

    what: str = "both"
    ground: bool = False

    def __post_init__(self) -> None:
        if self.what not in WHAT:
            raise WrongUse(f"finevideo: what is one of {', '.join(WHAT)}; it is {self.what!r:.40}")


def convert(row: Row, given: Given) -> Iterator[Timeline]:
    """One video."""
    said = mapping(row.value, ("duration_seconds", "content_metadata"))
    about = mapping(said["content_metadata"], ("scenes",))
    activities, broken = _activities(listed(about["scenes"], "scenes"))
    asked = listed(about.get("qAndA", []), "qAndA")
    given.tally.read.update({"videos": 1, "activities": len(activities), "qa": len(asked)})
    story, last, grounded = (_draft(row, given, said, number) for number in range(3))
    for reject in broken:
        story.dropped(reject)
    licence, made = _licence(given, (said, about)), 0
    for sample in _samples(story, last, grounded, activities, asked):
        made += 1
        yield replace(sample, meta={**sample.meta, "source": {**sample.meta["source"], **licence}})
    if not made:
        raise Reject("no_segment", story.key)


def _draft(row: Row, given: Given, said: Mapping[str, Any], number: int) -> Draft:
    file = said.get("original_video_filename")
    key = words.stem(words.known_id(file)) if file else words.known_id(said.get("youtube_id"))
    return Draft(given, row, key, key, said["duration_seconds"], number=number)


def _licence(given: Given, places: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """What the record says of its video's licence, which is one of Creative Commons and not the same for all."""
    told = [text for place in places for name, text in place.items() if _LICENCE.search(str(name)) and text]
    if not told:
        return {}
    try:
        text = words.clean(told[0], lambda quirk: None)
        if len(text) > MOST_LICENCE or unsafe_note(text):
            raise Reject("bad_text", f"licence: {text!r:.60}")
    except Reject as err:
        given.tally.drop(err)
        return {}
    return {"video_licence": text}


# ---------------------------------------------------------------------------------------------- activities


def _activities(scenes: Sequence[Any]) -> tuple[list[Any], list[Reject]]:
    """All activities, scene by scene, and what is no scene."""
    found: list[Any] = []
    broken = []
    for scene in scenes:
        try:
            found += listed(mapping(scene, ("activities",))["activities"], "activities")
        except Reject as err:
            broken.append(err)
    return found, broken


def _told(draft: Draft, activities: Sequence[Any]) -> list[Span]:
    raw: list[Raw] = []
    for activity in activities:
        try:
            said = mapping(activity, ("description", "timestamp"))
            times = mapping(said["timestamp"], ("start_timestamp", "end_timestamp"))
            raw += [(words.clock(times["start_timestamp"]), words.clock(times["end_timestamp"]), said["description"])]
        except Reject as err:
            draft.dropped(err)
    return draft.tidy(raw)


def _samples(
    story: Draft, last: Draft, grounded: Draft, activities: Sequence[Any], asked: Sequence[Any]
) -> Iterator[Timeline]:
    options = story.given.options
    told = _told(story, activities) if options.what != "questions" or options.ground else []
    seen = set(story.quirks)
    if options.what != "questions" and told:
        yield story.proactive(told)
    if options.what == "activities":
        return
    found = _questions(last, asked)
    fits = [_fit(one, told) if options.ground else None for one in found]
    grounded.quirks |= seen | last.quirks
    if unplaced := [one for one, fit in zip(found, fits, strict=True) if fit is None]:
        last.repaired("unplaced")
        yield last.questions(unplaced, "offline_qa")
    if placed := [fit for fit in fits if fit is not None]:
        yield grounded.questions(placed, "grounded_qa")


# ---------------------------------------------------------------------------------------------- questions


def _questions(draft: Draft, asked: Sequence[Any]) -> list[Asked]:
    """The questions, at the end of the video."""

    def put(part: Any) -> Asked:
        said = mapping(part, ("question", "answer"))
        return Asked(draft.text(said["question"]), draft.text(said["answer"]), at=draft.duration)

    return draft.kept(asked, put)


def _fit(one: Asked, told: Sequence[Span]) -> Asked | None:
    """The question at the end of the one activity that has its words; None where there is none, or several."""
    named = content_words(f"{one.question} {one.answer}")
    scores = [(len(named & content_words(span.text)) / max(1, len(named)), span) for span in told]
    near = [(score, span) for score, span in scores if score >= LEAST_SCORE]
    if len(near) != 1 or len(named) < LEAST_WORDS:
        return None
    (score, span), *_ = near
    note = {"gen": {"grounded": "by words", "score": round(score, 3)}}
    return Asked(one.question, one.answer, ((span.start, span.end),), extras=note)


OFFER = SourceSet(
    name="finevideo",
    title="FineVideo",
    dataset="finevideo",
    version="1",
    licence="videos: Creative Commons, each its own; annotations: terms of the gated set",
    task="dense_caption",
    inputs=(Input("annotations", "JSON Lines, or the Parquet files with their column json", "json"),),
    convert=convert,
    options=Options,
)
