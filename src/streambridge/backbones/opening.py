"""From a folder or a hub id to the family that reads it: the checkpoint says its type, a file says which it reads.

Knows no family by name.
"""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any, cast

from streambridge.backbones.checkpoint import Placing, find
from streambridge.backbones.local import Budget, Local, Pair, model_type
from streambridge.backbones.remote import PREFIX, from_name
from streambridge.errors import BadInput
from streambridge.loading import load, names

_TYPES = re.compile(r"^MODEL_TYPES\b.*= \((.*)\)", re.MULTILINE)


def families() -> dict[str, str]:
    """Every model_type that is read, and the file that reads it."""
    found: dict[str, str] = {}
    for file in sorted(Path(__file__).parent.glob("*.py")):
        for named in _TYPES.findall(file.read_text(encoding="utf-8")):
            found |= {kind: file.stem for kind in re.findall(r'"([\w.-]+)"', named)}
    return found


def open_model(
    name: str | Path,
    placing: Placing | None = None,
    tokens_per_frame: Budget = "paper",
    pair: Pair = "duplicate",
) -> Any:
    """A Video-LLM by its name, as on the command line.

    Args:
        name: `tiny`, `openai:MODEL@URL`, the folder of a checkpoint, or a hub id in the cache.
        placing: where a checkpoint's weights go and what they become: `streambridge.Placing(device=..., dtype=...)`.
        tokens_per_frame: of a checkpoint: `native`, `paper` or at most so many.
        pair: of a checkpoint: `duplicate`, `wait` or `upgrade`; see `Local`.

    Raises:
        BadInput: when there is none, or of a family that is not read.
        WrongUse: when a name or a number makes no sense.
        RunFailed: when there is not enough memory.
    """
    if str(name) in names("backbones"):
        return load("backbones", str(name))
    if str(name).startswith(PREFIX):
        return from_name(str(name))
    return family_of(name)(name, placing, tokens_per_frame, pair)


def family_of(name: str | Path) -> type[Local]:
    """The class that reads this checkpoint.

    Raises:
        BadInput: when there is no checkpoint, or of a family that is not read.
    """
    kind, known = model_type(find(name)), families()
    if kind not in known:
        reads = ", ".join(sorted(known))
        raise BadInput(f"{name} is a {kind!r:.80}; this version reads {reads}, and any server (openai:MODEL@URL)")
    return cast(type[Local], importlib.import_module(f"streambridge.backbones.{known[kind]}").FAMILY)
