"""What a stream would cost on a big machine: token-exact replays, without torch. Knows no weights and no clock.

The Session, the memory policy and the reader are the ones that serve users; only the model is a ledger. It counts each
pass (S new tokens after p others) and takes the time of a roofline: max(FLOP / rate, bytes / bandwidth) + launch.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from streambridge.bench.held import Held
from streambridge.bench.random_model import Lines
from streambridge.engine.reader import Reader
from streambridge.loading import load
from streambridge.memory.round_decay import RoundDecay
from streambridge.recall import GRACE
from streambridge.session import Session
from streambridge.types import Delta, Frame, FrameTokens, Piece, Plan, Segment

WORDS: Final = 18  # of a question and of an answer: 20 tokens with header and end
CHUNK: Final = 512  # tokens of one pass in lent time: on these machines 6 to 30 ms
DARK: Final = np.zeros((1, 1, 3), np.uint8)

# Qwen2-VL-7B: 28 layers of width 3584, 6.53 G decoder weights and 0.545 G of the head, 16 bit, KV 56 KiB a token
WEIGHTS_FLOP: Final = 13.05e9
ATTENTION_FLOP: Final = 4 * 28 * 3584
WEIGHTS_BYTES: Final = 14.1e9
KV_BYTES: Final = 56 * 1024


@dataclass(frozen=True, slots=True)
class Machine:
    """Peaks of a machine and the share of them that is usual.

    Attributes:
        flops: FLOP a second, reached.
        bandwidth: bytes a second, reached.
        launch_ms: of one pass.
    """

    flops: float
    bandwidth: float
    launch_ms: float = 2.0

    def pass_ms(self, new: int, before: int) -> float:
        """Time of one pass."""
        reading = (WEIGHTS_BYTES + KV_BYTES * (before + new)) / self.bandwidth
        return 1e3 * max(pass_flop(new, before) / self.flops, reading) + self.launch_ms


MACHINES: Final = {"H200": Machine(0.6 * 989e12, 0.85 * 4.8e12), "A100": Machine(0.6 * 312e12, 0.8 * 2.04e12)}


def pass_flop(new: int, before: int) -> float:
    """FLOP of `new` tokens after `before` others."""
    return WEIGHTS_FLOP * new + ATTENTION_FLOP * (new * before + new * new / 2)


class Ledger:
    """What one device has done, and until when it is busy.

    Attributes:
        now: seconds of the stream; the driver sets it.
        busy: until when the device works, in seconds.
        prefilled: tokens read, without those of answers being spoken.
        flop: of these.
    """

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.now = self.busy = self.flop = 0.0
        self.prefilled = self.largest = 0

    def work(self, new: int, before: int, spoken: bool) -> None:
        """Do one pass as soon as the device is free."""
        self.busy = max(self.busy, self.now) + 1e-3 * self.machine.pass_ms(new, before)
        if not spoken:
            self.prefilled += new
            self.flop += pass_flop(new, before)
        self.largest = max(self.largest, before + new)


class LedgerTrack:
    """A sequence of which only the length is known."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger, self.length = ledger, 0

    def read(self, segments: Sequence[Segment]) -> None:
        """Count these tokens."""
        n = sum(len(segment.ids) for segment in segments)
        self.ledger.work(n, self.length, spoken=n == 1 and segments[0].frame is None)
        self.length += n

    def crop(self, length: int) -> None:
        """Cut."""
        self.length = length

    def copy(self, other: LedgerTrack, length: int) -> None:
        """The same length: copying KV costs a thousandth of making it."""
        self.length = length

    def fresh(self) -> LedgerTrack:
        """Another one on the same device."""
        return LedgerTrack(self.ledger)

    def next(self) -> int:
        """Always the same word."""
        return 7

    @property
    def nbytes(self) -> int:
        """Of keys and values."""
        return KV_BYTES * self.length


class LedgerModel(Lines):
    """A Video-LLM that only counts.

    Args:
        ledger: what it counts in.
        frame_tokens: tokens of a frame.
        cached: keep what was read; otherwise every answer reads all again.
    """

    name = "ledger"

    def __init__(self, ledger: Ledger, frame_tokens: int, cached: bool) -> None:
        super().__init__(frame_tokens)
        self.ledger, self.cached = ledger, cached

    def encode(self, frame: Frame) -> FrameTokens:
        """Nothing but a length and a time."""
        return FrameTokens({}, self.frame_tokens, frame.t, (frame.t, frame.t))

    def merge(self, parts: Sequence[FrameTokens]) -> FrameTokens:
        """Times and counts."""
        frames = sum(part.frames for part in parts)
        t = sum(part.t * part.frames for part in parts) / frames
        return replace(parts[0], t=t, span=(parts[0].span[0], parts[-1].span[1]), frames=frames)

    def reader(self, room: int) -> Reader | None:
        """The real reader over a sequence of integers."""
        return Reader(LedgerTrack(self.ledger), frozenset(), most=CHUNK) if self.cached else None

    def answer(self, plan: Plan, max_tokens: int, reader: Any = None) -> Iterator[Piece]:
        """As many words as may be."""
        used = reader if reader is not None else Reader(LedgerTrack(self.ledger), frozenset(), most=plan.tokens)
        return (Piece(token, " word") for token in used.answer(plan, max_tokens))


