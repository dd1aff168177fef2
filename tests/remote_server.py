"""A chat server on this machine that sends what it is told to, faults included, for tests. Knows no model.

Each request is answered by the next script, a list of steps: bytes are sent, a number is so many seconds of silence,
and RESET, HANG, EARLY and `Endless` are what they say. The last script answers all further requests.
"""

import json
import socket
import struct
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

RESET = "reset"  # the connection breaks as when a cable is pulled
HANG = "hang"  # silence until the other side hangs up
EARLY = "early"  # first in a script: the request is not read


@dataclass
class Endless:
    """The same bytes for ever, or until the other side hangs up."""

    bytes: bytes
    pause_s: float = 0.001


@dataclass
class Asked:
    """A request that came."""

    line: str
    headers: Mapping[str, str]
    raw: bytes

    @property
    def body(self) -> dict[str, Any]:
        return json.loads(self.raw)

    @property
    def pictures(self) -> list[str]:
        parts = [part for said in self.body["messages"] if said["role"] == "user" for part in said["content"]]
        return [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]


class Server:
    """Listens on 127.0.0.1 until left.

    Args:
        scripts: what to do for each request, in order.
        port: where to listen; any free one when 0.
    """

    def __init__(self, *scripts: Sequence[Any], port: int = 0) -> None:
        self.scripts = list(scripts)
        self.asked: list[Asked] = []
        self.hung_up = threading.Event()  # the other side closed a connection that still had something to say
        self._ended = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", port))
        self.port = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/v1"
        self._threads = [threading.Thread(target=self._listen, daemon=True)]

    def __enter__(self) -> "Server":
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for thread in self._threads:
            thread.join(timeout=5)

    def _listen(self) -> None:
        while not self._ended.is_set():
            with suppress(OSError):
                connection, _ = self._socket.accept()
                self._threads.append(threading.Thread(target=self._serve, args=(connection,), daemon=True))
                self._threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.settimeout(5)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            script = self.scripts[min(len(self.asked), len(self.scripts) - 1)]
            if script[:1] != [EARLY]:
                if (asked := _read(connection)) is None:
                    return
                self.asked.append(asked)
            try:
                for step in script[script[:1] == [EARLY] :]:
                    self._do(connection, step)
            except OSError:
                self.hung_up.set()

    def _do(self, connection: socket.socket, step: Any) -> None:
        if isinstance(step, bytes):
            connection.sendall(step)
        elif isinstance(step, Endless):
            while not self._ended.wait(step.pause_s):
                connection.sendall(step.bytes)
        elif step == RESET:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()
        elif step == HANG:
            if connection.recv(1) == b"":
                self.hung_up.set()
        else:
            self._ended.wait(step)


def _read(connection: socket.socket) -> Asked | None:
    came = b""
    while b"\r\n\r\n" not in came:
        if not (more := connection.recv(65536)):
            return None
        came += more
    head, _, body = came.partition(b"\r\n\r\n")
    line, *fields = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
    while len(body) < int(headers.get("content-length", 0)):
        body += connection.recv(1 << 20)
    return Asked(line, headers, body)


def closed_port() -> int:
    """A port on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


# ---------------------------------------------------------------------------------------------- what servers say


def head(status: str = "200 OK", kind: str | None = "text/event-stream", **headers: object) -> bytes:
    lines = [f"HTTP/1.1 {status}", *([f"Content-Type: {kind}"] if kind else [])]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


def whole(said: object, status: str = "200 OK", kind: str = "application/json", **headers: object) -> bytes:
    """A reply that is not streamed."""
    body = said.encode() if isinstance(said, str) else json.dumps(said).encode()
    return head(status, kind, Content_Length=len(body), **headers) + body


def refusal(status: str, message: str = "no", code: object = None, **headers: object) -> bytes:
    return whole({"error": {"message": message, "code": code}}, status, **headers)


def event(data: object) -> bytes:
    return b"data: " + (data if isinstance(data, bytes) else json.dumps(data, ensure_ascii=False).encode()) + b"\n\n"


def delta(finish: str | None = None, **said: object) -> bytes:
    return event({"choices": [{"index": 0, "delta": said, "finish_reason": finish}]})


def usage(read: object) -> bytes:
    return event({"choices": [], "usage": {"prompt_tokens": read, "completion_tokens": 3}})


END = delta("stop") + b"data: [DONE]\n\n"


def words(*texts: str) -> bytes:
    return b"".join(delta(content=text) for text in texts)


def stream(*texts: str, read: int | None = None) -> bytes:
    """A whole reply as servers stream it."""
    counted = b"" if read is None else usage(read)
    done = delta("stop") + counted + b"data: [DONE]\n\n"
    return head() + delta(role="assistant", content="") + words(*texts) + done


def chunked(body: bytes, size: int) -> bytes:
    """HTTP's own chunks, which may cut anywhere."""
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def bytes_of(body: bytes) -> Iterator[bytes]:
    """Byte by byte, so that nothing comes in one piece."""
    return (body[at : at + 1] for at in range(len(body)))
