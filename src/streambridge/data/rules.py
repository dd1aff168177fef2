"""The rules of a good sample: their names and sentences, and the fault that names one. Knows no file and no sample.

The numbers are those of the schema `streamit/1`; rule 0 is the schema itself, which `streamit.from_line` keeps.
"""

from dataclasses import dataclass
from typing import Final

RULES: Final = {
    "form": "a line is one sample of the schema: known fields, right types",
    "known": "the id stands once over all files; task, order, split and qa_type are known words",
    "duration": "duration_ms is where the last media entry ends",
    "media": "the first media entry is at 0, each other where the one before ends; 0 <= in_ms < out_ms",
    "time": "t_ms never goes back and lies inside the sample",
    "reply": "an answer replies to an earlier question",
    "words": "texts are words: no control character, no placeholder, no token for pictures or times",
    "evidence": "a span lies inside the sample and has a length, unless the answer's kind is 'point'",
    "instant": "an answer comes when its evidence has ended, and a proactive one less than a tick later",
    "at_once": "in a multi_turn sample no frame lies between a question and its answer, unless it was shifted",
    "once": "a question has at most one answer at an instant",
    "asked_first": "the first turn is a question",
    "options": "two to six different texts; answer_index says which of them the answer is",
    "learnable": "a sample has an answer to learn from",
    "one_clip": "in realtime_qa a question and its evidence lie inside one media entry, the answer at its end",
    "canonical": "a line written again is the same bytes",
    "quirks": "quirks names each repair once, in known words",
    "private": "no absolute path, no '..', no pixels, no credentials, no endless text",
    "splits": "a source video is in one split only",
}
NUMBERS: Final = {name: number for number, name in enumerate(RULES)}

_MOST_SHOWN: Final = 100  # characters of what came: a finding stays one line


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with one sample.

    Attributes:
        field: where, as in the file: `turns[2].t_ms`.
        rule: which, of RULES.
        got: what came, short.
    """

    field: str
    rule: str
    got: str

    def __str__(self) -> str:
        """`field: rule 4, what holds; got what came`."""
        return f"{short(self.field)}: rule {NUMBERS[self.rule]}, {RULES[self.rule]}; got {self.got}"


def short(value: object) -> str:
    """A value on part of a line, in characters that any terminal takes."""
    shown = value if isinstance(value, str) and value.isprintable() else ascii(value)
    return shown if len(shown) <= _MOST_SHOWN else shown[: _MOST_SHOWN - 3] + "..."
