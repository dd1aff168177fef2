"""Counts over files of samples, in one pass and in memory that does not grow with them. Knows no data set.

Everything is in a dictionary that JSON can hold; `told` says it as lines of text.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from streambridge import streamit
from streambridge.types import Question, Timeline

SCHEMA: Final = "stats/1"
MOST_WORDS: Final = 500  # different values of one field that are counted by name; a wrong file may have millions
OTHER: Final = "(other)"
NOTHING: Final = "(none)"  # a field that is not there

QUANTILES: Final = (5, 25, 50, 75, 95)  # percent
_FINE: Final = 1.02  # the ratio of one bin to the next: quantiles are right to 1 %
_EXACT: Final = 1000  # whole numbers below this are told exactly
_EDGES: Final = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)  # of the histograms that people look at


class Spread:
    """How a number from 0 on is spread: sum, mean, quantiles to 1 %, and a coarse histogram.

    Small whole numbers have bins of their own, all others share log-spaced ones: there are some thousands at most.
    """

    def __init__(self) -> None:
        self._bins: Counter[float] = Counter()
        self._coarse: Counter[int] = Counter()
        self._count, self._sum = 0, 0.0
        self._least, self._most = math.inf, -math.inf

    def add(self, value: float) -> None:
        """Count one value."""
        exact = value <= 0 or (value < _EXACT and value == int(value))
        self._bins[value if exact else _FINE ** round(math.log(value, _FINE))] += 1
        self._coarse[next((i for i, edge in enumerate(_EDGES) if value <= edge), len(_EDGES))] += 1
        self._count, self._sum = self._count + 1, self._sum + value
        self._least, self._most = min(self._least, value), max(self._most, value)

    def said(self) -> dict[str, Any]:
        """As JSON; `histogram` is a list of [up to and with, how many], None for what is above the last edge."""
        if not self._count:
            return {"count": 0}
        told: dict[str, Any] = {"count": self._count, "sum": _round(self._sum), "mean": _round(self._sum / self._count)}
        told |= {"least": _round(self._least), "most": _round(self._most)}
        told |= {f"p{q}": _round(self._quantile(q / 100)) for q in QUANTILES}
        edges: list[float | None] = [*_EDGES, None]
        return told | {"histogram": [[edges[i], self._coarse[i]] for i in range(len(edges)) if self._coarse[i]]}

    def _quantile(self, share: float) -> float:
        need, seen = max(1, math.ceil(share * self._count)), 0
        for value in sorted(self._bins):
            seen += self._bins[value]
            if seen >= need:
                return min(max(value, self._least), self._most)
        return self._most


class Stats:
    """The counts, growing sample by sample."""

    def __init__(self) -> None:
        self._samples = self._learnable = 0
        self._by: dict[str, dict[str, dict[str, float]]] = {name: {} for name in ("split", "task", "order", "dataset")}
        self._spreads = {name: Spread() for name in SPREADS}
        self._words: dict[str, Counter[str]] = {name: Counter() for name in ("kind", "when", "quirk")}
        self._types: dict[str, Counter[str]] = {}

    def add(self, timeline: Timeline) -> None:
        """Count one sample."""
        self._samples += 1
        self._learnable += sum(answer.learn for answer in timeline.references)
        self._belongs(timeline)
        self._spread(timeline)
        for question in timeline.questions:
            _count(self._words["kind"], question.kind or NOTHING)
            _count(self._words["when"], question.when)
        for quirk in timeline.meta.get("quirks", ()):
            _count(self._words["quirk"], str(quirk)[:100])
        self._choices(timeline)

    def _belongs(self, timeline: Timeline) -> None:
        meta = timeline.meta
        source = meta.get("source")
        names = {name: meta.get(name) for name in ("split", "task", "order")}
        names["dataset"] = source.get("dataset") if isinstance(source, Mapping) else None
        for field, value in names.items():
            counts = self._by[field]
            name = NOTHING if value is None else str(value)[:100]
            name = name if name in counts or len(counts) < MOST_WORDS else OTHER
            own = counts.setdefault(name, {"samples": 0, "answers": 0, "hours": 0.0})
            own["samples"] += 1
            own["answers"] += len(timeline.references)
            own["hours"] += timeline.duration_s / 3600

    def _spread(self, timeline: Timeline) -> None:
        for name, (values, _) in SPREADS.items():
            for value in values(timeline):
                self._spreads[name].add(value)

    def _choices(self, timeline: Timeline) -> None:
        """Balance of what could be guessed without looking: the right option's place, yes and no."""
        extras = timeline.meta.get("turns", {})
        for answer in timeline.references:
            own = {**extras.get(answer.reply_to, {}), **extras.get(answer.id, {})}
            name = str(own.get("qa_type", NOTHING))[:100]
            name = name if name in self._types or len(self._types) < MOST_WORDS else OTHER
            counts = self._types.setdefault(name, Counter())
            counts["answers"] += 1
            first = answer.text.split(maxsplit=1)[0].strip(".,;:!").lower() if answer.text.strip() else ""
            if first in ("yes", "no"):
                counts[first] += 1
            if isinstance(own.get("options"), list):
                index = own.get("answer_index")
                counts[f"of_{min(len(own['options']), 99)}"] += 1
                counts[f"index_{index if index in range(26) else '?'}"] += 1

    def said(self) -> dict[str, Any]:
        """All counts, as JSON."""
        by = {field: {name: _rounded(own) for name, own in _ranked(counts)} for field, counts in self._by.items()}
        questions = {"kinds": _most(self._words["kind"]), "when": _most(self._words["when"])}
        types = sorted(self._types.items(), key=lambda item: -item[1]["answers"])
        return {
            "schema": SCHEMA,
            "samples": self._samples,
            "learnable": self._learnable,
            "by": by,
            **{name: spread.said() for name, spread in self._spreads.items()},
            "questions": questions,
            "qa_types": {name: _type(counts) for name, counts in types},
            "quirks": _most(self._words["quirk"]),
        }


