"""Tables beside the annotations: id -> column -> text, from CSV or JSON. Knows no data set.

They are the user's own files, so one that is broken stops the run at once, with its line. Millions of ids are held in
a private database on disk, so that memory stays flat.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from streambridge.data.rows import Broken, rows
from streambridge.errors import BadInput

ALIAS: Final = "video"  # of the id's column: what `streambridge data probe` writes
MOST_JSON: Final = 64 * 2**20  # bytes of a table in JSON, which is read at once; CSV has no bound
_MARK: Final = "\x1f"  # between the texts of one line


class Table:
    """What is told of each id.

    Args:
        columns: those that are kept; the first one is the id.
    """

    def __init__(self, columns: tuple[str, ...]) -> None:
        self._id, self._columns = columns[0], columns[1:]
        self._db = sqlite3.connect("")
        self._db.execute("create table told (id text primary key, said text) without rowid")

    def read(self, path: Path) -> None:
        """Add what a file tells.

        Raises:
            BadInput: with file and line, when it cannot be read, lacks a column or tells an id twice.
        """
        before = len(self)
        read = _from_json if path.suffix.lower() == ".json" else _from_csv
        for name, said in read(path, self._id, self._columns):
            line = _MARK.join(said)
            if not self._db.execute("insert or ignore into told values (?, ?)", (name, line)).rowcount:
                self._expect_same(path, name, line)
        if len(self) == before == 0:
            raise BadInput(f"{path} is empty; expected an id and {', '.join(self._columns)} for each video")

    def _expect_same(self, path: Path, name: str, line: str) -> None:
        if self._said(name) != line:
            raise BadInput(f"{path}: {name!r} is told twice, and not the same")

    def _said(self, name: str) -> str | None:
        found = self._db.execute("select said from told where id = ?", (name,)).fetchone()
        return None if found is None else str(found[0])

    def get(self, name: str, default: Mapping[str, str]) -> Mapping[str, str]:
        """Column -> text of an id."""
        said = self._said(name)
        return default if said is None else dict(zip(self._columns, said.split(_MARK), strict=True))

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._said(name) is not None

    def __len__(self) -> int:
        return int(self._db.execute("select count(*) from told").fetchone()[0])


def read(paths: Iterable[Path], columns: tuple[str, ...]) -> Table:
    """A table by its ids; several files are one table.

    Args:
        paths: CSV with a header, or JSON mappings of ids to a number, a text or a mapping.
        columns: those that are needed; the first one is the id, and may be called `video`.

    Raises:
        BadInput: as `Table.read`.
    """
    table = Table(columns)
    for path in paths:
        table.read(path)
    return table


def _from_csv(path: Path, key: str, columns: tuple[str, ...]) -> Iterator[tuple[str, list[str]]]:
    for row in rows(path, "csv"):
        if isinstance(row, Broken):
            raise BadInput(f"{path}:{row.line}: {row.got}")
        own = ALIAS if key not in row.value and ALIAS in row.value else key
        if lacking := [name for name in (own, *columns) if name not in row.value]:
            raise BadInput(f"{path} has no column {lacking[0]!r}; expected {', '.join((key, *columns))}")
        yield row.value[own].strip(), [row.value[name].replace(_MARK, " ") for name in columns]


def _from_json(path: Path, key: str, columns: tuple[str, ...]) -> Iterator[tuple[str, list[str]]]:
    if path.stat().st_size > MOST_JSON:
        raise BadInput(f"{path} is larger than {MOST_JSON >> 20} MB; save it as CSV: an id and {', '.join(columns)}")
    try:
        table = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as err:
        raise BadInput(f"{path}: expected a JSON mapping of ids; {' '.join(str(err).split()):.120}") from err
    if not isinstance(table, Mapping):
        raise BadInput(f"{path}: expected a JSON mapping of ids; got {table!r:.60}")
    for name, said in table.items():
        yield name, _line(path, name, said, columns)


def _line(path: Path, name: str, said: Any, columns: tuple[str, ...]) -> list[str]:
    """What is told of one id; a plain value is the first column."""
    given = said if isinstance(said, Mapping) else {columns[0]: said}
    told = [given.get(column, "") for column in columns]
    if any(isinstance(value, bool) or not isinstance(value, str | int | float) for value in told):
        raise BadInput(f"{path}: {name!r}: expected numbers or texts; got {said!r:.60}")
    return [str(value).replace(_MARK, " ") for value in told]
