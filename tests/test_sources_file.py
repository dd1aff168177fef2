"""Promises of video files as a source: the right picture at every tick, or one clear line."""

import gc
import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

import clips
from streambridge.errors import BadInput
from streambridge.sources.file import VideoFile
from streambridge.types import Dropped, Event, Failed, Frame, Notice

KINDS = {
    "a.mp4": {},
    "a.mov": {},
    "a.mkv": {},
    "a.ts": {},
    "a.avi": {},
    "a.webm": {"codec": "libvpx-vp9", "options": {"deadline": "realtime", "cpu-used": "8"}},
    "ten_bit.mkv": {"pix_fmt": "yuv420p10le"},
    "ten_bit_422.mkv": {"codec": "ffv1", "pix_fmt": "yuv422p10le", "options": {}},
    "odd.mkv": {"pix_fmt": "yuv444p", "size": (163, 33)},
    "lossless.mkv": {"codec": "ffv1", "pix_fmt": "bgr0", "options": {}},
    "b_frames.mp4": {"options": {"g": "50", "bf": "3"}},
    "sound.mp4": {"sound": True},
    "fragments.mp4": {"container_options": {"movflags": "frag_keyframe+empty_moov"}},
}


def watched(path: Path, fps: float = 1.0, **settings: float) -> tuple[list[Frame], list[Event]]:
    with VideoFile(path, fps, **settings) as source:
        return list(source), source.events()


def said(frames: list[Frame]) -> list[tuple[float, int]]:
    return [(frame.t, clips.number(frame.pixels)) for frame in frames]


