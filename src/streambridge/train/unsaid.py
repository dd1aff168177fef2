"""Why a reference was not said when its stream was laid out: nothing is lost silently. Knows no model and no memory."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from streambridge.streamit import to_ms
from streambridge.train.teacher import Due
from streambridge.types import Answered, Asked, Event, Failed, Question, Scored, Unwatched

WHY: Final[Mapping[str, str]] = {
    "merged": "another reference to the same question was said at the same frame; it came later",
    "no_frame": "no frame comes after the question and is there in time",
    "late": "the question was put for now, and later frames would have to be seen",
    "refused": "the session did not take the question: too many tokens",
    "busy": "too many answers were owed at that instant",
    "answered": "the watch ended with its one answer",
    "expired": "the watch ended before, by its own time",
    "replaced": "the watch ended before, for another one took its place",
    "forgotten": "the policy let the question go before it was answered",
    "wordless": "the reference has no tokens",
    "unfired": "the gate did not fire: this should not happen",
}
"""Why a reference was not said."""


def reasons(
    asked: Mapping[str, Question], due: Due, there: Sequence[int], said: Sequence[str], events: Sequence[Event]
) -> Iterator[tuple[str, str]]:
    """Each reference that was not said, and why.

    Args:
        asked: the questions under their names.
        due: what was to be said to each when so many frames were seen.
        there: when each frame is there, in milliseconds.
        said: the references that were said.
        events: what the session told; its questions' words are their names.
    """
    log = _Log(events)
    for (name, frames), refs in due.items():
        spoken = any(ref.id in said for ref in refs)
        why = "merged" if spoken else log.why(asked[name], frames, there)
        for ref in refs:
            if ref.id not in said:
                yield ref.id, why if ref.text.strip() else "wordless"


class _Log:
    """What a session told of its questions, under the timeline's names."""

    def __init__(self, events: Sequence[Event]) -> None:
        names = {event.id: event.text for event in events if isinstance(event, Asked)}
        self._fired = {(names[one.watch], to_ms(one.t)) for one in events if isinstance(one, Scored) and one.fire}
        self._ended = {names[one.watch]: one for one in events if isinstance(one, Unwatched) and one.why != "ended"}
        self._answered = {(names[one.asked], to_ms(one.t_fired)) for one in events if isinstance(one, Answered)}
        broken = [one.error for one in events if isinstance(one, Failed)]
        self._refused = {name for id, name in names.items() for error in broken if error.startswith(f"{id} ")}

    def why(self, question: Question, frames: int, there: Sequence[int]) -> str:
        """Why nothing was said to a question when so many frames had been seen."""
        put = to_ms(question.t)
        if question.id in self._refused:
            return "refused"
        if question.when == "now":
            return "late" if frames != bisect_right(there, put) else "forgotten"
        if not frames or there[frames - 1] < put:
            return "no_frame"
        return self._why_silent(question.id, there[frames - 1])

    def _why_silent(self, name: str, ms: int) -> str:
        if (name, ms) in self._answered:
            return "forgotten"
        if (name, ms) in self._fired:
            return "busy"
        ended = self._ended.get(name)
        return "unfired" if ended is None or to_ms(ended.t) > ms else ended.why
