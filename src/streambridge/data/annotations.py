"""Which videos a benchmark's annotation file names: JSON, JSON Lines, CSV or a plain list. Knows no benchmark."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from streambridge.errors import BadInput

MOST_BYTES: Final = 200 * 2**20  # of one JSON file, which is read whole; benchmarks have under 10 MB
MOST_LINE: Final = 2**20  # characters of one line of a list or table
MOST_NAME: Final = 500  # characters of a video's name

# Fields that name a video: OVO-Bench and ET-Bench `video`, StreamingBench `video_path`, and those of other sets.
FIELDS: Final = (
    "video", "video_path", "video_id", "video_name", "videoid", "videoID", "video_uid", "vid", "vid_name", "clip_uid",
    "youtube_id", "YoutubeID", "youtubeID", "filename",
)  # fmt: skip
_TELLING: Final = {"annotations", "annotation", "timestamps", "duration", "subset", "segments", "sentences"}


def videos_of_annotations(path: str | os.PathLike[str]) -> set[str]:
    """The videos that an annotation file names, as they stand there.

    Args:
        path: JSON (lists in lists too, or an object with one entry a video), JSON Lines, CSV or TSV with a column of
            FIELDS, or a plain list with one video a line.

    Raises:
        BadInput: when it cannot be read, is none of these, or names no video.
    """
    file = Path(path)
    try:
        found = {name.strip() for name in _names(file) if 0 < len(name.strip()) <= MOST_NAME}
    except OSError as err:
        raise BadInput(f"cannot read {file}: {err.strerror or err}") from err
    except (ValueError, RecursionError, csv.Error) as err:
        raise BadInput(f"{file}: no annotations that can be read: {' '.join(str(err).split())[:200]}") from err
    if not found:
        raise BadInput(f"{file}: names no video; expected one of the fields {', '.join(FIELDS)}, or one video a line")
    return found


def _names(file: Path) -> Iterator[str]:
    if not file.is_file():
        raise BadInput(f"{file}: a file of annotations is expected here")
    with open(file, encoding="utf-8-sig", newline="") as text:
        first = text.read(4096)
    if "\0" in first:
        raise ValueError("bytes that are no text")
    if first.lstrip()[:1] in ("{", "["):
        return _of_json(file) if file.suffix.lower() not in (".jsonl", ".ndjson") else _of_json_lines(file)
    heads = {head.strip().strip('"') for head in first.partition("\n")[0].replace("\t", ",").split(",")}
    return _of_table(file) if heads & set(FIELDS) and len(heads) > 1 else _of_list(file)


def _of_json(file: Path) -> Iterator[str]:
    if file.stat().st_size > MOST_BYTES:
        raise ValueError(f"more than {MOST_BYTES} bytes; JSON Lines (.jsonl) are read line by line")
    try:
        said = json.loads(file.read_text(encoding="utf-8-sig"))
    except json.JSONDecodeError as err:
        if "Extra data" not in err.msg:  # else: JSON Lines under another ending
            raise
        return _of_json_lines(file)
    return iter([*_in(said), *_keys(said)])


def _of_json_lines(file: Path) -> Iterator[str]:
    for line in _lines(file):
        said = json.loads(line)
        if isinstance(said, str):
            yield said
        yield from _in(said)


def _in(said: Any) -> Iterator[str]:
    """Every video named anywhere inside; a list of texts names videos itself."""
    waiting = [said]
    if isinstance(said, list) and all(isinstance(one, str) for one in said):
        yield from said
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            yield from (one[field] for field in FIELDS if isinstance(one.get(field), str))
        waiting += [inner for inner in _inner(one) if isinstance(inner, dict | list)]


def _inner(one: Any) -> Iterable[Any]:
    return one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()


def _keys(said: Any) -> Iterator[str]:
    """An object with one entry a video, as in ActivityNet and COIN: its keys are the names."""
    videos = said.get("database", said) if isinstance(said, dict) else {}
    if isinstance(videos, dict):
        yield from (key for key, value in videos.items() if isinstance(value, dict) and _TELLING & set(value))


def _of_table(file: Path) -> Iterator[str]:
    with open(file, encoding="utf-8-sig", newline="") as text:
        head = text.readline()
        text.seek(0)
        rows = csv.DictReader(text, delimiter="\t" if "\t" in head else ",", skipinitialspace=True)
        columns = [field for field in FIELDS if field in (rows.fieldnames or ())]
        for row in rows:
            yield from (row[column] for column in columns if row[column])


def _of_list(file: Path) -> Iterator[str]:
    for line in _lines(file):
        if len(line) > MOST_NAME:
            raise ValueError(f"a line of {len(line)} characters is no video's name")
        yield line.split()[0] if "##" in line else line  # Charades-STA: ID start end##sentence


def _lines(file: Path) -> Iterator[str]:
    with open(file, encoding="utf-8-sig") as text:
        while line := text.readline(MOST_LINE):
            if len(line) == MOST_LINE:
                raise ValueError(f"a line of {MOST_LINE} characters or more")
            if line.strip():
                yield line.strip()
