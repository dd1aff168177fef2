"""What the gate costs at each frame: its cached step against a re-run over all frames since the question.

Knows no session. Both are the code that serves users; the re-run is the same pass with an empty cache.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import Any

import torch

from streambridge.activation.score_head import ScoreWatch
from streambridge.activation.score_net import Reach, ScoreNet
from streambridge.activation.trigger import Trigger, TriggerSettings
from streambridge.bench.extent import Extent, Record, Tick
from streambridge.bench.random_model import SIZES, config_of
from streambridge.bench.timing import Timer
from streambridge.engine.cache import KV
from streambridge.types import GateTokens

QUESTION = list(range(3, 15))
FRAME_TOKENS = 16
TURNS = 5


def net_of(size: str, reach: int, device: str = "cpu", dtype: torch.dtype = torch.float32) -> ScoreNet:
    """A random gate of a named size."""
    torch.manual_seed(0)
    config = config_of(size)
    return ScoreNet(config, config.hidden_size, Reach(frames=reach)).eval().to(device, dtype)


@torch.inference_mode()
def gate_steps(extent: Extent, allowed: set[str], device: str, tick: Tick, size: str = "16M") -> Iterator[Record]:
    """At each second named: the cached step and the re-run, by turns, on the same frames."""
    net, timer = net_of(size, max(extent.gate_s) + 1, device), Timer(device)
    watch = ScoreWatch(net, QUESTION, Trigger(TriggerSettings()), lambda text: QUESTION)
    seen: list[torch.Tensor] = []
    for second in range(1, max(extent.gate_s) + 1):
        tokens = torch.randn(FRAME_TOKENS, SIZES[size][1], device=device)
        seen.append(tokens)
        if second in extent.gate_s:
            yield from _compared(net, timer, size, watch, seen)
        watch.observe(GateTokens({"tokens": tokens}, float(second)))
        tick()


def _compared(
    net: ScoreNet, timer: Timer, size: str, watch: ScoreWatch, seen: list[torch.Tensor]
) -> Iterator[Record]:
    shown: dict[str, Any] = {"scenario": "proactive", "frame_tokens": FRAME_TOKENS, "seconds": len(seen), "size": size}
    steps, again, apart = [], [], 0.0
    for _ in range(TURNS):
        start = timer.now()
        step = net.step([(watch.kv, watch.unread(seen[-1]))])  # taken back by the next one: nothing has taken it in
        steps.append(timer.now() - start)
        start = timer.now()
        whole = net.step([(KV(), [QUESTION, *seen])])
        again.append(timer.now() - start)
        apart = max(apart, float((step - whole).abs().max()))
    yield {**shown, "variant": "cached", "step_ms": statistics.median(steps), "max_abs_diff": apart}
    yield {**shown, "variant": "re-run", "step_ms": statistics.median(again), "max_abs_diff": 0.0}
