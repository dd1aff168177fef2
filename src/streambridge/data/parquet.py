"""One text column of a Parquet file, row by row. Knows no data set; needs the extra `data`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final

from streambridge.errors import BadInput, Missing

_ROWS: Final = 64  # held at a time


def column(path: Path, file: IO[bytes], name: str, start: int = 0) -> Iterator[str]:
    """The texts of a column, from a row on. Other columns are not read.

    Raises:
        Missing: when pyarrow is not installed.
        BadInput: when the file is no Parquet file or lacks the column.
    """
    try:
        import pyarrow.parquet as parquet  # type: ignore[import-untyped]  # pyarrow ships no types
    except ImportError as err:
        raise Missing("pyarrow", "data", "reading Parquet") from err
    try:
        held = parquet.ParquetFile(file)
        if name not in held.schema_arrow.names:
            raise BadInput(f"{path} has no column {name!r}; there are: {', '.join(held.schema_arrow.names)}")
        yield from _texts(held, name, start)
    except (OSError, ValueError) as err:  # pyarrow's own errors are both or one of them
        raise err if isinstance(err, BadInput) else BadInput(f"{path} cannot be read as Parquet: {err}"[:300]) from err


def _texts(held: Any, name: str, start: int) -> Iterator[str]:
    row = 0
    for group in range(held.num_row_groups):
        many = held.metadata.row_group(group).num_rows
        if row + many > start:
            yield from _group(held, group, name, max(0, start - row))
        row += many


def _group(held: Any, group: int, name: str, skip: int) -> Iterator[str]:
    for batch in held.iter_batches(batch_size=_ROWS, row_groups=[group], columns=[name]):
        for value in batch.column(0).to_pylist()[skip:]:
            yield value if isinstance(value, str) else ""
        skip = max(0, skip - len(batch))
