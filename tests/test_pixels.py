"""Promises of pictures going in: the numbers of the library's processors, from a checkpoint's own files. No model.

The torchvision-backed processors are held to by a small file of what they made (golden/make_pixels.py, run by hand);
those that stand on Pillow are run here. Their resize differs by up to 2 grey levels, theirs from each other's too.
"""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil, smart_resize

from streambridge.backbones import eyes as eyes_file
from streambridge.backbones import pixels as pixels_file
from streambridge.backbones.eyes import FAMILIES, Eyes, read_eyes
from streambridge.backbones.pixels import edge_size, fit_grid, resize, smart_size, stretch
from streambridge.backbones.tiny import EMBEDDED, Tiny
from streambridge.errors import BadInput, UnknownName, WrongUse
from streambridge.types import Frame

MADE = np.load(Path(__file__).parent / "golden" / "pixels.npz")
CASES = json.loads(str(MADE["cases"]))
GREY = 1 / 255  # one grey level, before it is divided by the deviation

HALF = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}
QWEN = {"min_pixels": 3136, "max_pixels": 12845056, "patch_size": 14, "merge_size": 2, "temporal_patch_size": 2, **HALF}
LLAVA = {"size": {"height": 384, "width": 384}, "resample": 3, **HALF}
SMOL = {"size": {"longest_edge": 2048}, "max_image_size": {"longest_edge": 512}, "resample": 1, **HALF}
FILES = {"qwen2_vl": QWEN, "llava_onevision": LLAVA, "smolvlm": SMOL}


