"""Labelled moments: what a person wants to be told, and when, in clips of their own. Knows no gate and opens no clip.

Three forms, told apart by what stands in them:

    clip,watch,t,text                                          a CSV file with this head; t in seconds of the clip
    {"clip": ..., "watch": ..., "t": ..., "text": ...}         JSON Lines, one moment a line
    {"schema": "streamit/1", ...}                              streamit/1, whose `media` names the clip

A line whose `t` and `text` are both empty (or left out) says: this is watched for here, and nothing should be said.
"""

from __future__ import annotations

import csv
import difflib
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from streambridge import streamit
from streambridge.errors import BadInput
from streambridge.types import Timeline

COLUMNS: Final = ("clip", "watch", "t", "text")
MOST_BYTES: Final = 64 * 2**20  # of a file of labels; a million moments
FORMS: Final = "a CSV file with the columns clip,watch,t,text, JSON Lines with these fields, or streamit/1"
_WORLD: Final = re.compile(r"world:test/(\d+)\?s=")  # what a timeline calls the world that `world:SEED` shows


@dataclass(frozen=True, slots=True)
class Moment:
    """One line of labels.

    Attributes:
        t: seconds of the clip.
        text: what should be said.
        where: file and line, for whoever has to mend it.
    """

    t: float
    text: str
    where: str


@dataclass(frozen=True, slots=True)
class Wish:
    """What is watched for in one clip, and all the moments at which something should be said.

    Attributes:
        clip: as it was typed on the command line.
        watch: the question.
        moments: in order of time; may be none.
        asked: seconds of the clip at which it is put.
        once: only the first moment counts.
        where: file and line of its first label.
    """

    clip: str
    watch: str
    moments: tuple[Moment, ...]
    asked: float = 0.0
    once: bool = False
    where: str = ""


@dataclass(frozen=True, slots=True)
class _Line:
    clip: str
    watch: str
    moment: Moment | None
    where: str
    asked: float = 0.0
    once: bool = False


def read(path: str | Path, clips: Sequence[str]) -> list[Wish]:
    """The wishes of a file, by clip in the order given, then by question in the order of the file.

    Args:
        path: the file.
        clips: as typed; a label names one as typed, or by its file's name with or without ending.

    Raises:
        BadInput: `file:line: what came; what was expected`, also for a clip that has no label.
    """
    names = _names(clips)
    found: dict[tuple[str, str], list[_Line]] = {}
    for line in _lines(Path(path)):
        clip = _clip(line, names, clips)
        found.setdefault((clip, line.watch), []).append(line)
    if not found:
        raise BadInput(f"{path} holds no label; expected {FORMS}")
    for clip in clips:
        if not any(named == clip for named, _ in found):
            hint = f"write a line with clip and watch and an empty t and text: {clip},WATCH,,"
            raise BadInput(f"{path} has no label for {clip!r}; when nothing should be said in it, {hint}")
    ordered = sorted(found, key=lambda key: list(clips).index(key[0]))  # stable: questions as in the file
    return [_wish(clip, watch, found[clip, watch]) for clip, watch in ordered]


def check(wish: Wish, duration_s: float) -> None:
    """Refuse moments that lie beyond the clip.

    Raises:
        BadInput: with file and line.
    """
    for where, t in [(wish.where, wish.asked), *((one.where, one.t) for one in wish.moments)]:
        if t > duration_s + 1e-6:
            raise BadInput(f"{where}: t is {t:g} s, and {wish.clip!r} lasts {duration_s:g} s")


def _wish(clip: str, watch: str, lines: Sequence[_Line]) -> Wish:
    told = sorted((line.moment for line in lines if line.moment is not None), key=lambda one: one.t)
    for before, one in zip(told, told[1:], strict=False):
        if before.t == one.t:
            raise BadInput(f"{one.where}: the moment {one.t:g} s of {watch!r:.60} in {clip!r} stands there twice")
    first = lines[0]
    for line in lines:
        if (line.asked, line.once) != (first.asked, first.once):
            raise BadInput(f"{line.where}: {watch!r:.60} is put twice in {clip!r}; expected once a clip")
    return Wish(clip, watch, tuple(told), first.asked, first.once, first.where)


# ---------------------------------------------------------------------------------------------- which clip is meant


def _names(clips: Sequence[str]) -> dict[str, set[str]]:
    """What a label may call a clip -> the clips that it may mean."""
    names: dict[str, set[str]] = {}
    for clip in clips:
        path = Path(clip)
        for name in {clip, path.name, path.stem} - {""}:
            names.setdefault(name, set()).add(clip)
    return names


def _clip(line: _Line, names: Mapping[str, set[str]], clips: Sequence[str]) -> str:
    world = _WORLD.match(line.clip)
    named = f"world:{world[1]}" if world else line.clip
    meant = {named} if named in clips else names.get(named, set())
    if len(meant) == 1:
        return next(iter(meant))
    if meant:
        raise BadInput(f"{line.where}: clip {line.clip!r} may be {' or '.join(sorted(meant))}; write it as it is typed")
    raise BadInput(f"{line.where}: the clip {line.clip!r} was not given{_near(line.clip, clips)} Given: {_some(clips)}")


def _some(clips: Sequence[str]) -> str:
    return ", ".join(clips[:6]) + (f" and {len(clips) - 6} more" if len(clips) > 6 else "")


