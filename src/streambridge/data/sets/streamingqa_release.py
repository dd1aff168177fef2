"""StreamingQA-120K as released: windows of clips in parallel lists, without times. Knows that file's layout only.

A table tells the length of each clip; they are laid end to end, each cut to whole ticks, and a question stands where
its clip ends (arXiv 2505.05467, StreamingQA). Captions are counted and not used. A clip without a question is shown all
the same; one shorter than a tick is left out with its question.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from streambridge.data import words
from streambridge.data.drafting import Asked, Draft
from streambridge.data.invariants import QA_TYPES
from streambridge.data.joining import Joined, join
from streambridge.data.rows import Row
from streambridge.data.source_set import Given, Input, Reject, SourceSet, listed, mapping
from streambridge.streamit import to_ms, to_s
from streambridge.types import Media, Timeline

COLUMNS: Final = ("video_ids", "video_files", "captions", "questions", "options", "answers", "types")
TYPES: Final = {
    "object perception": "OP",
    "action recognition": "AR",
    "spatial awareness": "SA",
    "sequential relationship": "SR",
    "causal reasoning": "CR",
    "text reading": "OCR",
    "optical character recognition": "OCR",
    "unexpected event handling": "UEH",
    "event understanding": "EU",
}
MOST_OPTIONS: Final = 6  # of the schema
_LETTERS: Final = "ABCDEF"
_LETTERED: Final = re.compile(r"\(?([A-F])\s?[.):]\s*(\S.*)", re.DOTALL)  # "A. red", "(A) red", "A) red", "A: red"
_LETTER: Final = re.compile(r"\(?([A-F])[.):]?")
# What looks back ("What did he just do?") makes no sense before its clip; rather one too many than one too few.
_PAST: Final = re.compile(r"\b(?:just|did|was|were|had|been|ago|earlier|previously|before|happened|last)\b", re.I)

Part = Mapping[str, Any]


def convert(row: Row, given: Given) -> Iterator[Timeline]:
    """One window."""
    given.tally.read["rows"] += 1
    said = mapping(row.value, COLUMNS)
    lists = [listed(said[name], name) for name in COLUMNS]
    if len(set(map(len, lists))) > 1:
        counted = ", ".join(f"{len(one)} {name}" for name, one in zip(COLUMNS, lists, strict=True))
        raise Reject("length_mismatch", counted)
    parts = [dict(zip(COLUMNS, one, strict=True)) for one in zip(*lists, strict=True)]
    _count(given, parts)
    shown, lost = _measured(given, parts)
    if not shown:
        raise lost[0] if lost else Reject("no_segment", "no clip")
    joined = join(((media, "") for _, media in shown), given.policy.tick_ms)
    draft = Draft(given, row, _key(parts), joined.media[0].uri.partition(":")[2], joined.duration_s)
    for reject in lost:
        draft.dropped(reject)
    for quirk in joined.quirks:
        draft.repaired(quirk)
    asked = _kept(draft, [part for part, _ in shown], joined)
    yield replace(draft.questions(asked), media=joined.media)


def _count(given: Given, parts: Sequence[Part]) -> None:
    given.tally.read.update({
        "clips": len(parts),
        "questions": sum(not _blank(part["questions"]) for part in parts),
        "captions": sum(not _blank(part["captions"]) for part in parts),
    })


def _blank(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _key(parts: Sequence[Part]) -> str:
    """A window has no id: the clips that it is made of name it."""
    named = "\x1f".join(f"{part['video_files']}\x1e{part['video_ids']}" for part in parts)
    return hashlib.sha256(named.encode("utf-8", "surrogatepass")).hexdigest()[:16]


# ---------------------------------------------------------------------------------------------- clips


def _measured(given: Given, parts: Sequence[Part]) -> tuple[list[tuple[Part, Media]], list[Reject]]:
    """The clips that can be shown, and why the others cannot."""
    shown: list[tuple[Part, Media]] = []
    lost = []
    for part in parts:
        try:
            shown.append((part, _media(given, part)))
        except Reject as err:
            lost.append(err)
    return shown, lost


def _media(given: Given, part: Part) -> Media:
    file = part["video_files"] if part["video_files"] else part["video_ids"]
    name = words.stem(words.known_id(file))
    told = given.tables["durations"]
    known = [one for one in (file, part["video_ids"]) if isinstance(one, str | int) and str(one) in told]
    length = given.looked_up("durations", str(known[0] if known else name), "duration_s", "missing_duration")
    ms = to_ms(words.number(length, "missing_duration"))
    if ms < given.policy.tick_ms:
        raise Reject("zero_length", f"{name}: {ms} ms, less than one frame")
    return Media(f"{given.source.dataset}:{name}", 0.0, to_s(ms))


# ---------------------------------------------------------------------------------------------- questions


def _kept(draft: Draft, parts: Sequence[Part], joined: Joined) -> list[Asked]:
    kept = []
    for number, part in enumerate(parts):
        try:
            kept += [] if _blank(part["questions"]) else [_asked(draft, part, joined.span(number))]
        except Reject as err:
            draft.dropped(err)
    return kept


def _asked(draft: Draft, part: Part, span: tuple[float, float]) -> Asked:
    question = draft.text(part["questions"])
    extras: dict[str, Any] = _type(draft, part["types"])
    answer, options = _answer(draft, draft.text(part["answers"]), part["options"])
    extras |= options | ({"shiftable": False} if _PAST.search(question) else {})
    return Asked(question, answer, ((to_ms(span[0]), to_ms(span[1])),), extras=extras)


def _type(draft: Draft, told: Any) -> dict[str, str]:
    """The code of a type, told as a code or by its name; one that is not known is left out."""
    said = re.sub(r"[\s_-]+", " ", told).strip() if isinstance(told, str) else ""
    code = said.upper() if said.upper() in QA_TYPES else TYPES.get(said.lower(), "")
    if not code:
        draft.repaired("type_unknown")
    return {"qa_type": code} if code else {}


def _answer(draft: Draft, answer: str, options: Any) -> tuple[str, dict[str, Any]]:
    """The answer's words and the options that it is one of; a letter without its option answers nothing."""
    if options is None or options == [] or _blank(options):
        return answer, {}
    try:
        texts = [draft.text(text) for text in listed(options, "options")]
        plain = _unlettered(texts)
        if not 2 <= len({text.casefold() for text in plain}) == len(plain) <= MOST_OPTIONS:
            raise Reject("bad_options", f"{options!r:.80}")
        index = _index(texts, plain, answer)
        return plain[index], {"options": plain, "answer_index": index}
    except Reject as err:
        if _LETTER.fullmatch(answer):
            raise Reject("bad_options", f"{answer!r}: {err.detail}") from err
        draft.dropped(Reject("bad_options", err.detail))
        behind = _LETTERED.fullmatch(answer)
        return (behind[2] if behind else answer), {}


