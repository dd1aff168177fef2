"""A page to look at samples and their counts: one HTML file, no network, no library. Knows no data set."""

from __future__ import annotations

import heapq
import os
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any, Final

from streambridge import streamit
from streambridge.data.drawing import MOST_TURNS, clock, colours, draw, drawn
from streambridge.data.draws import u
from streambridge.data.page_form import FRAME, SCRIPT, STYLE
from streambridge.data.stats import NOTHING, SPREADS, Stats
from streambridge.types import Question, Reference, Timeline

SHOWN: Final = 24  # samples drawn, where nothing else is asked for
_MOST_BARS: Final = 12  # of one chart
_MOST_CHARS: Final = 600  # of one text of a transcript


def page(paths: Iterable[str | os.PathLike[str]], title: str = "Stream-IT", shown: int = SHOWN, seed: int = 0) -> str:
    """Count files of samples and draw some of them.

    Args:
        paths: files of `streamit/1`, read once, line by line.
        title: of the page.
        shown: how many samples are drawn.
        seed: another choice of samples; the choice does not depend on the order of lines or files.

    Raises:
        BadInput: when a file cannot be read, or `file:line: field: rule` when a line is no sample.
    """
    return told(*counted(paths, shown, seed), title)


def counted(
    paths: Iterable[str | os.PathLike[str]], shown: int = SHOWN, seed: int = 0
) -> tuple[dict[str, Any], list[Timeline]]:
    """The counts of all samples and the ones to be drawn, in one reading; arguments and errors as of `page`."""
    counts = Stats()
    chosen: list[tuple[float, int, Timeline]] = []  # a heap: the sample with the highest draw goes first
    number = 0
    for path in paths:
        for timeline in streamit.read(path):
            counts.add(timeline)
            number += 1
            heapq.heappush(chosen, (-u(seed, timeline.id, "page"), -number, timeline))
            if len(chosen) > shown:
                heapq.heappop(chosen)
    return counts.said(), [timeline for *_, timeline in sorted(chosen, reverse=True)]


def told(stats: Mapping[str, Any], samples: Sequence[Timeline], title: str = "Stream-IT") -> str:
    """The page of these counts and samples.

    Args:
        stats: what `stats.stats` gave.
        samples: to be drawn, in this order.
        title: of the page.
    """
    tasks = sorted({str(sample.meta.get("task", "")) for sample in samples})
    choice = "".join(f'<option value="{escape(task)}">{escape(task)}</option>' for task in tasks)
    return FRAME.substitute(
        title=escape(_plain(title)),
        tiles="".join(_tiles(stats)),
        charts="".join(_charts(stats)),
        count=f"{len(samples)} of {stats['samples']:,}",
        tasks=choice,
        samples="".join(_sample(sample) for sample in samples),
        style=STYLE,
        script=SCRIPT,
    )


def _tiles(stats: Mapping[str, Any]) -> Iterable[str]:
    hours = sum(own["hours"] for own in stats["by"]["task"].values())
    told = [("samples", f"{stats['samples']:,}"), ("hours of video", f"{hours:,.1f}")]
    told += [
        ("answers", f"{stats['answers'].get('sum', 0):,.0f}"),
        ("of them to learn from", f"{stats['learnable']:,}"),
    ]
    for name, words in (("duration_s", "median sample"), ("gap_s", "median gap between answers")):
        if stats[name]["count"]:
            told.append((words, f"{stats[name]['p50']:.0f} s"))
    return (f"<div class=tile><b>{value}</b><span>{name}</span></div>" for name, value in told)


def _charts(stats: Mapping[str, Any]) -> Iterable[str]:
    for field, counts in stats["by"].items():
        yield _chart(f"samples by {field}", {name: own["samples"] for name, own in counts.items()})
    for name, (_, words) in SPREADS.items():
        if stats[name]["count"]:
            bins = {f"\u2264 {edge:g}" if edge is not None else "more": n for edge, n in stats[name]["histogram"]}
            yield _chart(words, bins)
    yield _chart("kinds of questions", stats["questions"]["kinds"])
    yield _chart("types of questions", {name: own["answers"] for name, own in stats["qa_types"].items()})
    yes_no = {word: sum(own[word] for own in stats["qa_types"].values()) for word in ("yes", "no")}
    yield _chart("answers that begin with yes or no", {word: n for word, n in yes_no.items() if n})
    yield _chart("place of the right option", _places(stats))
    yield _chart("quirks", stats["quirks"])


def _places(stats: Mapping[str, Any]) -> dict[str, int]:
    places: dict[str, int] = {}
    for own in stats["qa_types"].values():
        for index, n in own["index"].items():
            letter = chr(65 + int(index)) if index.isdigit() else index
            places[letter] = places.get(letter, 0) + n
    return dict(sorted(places.items()))


def _chart(title: str, counts: Mapping[str, int]) -> str:
    """Bars with their names; what is left over is told, not drawn."""
    if not set(counts) - {NOTHING}:
        return ""
    rows, most = list(counts.items())[:_MOST_BARS], max(counts.values()) or 1
    bars = "".join(
        f'<dt title="{escape(_plain(name))}">{escape(_plain(name))}</dt>'
        f'<dd><i style="width:{100 * n / most:.1f}%"></i><span>{n:,}</span></dd>'
        for name, n in rows
    )
    rest = f"<p class=rest>and {len(counts) - len(rows)} more</p>" if len(counts) > len(rows) else ""
    return f"<section class=chart><h3>{escape(title)}</h3><dl>{bars}</dl>{rest}</section>"


def _sample(sample: Timeline) -> str:
    meta = sample.meta
    source = meta.get("source")
    dataset = source.get("dataset", "") if isinstance(source, Mapping) else ""
    marks = [str(mark) for mark in (dataset, meta.get("task"), meta.get("order"), meta.get("split")) if mark]
    marks.append(f"{clock(sample.duration_s)}")
    chips = "".join(f"<span class=chip>{escape(_plain(mark))}</span>" for mark in marks)
    chips += "".join(f'<span class="chip quirk">{escape(_plain(str(q)))}</span>' for q in meta.get("quirks", ())[:8])
    head = f"<header><h3>{escape(_plain(sample.id))}</h3>{chips}</header>"
    of = colours(sample)
    rows = "".join(_row(turn, of) for turn in drawn(sample))
    more = len(sample.turns) - MOST_TURNS
    rest = f"<p class=rest>and {more} more turns, not drawn</p>" if more > 0 else ""
    task = escape(_plain(str(meta.get("task", ""))))
    return f'<article data-task="{task}">{head}{draw(sample)}<ol>{rows}</ol>{rest}</article>'


def _row(turn: Question | Reference, of: Mapping[str, int]) -> str:
    text = turn.text if len(turn.text) <= _MOST_CHARS else turn.text[:_MOST_CHARS] + "\u2026"
    if isinstance(turn, Question):
        kind, note = "ask", turn.when + (", once" if turn.once else "")
    else:
        kind, note = f"say c{of[turn.id]}" + ("" if turn.learn else " mute"), "" if turn.learn else "not learned"
    note = f" <em>{note}</em>" if note else ""
    words = f"<time>{clock(turn.t)}</time><i></i><p>{escape(_plain(text))}{note}</p>"
    return f'<li class="{kind}" data-turn="{escape(turn.id)}">{words}</li>'


def _plain(text: str) -> str:
    """Without what turns the direction of writing or moves the cursor: a page shows what stands in the file."""
    return "".join(char if char.isprintable() else "\ufffd" for char in text)
