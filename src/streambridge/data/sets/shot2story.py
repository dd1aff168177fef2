"""Shot2Story: a list of clips, each with its shots and a caption a shot. Knows that file's layout, nothing of videos.

The file gives no seconds: a shot's name is `CLIP_FIRSTFRAME_ENDFRAME`, as the official cutting script writes it, so
frames per second come from a table beside it. The script's own table of shots is a pickle and never needed. What is
heard (`ASR`, `audio_captions`) is left aside. A fifth of the clips becomes proactive, the others multi-turn
(arXiv 2505.05467, section 4).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from streambridge.data import words
from streambridge.data.drafting import Draft
from streambridge.data.rows import Row
from streambridge.data.source_set import Given, Input, Reject, SourceSet, listed, mapping
from streambridge.types import Timeline

_BOUNDS: Final = re.compile(r"_(\d{1,9})_(\d{1,9})", re.ASCII)

Bounds = tuple[float, float] | tuple[None, None]  # of a shot, in seconds; None where its name tells none


def convert(row: Row, given: Given) -> Iterator[Timeline]:
    """One clip."""
    said = mapping(row.value, ("video", "video_names", "captions"))
    shots, captions = listed(said["video_names"], "video_names"), listed(said["captions"], "captions")
    given.tally.read.update({"videos": 1, "shots": len(shots)})
    clip = words.stem(words.known_id(said["video"]))
    if len(captions) != len(shots):  # which shot a caption belongs to is then anybody's guess
        raise Reject("length_mismatch", f"{len(shots)} shots, {len(captions)} captions")
    fps = _rate(given, clip)
    bounds = [_bounds(shot, clip, fps) for shot in shots]
    draft = Draft(given, row, clip, clip, max((end for _, end in bounds if end is not None), default=None))
    told = draft.tidy([(*shot, text) for shot, text in zip(bounds, captions, strict=True)])
    yield draft.proactive(told) if draft.proactive_by_draw() else draft.multi_turn(told)


def _rate(given: Given, clip: str) -> float:
    fps = words.number(given.looked_up("fps", clip, "fps", "missing_fps"), "missing_fps")
    if fps <= 0:
        raise Reject("missing_fps", f"{fps:g} frames per second")
    return fps


def _bounds(shot: Any, clip: str, fps: float) -> Bounds:
    name = words.stem(shot) if isinstance(shot, str) else ""
    found = _BOUNDS.fullmatch(name.removeprefix(clip)) if name.startswith(clip) else None
    return (int(found[1]) / fps, int(found[2]) / fps) if found else (None, None)


OFFER = SourceSet(
    name="shot2story",
    title="Shot2Story",
    dataset="hdvila",
    version="134k",
    licence="annotations: CC BY-NC-SA 4.0; videos: HD-VILA, YouTube",
    task="dense_caption",
    inputs=(
        Input("annotations", "43k_human_train.json, or another list of clips in that layout", "json"),
        Input("fps", "frames per second by clip (its file's name without .mp4)", "table", True, ("clip_id", "fps")),
    ),
    convert=convert,
)
