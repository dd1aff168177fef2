"""The program with a model of numpy in place of the embedded one: `python program_with_fakes.py watch world:7 ...`.

In the environment: PAUSE_S, seconds that seeing one frame and saying one word take; FILE_LIMIT, bytes after which a
file is full; TERMINAL, when set, makes stdin the terminal on which Ctrl-C is typed.
"""

import fcntl
import os
import resource
import sys
import termios
import time
from collections.abc import Iterator

import fakes
from streambridge import cli
from streambridge.cli import choosing
from streambridge.types import Frame, FrameTokens, Piece, Plan


class Slow(fakes.FakeBackbone):
    """The fake, taking its time."""

    pause_s = float(os.environ.get("PAUSE_S", "0"))

    def encode(self, frame: Frame) -> FrameTokens:
        time.sleep(self.pause_s)
        return super().encode(frame)

    def answer(self, plan: Plan, max_tokens: int) -> Iterator[Piece]:
        for piece in super().answer(plan, max_tokens):
            time.sleep(self.pause_s)
            yield piece


def use_fakes() -> None:
    """Whatever model is named, the fake answers."""
    choosing.backbone_for = lambda *named: Slow()  # type: ignore[assignment]


def set_the_stage() -> None:
    if limit := int(os.environ.get("FILE_LIMIT", "0")):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    if os.environ.get("TERMINAL"):
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)


if __name__ == "__main__":
    set_the_stage()
    use_fakes()
    sys.exit(cli.main())
