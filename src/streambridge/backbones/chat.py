"""A server that speaks OpenAI's chat protocol: requests, patience and retries. Knows no memory and no frame.

Redirects are not followed, and proxies that the environment names are not used: the key goes to the server that was
named and nowhere else.
"""

from __future__ import annotations

import json
import re
import socket
import ssl
import time
from collections.abc import Generator, Mapping
from contextlib import closing, suppress
from email.utils import parsedate_to_datetime
from http.client import HTTPException, HTTPResponse, IncompleteRead
from itertools import count
from typing import Any, Final

from streambridge.backbones.connection import Patience, Request
from streambridge.backbones.sse import DONE, MOST_BYTES, Chunk, Trouble, chunk_of, events, reason
from streambridge.errors import RunFailed

KEYS: Final = ("STREAMBRIDGE_API_KEY", "OPENAI_API_KEY")  # of the environment; the first that is set counts

_MASK: Final = "[key]"
_PREFIX: Final = 8  # letters of a key by which a part of it is known
_RENAMED: Final = {"max_tokens": "max_completion_tokens", "temperature": None, "stream_options": None}
_NOT_TAKEN: Final = re.compile("unsupported|not support|unrecogni|unknown|not permitted|unexpected|invalid", re.I)
_NO_QUOTA: Final = "insufficient_quota"  # a 429 that no waiting mends