def picture(kind, height, width):
    """uint8 [H, W, 3] by whole numbers alone; the same lines as in golden/make_pixels.py."""
    y, x, c = np.mgrid[0:height, 0:width, 0:3].astype(np.int64)
    if kind == "gradient":
        value = np.choose(c, [255 * x // (width - 1), 255 * y // (height - 1), 255 * (x + y) // (width + height - 2)])
    elif kind == "noise":
        mixed = ((y * 7919 + x) * 3 + c) * 2654435761 % 2**32
        value = (mixed ^ (mixed >> 15)) * 1274126177 % 2**32 >> 24
    elif kind == "checks":
        value = 255 * ((x // 5 + y // 7 + c) % 2)
    else:
        value = np.where(((3 * x + y * y // 16) % 23 < 2) | (y % 17 < 2) & (x % 31 > 6), 20 * c, 235 + 5 * c)
    return value.astype(np.uint8)


def config_of(family, settings):
    """config.json of a tower that fits these settings."""
    if FAMILIES[family] == "qwen":
        return {"model_type": family, "vision_config": {"patch_size": settings.get("patch_size", 14)}}
    side = settings["size"]["height"] if family == "llava_onevision" else settings["max_image_size"]["longest_edge"]
    if family == "llava_onevision":
        tower = {"model_type": "siglip_vision_model", "image_size": side, "patch_size": 14}
        return {"model_type": family, "vision_config": tower}
    patch, scale = (16, 4) if side == 512 else (14, 3)
    return {"model_type": family, "vision_config": {"image_size": side, "patch_size": patch}, "scale_factor": scale}


def checkpoint(folder, family, settings, name="preprocessor_config.json"):
    """A folder with the two files that tell how pictures go in."""
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config_of(family, settings)))
    (folder / name).write_text(json.dumps(settings))
    return folder


def expect_lanczos(settings):
    """Skip what an older torch cannot do; there, bicubic is promised instead (see below)."""
    if settings.get("resample") == 1 and not pixels_file._LANCZOS:
        pytest.skip("this torch has no Lanczos")


def seen_in(case, folder):
    """Our numbers for a golden case, and its grid: lone frames, or pairs where the reference is a video of Qwen's."""
    expect_lanczos(case["settings"])
    eyes = read_eyes(checkpoint(folder, case["family"], case["settings"]), case["family"])
    frames = [picture(*one) for one in case["pictures"]]
    if eyes.rule != "qwen":
        return torch.stack([eyes.patches(frame, *eyes.grid(*frame.shape[:2])) for frame in frames], 1), None
    if case["processor"] == "Qwen3VLVideoProcessor":  # its budget is of all frames together
        eyes = replace(eyes, min_pixels=eyes.min_pixels // len(frames), max_pixels=eyes.max_pixels // len(frames))
    rows, cols = eyes.grid(*frames[0].shape[:2])
    each = [eyes.patches(frame, rows, cols) for frame in frames]
    slices = [eyes.pair(*two) if len(two) == 2 else two[0] for two in (each[i : i + 2] for i in range(0, len(each), 2))]
    return torch.cat(slices), [len(slices), rows * eyes.merge, cols * eyes.merge]


def worst(case, ours):
    """The largest difference in the sample."""
    at = np.arange(len(MADE["values0"])) * 2654435761 % ours.numel()
    return float(np.abs(ours.numpy().reshape(-1)[at] - MADE[f"values{case['number']}"]).max())


# ---------------------------------------------------------------------------------------------- golden arrays


@pytest.mark.parametrize("name", CASES)
def test_pictures_go_in_as_the_torchvision_backed_processors_put_them(name, tmp_path):
    case = CASES[name]
    assert [int(picture(*one).astype(np.int64).sum()) for one in case["pictures"]] == case["drawn"]
    ours, grid = seen_in(case, tmp_path)
    assert ours.dtype == torch.float32 and list(ours.squeeze().shape) == [side for side in case["shape"] if side != 1]
    assert grid is None or grid == case["grid"]
    assert worst(case, ours) <= 1e-6
    assert abs(float(ours.double().sum()) - case["sum"]) <= 1e-6 * ours.numel()
    assert abs(float(ours.double().square().sum()) - case["squares"]) <= 4e-6 * ours.numel()


def test_the_golden_arrays_cover_every_family_and_every_rule_of_time():
    assert {case["family"] for case in CASES.values()} == set(FAMILIES)
    assert {len(case["pictures"]) for case in CASES.values()} == {1, 2, 3}


@pytest.mark.parametrize("name", CASES)
def test_the_way_of_other_devices_is_within_two_grey_levels_a_resize(name, tmp_path, monkeypatch):
    """Also where bright and dark alternate: floats not cut off after each side would be 22 levels away."""
    case = CASES[name]

    def in_floats(batch, height, width, how):
        return stretch(batch, height, width, how, whole=False)

    exact, _ = seen_in(case, tmp_path)
    monkeypatch.setattr(eyes_file, "stretch", in_floats)
    ours, grid = seen_in(case, tmp_path)
    assert grid is None or grid == case["grid"]
    levels = (2 if case["family"] == "smolvlm" else 1) * 2.001
    assert float((ours - exact).abs().max()) <= levels * GREY / min(case["settings"]["image_std"])
    assert float(((ours - exact).abs() > 1e-4).double().mean()) < 0.05  # and most are the same
    assert torch.equal(ours, exact) == ("no resize" in name)


@pytest.mark.gpu
def test_a_frame_goes_in_on_a_gpu_within_two_grey_levels_of_the_cpu():
    for eyes in (
        Eyes("qwen", 14, 2, (0.5,) * 3, (0.5,) * 3, temporal=2),
        Eyes("edge", 16, 4, **square(512), edge=2048),
    ):
        there = eyes.patches(picture("noise", 240, 320), 8, 8, "cuda")
        assert there.device.type == "cuda"
        torch.testing.assert_close(
            there.cpu(), eyes.patches(picture("noise", 240, 320), 8, 8), atol=4.001 * GREY, rtol=0
        )


# ---------------------------------------------------------------------------------------------- Pillow's processors


def square(side):
    return {"mean": (0.5,) * 3, "std": (0.5,) * 3, "how": "lanczos", "size": (side, side)}


PILLOWS = {  # family: its processor on Pillow, and the whole picture in its result
    "qwen2_vl": ("Qwen2VLImageProcessorPil", lambda out: out["pixel_values"]),
    "llava_onevision": (
        "LlavaOnevisionImageProcessorPil",
        lambda out: out["pixel_values"][0, :1],
    ),  # the rest are tiles
    "smolvlm": ("SmolVLMImageProcessorPil", lambda out: out["pixel_values"][0]),
}


def on_pillow(family):
    """The class; an older library has none for SmolVLM that loads without torchvision."""
    module = f"transformers.models.{family}.image_processing_pil_{family}"
    return getattr(pytest.importorskip(module, exc_type=ImportError), PILLOWS[family][0])


def pillows(family, drawn):
    """What the processor on Pillow makes of a whole picture, and its grid where it tells one."""
    expect_lanczos(FILES[family])
    more = {"do_image_splitting": False} if family == "smolvlm" else {}
    made = on_pillow(family)(**json.loads(json.dumps(FILES[family])), **more)
    out = made([picture(*drawn)], return_tensors="pt")
    return PILLOWS[family][1](out), out.get("image_grid_thw")


@pytest.mark.parametrize("family", PILLOWS)
@pytest.mark.parametrize(
    "drawn", [("gradient", 240, 320), ("noise", 131, 97), ("checks", 48, 64), ("strokes", 360, 640), ("noise", 84, 112)]
)
def test_pictures_go_in_within_two_grey_levels_of_pillows_processors(family, drawn, tmp_path):
    eyes = read_eyes(checkpoint(tmp_path, family, FILES[family]), family)
    theirs, grid = pillows(family, drawn)
    rows, cols = eyes.grid(*drawn[1:])
    assert grid is None or grid.tolist() == [[1, rows * 2, cols * 2]]
    ours = eyes.patches(picture(*drawn), rows, cols)
    torch.testing.assert_close(ours, theirs, atol=2.001 * GREY / 0.5, rtol=0)


@pytest.mark.parametrize("drawn", [("noise", 97, 131), ("checks", 64, 48)])
def test_pillow_may_resize_the_height_first_and_only_then_differs_more(drawn, tmp_path):
    """Where the height shrinks and the width grows, Pillow 13 saves work so: up to 18 grey levels off torchvision."""
    eyes = read_eyes(checkpoint(tmp_path, "qwen2_vl", QWEN), "qwen2_vl")
    theirs, _ = pillows("qwen2_vl", drawn)
    rows, cols = eyes.grid(*drawn[1:])
    batch = torch.from_numpy(picture(*drawn)).permute(2, 0, 1)[None]
    height_first = stretch(batch, rows * 28, drawn[2])[0].permute(1, 2, 0)
    off = [float((eyes.patches(one, rows, cols) - theirs).abs().max()) for one in (picture(*drawn), height_first)]
    assert min(off) <= 2.001 * GREY / 0.5


# ---------------------------------------------------------------------------------------------- sizes


def sizes(count, seed=0):
    """Sizes from thumbnails to 4K, of all shapes."""
    rng = np.random.default_rng(seed)
    return [(int(high), int(wide)) for high, wide in np.exp(rng.uniform(0, np.log(4000), (count, 2)))]


@pytest.mark.parametrize(
    ("factor", "least", "most"),
    [(28, 3136, 12845056), (28, 100352, 602112), (32, 65536, 16777216), (28, 784, 36 * 784)],
)
def test_smart_sizes_are_the_librarys(factor, least, most):
    refused = 0
    for height, width in sizes(2000):
        try:
            theirs = smart_resize(height, width, factor, least, most)
        except ValueError:
            refused += 1
            with pytest.raises(BadInput, match=f"{width}x{height} is too long"):
                smart_size(height, width, factor, least, most)
        else:
            assert smart_size(height, width, factor, least, most) == theirs
    assert 0 < refused < 500


def test_halves_round_to_even_as_the_models_were_trained():
    assert smart_size(70, 98, 28, 1, 10**9) == (56, 112)  # 2.5 and 3.5 tokens


def test_the_longest_aspect_is_two_hundred():
    assert smart_size(20, 4000, 28, 784, 10**9) == (28, 4004) == smart_size(4000, 20, 28, 784, 10**9)[::-1]
    for size in ((20, 4001), (4001, 20)):
        with pytest.raises(BadInput, match="too long"):
            smart_size(*size, 28, 784, 10**9)


def test_a_fitted_grid_keeps_most_detail_of_all_grids_that_fit():
    for (height, width), tokens in zip(sizes(300, seed=1), [1, 2, 3, 7, 16, 36, 64, 100] * 40, strict=False):
        rows, cols = fit_grid(height, width, tokens)
        assert rows >= 1 and cols >= 1 and rows * cols <= tokens
        kept = min(rows * width, cols * height)
        for high in range(1, tokens + 1):
            for wide in range(1, tokens // high + 1):
                assert min(high * width, wide * height) <= kept
                if min(high * width, wide * height) == kept:  # no more stretched than any other that keeps as much
                    assert max(rows * width, cols * height) <= max(high * width, wide * height)


@pytest.mark.parametrize(
    ("size", "tokens", "grid"),
    [
        ((720, 1280), 64, (6, 10)),
        ((720, 1280), 36, (4, 8)),
        ((1280, 720), 64, (10, 6)),
        ((480, 640), 64, (7, 9)),
        ((480, 480), 36, (6, 6)),
        ((360, 640), 1, (1, 1)),
        ((100, 20000), 64, (1, 64)),
    ],
)
def test_a_frame_is_fitted_to_the_tokens_that_are_asked_for(size, tokens, grid):
    eyes = Eyes("qwen", 14, 2, (0.5,) * 3, (0.5,) * 3, temporal=2, min_pixels=3136, max_pixels=12845056)
    assert eyes.grid(*size, tokens) == grid


def test_a_frame_that_needs_fewer_tokens_than_asked_for_stays_as_it_is():
    eyes = Eyes("qwen", 14, 2, (0.5,) * 3, (0.5,) * 3, temporal=2, min_pixels=3136, max_pixels=12845056)
    assert eyes.grid(56, 84, 64) == eyes.grid(56, 84) == (2, 3)
    assert eyes.grid(240, 320, 99) == (9, 11) and eyes.grid(240, 320, 98) != (9, 11)


def test_the_longer_edge_is_met_and_the_shorter_one_is_even():
    assert edge_size(360, 640, 2048) == (1152, 2048)
    assert edge_size(640, 360, 2048) == (2048, 1152)
    assert edge_size(97, 131, 512) == (380, 512)  # 379.1 -> 379 -> 380
    assert edge_size(131, 97, 512) == (512, 380)
    assert edge_size(1, 500, 128) == (1, 128)


def test_towers_of_a_fixed_size_have_one_grid(tmp_path):
    llava = read_eyes(checkpoint(tmp_path / "llava", "llava_onevision", LLAVA), "llava_onevision")
    smol = read_eyes(checkpoint(tmp_path / "smol", "smolvlm", SMOL), "smolvlm")
    for size in ((1, 1), (64, 48), (1080, 1920), (5, 5000)):
        assert llava.grid(*size) == (14, 14) == llava.grid(*size, 196)  # 27 patches a side, pooled by 2
        assert smol.grid(*size) == (8, 8) == smol.grid(*size, 1000)
    assert llava.patches(picture("noise", 64, 48), 14, 14).shape == (1, 3, 384, 384)
    assert smol.patches(picture("noise", 64, 48), 8, 8).shape == (1, 3, 512, 512)


@pytest.mark.parametrize("tokens", [0, -1, 195])
def test_tokens_that_no_frame_can_have_are_refused_in_one_line(tokens, tmp_path):
    eyes = read_eyes(checkpoint(tmp_path, "llava_onevision", LLAVA), "llava_onevision")
    with pytest.raises(WrongUse, match=rf"^[^\n]*got {tokens};[^\n]*--tokens-per-frame[^\n]*$"):
        eyes.grid(240, 320, tokens)


def test_a_grid_that_a_fixed_tower_does_not_have_is_refused():
    with pytest.raises(WrongUse, match=r"\(8, 8\) tokens; got \(4, 8\)"):
        Eyes("edge", 16, 4, **square(512), edge=2048).patches(picture("noise", 64, 48), 4, 8)


# ---------------------------------------------------------------------------------------------- frames


def test_two_frames_pair_up_half_and_half():
    eyes = Eyes("qwen", 14, 2, (0.5,) * 3, (0.5,) * 3, temporal=2)
    first, second = (eyes.patches(picture(kind, 56, 84), 2, 3) for kind in ("noise", "strokes"))
    pair = eyes.pair(first, second).view(-1, 3, 2, 196)
    assert torch.equal(pair[:, :, 0], first.view(-1, 3, 2, 196)[:, :, 1])  # a lone frame stands in both halves
    assert torch.equal(pair[:, :, 1], second.view(-1, 3, 2, 196)[:, :, 0])
    assert torch.equal(eyes.pair(first, first), first)


def test_frames_that_cannot_pair_up_are_refused():
    eyes = Eyes("qwen", 14, 2, (0.5,) * 3, (0.5,) * 3, temporal=2)
    small, large = (eyes.patches(picture("noise", 56, 84), *grid) for grid in ((1, 2), (2, 3)))
    with pytest.raises(WrongUse, match="8 and 24 patches"):
        eyes.pair(small, large)
    for alone in (replace(eyes, temporal=1), Eyes("square", 14, 2, **square(384))):
        with pytest.raises(WrongUse, match="each alone"):
            alone.pair(small, small)


@pytest.mark.parametrize("size", [(1, 1), (1, 199), (3, 500), (56, 84), (55, 85), (720, 1280)])
def test_frames_of_any_shape_go_in_on_a_standing_grid(size):
    eyes = Eyes("qwen", 14, 2, (0.5,) * 3, (0.5,) * 3, temporal=2)
    ours = eyes.patches(picture("noise", *size), 2, 3)
    assert ours.shape == (24, 1176) and ours.abs().max() <= 1


def test_views_tensors_and_arrays_of_one_picture_are_the_same_picture():
    eyes = Eyes("edge", 16, 4, **square(64), edge=128)
    pixels = picture("noise", 97, 131)
    mirrored = pixels[::-1, ::-1]
    locked = mirrored.copy()
    locked.setflags(write=False)
    expected = eyes.patches(mirrored.copy(), 1, 1)
    for same in (mirrored, locked, torch.from_numpy(mirrored.copy())):
        assert torch.equal(eyes.patches(same, 1, 1), expected)


def test_no_grey_frame_is_all_zeros_to_a_tower_that_drops_zeros():
    """SmolVLM's feature call takes a picture of zeros for padding; no grey level of half and half is zero."""
    eyes = Eyes("edge", 16, 4, **square(64), edge=128)
    for level in range(256):
        assert eyes.patches(np.full((8, 8, 3), level, np.uint8), 1, 1).abs().min() > 1e-3


def test_without_lanczos_in_torch_the_resize_is_bicubic_as_the_librarys(monkeypatch):
    batch = torch.from_numpy(picture("strokes", 97, 131)).permute(2, 0, 1)[None]
    sharp, cubic = stretch(batch, 64, 64, "lanczos"), stretch(batch, 64, 64, "bicubic")
    assert torch.equal(sharp, cubic) == (not pixels_file._LANCZOS)
    assert torch.equal(cubic, resize(picture("strokes", 97, 131), 64, 64))
    monkeypatch.setattr(pixels_file, "_LANCZOS", False)
    assert torch.equal(stretch(batch, 64, 64, "lanczos"), cubic)


# ---------------------------------------------------------------------------------------------- a checkpoint's files


def test_the_files_of_each_family_say_how_pictures_go_in(tmp_path):
    mean = std = (0.5, 0.5, 0.5)
    qwen = read_eyes(checkpoint(tmp_path / "qwen", "qwen2_vl", QWEN), "qwen2_vl")
    assert qwen == Eyes("qwen", 14, 2, mean, std, "bicubic", 2, 3136, 12845056)
    llava = read_eyes(checkpoint(tmp_path / "llava", "llava_onevision", LLAVA), "llava_onevision")
    assert llava == Eyes("square", 14, 2, mean, std, "bicubic", size=(384, 384))
    smol = read_eyes(checkpoint(tmp_path / "smol", "smolvlm", SMOL), "smolvlm")
    assert smol == Eyes("edge", 16, 4, mean, std, "lanczos", size=(512, 512), edge=2048)


@pytest.mark.parametrize("family", FILES)
def test_a_file_that_names_no_filter_means_the_librarys_own(family, tmp_path):
    settings = {key: value for key, value in FILES[family].items() if key != "resample"}
    eyes = read_eyes(checkpoint(tmp_path, family, settings), family)
    assert eyes.how == on_pillow(family).resample.name.lower()


AREAS = [
    {"min_pixels": 784, "max_pixels": 78400},
    {"size": {"shortest_edge": 784, "longest_edge": 78400}},
    {"size": {"min_pixels": 784, "max_pixels": 78400}},
    {"min_pixels": 784, "max_pixels": 78400, "size": {"shortest_edge": 1, "longest_edge": 2}},  # old keys win
    {"min_pixels": None, "max_pixels": 78400, "size": {"shortest_edge": 784, "longest_edge": 2}},
]


@pytest.mark.parametrize("areas", AREAS)
def test_old_and_new_keys_of_areas_are_read_as_the_library_reads_them(areas, tmp_path):
    settings = {**{key: value for key, value in QWEN.items() if "pixels" not in key}, **areas}
    eyes = read_eyes(checkpoint(tmp_path, "qwen2_vl", settings), "qwen2_vl")
    assert (eyes.min_pixels, eyes.max_pixels) == (784, 78400)
    if "min_pixels" not in areas.get("size", {}):  # a form that only older versions of the library wrote
        theirs = Qwen2VLImageProcessorPil(**json.loads(json.dumps(settings)))
        assert (theirs.size["shortest_edge"], theirs.size["longest_edge"]) == (784, 78400)


@pytest.mark.parametrize("family", PILLOWS)
def test_files_that_the_library_saves_are_read(family, tmp_path):
    checkpoint(tmp_path, family, FILES[family])
    before = read_eyes(tmp_path, family)
    on_pillow(family)(**json.loads(json.dumps(FILES[family]))).save_pretrained(tmp_path)
    assert (tmp_path / "preprocessor_config.json").read_text() != json.dumps(FILES[family])
    assert read_eyes(tmp_path, family) == before


def test_a_config_that_leaves_out_its_class_defaults_is_read(tmp_path):
    lone = {key: value for key, value in QWEN.items() if key not in ("patch_size", "merge_size", "temporal_patch_size")}
    checkpoint(tmp_path, "qwen2_vl", lone)
    (tmp_path / "config.json").write_text('{"model_type": "qwen2_vl"}')
    eyes = read_eyes(tmp_path, "qwen2_vl")
    assert (eyes.patch, eyes.merge, eyes.temporal) == (14, 2, 2)


@pytest.mark.parametrize("family", FILES)
def test_the_files_are_read_in_the_librarys_order(family, tmp_path):
    """A frame of Qwen's is a picture, a frame of the others' one of a video; a joint file comes before all."""
    own, other = ("image_processor", "video_processor")[:: 1 if family == "qwen2_vl" else -1]
    folder = checkpoint(tmp_path, family, FILES[family])

    def mean_after(name, told):
        (folder / name).write_text(json.dumps(told))
        return read_eyes(folder, family).mean[0]

    def settings(mean):
        return {**FILES[family], "image_mean": [mean] * 3}

    assert mean_after("preprocessor_config.json", settings(0.1)) == 0.1
    assert mean_after("processor_config.json", {"processor_class": "X", "image_seq_len": 64}) == 0.1  # as older ones
    assert mean_after("video_preprocessor_config.json", settings(0.2)) == (0.1 if family == "qwen2_vl" else 0.2)
    assert mean_after("processor_config.json", {own: settings(0.3), other: settings(0.4)}) == 0.3


def test_the_embedded_pair_reads_like_any_other_checkpoint():
    eyes, tiny = read_eyes(EMBEDDED, "qwen2_vl"), Tiny()
    assert eyes.size == tiny.size and eyes.grid(240, 320) == tiny.grid
    frame = Frame(picture("noise", 240, 320), 0.0)
    assert torch.equal(eyes.patches(frame.pixels, *tiny.grid), tiny._patches(frame.pixels)[0])


def test_an_unknown_family_is_told_with_those_there_are(tmp_path):
    with pytest.raises(UnknownName, match="no family of models called 'qwen2_vI'; did you mean 'qwen2_vl'"):
        read_eyes(tmp_path, "qwen2_vI")


@pytest.mark.parametrize("family", FILES)
@pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json"])
def test_a_file_that_is_missing_is_named(family, name, tmp_path):
    checkpoint(tmp_path, family, FILES[family])
    (tmp_path / name).unlink()
    with pytest.raises(BadInput, match=rf"^[^\n]*holds no [^\n]*{name}; expected[^\n]*$"):
        read_eyes(tmp_path, family)


NEEDED = {
    "qwen2_vl": ["min_pixels", "max_pixels", "image_mean", "image_std"],
    "llava_onevision": ["size", "image_mean", "image_std"],
    "smolvlm": ["size", "max_image_size", "image_mean", "image_std"],
}


@pytest.mark.parametrize(("family", "key"), [(family, key) for family, keys in NEEDED.items() for key in keys])
def test_a_key_that_is_missing_is_named_with_its_file(family, key, tmp_path):
    checkpoint(tmp_path, family, FILES[family])
    left = {name: value for name, value in FILES[family].items() if name != key}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(left))
    with pytest.raises(BadInput, match=rf"^[^\n]*preprocessor_config.json has no [^\n]*{key}[^\n]*$"):
        read_eyes(tmp_path, family)


GARBAGE = ["", "{", "[]", "null", '"text"', "7", "\x00", '{"size": }', "[" * 50]


@pytest.mark.parametrize("text", GARBAGE)
@pytest.mark.parametrize("name", ["preprocessor_config.json", "processor_config.json", "config.json"])
def test_a_file_that_is_no_object_is_told_in_one_line(name, text, tmp_path):
    checkpoint(tmp_path, "qwen2_vl", QWEN)
    (tmp_path / name).write_text(text)
    with pytest.raises(BadInput, match=rf"^[^\n]*{name}[^\n]*$"):
        read_eyes(tmp_path, "qwen2_vl")


@pytest.mark.parametrize("part", [[], "text", 7, False, [QWEN]])
def test_a_part_of_the_joint_file_that_is_no_object_is_told_in_one_line(part, tmp_path):
    checkpoint(tmp_path, "qwen2_vl", QWEN)
    (tmp_path / "processor_config.json").write_text(json.dumps({"image_processor": part}))
    with pytest.raises(BadInput, match=r"^[^\n]*processor_config.json \(image_processor\) is no JSON object[^\n]*$"):
        read_eyes(tmp_path, "qwen2_vl")


def test_a_file_that_is_no_text_is_told_in_one_line(tmp_path):
    checkpoint(tmp_path, "qwen2_vl", QWEN)
    (tmp_path / "preprocessor_config.json").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(BadInput, match=r"^[^\n]*preprocessor_config.json cannot be read[^\n]*$"):
        read_eyes(tmp_path, "qwen2_vl")


WRONG = [
    ("qwen2_vl", "min_pixels", -1),
    ("qwen2_vl", "min_pixels", 0),
    ("qwen2_vl", "min_pixels", True),
    ("qwen2_vl", "min_pixels", "3136"),
    ("qwen2_vl", "min_pixels", 3136.5),
    ("qwen2_vl", "min_pixels", [3136]),
    ("qwen2_vl", "min_pixels", 10**12),  # every frame would be made that large
    ("qwen2_vl", "max_pixels", 10**400),
    ("qwen2_vl", "max_pixels", {}),
    ("qwen2_vl", "patch_size", 16),  # the tower has 14
    ("qwen2_vl", "patch_size", 0),
    ("qwen2_vl", "merge_size", -2),
    ("qwen2_vl", "temporal_patch_size", "2"),
    ("qwen2_vl", "size", 384),
    ("qwen2_vl", "size", {"height": 84}),
    ("qwen2_vl", "size", {"height": 84, "width": 85}),
    ("qwen2_vl", "image_mean", [0.5, 0.5]),
    ("qwen2_vl", "image_mean", 0.5),
    ("qwen2_vl", "image_mean", "0.5"),
    ("qwen2_vl", "image_mean", [0.5, 0.5, None]),
    ("qwen2_vl", "image_mean", [0.5, 0.5, True]),
    ("qwen2_vl", "image_mean", [0.5, 0.5, float("nan")]),
    ("qwen2_vl", "image_mean", [0.5, 0.5, 10**400]),
    ("qwen2_vl", "image_std", [0.5, 0.5, 0.0]),
    ("qwen2_vl", "image_std", [0.5, 0.5, -0.5]),
    ("qwen2_vl", "image_std", [float("inf")] * 3),
    ("qwen2_vl", "resample", 0),
    ("qwen2_vl", "resample", "bicubic"),
    ("qwen2_vl", "do_resize", False),
    ("qwen2_vl", "do_normalize", False),
    ("qwen2_vl", "do_rescale", 1),
    ("qwen2_vl", "do_center_crop", True),
    ("qwen2_vl", "rescale_factor", 1.0),
    ("qwen2_vl", "rescale_factor", "1/255"),
    ("llava_onevision", "size", {"height": 384, "width": -384}),
    ("llava_onevision", "size", {"height": 384, "width": 336}),  # the tower takes 384 x 384
    ("llava_onevision", "size", {"shortest_edge": 384}),
    ("llava_onevision", "size", [384, 384]),
    ("smolvlm", "max_image_size", 512),
    ("smolvlm", "max_image_size", {"longest_edge": 384}),
    ("smolvlm", "max_image_size", {"longest_edge": 10**9}),
    ("smolvlm", "size", {"longest_edge": 0}),
    ("smolvlm", "size", {"height": 512, "width": 512}),
]


@pytest.mark.parametrize(("family", "key", "value"), WRONG, ids=[f"{f}-{k}-{v!s:.20}" for f, k, v in WRONG])
def test_a_value_that_is_no_such_thing_is_told_in_one_line(family, key, value, tmp_path):
    settings = {**FILES[family], key: value}
    if key == "size":
        settings = {name: told for name, told in settings.items() if "_pixels" not in name}
    checkpoint(tmp_path, family, FILES[family])
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(settings))
    with pytest.raises(BadInput, match=rf"^[^\n]*preprocessor_config.json[^\n]*(?:{key}|pictures are)[^\n]*$"):
        read_eyes(tmp_path, family)


def test_a_smallest_area_above_the_largest_is_refused(tmp_path):
    with pytest.raises(BadInput, match="smallest area, 5000 pixels, is above the largest, 4000"):
        read_eyes(checkpoint(tmp_path, "qwen2_vl", {**QWEN, "min_pixels": 5000, "max_pixels": 4000}), "qwen2_vl")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"scale_factor": 3}, "scale_factor is 3; expected a divisor of 32"),
        ({"scale_factor": 0}, "scale_factor"),
        ({"vision_config": {"image_size": 512, "patch_size": 0}}, "patch_size"),
        ({"vision_config": {"image_size": 512, "patch_size": 600}}, "patch_size"),
        ({"vision_config": {"image_size": 224, "patch_size": 16}}, "224x224"),
        ({"vision_config": "large"}, "config.json"),
        ({"model_type": "no such model"}, "config.json"),
    ],
)
def test_a_tower_that_cannot_take_the_pictures_is_told_in_one_line(change, told, tmp_path):
    checkpoint(tmp_path, "smolvlm", SMOL)
    (tmp_path / "config.json").write_text(json.dumps({**config_of("smolvlm", SMOL), **change}))
    with pytest.raises(BadInput, match=rf"^[^\n]*{told}[^\n]*$"):
        read_eyes(tmp_path, "smolvlm")


def test_a_folder_that_is_none_is_told_in_one_line(tmp_path):
    with pytest.raises(BadInput, match=r"^[^\n]*holds no [^\n]*$"):
        read_eyes(tmp_path / "nowhere", "qwen2_vl")
