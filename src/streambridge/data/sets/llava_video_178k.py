"""LLaVA-Video-178K: conversations about whole videos, for the offline mix. Knows that layout and nothing of videos.

`id`, `conversations`, `data_source`, `video` (a path inside the set's folders). This was written from the documented
field names and not verified against the full files. Lengths stand in none of them, so a table must tell them.
"""

from __future__ import annotations

from collections.abc import Iterator

from streambridge.data.conversations import DURATIONS, answered, begun, pairs
from streambridge.data.rows import Row
from streambridge.data.source_set import Given, Input, SourceSet, mapping
from streambridge.types import Timeline


def convert(row: Row, given: Given) -> Iterator[Timeline]:
    """One record; several may be about one video."""
    given.tally.read["rows"] += 1
    said = mapping(row.value, ("id", "conversations", "video"))
    talk = pairs(said["conversations"])
    given.tally.read["questions"] += len(talk)
    yield answered(begun(row, given, said["id"], said["video"]), talk)


OFFER = SourceSet(
    name="llava_video_178k",
    title="LLaVA-Video-178K",
    dataset="llava_video",
    version="178k",
    licence="not seen",
    task="offline_qa",
    inputs=(Input("annotations", "a list of conversations, or one a line", "json"), DURATIONS),
    convert=convert,
)
