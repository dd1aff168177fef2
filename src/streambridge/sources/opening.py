"""From what a person types to a source: the one home of the grammar of SOURCE. Knows names of kinds and no file format.

world:SEED     the made-up world, SEED a whole number
FOLDER         an existing folder of images
anything else  a video file; one whose name looks like a kind is written ./NAME
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

from streambridge.errors import WrongUse
from streambridge.loading import offer
from streambridge.sources.source import Source, checked_fps

KINDS = "a video file, a folder of images, or world:SEED (e.g. world:7)"
_KIND = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]+):(.*)$", re.DOTALL)  # two letters at least: C:\clip.mp4 is a file
_LATER = {"webcam", "screen", "rtsp", "rtsps", "rtmp", "http", "https", "srt", "udp", "tcp", "rtp", "hls", "file"}


def open_source(spec: str | Path, fps: float = 1.0, **settings: Any) -> Source:
    """Open what was typed.

    Args:
        spec: see the top of this file.
        fps: frames per second of stream time.
        **settings: what the kind takes (`start_s`, `end_s`, `image_fps`); None means not given.

    Returns:
        A source: a context manager and an iterator of Frames.

    Raises:
        WrongUse: when the kind does not exist in this version, or a setting makes no sense for it.
        BadInput: when nothing can be read from it.
    """
    kind, where = parsed(spec)
    opener = offer("sources", kind)
    given = {name: value for name, value in settings.items() if value is not None}
    known = [name for name in inspect.signature(opener).parameters if name not in {"self", "fps", *where}]
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise WrongUse(f"a {kind} source takes no {', '.join(unknown)}; it takes: {', '.join(known) or 'nothing'}")
    source: Source = opener(fps=checked_fps(fps), **where, **given)
    return source


def parsed(spec: str | Path) -> tuple[str, dict[str, Any]]:
    """The kind of a source, which is a file's name in this room, and what says where it is.

    Raises:
        WrongUse: when it is empty, a kind of a later version, or a world without a seed.
    """
    if not isinstance(spec, str | Path) or not str(spec).strip():
        raise WrongUse(f"the source is {spec!r}; expected {KINDS}")
    match = _KIND.match(spec) if isinstance(spec, str) else None
    if match and match[1].lower() == "world":
        return "world", {"seed": _seed(match[2])}
    if match and (match[1].lower() in _LATER or match[2].startswith("//")):
        raise WrongUse(f"{spec!r}: this version opens no {match[1].lower()}: source; expected {KINDS}")
    path = Path(spec)
    return ("folder" if _is_folder(path) else "file"), {"path": path}


def _seed(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise WrongUse(f"'world:{text}' has no seed; expected a whole number, e.g. world:7") from None


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):  # an unreadable parent, a NUL byte: the file source says it in words
        return False
