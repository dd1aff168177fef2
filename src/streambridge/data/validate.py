"""All that is wrong with files of samples, with file and line. Knows one line at a time and repairs nothing.

What must be unique over all files is kept in a private database on disk that is gone with the run, so memory does not
grow with the corpus.
"""

from __future__ import annotations

import os
import re
import sqlite3
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, Final

from streambridge import streamit
from streambridge.data.invariants import faults, misformed
from streambridge.data.rules import Fault, short
from streambridge.errors import BadInput, RunFailed
from streambridge.types import Timeline

MOST: Final = 1000  # findings: what is wrong a thousand times is read no further
GIVE_UP: Final = 20  # lines in a row that are no JSON: the file is of another kind

_ANNOTATOR: Final = re.compile(r"_\d+$")  # val_1 and val_2 are two annotators of one split


@dataclass(frozen=True, slots=True)
class Found:
    """A fault and where it was found; `line` counts from 1, 0 is the file itself."""

    file: str
    line: int
    fault: Fault

    def __str__(self) -> str:
        """`file:line: field: rule ...; got ...`."""
        place = f"{short(self.file)}:{self.line}" if self.line else short(self.file)
        return f"{place}: {self.fault}"


def validate(paths: Iterable[str | os.PathLike[str]], most: int = MOST) -> Iterator[Found]:
    """Find what is wrong with files of samples, taken together as one corpus.

    Args:
        paths: files of `streamit/1`.
        most: findings after which it ends.

    Raises:
        RunFailed: when there is no room for the private database.
    """
    yield from Corpus(most).read(paths)


class Corpus:
    """Files of samples that belong together.

    Args:
        most: findings after which reading ends.

    Attributes:
        files: how many were read.
        samples: how many lines were samples, good or not.
        found: how many findings there were.
        complete: whether all was read; False when there were too many findings.
    """

    def __init__(self, most: int = MOST) -> None:
        self.most = most
        self.files = self.samples = self.found = 0
        self.complete = True
        self._known = _Known()

    def read(self, paths: Iterable[str | os.PathLike[str]]) -> Iterator[Found]:
        """Each finding, in the order of files and lines.

        Raises:
            RunFailed: when there is no room for the private database.
        """
        for path in paths:
            self.files += 1
            for found in self._file(os.fspath(path)):
                if self.found == self.most:
                    self.complete = False
                    return
                self.found += 1
                yield found

    def _file(self, path: str) -> Iterator[Found]:
        try:
            # A pipe or a device could be read for ever.
            if not stat.S_ISREG(os.stat(path).st_mode):
                yield Found(path, 0, Fault("file", "form", "no regular file"))
                return
            with open(path, "rb") as file:
                yield from self._lines(path, file)
        except (OSError, ValueError) as err:  # ValueError: a NUL in the path
            why = (err.strerror if isinstance(err, OSError) else None) or str(err)
            yield Found(path, 0, Fault("file", "form", f"a file that cannot be read: {short(why)}"))

    def _lines(self, path: str, file: BinaryIO) -> Iterator[Found]:
        number = foreign = 0
        for number, line in enumerate(_lines_of(file), start=1):
            found = list(self._line(path, number, line))
            yield from (Found(path, number, fault) for fault in found)
            foreign = foreign + 1 if [fault.field for fault in found] == ["line"] and _foreign(line) else 0
            if foreign == GIVE_UP:
                yield Found(
                    path, number, Fault("file", "form", f"{GIVE_UP} lines in a row that are no JSON; left here")
                )
                return
        if not number:
            yield Found(path, 0, Fault("file", "form", "an empty file"))

    def _line(self, path: str, number: int, line: bytes) -> Iterator[Fault]:
        body = line.removesuffix(b"\n")
        if len(line) >= streamit.MOST_BYTES or not body.strip():
            told = "an empty line" if not body.strip() else f"{streamit.MOST_BYTES} bytes or more"
            yield Fault("line", "form", told)
            return
        try:
            timeline = streamit.from_line(body.decode("utf-8"))
        except UnicodeDecodeError as err:
            yield Fault("line", "form", f"no UTF-8 at byte {err.start}")
        except BadInput as err:
            yield misformed(err)
        else:
            self.samples += 1
            yield from faults(timeline)
            yield from _as_written(timeline, line)
            yield from self._known.twice(timeline, path, number)


