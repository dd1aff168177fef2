"""Annotated spans made fit for a timeline: on the video, in the order of their ends. Knows no words' meaning.

What the rules are, is `policy.Policy`; why a span is dropped or what was repaired, is counted by whoever asks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from streambridge.data.policy import Policy
from streambridge.data.source_set import Reject
from streambridge.data.words import clean, seconds

Told = Callable[[str], None]
Raw = tuple[Any, Any, Any]  # start, end in seconds, words: as they came


@dataclass(frozen=True, slots=True)
class Span:
    """A span of the video in ms and what is said of it."""

    start: int
    end: int
    text: str


def tidy(
    raw: Iterable[Raw], duration: int, policy: Policy, repaired: Told, dropped: Callable[[Reject], None]
) -> list[Span]:
    """The spans that can be answered, in the order of their ends.

    Args:
        raw: as annotated, in seconds.
        duration: of the video, in ms.
        policy: what is clamped.
        repaired: is told each quirk.
        dropped: is told each span that is left out, and why.
    """
    kept: dict[Span, None] = {}  # in order, and quickly asked
    for one in raw:
        try:
            span = _span(one, duration, policy, repaired)
            if span in kept:
                raise Reject("duplicate", f"{span.start}-{span.end} ms {span.text!r:.60}")
            kept[span] = None
        except Reject as err:
            dropped(err)
    return _ordered(list(kept), duration, policy, repaired)


def _span(raw: Raw, duration: int, policy: Policy, repaired: Told) -> Span:
    start, end = (round(1000 * seconds(t)) for t in raw[:2])
    text = clean(raw[2], repaired)
    if start > end:
        raise Reject("reversed", f"{raw[0]!r:.20} - {raw[1]!r:.20}")
    if end > duration + policy.clamp_ms or start > duration:
        raise Reject("beyond_duration", f"{start} - {end} ms of {duration}")
    if end > duration:
        repaired("end_clamped")
        end = duration
    if start == end:
        repaired("point_widened")
        start = min(start, max(0, duration - policy.tick_ms))
        end = min(start + policy.tick_ms, duration)
    return Span(start, end, text)


def _ordered(spans: list[Span], duration: int, policy: Policy, repaired: Told) -> list[Span]:
    ordered = sorted(spans, key=lambda span: span.end)  # equal ends stay as they came
    if ordered != spans:
        repaired("unsorted")
    if overlapping([(span.start, span.end) for span in spans]):
        repaired("overlap")
    if any(span.end - span.start >= duration - policy.tick_ms for span in spans):
        repaired("whole_video")
    return ordered


def pair(value: Any) -> tuple[Any, Any]:
    """The two times of a span, as they came; anything else is no time, and shown as it came."""
    return (value[0], value[1]) if isinstance(value, list | tuple) and len(value) == 2 else ((value,), None)


def overlapping(spans: Iterable[tuple[float, float]]) -> bool:
    """Whether any two spans share more than a border."""
    newest = float("-inf")
    for start, end in sorted(spans):
        if start < newest:
            return True
        newest = max(newest, end)
    return False


def count_raw(read: Counter[str], raw: Sequence[Raw], duration_s: Any) -> None:
    """Count what stands in the files before any repair: one video and its spans."""
    spans = [(start, end) for start, end, _ in raw if _is_time(start) and _is_time(end)]
    length = duration_s if _is_time(duration_s) else float("inf")
    starts, ends = [start for start, _ in spans], [end for _, end in spans]
    read.update({
        "videos": 1,
        "segments": len(raw),
        "end_beyond_duration": sum(end > length for end in ends),
        "zero_length": sum(start == end for start, end in spans),
        "reversed": sum(start > end for start, end in spans),
        "untrimmed_sentences": sum(isinstance(text, str) and text != text.strip() for _, _, text in raw),
        "videos_with_overlap": int(overlapping(spans)),
        "videos_unsorted_by_start": int(starts != sorted(starts)),
        "videos_unsorted_by_end": int(ends != sorted(ends)),
        "videos_with_equal_ends": int(len(set(ends)) < len(ends)),
        "count_mismatch": 0,
    })


def _is_time(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value