@pytest.mark.parametrize("name", KINDS)
def test_every_container_and_codec_gives_the_right_picture_at_every_tick(name: str, tmp_path: Path) -> None:
    path = clips.clip(tmp_path / name, **KINDS[name])
    frames, events = watched(path, fps=2)
    assert said(frames) == [(k / 2, 5 * k) for k in range(20)]
    assert events == []
    width, height = KINDS[name].get("size", (clips.WIDTH, clips.HEIGHT))
    assert all(f.pixels.shape == (height, width, 3) and f.pixels.dtype == np.uint8 for f in frames)


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4", "a.ts"])
def test_a_rate_above_the_videos_repeats_pictures(name: str, tmp_path: Path) -> None:
    frames, _ = watched(clips.clip(tmp_path / name, pictures=5, rate=2), fps=4)
    assert said(frames) == [(k / 4, k // 2) for k in range(10)]


@pytest.mark.parametrize("name", ["vfr.mkv", "vfr.mp4"])
def test_variable_rate_and_a_late_first_picture_are_sampled_by_time(name: str, tmp_path: Path) -> None:
    pts = [700, 733, 800, 1700, 1710, 1720, 5700, 5900]  # ms; the stream begins with the first picture
    frames, events = watched(clips.clip(tmp_path / name, pts=pts), fps=1)
    assert said(frames) == [(0.0, 0), (1.0, 3), (2.0, 5), (3.0, 5), (4.0, 5), (5.0, 6)]
    assert not [e for e in events if isinstance(e, Failed | Dropped)]


def test_ntsc_rate_never_shows_a_picture_of_the_future(tmp_path: Path) -> None:
    rate = Fraction(30000, 1001)
    frames, _ = watched(clips.clip(tmp_path / "ntsc.mp4", pictures=300, rate=rate), fps=3)
    assert said(frames) == [(k / 3, int((k / 3 + 0.0005) * rate)) for k in range(31)]


@pytest.mark.parametrize(
    ("rotation", "flipped", "turned"),
    [
        (0, False, lambda a: a),
        (90, False, lambda a: np.rot90(a, 1)),
        (180, False, lambda a: np.rot90(a, 2)),
        (-90, False, lambda a: np.rot90(a, -1)),
        (0, True, lambda a: a[:, ::-1]),
    ],
)
def test_rotation_and_mirroring_are_honoured(rotation: int, flipped: bool, turned, tmp_path: Path) -> None:  # noqa: ANN001
    path = clips.clip(tmp_path / "turned.mp4", pictures=20, rotation=rotation, flipped=flipped)
    frames, _ = watched(path, fps=10)
    for n, frame in enumerate(frames):
        expected = turned(clips.numbered(n))
        assert frame.pixels.shape == expected.shape
        assert np.abs(frame.pixels.astype(int) - expected).mean() < 12


def test_colours_are_rgb_in_this_order(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "red.mkv"), "w") as out:
        stream = out.add_stream("ffv1", rate=1)
        stream.width, stream.height, stream.pix_fmt = 16, 16, "bgr0"
        pixels = np.full((16, 16, 3), (250, 20, 90), np.uint8)
        out.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        out.mux(stream.encode())
    frames, _ = watched(tmp_path / "red.mkv")
    assert frames[0].pixels[3, 3].tolist() == [250, 20, 90]


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts", "a.avi"])
@pytest.mark.parametrize("span", [(0.0, 3.0), (2.0, 4.0), (3.7, 5.0), (9.5, None), (0.05, 0.1), (4.0, 99.0)])
def test_start_and_end_cut_at_the_right_pictures(name: str, span: tuple[float, float | None], tmp_path: Path) -> None:
    start_s, end_s = span
    path = clips.clip(tmp_path / name, options={"g": "30", "bf": "2", "preset": "ultrafast"})
    with VideoFile(path, fps=5, start_s=start_s, end_s=end_s) as source:
        got, length = said(list(source)), source.duration_s
        events = source.events()
    end = min(end_s or 10.0, 10.0)
    ticks = [k / 5 for k in range(60) if start_s + k / 5 < end - 1e-6]
    assert got == [(t, int((start_s + t + 0.001) * 10)) for t in ticks]
    assert length == pytest.approx(end - start_s, abs=0.11) and events == []


def test_a_start_between_two_pictures_shows_the_one_on_screen(tmp_path: Path) -> None:
    path = clips.clip(tmp_path / "vfr.mkv", pts=[0, 4000, 8000, 8500])
    assert said(watched(path, fps=1, start_s=6.0)[0]) == [(0.0, 1), (1.0, 1), (2.0, 2)]


def test_a_bare_stream_without_times_is_counted_and_told(tmp_path: Path) -> None:
    path = clips.clip(tmp_path / "bare.h264", pictures=50, rate=25, options={"g": "10", "bf": "0"})
    frames, events = watched(path, fps=5)
    assert said(frames) == [(k / 5, 5 * k) for k in range(10)]
    assert [type(e) for e in events] == [Notice] and "no times" in events[0].text
    assert said(watched(path, fps=5, start_s=1.0)[0]) == [(k / 5, 25 + 5 * k) for k in range(5)]


# ---------------------------------------------------------------------------------------------- manners


def test_an_early_stop_closes_and_closing_twice_is_fine(tmp_path: Path) -> None:
    with VideoFile(clips.clip(tmp_path / "a.mp4"), fps=1) as source:
        assert clips.number(next(source).pixels) == 0
    source.close()
    assert list(source) == []
    unread = VideoFile(tmp_path / "a.mp4")
    unread.close()
    unread.close()
    assert list(unread) == []


def test_events_are_drained_once_and_never_behind_the_frame(tmp_path: Path) -> None:
    path = clips.damaged(clips.clip(tmp_path / "a.mp4", pictures=200), share=0.3)
    newest, found = 0.0, 0
    with VideoFile(path, fps=5) as source:
        for frame in source:
            newest = frame.t
            for event in source.events():
                found += 1
                assert event.t == newest
        assert all(event.t >= newest for event in source.events()) and source.events() == []
    assert found > 0


def test_many_files_opened_and_left_leave_no_descriptor_open(tmp_path: Path) -> None:
    path = clips.clip(tmp_path / "a.mp4")
    song = clips.song(tmp_path / "song.m4a")
    before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else None
    if before is None:
        pytest.skip("no /proc here")
    for _ in range(20):
        with VideoFile(path) as source:
            next(source)
        with pytest.raises(BadInput):
            VideoFile(song)
    assert len(os.listdir("/proc/self/fd")) <= before + 1


@pytest.mark.parametrize("rotation", [None, 90])
def test_decoded_pictures_never_pile_up_even_without_garbage_collection(rotation: float | None, tmp_path: Path) -> None:
    path = clips.clip(tmp_path / "a.mp4", rotation=rotation)
    gc.collect()
    gc.disable()
    try:
        before = pictures_held()
        with VideoFile(path, fps=2) as source:
            held = [pictures_held() - before for _ in source]
    finally:
        gc.enable()
    assert len(held) == 20 and max(held) <= 6 and held[-1] <= held[1]  # a handful, and always the same


def pictures_held() -> int:
    return sum(type(thing) is av.VideoFrame for thing in gc.get_objects())  # isinstance would ask strange objects
