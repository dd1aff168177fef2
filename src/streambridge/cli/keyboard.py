"""A line being typed while the screen is redrawn: keys one by one, without the terminal's echo. Knows no question."""

import codecs
import re
import sys
from types import TracebackType
from typing import Any, Self

from streambridge.cli.asking import arrived

_ESCAPES = re.compile(r"\x1b(\[[0-9;?]*[ -/]*[@-~]|O.|.)?")  # arrows and the like: they mean nothing here


class Keyboard:
    """Lines typed on a terminal, and the one that is being typed. While it is open the terminal echoes nothing.

    Ctrl-C stays Ctrl-C. Backspace, Ctrl-W and Ctrl-U take back a letter, a word, the line.
    """

    def __init__(self, fd: int) -> None:
        self.line = ""
        self._fd = fd
        self._before: Any = None
        self._done: list[str] = []
        self._decode = codecs.getincrementaldecoder("utf-8")(errors="replace").decode

    def __call__(self) -> list[str]:
        """The lines finished since the last call; blank ones ask nothing."""
        self.poll()
        done, self._done = self._done, []
        return done

    def poll(self) -> str:
        """Take in what was typed; the line so far."""
        for key in _ESCAPES.sub("", self._decode(arrived(self._fd)[0])):
            self._press(key)
        return self.line

    def _press(self, key: str) -> None:
        if key in "\r\n":
            if self.line.strip():
                self._done.append(self.line.strip())
            self.line = ""
        elif key in "\x7f\b":
            self.line = self.line[:-1]
        elif key == "\x15":  # Ctrl-U
            self.line = ""
        elif key == "\x17":  # Ctrl-W
            self.line = re.sub(r"\S*\s*$", "", self.line)
        elif key.isprintable():
            self.line += key

    def __enter__(self) -> Self:
        import termios

        self._before = termios.tcgetattr(self._fd)
        quiet: list[Any] = termios.tcgetattr(self._fd)
        quiet[3] &= ~(termios.ECHO | termios.ICANON)
        termios.tcsetattr(self._fd, termios.TCSADRAIN, quiet)
        return self

    def __exit__(self, kind: type[BaseException] | None, err: BaseException | None, at: TracebackType | None) -> None:
        import termios

        termios.tcsetattr(self._fd, termios.TCSADRAIN, self._before)


def on_a_terminal() -> bool:
    """Whether keys can be read one by one: stdin is a terminal, and this is a system that has such."""
    try:
        import termios  # noqa: F401
    except ImportError:
        return False
    return sys.stdin is not None and sys.stdin.isatty()
