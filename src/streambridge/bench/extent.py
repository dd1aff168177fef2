"""How much `bench latency` measures, and the names of what it compares. Knows no model and no clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

Record = dict[str, Any]
Tick = Callable[[], None]  # called now and then, for a bar that shows progress

OURS: Final = "round_decay+shadow"
IN_PLACE: Final = "round_decay"
PAPER: Final = "paper"
PREFIX: Final = "paper+prefix-cache"


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is measured.

    Attributes:
        streams: random streams of the oracle check, for each variant.
        contexts: of `first-token`, each with the number of answers timed.
        long_minutes: of `long-stream`.
        frames_minutes: of the plot against frame number.
        gate_s: seconds since the question at which the gate is timed.
        round_minutes: of `giant-round`.
        soak_hours: simulated.
        replays: MaxLen, tokens a frame and hours of the token-exact replays.
        rare_s: seconds between answers, for the cost of reading at once where answers are rare.
        rare_hours: of each of these replays.
        rivals_minutes: of the approximate rivals' stream.
        gpu_context: tokens, on a GPU.
        gpu_answers: timed there.
        second_core: on a CPU, run `first-token` beside the rest in a process of its own.
    """

    streams: int = 50
    contexts: tuple[tuple[int, int], ...] = ((2048, 5), (4096, 3), (8192, 2))
    long_minutes: float = 60.0
    frames_minutes: float = 20.0
    gate_s: tuple[int, ...] = (10, 30, 60, 120, 300)
    round_minutes: float = 60.0
    soak_hours: float = 8.0
    replays: tuple[tuple[int, int, float], ...] = (
        (4096, 16, 2.0),
        (8192, 64, 1.0),
        (16384, 64, 2.0),
        (16384, 196, 2.0),
    )
    rare_s: tuple[float, ...] = (10.0, 30.0, 60.0, 120.0, 300.0)
    rare_hours: float = 1.0
    rivals_minutes: float = 10.0
    gpu_context: int = 16384
    gpu_answers: int = 100
    second_core: bool = False


QUICK: Final = Extent(
    streams=10,
    contexts=((2048, 2), (4096, 1), (8192, 1)),
    long_minutes=4.0,
    frames_minutes=3.0,
    gate_s=(60, 300),
    round_minutes=4.0,
    soak_hours=0.25,
    replays=((4096, 16, 1.0), (16384, 64, 1.0)),
    rare_s=(30.0, 120.0),
    rare_hours=0.5,
    rivals_minutes=2.0,
    gpu_answers=20,
    second_core=True,
)
