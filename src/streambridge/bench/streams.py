"""Whole streams through the real Session: long ones, rare and dense questions, hours. Knows no page and no plot."""

from __future__ import annotations

import os
import resource
import statistics
from collections.abc import Iterator
from typing import Any

import torch

from streambridge.bench import rivals, roofline
from streambridge.bench.equality import judge
from streambridge.bench.extent import IN_PLACE, OURS, PAPER, Extent, Record, Tick
from streambridge.bench.random_model import RandomModel
from streambridge.bench.roofline import DARK
from streambridge.bench.timing import Lane, by_turns, feed, lane
from streambridge.engine import oracle
from streambridge.loading import load
from streambridge.replay import LEND
from streambridge.types import Delta, Frame


def long_stream(
    extent: Extent, allowed: set[str], device: str, tick: Tick, size: str = "16M", max_len: int = 2048
) -> Iterator[Record]:
    """A long stream with an answer about every 30 s, rebuilds included; checked against the oracle on the way."""
    weights = RandomModel(size, 16, torch.float32, device)
    lanes = [lane(weights, name, max_len, device) for name in roofline.VARIANTS if name in allowed]
    stream = roofline.Stream(max_len, 16, extent.long_minutes / 60)
    due = {int(t) for t in roofline.asked_at(stream)}
    worst: dict[str, float] = {}
    for number, _ in enumerate(feed(lanes, range(int(60 * extent.long_minutes)), due.__contains__, tick)):
        for one in by_turns(lanes, number):
            one.ask()
            if number % 10 == 0 and one.model.last is not None:
                seen = judge(one.model, [one.model.last]).max_abs_logit_diff
                worst[one.name] = max(worst.get(one.name, 0.0), seen)
    for one in lanes:
        yield {
            "scenario": "long-stream",
            "minutes": extent.long_minutes,
            "every_s": 30.0,
            **one.record(),
            "max_abs_logit_diff": worst.get(one.name),
        }


def frames(extent: Extent, allowed: set[str], device: str, tick: Tick, size: str = "16M") -> Iterator[Record]:
    """Latency against the number of frames, for several MaxLen: the paper's own axes."""
    weights = RandomModel(size, 16, torch.float32, device)
    for max_len in (512, 1024, 2048):
        lanes = [lane(weights, name, max_len, device) for name in (PAPER, OURS) if name in allowed]
        for number, _ in enumerate(feed(lanes, range(int(60 * extent.frames_minutes)), lambda k: k % 20 == 19, tick)):
            for one in by_turns(lanes, number):
                one.ask()
        for one in lanes:
            at, ms = [int(t) + 1 for t in one.t], one.record()["ttft_all_ms"]
            yield {"scenario": "frames", **one.told("frame_tokens"), "frame": at, "ttft_ms": ms}


def decisions(extent: Extent, allowed: set[str], device: str, tick: Tick, size: str = "16M") -> Iterator[Record]:
    """From the gate's decision to the first word."""
    weights = RandomModel(size, 16, torch.float32, device)
    fires = {"tell me": [float(k) for k in range(60, 180, 7)]}
    names = [name for name in (PAPER, OURS) if name in allowed]
    lanes = [lane(weights, name, 1024, device, gate=load("activation", "scripted", fires=fires)) for name in names]
    for one in lanes:
        list(one.session.ask("tell me", 0.0, "watch"))
    for second in range(180):
        for one in by_turns(lanes, second):
            _decide(one, float(second))
        tick()
    for one in lanes:
        shown = one.told("frame_tokens", "p50_ms", "p99_ms")
        yield {"scenario": "proactive", "what": "decision to first token", **shown, "n": len(one.ttft)}


def _decide(one: Lane, t: float) -> None:
    """A frame; if the gate fires on it, the time from there to the first word."""
    reply = one.session.see(Frame(DARK, t))
    start = one.timer.now()
    for event in reply:
        if isinstance(event, Delta):
            one.ttft.append(one.timer.now() - start)
            break
    for _ in reply:
        pass
    for _ in one.session.idle(LEND):
        pass


def burst(extent: Extent, allowed: set[str], device: str, tick: Tick, size: str = "16M") -> Iterator[Record]:
    """Questions at the worst moments: five in three seconds, while memory is rebuilt, right after a cut answer."""
    weights = RandomModel(size, 16, torch.float32, device)
    for what in (
        "five questions in three seconds",
        "question while memory is rebuilt",
        "cut in mid-answer, next question",
    ):
        lanes = [lane(weights, name, 1024, device) for name in (PAPER, IN_PLACE, OURS) if name in allowed]
        for one in lanes:
            one.lend = 64 if what.startswith("question") else LEND
        before: dict[str, int] = {}
        for number, second in enumerate(feed(lanes, range(180), lambda k: True, tick)):
            for one in by_turns(lanes, number):
                for _ in range(_bursts(what, second, one, before)):
                    if what.startswith("cut"):
                        one.ask(heard=5)
                        one.ttft.pop()
                    one.ask()
        for one in lanes:
            yield _burst(what, one)


