"""How far a conversion has come, on disk: a kill at any instant loses only what came since the last note.

Also remembers what was seen (ids, in 8 bytes each) and holds records that must come together, so that memory stays
flat however long a file is. One SQLite file, gone when the conversion is done. Knows no data set.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from streambridge.errors import RunFailed, WrongUse

_TABLES: Final = """
create table if not exists state (name text primary key, value text not null);
create table if not exists seen (word integer primary key);
create table if not exists groups (name text primary key, number integer not null);
create table if not exists held
    (number integer, file text, line integer, record integer, name text, key text, raw blob);
create index if not exists held_by_number on held (number);
"""
_CACHE_KB: Final = 65_536


@dataclass(frozen=True, slots=True)
class Held:
    """A record and where it stands: file, line and number of the record from 1, what it calls itself, its bytes."""

    file: str
    line: int
    record: int
    name: str
    raw: bytes


class Progress:
    """Notes of one conversion.

    Args:
        path: the SQLite file.
        settings: what the conversion is of; another conversion does not go on from these notes.

    Raises:
        WrongUse: when another conversion is writing here, or the notes are of another one.
        RunFailed: when the file cannot be written.
    """

    def __init__(self, path: Path, settings: dict[str, Any]) -> None:
        self._path = path
        try:
            self._db = sqlite3.connect(path, isolation_level=None, timeout=0.5)
            self._db.execute(f"pragma cache_size = -{_CACHE_KB}")
            self._db.executescript("pragma locking_mode = exclusive; pragma synchronous = full;" + _TABLES)
            self._db.execute("begin exclusive")
        except sqlite3.Error as err:
            raise _told(path, err) from err
        held = self.load("settings")
        if held is not None and held != json.loads(json.dumps(settings)):
            self.close()
            changed = ", ".join(name for name in settings if held.get(name) != json.loads(json.dumps(settings[name])))
            raise WrongUse(
                f"{path.parent} holds a conversion that was stopped, with another {changed}; "
                f"name another --out, or start anew by removing {path.name} there"
            )
        self.save("settings", settings)
        self.keep()

    def load(self, name: str) -> Any:
        """What was noted under a name; None when nothing was."""
        found = self._run("select value from state where name = ?", (name,)).fetchone()
        try:
            return None if found is None else json.loads(found[0])
        except ValueError as err:
            raise WrongUse(f"{self._path} is damaged; remove it to start this conversion anew") from err

    def save(self, name: str, value: Any) -> None:
        """Note a value; it counts from the next `keep` on."""
        self._run("insert or replace into state values (?, ?)", (name, json.dumps(value)))

    def keep(self) -> None:
        """From here on nothing is lost of what was noted so far."""
        self._run("commit")
        self._run("begin exclusive")

    def first(self, kind: str, word: str) -> bool:
        """Whether the word was never seen under that kind; it is now."""
        digest = hashlib.sha256(f"{kind}\x1f{word}".encode("utf-8", "surrogatepass")).digest()
        number = int.from_bytes(digest[:8], "big", signed=True)
        return self._run("insert or ignore into seen values (?)", (number,)).rowcount == 1

    def hold(self, group: str, held: Held, key: str) -> None:
        """Hold a record, with its key in a mapping, until its group is asked for."""
        self._run("insert or ignore into groups select ?, count(*) from groups", (group,))
        (number,) = self._run("select number from groups where name = ?", (group,)).fetchone()
        values = (number, held.file, held.line, held.record, held.name, key, held.raw)
        self._run("insert into held values (?, ?, ?, ?, ?, ?, ?)", values)

    def groups(self) -> int:
        """How many groups are held."""
        return int(self._run("select count(*) from groups").fetchone()[0])

    def held(self, number: int) -> Iterator[tuple[Held, str]]:
        """The records of a group (from 0, in the order of first appearance) with their keys, in the order they came."""
        what = "select file, line, record, name, raw, key from held where number = ? order by rowid"
        for *held, key in self._run(what, (number,)).fetchall():
            yield Held(*held), key

    def close(self, gone: bool = False) -> None:
        """Let go of the file; `gone`: the conversion is done and needs no notes any more."""
        self._db.close()
        if gone:
            self._path.unlink(missing_ok=True)
            self._path.with_name(self._path.name + "-journal").unlink(missing_ok=True)

    def _run(self, what: str, values: tuple[Any, ...] = ()) -> sqlite3.Cursor:
        try:
            return self._db.execute(what, values)
        except sqlite3.Error as err:
            raise _told(self._path, err) from err


def _told(path: Path, err: sqlite3.Error) -> WrongUse | RunFailed:
    if "locked" in str(err):
        return WrongUse(f"another conversion is writing to {path.parent}; wait for it, or name another --out")
    if any(word in str(err) for word in ("not a database", "malformed", "no such", "has no column")):
        return WrongUse(f"{path} is damaged; remove it to start this conversion anew")
    return RunFailed(f"cannot write {path}: {err}; mend that and type the same line again: it goes on where it was")
