"""Streams on a 7B, by its roofline: how soon answers come, and what reading at once costs where they are rare.

Knows no model and no clock: `roofline` counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from streambridge.bench import roofline
from streambridge.bench.extent import IN_PLACE, OURS, PAPER, Extent, Record, Tick


def replays(extent: Extent, allowed: set[str], device: str, tick: Tick) -> Iterator[Record]:
    """A 7B by its roofline: token-exact, no torch."""
    for max_len, frame_tokens, hours in extent.replays:
        for variant in roofline.VARIANTS:
            if variant in allowed:
                yield roofline.replay(roofline.Stream(max_len, frame_tokens, hours), variant, "H200", tick)


def rare(
    extent: Extent, allowed: set[str], device: str, tick: Tick, max_len: int = 16384, frame_tokens: int = 64
) -> Iterator[Record]:
    """What reading at once costs where answers are rare, and where it costs as much as the published loop."""
    if not {PAPER, IN_PLACE, OURS} <= allowed:  # its rows are named after when they read, and held against `paper`
        return
    ratios: dict[float, float] = {}
    for every_s in extent.rare_s:
        stream = roofline.Stream(max_len, frame_tokens, extent.rare_hours, every_s)
        paper = roofline.replay(stream, PAPER, "H200", tick)
        yield _rare(paper, PAPER, paper)
        for prefill, lend in (("eager", None), ("budgeted", frame_tokens // 2), ("lazy", 0)):
            variant = IN_PLACE if prefill == "lazy" else OURS
            own = roofline.replay(replace(stream, prefill=prefill, lend=lend), variant, "H200", tick)
            record = _rare(own, prefill, paper)
            if prefill == "eager":
                ratios[every_s] = record["ratio"]
            yield record
    yield roofline.break_even(max_len, frame_tokens, ratios)


def _rare(record: Record, variant: str, paper: Record) -> Record:
    keys = ("every_s", "max_len", "frame_tokens", "flop", "prefilled", "p50_ms", "p99_ms", "stalls")
    own = {key: record[key] for key in keys}
    return {"scenario": "rare", "variant": variant, **own, "ratio": paper["flop"] / record["flop"]}
