"""From annotation files to streamit/1: one record at a time, resumable, everything counted. Knows no data set.

Whatever a record holds, it becomes samples or a line among the rejected, and the next one follows. The bytes written
do not depend on kills, on the order of records beside each other, or on the machine.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from streambridge import streamit
from streambridge.data import invariants
from streambridge.data.job import Job, layout
from streambridge.data.outputs import Outputs, write
from streambridge.data.progress import Held, Progress
from streambridge.data.report import Counts, report
from streambridge.data.rows import Broken, Row, rows
from streambridge.data.source_set import Given, Placed, Reject, Tally
from streambridge.data.tables import Table
from streambridge.data.words import stem
from streambridge.errors import BadInput, RunFailed, StreamBridgeError, WrongUse, one_line
from streambridge.types import Timeline

KEEP_S: Final = 2.0  # of work that a kill may cost
FIRST: Final = 1000  # records of which none is one of the set's: then it is the wrong file
_GARBAGE: Final = (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError)
_IDS: Final = ("id", "sample_id", "video_id", "videoid", "videoID", "YoutubeID", "segment_id", "video")
Told = Callable[[int, int], None]  # bytes read, bytes in all


def run(job: Job, told: Told = lambda done, total: None) -> dict[str, Any]:
    """Convert, or go on where a conversion was stopped.

    Args:
        job: what to convert.
        told: is told bytes read and bytes in all, often.

    Returns:
        The report, which also stands in the folder as `NAME.SPLIT.report.json` if there is a sample.

    Raises:
        BadInput: when a file cannot be read, or none of its first 1,000 records is one of the set's.
        WrongUse: when an input is missing, or the folder holds something else.
        RunFailed: when the disk does not take it; the same call goes on later.
    """
    job.expect_inputs()
    rules, beside = job.options(), job.tables()
    try:
        job.out.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise WrongUse(f"--out {job.out} cannot be made: {err.strerror}; name another folder") from err
    if job.report.exists() and job.notes.exists():  # killed between its last two acts
        return _finished(job)
    if job.report.exists():
        raise WrongUse(f"{job.mark} is converted already in {job.out}; type --force to do it again, or another --out")
    with _desk(job, told, rules, beside) as desk:
        return desk.work()


def _finished(job: Job) -> dict[str, Any]:
    try:
        found = dict(json.loads(job.report.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as err:
        raise BadInput(f"{job.report} is damaged; type --force to convert again") from err
    for left in job.out.glob(f"{job.notes.name}*"):
        left.unlink()
    return found


@contextmanager
def _desk(job: Job, told: Told, rules: Any, beside: Mapping[str, Table]) -> Iterator[_Desk]:
    progress, wrong = Progress(job.notes, job.settings()), False
    desk = _Desk(job, progress, Outputs(job.out, job.mark), told, rules, beside)
    try:
        yield desk
    except BadInput:
        wrong = not desk.counts.made["samples"]  # the wrong file: nothing shall stand in the way of the right one
        raise
    finally:
        try:
            desk.outputs.close()
        except OSError as err:
            raise RunFailed(f"cannot write to {job.out}: {err.strerror}; type the same line again") from err
        finally:
            progress.close()
            if wrong:
                job.forget()


class _Desk:
    """The work itself: files, then (for sets that are grouped) groups, then the final names."""

    def __init__(
        self, job: Job, progress: Progress, outputs: Outputs, told: Told, rules: Any, beside: Mapping[str, Table]
    ) -> None:
        self.job, self.progress, self.outputs, self.told = job, progress, outputs, told
        self.tally, self.counts = Tally(), Counts()
        self.place: dict[str, Any] = {"stage": "files", "file": 0, "at": 0, "record": 0, "group": 0}
        self._load()
        self.given = Given(job.source, job.policy, rules, beside, job.split, self.tally, progress.first)
        self._kept = time.monotonic()

    def work(self) -> dict[str, Any]:
        if self.place["stage"] == "files":
            self._files()
            self._stage("groups")
        if self.place["stage"] == "groups":
            self._groups()
            self._stage("done")
        names = self.progress.load("names")
        found = report(self.job, self.tally, self.counts, names)
        self.outputs.publish(names)
        if self.counts.made["samples"]:  # else nothing shall stand in the way of another try
            write(self.job.report, json.dumps(found, indent=1, ensure_ascii=False) + "\n")
        self.progress.close(gone=True)
        return found

    # ------------------------------------------------------------------------------------------ the two stages

    def _files(self) -> None:
        sizes = [path.stat().st_size for path in self.job.files]
        for number in range(self.place["file"], len(sizes)):
            before, path = sum(sizes[:number]), self.job.files[number]
            for row in self._rows(path):
                self.place |= {"at": row.end, "record": self.place["record"] + 1}
                self._take(path, row)
                self.told(before + min(row.end, sizes[number]), sum(sizes))
                self._pause()
            self.place |= {"file": number + 1, "at": 0, "record": 0}

    def _rows(self, path: Path) -> Iterator[Row | Broken]:
        """The records of a file; one file of several that cannot be read costs itself."""
        try:
            yield from rows(path, *layout(path, self.job.source.inputs[0]), self.place["at"])
        except BadInput as err:
            if len(self.job.files) == 1:
                raise
            yield Broken(0, path.stat().st_size, "unreadable", str(err))

    def _take(self, path: Path, row: Row | Broken) -> None:
        self.counts.records += 1
        if isinstance(row, Broken):
            self._reject(Held(path.name, row.line, self.place["record"], "", b""), Reject(row.reason, row.got))
            return self._expect_right_file(path)
        held = Held(path.name, row.line, self.place["record"], row.key or _named(row.value), row.raw)
        if self.job.source.group is None:
            self._convert([held], row)
        else:
            try:
                self.progress.hold(self.job.source.group(row), held, row.key)
            except Reject as err:
                self._reject(held, err)
        return self._expect_right_file(path)

    def _groups(self) -> None:
        total = self.progress.groups()
        for number in range(self.place["group"], total):
            held = list(self.progress.held(number))
            value = [(key, _placed(one)) for one, key in held]
            row = Row(held[0][0].line, 0, held[0][1], value, b"\n".join(one.raw for one, _ in held))
            self._convert([one for one, _ in held], row)
            self.place["group"] = number + 1
            self.told(number + 1, total)
            self._pause()

    # ------------------------------------------------------------------------------------------ one record

    def _convert(self, held: list[Held], row: Row) -> None:
        made = 0
        why: Reject | None = None
        try:
            for sample in self.job.source.convert(row, self.given):
                self._drops(held[0])
                made += self._added(held[0], sample)
        except Reject as err:
            why = err
        except StreamBridgeError:  # a full disk, a file in the way: nothing of the record's
            raise
        except _GARBAGE as err:  # converters are tested to raise Reject alone; a run of hours must not hang on that
            why = Reject("unknown_layout", one_line("the record", err))
        self._drops(held[0])
        if why is not None:
            for one in held:
                self._reject(one, why)
        self.counts.converted += len(held) if made else 0

    def _added(self, held: Held, sample: Timeline) -> bool:
        try:
            self._add(sample)
        except Reject as err:  # the record's other samples may be good
            self._reject(held, err)
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

    # ------------------------------------------------------------------------------------------ what is left out

    def _drops(self, held: Held) -> None:
        for drop in self.tally.drops:
            self._note(drop.place or held, drop, part=True)
        self.tally.drops.clear()

    def _reject(self, held: Held, reject: Reject) -> None:
        self.counts.reject(reject, f"{held.file}:{held.line}")
        self._note(held, reject)

    def _note(self, held: Held, reject: Reject, part: bool = False) -> None:
        said: dict[str, Any] = {"file": held.file, "line": held.line, "record": held.record}
        said |= ({"key": held.name} if held.name else {}) | ({"part": True} if part else {})
        said |= {"reason": reject.reason, "detail": reject.detail[:300]}
        self.outputs.add(f"rejected/{self.job.mark}.jsonl", json.dumps(said))

    def _expect_right_file(self, path: Path) -> None:
        wrong = self.counts.rejected["unknown_layout"] + self.counts.rejected["not_json"]
        if self.counts.records == wrong == FIRST:
            raise BadInput(
                f"none of the first {FIRST} records of {path} is one of {self.job.source.title}; "
                f"the first: {self.counts.first}"
            )

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


def _placed(held: Held) -> Any:
    """A held record, read again, with its place."""
    said = json.loads(held.raw)
    if isinstance(said, dict):
        said = Placed(said)
        said.place = held
    return said


def _named(value: Any) -> str:
    """What a record calls itself, so that it is found in a file of one line."""
    said = (value.get(name) for name in _IDS) if isinstance(value, Mapping) else ()
    return next((str(one)[:100] for one in said if isinstance(one, str | int) and str(one).strip()), "")
