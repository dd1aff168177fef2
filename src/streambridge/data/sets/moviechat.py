"""MovieChat-1K: one JSON a video, questions about frames of it and about all of it. Knows that file's layout only.

A breakpoint is a frame number at which a question is put about what is on the screen, so each becomes a turn at that
instant; a global question has no time and stands at the end. There is no proactive order: no span says what proves an
answer, so nobody could tell whether one came too early. For the same reason evidence stays empty.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from streambridge.data import words
from streambridge.data.drafting import Asked, Draft
from streambridge.data.rows import Row
from streambridge.data.source_set import Given, Input, Reject, SourceSet, listed, mapping
from streambridge.types import Timeline


def convert(row: Row, given: Given) -> Iterator[Timeline]:
    """One video."""
    said = mapping(row.value, ("info", "global", "breakpoint"))  # `caption`, which some have, is left aside
    info, overall = mapping(said["info"], ()), listed(said["global"], "global")
    points = listed(said["breakpoint"], "breakpoint")
    given.tally.read.update({"videos": 1, "global_qa": len(overall), "breakpoint_qa": len(points)})
    video = words.stem(words.known_id(info.get("video_path")))
    fps = _rate(info.get("fps"))
    draft = Draft(given, row, video, video, words.seconds(info.get("num_frame"), "missing_duration") / fps)
    placed = draft.kept(points, lambda part: _asked(draft, part, fps))
    if any(one.at > after.at for one, after in pairwise(placed) if one.at is not None and after.at is not None):
        draft.repaired("unsorted")
    last = draft.kept(overall, lambda part: _asked(draft, part, None))
    if last:
        draft.repaired("unplaced")
    yield draft.questions([*placed, *last])


def _rate(fps: Any) -> float:
    if (rate := words.seconds(fps, "missing_fps")) <= 0:
        raise Reject("missing_fps", f"{fps!r} frames per second")
    return rate


def _asked(draft: Draft, part: Any, fps: float | None) -> Asked:
    """A question at its breakpoint; without frames per second, at the end of the video."""
    said = mapping(part, ("question", "answer") if fps is None else ("question", "answer", "time"))
    at = draft.duration if fps is None else _instant(draft, words.seconds(said["time"]) / fps)
    return Asked(draft.text(said["question"]), draft.text(said["answer"]), at=at)


def _instant(draft: Draft, t: float) -> int:
    """The first tick not before a breakpoint, in ms; the first one of all at least, since nothing is seen before."""
    policy, ms = draft.policy, round(1000 * words.seconds(t))
    if ms > draft.duration + policy.clamp_ms:
        raise Reject("beyond_duration", f"{ms} ms of {draft.duration}")
    if ms > draft.duration:
        draft.repaired("end_clamped")
    return policy.instant(max(ms, policy.tick_ms), draft.duration)


OFFER = SourceSet(
    name="moviechat",
    title="MovieChat-1K",
    dataset="moviechat",
    version="1K",
    licence="not stated where the annotations were read; videos partly withheld",
    task="grounded_qa",
    inputs=(Input("annotations", "the JSON files of the videos, one a video", "document"),),
    convert=convert,
)
