"""The records of an annotation file, one at a time, each with its line. Knows layouts (JSON, CSV, text), no data set.

A record that is broken (no JSON, NaN, too long, no UTF-8) comes as a `Broken` with its line and the next one follows.
That, and going on from a byte offset after a kill, is why the records of one large JSON document are cut out here by
their brackets and read one by one: a streaming parser gives neither lines nor what stands behind a fault.
Nothing is ever executed: no pickle is opened, and a list inside a CSV cell is a literal or nothing.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import mmap
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any, Final

from streambridge.data.brackets import Cut, Document
from streambridge.data.lines import MARK, MOST_BYTES, Line, line_at, opening, split
from streambridge.errors import BadInput

MOST_LINES: Final = 50  # of one CSV row: a quote that is never closed must not swallow the rest of the file
_PICKLES: Final = tuple(b"\x80" + bytes([version]) for version in range(2, 6))
_UNPACK: Final = "unpack it and give the file inside"
_SAVE: Final = "save it as UTF-8"
_OTHERS: Final = {
    b"\x1f\x8b": ("packed (gzip)", _UNPACK),
    b"PK\x03\x04": ("packed (zip)", _UNPACK),
    b"\xff\xfe": ("text in UTF-16", _SAVE),
    b"\xfe\xff": ("text in UTF-16", _SAVE),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One record.

    Attributes:
        line: of the file, from 1.
        end: the byte behind it, from which reading can go on.
        key: its name, where the file is a mapping of records.
        value: what JSON, a CSV row (a mapping of texts) or a line of text says.
        raw: its bytes.
    """

    line: int
    end: int
    key: str
    value: Any
    raw: bytes


@dataclass(frozen=True, slots=True)
class Broken:
    """A record that cannot be read: where, one of `reasons.REASONS`, and what came."""

    line: int
    end: int
    reason: str
    got: str


def rows(path: Path, layout: str, under: str = "", at: int = 0) -> Iterator[Row | Broken]:
    """The records of a file.

    Args:
        path: the file.
        layout: `json` (a list of records, a mapping of records, or one a line), `document` (the whole file is one
            record), `csv`, `text`, or `parquet`.
        under: the key under which a JSON document keeps its records; they may also stand at its top.
        at: where to begin: 0, or what `Row.end` told.

    Raises:
        BadInput: when the file cannot be read at all, or is of another kind.
    """
    try:
        with open(path, "rb") as file:
            _expect_text(path, file)
            yield from _LAYOUTS[layout](path, file, under, at)
    except OSError as err:
        raise BadInput(f"cannot read {path}: {err.strerror or err}") from err


def _expect_text(path: Path, file: IO[bytes]) -> None:
    """Refuse what is known by its first bytes to be no text."""
    head = file.read(8)
    file.seek(0)
    if head[:2] in _PICKLES:
        raise BadInput(f"{path} is a pickle, which can run code when it is opened, so none is; save it as JSON or CSV")
    for mark, (what, do) in _OTHERS.items():
        if head.startswith(mark):
            raise BadInput(f"{path} is {what}; expected text in UTF-8; {do}")


def _too_long(line: int, end: int) -> Broken:
    return Broken(line, end, "too_long", f"more than {MOST_BYTES} bytes")


def _text(path: Path, file: IO[bytes], under: str, at: int) -> Iterator[Row | Broken]:
    for line in split(file, at):
        if line.raw is None:
            yield _too_long(line.number, line.end)
        elif line.raw.strip():
            yield _decoded(line.number, line.end, line.raw, lambda text: text)


def _decoded(line: int, end: int, raw: bytes, read: Callable[[str], Any], key: str = "") -> Row | Broken:
    try:
        value = read(raw.decode("utf-8"))
    except UnicodeDecodeError as err:
        return Broken(line, end, "not_text", str(err)[:80])
    except (ValueError, RecursionError, csv.Error) as err:
        return Broken(line, end, "not_json", f"{raw[:40].decode('utf-8', 'replace')}: {err}"[:160])
    return Row(line, end, key, value, raw)


# ---------------------------------------------------------------------------------------------- JSON


def _json(path: Path, file: IO[bytes], under: str, at: int) -> Iterator[Row | Broken]:
    kind = opening(path, file, under)
    if kind == "lines":
        yield from _json_lines(file, at)
    elif kind == "document":
        yield from _json_document(path, file, under, at)
    elif kind:
        raise BadInput(f"{path} is no JSON: it begins with {kind!r}; expected a list or a mapping of records")


def _json_lines(file: IO[bytes], at: int) -> Iterator[Row | Broken]:
    for line in split(file, at):
        if line.raw is None:
            yield _too_long(line.number, line.end)
        elif line.raw.strip():
            yield _decoded(line.number, line.end, line.raw, _strict)


def _json_document(path: Path, file: IO[bytes], under: str, at: int) -> Iterator[Row | Broken]:
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if at > len(data):
            return  # `cut_short` was told behind the last record
        begin = 0 if at == len(data) else at  # was a record the last thing in it? Only the whole file tells
        document = Document(data, MOST_BYTES, begin, line_at(file, begin))
        try:
            found = (_piece(piece, document) for piece in document.records(under))
            yield from found if begin == at else (row for row in found if row.end > at)
        except BadInput as err:
            raise BadInput(f"{path}: {err}") from err


