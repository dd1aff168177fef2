"""The brackets and texts of JSON bytes: where a value ends. Knows no record and no file.

Brackets are matched by kind, and a value inside a mapping must have its name before it: so a missing bracket is seen
where it hurts, not at the end of the file. JSON forbids a raw line end inside a text, so a lone quote ends at its line.
"""

from __future__ import annotations

import json
import mmap
import re
from collections.abc import Iterable
from typing import Final

WS: Final = rb"[ \t\r\n]*+"
_TEXT: Final = rb'"[^"\\\n]*+(?:\\[^\n][^"\\\n]*+)*+"'
NAMED: Final = _TEXT + WS + rb":" + WS
NAME: Final = re.compile(NAMED)
BLANK: Final = re.compile(WS)
BETWEEN: Final = re.compile(rb"[ \t\r\n,]*+")
SCALAR: Final = re.compile(rb"(?:" + _TEXT + rb'|[^,{}\[\]":\n]++)' + WS + rb"(?=[,}\]]|\Z)")
_MARK: Final = re.compile(rb'(?:[^"{}\[\]]++|' + _TEXT + rb')*+(["{}\[\]]|\Z)')  # a quote here is one without an end
_CLOSES: Final = {b"{": b"}", b"[": b"]"}


def end(data: mmap.mmap, start: int, limit: int, inside: Iterable[bytes] = ()) -> int | None:
    """The byte behind the value that begins here.

    Args:
        data: the file.
        start: the value's opening bracket.
        limit: where to give up.
        inside: brackets that are still to be closed, the outermost first; then the end is that of the outermost.

    Returns:
        None when the value does not end before `limit`, or its brackets do not fit one another.
    """
    wanted = list(inside)
    for found in _MARK.finditer(data, start, limit):
        mark = found[1]
        if mark in _CLOSES:
            if wanted and _is_named(data, found.start(), found.end() - 1) != (wanted[-1] == b"}"):
                return None
            wanted.append(_CLOSES[mark])
        elif mark == b'"' or not wanted or wanted.pop() != mark:
            return None
        elif not wanted:
            return found.end()
    return None


def _is_named(data: mmap.mmap, start: int, at: int) -> bool:
    """Whether a colon stands before the bracket here; `start` is behind the bracket or the text before."""
    near = data[max(start, at - 2) : at]
    if near.isspace() or not near:
        near = data[start:at].rstrip()
    return near.rstrip()[-1:] == b":"


def closes(data: mmap.mmap, at: int, wanted: Iterable[bytes]) -> bool:
    """Whether the rest of the file closes these brackets, the outermost first, and nothing stands behind them."""
    found = end(data, at, len(data), wanted)
    return found is not None and is_blank(data, found)


def is_blank(data: mmap.mmap, at: int) -> bool:
    """Whether nothing but blanks stands from here to the end of the file."""
    return skip(data, BLANK, at) == len(data)


def skip(data: mmap.mmap, what: re.Pattern[bytes], at: int) -> int:
    """The byte behind what stands here."""
    found = what.match(data, at)
    return found.end() if found else at


def said(text: bytes) -> str:
    """A JSON text, read; what is none is shown as it stands."""
    try:
        return str(json.loads(text))
    except ValueError:
        return text.decode("utf-8", "replace")


def name_of(found: re.Match[bytes]) -> str:
    """The name that NAME found."""
    return said(found.group()[: found.group().rindex(b'"') + 1])
