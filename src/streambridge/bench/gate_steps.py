"""What the gate costs at each frame: its cached step against a re-run over all frames since the question.

Knows no session. The re-run is the library's own forward over the question, all frames and one <ACT>, as one would
write it; the same pass on our own layers, from an empty cache, is shown beside it.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence

import torch

from streambridge.activation.score_head import ScoreWatch
from streambridge.activation.score_net import Reach, ScoreNet
from streambridge.activation.trigger import Trigger, TriggerSettings
from streambridge.bench.extent import Extent, Record, Tick
from streambridge.bench.random_model import SIZES, config_of
from streambridge.bench.timing import Timer
from streambridge.engine.cache import KV
from streambridge.engine.oracle import by_library
from streambridge.types import GateTokens

QUESTION = list(range(3, 15))
FRAME_TOKENS = 16
CACHED, RERUN = "cached", "re-run"
COLD, OWN = "cached, right after a re-run", "re-run on our layers"
TURNS = 5
STEPS = 6  # in a row, as a stream takes them


def net_of(size: str, reach: int, device: str = "cpu", dtype: torch.dtype = torch.float32) -> ScoreNet:
    """A random gate of a named size."""
    torch.manual_seed(0)
    config = config_of(size)
    return ScoreNet(config, config.hidden_size, Reach(frames=reach)).eval().requires_grad_(False).to(device, dtype)


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


@torch.inference_mode()
def rerun(net: ScoreNet, question: Sequence[int], frames: Sequence[torch.Tensor]) -> torch.Tensor:
    """The logit [1] of <ACT> behind a question and all frames, read afresh by the library."""
    rows = torch.cat([net.embed(question), net.embed(torch.cat(list(frames))), net.act[None]])  # [L, D]
    with by_library(net.decoder):
        hidden = net.decoder(inputs_embeds=rows[None], use_cache=False).last_hidden_state[0, -1:]
    scores: torch.Tensor = net.head(hidden).squeeze(-1)
    return scores


def _compared(
    net: ScoreNet, timer: Timer, size: str, watch: ScoreWatch, seen: list[torch.Tensor]
) -> Iterator[Record]:
    """By turns: some steps, a re-run.

    The first step after a re-run is told apart: long products slow the core's clock down for a while.
    """
    took: dict[str, list[float]] = {CACHED: [], COLD: [], RERUN: [], OWN: []}
    apart = 0.0

    def timed(variant: str, run: Callable[[], torch.Tensor]) -> torch.Tensor:
        start = timer.now()
        score = run()
        took[variant].append(timer.now() - start)
        return score

    for _ in range(TURNS):
        for number in range(STEPS):
            # A step is taken back by the next one: the watch has not taken it in.
            variant = CACHED if number else COLD
            step = timed(variant, lambda: net.step([(watch.kv, watch.unread(seen[-1]))]))
        timed(OWN, lambda: net.step([(KV(), [QUESTION, *seen])]))
        whole = timed(RERUN, lambda: rerun(net, QUESTION, seen))
        apart = max(apart, float((step - whole).abs().max()))
    for variant, all_ms in took.items():
        yield {
            "scenario": "proactive",
            "variant": variant,
            "frame_tokens": FRAME_TOKENS,
            "seconds": len(seen),
            "size": size,
            "step_ms": statistics.median(all_ms),
            "max_abs_diff": 0.0 if variant == RERUN else apart,
        }
