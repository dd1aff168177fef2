"""Promises of files that break on the way or are no video: what was good is kept, and one clear line says the rest."""

import math
import os
import re
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

import clips
from clips import one_clear_line
from streambridge.errors import BadInput, WrongUse
from streambridge.sources.file import VideoFile
from streambridge.types import Dropped, Event, Failed, Frame

VP9 = {"codec": "libvpx-vp9", "options": {"deadline": "realtime", "cpu-used": "8"}}
KINDS = {"a.mp4": {}, "a.mkv": {}, "a.ts": {}, "a.avi": {}, "a.webm": VP9}


def watched(path: Path, fps: float = 1.0, **settings: float) -> tuple[list[Frame], list[Event]]:
    with VideoFile(path, fps, **settings) as source:
        return list(source), source.events()


def said(frames: list[Frame]) -> list[tuple[float, int]]:
    return [(frame.t, clips.number(frame.pixels)) for frame in frames]


# ---------------------------------------------------------------------------------------------- files that break


@pytest.mark.parametrize("name", ["a.mkv", "a.webm"])
def test_a_truncated_file_gives_its_good_frames_then_one_failed(name: str, tmp_path: Path) -> None:
    path = clips.cut(clips.clip(tmp_path / name, **KINDS[name]), 0.6)
    frames, events = watched(path, fps=2)
    assert 5 < len(frames) < 19 and said(frames) == [(k / 2, 5 * k) for k in range(len(frames))]
    failed = [e for e in events if isinstance(e, Failed)]
    assert len(failed) == 1 and "10.000 s" in failed[0].error and failed[0].what_next
    assert failed[0].t >= frames[-1].t


def test_a_truncated_mp4_with_its_index_in_front_gives_its_good_frames(tmp_path: Path) -> None:
    path = clips.clip(tmp_path / "a.mp4", container_options={"movflags": "+faststart"})
    frames, events = watched(clips.cut(path, 0.7), fps=2)
    assert 5 < len(frames) < 20 and said(frames) == [(k / 2, 5 * k) for k in range(len(frames))]
    assert [type(e) for e in events if not isinstance(e, Dropped)] == [Failed]


def test_corrupt_packets_are_skipped_counted_and_the_rest_is_right(tmp_path: Path) -> None:
    path = clips.clip(tmp_path / "a.avi", codec="mjpeg", pix_fmt="yuvj420p", options={})
    with av.open(str(path)) as file:
        places = [(p.pos, p.size) for p in file.demux(video=0) if p.size]
    data = bytearray(path.read_bytes())
    for pos, size in places[40:50]:
        data[pos : pos + size] = bytes(size)  # ten pictures in a row are nothing but zeros
    path.write_bytes(data)
    frames, events = watched(path, fps=10)
    dropped = [e for e in events if isinstance(e, Dropped)]
    assert sum(e.frames for e in dropped) == 10 and {e.reason for e in dropped} == {"corrupt"}
    assert said(frames) == [(k / 10, 39 if 40 <= k < 50 else k) for k in range(100)]


def test_what_was_lost_before_the_start_is_not_counted(tmp_path: Path) -> None:
    path = clips.damaged(clips.clip(tmp_path / "a.mp4"), share=0.3)
    assert any(isinstance(e, Dropped) for e in watched(path)[1])
    assert not [e for e in watched(path, start_s=9.5)[1] if isinstance(e, Dropped)]


class Instead:
    """Some thing of PyAV with a few answers exchanged."""

    def __init__(self, thing: object, **answers: object) -> None:
        self._thing = thing
        self.__dict__.update(answers)

    def __getattr__(self, name: str) -> object:
        return getattr(self._thing, name)

    def __iter__(self) -> Iterator[object]:
        return iter(self._thing)


def test_a_container_that_breaks_midway_keeps_what_came_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = clips.clip(tmp_path / "a.mkv", options={"g": "10", "bf": "0", "preset": "ultrafast"})
    container = av.open(str(path))

    def demux(stream: object) -> Iterator[object]:
        for n, packet in enumerate(container.demux(stream)):
            if n == 50:
                raise OSError(5, "Input/output error")
            yield packet

    monkeypatch.setattr("av.open", lambda *args, **kwargs: Instead(container, demux=demux))
    frames, events = watched(path, fps=2)
    assert said(frames) == [(k / 2, 5 * k) for k in range(len(frames))] and len(frames) >= 8
    assert [type(e) for e in events] == [Failed] and "Input/output error" in events[0].error
    assert "breaks at" in events[0].error and events[0].t >= frames[-1].t


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts", "a.avi", "a.webm"])
def test_damage_anywhere_ends_in_frames_and_events_or_one_line(name: str, tmp_path: Path) -> None:
    check_damage(name, tmp_path, range(6))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts", "a.avi", "a.webm"])
def test_damage_anywhere_ends_in_frames_and_events_or_one_line_in_full(name: str, tmp_path: Path) -> None:
    check_damage(name, tmp_path, range(120))


