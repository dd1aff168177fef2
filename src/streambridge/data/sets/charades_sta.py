"""Charades-STA: a line of text per sentence and its span. Knows that file's layout and nothing of videos.

`VIDEO start end##sentence`, in seconds. One end in seven lies past the end of its video, by up to 1.5 s, and the
lengths stand in no file of this set, so a table must tell them. In the common copy four rows of the training part
have their start after their end (another copy mends them by hand): which way round they were meant is not told, so
they are rejected.
"""

from __future__ import annotations

from collections.abc import Iterator

from streambridge.data import words
from streambridge.data.drafting import Draft
from streambridge.data.marks import mark
from streambridge.data.moments import moment
from streambridge.data.rows import Row
from streambridge.data.source_set import Given, Input, Reject, SourceSet
from streambridge.types import Timeline


def convert(row: Row, given: Given) -> Iterator[Timeline]:
    """One line."""
    read = given.tally.read
    read["rows"] += 1
    head, _, sentence = row.value.partition("##") if isinstance(row.value, str) else ("", "", "")
    said = head.split()
    if len(said) != 3:
        raise Reject("unknown_layout", f"expected VIDEO start end##sentence; got {row.value!r:.60}")
    video = words.known_id(said[0])
    read["videos"] += given.first("video", video)
    start, end = words.number(said[1]), words.number(said[2])
    read["reversed"] += start > end
    length = _length(given, video)
    read["end_beyond_duration"] += end > length
    yield moment(Draft(given, row, f"{video}/{mark([*said[1:], sentence])}", video, length), start, end, sentence)


def _length(given: Given, video: str) -> float:
    """Of a video, in seconds."""
    try:
        return words.number(given.looked_up("durations", video, "duration_s", "missing_duration"), "missing_duration")
    except Reject:
        given.tally.read["no_duration"] += 1
        raise


OFFER = SourceSet(
    name="charades_sta",
    title="Charades-STA",
    dataset="charades",
    version="ICCV 2017",
    licence="annotations: not seen; videos and their own annotations (Charades): non-commercial",
    task="grounding",
    inputs=(
        Input("annotations", "charades_sta_train.txt or charades_sta_test.txt", "text"),
        Input("durations", "the length in seconds of each video", "table", True, ("video", "duration_s")),
    ),
    convert=convert,
    # Rows with reversed times differ between copies, ends past the video between tables of lengths.
    expected={"train": {"rows": 12_408, "videos": 5_338}, "test": {"rows": 3_720, "videos": 1_334}},
)
