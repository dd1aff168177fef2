"""One conversion: which files of which set, where to, by which rules. Knows no record.

What is wrong with it is told before anything is written.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from streambridge import recipe
from streambridge.data import tables
from streambridge.data.policy import Policy
from streambridge.data.source_set import Input, SourceSet
from streambridge.data.tables import Table
from streambridge.errors import WrongUse

_LOOK: Final = 1 << 16  # bytes of a file's start and of its end, by which it is recognised after a stop


@dataclass(frozen=True, slots=True)
class Job:
    """One conversion.

    Attributes:
        source: the set.
        inputs: the files by the names of the set's inputs; the records may stand in several.
        out: the folder to write to.
        policy: the rules.
        split: for records that do not tell theirs.
        videos: names (without ending) of the videos that are there; None: not asked.
    """

    source: SourceSet
    inputs: Mapping[str, tuple[Path, ...]]
    out: Path
    policy: Policy = Policy()
    split: str = "train"
    videos: frozenset[str] | None = None

    @property
    def mark(self) -> str:
        """The conversion's name in its folder."""
        return f"{self.source.name}.{self.split}"

    @property
    def report(self) -> Path:
        """Where its report stands when it is done."""
        return self.out / f"{self.mark}.report.json"

    @property
    def notes(self) -> Path:
        """Where it stands how far it has come."""
        return self.out / f".{self.mark}.progress"

    @property
    def files(self) -> tuple[Path, ...]:
        """The files of records."""
        return self.inputs[self.source.inputs[0].name]

    def settings(self) -> dict[str, Any]:
        """What the bytes written depend on."""
        videos = None if self.videos is None else hashlib.sha256("\n".join(sorted(self.videos)).encode()).hexdigest()
        return {
            "converter": self.source.revision,
            "input": {name: [_looks(path) for path in paths] for name, paths in self.inputs.items()},
            "policy": {name: getattr(self.policy, name) for name in Policy.__slots__},
            "videos": videos,
        }

    def expect_inputs(self) -> None:
        """Refuse what cannot be begun.

        Raises:
            WrongUse: when an input is missing, unknown, or no file.
        """
        known = {one.name: one for one in self.source.inputs}
        for name in self.inputs:
            if name not in known:
                raise WrongUse(f"{self.source.name} has no input {name!r}; there are: {', '.join(known)}")
        for one in known.values():
            if one.needed and not self.inputs.get(one.name):
                raise WrongUse(f"{self.source.name} needs {one.what}; type: --input {one.name}=PATH{_how(one)}")
        for path in (path for paths in self.inputs.values() for path in paths):
            if not path.is_file():
                raise WrongUse(f"there is no file {path}")

    def options(self) -> Any:
        """The set's own rules, from the policy.

        Raises:
            BadInput: when the policy names an option that the set has not.
        """
        return recipe.fill(self.policy.options, self.source.options, f"policy: options of {self.source.name}")

    def tables(self) -> dict[str, Table]:
        """The tables beside the annotations, by input name; several files of one input are one table."""
        beside = self.source.inputs[1:]
        return {one.name: tables.read(self.inputs.get(one.name, ()), one.columns) for one in beside}

    def forget(self) -> None:
        """Remove what an earlier conversion of this set and split wrote, and the notes of a stopped one."""
        for path in [*(self.out / name for name in self._written()), self.report, *self.out.glob(f".{self.mark}.*")]:
            path.unlink(missing_ok=True)

    def _written(self) -> list[str]:
        try:
            named = json.loads(self.report.read_text(encoding="utf-8"))["files"]
            return [str(name) for name in named if self._own(str(name))]
        except (OSError, ValueError, LookupError, TypeError):
            return []  # there is none, or it is damaged

    def _own(self, name: str) -> bool:
        """Whether a name in a report is one that a conversion of this set writes: a report may come from anywhere."""
        head, slash, last = name.rpartition("/")
        return (head, slash) in (("", ""), ("rejected", "/")) and last.startswith(f"{self.source.name}.")


def layout(path: Path, given: Input) -> tuple[str, str]:
    """How a file's records are laid out, and under what key: Parquet is known by its ending."""
    return ("parquet", given.under or "json") if path.suffix == ".parquet" else (given.layout, given.under)


def _how(one: Input) -> str:
    """How a table is made that annotations lack."""
    if {"duration_s", "fps"} & set(one.columns):
        return f" (columns {', '.join(one.columns)}); streambridge data probe VIDEOS --out PATH makes one"
    return f" (columns {', '.join(one.columns)})" if one.columns else ""


def _looks(path: Path) -> list[Any]:
    """What a file is recognised by after a stop, without reading all of it."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(_LOOK)
        file.seek(max(0, size - _LOOK))
        look = hashlib.sha256(start + file.read(_LOOK)).hexdigest()[:16]
    return [ascii(path.name), size, path.stat().st_mtime_ns, look]
