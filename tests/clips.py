"""Small clips whose pictures say their own number, made with PyAV for the tests of sources. Knows nothing of sources.

Picture n shows n in ten black or white blocks, so that what was sampled can be read back from any codec.
"""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

BLOCK, BITS = 16, 10
WIDTH, HEIGHT = BLOCK * BITS, 32


def numbered(n: int, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    pixels = np.full((height, width, 3), 128, np.uint8)
    for bit in range(BITS):
        pixels[:, bit * BLOCK : (bit + 1) * BLOCK] = 255 if n >> bit & 1 else 0
    return pixels


def number(pixels: np.ndarray) -> int:
    middles = pixels[pixels.shape[0] // 2, BLOCK // 2 : WIDTH : BLOCK].mean(axis=1)
    assert (np.abs(middles - 127.5) > 60).all(), f"unclear picture: {middles}"
    return sum(1 << bit for bit, grey in enumerate(middles) if grey > 127)


def clip(
    path: Path,
    pictures: int = 100,
    rate: int | Fraction = 10,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    size: tuple[int, int] = (WIDTH, HEIGHT),
    pts: Sequence[int] | None = None,
    rotation: float | None = None,
    flipped: bool = False,
    sound: bool = False,
    container_options: dict[str, str] | None = None,
    options: dict[str, str] | None = None,
) -> Path:
    """Write a clip; `pts` in milliseconds make it of variable rate."""
    with av.open(str(path), "w", container_options=container_options or {}) as out:
        stream = out.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = *size, pix_fmt
        stream.options = {"g": "10", "preset": "ultrafast"} if options is None else options
        if rotation is not None or flipped:
            stream.set_display_rotation(rotation or 0.0, hflip=flipped)
        if pts is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        audio = _sound_track(out) if sound else None
        for n in range(pictures if pts is None else len(pts)):
            frame = av.VideoFrame.from_ndarray(numbered(n, *size), format="rgb24")
            if pts is not None:
                frame.pts, frame.time_base = pts[n], Fraction(1, 1000)
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
        if audio is not None:
            _sound(out, audio)
    return path


def song(path: Path) -> Path:
    """Write sound without video."""
    with av.open(str(path), "w") as out:
        _sound(out, _sound_track(out))
    return path


def _sound_track(out: av.container.OutputContainer) -> av.AudioStream:
    return out.add_stream("aac", rate=16000, layout="mono")


def _sound(out: av.container.OutputContainer, stream: av.AudioStream) -> None:
    for k in range(20):
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 16000, 1024 * k, Fraction(1, 16000)
        out.mux(stream.encode(frame))
    out.mux(stream.encode())


def cut(path: Path, share: float) -> Path:
    """The first part of a file, beside it."""
    out = path.with_name("cut_" + path.name)
    data = path.read_bytes()
    out.write_bytes(data[: int(len(data) * share)])
    return out


def damaged(path: Path, seed: int = 0, share: float = 0.02) -> Path:
    data = bytearray(path.read_bytes())
    rng = np.random.default_rng(seed)
    for at in range(len(data) // 3, 2 * len(data) // 3):
        if rng.random() < share:
            data[at] = rng.integers(256)
    path.write_bytes(data)
    return path


def one_clear_line(err: Exception, path: object) -> bool:
    text, where = str(err), str(path)
    said_all = where in text and "expected" in text and "type: " in text
    return said_all and "\n" not in text and "Errno" not in text and len(text) < 300 + len(where)
