"""One request on one connection, with every wait bounded. Knows no key, no chat and no retry.

Python's own `http.client` carries it: nothing is added to what the package depends on, closing the connection is all
that a barge-in needs, and every wait on the socket is ours to bound, for the head of a reply as for its body.
"""

from __future__ import annotations

import io
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

from streambridge.backbones.sse import MOST_BYTES, Trouble


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a server is waited for, and how often it is asked. The one home of these numbers.

    Attributes:
        connect_s: seconds until the connection stands, for each address of the server.
        silence_s: seconds between two signs of life; the first word of a long plan takes longest.
        whole_s: seconds for one answer, all tries and waits included.
        linger_s: seconds for what comes after the last word: the count of tokens.
        tries: requests for one answer, while not a word of it has come.
        wait_s: seconds before the second try; each further one waits twice as long.
        longest_wait_s: seconds of one wait at most, whatever the server asks for.
    """

    connect_s: float = 10.0
    silence_s: float = 60.0
    whole_s: float = 180.0
    linger_s: float = 1.0
    tries: int = 4
    wait_s: float = 0.5
    longest_wait_s: float = 20.0


class Request:
    """One request on one connection, with every wait bounded.

    Args:
        url: of an API, without what stands behind it: `/chat/completions`.
        until: when its time is over, on the monotonic clock.
        patience: how long to wait.
    """

    def __init__(self, url: str, until: float, patience: Patience) -> None:
        parts = urlsplit(url)
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        self._path = f"{parts.path}/chat/completions"
        self._connection = kind(parts.hostname or "", parts.port, timeout=patience.connect_s)
        self._patience, self._until = patience, until
        self._stream: _Bounded | None = None
        self._response: HTTPResponse | None = None

    def send(self, body: bytes, headers: Mapping[str, str]) -> HTTPResponse:
        """Send it; the reply, of which only the head is read."""
        try:
            self._connection.connect()
        except TimeoutError:
            raise Trouble(f"did not take the connection within {self._patience.connect_s:g} s") from None
        self._connection.sock.settimeout(max(0.001, self._until - time.monotonic()))
        made: Any = self._connection
        made.response_class = self._made
        with suppress(BrokenPipeError, ConnectionResetError):  # it may have answered before it had read all
            self._connection.request("POST", self._path, body, dict(headers))
        self._response = self._connection.getresponse()
        return self._response

    def lines(self) -> Iterator[bytes]:
        """The body, line by line as it comes.

        Raises:
            Trouble: at a line that is too long.
        """
        assert self._response is not None
        while line := self._response.readline(MOST_BYTES + 1):
            if len(line) > MOST_BYTES:
                raise Trouble(f"sent more than {MOST_BYTES} bytes in one line")
            yield line

    def hurry(self) -> None:
        """The last word has come: wait only a little for what is behind it."""
        if self._stream is not None:
            self._stream.until = min(self._stream.until, time.monotonic() + self._patience.linger_s)

    def close(self) -> None:
        """Hang up."""
        if self._response is not None:
            self._response.close()
        self._connection.close()

    def _made(self, sock: socket.socket, *args: Any, **settings: Any) -> HTTPResponse:
        response = HTTPResponse(sock, *args, **settings)
        self._stream = _Bounded(sock, response.fp, self._until, self._patience.silence_s)
        response.fp = io.BufferedReader(self._stream)
        return response


class _Bounded(io.RawIOBase):
    """The bytes of a socket; each wait is bounded, and all of them together."""

    def __init__(self, sock: socket.socket, stream: io.BufferedReader, until: float, silence_s: float) -> None:
        self._sock, self._stream, self.until, self._silence_s = sock, stream, until, silence_s

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self.until - time.monotonic()
        if left <= 0:
            raise TimeoutError("no time is left")
        self._sock.settimeout(min(left, self._silence_s))
        return self._stream.raw.readinto(buffer)

    def close(self) -> None:
        self._stream.close()
        super().close()
