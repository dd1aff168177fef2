"""A video file as a source: the right picture at every tick. Knows when and what to tell, not how pictures are decoded.

Stream time 0 is `start_s` of the file; seconds of the file count from its first picture.
"""

from __future__ import annotations

import dataclasses
import difflib
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from streambridge.errors import BadInput, WrongUse
from streambridge.sources.decoding import EXPECTED, Reel
from streambridge.sources.sampling import Picture, at_ticks, holes, steady
from streambridge.sources.source import Opened, checked_span
from streambridge.types import Frame

if TYPE_CHECKING:
    import av
    import numpy as np
    from numpy.typing import NDArray

_EARLIER = "start before that: a smaller --start"
SHORT_S = 1.0  # a file that ends this much before its stated end is told to be cut short
_NEXT = "what came before is kept; get a whole copy of the file, or watch this one with --end before that"


class VideoFile(Opened):
    """Frames of a file, sampled by time. Pixels may be shared by frames that show one picture: do not write to them.

    What goes wrong on the way becomes an event: corrupt packets (`dropped`, counted in packets of the file), a file
    that breaks or ends before its stated end (`failed`), pictures without times and a clock that jumps (`notice`).
    """

    def __init__(self, path: str | Path, fps: float = 1.0, start_s: float = 0.0, end_s: float | None = None) -> None:
        """Open the file and decode its first picture.

        Args:
            path: the file.
            fps: frames per second of stream time.
            start_s: seconds of the file at which the stream begins.
            end_s: seconds of the file at which it ends (not included), None for all of it.

        Raises:
            WrongUse: when `fps`, `start_s` or `end_s` make no sense for this file.
            BadInput: when no video can be read from it.
        """
        super().__init__(str(path), fps)
        self._start, self._end = checked_span(start_s, end_s)
        self._ran_out, self._whole = False, True
        self._reel = Reel(regular_file(Path(path)))
        stated = self._reel.stated_s
        if stated is not None and self._start >= stated:
            self.close()
            raise WrongUse(f"start is {self._start:g} s, but {path} is {stated:.3f} s long; expected one before that")
        ends = [end for end in (self._end, stated) if end is not None]
        self.duration_s = min(ends) - self._start if ends else None

    def _release(self) -> None:
        if hasattr(self, "_reel"):
            self._reel.close()

    def _run(self) -> Iterator[Frame]:
        if self._reel.timeless:
            self._notice(f"{self.name} bears no times; they are counted from its frame rate")
        end = None if self._end is None else self._end - self._start
        shown, pixels, frames = None, None, 0
        for t, picture in at_ticks(self._pictures(), self.fps, end):
            if picture is not shown or pixels is None:
                shown, pixels = picture, self._pixels(picture)
            self._tell_lost()
            if pixels is not None:
                frames += 1
                yield Frame(pixels, t)
        self._tell_lost()
        if self._ran_out:
            self._tell_end(frames)

    def _pictures(self) -> Iterator[Picture[av.VideoFrame]]:
        """Pictures in stream time; whether they ran out is noted."""
        pictures = holes(self._reel.pictures(self._start), self._notice)
        for picture in steady(pictures, self._jumped, self._reel.stated_s):
            yield dataclasses.replace(picture, t=picture.t - self._start)
        self._ran_out = True

    def _pixels(self, picture: av.VideoFrame) -> NDArray[np.uint8] | None:
        try:
            return self._reel.rgb(picture)
        except (OSError, ValueError, MemoryError) as err:  # FFmpeg's own errors are among these
            self._dropped(1, f"unreadable: {err}")
            return None

    def _jumped(self, line: str) -> None:
        self._whole = False  # times that were mended say nothing about the stated length
        self._notice(line)

    def _tell_lost(self) -> None:
        lost, self._reel.lost = self._reel.lost, 0
        if lost:
            self._dropped(lost, "corrupt")

    def _tell_end(self, frames: int) -> None:
        """Say why the pictures ran out, if that was not the plain end of the file."""
        reel = self._reel
        self._t = max(self._t, reel.seen_s - self._start) if self._whole else self._t
        short = self._whole and reel.stated_s is not None and reel.seen_s < reel.stated_s - SHORT_S
        if reel.broke:
            self._failed(f"{self.name} breaks at {reel.seen_s:.3f} s: {reel.broke}", _NEXT)
        elif short and reel.sure:
            self._failed(f"{self.name} ends at {reel.seen_s:.3f} s, but says it is {reel.stated_s:.3f} s long", _NEXT)
        elif short:
            self._notice(f"{self.name}: its pictures end at {reel.seen_s:.3f} s, the file at {reel.stated_s:.3f} s")
        elif not frames:
            self._failed(f"{self.name} ends at {reel.seen_s:.3f} s, not after the start {self._start:g} s", _EARLIER)


def regular_file(path: Path) -> Path:
    """The path of something that can be read as a file.

    Raises:
        BadInput: when it is absent, empty, a folder, a pipe, or may not be read.
    """
    try:
        mode = path.stat().st_mode
        empty = stat.S_ISREG(mode) and not _first_byte(path)
    except FileNotFoundError as err:
        raise BadInput(f"{path}: no such file{_nearest(path)}; {EXPECTED}") from err
    except (OSError, ValueError) as err:
        raise BadInput(f"{str(path)!r}: {getattr(err, 'strerror', None) or err}; {EXPECTED}") from err
    if stat.S_ISDIR(mode):
        raise BadInput(f"{path}: a folder; {EXPECTED}")
    if not stat.S_ISREG(mode):
        raise BadInput(f"{path}: a pipe or a device, not a file; {EXPECTED}")
    if empty:
        raise BadInput(f"{path}: the file is empty (0 bytes); {EXPECTED}")
    return path


def _first_byte(path: Path) -> bytes:
    with path.open("rb") as file:  # also the question whether it may be read at all
        return file.read(1)


def _nearest(path: Path) -> str:
    try:
        names = [entry.name for entry in path.parent.iterdir()]
    except OSError:
        return f" (there is no folder {path.parent})"
    near = difflib.get_close_matches(path.name, names, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


OFFER = VideoFile
