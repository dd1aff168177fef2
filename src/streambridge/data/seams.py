"""Where the next record of a damaged JSON document begins. Knows what a document's records look like, reads none.

In a file with lines the next record stands on the next line that begins as the broken one's did; in a file without,
behind the next bracket where a record with the same first key begins, or else behind `}` `,` `{`.
"""

from __future__ import annotations

import mmap
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from streambridge.data.json_tokens import NAMED, WS

_FIRST: Final = re.compile(rb"\{" + WS + rb'("[^"\\\n]{0,200}")' + WS + rb":")
_LOOK: Final = 1 << 16  # bytes in which a name and a first key stand
_LEAD: Final = 200  # bytes of blanks before a record on its line; more is no indent


@dataclass(frozen=True, slots=True)
class Shape:
    """What the records of one container look like.

    Attributes:
        begin: the byte behind the bracket that opens it.
        named: whether it is a mapping.
        nested: whether it stands inside another mapping.
        first: the first key of its first record, with quotes; empty when that has none.
    """

    begin: int
    named: bool
    nested: bool
    first: bytes

    @property
    def wanted(self) -> tuple[bytes, ...]:
        """The brackets that close it, the outermost first."""
        return ((b"}",) if self.nested else ()) + (b"}" if self.named else b"]",)

    def follows(self, data: mmap.mmap, start: int, lead: bytes | None, stop: int, near: int) -> int | None:
        """Where to go on behind a broken record.

        Args:
            data: the file.
            start: its first byte.
            lead: the blanks before it on its line; None when more than blanks stand there.
            stop: where to stop looking.
            near: bytes within which a record with the known first key is preferred to any other.
        """
        like = _begins(self.named, data[start : start + 1])
        line = like_lines(lead, self.named, like or self._mark).search(data, start, stop) if lead is not None else None
        if line and like:
            return line.start() + 1
        if lead is not None and like and data.rfind(b"\n" + lead + like, 0, max(0, start - len(lead))) >= 0:
            return None  # the last record of a file with lines: what looks like a record inside it is none
        if (found := self.alike(data, start, min(stop, start + near))) is not None:
            return found
        return line.start() + 1 if line else self._any(data, start, stop)

    @property
    def _mark(self) -> bytes:
        return b'"' if self.named else b"{"

    def alike(self, data: mmap.mmap, start: int, stop: int) -> int | None:
        """Behind which byte a record with the known first key begins."""
        found = _alike(self.named, self.first).search(data, start, stop) if self.first else None
        return found.start() + 1 if found else None

    def is_next(self, data: mmap.mmap, at: int) -> bool:
        """Whether a record with the known first key follows, behind brackets and commas alone."""
        follows = self.at_once(data, at)
        found = self.alike(data, at, follows + _LOOK) if follows is not None else None
        return found is not None and follows is not None and found <= follows

    def _any(self, data: mmap.mmap, start: int, stop: int) -> int | None:
        found = _ANY[self.named].search(data, start, stop)
        return found.start() + 1 if found else None

    def at_once(self, data: mmap.mmap, at: int) -> int | None:
        """Where the record begins that stands here behind brackets and commas alone."""
        found = _AT_ONCE[self.named].match(data, at)
        return found.end() if found else None


_ANY: Final = {named: re.compile(rb"\}" + WS + b"," + WS + NAMED * named + rb"\{") for named in (False, True)}
_AT_ONCE: Final = {
    False: re.compile(rb"[ \t\r\n,\]}\[]*+(?=\{)"),
    True: re.compile(rb"[ \t\r\n,\]}{]*+(?=" + NAMED + rb"[{\[])"),
}


def first_key(data: mmap.mmap, at: int) -> bytes:
    """The first key of the mapping that begins here, with quotes; empty when there is none."""
    found = _FIRST.match(data, at)
    return found[1] if found else b""


def lead_of(data: mmap.mmap, line_start: int, start: int) -> bytes | None:
    """The blanks before a byte on its line; None when more than blanks stand there."""
    before = data[line_start:start] if start - line_start <= _LEAD else b"long"
    return before if not before.strip() else None


@lru_cache(maxsize=64)
def like_lines(lead: bytes, named: bool, mark: bytes, firsts: frozenset[bytes] = frozenset()) -> re.Pattern[bytes]:
    """A line that begins as a record's did: its blanks, then its name or bracket; with one of these first keys."""
    opener = NAMED + rb"[{\[]" if named else re.escape(mark)
    if keys := [re.escape(key) for key in sorted(firsts) if key]:
        opener = NAMED * named + rb"\{" + WS + b"(?:" + b"|".join(keys) + b")" + WS + b":"
    return re.compile(b"\n" + re.escape(lead) + opener)


@lru_cache(maxsize=64)
def _alike(named: bool, first: bytes) -> re.Pattern[bytes]:
    before = rb"[{,}\]]" + WS + NAMED if named else rb"[\[,}\]]" + WS
    return re.compile(before + rb"\{" + WS + re.escape(first) + WS + b":")


def _begins(named: bool, mark: bytes) -> bytes:
    """The mark, when a record can begin with it."""
    return mark if mark in ((b'"',) if named else (b"{", b"[")) else b""
