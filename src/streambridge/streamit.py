"""Timeline <-> `streamit/1`, its file form: JSON Lines with integer milliseconds. Knows no data set and no model.

One sample a line, UTF-8, LF, keys in a fixed order, no blanks: what is read and written again is the same bytes if it
was written here. Only what a Timeline needs to be one is checked (types, order in time, who answers whom); what makes
a *good* sample is a validator's business. Times are rounded to the nearest millisecond, in `to_ms` and nowhere else.
"""

import difflib
import functools
import json
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, get_args

from streambridge.errors import BadInput, RunFailed
from streambridge.types import Media, Question, Reference, Timeline, When

SCHEMA = "streamit/1"
MOST_BYTES = 64 * 2**20  # of one line: hours of dense captions fit, a wrong file without line ends does not

# Top-level fields that a Timeline keeps in `meta` as they are, and those of turns kept in `meta["turns"][turn id]`.
META = {"task": str, "order": str, "split": str, "source": Mapping, "quirks": list, "policy": Mapping}
EXTRAS = ("qa_type", "options", "answer_index", "shiftable", "gen")

_HALVES = re.compile("[\ud800-\udfff]")  # of characters, alone: no UTF-8 says them
_CALLED = {"str": "text", "list": "list", "Mapping": "mapping"}
_BEFORE = ("task", "order", "split", "source")  # stand before the media, the rest of META after the turns
_TOP = ("schema", "id", *_BEFORE, "media", "duration_ms", "turns", "quirks", "policy")
_MEDIA = ("uri", "in_ms", "out_ms", "at_ms")
_TURN = {
    "user": ("id", "role", "t_ms", "kind", "text", "when", "once", "expires_ms", *EXTRAS),
    "assistant": ("id", "role", "t_ms", "kind", "text", "reply_to", "evidence", "learn", *EXTRAS),
}


def to_ms(t: float) -> int:
    """Seconds as whole milliseconds, the nearest ones.

    Raises:
        BadInput: when `t` is no finite number.
    """
    if not isinstance(t, int | float) or not math.isfinite(t):
        raise BadInput(f"a time is a finite number of seconds; this one is {t!r}")
    return round(t * 1000)


def to_s(ms: int) -> float:
    """Milliseconds as seconds; `to_ms` brings back the same."""
    return ms / 1000


# ---------------------------------------------------------------------------------------------- writing


