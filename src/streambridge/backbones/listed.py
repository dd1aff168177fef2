"""What a server says that it serves: one GET of its list of models. Knows no picture, no memory and no chat.

The key goes to that server and nowhere else: no proxy, no redirect is followed, and what it says is not repeated.
"""

from __future__ import annotations

import json
import os
from contextlib import closing
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Final
from urllib.parse import urlsplit

from streambridge.backbones.chat import KEYS
from streambridge.errors import RunFailed

WAIT_S: Final = 5.0  # seconds for each step: it is asked by a person who waits
MOST_BYTES: Final = 1 << 22  # of the list; servers of many models send some hundred kB


def key_name() -> str | None:
    """The name of the environment's variable whose key would be sent; None when there is none."""
    return next((name for name in KEYS if os.environ.get(name, "").strip()), None)


def listed(url: str, wait_s: float = WAIT_S) -> list[str]:
    """Names of the models at a server, as it tells them.

    Args:
        url: of its API, without `/models`.
        wait_s: seconds for the connection, and for each sign of life.

    Raises:
        RunFailed: when it cannot be reached, refuses, or tells no list.
    """
    try:
        status, body = _get(url, wait_s)
    except TimeoutError as err:
        raise RunFailed(f"the server at {url} said nothing for {wait_s:g} s") from err
    except (OSError, HTTPException) as err:
        raise RunFailed(f"the server at {url} cannot be reached: {type(err).__name__}; is it started?") from err
    if status in (401, 403):
        what = f"does not accept the key in {key_name()}" if key_name() else f"wants a key; set {KEYS[1]}"
        raise RunFailed(f"the server at {url} said {status}: it {what}")
    if status != 200:
        raise RunFailed(f"the server at {url} said {status} when asked for {url}/models; does its URL end in /v1?")
    return _names(body, url)


def _get(url: str, wait_s: float) -> tuple[int, bytes]:
    parts, name = urlsplit(url), key_name()
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    headers = {"Accept": "application/json"}
    if name is not None:
        headers["Authorization"] = f"Bearer {os.environ[name].strip()}"
    with closing(kind(parts.hostname or "", parts.port, timeout=wait_s)) as connection:
        connection.request("GET", f"{parts.path}/models", headers=headers)
        response = connection.getresponse()
        return response.status, response.read(MOST_BYTES)


def _names(body: bytes, url: str) -> list[str]:
    try:
        said = json.loads(body)
        return [str(one["id"]) for one in said["data"]]
    except (ValueError, KeyError, TypeError, RecursionError) as err:
        raise RunFailed(f"the server at {url} told no list of models; does its URL end in /v1?") from err
