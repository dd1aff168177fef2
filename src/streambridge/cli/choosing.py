"""From names on the command line to a session: which model, gate and memory. Knows names, not what is behind them."""

import inspect
import shlex
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from streambridge.errors import WrongUse
from streambridge.installed import expect_library
from streambridge.loading import load, names, offer
from streambridge.reading import PREFILL
from streambridge.session import Session
from streambridge.sources.opening import parsed
from streambridge.types import Activation, Backbone

TINY = "tiny"  # the embedded model, which knows only the made-up world
GATE = "score_head"
ASKING = "zero_shot"  # a gate that asks the model itself
SERVED = "scene_change+zero_shot"  # a server is asked only where something changed: each time is a request
SERVER = "openai:"  # a model on a server that speaks OpenAI's protocol
FORMS = "a checkpoint's folder, a hub id (OWNER/NAME) in the cache, or openai:MODEL@URL"


def model_for(source: str, model: str | None) -> str:
    """The model's name: `tiny` for the world, what was named for all else.

    Raises:
        WrongUse: when no model was named for something that tiny does not know, or one that does not exist.
    """
    if model is not None:
        return _known(model)
    if parsed(source)[0] == "world":
        return TINY
    line = f"streambridge watch {shlex.quote(source)} --model {TINY}"
    knows = f"the embedded model {TINY!r} knows only the made-up world (world:7)"
    raise WrongUse(f"no --model was named, and {knows}; to use it all the same, type: {line}")


def _known(model: str) -> str:
    """A name that can be one; whether a folder holds a model is seen when it is read."""
    there = bool(model) and ("/" in model or Path(model).exists())
    if model in names("backbones") or model.startswith(SERVER) or there:
        return model
    raise WrongUse(f"no model {model!r}; there are: {', '.join(names('backbones'))}, {FORMS}")


@dataclass(frozen=True, slots=True)
class Weights:
    """What is said of a local model's weights and frames, as typed; None: its own.

    Attributes:
        device: where they go.
        dtype: what they become.
        device_map: how they are spread over devices.
        quantize: `8bit` or `4bit`.
        tokens_per_frame: `native`, `paper` or a number.
        pair: `duplicate`, `wait` or `upgrade`.
    """

    device: str | None = None
    dtype: str | None = None
    device_map: str | None = None
    quantize: str | None = None
    tokens_per_frame: str | None = None
    pair: str | None = None

    def given(self) -> dict[str, str]:
        """What was typed, by the option's name."""
        return {name.replace("_", "-"): value for name, value in asdict(self).items() if value is not None}


def backbone_for(model: str, weights: Weights | None = None) -> Backbone:
    """The Video-LLM of that name.

    Raises:
        WrongUse: when there is none, or options were given that it does not take.
        BadInput: when a folder holds none.
        RunFailed: when there is not enough memory for it.
    """
    said = Weights() if weights is None else weights
    if model in names("backbones") or model.startswith(SERVER):
        if said.given():
            raise WrongUse(f"{model} takes no --{next(iter(said.given()))}; a checkpoint's folder or a hub id does")
        if model.startswith(SERVER):
            from streambridge.backbones.remote import from_name  # alone: a server needs no torch

            return from_name(model)
        return _tiny(model)
    expect_library()  # before the library is met: what it raises is no one line
    from streambridge.backbones.checkpoint import Placing
    from streambridge.backbones.opening import open_model

    quantize: Any = said.quantize
    pair: Any = said.pair or "duplicate"
    placing = Placing(said.device, said.dtype, said.device_map, quantize)
    backbone: Backbone = open_model(model, placing, _budget(said.tokens_per_frame), pair)
    return backbone


def _budget(typed: str | None) -> Any:
    return "paper" if typed is None else int(typed) if typed.isdecimal() else typed


def _tiny(model: str) -> Backbone:
    backbone: Backbone = load("backbones", model)
    _one_thread()
    return backbone


def _one_thread() -> None:
    """So small a model loses more by sharing its work among threads than it gains, above all on a busy machine."""
    import torch

    torch.set_num_threads(1)


def gate_name(model: str, activation: str | None) -> str:
    """The gate that was named, or the one that goes with the model: the trained one knows only what tiny knows."""
    if activation is not None:
        return activation
    return GATE if model == TINY else SERVED if model.startswith(SERVER) else ASKING


def gate_for(activation: str, backbone: Backbone, threshold: float | None, rest_s: float | None) -> Activation:
    """The gate of that name, with the numbers given; FIRST+SECOND is one before another, and the second's numbers.

    Raises:
        WrongUse: when there is no such gate, or it takes no such number.
    """
    given = {"threshold": threshold, "rest_s": rest_s}
    *before, name = _gates(activation)
    gate = _gate(name, backbone, {key: value for key, value in given.items() if value is not None})
    if not before:
        return gate
    from streambridge.activation.filtered import FIRST, Filtered

    takes = inspect.signature(offer("activation", before[0])).parameters
    return Filtered(_gate(before[0], backbone, {name: FIRST[name] for name in FIRST if name in takes}), gate)


def _gates(activation: str) -> list[str]:
    """The names in `GATE` or `FIRST+SECOND`, each one of a gate that exists."""
    parts = activation.split("+")
    if len(parts) > 2 or not all(parts):
        raise WrongUse(f"--activation is one gate, or FIRST+SECOND as in {SERVED}; this is {activation!r}")
    for part in parts:
        offer("activation", part)
    return parts


def _gate(activation: str, backbone: Backbone, numbers: dict[str, float]) -> Activation:
    takes = inspect.signature(offer("activation", activation)).parameters
    settings: dict[str, Any] = dict(numbers)
    for name in settings:
        if name not in takes:
            raise WrongUse(f"the gate {activation!r} takes no --{name.removesuffix('_s')}; {ASKING!r} does")
    if "sight" in takes:  # it looks through the backbone's eyes
        settings["sight"] = backbone
        if activation == GATE and backbone.name != TINY:  # the embedded gate was trained on the embedded eyes
            settings |= {"sight": _tiny(TINY), "shared": False}
    if lacking := [one.name for one in takes.values() if one.default is one.empty and one.name not in settings]:
        raise WrongUse(f"the gate {activation!r} needs {', '.join(lacking)}, which only code can give; try {ASKING!r}")
    gate: Activation = load("activation", activation, **settings)
    return gate


def session_for(
    model: str,
    activation: str | None,
    memory: str,
    max_len: int | None,
    threshold: float | None,
    rest_s: float | None,
    prefill: Any = "eager",
    weights: Weights | None = None,
) -> Session:
    """A session as the command line names it; its events bear milliseconds.

    Raises:
        WrongUse: on names and numbers that do not exist or cannot work together.
    """
    policy = load("memory", memory)  # the cheap names first: a slip of the hand is told before a model is read
    _gates(named := gate_name(model, activation))
    if prefill not in PREFILL:
        raise WrongUse(f"--prefill is one of {', '.join(PREFILL)}; this one is {prefill!r}")
    backbone = backbone_for(model, weights)
    if max_len is not None and backbone.caps.exact_count and max_len > backbone.caps.max_context:
        context = backbone.caps.max_context
        raise WrongUse(f"--max-len {max_len} is beyond the model's context of {context} tokens; type a smaller one")
    gate = gate_for(named, backbone, threshold, rest_s)
    return Session(
        backbone, gate, compression=policy, max_len=max_len, prefill=prefill, stopwatch=time.perf_counter
    )