def check_damage(name: str, folder: Path, seeds: range) -> None:
    whole = clips.clip(folder / name, **KINDS[name]).read_bytes()
    for seed in seeds:
        rng = np.random.default_rng(seed)
        data = bytearray(whole)
        first, last = sorted(rng.integers(0, len(data), 2))
        for at in range(first, last):
            if rng.random() < 0.05:
                data[at] = rng.integers(256)
        path = folder / f"{seed}_{name}"
        path.write_bytes(data[: rng.integers(len(data) // 2, len(data) + 1)])
        try:
            frames, events = watched(path, fps=3)
        except BadInput as err:
            assert one_clear_line(err, path)
            continue
        times = [f.t for f in frames]
        assert times == sorted(set(times)) and (times or any(isinstance(e, Failed) for e in events))
        path.unlink()


# ---------------------------------------------------------------------------------------------- files that are none


def spoiled(kind: str, folder: Path) -> Path:
    path = folder / f"{kind}.mp4"
    if kind == "absent":
        return path
    if kind == "folder":
        path.mkdir()
    elif kind == "empty":
        path.touch()
    elif kind == "junk":
        path.write_bytes(np.random.default_rng(0).bytes(5000))
    elif kind == "text":
        path = folder / "notes.txt"
        path.write_text("pour the water\n" * 50, encoding="utf-8")
    elif kind == "audio_only":
        path = clips.song(folder / "song.m4a")
    elif kind == "no_index":
        path = clips.cut(clips.clip(path), 0.5)
    elif kind == "no_pictures":
        path = clips.cut(clips.clip(folder / "head.mkv"), 0.05)
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "nul_byte":
        path = folder / "a\0b.mp4"
    elif kind == "name_too_long":
        path = folder / ("x" * 3000 + ".mp4")
    return path


EXPECTED = {
    "absent": "no such file",
    "folder": "a folder",
    "empty": "empty",
    "junk": "cannot be read as video",
    "text": "video",
    "audio_only": "only audio",
    "no_index": "cut short",
    "no_pictures": "video",
    "pipe": "a pipe",
    "nul_byte": "null byte",
    "name_too_long": "too long",
}


@pytest.mark.parametrize("kind", EXPECTED)
def test_what_is_no_video_is_refused_in_one_clear_line(kind: str, tmp_path: Path) -> None:
    path = spoiled(kind, tmp_path)
    with pytest.raises(BadInput, match=re.escape(EXPECTED[kind])) as caught:
        VideoFile(path)
    assert one_clear_line(caught.value, repr(str(path))[1:-1])


def test_a_file_that_may_not_be_read_says_so(tmp_path: Path) -> None:
    path = clips.clip(tmp_path / "secret.mp4", pictures=2)
    path.chmod(0)
    me = os.geteuid()
    tmp_path.parent.parent.chmod(0o755), tmp_path.parent.chmod(0o755), tmp_path.chmod(0o755)
    if me == 0:
        os.seteuid(65534)  # root may read anything
    try:
        with pytest.raises(BadInput, match="Permission denied") as caught:
            VideoFile(path)
    finally:
        os.seteuid(me)
    assert one_clear_line(caught.value, path)


def test_a_slip_in_the_name_is_answered_with_the_nearest_one(tmp_path: Path) -> None:
    clips.clip(tmp_path / "cooking.mp4", pictures=2)
    with pytest.raises(BadInput, match="did you mean 'cooking.mp4'"):
        VideoFile(tmp_path / "coking.mp4")


def test_a_song_with_a_cover_is_no_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = clips.clip(tmp_path / "song.mp4", pictures=1, sound=True)
    assert len(watched(path)[0]) == 1
    real = av.open

    def with_cover(*args: object, **kwargs: object) -> Instead:
        container = real(*args, **kwargs)
        cover, sound = Instead(container.streams.video[0]), container.streams.audio[0]
        cover.disposition = av.stream.Disposition.attached_pic
        streams = Instead([cover, sound], video=[cover], best=lambda kind: cover)
        return Instead(container, streams=streams)

    monkeypatch.setattr("av.open", with_cover)
    with pytest.raises(BadInput, match="no video in it, only audio"):
        VideoFile(path)


def test_a_name_that_looks_like_a_protocol_is_only_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clips.clip(tmp_path / "plain.mp4", pictures=20).rename(tmp_path / "concat:x|y.mp4")
    monkeypatch.chdir(tmp_path)
    assert len(watched(Path("concat:x|y.mp4"))[0]) == 2


def test_a_playlist_reaches_for_nothing_but_files(tmp_path: Path) -> None:
    path = tmp_path / "list.m3u8"
    lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:5", "#EXTINF:5,", "http://127.0.0.1:9/a.ts", "#EXT-X-ENDLIST", ""]
    path.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(BadInput) as caught:
        VideoFile(path)
    assert one_clear_line(caught.value, path)


@pytest.mark.parametrize("fps", [0, -1, float("nan"), float("inf"), 1e9, "fast", None])
def test_a_rate_that_is_none_is_wrong_use(fps: object, tmp_path: Path) -> None:
    with pytest.raises(WrongUse, match="fps"):
        VideoFile(clips.clip(tmp_path / "a.mp4", pictures=2), fps)


@pytest.mark.parametrize(
    "span", [(-1, None), (math.nan, None), (3, 3), (3, 2), (0, 0), (0, math.inf), (10.0, None), (99, 100), ("a", 2)]
)
def test_a_stretch_outside_the_file_is_wrong_use(span: tuple[float, float | None], tmp_path: Path) -> None:
    with pytest.raises(WrongUse, match=r"^(start|end) is"):
        VideoFile(clips.clip(tmp_path / "a.mp4"), start_s=span[0], end_s=span[1])


def test_ffmpeg_writes_nothing_to_the_terminal(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = clips.clip(tmp_path / "a.mp4")
    capfd.readouterr()
    list(VideoFile(clips.damaged(path, share=0.5)))
    with pytest.raises(BadInput):
        VideoFile(spoiled("junk", tmp_path))
    assert capfd.readouterr() == ("", "")


def test_pictures_too_large_for_any_use_are_refused_before_they_are_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streambridge.sources.decoding.MOST_PIXELS", clips.WIDTH * clips.HEIGHT - 1)
    with pytest.raises(BadInput, match="160x32"):
        VideoFile(clips.clip(tmp_path / "a.mp4", pictures=2))
