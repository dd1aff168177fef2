"""Questions from the command line and from stdin. Knows no session: it says what is to be asked, and when.

On the command line a question may end in `@SECONDS`, the stream time at which it is put. Only a number after the last
`@` counts, so "mail bob@example.com" is all question.
"""

import math
import os
import re
import select
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from streambridge.errors import WrongUse
from streambridge.types import Question, When

_AT = re.compile(r"(.*)@([+-]?(?:\d+\.?\d*|\.\d+))\s*", re.DOTALL)
_MOST_BYTES = 65_536  # of one typed line; what is longer is asked in pieces, and each is then refused or answered


@dataclass(frozen=True, slots=True)
class Asking:
    """What the command line asks.

    Attributes:
        timed: questions with their stream times, in order.
        last: questions without a time, to be put after the last frame; their `t` means nothing.
    """

    timed: tuple[Question, ...]
    last: tuple[Question, ...]


def split_time(said: str, option: str) -> tuple[str, float | None]:
    """A question and its time in seconds, None when it bears none.

    Raises:
        WrongUse: when nothing is asked, or the time is below 0.
    """
    match = _AT.fullmatch(said)
    text, t = (match[1], float(match[2])) if match else (said, None)
    if not text.strip():
        raise WrongUse(f'{option} got {said!r}, which asks nothing; type: {option} "What is on the table?"@20')
    if t is not None and not 0 <= t < math.inf:
        raise WrongUse(f"{option} got {said!r}, a time of {t:g} s; expected seconds of stream time, 0 or more")
    return text.strip(), t


def asking(ask: Sequence[str], watch_for: Sequence[str], wait_for: Sequence[str], auto: bool) -> Asking:
    """What the options ask, in order of time.

    A watch without a time begins with the stream. A plain question without one is put when all has been seen; with
    `auto` (Algorithm 1, which waits for the gate) it is put at the beginning as well.

    Raises:
        WrongUse: see `split_time`.
    """
    when: When = "auto" if auto else "now"
    asked = [(*split_time(said, "--ask"), when, False) for said in ask]
    asked += [(*split_time(said, "--watch-for"), "watch", False) for said in watch_for]
    asked += [(*split_time(said, "--wait-for"), "watch", True) for said in wait_for]
    timed: list[Question] = []
    last: list[Question] = []
    for number, (text, t, kind, once) in enumerate(asked):
        question = Question(f"o{number}", t or 0.0, text, kind, once=once)
        (last if t is None and kind == "now" else timed).append(question)
    return Asking(tuple(sorted(timed, key=lambda question: question.t)), tuple(last))


class TypedLines:
    """Lines that arrive on stdin, without ever waiting for one. The end of stdin is fine, and so is having none."""

    def __init__(self, fd: int | None = None) -> None:
        self._fd = stdin() if fd is None else fd
        self._rest = b""

    def __call__(self) -> list[str]:
        """The lines typed since the last call; blank ones ask nothing."""
        if self._fd is None:
            return []
        came, more = arrived(self._fd)
        self._fd = self._fd if more else None
        *lines, self._rest = (self._rest + came).split(b"\n")
        if not more or len(self._rest) > _MOST_BYTES:  # the last line needs no line end
            lines, self._rest = [*lines, self._rest], b""
        texts = (line.decode("utf-8", errors="replace").strip() for line in lines)
        return [text for text in texts if text]


def arrived(fd: int) -> tuple[bytes, bool]:
    """What has arrived on a file, without waiting for more, and whether there may be more to come."""
    came = b""
    while len(came) < _MOST_BYTES and _readable(fd):
        more = os.read(fd, _MOST_BYTES)
        came += more
        if not more:
            return came, False
    return came, True


def stdin() -> int | None:
    """The number of stdin, None when there is none."""
    try:
        return sys.stdin.fileno()
    except (AttributeError, OSError, ValueError):  # closed, or replaced by something that is no file
        return None


def _readable(fd: int) -> bool:
    try:
        if os.isatty(fd) and os.tcgetpgrp(fd) != os.getpgrp():
            return False  # in the background: reading from the terminal would stop us
        return bool(select.select([fd], [], [], 0)[0])
    except (OSError, ValueError):
        return False
