"""One video file, decoded picture by picture with PyAV. Knows the container and the codec, no stream time and no ticks.

Rotation and mirroring are honoured, as the first picture's display matrix says for the whole file. Not honoured: a
sample aspect ratio that is not 1, HDR tone curves, transparency. Times are seconds from the first picture.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import av.error
import av.logging
import numpy as np
from av.video.reformatter import VideoReformatter

from streambridge.errors import BadInput
from streambridge.sources.sampling import Picture
from streambridge.sources.source import MOST_PIXELS

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream
    from numpy.typing import NDArray

av.logging.set_libav_level(av.logging.PANIC)  # FFmpeg writes to stderr by itself; what matters is told as an event

EXPECTED = "expected a video file (mp4, mkv, webm, mov, ts, avi ...); type: streambridge watch VIDEO.mp4"
_NO_VIDEO = {"tty"}  # FFmpeg "plays" any text file as a terminal


class Reel:
    """An open video file.

    Attributes:
        lost: pictures and packets found corrupt since it was last set to 0; they are skipped.
        broke: why the container could not be read to its end, empty when it could.
        seen_s: end of the last picture that was decoded, in seconds.
        stated_s: length in seconds by the file's own word, None when it gives none.
        sure: that word is about the video track itself, not about the file as a whole.
        timeless: pictures bear no time; theirs is counted from the frame rate.
    """

    def __init__(self, path: Path) -> None:
        """Open and decode the first picture.

        Raises:
            BadInput: when no picture can be had.
        """
        self._path, self.lost, self.broke, self.seen_s = path, 0, "", 0.0
        self._origin: int | None = None  # time stamp of the first picture
        self._reformat = VideoReformatter()
        self._frames: Iterator[av.VideoFrame] = iter(())
        self._from_s = 0.0  # what is lost before this is nobody's loss
        self._open()
        try:
            self._frames = self._decoded()
            first = next(self._frames, None)
            if first is None:
                raise BadInput(f"{path}: no picture in it can be decoded ({self.broke or 'no frames'}); {EXPECTED}")
            # Asked once: looking at side data ties a picture into a ring that only the garbage collector unties, and
            # hundreds of pictures wait for it (PyAV 18). No camera turns the matrix within one file.
            self._matrix = _display_matrix(first)
            self.rgb(first)
        except (av.error.FFmpegError, ValueError, MemoryError) as err:
            self.close()
            if isinstance(err, BadInput):
                raise
            raise BadInput(f"{path}: {_why(err)}; {EXPECTED}") from err
        self._frames = chain([first], self._frames)
        self._origin = self._stamp(first)
        self.timeless = self._origin is None
        self.stated_s, self.sure = _stated(self._container, self._stream)

    def pictures(self, from_s: float = 0.0) -> Iterator[Picture[av.VideoFrame]]:
        """All pictures from one at or before `from_s` on: the key picture there, or the first of all. Call it once."""
        frames = self._from(from_s)
        end = 0.0
        for frame in frames:
            t = self._time(frame, end)
            lasts = self._lasts(frame)
            end = t + (lasts or self._step)
            self.seen_s = max(self.seen_s, end)
            yield Picture(t, lasts, frame)

    def rgb(self, frame: av.VideoFrame) -> NDArray[np.uint8]:
        """A picture as a person sees it: uint8 [H, W, 3] RGB, upright."""
        pixels: NDArray[np.uint8] = np.asarray(self._reformat.reformat(frame, format="rgb24").to_ndarray(), np.uint8)
        return pixels if self._matrix is None else np.ascontiguousarray(_upright(pixels, self._matrix))

    def close(self) -> None:
        """Close the container; twice is fine."""
        self._container.close()

    def _open(self) -> None:
        # An absolute path is never taken for a protocol ("concat:..."), and no playlist can reach for the network.
        options = {"protocol_whitelist": "file,crypto,data"}
        try:
            self._container = av.open(str(self._path.absolute()), options=options, metadata_errors="replace")
        except (av.error.FFmpegError, OSError, ValueError) as err:
            raise BadInput(f"{self._path}: {_why(err)}; {EXPECTED}") from err
        try:
            self._stream = _video_stream(self._container, self._path)
        except BadInput:
            self._container.close()
            raise
        self._by_dts = self._container.format.name == "avi"  # it bears no times of showing, and guessed ones go back
        rate = self._stream.average_rate or self._stream.guessed_rate
        self._step = float(1 / rate) if rate else 0.04  # seconds; 25 fps is FFmpeg's own guess for bare streams

    def _from(self, from_s: float) -> Iterator[av.VideoFrame]:
        self._from_s, frames, self._frames = from_s, self._frames, iter(())
        if from_s <= 0:
            return frames
        frames = iter(()) if self.timeless else self._sought(from_s)
        first = next(frames, None)
        if first is not None and self._time(first, 0.0) <= from_s:
            return chain([first], frames)
        self._reopen()
        return self._decoded()

    def _sought(self, from_s: float) -> Iterator[av.VideoFrame]:
        base = self._stream.time_base or 1
        try:
            self._container.seek(round((self._origin or 0) + from_s / base), stream=self._stream)
        except (av.error.FFmpegError, OSError, OverflowError):
            return
        yield from self._decoded()

    def _reopen(self) -> None:
        self._container.close()
        self.lost, self.broke = 0, ""
        self._open()

    def _time(self, frame: av.VideoFrame, otherwise: float) -> float:
        stamp = self._stamp(frame)
        if stamp is None or frame.time_base is None:
            return otherwise
        return float((stamp - (self._origin or 0)) * frame.time_base)

    def _lasts(self, frame: av.VideoFrame) -> float | None:
        if frame.duration and frame.time_base is not None:
            return float(frame.duration * frame.time_base)
        return self._step if self.timeless else None

    def _decoded(self) -> Iterator[av.VideoFrame]:
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets)
            except (StopIteration, av.error.EOFError, IndexError):  # IndexError: a damaged file grew a stream (PyAV 18)
                return
            except (av.error.FFmpegError, OSError, ValueError) as err:
                self.broke = _why(err)
                return
            for frame in self._decode(packet):
                if frame.is_corrupt:
                    self._lose(self._stamp(frame), frame.time_base)
                else:
                    yield frame

    def _decode(self, packet: Packet[VideoStream]) -> list[av.VideoFrame]:
        try:
            return packet.decode()
        except av.error.EOFError:
            return []
        except (av.error.FFmpegError, OSError, ValueError):
            self._lose(packet.pts, packet.time_base)
            return []

    def _lose(self, stamp: int | None, base: Fraction | None) -> None:
        if stamp is None or base is None or (stamp - (self._origin or 0)) * base >= self._from_s:
            self.lost += 1

    def _stamp(self, frame: av.VideoFrame) -> int | None:
        return frame.dts if self._by_dts else frame.pts


def _video_stream(container: InputContainer, path: Path) -> VideoStream:
    covers = av.stream.Disposition.attached_pic  # the cover of a song is no video
    streams = [s for s in container.streams.video if not s.disposition & covers]
    if not streams or container.format.name in _NO_VIDEO:
        types = {"text"} if container.format.name in _NO_VIDEO else {s.type or "unknown" for s in container.streams}
        raise BadInput(f"{path}: no video in it, only {', '.join(sorted(types)) or 'nothing'}; {EXPECTED}")
    best = container.streams.best("video")
    stream: Any = best if best in streams else streams[0]
    if stream.codec_context is None:
        asked = f"expected h264, hevc, vp9, av1 ...; type: ffmpeg -i {path.name} -c:v libx264 OUT.mp4"
        raise BadInput(f"{path}: its video codec is not known here; {asked}")
    if stream.codec_context.width * stream.codec_context.height > MOST_PIXELS:
        size = f"{stream.codec_context.width}x{stream.codec_context.height}"
        most = f"{MOST_PIXELS / 1e6:.0f} million pixels"
        raise BadInput(f"{path}: its pictures are {size}; expected at most {most}; scale it down")
    return stream  # type: ignore[no-any-return]


def _stated(container: InputContainer, stream: VideoStream) -> tuple[float | None, bool]:
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base), True
    tag = stream.metadata.get("DURATION", "")  # Matroska's word for one track, "00:00:20.000000000"
    try:
        hours, minutes, seconds = (float(part) for part in tag.split(":"))
        return hours * 3600 + minutes * 60 + seconds, True
    except ValueError:
        return (container.duration / av.time_base, False) if container.duration else (None, False)


def _display_matrix(frame: av.VideoFrame) -> tuple[int, int, int, int] | None:
    entries: Any = frame.side_data  # its stub says strings
    for data in entries:
        if data.type.name == "DISPLAYMATRIX":
            a, b, _, c, d = np.frombuffer(bytes(data), "<i4", count=5).tolist()
            return a, b, c, d
    return None


def _upright(pixels: NDArray[np.uint8], matrix: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    """Apply a display matrix, rounded to quarter turns: a point (x, y) goes to (a x + c y, b x + d y), y downwards."""
    a, b, c, d = matrix
    if abs(a) < abs(b):
        pixels, a, d = pixels.transpose(1, 0, 2), c, b
    return pixels[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]


def _why(err: BaseException) -> str:
    if isinstance(err, MemoryError):
        return "its pictures do not fit into memory"
    if isinstance(err, av.error.InvalidDataError):
        return "it cannot be read as video (something else, damaged, or cut short before its index was written)"
    return getattr(err, "strerror", None) or str(err) or type(err).__name__
