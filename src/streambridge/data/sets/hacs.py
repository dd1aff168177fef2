"""HACS Segments: labelled action instances in ActivityNet's layout. Knows that file's layout and nothing of videos.

The duration is a text. One file holds all three subsets, and the videos for testing have no segments: they are
counted and rejected. Labels are asked for one by one (`VIDEO/label`).
"""

from __future__ import annotations

from collections.abc import Iterator

from streambridge.data import instances
from streambridge.data.rows import Row
from streambridge.data.source_set import Given, Input, Reject, SourceSet, mapping
from streambridge.types import Timeline


def convert(row: Row, given: Given) -> Iterator[Timeline]:
    """One video. A length that is a number is told by other sets of this layout, never by this one."""
    if isinstance(length := mapping(row.value, ("duration",))["duration"], int | float):
        raise Reject("unknown_layout", f"the duration is a text in HACS; got the number {length!r:.40}")
    yield from instances.convert(row, given)


OFFER = SourceSet(
    name="hacs",
    title="HACS Segments",
    dataset="hacs",
    version="1.1.1",
    licence="annotations: BSD 3-Clause (repository); videos: YouTube",
    task="action_detect",
    inputs=(Input("annotations", "HACS_segments_v1.1.1.json", "json", under="database"),),
    convert=convert,
    # Of the whole file, whatever split a run is called by.
    expected={"train": {"training_videos": 37_613, "validation_videos": 5_981, "testing_videos": 5_987}},
)
