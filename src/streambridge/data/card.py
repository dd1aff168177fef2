"""The data card of a corpus as Markdown: what it is, where it comes from, what was mended, what it is not good for.

Knows no file: it is made of the counts (`stats.stats`), of what each conversion reported, and of the leakage check.
"""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from streambridge.data import limits
from streambridge.data.reasons import QUIRKS, REASONS
from streambridge.data.stats import SPREADS

TITLE: Final = "Stream-IT data card"
_MOST_CELL: Final = 200  # characters
_MOST_LISTED: Final = 20  # differences and leaks that are listed one by one
_MOST_FOUND: Final = 4  # counts of one source in its cell
_LEFT_OUT: Final = " They were left out of this corpus; the counts of the sources above are those before."
_DROPPED: Final = "dropped_"

Report = Mapping[str, Any]


def card(
    stats: Mapping[str, Any],
    reports: Sequence[Report] = (),
    title: str = TITLE,
    leakage: Mapping[str, Any] | None = None,
) -> str:
    """Write the data card.

    Args:
        stats: what `stats.stats` gave.
        reports: one of each conversion, as the converter's report file says it; what is missing in one is left out.
        title: of the card.
        leakage: what `Leakage.said` gave, if the check was made.
    """
    parts = [
        [f"# {_cell(title)}"],
        _what(stats, reports),
        _sources(reports),
        _counts(reports),
        _corpus(stats),
        _mended(reports, stats),
        _policies(reports),
        _leaks(leakage),
        _limits(stats, reports),
        _made(reports),
    ]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def _what(stats: Mapping[str, Any], reports: Sequence[Report]) -> list[str]:
    hours = sum(float(own.get("hours", 0)) for own in stats["by"]["task"].values())
    sets = {str(report.get("source")) for report in reports if report.get("source")}
    told = f", made from {len(sets)} {'source' if len(sets) == 1 else 'sources'}" if sets else ""
    return [
        "## What it is",
        "",
        f"{stats['samples']:,} samples of streaming video instruction data{told}: {hours:,.1f} hours, "
        f"{stats['answers'].get('sum', 0):,.0f} answers, {stats['learnable']:,} of them to learn from. A sample is a "
        "video, or several joined, with questions and answers at the instants at which they belong (`streamit/1`, "
        "JSON Lines, whole milliseconds). Videos are named, not contained. The tasks follow Stream-IT of StreamBridge "
        "(arXiv 2505.05467).",
    ]


def _sources(reports: Sequence[Report]) -> list[str]:
    known = {(_cell(r.get("source")), _cell(r.get("version")), _cell(r.get("licence"))) for r in reports}
    rows = [row for row in sorted(known) if row[0]]
    return ["## Sources and licences", "", *_table(["source", "version", "licence"], rows)] if rows else []


def _counts(reports: Sequence[Report]) -> list[str]:
    rows, differences = [], []
    for report in reports:
        made, where = _mapping(report.get("produced")), [_cell(report.get(key)) for key in ("source", "split", "task")]
        rejected = sum(_numbers(report.get("rejected")).values())
        found = _found(report)
        rows.append(
            [*where, found, _cell(made.get("samples")), _cell(made.get("answers")), f"{rejected:,}", _wanted(report)]
        )
        differences += [f"- {where[0]} {where[1]}: {_difference(one)}" for one in _list(report.get("differences"))]
    if not rows:
        return []
    heads = ["source", "split", "task", "found", "samples", "answers", "rejected", "expected"]
    more = [f"- and {len(differences) - _MOST_LISTED} more"] if len(differences) > _MOST_LISTED else []
    told = ["", "Found otherwise than expected:", "", *differences[:_MOST_LISTED], *more] if differences else []
    return ["## Counts, found and expected", "", *_table(heads, rows), *told]


def _found(report: Report) -> str:
    """What stood in the files: first what the full source is known to hold."""
    wanted = {name for counts in _mapping(report.get("expected")).values() for name in _mapping(counts)}
    counts = [(name, n) for name, n in _numbers(report.get("read")).items() if n]
    ranked = sorted(counts, key=lambda count: (count[0] not in wanted, -count[1]))
    return _cell(", ".join(f"{name} {n:,}" for name, n in ranked[:_MOST_FOUND]))


def _difference(one: object) -> str:
    own = _mapping(one)
    told = f"{_cell(own.get('what'))}: {_cell(own.get('found'))} found, {_cell(own.get('expected'))} expected"
    return told if own.keys() >= {"what", "expected", "found"} else _cell(one)


def _wanted(report: Report) -> str:
    """What the whole source is known to hold, of the split that was converted where the report tells it."""
    expected = _mapping(report.get("expected"))
    own = expected.get(str(report.get("split")))
    splits = {str(report.get("split")): own} if isinstance(own, Mapping) else expected
    told = [f"{split}: {name} {n:,}" for split, counts in splits.items() for name, n in _numbers(counts).items()]
    return _cell("; ".join(told[:6])) or "not known"


def _corpus(stats: Mapping[str, Any]) -> list[str]:
    lines = ["## The corpus"]
    for field, counts in stats["by"].items():
        rows = [[_cell(name), f"{own['samples']:,}", f"{own['answers']:,}", f"{own['hours']:,.1f}"]
                for name, own in counts.items()]  # fmt: skip
        lines += ["", *_table([field, "samples", "answers", "hours"], rows)]
    rows = [[words, *(f"{stats[name][one]:g}" for one in ("mean", "p5", "p50", "p95", "most"))]
            for name, (_, words) in SPREADS.items() if stats[name].get("count")]  # fmt: skip
    return [*lines, "", *_table(["", "mean", "5 %", "median", "95 %", "most"], rows)]


