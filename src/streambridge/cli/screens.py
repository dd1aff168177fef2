"""What a person, or a pipe, is shown: plain lines, JSON lines, or a live terminal. Knows events, not their origin.

Everything shown on a terminal is stripped of control characters: words of a model or a file name never steer it.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Protocol

from streambridge import wire
from streambridge.cli import forget
from streambridge.errors import RunFailed
from streambridge.types import (
    Answered,
    Asked,
    Delta,
    Dropped,
    Ended,
    Event,
    Failed,
    Forgot,
    Interrupted,
    Notice,
    OverBudget,
    Scored,
    Unwatched,
)

if TYPE_CHECKING:
    from rich.console import Console, ConsoleRenderable

REDRAW_S = 0.05  # seconds; quicker than an eye, and drawing costs as much as a small model's frame
Line = tuple[str, str, str]  # who, what, style


@dataclass(slots=True)
class View:
    """What the live line shows; filled in by whoever runs the stream.

    Attributes:
        t: stream time in seconds.
        duration_s: length of the stream, None when unknown.
        tokens: held in memory.
        max_len: the most that memory and an answer may take.
        behind: frames whose time had passed when the newest was taken.
        dropped: frames let go unseen.
    """

    t: float = 0.0
    duration_s: float | None = None
    tokens: int = 0
    max_len: int = 0
    behind: int = 0
    dropped: int = 0


class Screen(Protocol):
    """Shows events."""

    def show(self, event: Event) -> None:
        """Show one event.

        Raises:
            BrokenPipeError: when nobody reads any more.
            RunFailed: when it cannot be written.
        """
        ...

    def tick(self, view: View) -> None:
        """Show where the stream is, if it shows that; called often."""
        ...


class JsonLines:
    """Every event as a line of JSON, and nothing else."""

    def __init__(self, out: IO[str]) -> None:
        with suppress(AttributeError):  # a log is UTF-8 wherever it goes
            out.reconfigure(encoding="utf-8")  # type: ignore[attr-defined]  # what replaces stdout may lack it
        self._out = out

    def show(self, event: Event) -> None:
        """One line, at once."""
        _write(self._out, wire.to_json(event) + "\n")

    def tick(self, view: View) -> None:
        """Nothing."""


class Plain:
    """Finished sentences, one a line: for pipes and files."""

    def __init__(self, out: IO[str], speaker: str) -> None:
        with suppress(AttributeError):
            out.reconfigure(errors="replace")  # type: ignore[attr-defined]  # see JsonLines
        self._out, self._speaker = out, speaker
        self._cut = Cut()

    def show(self, event: Event) -> None:
        """A line, if the event is one that a person reads."""
        for who, what, _ in lines(self._cut(event), self._speaker):
            _write(self._out, f"{event.t:8.1f} s  {who:<6}  {what}\n")

    def tick(self, view: View) -> None:
        """Nothing."""


class Terminal:
    """Sentences as they are spoken, above a live line: score, tokens held, frames behind, and what is being typed.

    Args:
        speaker: the model's name.
        typing: what the person is typing; None when stdin is no keyboard.
        console: where to draw; default: the terminal.
    """

    def __init__(self, speaker: str, typing: Callable[[], str] | None = None, console: "Console | None" = None) -> None:
        from rich.console import Console
        from rich.live import Live

        self._console = console or Console(highlight=False, markup=False, emoji=False)
        self._out = self._console.file
        self._next = 0.0  # no earlier than this the live line is drawn anew
        self._speaker, self._typing = speaker, typing
        self._cut = Cut()
        self._view = View()
        self._scores: dict[str, Scored] = {}
        self._live = Live(console=self._console, auto_refresh=False, transient=True)

    def __enter__(self) -> "Terminal":
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._live.stop()

    def show(self, event: Event) -> None:
        """A line for a finished sentence; the live line for what is on its way."""
        if isinstance(event, Scored):
            self._scores[event.watch] = event
        elif isinstance(event, Unwatched):
            self._scores.pop(event.watch, None)
        for who, what, style in lines(self._cut(event), self._speaker):
            self._print(event.t, who, what, style)
        if isinstance(event, Delta):
            self._draw()

    def tick(self, view: View) -> None:
        """Draw the live line anew."""
        self._view = view
        self._draw()

    def _print(self, t: float, who: str, what: str, style: str) -> None:
        from rich.table import Table
        from rich.text import Text

        row = Table.grid(padding=(0, 2))
        row.add_column(width=10, justify="right", style="dim", no_wrap=True)
        row.add_column(width=8, style=f"bold {style}", no_wrap=True)
        row.add_column(overflow="fold")
        row.add_row(f"{t:.1f} s", who, Text(what, style=style if style == "dim" else ""))
        with _telling(self._out):
            self._console.print(row)

    def _draw(self) -> None:
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + REDRAW_S
        with _telling(self._out):
            self._live.update(self._picture(), refresh=True)

    def _picture(self) -> "ConsoleRenderable":
        from rich.console import Group
        from rich.text import Text

        parts = []
        if self._cut.words:
            parts.append(Text(f"{self._view.t:8.1f} s  {self._speaker}  {printable(self._cut.words)}"))
        parts.append(Text(self._line(), style="dim", no_wrap=True, overflow="ellipsis"))
        if self._typing is not None:
            parts.append(Text(f"ask > {printable(self._typing())}"))
        return Group(*parts)

    def _line(self) -> str:
        view = self._view
        length = f" of {view.duration_s:.1f}" if view.duration_s is not None else ""
        scores = [f"{name} {one.score:.2f}{' !' if one.fire else ''}" for name, one in list(self._scores.items())[-4:]]
        held = f"{view.tokens} of {view.max_len} tokens held"
        behind = f"{view.behind} frames behind" + (f", {view.dropped} dropped" if view.dropped else "")
        judged = ["score " + ", ".join(scores)] if scores else []
        return " · ".join([f"{view.t:8.1f}{length} s", *judged, held, behind])


class Cut:
    """The words of the answer being spoken, so that a cut one can be shown as far as it was heard."""

    def __init__(self) -> None:
        self.words = ""

    def __call__(self, event: Event) -> tuple[Event, str]:
        """The event, and what had been said before it of the answer that it ends."""
        said = self.words
        if isinstance(event, Delta):
            self.words += event.text
        elif isinstance(event, Answered | Interrupted | Ended):
            self.words = ""
        return event, said


def lines(seen: tuple[Event, str], speaker: str) -> Iterator[Line]:
    """What a person reads of an event: who speaks, what, and in which colour. Nothing for scores, words and merges."""
    event, said = seen
    match event:
        case Asked(text=text, id=id, when=when):
            yield "you", f"{printable(text)}  [{id}{'' if when == 'now' else ', ' + when}]", "cyan"
        case Answered(text=text, asked=asked):
            yield printable(speaker), f"{printable(text) or '(no words)'}  [{asked}]", "green"
        case Interrupted(answer=_):
            yield printable(speaker), f"{printable(said)} … (cut)", "green"
        case Unwatched(watch=watch, why=why) if why not in ("answered", "ended"):
            yield "note", f"{watch} is no longer watched for: {why}", "dim"
        case Forgot(rounds=rounds, turns=turns) if turns:
            yield "note", f"{turns} old turns were forgotten, in {rounds} rounds", "dim"
        case Dropped(frames=frames, reason=reason) if not (frames and reason == "memory"):
            what = f"{frames} frames were" if frames else "an answer was"
            yield "note", f"{what} dropped: {printable(reason)}", "dim"
        case OverBudget(tokens=tokens):
            yield "note", f"memory is over its budget: {tokens} tokens", "dim"
        case Notice(text=text):
            yield "note", printable(text), "dim"
        case Failed(error=error, what_next=what_next):
            yield "failed", f"{printable(error)}; {printable(what_next)}", "red"


def printable(text: str) -> str:
    """One line without anything that could steer a terminal."""
    return "".join(char if char.isprintable() else " " for char in " ".join(text.split()))


def _write(out: IO[str], text: str) -> None:
    with _telling(out):
        out.write(text)
        out.flush()


@contextmanager
def _telling(out: IO[str]) -> Iterator[None]:
    """Say in words what is wrong with stdout; a reader that has gone stays a BrokenPipeError."""
    try:
        yield
    except (OSError, ValueError) as err:  # ValueError: closed
        forget(out)
        if isinstance(err, BrokenPipeError):
            raise
        why: Any = err.strerror if isinstance(err, OSError) and err.strerror else err
        raise RunFailed(f"cannot write to standard output: {why}") from err
