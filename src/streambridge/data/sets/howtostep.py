"""HowToStep: steps that a language model wrote from speech and placed in how-to videos. Knows no videos.

The layout of the published file could not be checked, so nothing is guessed. Read are (a) the rows of E.T. Instruct
that come from it (task `slc`, source `how_to_step`; docs/DATASET.md of that project), and (b), when the policy's
options name the fields, rows with one list of words, one of starts and one of ends a video. A field that is neither
named nor ignored makes a row an error. The steps were made by machines: overlaps and wrong ones are to be expected.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

from streambridge.data import spans, words
from streambridge.data.drafting import Draft
from streambridge.data.rows import Row
from streambridge.data.source_set import Given, Input, Reject, SourceSet, listed, mapping
from streambridge.data.spans import Raw
from streambridge.errors import BadInput
from streambridge.types import Timeline

ET_TASK: Final = ("slc", "how_to_step")
ET_FIELDS: Final = ("task", "source", "video", "duration", "conversations", "src", "tgt")
_TIME: Final = r"(\d{1,7}(?:\.\d{1,6})?|<vid>)"
_STEP: Final = re.compile(rf"(?<![\w.]){_TIME}\s{{0,3}}-\s{{0,3}}{_TIME}(?:\s{{0,3}}s(?:econds?)?)?\s{{0,3}}[,:]")
_BETWEEN: Final = " \t\r\n;"  # steps


@dataclass(frozen=True, slots=True)
class Fields:
    """What the fields of a row are called; a name that is empty stands beside the row, as told here.

    Attributes:
        video: its id; empty: the row's key, in a file that is a mapping of videos.
        text: the list of steps.
        start: the list of their starts, in seconds.
        end: the list of their ends, in seconds.
        duration: of the video, in seconds; empty: in the input `durations`.
        ignore: fields that are known and not needed.
    """

    video: str
    text: str
    start: str
    end: str
    duration: str
    ignore: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        places = [field.name for field in fields(self) if field.name not in ("video", "duration", "ignore")]
        if empty := [place for place in places if not getattr(self, place).strip()]:
            raise BadInput(f"howtostep: fields: {empty[0]} names a field of the rows; it is empty")
        named = [name for name in (*self.named, *self.ignore) if name]
        if twice := [name for name in named if named.count(name) > 1]:
            raise BadInput(f"howtostep: fields: each field of the rows has one meaning; {twice[0]!r} has two")

    @property
    def named(self) -> tuple[str, ...]:
        """The fields that a row must have."""
        return tuple(name for name in (self.video, self.text, self.start, self.end, self.duration) if name)


@dataclass(frozen=True, slots=True)
class Options:
    """How rows of another layout are read.

    Attributes:
        fields: what their fields are called; without them only rows of E.T. Instruct are read.
    """

    fields: Fields | None = None


def convert(row: Row, given: Given) -> Iterator[Timeline]:
    """One row: one video."""
    declared = given.options.fields
    yield _instruct(row, given) if declared is None else _declared(row, given, declared)


# ---------------------------------------------------------------------------------------------- a declared layout


def _declared(row: Row, given: Given, names: Fields) -> Timeline:
    said = _known(row.value, names.named, (*names.named, *names.ignore))
    video = words.stem(words.known_id(said[names.video] if names.video else row.key))
    length = said[names.duration] if names.duration else _length(given, video)
    starts, ends, texts = (listed(said[name], name) for name in (names.start, names.end, names.text))
    raw = _counted(given, starts, ends, texts, length)
    draft = Draft(given, row, video, video, length)
    return draft.proactive(draft.tidy(raw))


def _length(given: Given, video: str) -> float | None:
    """What the table says; None: nothing that is a length."""
    try:
        return words.number(given.looked_up("durations", video, "duration_s", "missing_duration"))
    except Reject:
        return None


def _counted(given: Given, starts: list[Any], ends: list[Any], texts: list[str], length: Any) -> list[Raw]:
    """The steps, counted as they stand. Raises Reject: `length_mismatch`."""
    raw = list(zip(starts, ends, texts, strict=False))
    spans.count_raw(given.tally.read, raw, length)
    if not len(starts) == len(ends) == len(texts):
        given.tally.read["count_mismatch"] += 1
        raise Reject("length_mismatch", f"{len(texts)} texts, {len(starts)} starts, {len(ends)} ends")
    return raw


def _known(value: Any, needed: Sequence[str], known: Iterable[str]) -> Mapping[str, Any]:
    """The record, whose fields must all be known. Raises Reject: `unknown_layout`, with the nearest known one."""
    said, there = mapping(value, needed), list(known)
    for name in said:
        if name not in there:
            near = (difflib.get_close_matches(name[:60], there, n=1, cutoff=0.0) or ["none"])[0]
            raise Reject("unknown_layout", f"no known field: {name!r:.60}; the nearest one is {near!r}")
    return said


# ---------------------------------------------------------------------------------------------- E.T. Instruct


def _instruct(row: Row, given: Given) -> Timeline:
    said = mapping(row.value, ("task", "source"))
    given.tally.read["rows"] += 1
    if (said["task"], said["source"]) != ET_TASK:
        raise Reject("out_of_scope", f"task {said['task']!r:.40}, source {said['source']!r:.40}")
    _known(said, ET_FIELDS[:5], ET_FIELDS)
    file = words.stem(words.known_id(said["video"]))
    times, texts = _steps(_reply(said["conversations"]), said.get("tgt"))
    raw = _counted(given, times[::2], times[1::2], texts, said["duration"])
    draft = Draft(given, row, file.rpartition("/")[2], file, said["duration"], dataset="et_instruct")
    return draft.proactive(draft.tidy(raw))


def _reply(talk: Any) -> str:
    """What the model is to say: the last turn of a talk."""
    turn = (listed(talk, "conversations") or [None])[-1]
    said = turn.get("value") if isinstance(turn, Mapping) and turn.get("from") == "gpt" else None
    if not isinstance(said, str):
        raise Reject("unknown_layout", f"the last turn of a talk is said by gpt, in words; got {turn!r:.60}")
    return said


def _steps(reply: str, target: Any) -> tuple[list[Any], list[str]]:
    """Times and words of a reply's steps. The times are those of `tgt`; where a row has none, those of the reply."""
    heads = list(_STEP.finditer(reply))
    ends = [*(head.start() for head in heads), len(reply)][1:]  # one step's words end where the next one's times begin
    texts = [reply[head.end() : end].strip(_BETWEEN) for head, end in zip(heads, ends, strict=True)]
    written = [None if "<" in time else float(time) for head in heads for time in head.groups()]
    return written if target is None else listed(target, "tgt"), texts


OFFER = SourceSet(
    name="howtostep",
    title="HowToStep",
    dataset="howto100m",
    version="E.T. Instruct 164K, or a declared layout",
    licence="E.T. Instruct: CC BY-NC-SA 4.0; HowToStep: not seen; videos: YouTube",
    task="step",
    inputs=(
        Input("annotations", "et_instruct_164k_txt.json (or _vid), or rows whose fields the policy names", "json"),
        Input("durations", "seconds of each video, if no field tells", "table", False, ("video", "duration_s")),
    ),
    convert=convert,
    options=Options,
)
