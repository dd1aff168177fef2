"""Event <-> JSON Lines, and captions: the only file that knows the format of the event log. Knows no session.

One event a line, UTF-8, `type` and `t` first, then the fields in the order of `types.py`. Floats are written so that
they come back to the last bit. Reading is strict, since scores are computed from logs: a field that is unknown,
missing or of the wrong type is an error that names it.
"""

import dataclasses
import difflib
import functools
import json
import math
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from numbers import Integral, Real
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, get_args, get_origin, get_type_hints

from streambridge import types
from streambridge.errors import BadInput, RunFailed
from streambridge.types import Answered, Asked, Delta, Event, Interrupted, Notice

MOST_BYTES = 16 * 2**20  # of one line; far above any event, far below what a wrong file without line ends would take
CAPTION_S = 4.0  # how long a caption stays when no other answer comes

# Legal inside a JSON string, but some readers break lines there, and lone surrogates have no UTF-8.
_ESCAPED = re.compile("[\x7f\x85\u2028\u2029\ud800-\udfff]")


# ---------------------------------------------------------------------------------------------- one event


def to_json(event: Event) -> str:
    """One line of JSON, without its line end.

    Tuples inside `settings` are written as lists; all else comes back equal.

    Raises:
        BadInput: when a field holds what the log cannot: NaN, infinity, an object, a key that is no text.
    """
    fields = _fields(_known(getattr(event, "type", None)))
    values = {name: _value(event.type, name, hint, getattr(event, name)) for name, hint in fields.items()}
    line = json.dumps({"type": event.type, **values}, allow_nan=False, ensure_ascii=False)
    return _ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", line)


def from_json(line: str) -> Event:
    """The event that a line of JSON says.

    Raises:
        BadInput: when the line is no JSON object, or its type, a field or a value is not what it should be.
    """
    said = _parse(line)
    name = _known(said.pop("type", None))
    fields = _fields(name)
    for field in said:
        if field not in fields:
            raise BadInput(f"{name}.{field}: no such field{_nearest(field, fields)}")
    missing = [field for field in _required(name) if field not in said]
    if missing:
        raise BadInput(f"{name}.{missing[0]}: this field is missing")
    return _kinds()[name](**{field: _value(name, field, fields[field], value) for field, value in said.items()})


def _known(name: object) -> str:
    if not isinstance(name, str) or name not in _kinds():
        raise BadInput(f"type: no event called {name!r}{_nearest(name, _kinds())}")
    return name


def _parse(line: str) -> dict[str, Any]:
    try:
        said = json.loads(line, object_pairs_hook=_once)
    except (ValueError, RecursionError) as err:
        raise BadInput(f"not a line of JSON ({err}): {line[:60]!r}") from err
    if not isinstance(said, dict):
        raise BadInput(f'an event is a JSON object such as {{"type": "ended", "t": 1.0}}; this is {line[:60]!r}')
    return said


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    said = dict(pairs)
    if len(said) < len(pairs):
        raise ValueError("a key stands twice")
    return said


def _nearest(name: object, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(str(name), list(known), n=1)
    return (f"; did you mean {near[0]!r}?" if near else ";") + f" There are: {', '.join(sorted(known))}"


# ---------------------------------------------------------------------------------------------- what an event holds


@functools.cache
def _kinds() -> Mapping[str, type[Event]]:
    # Not Event.__subclasses__(): a dataclass with slots leaves its first, unfinished self there for a while.
    found = (kind for kind in vars(types).values() if isinstance(kind, type) and issubclass(kind, Event))
    return {kind.type: kind for kind in found if kind is not Event}


@functools.cache
def _fields(name: str) -> Mapping[str, Any]:
    hints = get_type_hints(_kinds()[name])
    return {field.name: hints[field.name] for field in dataclasses.fields(_kinds()[name])}  # Event's own `t` is first


@functools.cache
def _required(name: str) -> tuple[str, ...]:
    absent, own = dataclasses.MISSING, dataclasses.fields(_kinds()[name])
    return tuple(field.name for field in own if field.default is absent and field.default_factory is absent)


def _value(kind: str, name: str, hint: Any, value: Any) -> Any:
    try:
        return _as(hint, value)
    except (ValueError, RecursionError) as err:
        raise BadInput(f"{kind}.{name}: expected {err}; got {_short(value)}") from None


def _as(hint: Any, value: Any) -> Any:
    """The value as that type, plain (numpy's numbers become Python's); raises ValueError(what was expected)."""
    if get_origin(hint) is Literal:
        return _expect(value in get_args(hint), "one of " + ", ".join(get_args(hint)), value)
    if get_origin(hint) is Mapping:
        keys = isinstance(value, Mapping) and all(isinstance(key, str) for key in value)
        _expect(keys, "a mapping whose keys are texts", value)
        return {key: _as(get_args(hint)[1], inner) for key, inner in value.items()}
    if hint is Any:
        return _anything(value)
    if hint in (str, bool):
        return _expect(isinstance(value, hint), "a text" if hint is str else "true or false", value)
    if hint is int:
        return int(_expect(isinstance(value, Integral) and not isinstance(value, bool), "a whole number", value))
    return float(_expect(_is_finite(value), "a finite number", value))


def _anything(value: Any) -> Any:
    """What JSON can say, and nothing else."""
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, list | tuple):
        return [_anything(inner) for inner in value]
    hints = ((Mapping, Mapping[str, Any]), (Integral, int), (Real, float))
    hint = next((hint for kind, hint in hints if isinstance(value, kind)), None)
    _expect(hint is not None, "what JSON can say: texts, numbers, true, false, null, lists, mappings", value)
    return _as(hint, value)


