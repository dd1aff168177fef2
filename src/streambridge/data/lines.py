"""The lines of a file, and whether each of them is a record of its own. Knows no data set and keeps no record."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

MOST_BYTES: Final = 8 * 2**20  # of one record; real ones stay under 1 MB (FineVideo's and EgoTimeQA's are the longest)
MARK: Final = b"\xef\xbb\xbf"  # of byte order, at the very start of a file
_LINES: Final = (".jsonl", ".ndjson")  # endings that say: one record a line
_ASKED: Final = 20  # lines that are not blank, by which a file is judged
_READ: Final = 4 * MOST_BYTES  # bytes read for that, at most
_ODD: Final = 4  # bytes that may stand before the first bracket of a document: a little damage, no other format


@dataclass(frozen=True, slots=True)
class Line:
    """One line: its number, the byte behind it, its bytes without the line's end (None: too long)."""

    number: int
    end: int
    raw: bytes | None


def split(file: IO[bytes], at: int) -> Iterator[Line]:
    """The lines of a file from a place on; one that is too long is passed over in pieces."""
    number = line_at(file, at)
    file.seek(at)
    while piece := file.readline(MOST_BYTES):
        long = not piece.endswith(b"\n") and len(piece) == MOST_BYTES
        rest = piece
        while long and rest and not rest.endswith(b"\n"):
            rest = file.readline(MOST_BYTES)
        mark = MARK if file.tell() == len(piece) else b""
        yield Line(number, file.tell(), None if long else piece.removeprefix(mark).rstrip(b"\r\n"))
        number += 1


def line_at(file: IO[bytes], at: int) -> int:
    """The line that a byte stands on, counted from the start of the file."""
    file.seek(0)
    line, left = 1, at
    while left > 0 and (piece := file.read(min(left, 1 << 20))):
        line, left = line + piece.count(b"\n"), left - len(piece)
    return line


def opening(path: Path, file: IO[bytes], under: str) -> str:
    """How a JSON file is laid out, told from its first lines.

    Args:
        path: the file; an ending for JSON Lines decides.
        file: the same, open.
        under: a key that holds the records: then it is a document, unless the ending says otherwise.

    Returns:
        `lines`, `document`, empty for a file without anything, or else the first line of what is no JSON.
    """
    first = _first(file)
    if not first:
        return ""
    if path.suffix.lower() in _LINES or (not under and _is_one_a_line(_sample(file))):
        return "lines"
    is_json = any(mark in first[: _ODD + 1] for mark in b"{[") or _begins_with_a_name(first)
    return "document" if is_json else first[:40].decode("utf-8", "replace").partition("\n")[0]


def _first(file: IO[bytes]) -> bytes:
    """What stands first, behind blanks."""
    file.seek(0)
    piece = file.read(1 << 16).removeprefix(MARK).lstrip()
    while not piece and (more := file.read(1 << 16)):
        piece = more.lstrip()
    return piece


def _begins_with_a_name(first: bytes) -> bool:
    name, quote, behind = first[1:].partition(b'"')
    return first[:1] == b'"' and bool(quote) and behind.lstrip()[:1] == b":" and b"\n" not in name


def _sample(file: IO[bytes]) -> list[bytes]:
    """The first lines that are not blank; of one that is too long the start."""
    file.seek(0)
    found: list[bytes] = []
    while len(found) < _ASKED and file.tell() < _READ and (piece := file.readline(MOST_BYTES)):
        rest = piece
        while rest and not rest.endswith(b"\n") and len(rest) == MOST_BYTES and file.tell() < _READ:
            rest = file.readline(MOST_BYTES)
        piece = piece.removeprefix(MARK if not found else b"").strip()
        found += [piece] if piece else []
    return found


def _is_one_a_line(sample: list[bytes]) -> bool:
    """Whether these first lines of a file are records, as far as they are whole."""
    first, alone = sample[0], [_mapping(line) for line in sample]
    whole = sum(value is not None for value in alone)
    if len(sample) == 1 or not any(line[:1] == b"{" for line in sample[1:]):
        return alone[0] is not None and _is_flat(alone[0])
    if first[:1] == b"[" and not first.endswith(b"]"):
        return False  # a list of records, one a line and without commas
    like = sum(line[:1] == b"{" and line[-1:] == b"}" for line in sample)
    parts = sum(line[:1] in b'"]},' or line[-1:] in b",[{" for line in sample)
    return like > parts and (whole >= 2 or (first[:1] == b"{" and (alone[0] is not None or like >= 2)))


def _mapping(line: bytes) -> dict[str, Any] | None:
    """What a line says that is a mapping by itself."""
    if line[:1] != b"{" or line[-1:] != b"}":
        return None
    try:
        value = json.loads(line.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _is_flat(value: dict[str, Any]) -> bool:
    """Whether a file's only line is a record itself, and no mapping of records: most of what it holds is no mapping."""
    return 2 * sum(isinstance(part, dict) for part in value.values()) < len(value)
