"""The page of `streambridge bench latency`: its records as Markdown. Knows no model, no clock and no plotting.

Every figure of the page stands in a record, or is the ratio, median or range of some that do.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from streambridge.bench.equality import NOISE, TOLERANCE
from streambridge.bench.records import AGAIN, FIELDS, NAMES, Found, Row, Rows, is_number, sorted_out
from streambridge.bench.sections import (
    BASES,
    ERROR,
    ERRORS,
    EXACT,
    EXTRAS,
    GATE,
    LESS,
    OURS,
    RIVALS,
    SECTIONS,
    SUMMARY,
    TOLD,
    Column,
    Section,
    cell,
    number,
)


def page(records: Sequence[Row], plots: Mapping[str, str]) -> str:
    """The page as Markdown.

    Args:
        records: of one run, in any order; any scenario may be missing.
        plots: name of a plot -> its address as seen from the page.

    Raises:
        BadInput: for a record that cannot be read.
    """
    found = sorted_out(records)
    lines = ["# Performance", "", *_about(found), *_oracle(found), *_summary(found)]
    for kind, section in SECTIONS.items():
        if kind in found:
            lines += _section(kind, section, found, plots)
        elif kind == "gpu":
            lines += [f"## {section.title}", "", *_no_gpu(found)]
    return "\n".join([*lines, *_missing(found), *_limits()]) + "\n"


def _about(found: Found) -> list[str]:
    if "about" not in found:
        return _prose("The record `about` is missing: device, threads and versions of this run are not known.")
    about = found["about"][0]
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    device = ", ".join(str(about[key]) for key in ("device", "cpu") if about.get(key))
    return [
        "Written by this command; every figure below is of that run:",
        "",
        *_typed(about["command"]),
        *_prose(
            f"Of {about['date']}, in {number(about['seconds'])} s. Models are of a named size, with random weights; "
            "nothing is downloaded."
        ),
        f"- device: {device}; torch threads: {number(about['threads'])}",
        f"- versions: {versions}",
        f"- times: {'CPU time of the process' if about['device'] == 'cpu' else 'by the clock, the device waited for'}",
        "- variants of a scenario run in one process on the same stream, by turns and in reversed order every other",
        "  time; but rivals and exact variants apart; the gate takes some steps in a row, then its re-runs",
        "- p50 is the median, p99 the 99th percentile; shared machines are noisy, so ratios count, not milliseconds",
        "- base / this: the base is `paper`, for the gate `re-run`, in the same setting; above 1 the base needs more",
        "",
        *(f"- `{name}`: {said}" for name, said in (EXACT | GATE).items()),
        "",
    ]


def _oracle(found: Found) -> list[str]:
    head = ["## Exact or not", ""]
    if "oracle" not in found:
        said = "No oracle check is among the records: nothing here shows that an answer is that of a recompute."
        return [*head, *_prose(said)]
    columns = (Column("size", "size"), Column("dtype", "dtype"), Column("streams", "streams"),
               Column("answers", "answers"), ERROR, Column("oracle's own noise", "noise"),
               Column("same tokens", "same_tokens"), Column("passed", "passed"))  # fmt: skip
    about = (
        "The check comes first. Random streams (frames, questions, watches, cut answers, compression) run through the "
        "session, and every token of every answer is held against a fresh recompute of the same memory, the oracle. In "
        "16 bit the oracle differs from itself when it reads in other portions: that is its noise. "
        f"Passed: at most {TOLERANCE:g} and the same tokens in float32, at most {NOISE:g} times the noise in 16 bit."
    )
    return [*head, *_prose(about), *_grid(found["oracle"], columns), "", *_verdicts(found)]


def _verdicts(found: Found) -> list[str]:
    checked = {row["variant"] for row in found["oracle"]}
    failed = {row["variant"] for row in found["oracle"] if not row["passed"]}
    timed = {row.get("variant") for kind, rows in found.items() if kind != "oracle" for row in rows}
    lines = [f"- `{name}` failed: it has no row in any table of speed." for name in sorted(failed)]
    lines += [f"- `{name}` was not checked." for name in EXACT if name in timed - checked]
    return [*(lines or ["Every variant checked passed."]), ""]


def _summary(found: Found) -> list[str]:
    if "summary" not in found:
        return []
    own = {key: value for key, value in found["summary"][0].items() if key not in NAMES}
    rows = [f"| {SUMMARY.get(key, f'`{key}`')} | {number(value)} |" for key, value in own.items()]
    return ["## At a glance", "", "| | |", "|---|---|", *rows, ""]


def _section(kind: str, section: Section, found: Found, plots: Mapping[str, str]) -> list[str]:
    rows = [_with_range(row) for row in found[kind]]
    shown = _hours(rows) if kind == "soak" else rows
    lines = [f"## {section.title}", "", *_prose(section.about)]
    told = [key for key in TOLD if all(row.get(key) is not None for row in rows)]
    apart = [key for key in told if key not in {column.field for column in section.columns}]
    for setting in dict.fromkeys(_setting(row, apart) for row in shown):
        group = [row for row in shown if _setting(row, apart) == setting]
        lines += [f"{setting[0].upper()}{setting[1:]}:", ""] if setting else []
        lines += [*_grid(group, section.columns), ""]
    said = [*_shows(rows, section), *(EXTRAS[kind](found) if kind in EXTRAS else [])]
    lines += [*(line for sentence in said for line in _prose(sentence)), *_worse(rows)]
    return lines + [f"![{what}]({plots[name]})\n" for name, what in section.plots if name in plots]


def _with_range(row: Row) -> Row:
    """What is summed up for the tables: the range of the times, how many there are, CPU seconds in all."""
    times, spent = row.get("ttft_all_ms"), row.get("cpu_s")
    ranged = {"least_ms": min(times), "most_ms": max(times), "timed": len(times)} if times else {}
    return {**row, **ranged, **({"cpu_all_s": float(sum(filter(is_number, spent.values())))} if spent else {})}


def _hours(rows: Rows) -> Rows:
    """A row for each part of a soak."""
    parts: Rows = []
    for row in rows:
        lists = {key: row[key] for key in ("kv_bytes", "rss_mib", "p99_ms", "tokens") if row.get(key)}
        n = len(row["kv_bytes"])
        for k in range(n):
            at = {key: values[k] for key, values in lists.items()}
            parts.append({**row, **at, "after_h": row["hours"] * (k + 1) / n})
    return parts


def _setting(row: Row, keys: Sequence[str]) -> str:
    return ", ".join(TOLD[key].format(cell(row[key])) for key in keys if row.get(key) is not None)


def _grid(rows: Rows, columns: Sequence[Column]) -> list[str]:
    cells = [[cell(_value(row, column, rows)) for column in columns] for row in rows]
    kept = [k for k in range(len(columns)) if any(line[k] != "-" for line in cells)]
    lines = [f"| variant | {' | '.join(columns[k].heading for k in kept)} |", "|---" * (len(kept) + 1) + "|"]
    for row, line in zip(rows, cells, strict=True):
        lines.append(f"| {row.get('variant', '-')} | {' | '.join(line[k] for k in kept)} |")
    return lines


def _value(row: Row, column: Column, rows: Rows) -> Any:
    if column.field.startswith("/"):
        return _ratio(row, column.field[1:], rows)
    outer, _, inner = column.field.partition(".")
    value = row.get(outer)
    if inner:
        value = value.get(inner) if isinstance(value, Mapping) else None
    return value / column.per if is_number(value) and column.per != 1.0 else value


def _ratio(row: Row, field: str, rows: Rows) -> float | None:
    """What the base needs in the same setting, as a multiple of what this row needs."""
    bases = [other for other in rows if other.get("variant") in BASES and _alike(other, row)]
    own, base = row.get(field), bases[0].get(field) if bases else None
    if row.get("variant") in BASES or not is_number(own) or not is_number(base) or not own:
        return None
    return float(base / own)


def _alike(one: Row, other: Row) -> bool:
    """Of one setting: nothing that both tell is different."""
    both = [key for key in TOLD if one.get(key) is not None and other.get(key) is not None]
    return all(one[key] == other[key] for key in both)


def _shows(rows: Rows, section: Section) -> list[str]:
    """A sentence for each field and variant of ours: how much more the base needs."""
    lines = []
    for field, said in section.shows:
        for name in (name for name in OURS if any(row.get("variant") == name for row in rows)):
            ratios = [_ratio(row, field, rows) for row in rows if row["variant"] == name]
            known = sorted(number(ratio) for ratio in ratios if ratio is not None)
            known = sorted({*known}, key=lambda text: float(text.replace(",", "")))
            if known:
                base = "re-run" if name == "cached" else "paper"
                span = known[0] if len(known) == 1 else f"{known[0]} to {known[-1]}"
                lines.append(f"`{base}` {said.format(span)} `{name}`.")
    return [" ".join(lines)] if lines else []


def _worse(rows: Rows) -> list[str]:
    """Every figure in which a variant of ours is not better than one that is not ours."""
    worse: dict[str, list[str]] = {}
    varying = [key for key in TOLD if len({str(row.get(key)) for row in rows}) > 1]
    pairs = [
        (own, other)
        for own in rows
        for other in rows
        if own.get("variant") in OURS and other.get("variant") not in OURS and _alike(own, other)
    ]
    for own, other in pairs:
        for column in (*LESS, *(ERRORS if other["variant"] in RIVALS else ())):
            a, b = _value(own, column, rows), _value(other, column, rows)
            if is_number(a) and is_number(b) and a >= b and a > 0:
                setting = _setting(own, varying)
                where = f" ({setting})" if setting else ""
                line = f"{number(a)} against {number(b)} of `{other['variant']}`{where}"
                worse.setdefault(f"- `{own['variant']}`, {column.heading}", []).append(line)
    told = [line for name, lines in worse.items() for line in _wrapped(f"{name}: {'; '.join(lines)}", "  ")]
    return ["Where ours is not better:", "", *told, ""] if told else []


def _no_gpu(found: Found) -> list[str]:
    device = found["about"][0]["device"] if "about" in found else "cpu"
    why = "No GPU was at hand" if device == "cpu" else f"The run on {device} has no record of it"
    said = f"{why}: nothing here was measured on one. Where there is one, type:"
    return [*_prose(said), *_typed(f"{AGAIN} --device cuda")]


def _missing(found: Found) -> list[str]:
    lines = [f"- missing: `{kind}`" for kind in FIELDS if kind not in found]
    lines += [f"- not shown, its form is not known here: `{kind}`" for kind in found if kind not in FIELDS]
    if not lines:
        return []
    return ["## Not in this run", "", *_prose(f"`{AGAIN}` without `--quick` runs all that it can."), *lines, ""]


def _limits() -> list[str]:
    return [
        "## Limits",
        "",
        "- Random weights prove equality and cost. They say nothing about how good an answer is.",
        "- `paper` as printed passes MaxLen in a long dialogue, and would be slower than the `paper` timed here.",
        "- Memory that is compressed to half holds less than memory squeezed to just below its limit.",
        "- Reading each frame at once buys latency with compute where answers are rare.",
        "- Replays are calculations by a formula, not measurements.",
        "- The p99 of few answers is nearly their maximum.",
        "- The eyes are left out: every variant needs them alike.",
    ]


def table(records: Sequence[Row]) -> str:
    """The short table for a terminal, the oracle check first; Markdown too.

    Args:
        records: as of `page`.

    Raises:
        BadInput: for a record that cannot be read.
    """
    found = sorted_out(records)
    lines = [["scenario", "variant", "setting", "p50 ms", "p99 ms", "base/this", "p99", "work"]]
    lines += [_verdict(row) for row in found.get("oracle", [])]
    for kind in (kind for kind in SECTIONS if kind in found):
        lines += [_short(kind, row, found[kind]) for row in found[kind]]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines.insert(1, ["-" * width for width in widths])
    shown = ["| " + " | ".join(map(str.ljust, line, widths)) + " |" for line in lines]
    shown.append("base/this: how much more `paper` (`re-run`) needs: ms at p50, at p99; work: FLOP or tokens read")
    absent = [kind for kind in FIELDS if kind not in found]
    return "\n".join([*shown, *([f"not in this run: {', '.join(absent)}"] if absent else [])]) + "\n"


def _verdict(row: Row) -> list[str]:
    said = f"{'passed' if row['passed'] else 'FAILED'}: {number(row['max_abs_logit_diff'])} in {row['dtype']}"
    return ["oracle", row["variant"], said, *["-"] * 5]


def _short(kind: str, row: Row, rows: Rows) -> list[str]:
    """A line: what was measured, its size and what varies in the scenario; p99 of several parts is their largest."""
    low = next((key for key in ("p50_ms", "ttft_p50_ms", "step_ms", "ttft_ms") if is_number(row.get(key))), "")
    high = next((key for key in ("p99_ms", "ttft_p99_ms") if row.get(key) is not None), "")
    work = next((key for key in ("flop", "prefilled") if is_number(row.get(key))), "")
    varying = [key for key in TOLD if key == "size" or len({str(other.get(key)) for other in rows}) > 1]
    last = max(row[high], default=None) if high and isinstance(row[high], list | tuple) else row.get(high)
    ratios = [number(_ratio(row, key, rows)) for key in (low, high, work)]
    return [kind, str(row.get("variant", "-")), _setting(row, varying), number(row.get(low)), number(last), *ratios]


def _typed(command: str) -> list[str]:
    return ["```", command, "```", ""]


def _prose(text: str) -> list[str]:
    return [*_wrapped(text), ""]


def _wrapped(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(text, 118, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
