"""ViTT: one set of timestamped tags a line, several lines a video. Knows that file's layout and nothing of videos.

A tag has a start in ms and no end: the steps of a video follow one another without gaps, so each ends where the next
one begins and the last with the video (the authors say so in their repository, issue 1). Ids are those of YouTube-8M:
a table tells the YouTube id and the length. arXiv 2505.05467 counts ViTT among dense captioning (table 1), and so
do we; the tags cover the whole video one after the other, which only a standing question fits, so all are proactive.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from streambridge.data import words
from streambridge.data.drafting import Draft
from streambridge.data.rows import Row
from streambridge.data.source_set import Given, Input, Reject, SourceSet, listed, mapping
from streambridge.data.spans import Raw
from streambridge.errors import BadInput
from streambridge.types import Timeline

CHOICES: Final = ("first", "most")


@dataclass(frozen=True, slots=True)
class Options:
    """What to take of a video that several people annotated.

    Attributes:
        choose: `first`: the one that stands first in the file; `most`: the one with most tags, of equal ones the first.
    """

    choose: str = "first"

    def __post_init__(self) -> None:
        if self.choose not in CHOICES:
            raise BadInput(f"vitt: choose is one of {', '.join(CHOICES)}; got {self.choose!r:.60}")


def video(row: Row) -> str:
    """Whose tags a line holds."""
    said = mapping(row.value, ("id", "annotations"))
    for part in listed(said["annotations"], "annotations"):
        mapping(part, ("timestamp", "tag"))
    return words.known_id(said["id"])


def convert(row: Row, given: Given) -> Iterator[Timeline]:
    """One video: all its lines."""
    told = [said for _, said in row.value]
    sets = [said["annotations"] for said in told]
    given.tally.read.update({"videos": 1, "annotation_sets": len(sets), "tags": sum(map(len, sets))})
    name = words.known_id(row.value[0][1]["id"])
    youtube = given.looked_up("ids", name, "youtube_id", "missing_id")
    length = words.number(given.looked_up("ids", name, "duration_s", "missing_duration"), "missing_duration")
    draft = Draft(given, row, name, youtube, length)
    if len(sets) > 1:
        draft.repaired("set_chosen")
    chosen = max(told, key=lambda said: len(said["annotations"])) if given.options.choose == "most" else told[0]
    draft.place = getattr(chosen, "place", None)
    spans = draft.tidy(_spans(chosen["annotations"], length))
    draft.repaired("end_inferred")
    yield draft.proactive(spans)


def _spans(tags: Sequence[Any], length: float) -> list[Raw]:
    """Each tag until the next start, or the end of the video; one that starts past it is found there by its end.

    A tag without words still ends the one before it.
    """
    raw: list[Raw] = []
    after = length
    for tag in reversed(tags):
        start = _start(tag["timestamp"])
        raw.append((start, start if start is None or start > length else after, tag["tag"]))
        after = after if start is None else min(start, length)
    return raw[::-1]


def _start(ms: Any) -> float | None:
    try:
        return words.seconds(ms) / 1000
    except Reject:
        return None


OFFER = SourceSet(
    name="vitt",
    title="ViTT",
    dataset="youtube",
    version="1",
    licence="annotations: free for any purpose, acknowledging Google LLC; videos: YouTube",
    task="dense_caption",
    inputs=(
        Input("annotations", "ViTT-annotations.json: one set of tags a line", "json"),
        Input(
            "ids",
            "for each YouTube-8M id the YouTube id and the length in seconds",
            "table",
            True,
            ("yt8m_id", "youtube_id", "duration_s"),
        ),
    ),
    convert=convert,
    expected={"all": {"videos": 8_169, "annotation_sets": 12_461}},
    options=Options,
    group=video,
)
