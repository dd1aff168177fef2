"""The body of a chat server's reply, from lines of bytes to chunks. Knows no connection, no memory and no key.

Read with patience for what servers in the field do: comments that keep a connection alive, any line ends, data over
several lines, a whole JSON reply where a stream was asked for, a wrong content type (the first line says what it is).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

MOST_BYTES: Final = 2**20  # of one line, and of one event: an answer is a sentence or two
DONE: Final = "[DONE]"

_FIELD: Final = re.compile(rb"(data|event|id|retry)?:")  # with nothing before the colon: a comment


class Trouble(Exception):
    """What is wrong with a server or its reply, in words that follow "the server at URL". Never leaves this room.

    Args:
        why: in our words.
        detail: in the server's; it may hold anything.
        passing: another try may go well.
        wait_s: after how many seconds, when the server said so.
    """

    def __init__(self, why: str, detail: str = "", passing: bool = False, wait_s: float | None = None) -> None:
        super().__init__(why)
        self.why, self.detail, self.passing, self.wait_s = why, detail, passing, wait_s


@dataclass(frozen=True, slots=True)
class Chunk:
    """A few words of a reply.

    Attributes:
        text: the words; may be empty.
        finish: why the reply ends here, in the server's word (`stop`, `length`, ...); None when it goes on.
        read: how many tokens the server counted in what it was sent.
        likely: the tokens that could have come first, `{"token", "logprob"}` each, when they were asked for.
    """

    text: str = ""
    finish: str | None = None
    read: int | None = None
    likely: tuple[Any, ...] = ()


def events(lines: Iterator[bytes]) -> Iterator[str]:
    """The data of each event, `DONE` included; a whole JSON reply counts as one event and `DONE`.

    Raises:
        Trouble: when the body is neither, is empty, or holds too long a line.
    """
    first = next((line for line in lines if line.strip()), b"").lstrip(b"\xef\xbb\xbf \t")
    if not first:
        raise Trouble("ended its reply before the first word", passing=True)
    if _FIELD.match(first):
        yield from _streamed(chain([first], lines))
    elif first.startswith((b"{", b"[")):
        yield _decoded(_bounded(chain([first], lines)))
        yield DONE
    elif first.startswith(b"<"):
        raise Trouble("answered with a web page: is the URL that of its API? It often ends in /v1")
    else:
        raise Trouble("answered with what is no reply of a chat server", _decoded([first]))


def _streamed(lines: Iterable[bytes]) -> Iterator[str]:
    data: list[bytes] = []
    for line in lines:
        plain = line.rstrip(b"\r\n")
        if plain.startswith(b"data:"):
            data = _bounded([*data, plain[5:]])
        elif not plain and data:
            yield _decoded(data, b"\n")
            data = []
    if data and _is_whole(last := _decoded(data, b"\n")):  # some servers leave the last empty line out
        yield last


def _bounded(parts: Iterable[bytes]) -> list[bytes]:
    kept: list[bytes] = []
    size = 0
    for part in parts:
        size += len(part)
        if size > MOST_BYTES:
            raise Trouble(f"sent more than {MOST_BYTES} bytes in one piece")
        kept.append(part)
    return kept


def _decoded(parts: Iterable[bytes], between: bytes = b"") -> str:
    return between.join(parts).decode("utf-8", "replace").strip()


def _is_whole(data: str) -> bool:
    try:
        return data == DONE or json.loads(data) is not None
    except (ValueError, RecursionError):
        return False


def chunk_of(data: str) -> Chunk:
    """What one event says. What it holds besides (roles, thoughts, calls of tools) is passed over.

    Raises:
        Trouble: when it is no JSON object, or tells an error.
    """
    try:
        said = json.loads(data)
    except (ValueError, RecursionError):
        raise Trouble("sent a piece that is no JSON", data) from None
    if not isinstance(said, dict):
        raise Trouble("sent a piece that is no JSON object", data)
    if error := said.get("error") or (said if said.get("object") == "error" else None):
        code = str(error.get("code") if isinstance(error, dict) else "")
        raise Trouble("broke off with an error", reason(error), passing=code == "429" or code[:1] == "5")
    choice = _mapping(_first(said.get("choices")))
    delta = _mapping(choice.get("delta") or choice.get("message"))
    finish, read = choice.get("finish_reason"), _mapping(said.get("usage")).get("prompt_tokens")
    return Chunk(
        _text(delta.get("content")),
        finish if isinstance(finish, str) and finish else None,
        read if type(read) is int and read > 0 else None,
        tuple(_likely(choice)),
    )


def reason(said: object, deep: int = 4) -> str:
    """The words of an error, wherever a server puts them; of several, the first."""
    if isinstance(said, list) and said:
        said = said[0]
    if isinstance(said, dict) and deep:
        found = (reason(said[name], deep - 1) for name in ("error", "message", "detail", "msg") if said.get(name))
        return next(found, "")
    return _words(said)


def _text(content: object) -> str:
    """Words, or a list of parts with words in them."""
    if isinstance(content, list):
        return "".join(_words(_mapping(part).get("text")) for part in content)
    return _words(content)


def _words(said: object) -> str:
    return said if isinstance(said, str) else ""


def _likely(choice: Mapping[str, Any]) -> Iterator[Any]:
    """The first token that was said, and those that could have been."""
    token = _mapping(_first(_mapping(choice.get("logprobs")).get("content")))
    if token:
        others = token.get("top_logprobs")
        yield token
        yield from (other for other in (others if isinstance(others, list) else ()) if _token(other) != _token(token))


def _token(said: object) -> object:
    return _mapping(said).get("token")


def _first(said: object) -> object:
    return said[0] if isinstance(said, list) and said else None


def _mapping(said: object) -> Mapping[str, Any]:
    return said if isinstance(said, dict) else {}