@dataclass(frozen=True, slots=True)
class Stream:
    """What is replayed.

    Attributes:
        max_len: tokens of memory and answer.
        frame_tokens: tokens of a frame; one frame a second.
        hours: how long.
        every_s: seconds between answers, each drawn from two thirds to four thirds of it.
        seed: of the draws.
        prefill: when the model reads.
        lend: tokens of lent time between two frames; None for as many as the device has time for.
    """

    max_len: int
    frame_tokens: int
    hours: float = 1.0
    every_s: float = 30.0
    seed: int = 0
    prefill: str = "eager"
    lend: int | None = None


VARIANTS: Final = {  # makes the policy; whether what was read is kept; frames of grace
    "paper": (Held, False, 0),
    "paper+prefix-cache": (Held, True, 0),
    "round_decay": (RoundDecay, True, 0),
    "round_decay+shadow": (RoundDecay, True, GRACE),
}


def asked_at(stream: Stream) -> list[float]:
    """When questions come: jittered, at a random phase of the second."""
    rng, at, times = random.Random(stream.seed), 0.0, []
    while (at := at + stream.every_s * rng.uniform(2 / 3, 4 / 3)) < stream.hours * 3600:
        times.append(at)
    return times


def session_of(stream: Stream, variant: str, ledger: Ledger) -> Session:
    """The session of a variant."""
    policy, cached, grace = VARIANTS[variant]
    model = LedgerModel(ledger, stream.frame_tokens, cached)
    prefill: Any = stream.prefill
    return Session(
        model,
        load("activation", "scripted", fires={}),
        compression=policy(),
        max_len=stream.max_len,
        answer_len=WORDS,
        grace=grace,
        prefill=prefill,
    )


def replay(stream: Stream, variant: str, machine: str, tick: Callable[[], None] = lambda: None) -> dict[str, Any]:
    """Run a stream and give its record; TTFT counts from the question's arrival, whatever the device is doing."""
    ledger = Ledger(MACHINES[machine])
    session = session_of(stream, variant, ledger)
    questions, ttft, stalls, kv = asked_at(stream), [], 0, 0
    times = iter([*questions, float("inf")])
    due = next(times)
    for second in range(int(stream.hours * 3600)):
        ledger.now = float(second)
        stalls += sum(event.type == "stalled" for event in session.see(Frame(DARK, ledger.now)))
        while due < second + 1:
            _lend(session, ledger, due, stream.lend)
            ttft.append(_ask(session, ledger, due))
            due = next(times)
        _lend(session, ledger, second + 1.0, stream.lend)
        kv = max(kv, session.cache_bytes)
        tick()
    return {
        "scenario": "replay",
        "variant": variant,
        "machine": machine,
        "model": "7B",
        "max_len": stream.max_len,
        "frame_tokens": stream.frame_tokens,
        "hours": stream.hours,
        "every_s": stream.every_s,
        "answers": len(ttft),
        **spread(ttft),
        "t": [round(t, 1) for t in questions],
        "ttft_all_ms": [round(ms, 2) for ms in ttft],
        "prefilled": ledger.prefilled,
        "flop": ledger.flop,
        "largest": ledger.largest,
        "stalls": stalls,
        "kv_gib": kv / 2**30,
    }


def _lend(session: Session, ledger: Ledger, until: float, tokens: int | None) -> None:
    """Lend time up to the next thing that happens, pass by pass."""
    if tokens is not None:
        for _ in session.idle(tokens):
            pass
        return
    before = -1
    while ledger.busy < until and ledger.prefilled != before:
        before, ledger.now = ledger.prefilled, max(ledger.now, ledger.busy)
        for _ in session.idle(1):
            pass


def _ask(session: Session, ledger: Ledger, t: float) -> float:
    """Put a question; milliseconds to the first word."""
    ledger.now = t
    reply = session.ask("word " * WORDS, when="now")
    first = 0.0
    for event in reply:
        if isinstance(event, Delta) and not first:
            first = 1e3 * (ledger.busy - t)
    return first


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, 99th percentile and maximum."""
    low, high = np.percentile(values, [50, 99]) if len(values) else (float("nan"), float("nan"))
    return {"p50_ms": float(low), "p99_ms": float(high), "max_ms": float(max(values, default=float("nan")))}


def break_even(max_len: int, frame_tokens: int, ratios: dict[float, float]) -> dict[str, Any]:
    """Seconds between answers at which reading at once costs what the published loop costs.

    Args:
        max_len: of the streams.
        frame_tokens: of the streams.
        ratios: seconds between answers -> FLOP of `paper` / FLOP of ours, falling through 1.
    """
    points = sorted(ratios.items())
    record = {"scenario": "break-even", "variant": "eager", "max_len": max_len, "frame_tokens": frame_tokens}
    for (a, high), (b, low) in zip(points, points[1:], strict=False):
        if high >= 1 >= low:
            part = np.log(high) / (np.log(high) - np.log(low))
            return {**record, "every_s": float(np.exp(np.log(a) + part * (np.log(b) - np.log(a))))}
    return {**record, "every_s": None}