class Chat:
    """One server. Holds the key and shows it to nobody else; what it says of errors never bears it.

    Args:
        url: up to and without `/chat/completions`.
        key: sent as a bearer token; None to send none.
        patience: how long it is waited for.
    """

    def __init__(self, url: str, key: str | None, patience: Patience) -> None:
        self.url, self.patience = url, patience
        self._key = key
        self._not_taken: set[str] = set()  # what this server refused to be sent; it belongs to no session

    def chunks(self, body: Mapping[str, Any]) -> Generator[Chunk]:
        """Ask, and yield the reply as it streams. Nothing is sent before the first is asked for; closing hangs up.

        While no word has come, a fault that may pass is tried again after a wait.

        Raises:
            RunFailed: when the server cannot be reached, refuses, or breaks off.
        """
        until = time.monotonic() + self.patience.whole_s
        for number in count(1):
            begun = False
            try:
                with closing(self._once(body, until)) as chunks:
                    for chunk in chunks:
                        begun = begun or bool(chunk.text)
                        yield chunk
                return
            except (Trouble, OSError, HTTPException) as err:
                trouble = err if isinstance(err, Trouble) else self._lost(err, until)
            again = trouble.passing and not begun and number < self.patience.tries
            if not again or not self._wait(number, trouble.wait_s, until):
                # Raised out here, where no other error hangs on to it: what those say is not masked.
                raise RunFailed(self._line(trouble, number))

    def _once(self, body: Mapping[str, Any], until: float) -> Generator[Chunk]:
        with closing(Request(self.url, until, self.patience)) as request:
            finished = False
            try:
                self._send(request, body)
                for data in events(request.lines()):
                    if data == DONE:
                        return
                    yield (chunk := chunk_of(data))
                    if chunk.finish is not None and not finished:
                        finished = True
                        request.hurry()
            except (Trouble, OSError, HTTPException):
                if not finished:
                    raise
            if not finished:
                raise Trouble("broke off in the middle of its reply", passing=True)

    def _send(self, request: Request, body: Mapping[str, Any]) -> None:
        taken = {(_RENAMED[name] if name in self._not_taken else name): value for name, value in body.items()}
        taken.pop(None, None)
        whole = json.dumps(taken, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
        headers = {"Content-Type": "application/json", "Accept": "text/event-stream, application/json"}
        if self._key is not None:
            headers["Authorization"] = f"Bearer {self._key}"
        response = request.send(whole, headers)
        if response.status // 100 != 2:
            raise self._refused(response, _body(request))

    # ------------------------------------------------------------------------------------------ what went wrong

    def _refused(self, response: HTTPResponse, body: bytes) -> Trouble:
        """A status that is no success, in words that say what to do."""
        status, said = response.status, _reason(body)
        what = f"said {status} {response.reason}".strip()
        if status in (400, 422) and self._learns(said):
            return Trouble(what, said, passing=True, wait_s=0.0)
        if 300 <= status < 400:
            return Trouble(f"{what}: it has moved; name its new URL, which is", _place(response.getheader("Location")))
        if hint := self._hint(status, said):
            return Trouble(f"{what}: {hint}", said)
        passing = status in (408, 425, 429) or status >= 500
        return Trouble(what, said, passing, _asked_for(response.getheader("Retry-After")))

    def _hint(self, status: int, said: str) -> str:
        """What to do about it, where we know."""
        if status == 401 or status == 403:
            names = f"{KEYS[1]} (or {KEYS[0]}, which comes first)"
            return f"it does not accept the key in {names}" if self._key else f"it wants a key; set {names}"
        if status == 404:
            return "it knows no such model, or its API has another URL (often one that ends in /v1)"
        if status == 413 or "context length" in said.casefold() or "context_length" in said:
            return "memory is longer than it takes; use a smaller max_len"
        return "no quota is left" if status == 429 and _NO_QUOTA in said else ""

    def _learns(self, said: str) -> bool:
        """Whether the server refused a setting that it can do without; it is not sent to it any more."""
        named = {name for name in _RENAMED if re.search(rf"\b{name}\b", said)} if _NOT_TAKEN.search(said) else set()
        if "max_tokens" in named and "max_completion_tokens" not in said:
            named.remove("max_tokens")  # too many of them, it says, and not that it does not know them
        new = named - self._not_taken
        self._not_taken |= new
        return bool(new)

    def _lost(self, err: OSError | HTTPException, until: float) -> Trouble:
        """A connection that did not come about, or broke."""
        if isinstance(err, TimeoutError):
            if time.monotonic() >= until:
                return Trouble(f"took longer than {self.patience.whole_s:g} s")
            return Trouble(f"said nothing for {self.patience.silence_s:g} s")
        if isinstance(err, ConnectionRefusedError):
            return Trouble("is not there: the connection was refused. Is it started?", passing=True)
        if isinstance(err, socket.gaierror):
            return Trouble("is not known by that name; check the URL and the network")
        if isinstance(err, ssl.SSLCertVerificationError):
            return Trouble("shows a certificate that is not trusted here", getattr(err, "verify_message", ""))
        if isinstance(err, ssl.SSLError) and "WRONG_VERSION" in str(err):
            return Trouble("does not speak https; does the URL begin with http://?")
        if isinstance(err, HTTPException) and not isinstance(err, ConnectionError | IncompleteRead):
            return Trouble("does not speak HTTP as it should", f"{type(err).__name__}: {err}")
        return Trouble("broke the connection off", err.strerror or "" if isinstance(err, OSError) else "", passing=True)

    def _wait(self, number: int, asked: float | None, until: float) -> bool:
        """Wait before another try; False when no time would be left for it."""
        wait = self.patience.wait_s * 2 ** (number - 1) if asked is None else asked
        wait = min(wait, self.patience.longest_wait_s)
        if time.monotonic() + wait >= until:
            return False
        time.sleep(wait)
        return True

    def _line(self, trouble: Trouble, tries: int) -> str:
        detail = self._plain(trouble.detail)
        tried = f" (tried {tries} times)" if tries > 1 else ""
        return f"the server at {self.url} {trouble.why}{': ' if detail else ''}{detail}{tried}"

    def _plain(self, said: str) -> str:
        """A server's words on one line, without the key, nor what a terminal might obey."""
        if self._key:
            said = said.replace(self._key, _MASK)
            if len(self._key) > _PREFIX:  # cut, or with stars in it
                said = re.sub(re.escape(self._key[:_PREFIX]) + r"[^\s\"']*", _MASK, said)
        line = " ".join("".join(letter if letter.isprintable() else " " for letter in said).split())
        return line if len(line) <= 200 else line[:197] + "..."


def _body(request: Request) -> bytes:
    """What a refusal says, as far as it comes."""
    said = b""
    request.hurry()
    with suppress(Trouble, OSError, HTTPException):
        for line in request.lines():
            said += line
            if len(said) > MOST_BYTES:
                break
    return said


def _reason(body: bytes) -> str:
    text = body.decode("utf-8", "replace").strip()
    if text.startswith("<"):
        return "(a web page)"
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return text
    # The code stands beside the words and says more than they do.
    error = said.get("error") if isinstance(said, dict) else None
    code = error.get("code") if isinstance(error, dict) else None
    return f"{reason(said)} ({code})" if isinstance(code, str) and code else reason(said)


def _place(location: str | None) -> str:
    """A URL without what may be secret in it."""
    return re.sub(r"//[^/]*@", "//", re.split("[?#]", location or "not told")[0])


def _asked_for(header: str | None) -> float | None:
    """Seconds that `Retry-After` asks for, as a number or a date; None when it makes no sense."""
    if header is None:
        return None
    with suppress(ValueError, TypeError, OverflowError):
        if re.fullmatch(r"[\d.]+", header):
            return float(header)
        return max(0.0, parsedate_to_datetime(header).timestamp() - time.time())
    return None
