"""The page of `bench backbones`: its records as Markdown, and what a person needs to know. Knows no model.

What is measured stands in the records. What a frame costs is arithmetic on settings that the page names.
"""

from __future__ import annotations

import platform
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from streambridge.backbones.eyes import Eyes
from streambridge.backbones.sketch import SIZES, rows_of
from streambridge.bench.backbones import BATCH, NEAR, STREAM, WORDS
from streambridge.bench.equality import TOLERANCE
from streambridge.installed import version

Row = Mapping[str, Any]

WIDTH: Final = 3584  # of a state: that of the 7B models of Qwen2 and Qwen2.5
HALF_WIDTH: Final = 2  # bytes of a number in 16 bit
MEAN: Final = (0.5, 0.5, 0.5)


class Real(NamedTuple):
    """Eyes as real checkpoints may have them, for arithmetic only: each checkpoint's own files decide.

    Attributes:
        eyes: the settings.
        said: the same in words.
        around: what stands around a frame's features.
        title: what people call the family.
        example: a hub id.
    """

    eyes: Eyes
    said: str
    around: str
    title: str
    example: str


LEAST, MOST = 56 * 56, 28 * 28 * 1280  # pixels: the library's own defaults for its image processor
_TWO: Final = Eyes("qwen", 14, 2, MEAN, MEAN, temporal=2, min_pixels=LEAST, max_pixels=MOST)
_THREE: Final = Eyes("qwen", 16, 2, MEAN, MEAN, temporal=2, min_pixels=LEAST, max_pixels=MOST)
_AREA_SAID: Final = "2x2 merged, area of 56x56 to 28x28x1280 pixels"
REAL: Final[Mapping[str, Real]] = {
    "qwen2_vl": Real(_TWO, f"patch 14, {_AREA_SAID}", "2 marks", "Qwen2-VL", "Qwen/Qwen2-VL-7B-Instruct"),
    "qwen2_5_vl": Real(_TWO, f"patch 14, {_AREA_SAID}", "2 marks", "Qwen2.5-VL", "Qwen/Qwen2.5-VL-7B-Instruct"),
    "qwen3_vl": Real(_THREE, f"patch 16, {_AREA_SAID}", "2 marks", "Qwen3-VL", "Qwen/Qwen3-VL-8B-Instruct"),
    "qwen3_vl_moe": Real(
        _THREE, f"patch 16, {_AREA_SAID}", "2 marks", "Qwen3-VL of experts", "Qwen/Qwen3-VL-30B-A3B-Instruct"
    ),
    "llava_onevision": Real(
        Eyes("square", 14, 2, MEAN, MEAN, size=(384, 384)),
        "384x384 pixels, patch 14, pooled 2x2",
        "its newline, counted",
        "LLaVA-OneVision",
        "llava-hf/llava-onevision-qwen2-7b-ov-hf",
    ),
    "smolvlm": Real(
        Eyes("edge", 16, 4, MEAN, MEAN, "lanczos", size=(512, 512), edge=2048),
        "512x512 pixels, patch 16, 4x4 merged",
        "3 marks and the time in words",
        "SmolVLM2",
        "HuggingFaceTB/SmolVLM2-500M-Video-Instruct",
    ),
}


def page(records: Sequence[Row], command: str) -> str:
    """The page as Markdown.

    Args:
        records: of `backbones.run`.
        command: what made them.
    """
    parts = [_head(records, command), _use(records), _presets(), _layout(), _exact(), _costs(records), _held(records)]
    return "\n".join(line for part in parts for line in part).rstrip() + "\n"


def table(records: Sequence[Row]) -> str:
    """The results alone, for a terminal."""
    rows = [["model type", "features", "logits", "same tokens", "oracle", "passed"]]
    for row in records:
        numbers = [f"{row[key]:.1e}" for key in ("features", "logits")]
        same = f"{row['same']} of {row['tokens']}"
        rows.append([row["model_type"], *numbers, same, f"{row['oracle']:.1e}", _yes(row["passed"])])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def _head(records: Sequence[Row], command: str) -> list[str]:
    used = ("streambridge", "torch", "transformers", "tokenizers", "numpy")
    versions = ", ".join(f"{name} {version(name)}" for name in used)
    return [
        "# Backbones",
        "",
        *_prose(
            "The Video-LLMs that are read from a checkpoint, how their frames are laid out, what a frame costs, and "
            "how far each is from the library's own path. Written by this command:"
        ),
        *_typed(command),
        *_points(
            f"versions: python {platform.python_version()}, {versions}",
            f"{len(records)} model types; checkpoints are tiny, random and made on the spot: nothing was downloaded, "
            "no real weights were run, and nothing here says how good an answer is",
        ),
    ]