def _mended(reports: Sequence[Report], stats: Mapping[str, Any]) -> list[str]:
    """Repairs and rejects with the meaning of each; without reports, the quirks that samples bear."""
    repaired = _sum(report.get("repaired") for report in reports) or Counter(_numbers(stats.get("quirks")))
    lines = ["## What was mended and what was left out"]
    for heads, counts in (
        (["repaired", "times", "meaning"], repaired),
        (["rejected sample", "times", "meaning"], _sum(report.get("rejected") for report in reports)),
        (["part left out", "times", "meaning"], _sum(report.get("dropped") for report in reports)),
    ):
        rows = [[f"`{_cell(name)}`", f"{n:,}", _meaning(name)] for name, n in counts.most_common()]
        lines += ["", *_table(heads, rows)] if rows else []
    return lines if len(lines) > 1 else [*lines, "", "Nothing."]


def _meaning(name: str) -> str:
    left = REASONS.get(name.removeprefix(_DROPPED)) if name.startswith(_DROPPED) else None
    return (
        f"part of the sample was left out: {left}"
        if left
        else QUIRKS.get(name) or REASONS.get(name) or "not known here"
    )


def _policies(reports: Sequence[Report]) -> list[str]:
    policies: dict[str, list[str]] = {}
    for report in reports:
        said = ", ".join(
            f"{_cell(key)} = {_cell(value)}" for key, value in sorted(_mapping(report.get("policy")).items())
        )
        if said and _cell(report.get("source")) not in policies.setdefault(said, []):
            policies[said].append(_cell(report.get("source")))
    rows = [[", ".join(names), said] for said, names in policies.items()]
    return ["## Policy", "", *_table(["source", "values"], rows)] if rows else []


def _leaks(leakage: Mapping[str, Any] | None) -> list[str]:
    lines = ["## Videos of benchmarks", ""]
    if leakage is None:
        return [*lines, "Not checked: whether benchmarks show the same videos is unknown."]
    lines.append(
        f"By ids alone, {leakage.get('leaking', 0):,} of {leakage.get('samples', 0):,} samples "
        f"({leakage.get('share', 0):.2%}) show a video of a benchmark. Videos under other ids are not found."
        + (_LEFT_OUT if leakage.get("left_out") else "")
    )
    rows = [[_cell(file), f"{own.get('videos', 0):,}", f"{own.get('exact', 0):,}", f"{own.get('cut', 0):,}"]
            for file, own in _mapping(leakage.get("benchmarks")).items()]  # fmt: skip
    lines += ["", *_table(["benchmark", "videos", "same id", "same but for a cut"], rows)] if rows else []
    notes = [f"- Not comparable: {_cell(note)}" for note in _list(leakage.get("notes"))[:_MOST_LISTED]]
    return [*lines, *([""] if notes else []), *notes]


def _limits(stats: Mapping[str, Any], reports: Sequence[Report]) -> list[str]:
    names = {str(report.get("source", "")) for report in reports} | set(stats["by"]["dataset"])
    own = [f"- **{_cell(name)}**: {said}" for name in sorted(names) if (said := limits.of(name))]
    return ["## Limits", "", *(f"- {said}" for said in limits.ALWAYS), *own]


def _made(reports: Sequence[Report]) -> list[str]:
    commands = list(dict.fromkeys(command for report in reports for command in _command(report)))
    told = [
        "## How it was made",
        "",
        "With the policy above (`--policy FILE`, where it is not the default):",
        "",
        "```",
    ]
    return [*told, *commands, "streambridge data validate OUT/*.jsonl", "```"] if commands else []


def _command(report: Report) -> Iterator[str]:
    """The command that makes it again, from what the report says; folders are left to the reader."""
    if not report.get("source"):
        return
    words = ["streambridge", "data", "convert", str(report["source"])]
    given = report.get("inputs")
    for name, files in given.items() if isinstance(given, Mapping) else [("", _list(given))]:
        for file in files if isinstance(files, list | tuple) else [files]:
            words += ["--input", f"{name}={_file(file)}" if name else _file(file)]
    words += ["--split", str(report["split"])] if report.get("split") else []
    yield " ".join(shlex.quote(_line(word)) for word in words) + " --out OUT"


def _file(path: object) -> str:
    """The last name of a path: where it lay is nobody's business."""
    return re.split(r"[/\\]", str(path))[-1]


# ---------------------------------------------------------------------------------------------- Markdown


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [heads, ["---"] * len(heads), *rows]
    return ["| " + " | ".join(line) + " |" for line in lines]


def _cell(value: object) -> str:
    """A value on one line that neither ends a cell nor is taken for HTML or a link."""
    said = "" if value is None else f"{value:,}" if type(value) is int else str(value)
    return re.sub(r"([|`\[\]*<>&\\])", lambda found: f"&#{ord(found[0])};", _line(said))


def _line(text: str) -> str:
    """A text on one line, without characters that move the cursor, and no end of a fenced block."""
    return "".join(char if char.isprintable() else " " for char in text[:_MOST_CELL]).replace("```", "")


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else []


def _numbers(value: object) -> dict[str, int]:
    return {str(name): n for name, n in _mapping(value).items() if isinstance(n, int)}


def _sum(counts: Iterable[object]) -> Counter[str]:
    total: Counter[str] = Counter()
    for one in counts:
        total.update(_numbers(one))
    return total
