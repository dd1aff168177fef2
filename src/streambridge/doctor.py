"""What is here, and what a model would cost here: plain mappings of plain values. Prints nothing, reads no big weights.

`here` looks at this machine, `model` at one model. Each tells under `troubles` what stands in the way, with what mends
it; an empty list means that nothing was found, and no more.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any, Final, NamedTuple

import numpy as np

from streambridge.installed import TORCHVISION, broken_torchvision, expect_library, version
from streambridge.loading import load, names
from streambridge.session import MAX_LEN
from streambridge.types import Backbone, Caps, Frame, Weighs

PACKAGES: Final = ("streambridge", "torch", "transformers", "tokenizers", "safetensors", "numpy", "pillow", "av")
SERVER: Final = "openai:"
TRAINED: Final = "score_head"  # the gate that was trained with the embedded model, and sees through its eyes
EXACT: Final = {
    "answers": "equal a full recompute of the same memory",
    "counts": "exact: tokens are counted by the model's own tokenizer and eyes",
    "compression": "merges frames: the count-weighted mean, token by token",
}
ESTIMATED: Final = {
    "answers": "are the server's affair, the same words twice included",
    "counts": "estimates by a stated rule; what the server counted is told with each answer, where it does",
    "compression": "drops pictures: of the frames that are merged the middle one stays and stands for all",
}


class Extra(NamedTuple):
    """What can be installed beside the rest.

    Attributes:
        name: in brackets behind `streambridge`.
        modules: what it brings, as they are imported.
        gives: what can be done with it.
    """

    name: str
    modules: tuple[str, ...]
    gives: str


EXTRAS: Final = (
    Extra("plots", ("matplotlib",), "plots in the page of `bench latency --page`"),
    Extra("data", ("pyarrow",), "annotations that come as Parquet, for `data convert finevideo`"),
    Extra("spread", ("accelerate",), "--device-map: a model spread over several devices"),
    Extra("quantize", ("bitsandbytes", "accelerate"), "--quantize: weights in 8 or 4 bit"),
)


def here() -> dict[str, Any]:
    """This machine: versions, devices, extras, and what stands in the way."""
    broken, beside = broken_torchvision(), {TORCHVISION: version(TORCHVISION)} if version(TORCHVISION) else {}
    return {
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}, **beside},
        "device": _devices(),
        "extras": [_extra(one) for one in EXTRAS],
        "troubles": [] if broken is None else [broken],
    }


def _extra(one: Extra) -> dict[str, Any]:
    lacks = [module for module in one.modules if find_spec(module) is None]
    return {
        "name": one.name,
        "there": not lacks,
        "lacks": lacks,
        "gives": one.gives,
        "type": f"pip install 'streambridge[{one.name}]'",
    }


def _devices() -> dict[str, Any]:
    import torch

    from streambridge.backbones.checkpoint import Placing, memory_bytes

    cards = range(torch.cuda.device_count()) if torch.cuda.is_available() else ()
    return {
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_bytes": memory_bytes("cpu"),
        "cuda": [
            {"name": torch.cuda.get_device_name(n), "memory_bytes": memory_bytes(f"cuda:{n}")} for n in cards
        ],
        "mps": torch.backends.mps.is_available(),
        "default": Placing().where,
    }


# ---------------------------------------------------------------------------------------------- a model


def model(
    name: str,
    tokens_per_frame: Any = None,
    max_len: int | None = None,
    placing: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """What a model is and costs.

    Args:
        name: `tiny`, a checkpoint's folder, a hub id in the cache, or `openai:MODEL@URL`.
        tokens_per_frame: told of beside `native` and `paper`; of a local checkpoint only.
        max_len: tokens of memory and answer; None: the model's context, at most `MAX_LEN`.
        placing: as of `Placing`; of a local checkpoint only.

    Raises:
        BadInput: when there is no such model, or its files are broken.
        WrongUse: on a name or numbers that make no sense.
    """
    if name.startswith(SERVER):
        return _served(name, max_len)
    expect_library()
    if name in names("backbones"):
        return _embedded(name, max_len)
    return _local(name, tokens_per_frame, max_len, placing or {})


def _local(name: str, wanted: Any, max_len: int | None, placing: Mapping[str, Any]) -> dict[str, Any]:
    from streambridge.backbones.checkpoint import Placing, memory_bytes
    from streambridge.backbones.sketch import SIZES, Sketch

    sketch = Sketch(name, Placing(**placing))
    budgets = {"native": None, "paper": sketch.budget("paper")}
    if wanted is not None:
        budgets[str(wanted)] = sketch.budget(wanted)
    frames = [
        _frame(which, width, height, sketch.tokens(height, width, most), sketch.frame_bytes(height, width, most))
        for which, most in budgets.items()
        for height, width in SIZES
    ]
    asked = str(wanted or "paper")
    length = _length(max_len, sketch.caps)
    parts = _memory(sketch.weights_bytes, sketch.kv_bytes, length, [one for one in frames if one["budget"] == asked])
    where = sketch.placing.where
    there = memory_bytes(where)
    return {
        "name": name,
        "family": sketch.family,
        "model_type": sketch.kind,
        "class": sketch.library_class,
        "device": where,
        "dtype": str(sketch.dtype).removeprefix("torch."),
        "width": sketch.width,
        "levels": sketch.levels,
        "frames": frames,
        "told_for": asked,
        "kv_bytes_per_token": sketch.kv_bytes,
        "memory": parts,
        "device_memory_bytes": there,
        **_common(sketch.caps, length, gates(sketch.model), EXACT),
        "troubles": [*_beyond(length, sketch.caps), *_too_much(parts, there, where)],
    }


def _embedded(name: str, max_len: int | None) -> dict[str, Any]:
    """It is so small that it is simply read."""
    from streambridge.backbones.sketch import SIZES

    tiny = load("backbones", name)
    text = tiny.model.config.get_text_config()
    seen = [(size, tiny.encode(_dark(*size))) for size in SIZES]
    frames = [
        _frame("native", width, height, one.tokens, sum(tensor.nbytes for tensor in one.bundle.values()))
        for (height, width), one in seen
    ]
    kv = 2 * text.num_hidden_layers * text.num_key_value_heads * (text.hidden_size // text.num_attention_heads) * 4
    length = _length(max_len, tiny.caps)
    weights = sum(weight.nbytes for weight in tiny.model.parameters())
    return {
        "name": name,
        "family": name,
        "model_type": tiny.model.config.model_type,
        "class": type(tiny.model).__name__,
        "device": "cpu",
        "dtype": "float32",
        "width": text.hidden_size,
        "levels": 1,
        "frames": frames,
        "told_for": "native",
        "kv_bytes_per_token": kv,
        "memory": _memory(weights, kv, length, frames),
        **_common(tiny.caps, length, gates(tiny), EXACT),
        "knows": "only the made-up world (world:SEED); on other videos it is wrong",
        "troubles": _beyond(length, tiny.caps),
    }


def _served(name: str, max_len: int | None) -> dict[str, Any]:
    from streambridge.backbones.listed import key_name
    from streambridge.backbones.remote import from_name
    from streambridge.backbones.sketch import SIZES

    remote = from_name(name)
    settings = remote.settings()
    seen = [(size, remote.encode(_dark(*size))) for size in SIZES]
    frames = [_frame("estimate", width, height, one.tokens, None) for (height, width), one in seen]
    length = _length(max_len, remote.caps)
    return {
        "name": remote.name,
        "family": "remote",
        "model": remote.model,
        "url": remote.name.rpartition("@")[2],
        "rule": settings["counted"],
        "longest": settings["longest"],
        "key": key_name(),
        "frames": frames,
        "told_for": "estimate",
        **_common(remote.caps, length, gates(remote), ESTIMATED),
        "troubles": _beyond(length, remote.caps),
    }


def serves(found: Mapping[str, Any]) -> dict[str, Any]:
    """Whether the server of such a model says that it serves it.

    Raises:
        RunFailed: when it cannot be asked.
    """
    from streambridge.backbones.listed import listed

    models = listed(found["url"])
    return {"models": models, "serves": found["model"] in models}


def gates(backbone: Backbone | Any) -> list[str]:
    """Gates that work with a model, as they are typed: by what it offers, not by how well they do."""
    fits = [name for name in names("activation") if name != "scripted"]  # that one only code can make
    if not isinstance(backbone, Weighs):
        fits.remove("zero_shot")
    if getattr(backbone, "name", None) != "tiny":
        fits.remove(TRAINED)
    return fits


def _dark(height: int, width: int) -> Frame:
    return Frame(np.zeros((height, width, 3), dtype=np.uint8), 0.0)


def _frame(budget: str, width: int, height: int, tokens: int, nbytes: int | None) -> dict[str, Any]:
    return {"budget": budget, "width": width, "height": height, "tokens": tokens, "bytes": nbytes}


def _length(max_len: int | None, caps: Caps) -> int:
    return min(caps.max_context, MAX_LEN) if max_len is None else max_len


def _memory(weights: int, kv: int, max_len: int, frames: list[dict[str, Any]]) -> dict[str, int]:
    """Bytes at most: keys and values stand there twice from the first rebuild on, memory may be nothing but frames."""
    densest = max(one["bytes"] / one["tokens"] for one in frames)
    parts = {"weights": weights, "kv": kv * max_len, "kv_while_rebuilding": kv * max_len}
    parts["frames"] = round(densest * max_len)
    return {**parts, "in_all": sum(parts.values())}


def _common(caps: Caps, max_len: int, fit: list[str], exact: Mapping[str, str]) -> dict[str, Any]:
    told = {name: getattr(caps, name) for name in ("embeds", "exact_count", "can_crop", "atomic_frame")}
    return {
        "positions": caps.positions,
        "max_context": caps.max_context,
        "max_len": max_len,
        "caps": told,
        "exact": dict(exact),
        "gates": fit,
    }


def _beyond(max_len: int, caps: Caps) -> list[str]:
    if max_len <= caps.max_context:
        return []
    return [f"max_len {max_len} is beyond the model's context of {caps.max_context} tokens; take a smaller --max-len"]


def _too_much(parts: Mapping[str, int], there: int | None, where: str) -> list[str]:
    if there is None or parts["in_all"] <= there:
        return []
    need, has = parts["in_all"] / 2**30, there / 2**30
    return [
        f"{need:.1f} GiB are needed and {where} has {has:.1f} GiB in all; take a smaller --max-len or model, "
        "--dtype bfloat16, --quantize 4bit, or a server (openai:MODEL@URL)"
    ]
