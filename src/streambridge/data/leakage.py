"""Whether training samples show the videos of a benchmark, by their ids alone. Knows no pixel and no benchmark by name.

No match proves nothing about videos that bear other ids in the two files; where ids cannot be compared at all, the
result says so.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from streambridge import streamit
from streambridge.data.annotations import videos_of_annotations
from streambridge.data.video_names import UUID, Name, name, shape
from streambridge.errors import BadInput, RunFailed
from streambridge.types import Timeline

How = Literal["exact", "cut"]

_MOST_SHAPES: Final = 200  # kinds of ids of one data set that are told apart


@dataclass(frozen=True, slots=True)
class Leak:
    """One video of a training sample that a benchmark shows too.

    Attributes:
        sample: its id.
        uri: of the video in the sample.
        benchmark: the annotation file.
        matched: the video's name there.
        how: `exact`, or `cut` where they are the same only without the marks of a cut.
    """

    sample: str
    uri: str
    benchmark: str
    matched: str
    how: How


@dataclass(frozen=True, slots=True)
class Leakage:
    """What training files and benchmarks share.

    Attributes:
        samples: how many there are.
        leaks: each video of a sample that a benchmark shows too.
        datasets: data set -> `samples`, `leaking`, `exact`, `cut`: samples of each kind.
        benchmarks: annotation file -> `videos`, `exact`, `cut`: its videos that training samples show.
        notes: what could not be compared.
    """

    samples: int
    leaks: tuple[Leak, ...]
    datasets: Mapping[str, Mapping[str, int]]
    benchmarks: Mapping[str, Mapping[str, int]]
    notes: tuple[str, ...]

    @property
    def leaking(self) -> frozenset[str]:
        """The ids of the samples that leak, for `without`."""
        return frozenset(leak.sample for leak in self.leaks)

    @property
    def share(self) -> float:
        """Of the samples, those that leak."""
        return len(self.leaking) / self.samples if self.samples else 0.0

    def said(self) -> dict[str, Any]:
        """As JSON, for a file or the data card."""
        leaks = [{field: getattr(leak, field) for field in Leak.__slots__} for leak in self.leaks]
        counts = {"samples": self.samples, "leaking": len(self.leaking), "share": round(self.share, 6)}
        tables = {"datasets": dict(self.datasets), "benchmarks": dict(self.benchmarks)}
        return {"schema": "leakage/1", **counts, **tables, "notes": list(self.notes), "leaks": leaks}

    def told(self) -> list[str]:
        """As lines of text."""
        lines = [f"{len(self.leaking)} of {self.samples} samples ({self.share:.2%}) show a video of a benchmark"]
        for file, own in self.benchmarks.items():
            lines.append(f"{file}: {own['exact']} of {own['videos']} videos by the same id, {own['cut']} more as a cut")
        for dataset, own in self.datasets.items():
            lines.append(f"{dataset}: {own['leaking']} of {own['samples']} samples leak")
        return [*lines, *(f"not comparable: {note}" for note in self.notes)]


class _Benchmark:
    """The videos of one annotation file, found by any reading of their names."""

    def __init__(self, path: str) -> None:
        self.path = path
        names = [name(raw) for raw in sorted(videos_of_annotations(path))]
        self.videos = len(names)
        self.shapes = {shape(one) for one in names}
        self._exact = {reading: one.raw for one in names for reading in one.exact}
        self._stems = {reading: one.raw for one in names for reading in one.stems}
        self.seen: dict[str, How] = {}

    def match(self, video: Name) -> tuple[str, How] | None:
        """The name here that is the same video, and how it is."""
        found = _first(video.exact, self._exact), "exact"
        if found[0] is None:
            found = _first(video.stems, self._exact) or _first(video.exact | video.stems, self._stems), "cut"
        raw, how = found
        if raw is None:
            return None
        told: How = "exact" if how == "exact" else "cut"
        if self.seen.get(raw) != "exact":
            self.seen[raw] = told
        return raw, told

    def said(self) -> dict[str, int]:
        counts = Counter(self.seen.values())
        return {"videos": self.videos, "exact": counts["exact"], "cut": counts["cut"]}


def check(files: Iterable[str | os.PathLike[str]], annotations: Iterable[str | os.PathLike[str]]) -> Leakage:
    """Look for the videos of benchmarks in training files.

    Args:
        files: of `streamit/1`, read line by line.
        annotations: of benchmarks, as `videos_of_annotations` understands them.

    Raises:
        BadInput: when one of them cannot be read.
    """
    benchmarks = [_Benchmark(os.fspath(path)) for path in annotations]
    leaks: list[Leak] = []
    datasets: dict[str, Counter[str]] = {}
    shapes: dict[str, Counter[str]] = {}
    for path in files:
        for timeline in streamit.read(path):
            own = list(_leaks(timeline, benchmarks))
            leaks += own
            _tally(timeline, own, datasets, shapes)
    counts = {
        name: {kind: own[kind] for kind in ("samples", "leaking", "exact", "cut")}
        for name, own in sorted(datasets.items())
    }
    samples = sum(own["all"] for own in datasets.values())
    told = {benchmark.path: benchmark.said() for benchmark in benchmarks}
    return Leakage(samples, tuple(leaks), counts, told, tuple(_notes(shapes, benchmarks)))


def _leaks(timeline: Timeline, benchmarks: list[_Benchmark]) -> Iterator[Leak]:
    for uri in dict.fromkeys(media.uri for media in timeline.media):
        video = name(uri)
        for benchmark in benchmarks:
            if found := benchmark.match(video):
                yield Leak(timeline.id, uri, benchmark.path, *found)


def _tally(
    timeline: Timeline, own: list[Leak], datasets: dict[str, Counter[str]], shapes: dict[str, Counter[str]]
) -> None:
    """Count a sample once for each data set it shows videos of."""
    for number, dataset in enumerate(dict.fromkeys(_dataset(media.uri) for media in timeline.media)):
        counts, kinds = datasets.setdefault(dataset, Counter()), shapes.setdefault(dataset, Counter())
        there = {leak.how for leak in own if _dataset(leak.uri) == dataset}
        counts.update(samples=1, all=int(number == 0), leaking=int(bool(there)))
        counts.update(exact=int("exact" in there), cut=int(there == {"cut"}))
        for media in timeline.media:
            kind = shape(name(media.uri))
            if _dataset(media.uri) == dataset and (kind in kinds or len(kinds) < _MOST_SHAPES):
                kinds[kind] += 1


def _dataset(uri: str) -> str:
    return uri.partition(":")[0] if ":" in uri else "(none)"


def _notes(shapes: dict[str, Counter[str]], benchmarks: list[_Benchmark]) -> Iterator[str]:
    for benchmark in benchmarks:
        for dataset, kinds in sorted(shapes.items()):
            if not set(kinds) & benchmark.shapes:
                ours, theirs = kinds.most_common(1)[0][0], ", ".join(sorted(benchmark.shapes)[:3])
                yield f"{dataset} with {benchmark.path}: ids of other kinds ({ours}; there {theirs})"
            elif UUID in kinds and UUID in benchmark.shapes:
                yield f"{dataset} with {benchmark.path}: uuids; one of a clip never equals that of its video (Ego4D)"


def _first(readings: Collection[str], known: Mapping[str, str]) -> str | None:
    return next((known[one] for one in sorted(readings) if one in known), None)


# ---------------------------------------------------------------------------------------------- a copy without


def without(file: str | os.PathLike[str], leaking: Collection[str], out: str | os.PathLike[str]) -> tuple[int, int]:
    """Copy a file of samples without some of them; the other lines stay the same bytes.

    Args:
        file: of `streamit/1`.
        leaking: ids of samples, as `Leakage.leaking`.
        out: where to; it appears whole or not at all, and may be `file` itself.

    Returns:
        How many samples were kept and how many left out.

    Raises:
        BadInput: when the file cannot be read, or a line is no sample.
        RunFailed: when the copy cannot be written.
    """
    target, ids = Path(out), frozenset(leaking)
    kept = left = 0
    try:
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}.", delete=False) as part:
            try:
                for line, own in _with_ids(file):
                    kept, left = kept + (own is not None and own not in ids), left + (own in ids)
                    part.write(line if own not in ids else b"")
                part.flush()
                os.fsync(part.fileno())
                os.chmod(part.name, 0o666 & ~_umask())
                os.replace(part.name, target)
            except BaseException:
                Path(part.name).unlink(missing_ok=True)
                raise
    except OSError as err:
        raise RunFailed(f"cannot write {target}: {err.strerror or err}") from err
    return kept, left


def _with_ids(file: str | os.PathLike[str]) -> Iterator[tuple[bytes, str | None]]:
    """Lines with the id of their sample; blank ones have none."""
    try:
        with open(file, "rb") as lines:
            for number, line in enumerate(iter(lambda: lines.readline(streamit.MOST_BYTES), b""), start=1):
                yield line, _id(line, f"{os.fspath(file)}:{number}") if line.strip() else None
    except OSError as err:
        raise BadInput(f"cannot read {os.fspath(file)}: {err.strerror or err}") from err


def _id(line: bytes, place: str) -> str:
    try:
        return str(json.loads(line)["id"])
    except (ValueError, RecursionError, TypeError, KeyError) as err:
        raise BadInput(f"{place}: line: is one sample; got {ascii(line[:60])}") from err


def _umask() -> int:
    """The mode that an ordinary new file gets; a temporary one is private."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
