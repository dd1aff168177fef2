"""VCG+ 112K (VideoGPT+): conversations about ActivityNet videos, for the offline mix. Knows two layouts, no videos.

Public loaders read `id` (the video) and `conversations`; rows of `q`, `a` and a video, as in the set it grew from, are
taken too. Neither was verified against the full file; anything else is rejected with what came. Lengths stand in
neither, so a table must tell them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from streambridge.data.conversations import DURATIONS, answered, begun, pairs
from streambridge.data.rows import Row
from streambridge.data.source_set import Given, Input, SourceSet, mapping
from streambridge.types import Timeline


def convert(row: Row, given: Given) -> Iterator[Timeline]:
    """One record; several may be about one video."""
    given.tally.read["rows"] += 1
    said = mapping(row.value, ())
    talk = _talk(said)
    given.tally.read["questions"] += len(talk)
    video = next((said[name] for name in ("video", "video_id", "id") if said.get(name) is not None), None)
    yield answered(begun(row, given, video, video), talk)


def _talk(said: Mapping[str, Any]) -> list[tuple[Any, Any]]:
    if "q" in said:
        return [(said["q"], mapping(said, ("q", "a"))["a"])]
    return pairs(mapping(said, ("conversations",))["conversations"])


OFFER = SourceSet(
    name="vcg_plus",
    title="VCG+ 112K",
    dataset="activitynet",
    version="112K",
    licence="not seen",
    task="offline_qa",
    inputs=(Input("annotations", "vcg-plus_112K.json", "json"), DURATIONS),
    convert=convert,
)
