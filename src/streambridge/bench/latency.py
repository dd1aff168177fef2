"""`streambridge bench latency`: how soon the first word comes, for how much work, and whether it is the right one.

Runs the scenarios, the check against the oracle first, and sums up. Knows no page and no plot.
"""

from __future__ import annotations

import multiprocessing
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import torch

from streambridge.bench import big_machine, equality, roofline, streams
from streambridge.bench.big_gpu import big_gpu
from streambridge.bench.extent import OURS, PAPER, Extent, Record, Tick
from streambridge.bench.first_token import first_token
from streambridge.bench.gate_steps import gate_steps
from streambridge.errors import UnknownName, WrongUse

Scenario = Callable[[Extent, set[str], str, Tick], Iterator[Record]]

SCENARIOS: Final[dict[str, tuple[Scenario, ...]]] = {
    "first-token": (first_token,),
    "long-stream": (streams.long_stream, streams.frames),
    "proactive": (gate_steps, streams.decisions),
    "burst": (streams.burst,),
    "giant-round": (streams.giant_round,),
    "rivals": (streams.approximate,),
    "replay": (big_machine.replays,),
    "rare": (big_machine.rare,),
    "soak": (streams.soak,),
    "gpu": (big_gpu,),
}
ON_GPU: Final = ("gpu",)  # which of them need one
APART: Final = ("first-token",)  # with `second_core` in a process of its own


def chosen(names: Sequence[str] | None, device: str) -> list[str]:
    """The scenarios to run.

    Raises:
        UnknownName: for a name that is none.
        WrongUse: when a GPU is asked for that torch does not see.
    """
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise WrongUse(f"--device {device}: torch sees no GPU here; leave the option out to measure on the CPU")
    for name in names or ():
        if name not in SCENARIOS:
            raise UnknownName("scenario", name, SCENARIOS)
    for name in names or ():
        if name in ON_GPU and not device.startswith("cuda"):
            raise WrongUse(f"--scenario {name} times a 7B and needs a GPU; type --device cuda with it, or leave it out")
    wanted = names or [name for name in SCENARIOS if name not in ON_GPU or device.startswith("cuda")]
    return list(wanted)


def run(
    extent: Extent, names: Sequence[str], device: str, command: str, begin: Callable[[str], None], tick: Tick
) -> Iterator[Record]:
    """All records: about the machine, the oracle's verdicts, the scenarios, the summary.

    Args:
        extent: how much.
        names: of scenarios, as `chosen` gives them.
        device: `cpu`, or `cuda`.
        command: what was typed, for the record.
        begin: told the name of each part as it begins.
        tick: called now and then.
    """
    start, records = time.perf_counter(), []
    apart = [name for name in names if name in APART and device == "cpu" and extent.second_core]
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        begin("oracle")
        for record in verdicts(extent, device, tick):
            records.append(record)
            yield record
        allowed = exact(records)
        waited = [(name, pool.submit(_apart, name, extent, allowed, device, torch.get_num_threads())) for name in apart]
        for name in (name for name in names if name not in apart):
            begin(name)
            for record in _scenario(name, extent, allowed, device, tick):
                records.append(record)
                yield record
        for name, future in waited:
            begin(name)
            records += (told := future.result())
            yield from told
    yield {**about(device, command), "seconds": round(time.perf_counter() - start, 1)}
    yield summary(records)


def _scenario(name: str, extent: Extent, allowed: set[str], device: str, tick: Tick) -> Iterator[Record]:
    """Its records, but those of a variant that may not be timed, whichever of them a part makes."""
    for part in SCENARIOS[name]:
        for record in part(extent, allowed, device, tick):
            if record["variant"] in allowed or record["variant"] not in roofline.VARIANTS:
                yield record


def _apart(name: str, extent: Extent, allowed: set[str], device: str, threads: int) -> list[Record]:
    """In the second process."""
    torch.set_num_threads(threads)
    return list(_scenario(name, extent, allowed, device, lambda: None))


def verdicts(extent: Extent, device: str, tick: Tick = lambda: None) -> Iterator[Record]:
    """First of all: is each variant exact?"""
    for variant in roofline.VARIANTS:
        yield equality.check(variant, extent.streams, torch.float32, device, tick)
        yield equality.check(variant, max(1, extent.streams // 5), torch.bfloat16, device, tick)


def exact(records: Sequence[Record]) -> set[str]:
    """The variants that may be timed: those that failed no check."""
    failed = {record["variant"] for record in records if not record["passed"]}
    return {record["variant"] for record in records} - failed


def about(device: str, command: str) -> Record:
    """The machine, the versions and the day."""
    on_gpu = device.startswith("cuda")
    names = ("streambridge", "torch", "transformers")
    return {
        "scenario": "about",
        "variant": "",
        "device": torch.cuda.get_device_name() if on_gpu else "cpu",
        "cpu": _cpu(),
        "threads": torch.get_num_threads(),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in names}},
        "date": datetime.now(UTC).date().isoformat(),
        "command": command,
    }


def _cpu() -> str:
    """The processor's name, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def summary(records: Sequence[Record]) -> Record:
    """The figures by which the whole is judged; None where it was not measured."""
    found: Record = {"scenario": "summary", "variant": ""}
    fp32 = [r for r in records if r["scenario"] == "oracle" and r["dtype"] == "float32"]
    found["max_abs_logit_diff"] = max((r["max_abs_logit_diff"] for r in fp32), default=None)
    for context in (2048, 4096, 8192):
        given = {"scenario": "first-token", "context": context}
        found[f"ttft_ratio_{context // 1024}k"] = _ratio(records, "ttft_ms", given, PAPER, "round_decay")
    long = {"scenario": "long-stream"}
    for name, key in (("p50", "p50_ms"), ("p99", "p99_ms"), ("prefill", "prefilled")):
        found[f"{name}_ratio_long_stream"] = _ratio(records, key, long, PAPER, OURS)
    replays = [r for r in records if r["scenario"] == "replay" and r["variant"] == OURS]
    found["p99_over_p50_replay"] = max((r["p99_ms"] / r["p50_ms"] for r in replays), default=None)
    found["stalls_replay"] = sum(r["stalls"] for r in replays) if replays else None
    for max_len, frame_tokens in ((4096, 16), (16384, 64)):
        given = {"scenario": "replay", "max_len": max_len, "frame_tokens": frame_tokens}
        name = f"prefill_ratio_{max_len // 1024}k_{frame_tokens}"
        found[name] = _ratio(records, "flop", given, PAPER, OURS)
    for seconds in (60, 300):
        given = {"scenario": "proactive", "seconds": seconds}
        found[f"gate_ratio_{seconds}s"] = _ratio(records, "step_ms", given, "re-run", "cached")
    found["break_even_s"] = next((r["every_s"] for r in records if r["scenario"] == "break-even"), None)
    return found


def _ratio(records: Sequence[Record], key: str, given: dict[str, Any], above: str, below: str) -> float | None:
    """A figure of one variant over that of another; None when either is missing."""
    fitting = [record for record in records if all(record.get(name) == value for name, value in given.items())]
    values = {record["variant"]: record[key] for record in fitting}
    return values[above] / values[below] if above in values and below in values else None