def _use(records: Sequence[Row]) -> list[str]:
    rows = [
        f"| {REAL[row['model_type']].title} | `{row['model_type']}` | `backbones/{row['family']}.py` | "
        f"`--model {REAL[row['model_type']].example}` |"
        for row in records
    ]
    return [
        "## How to use one",
        "",
        *_prose(
            "`--model` takes a checkpoint's folder or a hub id. Nothing is fetched: a hub id must be in the cache "
            "(`hf download ID`). The family is read off `model_type` in config.json; any size of a family will do."
        ),
        "| family | model type | file | for example |",
        "|---|---|---|---|",
        *rows,
        "",
        *_typed(
            "hf download HuggingFaceTB/SmolVLM2-500M-Video-Instruct",
            "streambridge doctor --model HuggingFaceTB/SmolVLM2-500M-Video-Instruct",
            "streambridge watch clip.mp4 --model HuggingFaceTB/SmolVLM2-500M-Video-Instruct \\",
            '    --activation zero_shot --watch-for "Tell me when somebody comes in."',
        ),
        *_prose(
            "Without `--activation` the model itself is asked at each frame (`zero_shot`); `scene_change` asks nobody, "
            "and `scene_change+zero_shot` asks the model where the picture changed. `score_head` was trained with the "
            "embedded model and sees through its eyes: it knows only the made-up world. `--device`, `--dtype`, "
            "`--device-map` (extra `spread`) and `--quantize` (extra `quantize`) place the weights. "
            "`streambridge doctor --model` tells tokens, bytes and memory of a checkpoint without reading its weights."
        ),
    ]


def _presets() -> list[str]:
    return [
        "## How many tokens a frame gets",
        "",
        *_points(
            "`--tokens-per-frame native`: as the checkpoint's own files have it. In the Qwen families that depends on "
            "the picture; the others take every picture in one size.",
            "`--tokens-per-frame paper` (the default): at most 64 for the Qwen families and 49 for LLaVA-OneVision "
            "(and its newline): what arXiv 2505.05467 has for Qwen2-VL and LLaVA-OneVision. SmolVLM2 is not in it: "
            "there it is `native`.",
            "`--tokens-per-frame N`: at most N. The Qwen families resize the picture to the grid of at most N cells "
            "that keeps most detail; the others see the whole picture and pool its features to the largest square of "
            "at most N.",
        ),
        *_prose(
            "A budget never makes more of a frame than the checkpoint's own rule does. Fewer tokens a frame mean a "
            "longer memory at the same `--max-len`, and less detail."
        ),
    ]


def _layout() -> list[str]:
    return [
        "## How a stream is laid out",
        "",
        *_prose(
            "The pieces between the words come from the checkpoint's own chat template: conversations of marked words "
            "are written out once and cut at the marks. A user's turn is open at all times. Frames and questions stand "
            "in it in order of time; an answer closes it and opens the next one. Every piece is tokenised once, alone, "
            "and where it stands depends only on what stands before it, so what was read stays valid. Words that "
            "look like a special token never become one."
        ),
        *_points(
            "Qwen families: a frame is one image item between its two marks, with M-RoPE positions of one instant; "
            "what follows starts behind its longer side. A temporal patch of two holds the lone frame twice, as for a "
            "picture; `--pair wait` and `--pair upgrade` put two frames into one instead.",
            "Qwen3-VL: a frame's features enter behind several layers (DeepStack); all levels are kept and merged "
            "alike.",
            "LLaVA-OneVision was trained on videos with one newline at their end. A stream has no end that would be "
            "known, so each frame is a video of its own, newline and all: one token more a frame, and nothing to be "
            "moved later.",
            "SmolVLM2 writes the time in words before each picture, `Frame from MM:SS:`; so does this, with stream "
            "time. Its lines with the length of the whole video are left out: a stream does not know them.",
        ),
    ]