def _near(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else "."


# ---------------------------------------------------------------------------------------------- the three forms


def _lines(path: Path) -> Iterator[_Line]:
    text = _text(path)
    head = text.lstrip()[:1]
    if head != "{":
        yield from _from_csv(path, text)
    elif _is_streamit(text):
        yield from _from_streamit(path)
    else:
        yield from _from_json(path, text)


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise BadInput(f"{path} has more than {MOST_BYTES} bytes; expected {FORMS}")
        return path.read_text(encoding="utf-8-sig")  # a table program writes a mark before the first word
    except (OSError, UnicodeDecodeError) as err:
        why = getattr(err, "strerror", None) or "it is no UTF-8 text"
        raise BadInput(f"cannot read the labels {path}: {why}; expected {FORMS}") from err


def _from_csv(path: Path, text: str) -> Iterator[_Line]:
    rows = csv.reader(text.splitlines(keepends=True), strict=True)
    try:
        head = [name.strip() for name in next(rows, [])]
        _expect_columns(head, f"{path}:1")
        for row in rows:
            where = f"{path}:{rows.line_num}"
            if not any(cell.strip() for cell in row):
                continue
            if len(row) != len(head):
                raise BadInput(f"{where}: {len(row)} cells under {len(head)} columns; put texts with commas in quotes")
            yield _checked(dict(zip(head, row, strict=True)), where)
    except csv.Error as err:
        raise BadInput(f"{path}:{rows.line_num}: this is no CSV ({err}); expected {FORMS}") from err


def _expect_columns(head: Sequence[str], where: str) -> None:
    for name in head:
        if name not in COLUMNS:
            hint = f"{_near(name, COLUMNS)} There are: {', '.join(COLUMNS)}"
            raise BadInput(f"{where}: there is no column {name!r:.60}{hint}")
    for name in ("clip", "watch", "t", "text"):
        if head.count(name) != 1:
            count, hint = head.count(name), ",".join(COLUMNS)
            raise BadInput(f"{where}: the column {name!r} stands there {count} times; expected the head {hint}")


def _from_json(path: Path, text: str) -> Iterator[_Line]:
    for number, line in enumerate(text.split("\n"), start=1):
        where = f"{path}:{number}"
        if not line.strip():
            continue
        try:
            said = json.loads(line)
        except (ValueError, RecursionError) as err:
            raise BadInput(f"{where}: this is no line of JSON ({err}); expected {FORMS}") from err
        if not isinstance(said, dict):
            raise BadInput(f"{where}: expected an object with {', '.join(COLUMNS)}; got {line[:60]!r}")
        for name in said:
            if name not in COLUMNS:
                hint = f"{_near(name, COLUMNS)} There are: {', '.join(COLUMNS)}"
                raise BadInput(f"{where}: there is no field {name!r:.60}{hint}")
        yield _checked(said, where)


def _is_streamit(text: str) -> bool:
    try:
        first = json.loads(text.lstrip().split("\n", 1)[0])
    except (ValueError, RecursionError):
        return False
    return isinstance(first, dict) and "schema" in first


def _from_streamit(path: Path) -> Iterator[_Line]:
    for number, timeline in enumerate(streamit.read(path), start=1):
        where = f"{path}: timeline {number}, {timeline.id!r}"
        if len(timeline.media) != 1 or timeline.media[0].start_s or timeline.media[0].at_s:
            raise BadInput(f"{where}: expected one video from its beginning, since labels are laid beside a whole clip")
        yield from _of_timeline(timeline, where)


def _of_timeline(timeline: Timeline, where: str) -> Iterator[_Line]:
    clip = timeline.media[0].uri
    for question in timeline.questions:
        if question.when == "now":
            continue
        answers = [one for one in timeline.references if one.reply_to == question.id]
        moments: list[Moment | None] = [Moment(one.t, one.text, f"{where}, {one.id}") for one in answers]
        for moment in moments or [None]:
            place = f"{where}, {question.id}"
            yield _Line(clip, question.text, moment, place, question.t, question.once)


def _checked(said: Mapping[str, Any], where: str) -> _Line:
    """One moment of CSV or JSON."""
    clip, watch = (_word(said, name, where) for name in ("clip", "watch"))
    t, text = said.get("t"), said.get("text")
    nothing = [value is None or (isinstance(value, str) and not value.strip()) for value in (t, text)]
    if all(nothing):
        return _Line(clip, watch, None, where)
    if nothing[1]:
        raise BadInput(f"{where}: text is empty; expected what should be said at {t} s (t empty too: nothing)")
    if not isinstance(text, str):
        raise BadInput(f"{where}: text is {text!r:.60}; expected what should be said")
    return _Line(clip, watch, Moment(_seconds(t, where), text.strip(), where), where)


def _word(said: Mapping[str, Any], name: str, where: str) -> str:
    value = said.get(name)
    if not isinstance(value, str) or not value.strip():
        raise BadInput(f"{where}: {name} is {'missing' if value is None else 'empty' if value == '' else repr(value)}")
    return value.strip()


def _seconds(value: Any, where: str) -> float:
    try:
        t = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        t = math.nan
    if not math.isfinite(t) or t < 0:
        raise BadInput(f"{where}: t is {value!r:.60}; expected seconds of the clip, 0 or more, e.g. 12.5")
    return t
