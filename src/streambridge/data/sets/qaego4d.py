"""QAEgo4D: a list of questions about what the wearer of a camera did, each with its window. Knows that layout only.

The file tells windows in frames at 30 a second, whatever the clip has (its authors multiply seconds by 30), and no
lengths of clips: a table does. A question of memory ("Where did I leave the keys?") is natural only afterwards, while
a gate learns from one that was asked before; so there are two orders.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from streambridge.data import words
from streambridge.data.drafting import Asked, Draft
from streambridge.data.rows import Row
from streambridge.data.source_set import Given, Input, SourceSet, mapping
from streambridge.data.spans import Span
from streambridge.errors import WrongUse
from streambridge.types import Timeline

FPS: Final = 30  # of frame numbers in annotations that follow this set: EgoTimeQA's too
ORDERS: Final = ("proactive", "multi_turn")
MOST_DELAY_S: Final = 3600.0
_FIELDS: Final = ("video_id", "sample_id", "question", "answer", "moment_start_frame", "moment_end_frame")


@dataclass(frozen=True, slots=True)
class Options:
    """When a question is asked.

    Attributes:
        order: `proactive`: at the start, answered where the window ends; `multi_turn`: afterwards, answered at once.
        delay_s: how long after the window, in seconds; only for `multi_turn`.
    """

    order: str = "proactive"
    delay_s: float = 5.0

    def __post_init__(self) -> None:
        if self.order not in ORDERS:
            raise WrongUse(f"qaego4d: order is one of {', '.join(ORDERS)}; it is {self.order!r:.40}")
        if not 0 <= self.delay_s <= MOST_DELAY_S:
            raise WrongUse(f"qaego4d: delay_s lies between 0 and {MOST_DELAY_S:g} seconds; it is {self.delay_s!r}")


def convert(row: Row, given: Given) -> Iterator[Timeline]:
    """One question."""
    given.tally.read["rows"] += 1
    said = mapping(row.value, _FIELDS)
    clip = words.known_id(said["video_id"])
    given.tally.read["clips"] += given.first("clips", clip)
    length = given.looked_up("durations", clip, "duration_s", "missing_duration")
    draft = Draft(given, row, said["sample_id"], clip, words.number(length, "missing_duration"))
    question = draft.text(said["question"])
    window = at_frame(said["moment_start_frame"]), at_frame(said["moment_end_frame"])
    span = draft.one((*window, said["answer"]))
    ahead = given.options.order == "proactive"
    yield draft.proactive([span], about=question) if ahead else _after(draft, question, span)


def _after(draft: Draft, question: str, span: Span) -> Timeline:
    delay = round(1000 * draft.given.options.delay_s)
    at = draft.policy.instant(span.end + delay, draft.duration)
    looks_back = {"shiftable": False}  # asked before what it remembers, it would make no sense
    return draft.questions([Asked(question, span.text, ((span.start, span.end),), at, looks_back)])


def at_frame(number: Any) -> float:
    """Seconds of a frame number of Ego4D's annotations, which may lie between frames. Raises Reject: `bad_time`."""
    return words.seconds(number) / FPS


OFFER = SourceSet(
    name="qaego4d",
    title="QAEgo4D",
    dataset="ego4d",
    version="1",
    licence="annotations: signed form, non-commercial; videos: Ego4D licence",
    task="grounded_qa",
    inputs=(
        Input("annotations", "annotations.train.json, .val.json or .test.json", "json"),
        Input("durations", "length of each clip in seconds", "table", True, ("video_id", "duration_s")),
    ),
    convert=convert,
    options=Options,
)