def _exact() -> list[str]:
    return [
        "## What is exact",
        "",
        *_points(
            "An answer equals a full recompute of the same memory (below: the oracle), however the stream came to it.",
            "On what it was given, an answer equals the library's own path from pixels and token ids (below).",
            "Tokens are counted, not estimated. Frames are encoded one by one and leave no trace in one another.",
            "A merge is the count-weighted mean of the features; frames of another grid are first fitted to the first "
            "one's. That is a choice, not something that the models were trained on.",
            "Of a server (`openai:MODEL@URL`) none of this holds: counts are estimates, and compression drops "
            "pictures.",
        ),
    ]


def _costs(records: Sequence[Row]) -> list[str]:
    rows = []
    for row in records:
        real, paper = REAL[row["model_type"]], row["paper"]
        native = " / ".join(str(rows_of(real.eyes, *size, None)) for size in SIZES)
        most = [rows_of(real.eyes, *size, paper) for size in SIZES]
        kib = most[1] * WIDTH * HALF_WIDTH * row["levels"] / 1024
        shown = " / ".join(map(str, most))
        rows.append(f"| `{row['model_type']}` | {real.said} | {native} | {shown} | {real.around} | {kib:,.0f} |")
    sizes = " / ".join(f"{width}x{height}" for height, width in SIZES)
    return [
        "## What a frame costs",
        "",
        *_prose(
            f"Rows of features for pictures of {sizes}: calculated, with the settings in the second column. Those of "
            "the Qwen families are the library's own defaults for its image processor, and many checkpoints allow "
            "larger pictures; the others are one size in use. A checkpoint's own files decide, and `doctor` reads "
            f"them. KiB: a frame in memory under `paper` at 1280x720, in 16 bit, at a state {WIDTH:,} wide, with all "
            "levels of DeepStack; its keys and values come on top."
        ),
        f"| model type | settings | `native`, {sizes} | `paper` | around it | KiB |",
        "|---|---|---|---|---|---|",
        *rows,
        "",
    ]


def _held(records: Sequence[Row]) -> list[str]:
    rows = []
    for row in records:
        caps = ", ".join(name.replace("_", " ") for name, value in row["caps"].items() if value is True)
        said = f"`{row['model_type']}` | `{row['class']}` | {row['caps']['positions']} | {caps}"
        apart = f"{row['features']:.1e} | {row['logits']:.1e} | {row['same']} of {row['tokens']} | {row['oracle']:.1e}"
        rows.append(f"| {said} | {apart} | {_yes(row['passed'])} |")
    plans = " and ".join(sorted({str(row["plans"]) for row in records}))
    return [
        "## Held against the library",
        "",
        *_prose(
            f"In float32 on a CPU. Features: {BATCH} frames encoded one by one against one batch of the library's, all "
            f"levels, largest difference. Logits: {plans} plans of frames, an answer, frames and a question; what our "
            "engine says follows, against the library from pixels and ids with its own positions and masks. Same "
            f"tokens: greedy answers of {WORDS} tokens to these plans, each token of the library's by a fresh pass "
            f"over all. Oracle: a stream of {STREAM} frames with questions, cut answers and compression; every token "
            f"of every answer against a fresh recompute of its plan. Passed: features within {NEAR:g}, logits within "
            f"{TOLERANCE:g}, all tokens the same, nothing failed."
        ),
        "| model type | class of the library | positions | caps | features | logits | same tokens | oracle | passed |",
        "|---|---|---|---|---|---|---|---|---|",
        *rows,
        "",
    ]


def _points(*texts: str) -> list[str]:
    lines = [textwrap.wrap(f"- {text}", 118, subsequent_indent="  ", break_on_hyphens=False) for text in texts]
    return [*(line for point in lines for line in point), ""]


def _yes(value: bool) -> str:
    return "yes" if value else "NO"


def _typed(*commands: str) -> list[str]:
    return ["```", *commands, "```", ""]


def _prose(text: str) -> list[str]:
    return [*textwrap.wrap(text, 118, break_long_words=False, break_on_hyphens=False), ""]
