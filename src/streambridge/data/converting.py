"""From annotation files to streamit/1: one record at a time, resumable, everything counted. Knows no data set.

Whatever a record holds, it becomes samples or a line among the rejected, and the next one follows. The bytes written
do not depend on kills, on the order of records beside each other, or on the machine.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from streambridge import recipe, streamit
from streambridge.data import invariants, tables
from streambridge.data.outputs import Outputs
from streambridge.data.policy import Policy
from streambridge.data.progress import Progress
from streambridge.data.report import Counts, report
from streambridge.data.rows import Broken, Row, rows
from streambridge.data.source_set import Given, Input, Reject, SourceSet, Tally
from streambridge.data.words import stem
from streambridge.errors import BadInput, RunFailed, StreamBridgeError, WrongUse, one_line
from streambridge.types import Timeline

KEEP_S: Final = 2.0  # of work that a kill may cost
FIRST: Final = 1000  # records of which none is one of the set's: then it is the wrong file
_GARBAGE: Final = (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError)
Told = Callable[[int, int], None]  # bytes read, bytes in all


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
    def files(self) -> tuple[Path, ...]:
        """The files of records."""
        return self.inputs[self.source.inputs[0].name]

    def settings(self) -> dict[str, Any]:
        """What the bytes written depend on."""
        sizes = {name: [_looks(path) for path in paths] for name, paths in self.inputs.items()}
        policy = {name: getattr(self.policy, name) for name in Policy.__slots__}
        videos = None if self.videos is None else len(self.videos)
        return {"converter": self.source.revision, "input": sizes, "policy": policy, "videos": videos}


def run(job: Job, told: Told = lambda done, total: None) -> dict[str, Any]:
    """Convert, or go on where a conversion was stopped.

    Args:
        job: what to convert.
        told: is told bytes read and bytes in all, often.

    Returns:
        The report, which also stands in the folder as `NAME.SPLIT.report.json`.

    Raises:
        BadInput: when a file cannot be read, or none of its first 1,000 records is one of the set's.
        WrongUse: when an input is missing, or the folder holds something else.
        RunFailed: when the disk does not take it; the same call goes on later.
    """
    _expect_inputs(job)
    try:
        job.out.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise WrongUse(f"--out {job.out} cannot be made: {err.strerror}; name another folder") from err
    done, notes = job.out / f"{job.mark}.report.json", job.out / f".{job.mark}.progress"
    if done.exists() and notes.exists():  # killed between its last two acts
        notes.unlink()
        return dict(json.loads(done.read_text(encoding="utf-8")))
    if done.exists():
        raise WrongUse(f"{done} stands there already; remove it and what it tells of, or name another --out")
    with _desk(job, told) as desk:
        return desk.work()


def _expect_inputs(job: Job) -> None:
    known = {one.name: one for one in job.source.inputs}
    for name in job.inputs:
        if name not in known:
            raise WrongUse(f"{job.source.name} has no input {name!r}; there are: {', '.join(known)}")
    for one in known.values():
        if one.needed and not job.inputs.get(one.name):
            raise WrongUse(f"{job.source.name} needs {one.what}; type: --input {one.name}=PATH")
    for path in (path for paths in job.inputs.values() for path in paths):
        if not path.is_file():
            raise WrongUse(f"there is no file {path}")


@contextmanager
def _desk(job: Job, told: Told) -> Iterator[_Desk]:
    progress = Progress(job.out / f".{job.mark}.progress", job.settings())
    outputs = Outputs(job.out, job.mark)
    try:
        yield _Desk(job, progress, outputs, told)
    finally:
        try:
            outputs.close()
        except OSError as err:
            raise RunFailed(f"cannot write to {job.out}: {err.strerror}; type the same line again") from err
        finally:
            progress.close()


class _Desk:
    """The work itself: files, then (for sets that are grouped) groups, then the final names."""

    def __init__(self, job: Job, progress: Progress, outputs: Outputs, told: Told) -> None:
        self.job, self.progress, self.outputs, self.told = job, progress, outputs, told
        self.tally, self.counts = Tally(), Counts()
        self.place: dict[str, Any] = {"stage": "files", "file": 0, "at": 0, "group": 0}
        self._load()
        self.given = Given(
            job.source, job.policy, options(job), side_tables(job), job.split, self.tally, progress.first
        )
        self._kept = time.monotonic()

    def work(self) -> dict[str, Any]:
        if self.place["stage"] == "files":
            self._files()
            self._stage("groups")
        if self.place["stage"] == "groups":
            self._groups()
            self._stage("done")
        found = report(self.job, self.tally, self.counts)
        self.outputs.publish(self.progress.load("names"))
        write(self.job.out / f"{self.job.mark}.report.json", json.dumps(found, indent=1, ensure_ascii=False) + "\n")
        self.progress.close(gone=True)
        return found

    # ------------------------------------------------------------------------------------------ the two stages

    def _files(self) -> None:
        sizes = [path.stat().st_size for path in self.job.files]
        for number in range(self.place["file"], len(sizes)):
            before, path = sum(sizes[:number]), self.job.files[number]
            at = self.place["at"] if number == self.place["file"] else 0
            self.place |= {"file": number, "at": at}
            for row in rows(path, *layout(path, self.job.source.inputs[0]), at):
                self._take(path, row)
                self.place["at"] = row.end
                self.told(before + min(row.end, sizes[number]), sum(sizes))
                self._pause()

    def _take(self, path: Path, row: Row | Broken) -> None:
        self.counts.records += 1
        if isinstance(row, Broken):
            self._reject(path.name, row.line, "", Reject(row.reason, row.got))
        elif self.job.source.group is None:
            self._convert(path.name, row)
        else:
            try:
                group = self.job.source.group(row)
                self.progress.hold(group, path.name, row.line, row.key, row.raw)
            except Reject as err:
                self._reject(path.name, row.line, row.key, err)
        self._expect_right_file(path)

    def _groups(self) -> None:
        total = self.progress.groups()
        for number in range(self.place["group"], total):
            held = list(self.progress.held(number))
            raw = b"\n".join(raw for _, _, _, raw in held)
            value = [(key, json.loads(raw)) for _, _, key, raw in held]
            file, line, key, _ = held[0]
            self._convert(file, Row(line, 0, key, value, raw))
            self.place["group"] = number + 1
            self.told(number + 1, total)
            self._pause()

    # ------------------------------------------------------------------------------------------ one record

    def _convert(self, file: str, row: Row) -> None:
        made = 0
        try:
            for sample in self.job.source.convert(row, self.given):
                self._drops(file, row)
                made += self._added(file, row, sample)
        except Reject as err:
            self._drops(file, row)
            self._reject(file, row.line, row.key, err)
        except StreamBridgeError:  # a full disk, a file in the way: nothing of the record's
            raise
        except _GARBAGE as err:  # converters are tested to raise Reject alone; a run of hours must not hang on that
            self._drops(file, row)
            self._reject(file, row.line, row.key, Reject("unknown_layout", one_line("the record", err)))
        self._drops(file, row)
        self.counts.converted += made > 0

    def _added(self, file: str, row: Row, sample: Timeline) -> bool:
        try:
            self._add(sample)
        except Reject as err:  # the record's other samples may be good
            self._reject(file, row.line, row.key, err)
            return False
        return True

    def _add(self, sample: Timeline) -> None:
        self._expect_video(sample)
        try:
            line = streamit.to_line(sample)
        except BadInput as err:
            raise Reject("invalid", err) from err
        if faults := invariants.faults(sample):
            raise Reject("invalid", f"{faults[0].field}: {faults[0].rule}; got {faults[0].got}")
        if not self.progress.first("sample", sample.id):
            raise Reject("duplicate", sample.id)
        self.outputs.add(f"{self.job.source.name}.{sample.meta['split']}.jsonl", line)
        self.tally.repaired.update(sample.meta["quirks"])
        self.counts.add(sample)

    def _expect_video(self, sample: Timeline) -> None:
        for media in sample.media if self.job.videos is not None else ():
            name = media.uri.partition(":")[2]
            alike = {name, stem(name), stem(name.rpartition("/")[2]), name.removeprefix("v_"), f"v_{name}"}
            if not alike & (self.job.videos or frozenset()):
                raise Reject("missing_video", name)

    def _drops(self, file: str, row: Row) -> None:
        for drop in self.tally.drops:
            self._note(file, row.line, row.key, drop, part=True)
        self.tally.drops.clear()

    def _reject(self, file: str, line: int, key: str, reject: Reject) -> None:
        self.counts.rejected[reject.reason] += 1
        self._note(file, line, key, reject)

    def _note(self, file: str, line: int, key: str, reject: Reject, part: bool = False) -> None:
        said = {"file": file, "line": line} | ({"key": key} if key else {}) | ({"part": True} if part else {})
        said |= {"reason": reject.reason, "detail": reject.detail[:300]}
        self.outputs.add(f"rejected/{self.job.mark}.jsonl", json.dumps(said))

    def _expect_right_file(self, path: Path) -> None:
        wrong = self.counts.rejected["unknown_layout"] + self.counts.rejected["not_json"]
        if self.counts.records == wrong == FIRST:
            raise BadInput(f"none of the first {FIRST} records of {path} is one of {self.job.source.title}")

    # ------------------------------------------------------------------------------------------ kept on disk

    def _pause(self) -> None:
        if time.monotonic() - self._kept > KEEP_S:
            self._keep()

    def _stage(self, name: str) -> None:
        self.place["stage"] = name
        self._keep()

    def _keep(self) -> None:
        sizes = self.outputs.sizes()
        self.progress.save("sizes", sizes)
        self.progress.save("names", sorted(sizes))
        self.progress.save("place", self.place)
        self.progress.save("counts", [self.counts.said(), self.tally.read, self.tally.dropped, self.tally.repaired])
        self.progress.keep()
        self._kept = time.monotonic()

    def _load(self) -> None:
        self.place |= self.progress.load("place") or {}
        counts, *tallies = self.progress.load("counts") or [None, {}, {}, {}]
        self.counts.load(counts or {})
        for counter, held in zip((self.tally.read, self.tally.dropped, self.tally.repaired), tallies, strict=True):
            counter.update(held)
        if self.place["stage"] != "done":
            self.outputs.back(self.progress.load("sizes") or {})


def layout(path: Path, given: Input) -> tuple[str, str]:
    """How a file's records are laid out, and under what key: Parquet is known by its ending."""
    return ("parquet", given.under or "json") if path.suffix == ".parquet" else (given.layout, given.under)


def _looks(path: Path) -> list[Any]:
    """What a file is recognised by after a stop, without reading all of it."""
    with path.open("rb") as file:
        return [path.name, path.stat().st_size, hashlib.sha256(file.read(1 << 16)).hexdigest()[:16]]


def options(job: Job) -> Any:
    """The set's own rules, from the policy.

    Raises:
        BadInput: when the policy names an option that the set has not.
    """
    return recipe.fill(job.policy.options, job.source.options, f"policy: options of {job.source.name}")


def side_tables(job: Job) -> dict[str, dict[str, dict[str, str]]]:
    """The tables beside the annotations, by input name; several files of one input are one table."""
    found: dict[str, dict[str, dict[str, str]]] = {}
    for one in job.source.inputs[1:]:
        found[one.name] = {}
        for path in job.inputs.get(one.name, ()):
            found[one.name] |= tables.read(path, one.columns)
    return found


def write(path: Path, text: str) -> None:
    """Write a text so that it stands there wholly or not at all.

    Raises:
        RunFailed: when it cannot be written.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as err:
        raise RunFailed(f"cannot write {path}: {err.strerror}; mend that and type the same line again") from err
