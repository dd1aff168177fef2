"""Promises of folders of images as a source: the right image at every tick, told losses, one clear line."""

import io
import math
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from streambridge.errors import BadInput, WrongUse
from streambridge.sources.folder import ImageFolder, natural, read_image
from streambridge.types import Dropped, Event, Frame, Notice


def grey(level: int, size: tuple[int, int] = (8, 6)) -> Image.Image:
    return Image.new("RGB", size, (level, level, level))


def folder_of(folder: Path, count: int, suffix: str = ".png") -> Path:
    folder.mkdir(exist_ok=True)
    for n in range(count):
        grey(10 * n).save(folder / f"img{n}{suffix}")
    return folder


def watched(path: Path, fps: float = 1.0, **settings: float) -> tuple[list[Frame], list[Event]]:
    with ImageFolder(path, fps, **settings) as source:
        return list(source), source.events()


def said(frames: list[Frame]) -> list[tuple[float, int]]:
    return [(frame.t, round(float(frame.pixels.mean()) / 10)) for frame in frames]


def test_images_come_in_the_order_a_person_counts(tmp_path: Path) -> None:
    frames, events = watched(folder_of(tmp_path / "images", 12))
    assert said(frames) == [(float(n), n) for n in range(12)] and events == []
    names = ["a.png", "a2.png", "a02.png", "A10.png", "a1b3.png", "a1b20.png", "10.png", "9.png", "²3.png", "٣.png"]
    assert sorted(names, key=natural)[:3] == ["٣.png", "9.png", "10.png"]
    counted = sorted(("a1b20", "a2", "a10", "a", "a1b3"), key=natural)
    assert counted == ["a", "a1b3", "a1b20", "a2", "a10"]


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".bmp", ".gif", ".tiff", ".ppm", ".JPG"])
def test_every_usual_format_is_read(suffix: str, tmp_path: Path) -> None:
    frames, _ = watched(folder_of(tmp_path / "images", 3, suffix))
    assert said(frames) == [(0.0, 0), (1.0, 1), (2.0, 2)]
    assert all(f.pixels.shape == (6, 8, 3) and f.pixels.dtype == np.uint8 for f in frames)


def test_the_rates_of_images_and_of_the_stream_are_apart(tmp_path: Path) -> None:
    images = folder_of(tmp_path / "images", 8)
    assert said(watched(images, fps=1, image_fps=4)[0]) == [(0.0, 0), (1.0, 4)]
    assert said(watched(images, fps=2, image_fps=1)[0])[:4] == [(0.0, 0), (0.5, 0), (1.0, 1), (1.5, 1)]
    assert len(watched(images, fps=2, image_fps=1)[0]) == 16


def test_start_and_end_cut_a_stretch(tmp_path: Path) -> None:
    images = folder_of(tmp_path / "images", 8)
    with ImageFolder(images, fps=1, start_s=2.5, end_s=5.5) as source:
        assert source.duration_s == 3.0
        assert said(list(source)) == [(0.0, 2), (1.0, 3), (2.0, 4)]


def test_mixed_sizes_keep_their_own(tmp_path: Path) -> None:
    grey(0, (5, 7)).save(tmp_path / "1.png")
    grey(0, (301, 2)).save(tmp_path / "2.png")
    assert [f.pixels.shape for f in watched(tmp_path)[0]] == [(7, 5, 3), (2, 301, 3)]


def test_an_unreadable_image_is_dropped_by_name_and_the_rest_goes_on(tmp_path: Path) -> None:
    images = folder_of(tmp_path / "images", 6)
    (images / "img0.png").write_bytes(b"")
    (images / "img2.png").write_bytes(b"no image")
    (images / "img4.png").write_bytes((images / "img3.png").read_bytes()[:50])
    frames, events = watched(images, fps=2)
    assert said(frames) == [(t, int(t)) for t in (1.0, 1.5, 3.0, 3.5, 5.0, 5.5)]
    assert all(isinstance(e, Dropped) and e.frames == 1 for e in events) and len(events) == 3
    assert [e.reason.split()[:2] for e in events] == [["unreadable:", f"img{n}.png"] for n in (0, 2, 4)]