def _lines_of(file: BinaryIO) -> Iterator[bytes]:
    """Lines; of one too long only the first part, and it counts as one."""
    while line := file.readline(streamit.MOST_BYTES):
        yield line
        while len(line) >= streamit.MOST_BYTES and not line.endswith(b"\n"):
            line = file.readline(streamit.MOST_BYTES)


def _foreign(line: bytes) -> bool:
    return not line.lstrip().startswith(b"{")


def _as_written(timeline: Timeline, line: bytes) -> Iterator[Fault]:
    """Rule `canonical`: what is read and written again is the same bytes."""
    try:
        again = streamit.to_line(timeline).encode("utf-8") + b"\n"
    except BadInput as err:
        yield Fault("line", "canonical", f"what cannot be written again: {short(str(err))}")
        return
    if again == line:
        return
    if again == line + b"\n":
        yield Fault("line", "canonical", "a last line without its end")
        return
    at = next((i for i, (a, b) in enumerate(zip(again, line, strict=False)) if a != b), min(len(again), len(line)))
    there = line[max(0, at - 10) : at + 20].decode("utf-8", "replace")
    yield Fault("line", "canonical", f"another byte at {at}: {short(there)}")


class _Known:
    """Every id and every video so far, on disk."""

    def __init__(self) -> None:
        with _room():
            self._base = sqlite3.connect("", isolation_level=None)  # a private file, removed when it is closed
            self._base.execute("PRAGMA journal_mode = OFF")
            self._base.execute("PRAGMA cache_size = -16384")  # KiB
            self._base.execute("CREATE TABLE ids (id BLOB PRIMARY KEY, place BLOB) WITHOUT ROWID")
            self._base.execute("CREATE TABLE videos (uri BLOB PRIMARY KEY, split, place BLOB, told) WITHOUT ROWID")
            self._base.execute("BEGIN")

    def twice(self, timeline: Timeline, path: str, number: int) -> Iterator[Fault]:
        """Rules over many samples: an id that stands twice, a video in two splits (told once a video)."""
        place = os.fsencode(f"{path}:{number}")
        with _room():
            before = self._first("ids", "id", timeline.id, place)
            moved = list(self._moved(timeline, place)) if before is None else []  # the same line again is one mistake
        if before is not None:
            yield Fault("id", "known", f"{short(timeline.id)}, which stands in {_plain(before)} too")
        yield from moved

    def _first(self, table: str, key: str, value: str, place: bytes) -> bytes | None:
        new = self._base.execute(f"INSERT OR IGNORE INTO {table} VALUES (?, ?)", (value.encode(), place)).rowcount
        if new:
            return None
        row = self._base.execute(f"SELECT place FROM {table} WHERE {key} = ?", (value.encode(),)).fetchone()
        return bytes(row[0])

    def _moved(self, timeline: Timeline, place: bytes) -> Iterator[Fault]:
        split = _ANNOTATOR.sub("", str(timeline.meta.get("split", "")))
        for i, media in enumerate(timeline.media if split else ()):
            new = "INSERT OR IGNORE INTO videos VALUES (?, ?, ?, 0)"
            if self._base.execute(new, (media.uri.encode(), split, place)).rowcount:
                continue
            leak = "SELECT split, place FROM videos WHERE uri = ? AND split != ? AND NOT told"
            for there, first in self._base.execute(leak, (media.uri.encode(), split)).fetchall():
                self._base.execute("UPDATE videos SET told = 1 WHERE uri = ?", (media.uri.encode(),))
                told = f"{short(media.uri)} in {short(split)}, and in {short(there)} at {_plain(first)}"
                yield Fault(f"media[{i}].uri", "splits", told)


def _plain(place: bytes) -> str:
    return short(os.fsdecode(place))


@contextmanager
def _room() -> Iterator[None]:
    """A disk without room is told as what it is."""
    try:
        yield
    except sqlite3.Error as err:
        raise RunFailed(f"the list of ids and videos needs room in the folder for temporary files: {err}") from err
