"""InternVid-10M-FLT: a JSON line per clip and its caption. Knows that file's layout and nothing of videos.

Field names are those of public loaders. Most clips are short (85 % under 10 s); whoever wants longer windows joins
them later. Clips of one video stand anywhere in the file.
"""

from __future__ import annotations

from collections.abc import Iterator

from streambridge.data import words
from streambridge.data.pools import clip
from streambridge.data.rows import Row
from streambridge.data.source_set import Given, Input, SourceSet, mapping
from streambridge.types import Timeline


def convert(row: Row, given: Given) -> Iterator[Timeline]:
    """One clip."""
    given.tally.read["rows"] += 1
    said = mapping(row.value, ("YoutubeID", "Start_timestamp", "End_timestamp", "Caption"))
    words.known_id(said["YoutubeID"])
    start, end = words.clock(said["Start_timestamp"]), words.clock(said["End_timestamp"])
    yield clip(row, given, said["YoutubeID"], start, end, said["Caption"], said.get("UMT_Score"))


OFFER = SourceSet(
    name="internvid",
    title="InternVid-10M-FLT",
    dataset="youtube",
    version="10M-FLT",
    licence="CC BY-NC-SA 4.0; videos: YouTube",
    task="dense_caption",
    inputs=(Input("annotations", "InternVid-10M-flt.jsonl", "json"),),
    convert=convert,
)
