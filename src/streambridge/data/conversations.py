"""Questions and answers about a whole video, as sets for offline training have them. Knows no data set.

The layout is that of LLaVA: `conversations`, a list of `{from: human | gpt, value}` in turn. Nothing tells when an
answer could be known, so everything is asked when the video is over, and the sample says so (`unplaced`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Final

from streambridge.data import words
from streambridge.data.drafting import Asked, Draft
from streambridge.data.marks import mark
from streambridge.data.rows import Row
from streambridge.data.source_set import Given, Input, Reject, listed, mapping
from streambridge.types import Timeline

DURATIONS: Final = Input(
    "durations", "the length in seconds of each video, named as in the annotations, with or without .mp4", "table",
    True, ("video", "duration_s"),
)  # fmt: skip
_PLACE: Final = re.compile(r"\s*<\s*(?:image|video|vid)\s*>\s*", re.IGNORECASE)  # where other models put their pictures


def pairs(value: Any) -> list[tuple[Any, Any]]:
    """What a human says and what is answered, as it came.

    Raises:
        Reject: `unknown_layout`; `length_mismatch` when they do not speak in turn, the human first.
    """
    said = [mapping(turn, ("from", "value")) for turn in listed(value, "conversations")]
    speakers = [turn["from"] for turn in said]
    if speakers != ["human", "gpt"] * (len(said) // 2):
        raise Reject("length_mismatch", f"{len(said)} turns: {speakers!r:.80}")
    return [(asked["value"], told["value"]) for asked, told in zip(said[::2], said[1::2], strict=True)]


def plain(text: Any, repaired: Callable[[str], None]) -> Any:
    """A text without the places for pictures; anything else as it came."""
    if not isinstance(text, str) or not _PLACE.search(text):
        return text
    repaired("tags_stripped")
    return _PLACE.sub(" ", text).strip()


def begun(row: Row, given: Given, key: Any, file: Any) -> Draft:
    """A draft for a record.

    Args:
        row: the record.
        given: with the table DURATIONS.
        key: what it is called; several records may be called the same.
        file: its video, as the annotations name it, with or without an ending.

    Raises:
        Reject: `missing_id`, `bad_id`, `missing_duration`.
    """
    name, video = words.known_id(key), words.known_id(file)
    called = video if video in given.tables["durations"] else words.stem(video)
    length = words.number(given.looked_up("durations", called, "duration_s", "missing_duration"), "missing_duration")
    return Draft(given, row, f"{name}/{mark(row.value)}", words.stem(video), length)


def answered(draft: Draft, said: Iterable[tuple[Any, Any]]) -> Timeline:
    """The sample: all questions at the end of the video, in their order.

    Raises:
        Reject: `no_segment` when no pair is left.
    """

    def put(pair: tuple[Any, Any]) -> Asked:
        return Asked(_text(draft, pair[0]), _text(draft, pair[1]), at=draft.duration)

    draft.repaired("unplaced")
    return draft.questions(draft.kept(said, put), "offline_qa")


def _text(draft: Draft, value: Any) -> str:
    return draft.text(plain(value, draft.repaired))