def _expect(holds: bool, expected: str, value: Any) -> Any:
    if not holds:
        raise ValueError(expected)
    return value


def _is_finite(value: Any) -> bool:
    with suppress(OverflowError):  # an int beyond all floats
        return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    return False


def _short(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else shown[:57] + "..."


# ---------------------------------------------------------------------------------------------- a log of them


def read(path: str | os.PathLike[str]) -> Iterator[Event]:
    """The events of a log, one by one, without holding more than a line.

    A last line without its line end was cut by a crash while it was written: unless it is whole all the same, a
    Notice stands in its place. Blank lines are passed over.

    Raises:
        BadInput: when the file cannot be read, or a line is no event; the message begins with `file:line:`.
    """
    t = 0.0
    for number, line in _lines(path):
        try:
            event = from_json(line.decode("utf-8"))
        except ValueError as err:  # BadInput is one, and so is what decode raises
            if not line.endswith(b"\n"):
                yield Notice(t=t, text=f"{path}:{number}: the last line was cut while being written and is left out")
                return
            raise BadInput(f"{path}:{number}: {err}") from err
        yield event
        t = event.t


def _lines(path: str | os.PathLike[str]) -> Iterator[tuple[int, bytes]]:
    try:
        with open(path, "rb") as file:
            for number, line in enumerate(iter(functools.partial(file.readline, MOST_BYTES), b""), start=1):
                if len(line) == MOST_BYTES and not line.endswith(b"\n"):
                    raise BadInput(f"{path}:{number}: a line of more than {MOST_BYTES} bytes is no event")
                if line.strip():
                    yield number, line
    except OSError as err:
        raise BadInput(f"cannot read the log {path}: {err.strerror or err}") from err


class Journal:
    """Writes events to a file, each with its line end in one go and past any buffer: what was said is on disk.

    When a write fails (disk full, file closed), what was written before stays as whole lines, RunFailed is raised
    once, and later events are counted in `unwritten` and raise no more: whoever ends the stream in order after the
    first failure is not stopped by the next.

    Args:
        path: the file to write; what it held before is replaced.

    Raises:
        RunFailed: when the file cannot be opened for writing.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.unwritten = 0
        try:
            self._file = open(path, "wb", buffering=0)
        except OSError as err:
            raise RunFailed(f"cannot write the events to {path}: {err.strerror or err}") from err

    def write(self, event: Event) -> None:
        """Put one event on disk.

        Raises:
            BadInput: when the event cannot be said in JSON; nothing is written then.
            RunFailed: when the write fails, the first time only.
        """
        line = to_json(event).encode("utf-8") + b"\n"
        if self.unwritten:
            self.unwritten += 1
            return
        try:
            self._put(line)
        except (OSError, ValueError) as err:  # a closed file raises ValueError
            self.unwritten = 1
            self.close()
            why = err.strerror if isinstance(err, OSError) and err.strerror else err
            raise RunFailed(f"cannot write the events to {self.path}: {why}; what was written before is whole") from err

    def close(self) -> None:
        """Close the file; twice is fine."""
        with suppress(OSError):
            self._file.close()

    def _put(self, line: bytes) -> None:
        regular = stat.S_ISREG(os.fstat(self._file.fileno()).st_mode)  # a pipe has no place to go back to
        start = self._file.tell() if regular else 0
        try:
            while line:
                line = line[self._file.write(line) or 0 :]
        except OSError:
            if regular:
                with suppress(OSError):
                    self._file.truncate(start)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, err: BaseException | None, at: TracebackType | None) -> None:
        self.close()


# ---------------------------------------------------------------------------------------------- captions


def to_vtt(events: Iterable[Event]) -> str:
    """WebVTT captions of the answers, ready for a player beside the video.

    An answer is shown from the moment it fired until the next one, at most four seconds. One that was cut is shown as
    far as it was heard. Each question stands in a NOTE. Answers without words make no caption.
    """
    notes: list[tuple[float, str]] = []
    said: list[tuple[float, str]] = []
    heard: dict[str, list[Delta]] = {}
    for event in events:
        if isinstance(event, Asked):
            notes.append((event.t, f"NOTE {event.id} at {event.t:g} s: {' '.join(_escape(event.text).split())}"))
        elif isinstance(event, Delta):
            heard.setdefault(event.answer, []).append(event)
        elif isinstance(event, Answered):
            heard.pop(event.answer, None)
            said.append((event.t_fired, event.text))
        elif isinstance(event, Interrupted) and event.answer in heard:
            words = heard.pop(event.answer)
            said.append((words[0].t, "".join(delta.text for delta in words) + " …"))
    blocks = sorted(notes + _cues(said), key=lambda block: block[0])  # stable: a question before its answer
    return "\n\n".join(["WEBVTT", *(block for _, block in blocks)]) + "\n"


def _cues(said: list[tuple[float, str]]) -> list[tuple[float, str]]:
    starts = sorted({start for start, _ in said})
    until = {one: min(other, one + CAPTION_S) for one, other in zip(starts, [*starts[1:], math.inf], strict=False)}
    return [
        (start, f"{_clock(_ms(start))} --> {_clock(max(_ms(until[start]), _ms(start) + 1))}\n{_escape(text)}")
        for start, text in said
        if text.strip()
    ]


def _escape(text: str) -> str:
    """As WebVTT wants it: no markup, no arrow, and no blank line, which would end the caption."""
    for char, name in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        text = text.replace(char, name)
    return "\n".join(line.strip() for line in text.splitlines() if line.strip())


def _ms(t: float) -> int:
    return max(0, round(t * 1000))


def _clock(ms: int) -> str:
    minutes, rest = divmod(ms, 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest // 1000:02d}.{rest % 1000:03d}"