def stats(paths: Iterable[str | os.PathLike[str]]) -> dict[str, Any]:
    """Count files of samples.

    Args:
        paths: files of `streamit/1`, read line by line.

    Raises:
        BadInput: when a file cannot be read, or `file:line: field: rule` when a line is no sample.
    """
    counted = Stats()
    for path in paths:
        for timeline in streamit.read(path):
            counted.add(timeline)
    return counted.said()


def _gaps(timeline: Timeline) -> list[float]:
    times = [answer.t for answer in timeline.references]
    return [later - t for t, later in zip(times, times[1:], strict=False)]


# What is spread over samples, turns or answers: the name -> (its values in one sample, in words).
SPREADS: Final[dict[str, tuple[Callable[[Timeline], Sequence[float]], str]]] = {
    "duration_s": (lambda one: [one.duration_s], "seconds a sample"),
    "media": (lambda one: [len(one.media)], "media entries a sample"),
    "turns": (lambda one: [len(one.turns)], "turns a sample"),
    "answers": (lambda one: [len(one.references)], "answers a sample"),
    "gap_s": (_gaps, "seconds from answer to answer"),
    "answer_words": (lambda one: [len(answer.text.split()) for answer in one.references], "words an answer"),
    "question_words": (lambda one: [len(turn.text.split()) for turn in one.turns if isinstance(turn, Question)],
                       "words a question"),
}  # fmt: skip


# ---------------------------------------------------------------------------------------------- as text


def told(stats: Mapping[str, Any]) -> list[str]:
    """The counts as lines of a plain table.

    Args:
        stats: what `stats` gave, or the JSON of it.
    """
    lines = [f"{stats['samples']} samples, {stats['learnable']} answers to learn from"]
    for field, counts in stats["by"].items():
        rows = [[name, own["samples"], own["answers"], f"{own['hours']:.1f}"] for name, own in counts.items()]
        lines += ["", *_table([field, "samples", "answers", "hours"], rows)]
    names = ["mean", "least", *(f"p{q}" for q in QUANTILES), "most"]
    rows = [[what, *(_short(stats[name][one]) for one in names)] for name, (_, what) in SPREADS.items()
            if stats[name]["count"]]  # fmt: skip
    lines += ["", *_table(["spread", *names], rows)]
    for name, counts in (("question kind", stats["questions"]["kinds"]), ("quirk", stats["quirks"])):
        lines += ["", *_table([name, "times"], [[word, count] for word, count in counts.items()])] if counts else []
    rows = [[name, own["answers"], own["yes"], own["no"], _balance(own["index"])] for name, own in
            stats["qa_types"].items()]  # fmt: skip
    return [*lines, "", *_table(["qa_type", "answers", "yes", "no", "right option"], rows)]


def _balance(index: Mapping[str, int]) -> str:
    return " ".join(f"{chr(65 + int(i)) if i.isdigit() and int(i) < 26 else i}:{n}" for i, n in index.items())


def _table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    """Columns of equal width; the first to the left, numbers to the right. A name stays on its line."""
    cells = [[str(cell) if str(cell).isprintable() else ascii(cell) for cell in row] for row in (heads, *rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(heads))]
    return [
        "  ".join(
            c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]


def _short(value: float) -> str:
    return f"{value:.1f}" if value < 1000 else f"{value:.0f}"


def _count(counts: Counter[str], word: str) -> None:
    counts[word if word in counts or len(counts) < MOST_WORDS else OTHER] += 1


def _most(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _ranked(counts: dict[str, dict[str, float]]) -> list[tuple[str, dict[str, float]]]:
    return sorted(counts.items(), key=lambda item: (-item[1]["samples"], item[0]))


def _rounded(own: dict[str, float]) -> dict[str, float]:
    return {**own, "hours": round(own["hours"], 3)}


def _round(value: float) -> float:
    return round(value, 3)


def _type(counts: Counter[str]) -> dict[str, Any]:
    index = {name.removeprefix("index_"): n for name, n in sorted(counts.items()) if name.startswith("index_")}
    sizes = {name.removeprefix("of_"): n for name, n in sorted(counts.items()) if name.startswith("of_")}
    return {"answers": counts["answers"], "yes": counts["yes"], "no": counts["no"], "options": sizes, "index": index}
