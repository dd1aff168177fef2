"""Cuts the records of one large JSON document out by their brackets, with line and offset. Reads no record.

The document is a list of records, a mapping of records, or a mapping that keeps its records under a key. What a
record says is not looked at, so a record with NaN in it costs only itself. What comes next depends on the byte alone
at which the last record ended: so reading goes on behind any record as if it had never stopped.
"""

from __future__ import annotations

import mmap
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from streambridge.data import json_tokens as tokens
from streambridge.data.json_tokens import BETWEEN, BLANK, NAME, NAMED, SCALAR, WS, is_blank, skip
from streambridge.data.seams import Shape, first_key, lead_of, like_lines
from streambridge.errors import BadInput

_NO_COMMA: Final = re.compile(WS + b"," + WS + NAMED)  # behind a record of a list: its own bracket came too early
_COMMA_MAP: Final = re.compile(WS + b"," + WS + rb"\{")
_ODD_HEAD: Final = re.compile(rb'[^{\["]{0,4}')  # as much damage as a file's first bytes may have
_TWO_OPEN: Final = re.compile(rb"\{" + WS + rb"(?=[{\[])")
_MAP_IN_LIST: Final = re.compile(rb"\[" + WS + rb"(?=\{" + WS + NAMED + rb"\{)")
_OPEN_LINE: Final = re.compile(rb"[{\[][ \t\r]*\n")
_FORGET: Final = 1 << 25  # bytes after which pages that were read are given back, so that memory stays flat
_CHUNK: Final = 1 << 20
_REACH: Final = (1 << 12, 1 << 16)  # bytes in which most records end
_TAIL: Final = 1 << 20  # of a file: a record that ends here may have taken the brackets of others for its own


def _near(key: str) -> re.Pattern[bytes]:
    """A key with damage around it, up to what it holds."""
    behind = rb'["{}\[\] \t\r\n]{0,8}:' + WS + rb"(?=[{\[]|" + NAMED + b")"
    return re.compile(rb'[",{\s]' + re.escape(key.encode()) + behind)


