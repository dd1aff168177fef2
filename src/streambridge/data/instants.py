"""When an answer may come: evidence, frames and media entries of one sample, in milliseconds. Knows no file.

Frame k of a sample covers [k ticks, k + 1 ticks) and becomes available at its end. Each answer is told at most one
thing, the first that is wrong with it, since a wrong span or instant breaks several rules at once.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from streambridge import streamit
from streambridge.data.flatten import TICK_MS
from streambridge.data.rules import Fault
from streambridge.types import Question, Reference, Timeline

WATCHED_KINDS: Final = ("instruction", "question")  # of questions that converters write; the world has its own


@dataclass(slots=True)
class Sample:
    """One sample in milliseconds, with what several rules ask for."""

    timeline: Timeline
    tick: float = TICK_MS
    asked: dict[str, tuple[int, Question]] = field(default_factory=dict)
    told: dict[str, list[str]] = field(default_factory=dict)  # texts of answers by their question
    clips: list[tuple[int, int]] = field(default_factory=list)  # media entries on the sample's clock

    def __post_init__(self) -> None:
        tick = mapping(self.timeline.meta.get("policy")).get("tick_ms", TICK_MS)
        self.tick = tick if good_tick(tick) else TICK_MS
        turns = enumerate(self.timeline.turns)
        self.asked = {turn.id: (i, turn) for i, turn in turns if isinstance(turn, Question)}
        for answer in self.timeline.references:
            self.told.setdefault(answer.reply_to, []).append(answer.text)
        for media in self.timeline.media:
            at = streamit.to_ms(media.at_s)
            self.clips.append((at, at + streamit.to_ms(media.end_s) - streamit.to_ms(media.start_s)))

    @property
    def task(self) -> object:
        """What the sample is for."""
        return self.timeline.meta.get("task")

    @property
    def order(self) -> object:
        """`proactive`, `multi_turn` or `mixed`."""
        return self.timeline.meta.get("order")

    @property
    def extras(self) -> Mapping[str, Any]:
        """What turns bear beside their words."""
        return mapping(self.timeline.meta.get("turns"))

    @property
    def duration(self) -> int:
        """Milliseconds."""
        return streamit.to_ms(self.timeline.duration_s)

    def frames(self, ms: int) -> int:
        """How many frames are available at an instant of the sample: one for each whole tick."""
        return math.floor((ms + 0.5) / self.tick)  # half: instants are rounded, 1000/fps is not


def mapping(value: object) -> Mapping[str, Any]:
    """The value where it is a mapping, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def good_tick(tick: object) -> bool:
    """Whether a tick is a length of time, in milliseconds."""
    return isinstance(tick, int | float) and not isinstance(tick, bool) and 1 <= tick < 2**50


def shifted(question: Question) -> bool:
    """Whether a question was moved to the start of what answers it."""
    return question.when == "watch" and question.once


def answers(sample: Sample) -> Iterator[Fault]:
    """Rules `evidence`, `instant`, `at_once`, `once` and `one_clip` for every answer of a sample."""
    taken: set[tuple[str, int]] = set()
    whole = list(_whole_clips(sample)) if sample.task == "realtime_qa" else []
    yield from whole
    for i, turn in enumerate(sample.timeline.turns):
        if not isinstance(turn, Reference):
            continue
        found = _evidence(sample, i, turn) or (not whole and _clip(sample, i, turn)) or _instant(sample, i, turn)
        found = found or _at_once(sample, i, turn) or _again(taken, i, turn)
        if found:
            yield found


def _evidence(sample: Sample, i: int, answer: Reference) -> Fault | None:
    for k, (start, end) in enumerate(_spans(answer)):
        if end > sample.duration or (start == end and answer.kind != "point"):
            return Fault(f"turns[{i}].evidence[{k}]", "evidence", f"[{start}, {end}] in {sample.duration} ms")
    return None


def _instant(sample: Sample, i: int, answer: Reference) -> Fault | None:
    t, question = streamit.to_ms(answer.t), sample.asked[answer.reply_to][1]
    proactive = question.when == "watch" and (sample.order == "proactive" or question.kind in WATCHED_KINDS)
    if not answer.evidence:
        lacks = proactive and sample.order == "proactive" and answer.learn
        return (
            Fault(f"turns[{i}].evidence", "instant", "no span that a proactive answer could follow") if lacks else None
        )
    end = max(end for _, end in _spans(answer))
    # An answer at the sample's very end comes before the tick is full, and so never too late.
    rounded = 0.0 if float(sample.tick).is_integer() else 0.5
    if t < end or (proactive and t - end >= sample.tick + rounded):
        return Fault(f"turns[{i}].t_ms", "instant", f"{t}; the evidence ends at {end}")
    return None


def _at_once(sample: Sample, i: int, answer: Reference) -> Fault | None:
    question = sample.asked[answer.reply_to][1]
    if sample.order != "multi_turn" or shifted(question):
        return None
    asked, t = streamit.to_ms(question.t), streamit.to_ms(answer.t)
    between = sample.frames(t) - sample.frames(asked)
    told = f"{t}; asked at {asked}, {between} frames before"
    return Fault(f"turns[{i}].t_ms", "at_once", told) if between else None


def _again(taken: set[tuple[str, int]], i: int, answer: Reference) -> Fault | None:
    mark = answer.reply_to, streamit.to_ms(answer.t)
    if mark in taken:
        return Fault(f"turns[{i}].t_ms", "once", f"{mark[1]}, where {mark[0]} is answered already")
    taken.add(mark)
    return None


# ---------------------------------------------------------------------------------------------- realtime_qa


def _whole_clips(sample: Sample) -> Iterator[Fault]:
    """A join inside a tick would give a frame of one clip to the next one's round: clips are whole ticks."""
    for i, (start, end) in enumerate(sample.clips):
        off = (end - start + sample.tick / 2) % sample.tick - sample.tick / 2
        if abs(off) > (0.0 if float(sample.tick).is_integer() else 1.0) and len(sample.timeline.media) > 1:
            yield Fault(f"media[{i}].out_ms", "one_clip", f"{end - start} ms, not whole ticks of {sample.tick:g} ms")


def _clip(sample: Sample, i: int, answer: Reference) -> Fault | None:
    if sample.task != "realtime_qa":
        return None
    j, question = sample.asked[answer.reply_to]
    t, asked = streamit.to_ms(answer.t), streamit.to_ms(question.t)
    spans = _spans(answer)
    # Entries lie end to end here, or the sample's clock is wrong and nobody asks.
    home = bisect.bisect_right(sample.clips, spans[0][0], key=lambda clip: clip[0]) - 1 if spans else 0
    start, end = sample.clips[home]
    if not spans or not all(start <= a and b <= end for a, b in spans):
        return Fault(f"turns[{i}].evidence", "one_clip", f"{list(map(list, spans))[:3]}, inside no one media entry")
    if t != end:
        return Fault(f"turns[{i}].t_ms", "one_clip", f"{t}; its media entry ends at {end}")
    if asked < start:
        return Fault(f"turns[{j}].t_ms", "one_clip", f"{asked}; the media entry of its answer begins at {start}")
    return None


def _spans(answer: Reference) -> list[tuple[int, int]]:
    return [(streamit.to_ms(start), streamit.to_ms(end)) for start, end in answer.evidence]
