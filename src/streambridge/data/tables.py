"""Tables beside the annotations: id -> column -> text, from CSV or JSON. Knows no data set.

They are the user's own small files, so one that is broken stops the run at once, with its line.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from streambridge.data.rows import Broken, Row, rows
from streambridge.errors import BadInput

ALIAS: Final = "video"  # of the id's column: what `streambridge data probe` writes


def read(path: Path, columns: tuple[str, ...]) -> dict[str, dict[str, str]]:
    """A table by its ids.

    Args:
        path: CSV with a header, or a JSON mapping of ids to a number, a text or a mapping.
        columns: those that are needed; the first one is the id, and may be called `video`.

    Raises:
        BadInput: with file and line, when it cannot be read, lacks a column or tells an id twice.
    """
    table: dict[str, dict[str, str]] = {}
    for name, line in (_from_json if path.suffix.lower() == ".json" else _from_csv)(path, columns):
        if name in table and table[name] != line:
            raise BadInput(f"{path}: {name!r} is told twice, and not the same")
        table[name] = line
    if not table:
        raise BadInput(f"{path} is empty; expected {', '.join(columns)} for each video")
    return table


def _from_csv(path: Path, columns: tuple[str, ...]) -> list[tuple[str, dict[str, str]]]:
    found = []
    for row in rows(path, "csv"):
        if isinstance(row, Broken):
            raise BadInput(f"{path}:{row.line}: {row.got}")
        line = row.value
        if columns[0] not in line and ALIAS in line:
            line = {columns[0]: line[ALIAS], **line}
        if lacking := [name for name in columns if name not in line]:
            raise BadInput(f"{path} has no column {lacking[0]!r}; expected {', '.join(columns)}")
        found.append((line[columns[0]].strip(), line))
    return found


def _from_json(path: Path, columns: tuple[str, ...]) -> list[tuple[str, dict[str, str]]]:
    (row,) = rows(path, "document")
    if not isinstance(row, Row) or not isinstance(row.value, Mapping):
        got = row.got if isinstance(row, Broken) else f"{row.value!r:.60}"
        raise BadInput(f"{path}: expected a JSON mapping of ids; got {got}")
    return [(name, _line(path, name, said, columns)) for name, said in row.value.items()]


def _line(path: Path, name: str, said: Any, columns: tuple[str, ...]) -> dict[str, str]:
    """What is told of one id; a plain value is the second column."""
    given = said if isinstance(said, Mapping) else {columns[1]: said}
    if not all(isinstance(value, str | int | float) for value in given.values()):
        raise BadInput(f"{path}: {name!r}: expected numbers or texts; got {said!r:.60}")
    return {columns[0]: name, **{key: str(value) for key, value in given.items()}}
