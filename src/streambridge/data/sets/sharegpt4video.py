"""ShareGPT4Video: a caption of each whole video, or conversations, for the offline mix. Knows both layouts, no videos.

`sharegpt4video_40k.jsonl` as public loaders read it: `video_id`, `video_path`, `captions` of `{idx, content}`, where
idx -1 is the caption of the whole video; the others tell changes between key frames whose instants are not told in
seconds, and are left aside. The other file holds `conversations`. Neither was verified against the full files.
Lengths stand in neither, so a table must tell them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from streambridge.data.conversations import DURATIONS, answered, begun, pairs
from streambridge.data.drafting import Draft
from streambridge.data.draws import pick
from streambridge.data.rows import Row
from streambridge.data.source_set import Given, Input, Reject, SourceSet, listed, mapping
from streambridge.types import Timeline

ASKED: Final = (
    "Describe this video in detail.",
    "What does this video show from beginning to end?",
    "Give a full account of what was to be seen.",
    "Sum up this video with its details.",
    "Tell me in detail what happened in this video.",
)
_WHOLE: Final = "-1"


def convert(row: Row, given: Given) -> Iterator[Timeline]:
    """One video, or one conversation about it."""
    given.tally.read["rows"] += 1
    said = mapping(row.value, ())
    if "captions" not in said:
        yield _conversation(row, given, mapping(said, ("id", "video", "conversations")))
        return
    mapping(said, ("video_id", "video_path"))
    caption = _whole(said["captions"])
    given.tally.read["questions"] += 1
    draft = begun(row, given, said["video_id"], said["video_path"])
    yield answered(draft, [(_asked(draft), caption)])


def _conversation(row: Row, given: Given, said: Mapping[str, Any]) -> Timeline:
    talk = pairs(said["conversations"])
    given.tally.read["questions"] += len(talk)
    return answered(begun(row, given, said["id"], said["video"]), talk)


def _whole(captions: Any) -> Any:
    """The caption of the whole video."""
    told = [mapping(one, ("idx", "content")) for one in listed(captions, "captions")]
    whole = [one["content"] for one in told if str(one["idx"]) == _WHOLE]
    if len(whole) != 1:
        raise Reject("no_segment", f"{len(whole)} captions of the whole video among {len(told)}")
    return whole[0]


def _asked(draft: Draft) -> str:
    return ASKED[pick(len(ASKED), draft.policy.seed, draft.id, "whole")]


OFFER = SourceSet(
    name="sharegpt4video",
    title="ShareGPT4Video",
    dataset="sharegpt4video",
    version="40k",
    licence="CC BY-NC 4.0, as a copy of its card says; videos: of several makers",
    task="offline_qa",
    inputs=(Input("annotations", "sharegpt4video_40k.jsonl, or a list of conversations", "json"), DURATIONS),
    convert=convert,
)
