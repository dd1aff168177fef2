"""What a converter's file offers: a set of annotations, its inputs, and the function that reads its records.

Knows no data set by name. A converter is one file of `data/sets/` that ends with `OFFER = SourceSet(...)`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

from streambridge import loading
from streambridge.data.policy import Policy
from streambridge.data.rows import Row
from streambridge.data.tables import Table
from streambridge.types import Timeline

ROOM: Final = "data/sets"


class Reject(Exception):
    """A record, or a part of one, that is not converted.

    Args:
        reason: one of `reasons.REASONS`.
        detail: what came, in a few words.
    """

    def __init__(self, reason: str, detail: object = "") -> None:
        self.reason, self.detail = reason, str(detail)
        self.place: Any = None  # a `progress.Held`, where it is another one than the record's
        super().__init__(reason, detail)


class Placed(dict[str, Any]):
    """A record of a group that knows where it stands, for what is dropped of it."""

    place: Any = None


@dataclass(frozen=True, slots=True)
class Input:
    """A file that a converter reads.

    Attributes:
        name: as in `--input NAME=PATH`.
        what: what it holds, for the help.
        layout: of the records (see `rows.rows`), or `table` for a file of ids beside them.
        needed: whether nothing can be done without it.
        columns: of a table: those that must be there; the first one is the id.
        under: the key (or, in Parquet, the column) that holds the records.
    """

    name: str
    what: str
    layout: str
    needed: bool = True
    columns: tuple[str, ...] = ()
    under: str = ""


@dataclass(slots=True)
class Tally:
    """What was counted.

    Attributes:
        read: what stands in the files, before any repair: videos, segments, ends past the duration ...
        dropped: parts of records that were not converted, by reason.
        repaired: samples by quirk.
        drops: the parts dropped since somebody last took them away.
    """

    read: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    repaired: Counter[str] = field(default_factory=Counter)
    drops: list[Reject] = field(default_factory=list)

    def drop(self, reject: Reject) -> None:
        """Count a part of a record that is left out."""
        self.dropped[reject.reason] += 1
        self.drops.append(reject)


@dataclass(frozen=True, slots=True)
class Given:
    """What a converter is given beside the record.

    Attributes:
        source: the set.
        policy: the rules of time and shares.
        options: the set's own rules, an instance of its `options`.
        tables: the files beside the annotations, by input name; one that was not given is empty.
        split: the split that the caller named, for records that do not tell theirs.
        tally: where to count.
        first: `first(kind, word)` says whether that word was never counted under that kind before, and counts it.
    """

    source: SourceSet
    policy: Policy
    options: Any
    tables: Mapping[str, Table]
    split: str
    tally: Tally
    first: Callable[[str, str], bool]

    def looked_up(self, table: str, key: str, column: str, reason: str) -> str:
        """What a table says of an id.

        Raises:
            Reject: for that reason, when it says nothing.
        """
        said = self.tables[table].get(key, {}).get(column, "").strip()
        if not said:
            raise Reject(reason, key)
        return said


@dataclass(frozen=True, slots=True)
class NoOptions:
    """For sets without rules of their own."""


@dataclass(frozen=True, slots=True)
class SourceSet:
    """A set of annotations and how it is read.

    Attributes:
        name: the file's name.
        title: what people call it.
        dataset: of the videos, as in `dataset:ID`.
        version: of the annotations that this reads.
        revision: of this converter; raised when it would write something else.
        licence: what is known of the terms.
        task: of the samples, e.g. `dense_caption`.
        inputs: the files; the first one holds the records.
        convert: `(row, given) -> samples`; with `group`, the row's value is a list of `(key, Placed)` of one group.
        expected: counts of the full set by split, as `Tally.read` counts them; under `all` where one file holds all.
        options: a dataclass of the set's own rules, each with a default.
        group: of a record, whose records (one video's) are converted together; raises Reject.
    """

    name: str
    title: str
    dataset: str
    version: str
    licence: str
    task: str
    inputs: tuple[Input, ...]
    convert: Callable[[Row, Given], Iterable[Timeline]]
    expected: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    options: type = NoOptions
    group: Callable[[Row], str] | None = None
    revision: int = 1


def names() -> list[str]:
    """The names of all sets."""
    return loading.names(ROOM)


def find(name: str) -> SourceSet:
    """The set of that name.

    Raises:
        UnknownName: when there is none.
    """
    return cast(SourceSet, loading.offer(ROOM, name))


def mapping(value: Any, needed: Sequence[str], known: Sequence[str] | None = None) -> Mapping[str, Any]:
    """The value as a mapping that has the needed fields.

    Args:
        value: what came.
        needed: fields that must be there.
        known: when given, all other fields that may be there; any further one is an error.

    Raises:
        Reject: `unknown_layout`, with the fields that are missing, or the first one that is not known.
    """
    if not isinstance(value, Mapping):
        raise Reject("unknown_layout", f"a record is a mapping; got {value!r:.60}")
    if missing := [name for name in needed if name not in value]:
        there = ", ".join(map(str, value))[:120]
        raise Reject("unknown_layout", f"missing: {', '.join(missing)}; there are: {there}")
    for name in value if known is not None else ():
        if name not in needed and name not in (known or ()):
            raise Reject("unknown_layout", f"no known field: {name!r:.60}")
    return value


def listed(value: Any, what: str) -> list[Any]:
    """The value as a list.

    Raises:
        Reject: `unknown_layout`.
    """
    if not isinstance(value, list):
        raise Reject("unknown_layout", f"{what} is a list; got {value!r:.60}")
    return value