@dataclass(frozen=True, slots=True)
class Cut:
    """One record: its first line, the byte behind it, its name in a mapping, its bytes (None: why, in `reason`)."""

    line: int
    end: int
    key: str
    raw: bytes | None
    reason: str = ""
    got: str = "where a record should be"
    start: int = 0


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
        self._line_start = data.rfind(b"\n", 0, at) + 1
        self._over = False
        self._kept = at - at % mmap.PAGESIZE

    def records(self, under: str = "") -> Iterator[Cut]:
        """The records in order; whatever stands where a record should be comes as a Cut without bytes.

        Args:
            under: the key that holds them; empty when they stand at the top.

        Raises:
            BadInput: when the document has no container of records, or became shorter while it was read.
        """
        self._under, begun = under, self._at > 0
        told = self._enter(under)
        if not begun:
            self._at = self._at or self._shape.begin
            yield from [told] if told else []
        while not self._over and (cut := self._next()):
            yield cut
            self._forget()

    def back(self, cut: Cut) -> int:
        """Where to go on behind a cut that is no JSON: at the record that it swallowed, if it did."""
        near = self._swallowed(cut.start, lead_of(self._data, self._line_start, cut.start), cut.end)
        if near is not None:
            self._at, self._over = near, False
        return self._at

    def _next(self) -> Cut | None:
        if self._data.size() < len(self._data):  # else the next byte that is gone ends the process; a race remains
            raise BadInput("the file became shorter while it was read; leave it alone and start again")
        start = skip(self._data, BETWEEN, self._at)
        mark = self._data[start : start + 1]
        return self._after(start, mark) if mark in (b"", b"}", b"]") else self._item(start, mark)

    # ------------------------------------------------------------------------------------------ the head

    def _enter(self, under: str) -> Cut | None:
        """Find the container; a Cut when something was wrong with the head."""
        data = self._data
        clean = skip(data, BLANK, 3 if data[:3] == b"\xef\xbb\xbf" else 0)
        start = skip(data, _ODD_HEAD, clean)
        bare = NAME.match(data, start) is not None
        start = start if bare or data[start : start + 1] != b'"' else skip(data, BLANK, start + 1)
        start = skip(data, _TWO_OPEN, start)
        start = self._without_odd_list(start)
        if under and (bare or data[start : start + 1] == b"{"):
            return self._enter_under(under, start if bare else start + 1, start == clean and not bare)
        named = bare or data[start : start + 1] == b"{"
        if bare or (named and self._is_bare_list(start)):
            self._shape = self._shaped(start, bare, False)
            return None if self._at else self._lost(start, self._count(start))
        self._shape = self._shaped(start + 1, named, False)
        return None if self._at or start == clean else self._told(start, start + 1)

    def _shaped(self, begin: int, named: bool, nested: bool) -> Shape:
        start = skip(self._data, BLANK, begin)
        if named and (name := NAME.match(self._data, start)):
            start = name.end()
        return Shape(begin, named, nested, first_key(self._data, start))

    def _without_odd_list(self, start: int) -> int:
        """Behind a list's bracket, if all that it holds is a mapping of mappings and nothing closes it."""
        found = _MAP_IN_LIST.match(self._data, start)
        end = tokens.end(self._data, found.end(), len(self._data)) if found else None
        return found.end() if found and end and is_blank(self._data, end) else start

    def _is_bare_list(self, start: int) -> bool:
        """Whether mappings follow one another here: a list that lost its bracket."""
        end = tokens.end(self._data, start, min(len(self._data), start + self._most))
        return end is not None and _COMMA_MAP.match(self._data, end) is not None

    def _enter_under(self, under: str, at: int, clean: bool) -> Cut | None:
        kind, place = self._beside(at)
        if kind != "found":
            if (found := _near(under).search(self._data)) is None:
                raise BadInput(f"expected a JSON document that keeps its records under {under!r}; there is no such key")
            place, clean = found.end(), False
        mark = self._data[place : place + 1]
        self._shape = self._shaped(place + (mark != b'"'), mark != b"[", True)
        return None if self._at or clean else self._told(at, self._shape.begin)

    # ------------------------------------------------------------------------------------------ one record

    def _item(self, start: int, mark: bytes) -> Cut:
        """The record that begins here, behind its name if it has one."""
        line = self._count(start)
        name = NAME.match(self._data, start, start + self._most) if mark == b'"' else None
        value = name.end() if name else start
        if (name is not None) != self._shape.named and (name or mark in (b"{", b"[")):
            return self._lost(start, line)
        if self._data[value : value + 1] not in (b"{", b"["):
            scalar = SCALAR.match(self._data, value)
            return self._told(start, scalar.end(), "unknown_layout") if scalar else self._lost(start, line)
        if (end := self._whole(start, value)) is None:
            return self._lost(start, line)
        self._at = end
        return Cut(line, end, tokens.name_of(name) if name else "", self._data[value:end], start=start)

    def _whole(self, start: int, value: int) -> int | None:
        """The end of a record; None when it has none, or the next one's."""
        lead = lead_of(self._data, self._line_start, start)
        apart, end = self._shape.named and lead is not None, None
        for reach in (
            *(_REACH if apart else ()),
            self._most,
        ):  # near first: a fault must not cost 8 MB each
            near = min(len(self._data), start + reach)
            end = tokens.end(self._data, value, near)
            if lead is not None and apart and self._sibling(value, lead, end or near):
                return None
            if end is not None:
                break
        if end is None or (not self._shape.named and _NO_COMMA.match(self._data, end)):
            return None
        return None if self._took_all(start, value, lead, end) else end

    def _sibling(self, value: int, lead: bytes, end: int) -> bool:
        """Whether a line within a record of a mapping begins as a record does: a bracket is missing before it."""
        firsts = frozenset((first_key(self._data, value), self._shape.first))
        if not lead and skip(self._data, _OPEN_LINE, value) > value:
            return False  # no indent, and the bracket ends its line: so a printer without indent writes it
        return like_lines(lead, True, b'"', firsts).search(self._data, value, end) is not None

    def _took_all(self, start: int, value: int, lead: bytes | None, end: int) -> bool:
        """Whether a record near the end of the file took others for its parts, so that brackets are missing there."""
        if len(self._data) - end > _TAIL or not (self._shape.named or self._data[value : value + 1] == b"["):
            return False
        near = self._swallowed(start, lead, end)
        return near is not None and not tokens.closes(self._data, end, self._shape.wanted)

    def _swallowed(self, start: int, lead: bytes | None, end: int) -> int | None:
        """Where a record begins inside of what was cut out."""
        mark = self._data[start : start + 1]
        if lead is not None and (found := like_lines(lead, self._shape.named, mark).search(self._data, start, end)):
            return found.start() + 1
        return self._shape.alike(self._data, start, end) if lead is None or mark == b"[" else None

    def _told(self, start: int, end: int, reason: str = "not_json", got: str = "where a record should be") -> Cut:
        self._at = end
        return Cut(self._count(start), end, "", None, reason, got)

    def _lost(self, start: int, line: int) -> Cut:
        """A record that does not end: go on where the next one begins."""
        lead = lead_of(self._data, self._line_start, start)
        found = self._shape.follows(self._data, start, lead, len(self._data), self._most)
        self._over, self._at = found is None, len(self._data) if found is None else found
        return Cut(line, self._at, "", None, "cut_short" if found is None else "not_json")

    # ------------------------------------------------------------------------------------------ behind the records

    def _after(self, start: int, mark: bytes) -> Cut | None:
        """Behind the container: nothing, a bracket too many, a second container, or what should not be there."""
        if not mark:
            return self._broken_off(start)
        if mark != self._shape.wanted[-1]:
            return self._surplus(start)
        if not self._shape.nested:
            return None if is_blank(self._data, start + 1) else self._surplus(start)
        kind, place = self._beside(start + 1)
        if kind == "found":
            return self._told(place, place + 1, got=f"the key {self._under!r} stands twice")
        if kind == "end":
            return None
        if kind == "open" and not self._shape.is_next(self._data, start):
            return self._broken_off(place)
        return self._surplus(place, behind=True) if kind == "rubbish" else self._surplus(start)

    def _broken_off(self, at: int) -> Cut:
        """The file ends here; one past its end, when a record ends with it: reading on behind that tells this again."""
        self._over, size = True, len(self._data)
        self._at, line = size + (self._at == size), self._count(min(at, size))
        return Cut(line, self._at, "", None, "cut_short")

    def _surplus(self, start: int, behind: bool = False) -> Cut:
        """A bracket too many, or what stands behind the last one: go on at the next record, if there is one."""
        found = None if behind else self._shape.at_once(self._data, start)
        if found is None:
            found = self._shape.follows(self._data, start, None, len(self._data), self._most)
        self._over = found is None
        return self._told(start, len(self._data) if found is None else found)

    def _beside(self, at: int) -> tuple[str, int]:
        """Pass over keys beside the container: to its own key (`found`), the `end`, one left `open`, or what is odd."""
        while name := NAME.match(self._data, at := skip(self._data, BETWEEN, at)):
            value = name.end()
            opened = self._data[value : value + 1] in (b"{", b"[")
            if opened and tokens.name_of(name) == self._under:
                return "found", value
            scalar = None if opened else SCALAR.match(self._data, value)
            end = tokens.end(self._data, value, len(self._data)) if opened else scalar and scalar.end()
            if end is None:
                return "open", at
            at = end
        if at >= len(self._data):
            return "open", at
        if self._data[at : at + 1] != b"}":
            return "odd", at
        behind = skip(self._data, BLANK, at + 1)
        return {b"": "end", b",": "odd", b"}": "odd", b"]": "odd"}.get(self._data[behind : behind + 1], "rubbish"), at

    # ------------------------------------------------------------------------------------------ lines and memory

    def _count(self, at: int) -> int:
        """The line that a byte stands on; asked in order."""
        while self._counted < at:
            upto = min(at, self._counted + _CHUNK)
            piece = self._data[self._counted : upto]
            if lines := piece.count(b"\n"):
                self._line, self._line_start = self._line + lines, self._counted + piece.rindex(b"\n") + 1
            self._counted = upto
        return self._line

    def _forget(self) -> None:
        whole = self._at - self._at % mmap.PAGESIZE
        if whole - self._kept >= _FORGET and hasattr(mmap, "MADV_DONTNEED"):
            self._data.madvise(mmap.MADV_DONTNEED, self._kept, whole - self._kept)
            self._kept = whole
