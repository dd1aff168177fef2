"""ActivityNet Captions: a mapping of videos to spans and sentences. Knows that file's layout and nothing of videos.

Spans overlap in more than half of the videos, so answers stand in the order of their ends. A fifth of the videos
becomes proactive, the others multi-turn (arXiv 2505.05467, section 4). val_1 and val_2 are two annotators of the same
videos: convert them as two splits and never pool them.
"""

from __future__ import annotations

from collections.abc import Iterator

from streambridge.data import spans
from streambridge.data.drafting import Draft
from streambridge.data.rows import Row
from streambridge.data.source_set import Given, Input, Reject, SourceSet, listed, mapping
from streambridge.types import Timeline


def convert(row: Row, given: Given) -> Iterator[Timeline]:
    """One video."""
    said = mapping(row.value, ("duration", "timestamps", "sentences"))
    times, sentences = listed(said["timestamps"], "timestamps"), listed(said["sentences"], "sentences")
    raw = [(*spans.pair(span), text) for span, text in zip(times, sentences, strict=False)]
    spans.count_raw(given.tally.read, raw, said["duration"])
    given.tally.read["count_mismatch"] += len(times) != len(sentences)
    if len(times) != len(sentences):
        raise Reject("length_mismatch", f"{len(times)} timestamps, {len(sentences)} sentences")
    draft = Draft(given, row, row.key, row.key, said["duration"])
    told = draft.tidy(raw)
    yield draft.proactive(told) if draft.proactive_by_draw() else draft.multi_turn(told)


OFFER = SourceSet(
    name="activitynet_captions",
    title="ActivityNet Captions",
    dataset="activitynet",
    version="1.3",
    licence="annotations: unstated; videos: YouTube",
    task="dense_caption",
    inputs=(Input("annotations", "train.json, val_1.json or val_2.json", "json"),),
    convert=convert,
    expected={
        "train": {"videos": 10_009, "segments": 37_421},
        "val_1": {"videos": 4_917, "segments": 17_505},
        "val_2": {"videos": 4_885, "segments": 17_031},
    },
)
