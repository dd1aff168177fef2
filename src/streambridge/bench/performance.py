"""The page of `streambridge bench latency`: its records as Markdown. Knows no model, no clock and no plotting.

Every figure of the page stands in a record, or is the ratio, median or range of some that do.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeGuard

from streambridge.bench.equality import NOISE, TOLERANCE
from streambridge.bench.roofline import ATTENTION_FLOP, KV_BYTES, MACHINES, WEIGHTS_BYTES, WEIGHTS_FLOP, spread
from streambridge.errors import BadInput

Row = Mapping[str, Any]
Rows = list[Row]
Found = Mapping[str, Rows]

AGAIN: Final = "streambridge bench latency"
EXACT: Final = {
    "paper": "the published loop, its memory held to MaxLen: everything is read again for each answer",
    "paper+prefix-cache": "the published memory policy on our engine, which keeps what it has read",
    "round_decay": "ours, memory compressed in place",
    "round_decay+shadow": "ours, the memory to come read in lent time",
}
BASES: Final = ("paper", "re-run")
OURS: Final = ("round_decay", "round_decay+shadow", "cached", "eager", "budgeted", "lazy")
NAMES: Final = ("scenario", "variant")
RIVALS: Final = ("sink+window", "kv-pool", "re-rotate")

# field:kind of each scenario; a `?` may be null or absent. `proactive` and `gpu` are each two: see `_kind`.
FIELDS: Final = {
    "about": "device:s threads:n versions:o cpu:s? date:s command:s seconds:n",
    "oracle": "variant:s size:s dtype:s streams:n answers:n max_abs_logit_diff:n noise:n? same_tokens:n passed:b",
    "first-token": "variant:s size:s dtype:s context:n frame_tokens:n? ttft_ms:n ttft_all_ms:l frame_ms:n? "
    "unread_frame_ttft_ms:n? answer_ms:n",
    "long-stream": "variant:s size:s dtype:s max_len:n frame_tokens:n minutes:n every_s:n answers:n t:l ttft_all_ms:l "
    "queued_all_ms:l p50_ms:n p99_ms:n max_ms:n? queued_p50_ms:n queued_p99_ms:n prefilled:n rebuilds:n stalls:n "
    "max_tokens:n? cpu_s:o kv_mib:n max_abs_logit_diff:n?",
    "frames": "variant:s size:s dtype:s? max_len:n frame_tokens:n? frame:l ttft_ms:l",
    "gate": "variant:s size:s? frame_tokens:n seconds:n step_ms:n max_abs_diff:n",
    "decision": "variant:s what:s size:s dtype:s? max_len:n? frame_tokens:n? n:n p50_ms:n p99_ms:n max_ms:n?",
    "burst": "variant:s what:s size:s dtype:s? max_len:n frame_tokens:n? n:n? ttft_all_ms:l? p50_ms:n p99_ms:n "
    "max_ms:n? max_abs_logit_diff:n",
    "giant-round": "variant:s size:s dtype:s? max_len:n minutes:n ttft_ms:n max_tokens:n rebuilds:n prefilled:n",
    "rare": "variant:s every_s:n max_len:n frame_tokens:n flop:n prefilled:n p50_ms:n p99_ms:n? stalls:n? ratio:n",
    "break-even": "max_len:n frame_tokens:n every_s:n?",
    "soak": "variant:s? size:s? hours:n max_tokens:n max_len:n reserve:n? kv_bytes:l rss_mib:l p99_ms:l tokens:l? "
    "peak_rss_mib:n? rebuilds:n? stalls:n",
    "replay": "variant:s machine:s model:s max_len:n frame_tokens:n hours:n every_s:n? answers:n p50_ms:n p99_ms:n "
    "max_ms:n t:l ttft_all_ms:l prefilled:n largest:n? flop:n stalls:n kv_gib:n",
    "rivals": "variant:s size:s dtype:s? max_len:n frame_tokens:n? minutes:n every_s:n? answers:n? checked:n? p50_ms:n "
    "p99_ms:n max_ms:n? max_abs_logit_diff:n relative_l2:n kl:n top1:n",
    "gpu": "variant:s size:s dtype:s context:n n:n? ttft_p50_ms:n ttft_p99_ms:n decode_ms_per_token:n graphs:b?",
    "gpu-gate": "variant:s size:s dtype:s? step_ms:n graphs:b?",
    "summary": "",
}
KINDS: Final[dict[str, tuple[str, Callable[[Any], bool]]]] = {
    "s": ("words", lambda value: isinstance(value, str)),
    "n": ("a number", lambda value: isinstance(value, int | float) and not isinstance(value, bool)),
    "b": ("true or false", lambda value: isinstance(value, bool)),
    "o": ("an object", lambda value: isinstance(value, Mapping)),
    "l": ("a list of numbers", lambda value: isinstance(value, list | tuple) and all(map(KINDS["n"][1], value))),
}


def sorted_out(records: Sequence[Row]) -> dict[str, Rows]:
    """The records by scenario, each with all its fields; a variant that failed the oracle check keeps no other row.

    Raises:
        BadInput: for a record that lacks a field or holds something else in it; the line names the record.
    """
    found: dict[str, Rows] = {}
    for number, record in enumerate(records, 1):
        kind = _kind(record, number)
        found.setdefault(kind, []).append(_checked(_with_spread(record, kind), kind, number))
    failed = {row["variant"] for row in found.get("oracle", []) if not row["passed"]}
    kept = {
        kind: [row for row in rows if kind == "oracle" or row.get("variant") not in failed]
        for kind, rows in found.items()
    }
    return {kind: rows for kind, rows in kept.items() if rows}


def _kind(record: Any, number: int) -> str:
    if not isinstance(record, Mapping) or not isinstance(record.get("scenario"), str):
        raise BadInput(f"record {number} is no object with a 'scenario'; write the records anew with: {AGAIN}")
    scenario: str = record["scenario"]
    if scenario == "proactive":
        return "decision" if "what" in record else "gate"
    return "gpu-gate" if scenario == "gpu" and record.get("variant") == "gate" else scenario


def _checked(record: Row, kind: str, number: int) -> Row:
    wanted = dict(field.split(":") for field in FIELDS.get(kind, "").split())
    if kind == "summary":
        wanted = {field: "n?" for field in record if field not in NAMES}
    for field, what in wanted.items():
        said, holds = KINDS[what[0]]
        value = record.get(field)
        if not (holds(value) or (value is None and what.endswith("?"))):
            fault = f"holds {value!r:.60}" if field in record else "has nothing"
            raise BadInput(f"{_named(record, number)} {fault} as '{field}', not {said}; write it anew with: {AGAIN}")
    lists = {field: len(record[field]) for field, what in wanted.items() if what[0] == "l" and record.get(field)}
    if len(set(lists.values())) > 1:
        raise BadInput(f"{_named(record, number)} has lists of unequal lengths: {lists}; write it anew with: {AGAIN}")
    return record


def _named(record: Row, number: int) -> str:
    names = [str(record[key]) for key in ("scenario", "variant") if key in record]
    return " ".join(f"record {number} ({', '.join(names)})".split())


def _with_spread(record: Row, kind: str) -> Row:
    """Median and p99 where only the list of times was written."""
    times = {"frames": "ttft_ms", "burst": "ttft_all_ms"}.get(kind, "")
    if record.get("p50_ms") is not None or not KINDS["l"][1](record.get(times)):
        return record
    return {**record, **spread(record[times]), "n": len(record[times])}


class Column(NamedTuple):
    """A column of a table: a field (`cpu_s.frames`: of an object in it; `/p50_ms`: of the base, as a multiple)."""

    heading: str
    field: str
    per: float = 1.0


class Section(NamedTuple):
    """How a scenario is shown.

    Attributes:
        title: its heading.
        about: what was done.
        columns: of its table, after the variant; one that no record fills is left out.
        shows: fields, and what the base needs so many times as much of.
        plots: name of each plot and what it shows.
    """

    title: str
    about: str
    columns: tuple[Column, ...]
    shows: tuple[tuple[str, str], ...] = ()
    plots: tuple[tuple[str, str], ...] = ()


SOONER: Final = "takes {} times as long to the first token as"
SOONER50: Final = "takes {} times as long to the first token (p50) as"
SOONER99: Final = "takes {} times as long to the first token (p99) as"
P50, P99 = Column("TTFT p50, ms", "p50_ms"), Column("p99", "p99_ms")
MAX, TIMES50, TIMES99 = Column("max", "max_ms"), Column("base / this, p50", "/p50_ms"), Column("p99", "/p99_ms")
ERROR, PREFILLED = Column("max logit error", "max_abs_logit_diff"), Column("tokens read", "prefilled")
REBUILDS, STALLS = Column("rebuilds", "rebuilds"), Column("stalls", "stalls")
LARGEST = Column("largest plan, tokens", "max_tokens")
SECTIONS: Final = {
    "first-token": Section(
        "The first word at a given length",
        "One question on a memory of so many tokens, the frame of its moment already read. TTFT is the time from the "
        "question to the first token of the answer.",
        (Column("context", "context"), Column("TTFT, ms", "ttft_ms"), Column("base / this", "/ttft_ms"),
         Column("timed", "timed"), Column("least, ms", "least_ms"), Column("most", "most_ms"),
         Column("frames, ms", "frame_ms"),
         Column("frame not read yet, ms", "unread_frame_ttft_ms"), Column("first 20 tokens, ms", "answer_ms"),
         Column("base / this", "/answer_ms")),
        (("ttft_ms", SOONER), ("answer_ms", "takes {} times as long to the first 20 tokens as")),
    ),
    "long-stream": Section(
        "A long stream",
        "One frame a second, rebuilds of memory included. Queued: the question waits for the work of its moment's "
        "frame. Tokens read are those of frames, questions and rebuilds. CPU seconds are for the whole stream.",
        (Column("answers", "answers"), P50, P99, MAX, TIMES50, TIMES99, Column("queued p50, ms", "queued_p50_ms"),
         Column("queued p99", "queued_p99_ms"), PREFILLED, Column("base / this", "/prefilled"), REBUILDS, STALLS,
         LARGEST, Column("CPU s: frames", "cpu_s.frames"), Column("lent time", "cpu_s.idle"),
         Column("answers", "cpu_s.answers"), Column("in all", "cpu_all_s"),
         Column("base / this", "/cpu_all_s"), Column("KV MiB", "kv_mib"), ERROR),
        (("p50_ms", SOONER50), ("p99_ms", SOONER99), ("prefilled", "reads {} times the tokens of")),
        (("long-stream", "TTFT over stream time, each variant a line"),),
    ),
    "frames": Section(
        "Latency against frame number",
        "The axes of the paper's own figure: frames seen so far, and the time to the first token.",
        (Column("MaxLen", "max_len"), Column("answers", "n"), P50, P99, TIMES50, TIMES99),
        (("p50_ms", SOONER50),),
        (("frames", "TTFT against frame number for several MaxLen, the published loop and ours"),),
    ),
    "gate": Section(
        "The gate's step",
        "What the gate computes for each frame, so long after the question: from its cache, or on all frames again.",
        (Column("seconds", "seconds"), Column("step, ms", "step_ms"), Column("base / this", "/step_ms"),
         Column("max difference", "max_abs_diff")),
        (("step_ms", "takes {} times as long for a frame as"),),
        (("gate", "Milliseconds of the gate for a frame, over the seconds since the question"),),
    ),
    "decision": Section(
        "From decision to first token",
        "The gate has fired; the time from there to the first token of what is said.",
        (Column("fires", "n"), P50, P99, MAX, TIMES50, TIMES99),
        (("p50_ms", SOONER50),),
    ),
    "burst": Section(
        "The worst moments",
        "Several questions at once, a question while memory is rebuilt, a question right after an answer was cut. In "
        "place, the first token after a rebuild waits for the rebuild.",
        (Column("moment", "what"), Column("n", "n"), P50, P99, MAX, TIMES50, TIMES99, ERROR),
        (("p50_ms", SOONER50),),
    ),
    "giant-round": Section(
        "A long silence, then a question",
        "Nothing is asked for so long, then one question. One time for each variant: no median stands behind it.",
        (Column("TTFT, ms", "ttft_ms"), Column("base / this", "/ttft_ms"), LARGEST, REBUILDS, PREFILLED),
        (("ttft_ms", SOONER),),
    ),
    "rivals": Section(
        "Exact and approximate",
        "The rivals keep keys and values that were made under another context, so their answers are not those of a "
        "recompute. Errors are medians over answers of the first token's logits, against a recompute of the context "
        "that the variant claims to hold; top-1 is the share of answers with the oracle's first token. The rivals are "
        "written anew for this bench after what is published of such systems: they are no one's product. They run by "
        "turns among themselves, and the exact variants likewise, on like streams.",
        (Column("answers", "answers"), P50, P99, MAX, TIMES50, TIMES99, Column("held against it", "checked"),
         ERROR, Column("relative L2", "relative_l2"), Column("KL", "kl"),
         Column("top-1", "top1")),
        (("p50_ms", SOONER50), ("p99_ms", SOONER99)),
        (("rivals", "Logit error against p99 TTFT; the exact variants stand at the left edge"),),
    ),
    "rare": Section(
        "When answers are rare",
        "A replay: calculated, not measured. `eager` reads each frame as it comes, `budgeted` in so much lent time, "
        "`lazy` when asked. Reading early buys latency with compute where answers are rare. Compute is that of all "
        "reading, the words of answers left out.",
        (Column("an answer every, s", "every_s"), Column("compute, PFLOP", "flop", 1e15),
         Column("compute, base / this", "ratio"), PREFILLED, P50, P99, TIMES50, STALLS),
        (("flop", "computes {} times as much as"),),
        (("rare", "Compute against seconds between answers, with the break-even"),),
    ),
    "replay": Section(
        "Calculated: a 7B on a big machine",
        "Token-exact replays: session, policy and reader are the real ones, the model only counts. "
        "No weights were run. TTFT counts from the question's arrival, whatever the device is doing. "
        "Time of a pass = max(FLOP / rate, bytes / bandwidth) + launch; FLOP of S new tokens after p others = "
        f"{WEIGHTS_FLOP:.4g} S + {ATTENTION_FLOP} (S p + S^2 / 2); bytes = {WEIGHTS_BYTES:.3g} + {KV_BYTES} (p + S).",
        (P50, P99, MAX, TIMES50, TIMES99, Column("answers", "answers"), PREFILLED,
         Column("compute, PFLOP", "flop", 1e15), Column("base / this", "/flop"), STALLS,
         Column("largest pass, tokens", "largest"), Column("KV GiB", "kv_gib")),
        (("p50_ms", SOONER50), ("flop", "computes {} times as much as")),
        (("replay", "Calculated TTFT of a 7B over stream time"),),
    ),
    "soak": Section(
        "Hours",
        "Simulated hours of one stream; the table is by the time passed. Nothing may grow.",
        (Column("after, h", "after_h"), Column("KV MiB", "kv_bytes", 2.0**20), Column("RSS MiB", "rss_mib"),
         Column("TTFT p99, ms", "p99_ms"), Column("tokens", "tokens")),
    ),
    "gpu": Section(
        "On a GPU",
        "Times by the clock, the device waited for.",
        (Column("context", "context"), Column("n", "n"), Column("TTFT p50, ms", "ttft_p50_ms"),
         Column("p99", "ttft_p99_ms"),
         Column("base / this, p50", "/ttft_p50_ms"), Column("p99", "/ttft_p99_ms"),
         Column("a further token, ms", "decode_ms_per_token"), Column("CUDA graphs", "graphs")),
        (("ttft_p50_ms", SOONER50),),
    ),
    "gpu-gate": Section(
        "The gate's step on a GPU", "One frame, from the cache.",
        (Column("step, ms", "step_ms"), Column("CUDA graphs", "graphs")),
    ),
}  # fmt: skip
TOLD: Final = {  # what makes two rows comparable, and how it is said
    "model": "{}",
    "machine": "{}",
    "size": "{} decoder",
    "dtype": "{}",
    "context": "{} tokens of context",
    "max_len": "MaxLen {}",
    "frame_tokens": "{} tokens a frame",
    "minutes": "{} min",
    "hours": "{} h",
    "every_s": "an answer every {} s",
    "seconds": "{} s after the question",
    "what": "{}",
}
LESS: Final = (  # less is better
    Column("TTFT, ms", "ttft_ms"),
    Column("TTFT with a frame not read yet, ms", "unread_frame_ttft_ms"),
    Column("first 20 tokens, ms", "answer_ms"),
    Column("TTFT p50, ms", "p50_ms"),
    Column("TTFT p99, ms", "p99_ms"),
    Column("queued p50, ms", "queued_p50_ms"),
    Column("queued p99, ms", "queued_p99_ms"),
    Column("TTFT p50, ms", "ttft_p50_ms"),
    Column("TTFT p99, ms", "ttft_p99_ms"),
    Column("a further token, ms", "decode_ms_per_token"),
    Column("step, ms", "step_ms"),
    Column("tokens read", "prefilled"),
    Column("compute, PFLOP", "flop", 1e15),
    Column("CPU s in all", "cpu_all_s"),
    Column("KV MiB", "kv_mib"),
    Column("KV GiB", "kv_gib"),
    Column("stalls", "stalls"),
)
ERRORS: Final = (
    Column("max logit error", "max_abs_logit_diff"),
    Column("relative L2", "relative_l2"),
    Column("KL", "kl"),
)
SUMMARY: Final = {
    "max_abs_logit_diff": "largest logit difference from the oracle, float32",
    "ttft_ratio_2k": "TTFT at 2k tokens, `paper` / ours",
    "ttft_ratio_4k": "TTFT at 4k tokens, `paper` / ours",
    "ttft_ratio_8k": "TTFT at 8k tokens, `paper` / ours",
    "p50_ratio_1h": "long stream, p50, `paper` / ours",
    "p99_ratio_1h": "long stream, p99, `paper` / ours",
    "prefill_ratio_1h": "long stream, tokens read, `paper` / ours",
    "p50_ratio_long_stream": "long stream, p50, `paper` / ours",
    "p99_ratio_long_stream": "long stream, p99, `paper` / ours",
    "prefill_ratio_long_stream": "long stream, tokens read, `paper` / ours",
    "stalls_replay": "replay at 7B with the shadow, stalls",
    "p99_over_p50_replay": "replay at 7B with the shadow, p99 / p50",
    "prefill_ratio_4k_16": "replay, work of reading, `paper` / ours, MaxLen 4k, 16 tokens a frame",
    "prefill_ratio_16k_64": "replay, work of reading, `paper` / ours, MaxLen 16k, 64 tokens a frame",
    "gate_ratio_60s": "gate's step after 60 s, re-run / cached",
    "gate_ratio_300s": "gate's step after 300 s, re-run / cached",
    "break_even_s": "seconds between answers at which `eager` computes as much as `paper`",
}


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
            f"Of {about['date']}, in {_number(about['seconds'])} s. Models are of a named size, with random weights; "
            "nothing is downloaded."
        ),
        f"- device: {device}; torch threads: {_number(about['threads'])}",
        f"- versions: {versions}",
        f"- times: {'CPU time of the process' if about['device'] == 'cpu' else 'by the clock, the device waited for'}",
        "- variants of a scenario run in one process on the same stream, by turns and in reversed order every other",
        "  time; but rivals and exact variants apart, and decisions and the gate's step one after the other",
        "- p50 is the median, p99 the 99th percentile; shared machines are noisy, so ratios count, not milliseconds",
        "- base / this: the base is `paper`, for the gate `re-run`, in the same setting; above 1 the base needs more",
        "",
        *(f"- `{name}`: {said}" for name, said in EXACT.items()),
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
    rows = [f"| {SUMMARY.get(key, f'`{key}`')} | {_number(value)} |" for key, value in own.items()]
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
    return {**row, **ranged, **({"cpu_all_s": float(sum(filter(_is_number, spent.values())))} if spent else {})}


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
    return ", ".join(TOLD[key].format(_cell(row[key])) for key in keys if row.get(key) is not None)


def _grid(rows: Rows, columns: Sequence[Column]) -> list[str]:
    cells = [[_cell(_value(row, column, rows)) for column in columns] for row in rows]
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
    return value / column.per if _is_number(value) and column.per != 1.0 else value


def _ratio(row: Row, field: str, rows: Rows) -> float | None:
    """What the base needs in the same setting, as a multiple of what this row needs."""
    bases = [other for other in rows if other.get("variant") in BASES and _alike(other, row)]
    own, base = row.get(field), bases[0].get(field) if bases else None
    if row.get("variant") in BASES or not _is_number(own) or not _is_number(base) or not own:
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
            known = sorted(_number(ratio) for ratio in ratios if ratio is not None)
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
            if _is_number(a) and _is_number(b) and a >= b and a > 0:
                where = f" ({_setting(own, varying)})" if varying else ""
                line = f"{_number(a)} against {_number(b)} of `{other['variant']}`{where}"
                worse.setdefault(f"- `{own['variant']}`, {column.heading}", []).append(line)
    told = [line for name, lines in worse.items() for line in _wrapped(f"{name}: {'; '.join(lines)}", "  ")]
    return ["Where ours is not better:", "", *told, ""] if told else []


def _soaked(found: Found) -> list[str]:
    lines = []
    for row in found["soak"]:
        late = [values[len(values) // 4 :] for values in (row["kv_bytes"], row["rss_mib"])]
        kv, rss = (f"{_number(min(part))} to {_number(max(part))}" if part else "-" for part in late)
        above = "never above" if row["max_tokens"] <= row["max_len"] else "ABOVE"
        peak = f", {_number(row['peak_rss_mib'])} MiB at its peak" if row.get("peak_rss_mib") is not None else ""
        counts = {"reserve": "tokens of it kept for the answer", "rebuilds": "rebuilds", "stalls": "stalls"}
        also = ", ".join(f"{_number(row[key])} {said}" for key, said in counts.items() if row.get(key) is not None)
        lines.append(
            f"At most {_number(row['max_tokens'])} tokens, {above} MaxLen {_number(row['max_len'])}; {also}. "
            f"In the last three quarters KV held {kv} bytes and the process {rss} MiB{peak}."
        )
    return lines


def _machines(found: Found) -> list[str]:
    lines = []
    for name in dict.fromkeys(row["machine"] for row in found["replay"]):
        one = MACHINES.get(name)
        lines.append(
            f"{name}: {one.flops / 1e12:.4g} TFLOP/s and {one.bandwidth / 1e12:.4g} TB/s reached, "
            f"{one.launch_ms:g} ms of launch a pass."
            if one
            else f"{name}: its constants are not known here."
        )
    return lines


def _even(found: Found) -> list[str]:
    lines = []
    for row in found.get("break-even", []):
        said = (
            f"Break-even: with an answer every {_number(row['every_s'])} s, reading each frame at once computes as "
            "much as `paper`; with rarer ones more."
            if row.get("every_s") is not None
            else "No break-even found."
        )
        lines.append(f"{said} (MaxLen {_number(row['max_len'])}, {_number(row['frame_tokens'])} tokens a frame.)")
    return lines


EXTRAS: Final = {"soak": _soaked, "replay": _machines, "rare": _even}


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
    said = f"{'passed' if row['passed'] else 'FAILED'}: {_number(row['max_abs_logit_diff'])} in {row['dtype']}"
    return ["oracle", row["variant"], said, *["-"] * 5]


def _short(kind: str, row: Row, rows: Rows) -> list[str]:
    """A line: what was measured, its size and what varies in the scenario; p99 of several parts is their largest."""
    low = next((key for key in ("p50_ms", "ttft_p50_ms", "step_ms", "ttft_ms") if _is_number(row.get(key))), "")
    high = next((key for key in ("p99_ms", "ttft_p99_ms") if row.get(key) is not None), "")
    work = next((key for key in ("flop", "prefilled") if _is_number(row.get(key))), "")
    varying = [key for key in TOLD if key == "size" or len({str(other.get(key)) for other in rows}) > 1]
    last = max(row[high], default=None) if high and isinstance(row[high], list | tuple) else row.get(high)
    ratios = [_number(_ratio(row, key, rows)) for key in (low, high, work)]
    return [kind, str(row.get("variant", "-")), _setting(row, varying), _number(row.get(low)), _number(last), *ratios]


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _number(value: Any) -> str:
    """Three digits or so; whole numbers in full."""
    if not _is_number(value):
        return "-"
    size = abs(value)
    if isinstance(value, int) or size >= 100 or not size:
        return f"{value:,.0f}"
    return f"{value:.1e}" if size < 0.01 else f"{value:.3g}"


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return " ".join(value.split()).replace("|", "\\|") if isinstance(value, str) else _number(value)


def _typed(command: str) -> list[str]:
    return ["```", command, "```", ""]


def _prose(text: str) -> list[str]:
    return [*_wrapped(text), ""]


def _wrapped(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(text, 118, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
