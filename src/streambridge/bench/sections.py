"""What the page shows of each scenario: its words, columns and comparisons. Knows no Markdown."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from streambridge.bench.records import Found, is_number
from streambridge.bench.roofline import ATTENTION_FLOP, KV_BYTES, MACHINES, WEIGHTS_BYTES, WEIGHTS_FLOP

EXACT: Final = {
    "paper": "the published loop on the library's own forward and cache, its memory held to MaxLen: everything is read "
    "again for each answer",
    "paper+prefix-cache": "the published memory policy on our engine, which keeps what it has read",
    "round_decay": "ours, memory compressed in place",
    "round_decay+shadow": "ours, the memory to come read in lent time",
}
GATE: Final = {
    "re-run": "the library's own forward of the gate over the question and all frames since, at each frame",
    "cached": "the gate's step on its cache",
}
BASES: Final = ("paper", "re-run")
OURS: Final = ("round_decay", "round_decay+shadow", "cached", "eager", "budgeted", "lazy")
RIVALS: Final = ("sink+window", "kv-pool", "re-rotate")


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
LARGEST = Column("memory at most, tokens", "max_tokens")
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


def number(value: Any) -> str:
    """Three digits or so; whole numbers in full."""
    if not is_number(value):
        return "-"
    size = abs(value)
    if isinstance(value, int) or size >= 100 or not size:
        return f"{value:,.0f}"
    return f"{value:.1e}" if size < 0.01 else f"{value:.3g}"


def cell(value: Any) -> str:
    """A figure, a word or a truth as a table holds it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return " ".join(value.split()).replace("|", "\\|") if isinstance(value, str) else number(value)


def _soaked(found: Found) -> list[str]:
    lines = []
    for row in found["soak"]:
        late = [values[len(values) // 4 :] for values in (row["kv_bytes"], row["rss_mib"])]
        kv, rss = (f"{number(min(part))} to {number(max(part))}" if part else "-" for part in late)
        above = "never above" if row["max_tokens"] <= row["max_len"] else "ABOVE"
        peak = f", {number(row['peak_rss_mib'])} MiB at its peak" if row.get("peak_rss_mib") is not None else ""
        counts = {"reserve": "tokens of it kept for the answer", "rebuilds": "rebuilds", "stalls": "stalls"}
        also = ", ".join(f"{number(row[key])} {said}" for key, said in counts.items() if row.get(key) is not None)
        lines.append(
            f"At most {number(row['max_tokens'])} tokens, {above} MaxLen {number(row['max_len'])}; {also}. "
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
            f"Break-even: with an answer every {number(row['every_s'])} s, reading each frame at once computes as "
            "much as `paper`; with rarer ones more."
            if row.get("every_s") is not None
            else "No break-even found."
        )
        lines.append(f"{said} (MaxLen {number(row['max_len'])}, {number(row['frame_tokens'])} tokens a frame.)")
    return lines


EXTRAS: Final = {"soak": _soaked, "replay": _machines, "rare": _even}
