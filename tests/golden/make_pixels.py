"""Make pixels.npz beside this file: what the library's torchvision-backed processors make of a few pictures.

Run by hand, never by a test, in an environment of its own (torchvision must not stand in the project's):

    python -m venv build/golden
    build/golden/bin/pip install torch==2.13.0 transformers==5.23.0 pillow
    build/golden/bin/pip install --no-deps torchvision==0.28.0
    build/golden/bin/python tests/golden/make_pixels.py

Of each result it keeps the grid, the shape, the sum and a sample. The test draws the same pictures by the same formula,
gives the same settings to our own code as files of a checkpoint, and compares.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch

_register_fake = torch.library.register_fake


def _skip_torchvisions(name, *rest, **named):
    """A torchvision built for CUDA finds none of its operators beside a CPU torch; these processors need none."""
    return (lambda fn: fn) if name.startswith("torchvision::") else _register_fake(name, *rest, **named)


torch.library.register_fake = _skip_torchvisions

import torchvision  # noqa: E402
import transformers  # noqa: E402
from transformers import (  # noqa: E402
    LlavaOnevisionVideoProcessor,
    Qwen2VLImageProcessor,
    Qwen2VLVideoProcessor,
    Qwen3VLVideoProcessor,
    SmolVLMImageProcessor,
    SmolVLMVideoProcessor,
)

SAMPLE = 2000
CLIP = {"image_mean": [0.48145466, 0.4578275, 0.40821073], "image_std": [0.26862954, 0.26130258, 0.27577711]}
HALF = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}
QWEN2 = {"patch_size": 14, "temporal_patch_size": 2, "merge_size": 2, **CLIP}
QWEN3 = {"patch_size": 16, "temporal_patch_size": 2, "merge_size": 2, **HALF}
SMOL = {"resample": 1, "do_image_splitting": True, "max_image_size": {"longest_edge": 512}, **HALF}
SAMPLING = {"video_sampling": {"fps": 1, "max_frames": 64, "video_size": {"longest_edge": 512}}}

# name: family, processor, the settings as a checkpoint's file holds them, pictures (kind, height, width)
CASES = {
    "qwen2 image, old keys": (
        "qwen2_vl",
        Qwen2VLImageProcessor,
        {"min_pixels": 3136, "max_pixels": 12845056, **QWEN2},
        [("strokes", 97, 131)],
    ),
    "qwen2 image, noise": (
        "qwen2_vl",
        Qwen2VLImageProcessor,
        {"min_pixels": 3136, "max_pixels": 12845056, **QWEN2},
        [("noise", 240, 320)],
    ),
    "qwen2 image, no resize needed": (
        "qwen2_vl",
        Qwen2VLImageProcessor,
        {"size": {"shortest_edge": 3136, "longest_edge": 12845056}, **QWEN2},
        [("noise", 84, 112)],
    ),
    "qwen2.5 image, made smaller": (
        "qwen2_5_vl",
        Qwen2VLImageProcessor,
        {"size": {"shortest_edge": 3136, "longest_edge": 64 * 784}, **QWEN2},
        [("strokes", 360, 640)],
    ),
    "qwen2.5 image, made larger": (
        "qwen2_5_vl",
        Qwen2VLImageProcessor,
        {"min_pixels": 100352, "max_pixels": 602112, **QWEN2},
        [("checks", 64, 48)],
    ),
    "qwen2 video, one frame": (
        "qwen2_vl",
        Qwen2VLVideoProcessor,
        {"size": {"shortest_edge": 100352, "longest_edge": 602112}, "cap_pixels_per_frame": False, **QWEN2},
        [("gradient", 240, 320)],
    ),
    "qwen2 video, two frames": (
        "qwen2_vl",
        Qwen2VLVideoProcessor,
        {"size": {"shortest_edge": 3136, "longest_edge": 36 * 784}, "cap_pixels_per_frame": True, **QWEN2},
        [("noise", 97, 131), ("strokes", 97, 131)],
    ),
    "qwen2 video, three frames": (
        "qwen2_vl",
        Qwen2VLVideoProcessor,
        {"size": {"shortest_edge": 3136, "longest_edge": 16 * 784}, "cap_pixels_per_frame": False, **QWEN2},
        [("noise", 120, 90), ("checks", 120, 90), ("gradient", 120, 90)],
    ),
    "qwen3 image": (
        "qwen3_vl",
        Qwen2VLImageProcessor,
        {"size": {"shortest_edge": 65536, "longest_edge": 16777216}, **QWEN3},
        [("noise", 240, 320)],
    ),
    "qwen3 image, made larger": (
        "qwen3_vl",
        Qwen2VLImageProcessor,
        {"size": {"shortest_edge": 65536, "longest_edge": 16777216}, **QWEN3},
        [("strokes", 97, 131)],
    ),
    "qwen3 video, two frames": (
        "qwen3_vl",
        Qwen3VLVideoProcessor,
        {"size": {"shortest_edge": 4096, "longest_edge": 2 * 64 * 1024}, "cap_pixels_per_frame": False, **QWEN3},
        [("strokes", 360, 640), ("noise", 360, 640)],
    ),
    "llava video, siglip": (
        "llava_onevision",
        LlavaOnevisionVideoProcessor,
        {"size": {"height": 384, "width": 384}, "resample": 3, **HALF},
        [("noise", 240, 320)],
    ),
    "llava video, clip": (
        "llava_onevision",
        LlavaOnevisionVideoProcessor,
        {"size": {"height": 384, "width": 384}, **CLIP},
        [("strokes", 360, 640)],
    ),
    "llava video, small": (
        "llava_onevision",
        LlavaOnevisionVideoProcessor,
        {"size": {"height": 384, "width": 384}, **HALF},
        [("checks", 64, 48)],
    ),
    "smolvlm video, as published": (
        "smolvlm",
        SmolVLMVideoProcessor,
        {"size": {"longest_edge": 2048}, **SMOL, **SAMPLING},
        [("strokes", 360, 640)],
    ),
    "smolvlm video, upright": (
        "smolvlm",
        SmolVLMVideoProcessor,
        {"size": {"longest_edge": 2048}, **SMOL, **SAMPLING},
        [("noise", 131, 97)],
    ),
    "smolvlm video, sampling alone": (
        "smolvlm",
        SmolVLMVideoProcessor,
        {**SMOL, **SAMPLING},
        [("noise", 240, 320)],
    ),
    "smolvlm video, bicubic": (
        "smolvlm",
        SmolVLMVideoProcessor,
        {"size": {"longest_edge": 512}, **SMOL, "resample": 3},
        [("checks", 64, 48)],
    ),
    "smolvlm video, 384": (
        "smolvlm",
        SmolVLMVideoProcessor,
        {"size": {"longest_edge": 1536}, **SMOL, "max_image_size": {"longest_edge": 384}},
        [("strokes", 97, 131)],
    ),
    "smolvlm image, not split": (
        "smolvlm",
        SmolVLMImageProcessor,
        {"size": {"longest_edge": 2048}, **SMOL, "do_image_splitting": False},
        [("noise", 240, 320)],
    ),
}


def picture(kind: str, height: int, width: int) -> np.ndarray:
    """uint8 [H, W, 3] by whole numbers alone, so that it is the same everywhere. The test draws by the same lines."""
    y, x, c = np.mgrid[0:height, 0:width, 0:3].astype(np.int64)
    if kind == "gradient":
        value = np.choose(c, [255 * x // (width - 1), 255 * y // (height - 1), 255 * (x + y) // (width + height - 2)])
    elif kind == "noise":
        mixed = ((y * 7919 + x) * 3 + c) * 2654435761 % 2**32
        value = (mixed ^ (mixed >> 15)) * 1274126177 % 2**32 >> 24
    elif kind == "checks":
        value = 255 * ((x // 5 + y // 7 + c) % 2)
    else:  # strokes: thin dark lines on bright ground, as of writing
        value = np.where(((3 * x + y * y // 16) % 23 < 2) | (y % 17 < 2) & (x % 31 > 6), 20 * c, 235 + 5 * c)
    return value.astype(np.uint8)


def processed(kind: type, settings: dict, frames: list[np.ndarray]) -> tuple[np.ndarray, list[int]]:
    """What the processor makes of the frames, and its grid (the shape where it knows none)."""
    made = kind(**json.loads(json.dumps(settings)))
    if issubclass(kind, transformers.video_processing_utils.BaseVideoProcessor):
        out = made(videos=[np.stack(frames)], do_sample_frames=False, return_tensors="pt")
    else:
        out = made(images=frames, return_tensors="pt")
    values = next(out[name] for name in ("pixel_values", "pixel_values_videos") if name in out)
    grid = next((out[name][0].tolist() for name in ("image_grid_thw", "video_grid_thw") if name in out), values.shape)
    return values.numpy(), list(grid)


def main() -> None:
    """Write the file."""
    kept, told = {}, {}
    for number, (name, (family, kind, settings, drawn)) in enumerate(CASES.items()):
        frames = [picture(*one) for one in drawn]
        values, grid = processed(kind, settings, frames)
        at = np.arange(SAMPLE) * 2654435761 % values.size
        kept[f"values{number}"] = values.reshape(-1)[at].astype(np.float32)
        told[name] = {
            "number": number,
            "family": family,
            "processor": kind.__name__,
            "settings": settings,
            "pictures": drawn,
            "drawn": [int(frame.astype(np.int64).sum()) for frame in frames],
            "grid": grid,
            "shape": list(values.shape),
            "sum": float(values.astype(np.float64).sum()),
            "squares": float((values.astype(np.float64) ** 2).sum()),
        }
        print(f"{name}: {values.shape} {grid}", file=sys.stderr)
    made_by = (
        f"torch {torch.__version__}, torchvision {torchvision.__version__}, transformers {transformers.__version__}"
    )
    np.savez_compressed(
        Path(__file__).with_name("pixels.npz"), cases=np.array(json.dumps(told)), made_by=np.array(made_by), **kept
    )


if __name__ == "__main__":
    main()
