"""YouCook2: a mapping of cooking videos to steps in whole seconds. Knows that file's layout and nothing of videos.

One file holds several subsets, and each record tells its own. The test subset was published without sentences; one
re-release writes the word None in their place, which is no words either.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from streambridge.data import spans
from streambridge.data.drafting import Draft
from streambridge.data.rows import Row
from streambridge.data.source_set import Given, Input, Reject, SourceSet, listed, mapping
from streambridge.types import Timeline

SPLITS: Final = {"training": "train", "validation": "val", "testing": "test"}


def convert(row: Row, given: Given) -> Iterator[Timeline]:
    """One video."""
    said = mapping(row.value, ("duration", "subset", "annotations"))
    steps = [mapping(step, ("segment",)) for step in listed(said["annotations"], "annotations")]
    raw = [(*spans.pair(step["segment"]), step.get("sentence")) for step in steps]
    spans.count_raw(given.tally.read, raw, said["duration"])
    if not isinstance(said["subset"], str) or said["subset"] not in SPLITS:
        raise Reject("unknown_layout", f"subset is one of {', '.join(SPLITS)}; got {said['subset']!r:.60}")
    given.tally.read[f"{said['subset']}_videos"] += 1
    draft = Draft(given, row, row.key, row.key, said["duration"], SPLITS[said["subset"]])
    yield draft.proactive(draft.tidy(raw))


OFFER = SourceSet(
    name="youcook2",
    title="YouCook2",
    dataset="youtube",
    version="trainval",
    licence="annotations: not seen; videos: YouTube",
    task="step",
    inputs=(Input("annotations", "youcookii_annotations_trainval.json", "json", under="database"),),
    convert=convert,
    expected={"all": {"videos": 1_790, "segments": 13_829, "training_videos": 1_333, "validation_videos": 457}},
)
