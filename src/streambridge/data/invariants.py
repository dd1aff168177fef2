"""What must hold of one sample, rule by rule. Knows no file and no other sample.

The rules are asked in an order in which one mistake is told once: a sample whose clock is wrong is not asked for its
instants, and an answer whose evidence is wrong is not asked when it should come.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from streambridge import streamit
from streambridge.data.flatten import TICK_MS
from streambridge.data.instants import Sample, answers, good_tick, mapping, shifted
from streambridge.data.reasons import QUIRKS, REASONS
from streambridge.data.rules import Fault, short
from streambridge.data.texts import MOST_ADDRESS, broken, strings, unsafe_note, unsafe_text, unsafe_uri, wordless
from streambridge.errors import BadInput
from streambridge.types import Question, Reference, Timeline

TASKS: Final = (
    "dense_caption", "step", "action_detect", "grounded_qa", "grounding", "realtime_qa", "offline_qa", "world",
)  # fmt: skip
ORDERS: Final = ("proactive", "multi_turn", "mixed")
QA_TYPES: Final = ("OP", "AR", "SA", "SR", "CR", "OCR", "UEH", "EU", "CT", "NA")  # arXiv 2505.05467; CT, NA are ours

_DROPPED: Final = "dropped_"  # a quirk: a part of the sample was left out, for this reason
_SAID: Final = re.compile(r"(?P<field>[\w.\[\]]+): (?P<rest>.*)", re.DOTALL)
# Which rule a fault of form belongs to: the last name of its field tells, unless the field is unknown or missing.
_RULE_OF: Final = {
    "id": "known", "duration_ms": "duration", "media": "media", "in_ms": "media", "out_ms": "media", "at_ms": "media",
    "t_ms": "time", "reply_to": "reply", "text": "words", "uri": "private", "evidence": "evidence",
    "quirks": "quirks", "task": "known", "order": "known", "split": "known",
}  # fmt: skip


def check(timeline: Timeline) -> list[Fault]:
    """All that is wrong with one sample; nothing when it is good.

    Rules over many samples (an id or a video that stands twice) are `validate`'s.
    """
    try:
        streamit.to_line(timeline)
    except BadInput as err:
        return [misformed(err)]
    return faults(timeline)


def misformed(err: BadInput) -> Fault:
    """The fault that `streamit.from_line` told: which rule it belongs to, and its own words."""
    said = _SAID.fullmatch(str(err))
    if said is None or said["field"] == "line":
        return Fault("line", "form", short(said["rest"] if said else str(err)))
    place, rest = said["field"], said["rest"]
    last = re.sub(r"\[\d+\]$", "", place).rpartition(".")[2]
    rule = "form" if "no such field" in rest or "is missing" in rest else _RULE_OF.get(last, "form")
    if place == "turns[0].reply_to":
        place, rule = "turns[0]", "asked_first"
    rest, _, got = rest.rpartition("; got ")
    return Fault(place, rule, short(f"{got} ({rest})" if rest else got))


def faults(timeline: Timeline) -> list[Fault]:
    """As `check`, for a timeline that `streamit.from_line` gave."""
    sample = Sample(timeline)
    clock = list(_media(timeline))
    rest = [*_known(sample), *_quirks(sample), *_uris(timeline), *_notes(timeline)]
    turns = [fault for i, turn in enumerate(timeline.turns) for fault in _turn(sample, i, turn)]
    late = [] if clock else list(answers(sample))
    return [*rest, *clock, *turns, *late, *_learnable(timeline)]


# ---------------------------------------------------------------------------------------------- the sample


def _known(sample: Sample) -> Iterator[Fault]:
    meta, made_up = sample.timeline.meta, sample.task == "world"
    yield from _one_of("task", sample.task, TASKS)
    if "order" in meta or not made_up:
        yield from _one_of("order", sample.order, ORDERS)
    if not made_up and not str(meta.get("split", "")).strip():
        yield Fault("split", "known", short(meta.get("split", "nothing")))
    if len(sample.timeline.id) > MOST_ADDRESS or not sample.timeline.id.isprintable():
        yield Fault("id", "known", short(sample.timeline.id))
    tick = mapping(meta.get("policy")).get("tick_ms", TICK_MS)
    if not good_tick(tick):
        yield Fault("policy.tick_ms", "known", short(tick))


def _one_of(place: str, value: object, known: tuple[str, ...]) -> Iterator[Fault]:
    if value not in known:
        told = "nothing" if value is None else short(value)
        yield Fault(place, "known", f"{told} (known: {', '.join(known)})")


def _media(timeline: Timeline) -> Iterator[Fault]:
    """Rules `media` and `duration`; only the first gap is told, since all after it are shifted by it."""
    end = 0
    for i, media in enumerate(timeline.media):
        at = streamit.to_ms(media.at_s)
        if at != end:
            yield Fault(f"media[{i}].at_ms", "media", f"{at}, where {end} was due")
            return
        end = at + streamit.to_ms(media.end_s) - streamit.to_ms(media.start_s)
    if not timeline.media:
        yield Fault("media", "media", "no entry")
    elif streamit.to_ms(timeline.duration_s) != end:
        yield Fault("duration_ms", "duration", f"{streamit.to_ms(timeline.duration_s)}, where {end} was due")


def _uris(timeline: Timeline) -> Iterator[Fault]:
    for i, media in enumerate(timeline.media):
        if why := unsafe_uri(media.uri):
            yield Fault(f"media[{i}].uri", "private", f"{short(media.uri)} ({why})")


def _notes(timeline: Timeline) -> Iterator[Fault]:
    for name in ("source", "policy", "split"):
        for place, text in strings(timeline.meta.get(name), name):
            if why := unsafe_note(text):
                yield Fault(short(place), "private", f"{short(text)} ({why})")


def _quirks(sample: Sample) -> Iterator[Fault]:
    quirks = sample.timeline.meta.get("quirks")
    if quirks is None and sample.task != "world":
        yield Fault("quirks", "quirks", "nothing")
    told: set[str] = set()
    for i, quirk in enumerate(quirks or []):
        if not _known_quirk(quirk):
            yield Fault(f"quirks[{i}]", "quirks", f"{short(quirk)}, which is no known word")
        elif quirk in told:
            yield Fault(f"quirks[{i}]", "quirks", f"{quirk} again")
        else:
            told.add(quirk)
    if "question_shifted" not in told and (sample.order == "multi_turn" or sample.task == "realtime_qa"):
        if moved := [i for i, question in sample.asked.values() if shifted(question)]:
            yield Fault("quirks", "quirks", f"no question_shifted, but turns[{moved[0]}] is")


def _known_quirk(quirk: object) -> bool:
    if not isinstance(quirk, str):
        return False
    return quirk in QUIRKS or (quirk.startswith(_DROPPED) and quirk.removeprefix(_DROPPED) in REASONS)


def _learnable(timeline: Timeline) -> Iterator[Fault]:
    if not any(answer.learn for answer in timeline.references):
        yield Fault("turns", "learnable", f"{len(timeline.references)} answers, none of them to learn from")


# ---------------------------------------------------------------------------------------------- words of a turn


def _turn(sample: Sample, i: int, turn: Question | Reference) -> Iterator[Fault]:
    place, own = f"turns[{i}]", mapping(sample.extras.get(turn.id))
    if why := wordless(turn.text):
        yield Fault(f"{place}.text", "words", f"{short(turn.text)} ({why})")
    if why := unsafe_text(turn.text):
        yield Fault(f"{place}.text", "private", f"{short(turn.text)} ({why})")
    if "qa_type" in own:
        yield from _one_of(f"{place}.qa_type", own["qa_type"], QA_TYPES)
    if not isinstance(own.get("shiftable", True), bool):
        yield Fault(f"{place}.shiftable", "form", f"{short(own['shiftable'])} (is true or false)")
    for inner, text in strings(own.get("gen"), f"{place}.gen"):
        if why := unsafe_note(text):
            yield Fault(short(inner), "private", f"{short(text)} ({why})")
    if "options" in own or "answer_index" in own:
        yield from _options(sample, turn, place, own)


def _options(sample: Sample, turn: Question | Reference, place: str, own: Mapping[str, Any]) -> Iterator[Fault]:
    options, index = own.get("options"), own.get("answer_index")
    told = [turn.text] if isinstance(turn, Reference) else sample.told.get(turn.id, [])
    texts = options if isinstance(options, list) and all(isinstance(one, str) for one in options) else []
    bad = [k for k, text in enumerate(texts) if broken(text) or unsafe_text(text)]
    if not 2 <= len({text.strip() for text in texts} - {""}) == len(texts) <= 6:
        yield Fault(f"{place}.options", "options", short(options))
    elif bad:
        text, rule = texts[bad[0]], "words" if broken(texts[bad[0]]) else "private"
        yield Fault(f"{place}.options[{bad[0]}]", rule, f"{short(text)} ({broken(text) or unsafe_text(text)})")
    elif type(index) is not int or not 0 <= index < len(texts):
        yield Fault(f"{place}.answer_index", "options", f"{short(index)} of {len(texts)} options")
    elif wrong := [text for text in told if text != texts[index]]:
        yield Fault(
            f"{place}.answer_index", "options", f"{index}, {short(texts[index])}; the answer is {short(wrong[0])}"
        )
