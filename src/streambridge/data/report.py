"""What a conversion found, made and left out, beside what the full set should hold. Knows counts, no data set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from streambridge.data.reasons import QUIRKS, REASONS
from streambridge.data.source_set import Reject, Tally
from streambridge.types import Timeline

if TYPE_CHECKING:
    from streambridge.data.job import Job

DURATIONS_S: Final = (10, 30, 60, 120, 180, 300, 600, 1800, 3600)  # borders of the histogram
ANSWERS: Final = (1, 2, 3, 5, 8, 12, 20, 50)


@dataclass(slots=True)
class Counts:
    """What came in and what went out.

    Attributes:
        records: read, broken ones too.
        converted: records that gave a sample.
        rejected: records (and samples of records) by reason.
        first: the first that was rejected: where, why, and what came.
        cut: the first place where a file breaks off.
        made: samples by what they are: `samples`, `answers`, `split:train`, `order:proactive`, histograms.
        duration_ms: of all samples.
    """

    records: int = 0
    converted: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    first: str = ""
    cut: str = ""
    made: Counter[str] = field(default_factory=Counter)
    duration_ms: int = 0

    def add(self, sample: Timeline) -> None:
        """Count a sample."""
        answers, meta = len(sample.references), sample.meta
        self.made.update({
            "samples": 1,
            "answers": answers,
            "questions": len(sample.questions),
            f"split:{meta['split']}": 1,
            f"order:{meta['order']}": 1,
            f"task:{meta['task']}": 1,
            f"duration:{_bin(sample.duration_s, DURATIONS_S)}": 1,
            f"spoken:{_bin(answers, ANSWERS)}": 1,
        })
        self.duration_ms += round(1000 * sample.duration_s)

    def reject(self, reject: Reject, where: str) -> None:
        """Count a record that is left out; `where` is its file and line."""
        self.rejected[reject.reason] += 1
        self.first = self.first or f"{where}: {reject.reason}: {reject.detail}"[:300]
        if reject.reason in ("cut_short", "unreadable"):
            self.cut = self.cut or where

    def said(self) -> dict[str, Any]:
        """For the notes."""
        return {name: getattr(self, name) for name in self.__slots__}

    def load(self, held: Mapping[str, Any]) -> None:
        """From the notes."""
        for name, value in held.items():
            setattr(self, name, Counter(value) if isinstance(value, dict) else value)


def report(job: Job, tally: Tally, counts: Counts, files: list[str]) -> dict[str, Any]:
    """Everything that was counted, for people and for the data card."""
    source, made = job.source, counts.made
    produced: dict[str, Any] = {name: made[name] for name in ("samples", "questions", "answers")}
    produced |= {f"by_{kind}": _under(made, kind) for kind in ("split", "order", "task")}
    histograms = {
        "duration_s": _histogram(made, "duration", DURATIONS_S),
        "answers_per_sample": _histogram(made, "spoken", ANSWERS),
    }
    return {
        "source": source.name,
        "title": source.title,
        "version": source.version,
        "converter": f"{source.name}@{source.revision}",
        "licence": source.licence,
        "task": source.task,
        "split": job.split,
        "inputs": {name: [path.name for path in paths] for name, paths in job.inputs.items()},
        "files": files,
        "policy": job.policy.said(),
        "records": {"read": counts.records, "converted": counts.converted},
        "read": dict(sorted(tally.read.items())),
        "produced": produced | {"mean_duration_s": round(counts.duration_ms / 1000 / max(1, made["samples"]), 3)},
        "rejected": dict(sorted(counts.rejected.items())),
        "first_rejected": counts.first,
        "breaks_off": counts.cut,
        "dropped": dict(sorted(tally.dropped.items())),
        "repaired": dict(sorted(tally.repaired.items())),
        "histograms": histograms,
        "expected": {split: dict(found) for split, found in source.expected.items()},
        "differences": _differences(source.expected.get(job.split) or source.expected.get("all"), tally.read),
    }


def _bin(value: float, borders: tuple[int, ...]) -> int:
    """The first border not below the value; 0 stands for beyond the last."""
    return next((border for border in borders if value <= border), 0)


def _histogram(made: Counter[str], kind: str, borders: tuple[int, ...]) -> dict[str, int]:
    found = {f"up to {border}": made[f"{kind}:{border}"] for border in borders}
    return {name: n for name, n in (found | {"more": made[f"{kind}:0"]}).items() if n}


def _under(made: Counter[str], kind: str) -> dict[str, int]:
    return {name.partition(":")[2]: n for name, n in sorted(made.items()) if name.startswith(f"{kind}:")}


def _differences(expected: Mapping[str, int] | None, read: Counter[str]) -> list[dict[str, Any]]:
    """Where the files differ from the full set; a part of a set differs, and that is all right."""
    pairs = (expected or {}).items()
    return [{"what": what, "expected": n, "found": read[what]} for what, n in pairs if read[what] != n]


def lines(found: Mapping[str, Any]) -> list[str]:
    """A report as a person reads it."""
    made = found["produced"]
    told = [
        f"{found['title']} ({found['converter']}): {made['samples']:,} samples with {made['answers']:,} answers "
        f"from {found['records']['read']:,} records, {made['mean_duration_s']:.1f} s on average"
    ]
    told += [f"  {kind}: {_counted(made[f'by_{kind}'])}" for kind in ("split", "order")]
    told += [f"  read: {_counted(found['read'])}"] if found["read"] else []
    for kind, meaning in (("rejected", REASONS), ("dropped", REASONS), ("repaired", QUIRKS)):
        told += [f"  {kind:<9}{n:>9,}  {name}{_meaning(name, meaning)}" for name, n in found[kind].items()]
    for d in found["differences"]:
        told.append(f"  the full set has {d['expected']:,} {d['what']}, found {d['found']:,}")
    return told


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {n:,}" for name, n in counts.items() if n)


def _meaning(name: str, known: Mapping[str, str]) -> str:
    meant = known.get(name) or REASONS.get(name.removeprefix("dropped_"), "")
    return f": {meant}" if meant else ""