def _unlettered(texts: Sequence[str]) -> list[str]:
    """Options without their letters, where all have theirs in order."""
    found = [_LETTERED.fullmatch(text) for text in texts]
    if [one[1] for one in found if one] == list(_LETTERS[: len(texts)]):
        return [one[2] for one in found if one]
    return list(texts)


def _index(texts: Sequence[str], plain: Sequence[str], answer: str) -> int:
    """Which option an answer is: by its words, by its words behind the letter, or by the letter alone."""
    said = [text.casefold() for text in (*texts, *plain)]
    if answer.casefold() in said:
        return said.index(answer.casefold()) % len(plain)
    alone, behind = _LETTER.fullmatch(answer), _LETTERED.fullmatch(answer)
    letter = alone or behind
    at = _LETTERS.index(letter[1]) if letter else len(plain)
    if at >= len(plain) or (behind and behind[2].casefold() != plain[at].casefold()):
        raise Reject("bad_options", f"{answer!r:.60} is none of {list(plain)!r:.80}")
    return at


OFFER = SourceSet(
    name="streamingqa_release",
    title="StreamingQA-120K, as released",
    dataset="streamingqa",
    version="120K",
    licence="not stated where the file was read; clips: terms of WebVid, Panda-70M, InternVid",
    task="realtime_qa",
    inputs=(
        Input("annotations", "the released JSON Lines", "json"),
        Input("durations", "length of each clip, by file or by id, in seconds", "table", True, ("video", "duration_s")),
    ),
    convert=convert,
)
