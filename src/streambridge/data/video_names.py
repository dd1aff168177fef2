"""Names of videos, made comparable: folders, endings, prefixes and cut marks aside. Knows no file.

Two names are the same video when they agree exactly, or when they agree after the marks of a cut (`_12_40`, `_3`) are
taken away. A stem that says too little (`video`, `clip`) is no name: else every `video_N` would be one video.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_ENDINGS: Final = re.compile(r"\.(?:mp4|mkv|webm|avi|mov|m4v|flv|wmv|mpe?g|3gp|ts|gif|npy|npz|pt|json)$", re.IGNORECASE)
_YOUTUBE: Final = re.compile(r"[A-Za-z0-9_-]{11}")
_COUNTED: Final = re.compile(r"[A-Za-z]+_\d+")  # video_10016 has the eleven characters of a YouTube id and is none
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_SPAN: Final = re.compile(r"_(\d+(?:\.\d+)?)_(\d+(?:\.\d+)?)$")
_INDEX: Final = re.compile(r"_\d+(?:\.\d+)?$")
_CLIP: Final = re.compile(r"\.\d{1,4}$")  # HD-VILA's clips, Shot2Story's videos: ID.19
_SHORT_NUMBER: Final = re.compile(r"\d{1,5}")  # 7 is a video of many data sets

YOUTUBE, UUID, NUMBER = "YouTube id", "uuid", "number"


@dataclass(frozen=True, slots=True)
class Name:
    """What a video's name says.

    Attributes:
        raw: as it came.
        exact: the id itself, in each reading.
        stems: the ids it may be a cut of.
        folder: where it lies, in small letters and digits; numbers count only inside one folder or data set.
    """

    raw: str
    exact: frozenset[str]
    stems: frozenset[str]
    folder: str


def name(raw: str, dataset: str = "") -> Name:
    """Read a video's name: `folder/v_ID_12_40.mp4`, `dataset:ID`, or a bare id.

    Args:
        raw: as it stands in a file.
        dataset: whose it is, where the name has no folder.
    """
    head, colon, rest = raw.strip().partition(":")
    own, path = (
        (head, rest) if colon and re.fullmatch(r"\w+", head) and not rest.startswith("//") else ("", raw.strip())
    )
    folder, _, last = path.replace("\\", "/").rpartition("/")
    last = _watched(path) or _ENDINGS.sub("", last)
    exact = {last} | ({last[2:]} if last.startswith("v_") and _starts_youtube(last[2:]) else set())
    stems = {stem for one in exact for stem in _stems(one)} - exact
    place = _letters(own or dataset or folder.rpartition("/")[2])
    if _SHORT_NUMBER.fullmatch(last):
        exact = {f"{place}/{last}"}
    return Name(raw, frozenset(exact), frozenset(stems), place)


def shape(name: Name) -> str:
    """What kind of id a name is: only ids of one kind can be the same. Cut marks do not count."""
    for one in sorted(name.exact) + sorted(name.stems):
        if _is_youtube(one):
            return YOUTUBE
        if _UUID.fullmatch(one):
            return UUID
    last = min(name.exact, key=len).rpartition("/")[2]
    return NUMBER if last.isdigit() else re.sub(r"[A-Za-z]+", "a", re.sub(r"\d+", "9", last))[:40]


def _watched(path: str) -> str:
    """The id in a YouTube address."""
    found = re.search(r"(?:youtube\.com/watch\?(?:\S*&)?v=|youtu\.be/)([A-Za-z0-9_-]{11})", path)
    return found[1] if found else ""


def _is_youtube(text: str) -> bool:
    return bool(_YOUTUBE.fullmatch(text)) and not _COUNTED.fullmatch(text)


def _starts_youtube(text: str) -> bool:
    return bool(_YOUTUBE.match(text)) and (len(text) == 11 or text[11] == "_")


def _stems(text: str) -> set[str]:
    """What is left without the marks of a cut, where that still tells one video from another."""
    if _is_youtube(text):
        return set()  # its last letters may look like a mark
    stems = set()
    span = _SPAN.search(text)
    if span and float(span[1]) <= float(span[2]):
        stems.add(text[: span.start()])
    for mark in (_INDEX, _CLIP):
        if found := mark.search(text):
            stems.add(text[: found.start()])
    return {stem for stem in stems if _telling(stem)}


def _telling(stem: str) -> bool:
    if _is_youtube(stem) or _UUID.fullmatch(stem):
        return True
    return len(stem) >= 5 and bool(re.search(r"\d", stem)) and not stem.isdigit() and not _COUNTED.fullmatch(stem)


def _letters(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())
