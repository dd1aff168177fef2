"""FineAction: labelled action instances in ActivityNet's layout. Knows that file's layout and nothing of videos.

The layout was read from public loaders, all of which drop exact duplicates. Labels are asked for one by one, so a
video with three labels becomes three samples (`VIDEO/label`).
"""

from __future__ import annotations

from collections.abc import Iterator

from streambridge.data import instances
from streambridge.data.rows import Row
from streambridge.data.source_set import Given, Input, SourceSet, mapping
from streambridge.types import Timeline


def convert(row: Row, given: Given) -> Iterator[Timeline]:
    """One video. Other sets of this layout have no `filename`."""
    mapping(row.value, ("filename",))
    yield from instances.convert(row, given)


OFFER = SourceSet(
    name="fineaction",
    title="FineAction",
    dataset="fineaction",
    version="1",
    licence="not seen (OpenXLab)",
    task="action_detect",
    inputs=(Input("annotations", "annotations_gt.json", "json", under="database"),),
    convert=convert,
)
