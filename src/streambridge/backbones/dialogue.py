"""Memory as the messages of a chat. Knows no server and no estimate.

The order is all: what stands in memory first comes first, and nothing that is appended changes a byte before it, so a
server that keeps what it has read finds it again. Frames are pictures inside the user's messages, each with its time
in words before it; what is new joins the user's last message until the model has spoken.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from streambridge.types import FrameTokens, Item, Plan, Turn

NOTHING: Final = "..."  # said for the user where the model would speak twice in a row: many servers refuse that


@dataclass(frozen=True, slots=True, eq=False)
class Conversation(Plan):
    """A plan for a model that reads messages: the segments say what it costs, the items what it holds.

    Attributes:
        items: frames and turns in order.
    """

    items: tuple[Item, ...] = ()


def messages(items: Sequence[Item]) -> list[dict[str, Any]]:
    """The messages that say these items; the last one is the user's.

    Appending items only appends to the last message or behind it. The one exception is memory that ends with an
    answer: the user then says `NOTHING`, which the next item takes the place of.
    """
    said: list[dict[str, Any]] = []
    for item in items:
        if isinstance(item, Turn) and item.role == "system":
            said.append({"role": "system", "content": item.text})
        elif isinstance(item, Turn) and item.role == "assistant":
            if not _is_users(said):
                said.append(_user(NOTHING))
            said.append({"role": "assistant", "content": item.text})
        elif _is_users(said):
            said[-1]["content"] += _parts(item)
        else:
            said.append({"role": "user", "content": _parts(item)})
    return said if _is_users(said) else [*said, _user(NOTHING)]


def _is_users(said: Sequence[dict[str, Any]]) -> bool:
    return bool(said) and said[-1]["role"] == "user"


def _user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "text", "text": text}]}


def _parts(item: Item) -> list[dict[str, Any]]:
    """A frame as its time and its picture; a turn as its words."""
    if not isinstance(item, FrameTokens):
        return [{"type": "text", "text": item.text}]
    picture = "data:image/jpeg;base64," + base64.b64encode(item.bundle["jpeg"]).decode("ascii")
    return [{"type": "text", "text": f"[{item.t:.1f} s]"}, {"type": "image_url", "image_url": {"url": picture}}]
