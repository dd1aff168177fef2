"""A name is a file: which names a room offers, and loading one. Imports at run time, and only the file asked for.

A file of a room that can be asked for by name says so in one line, `OFFER = TheClassOrFunction`. Files without that
line (a buffer, a trigger) are the room's own furniture. Looking for names reads text and imports nothing.
"""

import importlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from streambridge.errors import Missing, RunFailed, UnknownName
from streambridge.installed import broken_torchvision

_HOUSE = Path(__file__).parent
_OFFERS = re.compile(r"^OFFER\b.*=", re.MULTILINE)
_CALLED = {"backbones": "model", "memory": "memory policy", "data/sets": "source set"}
_EXTRAS: dict[str, tuple[str, str]] = {}  # import name -> (package, extra), filled as extras appear


def names(room: str) -> list[str]:
    """The names that a room offers, sorted.

    Args:
        room: a folder of the house, e.g. `memory`, `backbones`, `activation`, `sources`, `data/sets`.
    """
    files = (_HOUSE / room).glob("*.py")
    return sorted(file.stem for file in files if _OFFERS.search(file.read_text(encoding="utf-8")))


def offer(room: str, name: str) -> Callable[..., Any]:
    """What the file of that name offers, not yet called.

    Raises:
        UnknownName: when no file of the room bears the name.
        Missing: when the file needs an extra that is not installed.
        RunFailed: when the file cannot be imported.
    """
    known = names(room)
    if name not in known:
        raise UnknownName(_CALLED.get(room, room), name, known)
    try:
        return importlib.import_module(f"streambridge.{room.replace('/', '.')}.{name}").OFFER  # type: ignore[no-any-return]  # by convention
    except (ImportError, SyntaxError, RuntimeError) as err:
        raise _unloadable(room, name, err) from err


def _unloadable(room: str, name: str, err: Exception) -> RunFailed:
    """Why a file does not load: first what breaks everything, then what is missing."""
    if isinstance(err, RunFailed):
        return err
    if (why := broken_torchvision()) is not None:
        return RunFailed(why)
    if isinstance(err, ModuleNotFoundError) and err.name in _EXTRAS:
        return Missing(*_EXTRAS[err.name], what_for=f"{room}/{name}")
    if isinstance(err, ModuleNotFoundError) and err.name:
        return RunFailed(f"{room}/{name}.py does not load: it needs {err.name}, which is not installed")
    return RunFailed(f"{room}/{name}.py does not load: {err}")


def load(room: str, name: str, **settings: Any) -> Any:
    """Make what the file of that name offers, with these settings."""
    return offer(room, name)(**settings)
