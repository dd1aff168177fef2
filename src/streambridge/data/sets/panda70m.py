"""Panda-70M: a CSV line per source video, its clips in columns of lists. Knows that file's layout, nothing of videos.

The lists are Python literals in text and are read as literals: what calls a function is no literal and is rejected,
never run. A record whose lists differ in length is left out whole, since which caption is whose is then not known.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from typing import Any, Final

from streambridge.data import spans, words
from streambridge.data.pools import clip
from streambridge.data.rows import Row
from streambridge.data.source_set import Given, Input, Reject, SourceSet, listed, mapping
from streambridge.types import Timeline

MOST_CELL: Final = 250_000  # characters of a list: bounded before it is read; a video of 1,500 clips stays below


def convert(row: Row, given: Given) -> Iterator[Timeline]:
    """One source video: a sample for each of its clips."""
    given.tally.read["source_videos"] += 1
    said = mapping(row.value, ("videoID", "timestamp", "caption"))
    video = words.known_id(said["videoID"])
    times = literal(said["timestamp"], "timestamp")
    given.tally.read["clips_by_timestamp"] += len(times)
    captions, scores = literal(said["caption"], "caption"), _scores(said.get("matching_score"), len(times))
    if not len(times) == len(captions) == len(scores):
        raise Reject("length_mismatch", f"{len(times)} timestamps, {len(captions)} captions, {len(scores)} scores")
    ids: set[str] = set()
    for part in zip(times, captions, scores, strict=True):
        try:
            sample = _clip(row, given, video, *part)
            if sample.id in ids:
                raise Reject("duplicate", sample.id)
        except Reject as err:
            given.tally.drop(err)
            continue
        ids.add(sample.id)
        yield sample
    if not ids:
        raise Reject("no_segment", video)


def _clip(row: Row, given: Given, video: str, time: Any, caption: Any, score: Any) -> Timeline:
    start, end = map(words.clock, spans.pair(time))
    return clip(row, given, video, start, end, caption, score)


def literal(cell: Any, what: str) -> list[Any]:
    """The list that a cell says.

    Args:
        cell: what came.
        what: the column's name.

    Raises:
        Reject: `unknown_layout` when it is no literal of a list.
    """
    if not isinstance(cell, str) or len(cell) > MOST_CELL:
        raise Reject("unknown_layout", f"{what} is a list in text; got {cell!r:.60}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a stray backslash in a caption is no news
            return listed(ast.literal_eval(cell), what)
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError) as err:
        raise Reject("unknown_layout", f"{what} is no literal: {cell!r:.60}") from err


def _scores(cell: Any, count: int) -> list[Any]:
    """One a clip; the files for testing have none."""
    return literal(cell, "matching_score") if cell else [None] * count


OFFER = SourceSet(
    name="panda70m",
    title="Panda-70M",
    dataset="youtube",
    version="2024",
    licence="Snap: non-commercial research; videos: YouTube",
    task="dense_caption",
    inputs=(Input("annotations", "panda70m_training_2m.csv, or another part in that layout", "csv"),),
    convert=convert,
    expected={
        "train_2m": {"source_videos": 800_000, "clips_by_timestamp": 2_400_000},
        "train_10m": {"source_videos": 3_755_240, "clips_by_timestamp": 10_473_922},
    },
)
