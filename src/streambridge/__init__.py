"""streambridge turns an offline Video-LLM into a streaming, proactive assistant. The front door: names, nothing heavy.

A name is looked up when it is first used, so that `import streambridge` loads no torch, transformers or av.
"""

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streambridge.backbones.checkpoint import Placing
    from streambridge.backbones.opening import open_model
    from streambridge.errors import BadInput, Missing, RunFailed, StreamBridgeError, UnknownName, WrongUse
    from streambridge.loading import load, names
    from streambridge.replay import replay
    from streambridge.session import Session
    from streambridge.sources import open_source
    from streambridge.types import (
        Answered,
        Asked,
        Compressed,
        Counted,
        Delta,
        Dropped,
        Ended,
        Event,
        Failed,
        Forgot,
        Frame,
        Interrupted,
        Notice,
        OverBudget,
        Question,
        Reference,
        Scored,
        Stalled,
        Started,
        Timeline,
        Unwatched,
        Watching,
    )

__version__ = "0.1.0"

__all__ = [
    "Answered",
    "Asked",
    "BadInput",
    "Compressed",
    "Counted",
    "Delta",
    "Dropped",
    "Ended",
    "Event",
    "Failed",
    "Forgot",
    "Frame",
    "Interrupted",
    "Missing",
    "Notice",
    "OverBudget",
    "Placing",
    "Question",
    "Reference",
    "RunFailed",
    "Scored",
    "Session",
    "Stalled",
    "Started",
    "StreamBridgeError",
    "Timeline",
    "UnknownName",
    "Unwatched",
    "Watching",
    "WrongUse",
    "__version__",
    "load",
    "names",
    "open_model",
    "open_source",
    "replay",
]

_ROOMS = {
    "backbones.checkpoint": ("Placing",),
    "backbones.opening": ("open_model",),
    "errors": ("BadInput", "Missing", "RunFailed", "StreamBridgeError", "UnknownName", "WrongUse"),
    "loading": ("load", "names"),
    "replay": ("replay",),
    "session": ("Session",),
    "sources": ("open_source",),
}
_HOME = {name: room for room, inside in _ROOMS.items() for name in inside}


def __getattr__(name: str) -> Any:
    """Open the room in which a public name lives."""
    if name not in __all__:
        raise AttributeError(f"streambridge has no {name!r}; it has: {', '.join(__all__)}")
    return getattr(importlib.import_module(f"streambridge.{_HOME.get(name, 'types')}"), name)


def __dir__() -> list[str]:
    """The public names."""
    return list(__all__)


class _Front(ModuleType):
    """Keeps `streambridge.replay` the function: the file of that name would take its place once it is imported."""

    @property
    def replay(self) -> Any:
        return importlib.import_module("streambridge.replay").replay

    @replay.setter
    def replay(self, _file: ModuleType) -> None:
        """The import of the file says here where it is; the name stays the function's."""


sys.modules[__name__].__class__ = _Front
