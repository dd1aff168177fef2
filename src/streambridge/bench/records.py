"""The records of `bench latency`: what each of them holds, and their reading. Knows no page and no plot."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeGuard

from streambridge.bench.roofline import spread
from streambridge.errors import BadInput

Row = Mapping[str, Any]
Rows = list[Row]
Found = Mapping[str, Rows]

AGAIN: Final = "streambridge bench latency"
NAMES: Final = ("scenario", "variant")

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


def is_number(value: Any) -> TypeGuard[float]:
    """A number that is one: no NaN, no infinity, no truth."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
