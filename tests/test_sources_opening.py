"""Promises of SOURCE as it is typed: each kind opens, everything else gets one clear line."""

import subprocess
import sys
import types
from pathlib import Path

import pytest
from PIL import Image

import clips
from streambridge.errors import BadInput, UnknownName, WrongUse
from streambridge.sources import Source, open_source, opening
from streambridge.sources.opening import parsed


def test_a_path_to_a_file_opens_as_video(tmp_path: Path) -> None:
    path = clips.clip(tmp_path / "a.mp4", pictures=30)
    for spec in (path, str(path)):
        with open_source(spec, fps=2, start_s=1.0, end_s=None) as source:
            assert isinstance(source, Source)
            assert source.fps == 2.0 and source.name == str(path) and source.duration_s == pytest.approx(2.0)
            assert [clips.number(f.pixels) for f in source] == [10, 15, 20, 25]


def test_a_folder_opens_as_images(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "1.png")
    with open_source(str(tmp_path), image_fps=0.5) as source:
        assert isinstance(source, Source)
        assert [f.t for f in source] == [0.0, 1.0]


def test_a_world_is_opened_with_its_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    def world(seed: int, fps: float = 1.0, minutes: float = 1.0) -> object:
        return types.SimpleNamespace(seed=seed, fps=fps, minutes=minutes)

    monkeypatch.setattr(opening, "offer", lambda room, name: {("sources", "world"): world}[room, name])
    assert vars(open_source("world:7", fps=2, minutes=3, start_s=None)) == {"seed": 7, "fps": 2.0, "minutes": 3}
    assert open_source("World:-1").seed == -1
    with pytest.raises(WrongUse, match="a world source takes no image_fps; it takes: minutes"):
        open_source("world:7", image_fps=2)


@pytest.mark.parametrize(
    "spec", ["webcam:0", "webcam:", "screen:", "rtsp://x/y", "http://x/a.mp4", "https://x", "xyz://y"]
)
def test_kinds_of_later_versions_say_which_there_are(spec: str) -> None:
    with pytest.raises(WrongUse, match="expected a video file, a folder of images, or world:SEED") as caught:
        open_source(spec)
    assert repr(spec) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("spec", ["world:", "world:x", "world:1.5", "world: ", "", "  ", None, 3])
def test_what_names_no_source_is_wrong_use(spec: object) -> None:
    with pytest.raises(WrongUse, match="expected"):
        open_source(spec)


NAMES = ["nowhere.mp4", "./world:7", "C:\\clip.mp4", "a:b.mp4", "step 1: pour.mp4", "x" * 5000, "\0"]


@pytest.mark.parametrize("spec", NAMES)
def test_everything_else_is_a_file_name(spec: str) -> None:
    assert parsed(spec) == ("file", {"path": Path(spec)})
    with pytest.raises(BadInput, match="expected a video file"):
        open_source(spec)


@pytest.mark.parametrize("fps", [0, -2, float("nan"), float("inf"), 241, "many", None])
def test_a_rate_that_makes_no_sense_is_wrong_use(fps: object, tmp_path: Path) -> None:
    with pytest.raises(WrongUse, match="^fps is"):
        open_source(clips.clip(tmp_path / "a.mp4", pictures=2), fps=fps)


def test_a_setting_that_a_kind_does_not_know_is_named(tmp_path: Path) -> None:
    path = clips.clip(tmp_path / "a.mp4", pictures=2)
    with pytest.raises(WrongUse, match="a file source takes no image_fps, seed; it takes: start_s, end_s"):
        open_source(path, image_fps=2, seed=1)


def test_a_kind_without_a_file_of_its_own_is_an_unknown_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "parsed", lambda spec: ("tape", {}))
    with pytest.raises(UnknownName, match="tape"):
        open_source("tape:")


def test_importing_the_room_loads_neither_av_nor_pillow() -> None:
    line = "import sys, streambridge.sources; print({'av', 'PIL', 'torch', 'transformers'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
