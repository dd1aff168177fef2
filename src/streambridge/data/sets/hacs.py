"""HACS Segments: labelled action instances in ActivityNet's layout. Knows that file's layout and nothing of videos.

The duration is a text. One file holds all three subsets, and the videos for testing have no segments: they are
counted and rejected. Labels are asked for one by one (`VIDEO/label`).
"""

from __future__ import annotations

from streambridge.data.instances import convert
from streambridge.data.source_set import Input, SourceSet

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
