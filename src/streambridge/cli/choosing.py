"""From names on the command line to a session: which model, gate and memory. Knows names, not what is behind them."""

import inspect
import shlex
import time
from typing import Any

from streambridge.errors import WrongUse
from streambridge.loading import load, names, offer
from streambridge.reading import PREFILL
from streambridge.session import Session
from streambridge.sources.opening import parsed
from streambridge.types import Activation, Backbone

TINY = "tiny"  # the embedded model, which knows only the made-up world
GATE = "score_head"


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
    if model not in names("backbones"):
        known = ", ".join(names("backbones"))
        raise WrongUse(f"no model {model!r}; this version has: {known}. Folders, hub ids and servers come later")
    return model


def backbone_for(model: str) -> Backbone:
    """The Video-LLM of that name."""
    backbone: Backbone = load("backbones", model)
    if model == TINY:
        _one_thread()
    return backbone


def _one_thread() -> None:
    """So small a model loses more by sharing its work among threads than it gains, above all on a busy machine."""
    import torch

    torch.set_num_threads(1)


def gate_for(activation: str, backbone: Backbone, threshold: float | None, rest_s: float | None) -> Activation:
    """The gate of that name, with the numbers given.

    Raises:
        WrongUse: when there is no such gate, or it takes no such number.
    """
    takes = inspect.signature(offer("activation", activation)).parameters
    given: dict[str, Any] = {"threshold": threshold, "rest_s": rest_s}
    settings = {name: value for name, value in given.items() if value is not None}
    for name in settings:
        if name not in takes:
            raise WrongUse(f"the gate {activation!r} takes no --{name.removesuffix('_s')}; {GATE!r} does")
    if "sight" in takes:  # it looks through the backbone's eyes
        settings["sight"] = backbone
    if lacking := [one.name for one in takes.values() if one.default is one.empty and one.name not in settings]:
        raise WrongUse(f"the gate {activation!r} needs {', '.join(lacking)}, which only code can give; try {GATE!r}")
    gate: Activation = load("activation", activation, **settings)
    return gate


def session_for(
    model: str,
    activation: str,
    memory: str,
    max_len: int | None,
    threshold: float | None,
    rest_s: float | None,
    prefill: Any = "eager",
) -> Session:
    """A session as the command line names it; its events bear milliseconds.

    Raises:
        WrongUse: on names and numbers that do not exist or cannot work together.
    """
    policy = load("memory", memory)  # the cheap names first: a slip of the hand is told before a model is read
    offer("activation", activation)
    if prefill not in PREFILL:
        raise WrongUse(f"--prefill is one of {', '.join(PREFILL)}; this one is {prefill!r}")
    backbone = backbone_for(model)
    gate = gate_for(activation, backbone, threshold, rest_s)
    return Session(
        backbone, gate, compression=policy, max_len=max_len, prefill=prefill, stopwatch=time.perf_counter
    )
