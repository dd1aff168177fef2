"""WebVid-10M: a CSV line per clip and its caption. Knows that file's layout and nothing of videos.

The set was withdrawn in February 2024; this reads a copy that somebody rightly holds. A clip is a whole file, its
length is ISO 8601 (`PT00H01M02S`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from streambridge.data import words
from streambridge.data.pools import clip
from streambridge.data.rows import Row
from streambridge.data.source_set import Given, Input, Reject, SourceSet, mapping
from streambridge.types import Timeline

_LENGTH: Final = re.compile(r"PT(?:(\d{1,4})H)?(?:(\d{1,6})M)?(?:(\d{1,9}(?:\.\d{1,6})?)S)?", re.ASCII)


def convert(row: Row, given: Given) -> Iterator[Timeline]:
    """One clip."""
    given.tally.read["rows"] += 1
    said = mapping(row.value, ("videoid", "name", "duration"))
    words.known_id(said["videoid"])
    yield clip(row, given, said["videoid"], 0.0, length(said["duration"]), said["name"])


def length(text: Any) -> float:
    """Seconds of an ISO 8601 duration of hours, minutes and seconds.

    Raises:
        Reject: `missing_duration` when there is none, `bad_time` when it is another text.
    """
    if text is None or text == "":
        raise Reject("missing_duration", "")
    found = _LENGTH.fullmatch(text) if isinstance(text, str) else None
    if found is None or not any(found.groups()):
        raise Reject("bad_time", f"{text!r:.60}")
    hours, minutes, rest = (float(part or 0) for part in found.groups())
    return words.seconds(3600 * hours + 60 * minutes + rest)


OFFER = SourceSet(
    name="webvid",
    title="WebVid-10M",
    dataset="webvid",
    version="10M",
    licence="withdrawn in February 2024; its terms were: non-commercial, 12 months, no passing on",
    task="dense_caption",
    inputs=(Input("annotations", "results_10M_train.csv, or another part of it", "csv"),),
    convert=convert,
)