def _bursts(what: str, second: int, one: Lane, before: dict[str, int]) -> int:
    """How many questions are put at this second."""
    if what.startswith("five"):
        return {0: 2, 1: 2, 2: 1}.get(second % 60, 0) if second > 60 else 0
    if what.startswith("cut"):
        return int(second > 60 and second % 30 == 0)
    if one.name == OURS:  # the memory to come has just been decided on, and is not read yet
        return int(one.session.rebuilding and second > 60)
    rebuilt = one.events.get("compressed", 0)
    asked = rebuilt > before.get(one.name, 0) if one.name == IN_PLACE else second > 60 and second % 30 == 0
    before[one.name] = rebuilt
    return int(asked)


def _burst(what: str, one: Lane) -> Record:
    assert one.model.last is not None
    error = judge(one.model, [one.model.last]).max_abs_logit_diff
    ttft = one.queued if what.startswith("question") else one.ttft  # there, what the tick's frame makes is waited for
    return {
        "scenario": "burst",
        "what": what,
        **one.told("frame_tokens"),
        "n": len(ttft),
        **roofline.spread(ttft),
        "max_abs_logit_diff": error,
    }


def giant_round(extent: Extent, allowed: set[str], device: str, tick: Tick, size: str = "16M") -> Iterator[Record]:
    """Nothing is asked for a long time, then one question."""
    weights = RandomModel(size, 16, torch.float32, device)
    lanes = [lane(weights, name, 1024, device) for name in (PAPER, IN_PLACE, OURS) if name in allowed]
    for _ in feed(lanes, range(int(60 * extent.round_minutes)), lambda k: False, tick):
        pass
    for one in lanes:
        one.ask()
        shown = one.told("rebuilds", "prefilled", "max_tokens")
        yield {"scenario": "giant-round", "minutes": extent.round_minutes, **shown, "ttft_ms": one.ttft[-1]}


def approximate(extent: Extent, allowed: set[str], device: str, tick: Tick, size: str = "16M") -> Iterator[Record]:
    """Systems that keep stale keys and values, and the exact variants on a like stream: speed beside error."""
    weights = RandomModel(size, 16, torch.float32, device)
    minutes, max_len = extent.rivals_minutes, 2048
    every = 1 if minutes < 5 else 3
    yield from rivals.measure(weights, tuple(rivals.RIVALS), minutes, max_len, 30.0, 0, tick, every)
    lanes = [lane(weights, name, max_len, device) for name in (PAPER, OURS) if name in allowed]
    found: dict[str, list[dict[str, float]]] = {one.name: [] for one in lanes}
    for number, _ in enumerate(feed(lanes, range(int(60 * minutes)), lambda k: k % 30 == 29, tick)):
        for one in by_turns(lanes, number):
            one.ask()
            if number % 3 == 0 and one.model.last is not None:
                found[one.name].append(_error(one))
    for one in lanes:
        median = {key: statistics.median(error[key] for error in found[one.name]) for key in found[one.name][0]}
        yield {"scenario": "rivals", "minutes": minutes, **one.record(), **median}


@torch.inference_mode()
def _error(one: Lane) -> dict[str, float]:
    """Of the first word of the newest answer, against the recompute of its plan."""
    assert one.model.last is not None
    ours = one.model.decoder.head(one.model.last.hidden[0])
    return rivals.errors(ours, oracle.logits(one.model.decoder, one.model.last.plan)[-1])


def soak(extent: Extent, allowed: set[str], device: str, tick: Tick, size: str = "1M") -> Iterator[Record]:
    """Hours of stream: nothing may grow."""
    one = lane(RandomModel(size, 16, torch.float32, device), OURS, 1024, device)
    hours: dict[str, list[Any]] = {"kv_bytes": [], "rss_mib": [], "p99_ms": [], "tokens": []}
    part = max(1, int(3600 * extent.soak_hours / 8))
    for second in feed([one], range(8 * part), lambda k: True, tick):
        if second % 30 == 29:
            one.ask()
        if second % part == part - 1:
            hours["kv_bytes"].append(one.session.cache_bytes)
            hours["rss_mib"].append(_rss_mib())
            hours["p99_ms"].append(roofline.spread(one.ttft)["p99_ms"])
            hours["tokens"].append(one.tokens)
            one.ttft, one.queued, one.answer, one.t, one.tokens = [], [], [], [], 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    yield {
        "scenario": "soak",
        "variant": OURS,
        "size": size,
        "hours": extent.soak_hours,
        "max_len": one.session.max_len,
        "max_tokens": max(hours["tokens"]),
        "reserve": one.session.settings["reserve"],
        **hours,
        "peak_rss_mib": peak,
        "rebuilds": one.events.get("compressed", 0),
        "stalls": one.events.get("stalled", 0),
    }


def _rss_mib() -> float:
    """What the process holds now; its peak where the system does not say."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
