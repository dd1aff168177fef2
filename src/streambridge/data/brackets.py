"""Cuts the records of one large JSON document out by their brackets, with line and offset. Reads no record.

The document is a list of records, a mapping of records, or a mapping that keeps its records under a key. What a
record says is not looked at, so a record with NaN in it costs only itself. A record whose brackets do not close costs
what stands up to the next line that begins as its own line did; in a file without lines, the rest.
"""

from __future__ import annotations

import json
import mmap
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from streambridge.errors import BadInput

_TEXT: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_TOKEN: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[{}\[\]"]', re.DOTALL)  # a lone quote: a text not closed
_BETWEEN: Final = re.compile(rb"[ \t\r\n,]*")
_COLON: Final = re.compile(rb"[ \t\r\n]*:[ \t\r\n]*")
_SCALAR: Final = re.compile(rb'[^,{}\[\]"]+')
_MORE: Final = re.compile(rb'[ \t\r\n]*,[ \t\r\n]*(?:"[^"\\]{0,200}"[ \t\r\n]*:[ \t\r\n]*)?\{')
_PAIRS: Final = {b"{": b"}", b"[": b"]", b'"': b'"'}
_INDENT: Final = re.compile(rb"[ \t]*")
_FORGET: Final = 1 << 25  # bytes after which pages that were read are given back, so that memory stays flat
_CHUNK: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Cut:
    """One record: its first line, the byte behind it, its name in a mapping, its bytes (None: why, in `reason`)."""

    line: int
    end: int
    key: str
    raw: bytes | None
    reason: str = ""


class Document:
    """A JSON document of records, on disk.

    Args:
        data: the file, mapped into memory.
        most: bytes that a record may have.
        at: where to begin: 0, or the end of a record.
        line: the line that stands there.
    """

    def __init__(self, data: mmap.mmap, most: int, at: int, line: int) -> None:
        self._data, self._most, self._at = data, most, at
        self._line, self._counted = line, at
        self._told_end = False
        self._kept = at - at % mmap.PAGESIZE

    def records(self, under: str = "") -> Iterator[Cut]:
        """The records in order; whatever stands where a record should be comes as a Cut without bytes.

        Args:
            under: the key that holds them; empty when they stand at the top.

        Raises:
            BadInput: when the document has no container of records.
        """
        if self._at == 0:
            self._enter(under)
        while True:
            start = self._skip(_BETWEEN, self._at)
            mark = self._data[start : start + 1]
            if mark in (b"", b"}", b"]"):
                yield from self._after(start)
                return
            yield self._item(start, mark)
            self._forget()

    def _enter(self, under: str) -> None:
        """Stand behind the bracket that opens the container."""
        start = self._skip(_BETWEEN, 3 if self._data[:3] == b"\xef\xbb\xbf" else 0)
        if not under or self._data[start : start + 1] != b"{":
            self._at = start + 1
            return
        at = start + 1
        while (at := self._skip(_BETWEEN, at)) < len(self._data) and (name := _TEXT.match(self._data, at)):
            value = self._skip(_COLON, name.end())
            if _said(name.group()) == under and self._data[value : value + 1] in (b"{", b"["):
                self._at = value + 1
                return
            at = self._end(value) or len(self._data)
        raise BadInput(f"expected a JSON document that keeps its records under {under!r}; there is no such key")

    def _item(self, start: int, mark: bytes) -> Cut:
        """The record that begins here, behind its name if it has one."""
        name = _TEXT.match(self._data, start, start + self._most) if mark == b'"' else None
        value = self._skip(_COLON, name.end()) if name else start
        line = self._count(start)
        if (name and value == name.end()) or self._data[value : value + 1] not in (b"{", b"["):
            return self._no_record(start, value, line)
        end = self._end(value, self._most)
        if end is None:
            return self._lost(start, line)
        self._at = end
        return Cut(line, end, _said(name.group()) if name else "", self._data[value:end])

    def _no_record(self, start: int, value: int, line: int) -> Cut:
        found = _TOKEN.match(self._data, value) or _SCALAR.match(self._data, value)
        self._at = max(found.end() if found else value, start + 1)
        return Cut(line, self._at, "", None, "unknown_layout")

    def _lost(self, start: int, line: int) -> Cut:
        """A record that does not end: go on at the next line that begins as this one did."""
        begin = self._data.rfind(b"\n", 0, start) + 1
        indent = _INDENT.match(self._data, begin)
        alike = b"\n" + (indent.group() if indent else b"") + self._data[start : start + 1]
        found = self._data.find(alike, start)
        self._at = len(self._data) if found < 0 else found + 1
        self._told_end = found < 0
        return Cut(line, self._at, "", None, "cut_short" if found < 0 else "not_json")

    def _after(self, start: int) -> Iterator[Cut]:
        """Behind the container nothing more is read, unless a record follows: then the bracket was one too many."""
        line = self._count(start)
        if start >= len(self._data) and not self._told_end:
            yield Cut(line, start, "", None, "cut_short")
        elif _MORE.match(self._data, start + 1):
            self._at = start + 1
            yield Cut(line, self._at, "", None, "not_json")
            yield from self.records()

    def _end(self, start: int, most: int | None = None) -> int | None:
        """The byte behind the value that begins here; None when it does not end, or not within `most` bytes."""
        limit = len(self._data) if most is None else min(len(self._data), start + most)
        opened, depth = self._data[start : start + 1], 0
        if opened not in _PAIRS:
            return self._skip(_SCALAR, start)
        for token in _TOKEN.finditer(self._data, start, limit):
            mark = token.group()[:1]
            depth += (mark in b"{[") - (mark in b"}]")
            if mark == b'"' and len(token.group()) == 1:
                return None
            if depth <= 0:
                return token.end() if mark == _PAIRS[opened] else None
        return None

    def _skip(self, what: re.Pattern[bytes], at: int) -> int:
        found = what.match(self._data, at)
        return found.end() if found else at

    def _count(self, at: int) -> int:
        """The line that a byte stands on; asked in order."""
        while self._counted < at:
            upto = min(at, self._counted + _CHUNK)
            self._line += self._data[self._counted : upto].count(b"\n")
            self._counted = upto
        return self._line

    def _forget(self) -> None:
        whole = self._at - self._at % mmap.PAGESIZE
        if whole - self._kept >= _FORGET and hasattr(mmap, "MADV_DONTNEED"):
            self._data.madvise(mmap.MADV_DONTNEED, self._kept, whole - self._kept)
            self._kept = whole


def _said(text: bytes) -> str:
    """A JSON text, read; what is none is shown as it stands."""
    try:
        return str(json.loads(text))
    except ValueError:
        return text.decode("utf-8", "replace")
