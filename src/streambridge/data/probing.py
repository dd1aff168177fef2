"""How long videos are and how many frames a second they have, for tables that annotations lack. Knows no data set."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from streambridge.errors import one_line

ENDINGS: Final = frozenset({".mp4", ".mkv", ".webm", ".avi", ".mov", ".m4v", ".mpg", ".flv", ".ts"})


def videos(folder: Path) -> list[Path]:
    """The videos below a folder, by their endings, in order."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS)


@dataclass(frozen=True, slots=True)
class Probed:
    """One video; `trouble` says why nothing is known of it."""

    video: str
    duration_s: float = 0.0
    fps: float = 0.0
    trouble: str = ""


def probe(paths: Iterable[Path]) -> Iterator[Probed]:
    """Length and frame rate of each file, from its header; no frame is decoded."""
    for path in paths:
        try:
            yield _probe(path)
        except Exception as err:  # a damaged file raises what it likes, and the next one is read
            yield Probed(path.stem, trouble=one_line(f"{path.name} cannot be read as a video", err))


def _probe(path: Path) -> Probed:
    import av

    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        told = stream.duration * stream.time_base if stream.duration and stream.time_base else None
        length = float(told) if told else (container.duration or 0) / 1_000_000
        rate = float(stream.average_rate or 0)
    if length <= 0 or rate <= 0:
        return Probed(path.stem, trouble=f"{path.name} does not tell its length or frame rate")
    return Probed(path.stem, length, rate)
