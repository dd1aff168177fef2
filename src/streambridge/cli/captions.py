"""`--vtt FILE`: the answers as captions, written when the stream ends. Knows no format: `wire` does."""

import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from streambridge import wire
from streambridge.errors import RunFailed
from streambridge.types import Answered, Asked, Delta, Ended, Event, Interrupted


class Captions:
    """Takes note of what is asked and answered, and writes it down at the end.

    Raises:
        RunFailed: when the file cannot be written: at once if it cannot be opened.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._events: list[Event] = []
        self._written = False
        self._write()  # what cannot be written is told before a model is read, not after an hour
        self._written = False

    def __call__(self, event: Event) -> None:
        """Take note; at the end, write."""
        if isinstance(event, Answered):
            self._events = [one for one in self._events if not (isinstance(one, Delta) and one.answer == event.answer)]
        if isinstance(event, Asked | Delta | Answered | Interrupted):
            self._events.append(event)
        if isinstance(event, Ended):
            self._write()

    def _write(self) -> None:
        self._written = True
        try:
            self.path.write_text(wire.to_vtt(self._events), encoding="utf-8")
        except OSError as err:
            raise RunFailed(f"cannot write the captions to {self.path}: {err.strerror or err}") from err

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, err: BaseException | None, at: TracebackType | None) -> None:
        if not self._written:  # the stream did not end in order; what was said is worth keeping all the same
            with suppress(RunFailed):
                self._write()
