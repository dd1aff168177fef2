"""The figures of one big GPU: a 7B at 16k tokens, its decoding, and a gate of half a billion. Knows no session."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

import torch

from streambridge.activation.score_head import ScoreWatch
from streambridge.activation.trigger import Trigger, TriggerSettings
from streambridge.bench.extent import IN_PLACE, OURS, PAPER, Extent, Record, Tick
from streambridge.bench.first_token import Dialogue, timed
from streambridge.bench.gate_steps import FRAME_TOKENS, QUESTION, net_of
from streambridge.bench.published import published
from streambridge.bench.random_model import RandomModel
from streambridge.bench.roofline import WORDS, spread
from streambridge.bench.timing import Timer
from streambridge.types import GateTokens


def big_gpu(
    extent: Extent, allowed: set[str], device: str, tick: Tick, size: str = "7B", gate: str = "0.5B"
) -> Iterator[Record]:
    """First token and decoding of the published loop and of ours on the same plans; then the gate's step."""
    model, timer = RandomModel(size, 64, torch.bfloat16, device), Timer(device)
    talk = Dialogue(model, extent.gpu_context)
    took: dict[str, list[tuple[float, float]]] = {PAPER: [], OURS: []}
    room = talk.context + (model.frame_tokens + 2 * WORDS + 8) * extent.gpu_answers  # for all the turns to come
    kept = model.decoder.reader(room, most=talk.context)
    if not {PAPER, IN_PLACE} <= allowed:
        return
    for number in range(extent.gpu_answers):
        plan = talk.ask(frames=1)
        kept.follow(model.render(talk.items[:-1], header=False))
        kept.work()  # the frame of this tick is read before the question comes, as by a session
        if number < 6:
            took[PAPER].append(timed(timer, published(model.decoder, plan), plan)[:2])
        first, all_, ids = timed(timer, kept, plan)
        took[OURS].append((first, all_))
        talk.hear(ids)
        tick()
    for name, pairs in took.items():
        first_ms = [first for first, _ in pairs[2:]]  # two of each warm up: graphs are captured there
        found = spread(first_ms)
        decode = [(all_ - first) / (WORDS - 1) for first, all_ in pairs[2:]]
        yield {
            "scenario": "gpu",
            "variant": name,
            "size": size,
            "dtype": "bfloat16",
            "context": talk.context,
            "n": len(first_ms),
            "ttft_p50_ms": found["p50_ms"],
            "ttft_p99_ms": found["p99_ms"],
            "decode_ms_per_token": statistics.median(decode),
        }
    yield _gate(gate, extent, device, timer, tick)


@torch.inference_mode()
def _gate(size: str, extent: Extent, device: str, timer: Timer, tick: Tick) -> Record:
    """The cached step, five minutes after the question."""
    net = net_of(size, 1000, device, torch.bfloat16)
    watch = ScoreWatch(net, QUESTION, Trigger(TriggerSettings()), lambda text: QUESTION)
    steps = []
    for second in range(max(extent.gate_s)):
        tokens = torch.randn(FRAME_TOKENS, net.vision_width, device=device, dtype=torch.bfloat16)
        start = timer.now()
        watch.observe(GateTokens({"tokens": tokens}, float(second)))
        steps.append(timer.now() - start)
        tick()
    return {
        "scenario": "gpu",
        "variant": "gate",
        "size": size,
        "dtype": "bfloat16",
        "step_ms": statistics.median(steps[-50:]),
    }