def test_one_image_that_breaks_the_decoder_in_any_way_never_breaks_the_stream(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    kinds = {"png": {}, "jpeg": {}, "gif": {}, "tiff": {"compression": "tiff_lzw"}, "webp": {}, "bmp": {}}
    picture = Image.fromarray(rng.integers(0, 256, (40, 40, 3), dtype=np.uint8))
    grey(100).save(tmp_path / "0.png")
    for n in range(60):
        kind = list(kinds)[n % len(kinds)]
        buffer = io.BytesIO()
        picture.save(buffer, kind, **kinds[kind])
        data = bytearray(buffer.getvalue())
        for _ in range(rng.integers(1, 30)):
            data[rng.integers(0, min(len(data), 400))] = rng.integers(256)
        (tmp_path / f"{n + 1}.{kind}").write_bytes(data[: rng.integers(1, len(data))] if n % 3 == 0 else data)
    frames, events = watched(tmp_path)
    assert len(frames) + sum(e.frames for e in events if isinstance(e, Dropped)) == 61
    assert not [e for e in events if isinstance(e, Dropped) and "\n" in e.reason]


def test_what_is_no_image_is_left_out_and_told(tmp_path: Path) -> None:
    folder_of(tmp_path, 2)
    for name in ("a.txt", "b.csv", "c.pdf", "d.py"):
        (tmp_path / name).write_text("x", encoding="utf-8")
    (tmp_path / ".hidden").write_text("x", encoding="utf-8")
    frames, events = watched(tmp_path)
    assert len(frames) == 2
    assert [type(e) for e in events] == [Notice] and "a.txt, b.csv, c.pdf and 1 more" in events[0].text


def test_exif_rotation_is_honoured(tmp_path: Path) -> None:
    image = Image.new("RGB", (40, 20), "white")
    image.paste((255, 0, 0), (0, 0, 20, 20))  # red on the left
    exif = image.getexif()
    exif[0x0112] = 6  # shown after a quarter turn clockwise
    image.save(tmp_path / "turned.png", exif=exif)
    pixels = read_image(tmp_path / "turned.png")
    assert pixels.shape == (40, 20, 3)
    assert pixels[5, 10].tolist() == [255, 0, 0] and pixels[35, 10].tolist() == [255, 255, 255]


def test_what_is_transparent_lies_on_white(tmp_path: Path) -> None:
    image = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    image.putpixel((0, 0), (200, 0, 0, 255))
    image.putpixel((1, 0), (0, 0, 0, 128))
    image.save(tmp_path / "rgba.png")
    image.convert("LA").save(tmp_path / "la.png")
    pixels = read_image(tmp_path / "rgba.png")
    assert pixels[3, 3].tolist() == [255, 255, 255] and pixels[0, 0].tolist() == [200, 0, 0]
    assert pixels[0, 1].tolist() == [127, 127, 127]
    assert read_image(tmp_path / "la.png")[3, 3].tolist() == [255, 255, 255]


def test_grey_bits_palettes_cmyk_and_16_bit_become_8_bit_rgb(tmp_path: Path) -> None:
    deep = np.array([[0, 257 * 100, 65535]], np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    assert read_image(tmp_path / "deep.png")[0, :, 1].tolist() == [0, 100, 255]
    Image.fromarray(np.array([[0, 100, 255]], np.uint8)).save(tmp_path / "grey.png")
    assert read_image(tmp_path / "grey.png")[0].tolist() == [[0] * 3, [100] * 3, [255] * 3]
    Image.new("1", (2, 2), 1).save(tmp_path / "bits.png")
    assert read_image(tmp_path / "bits.png")[0, 0].tolist() == [255, 255, 255]
    grey(200).convert("P").save(tmp_path / "palette.png")
    assert abs(int(read_image(tmp_path / "palette.png")[0, 0, 0]) - 200) < 26
    Image.new("CMYK", (4, 4), (0, 0, 0, 0)).save(tmp_path / "ink.tiff")
    assert read_image(tmp_path / "ink.tiff")[0, 0].tolist() == [255, 255, 255]


def bomb(path: Path, side: int) -> Path:
    """A PNG of a few bytes that claims to be side x side pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b""))
    return path


@pytest.mark.parametrize("side", [9_460, 12_000, 60_000])
def test_a_decompression_bomb_is_refused_in_one_line(side: int, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"bomb.png \(more than 89 million pixels; scale it down\)"):
        read_image(bomb(tmp_path / "bomb.png", side))
    grey(0).save(tmp_path / "good.png")
    frames, events = watched(tmp_path)
    assert len(frames) == 1 and [type(e) for e in events] == [Dropped]


def test_floating_point_pixels_are_refused_by_name(tmp_path: Path) -> None:
    Image.fromarray(np.ones((3, 3), np.float32)).save(tmp_path / "depth.tiff")
    with pytest.raises(BadInput, match=r"depth.tiff \(floating-point"):
        read_image(tmp_path / "depth.tiff")


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("absent", "No such file"),
        ("a_file", "Not a directory"),
        ("empty", "the folder is empty"),
        ("no_images", "no images in it, only clip.mp4"),
        ("none_readable", "none of its 2 images can be read, beginning with 1.png"),
        ("nul\0byte", "null byte"),
    ],
)
def test_a_folder_without_images_is_refused_in_one_clear_line(kind: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / kind
    if kind == "a_file":
        path.write_bytes(b"x")
    elif kind in {"empty", "no_images", "none_readable"}:
        path.mkdir()
    if kind == "no_images":
        (path / "clip.mp4").write_bytes(b"x")
    if kind == "none_readable":
        (path / "1.png").write_bytes(b"x")
        (path / "2.jpg").mkdir()
    with pytest.raises(BadInput) as caught:
        ImageFolder(path)
    text = str(caught.value)
    assert says in text and repr(str(path))[1:-1] in text and "expected" in text and "type: " in text
    assert "\n" not in text and "Errno" not in text


SENSELESS = [
    {"fps": 0},
    {"fps": math.nan},
    {"image_fps": 0},
    {"image_fps": "x"},
    {"start_s": 3},
    {"start_s": 1, "end_s": 1},
]


@pytest.mark.parametrize("settings", SENSELESS)
def test_numbers_that_make_no_sense_are_wrong_use(settings: dict[str, float], tmp_path: Path) -> None:
    with pytest.raises(WrongUse, match=f"^{list(settings)[-1].removesuffix('_s')} is"):
        ImageFolder(folder_of(tmp_path, 3), **settings)


def test_an_early_stop_closes_and_closing_twice_is_fine(tmp_path: Path) -> None:
    with ImageFolder(folder_of(tmp_path, 3)) as source:
        next(source)
    source.close()
    assert list(source) == []


def test_an_image_that_vanishes_meanwhile_is_dropped(tmp_path: Path) -> None:
    with ImageFolder(folder_of(tmp_path, 3)) as source:
        next(source)
        os.remove(tmp_path / "img1.png")
        assert said(list(source)) == [(2.0, 2)]
        assert [type(e) for e in source.events()] == [Dropped]