def _piece(piece: Cut, document: Document) -> Row | Broken:
    if piece.raw is None:
        return Broken(piece.line, piece.end, piece.reason, piece.got)
    row = _decoded(piece.line, piece.end, piece.raw, _strict, piece.key)
    return row if isinstance(row, Row) or _is_json(piece.raw) else dataclasses.replace(row, end=document.back(piece))


def _is_json(raw: bytes) -> bool:
    """Whether the record's own marks are in order, whatever else is wrong with it (NaN, a key twice, its letters)."""
    try:
        json.loads(raw.decode("utf-8", "replace"))
    except json.JSONDecodeError:
        return False
    except (ValueError, RecursionError):  # a number too long, a nesting too deep
        return True
    return True


def _document(path: Path, file: IO[bytes], under: str, at: int) -> Iterator[Row | Broken]:
    if at:
        return
    raw = file.read(MOST_BYTES + 1)
    yield _too_long(1, len(raw)) if len(raw) > MOST_BYTES else _decoded(1, len(raw), raw.removeprefix(MARK), _strict)


def _strict(text: str) -> Any:
    """JSON as it should be: no NaN, no Infinity, no key twice."""
    return json.loads(text, parse_constant=_refuse, object_pairs_hook=_once)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError(f"a key stands twice: {Counter(key for key, _ in pairs).most_common(1)[0][0]!r:.60}")
    return made


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


# ---------------------------------------------------------------------------------------------- CSV


def _csv(path: Path, file: IO[bytes], under: str, at: int) -> Iterator[Row | Broken]:
    head = next(_csv_rows(file, 0), None)
    if not isinstance(head, Row):
        raise BadInput(f"{path} has no header; expected a CSV file whose first line names its columns")
    if twice := [name for name, n in Counter(head.value).items() if n > 1]:
        raise BadInput(f"{path} names the column {twice[0]!r} twice; expected a header in which each name stands once")
    for row in _csv_rows(file, at or head.end, len(head.value)):
        if isinstance(row, Row):
            row = dataclasses.replace(row, value=dict(zip(head.value, row.value, strict=True)))
        yield row


def _csv_rows(file: IO[bytes], at: int, width: int | None = None) -> Iterator[Row | Broken]:
    """Rows as lists of cells. A row ends where its quotes are closed; one that is broken costs only its first line."""
    lines, ahead = split(file, at), deque[Line]()
    while ahead := ahead or deque(islice(lines, 1)):
        row = _row(ahead, lines, width)
        for _ in range(row.raw.count(b"\n") + 1 if isinstance(row, Row) else 1):
            ahead.popleft()
        if isinstance(row, Broken) or row.raw.strip():
            yield row


def _row(ahead: deque[Line], lines: Iterator[Line], width: int | None) -> Row | Broken:
    first, count = ahead[0], _count(ahead, lines)
    if first.raw is None or count == 0:
        return _cut_row(first)
    raw, last = b"\n".join(ahead[k].raw or b"" for k in range(count)), ahead[count - 1]
    row = _decoded(first.number, last.end, raw, _cells)
    if isinstance(row, Row) and width is not None and raw.strip() and len(row.value) != width:
        row = Broken(first.number, last.end, "unknown_layout", f"{len(row.value)} cells, expected {width}")
    return _cut_row(first) if isinstance(row, Broken) and count > 1 else row


def _cut_row(first: Line) -> Broken:
    if first.raw is None:
        return _too_long(first.number, first.end)
    return Broken(first.number, first.end, "open_quote", "a quote that is not closed")


def _count(ahead: deque[Line], lines: Iterator[Line]) -> int:
    """How many lines the first row takes; 0 when its quotes are not closed within reason."""
    quotes = size = 0
    for count in range(1, MOST_LINES + 1):
        if len(ahead) < count and (more := next(lines, None)) is not None:
            ahead.append(more)
        raw = ahead[count - 1].raw if len(ahead) >= count else None
        quotes, size = quotes + (raw or b"").count(b'"'), size + len(raw or b"")
        if raw is None or size > MOST_BYTES:
            return 0
        if quotes % 2 == 0:
            return count
    return 0


def _cells(text: str) -> list[str]:
    csv.field_size_limit(MOST_BYTES)  # the module's own limit, 131,072, is one that real rows reach
    return next(csv.reader(io.StringIO(text), strict=True), [])


# ---------------------------------------------------------------------------------------------- Parquet


def _parquet(path: Path, file: IO[bytes], under: str, at: int) -> Iterator[Row | Broken]:
    """The texts of one column, row by row; the other columns (videos!) are not read. `line` and `end` count rows."""
    from streambridge.data.parquet import column

    for number, text in enumerate(column(path, file, under, at), start=at + 1):
        yield _decoded(number, number, text.encode("utf-8", "surrogatepass"), _strict)


_LAYOUTS: Final[dict[str, Callable[[Path, IO[bytes], str, int], Iterator[Row | Broken]]]] = {
    "json": _json,
    "document": _document,
    "csv": _csv,
    "text": _text,
    "parquet": _parquet,
}