def to_line(timeline: Timeline) -> str:
    """One line of JSON in canonical form, without its line end.

    Raises:
        BadInput: when the timeline cannot be said so that `from_line` would take it.
    """
    meta = dict(timeline.meta)
    extras = meta.pop("turns", {})
    _only(meta, META, "meta")
    _only(extras, dict.fromkeys(turn.id for turn in timeline.turns), "meta.turns")
    when = _usual(meta.get("order"))
    said = {
        "schema": SCHEMA,
        "id": timeline.id,
        **{name: meta.pop(name) for name in _BEFORE if name in meta},
        "media": [_said_media(media) for media in timeline.media],
        "duration_ms": to_ms(timeline.duration_s),
        "turns": [_said_turn(turn, when) | _said_extras(extras.get(turn.id, {})) for turn in timeline.turns],
        **{name: meta[name] for name in _TOP if name in meta},
    }
    try:
        line = json.dumps(said, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
        line.encode("utf-8")
    except (TypeError, ValueError, RecursionError) as err:
        raise BadInput(f"{timeline.id!r} cannot be written as {SCHEMA}: {err}") from err
    from_line(line)  # what would not be read is not written
    return line


def write(path: str | os.PathLike[str], timelines: Iterable[Timeline]) -> int:
    """Write timelines to a file, one a line, and say how many.

    Raises:
        BadInput: as `to_line`.
        RunFailed: when the file cannot be written.
    """
    count = 0
    try:
        with open(path, "w", encoding="utf-8", newline="\n") as file:
            for timeline in timelines:
                file.write(to_line(timeline) + "\n")
                count += 1
    except OSError as err:
        raise RunFailed(f"cannot write {path}: {err.strerror or err}") from err
    return count


def _said_media(media: Media) -> dict[str, Any]:
    return {"uri": media.uri, "in_ms": to_ms(media.start_s), "out_ms": to_ms(media.end_s), "at_ms": to_ms(media.at_s)}


def _said_turn(turn: Question | Reference, usual: When) -> dict[str, Any]:
    """A turn with its fields in canonical order; what is as usual is left out."""
    if isinstance(turn, Reference):
        spans = [[to_ms(start), to_ms(end)] for start, end in turn.evidence]
        said = {"id": turn.id, "role": "assistant", "t_ms": to_ms(turn.t)}
        said |= ({"kind": turn.kind} if turn.kind else {}) | {"text": turn.text}
        return said | {"reply_to": turn.reply_to, "evidence": spans, "learn": turn.learn}
    said = {"id": turn.id, "role": "user", "t_ms": to_ms(turn.t)}
    said |= ({"kind": turn.kind} if turn.kind else {}) | {"text": turn.text}
    said |= ({"when": turn.when} if turn.when != usual else {}) | ({"once": True} if turn.once else {})
    return said | ({} if turn.expires_s is None else {"expires_ms": to_ms(turn.expires_s)})


def _said_extras(own: Mapping[str, Any]) -> dict[str, Any]:
    _only(own, EXTRAS, "meta.turns")
    return {name: own[name] for name in EXTRAS if name in own}


def _usual(order: object) -> When:
    """What a question is when nothing is said: a proactive sample watches, any other asks."""
    return "watch" if order == "proactive" else "now"


# ---------------------------------------------------------------------------------------------- reading


def from_line(line: str) -> Timeline:
    """The Timeline that a line says.

    Raises:
        BadInput: `field: rule; got value`, when a field is unknown, missing or not what it should be, when turns are
            not in order of time, or when an answer replies to no earlier question.
    """
    said = _parse(line)
    _only(said, _TOP, "a sample")
    _expect(said.get("schema") == SCHEMA, "schema", f"is {SCHEMA!r}", said.get("schema"))
    meta = {name: _kept(name, said[name], kind) for name, kind in META.items() if name in said}
    duration = _whole(said, "duration_ms", least=1)
    media = tuple(_media(part, f"media[{i}]") for i, part in enumerate(_list(said, "media")))
    turns = [_turn(part, f"turns[{i}]", _usual(meta.get("order"))) for i, part in enumerate(_list(said, "turns"))]
    _check_order(turns, duration)
    extras = {part["id"]: {name: part[name] for name in EXTRAS if name in part} for part in said["turns"]}
    extras = {name: own for name, own in extras.items() if own}
    meta |= {"turns": extras} if extras else {}
    return Timeline(_text(said, "id"), media, to_s(duration), tuple(turns), meta)


def read(path: str | os.PathLike[str]) -> Iterator[Timeline]:
    """The timelines of a file, one by one. Blank lines are passed over.

    Raises:
        BadInput: when the file cannot be read, or `file:line: field: rule` when a line is no sample.
    """
    try:
        with open(path, "rb") as file:
            for number, line in enumerate(iter(functools.partial(file.readline, MOST_BYTES), b""), start=1):
                if line.strip():
                    yield _one(line, f"{path}:{number}")
    except OSError as err:
        raise BadInput(f"cannot read {path}: {err.strerror or err}") from err


def _one(line: bytes, place: str) -> Timeline:
    try:
        _expect(len(line) < MOST_BYTES, "line", f"is shorter than {MOST_BYTES} bytes", len(line))
        return from_line(line.decode("utf-8"))
    except ValueError as err:  # BadInput is one, and so is what decode raises
        raise BadInput(f"{place}: {err}") from err


def _parse(line: str) -> dict[str, Any]:
    try:
        said = json.loads(line, object_pairs_hook=_once, parse_constant=_refuse)
    except (ValueError, RecursionError) as err:
        raise BadInput(f"line: is JSON ({err}); got {_short(line)}") from err
    _expect(isinstance(said, dict), "line", "is a JSON object", said)
    return dict(said)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a key stands twice")
    return dict(pairs)


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is no JSON number")


def _media(part: Any, field: str) -> Media:
    _only(part, _MEDIA, field)
    start, end, at = (_whole(part, name, field) for name in ("in_ms", "out_ms", "at_ms"))
    _expect(start < end, f"{field}.out_ms", f"lies after in_ms = {start}", end)
    return Media(_text(part, "uri", field), to_s(start), to_s(end), to_s(at))


def _turn(part: Any, field: str, usual: When) -> Question | Reference:
    role = part.get("role") if isinstance(part, Mapping) else None
    _expect(role in ("user", "assistant"), f"{field}.role", "is user or assistant", role)
    _only(part, _TURN[str(role)], field)
    name, t, text = _text(part, "id", field), to_s(_whole(part, "t_ms", field)), _text(part, "text", field)
    if role == "assistant":
        spans = tuple(
            _span(span, f"{field}.evidence[{i}]") for i, span in enumerate(_list(part, "evidence", field, []))
        )
        learn, kind = _truth(part, "learn", field, True), _text(part, "kind", field) if "kind" in part else ""
        return Reference(name, t, text, _text(part, "reply_to", field), spans, learn, kind)
    when = part.get("when", usual)
    _expect(when in get_args(When), f"{field}.when", "is one of " + ", ".join(get_args(When)), when)
    expires = to_s(_whole(part, "expires_ms", field)) if "expires_ms" in part else None
    kind = _text(part, "kind", field) if "kind" in part else ""
    return Question(name, t, text, when, kind, _truth(part, "once", field, False), expires)


def _span(span: Any, field: str) -> tuple[float, float]:
    whole = isinstance(span, list) and len(span) == 2 and all(type(ms) is int and ms >= 0 for ms in span)
    _expect(whole and span[0] <= span[1], field, "is [start, end] in whole milliseconds, start not after end", span)
    return to_s(span[0]), to_s(span[1])


def _check_order(turns: list[Question | Reference], duration: int) -> None:
    asked: set[str] = set()
    known: set[str] = set()
    newest = 0
    for i, turn in enumerate(turns):
        ms = to_ms(turn.t)
        _expect(newest <= ms <= duration, f"turns[{i}].t_ms", f"lies in [{newest}, {duration}]: never back in time", ms)
        _expect(turn.id not in known, f"turns[{i}].id", "stands once in a sample", turn.id)
        if isinstance(turn, Reference):
            _expect(turn.reply_to in asked, f"turns[{i}].reply_to", "is the id of an earlier user turn", turn.reply_to)
        else:
            asked.add(turn.id)
        known.add(turn.id)
        newest = ms


# ---------------------------------------------------------------------------------------------- one field


def _expect(holds: bool, field: str, rule: str, value: object) -> None:
    if not holds:
        raise BadInput(f"{field}: {rule}; got {_short(value)}")


def _only(part: Any, known: Iterable[str], field: str) -> None:
    _expect(isinstance(part, Mapping), field, "is a mapping", part)
    for name in part:
        if name in known:
            continue
        near = difflib.get_close_matches(str(name), list(known), n=1)
        hint = f"did you mean {near[0]!r}?" if near else "there are: " + ", ".join(known)
        _expect(False, f"{name}", f"{field} has no such field, {hint}", part[name])


def _need(part: Mapping[str, Any], name: str, field: str) -> tuple[Any, str]:
    place = f"{field}.{name}" if field else name
    if name not in part:
        raise BadInput(f"{place}: this field is missing")
    return part[name], place


def _text(part: Mapping[str, Any], name: str, field: str = "") -> str:
    value, place = _need(part, name, field)
    good = isinstance(value, str) and bool(value.strip()) and not _HALVES.search(value)
    _expect(good, place, "is a text that is not empty", value)
    return str(value)


def _whole(part: Mapping[str, Any], name: str, field: str = "", least: int = 0) -> int:
    value, place = _need(part, name, field)
    _expect(type(value) is int and least <= value < 2**50, place, f"is a whole number from {least} on", value)
    return int(value)


def _truth(part: Mapping[str, Any], name: str, field: str, usual: bool) -> bool:
    value = part.get(name, usual)
    _expect(isinstance(value, bool), f"{field}.{name}", "is true or false", value)
    return bool(value)


def _list(part: Mapping[str, Any], name: str, field: str = "", usual: list[Any] | None = None) -> list[Any]:
    value, place = _need(part, name, field) if usual is None else (part.get(name, usual), f"{field}.{name}")
    _expect(isinstance(value, list), place, "is a list", value)
    return list(value)


def _kept(name: str, value: Any, kind: type) -> Any:
    _expect(isinstance(value, kind), name, f"is a {_CALLED[kind.__name__]}", value)
    return value


def _short(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else shown[:57] + "..."
