"""How long things take: variants run by turns in one process, on streams that are fed to all of them alike.

On a CPU it is process time that counts, since others use the machine too; on a GPU it is the clock, with the device
waited for. The only file of the bench that looks at either.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch

from streambridge.bench.equality import Heard
from streambridge.bench.published import published
from streambridge.bench.random_model import RandomModel
from streambridge.bench.roofline import DARK, VARIANTS, WORDS, spread
from streambridge.loading import load
from streambridge.replay import LEND
from streambridge.session import Session
from streambridge.types import Delta, Event, Frame, Piece, Plan

T = TypeVar("T")


class Watchman(RandomModel):
    """A random model that notes the last plan, its first id and what the model made of the token before it."""

    last: Heard | None = None
    prefilled = 0

    def reader(self, room: int) -> Any:
        """A reader whose tokens are counted."""
        reader = super().reader(room)
        if reader is not None:
            self._count(reader.track)
        return reader

    def _count(self, track: Any) -> None:
        read, fresh = track.read, track.fresh

        def counting(segments: Any) -> None:
            n = sum(len(segment.ids) for segment in segments)
            self.prefilled += n if n > 1 else 0  # single tokens are those of answers
            read(segments)

        def counted() -> Any:
            twin = fresh()
            self._count(twin)
            return twin

        track.read, track.fresh = counting, counted

    def answer(self, plan: Plan, max_tokens: int, reader: Any = None) -> Iterator[Piece]:
        """Note the first token as it comes."""
        if reader is None:
            reader = published(self.decoder, plan)
            self.prefilled += plan.tokens
        self.last = None
        for piece in super().answer(plan, max_tokens, reader):
            if self.last is None and piece.id is not None:
                self.last = Heard(plan, [piece.id], [reader.track.hidden()])
            yield piece


class Timer:
    """Milliseconds of work, by process time on a CPU and by the clock on a GPU."""

    def __init__(self, device: str) -> None:
        self.on_gpu = device.startswith("cuda")

    def now(self) -> float:
        """A reading."""
        if self.on_gpu:
            torch.cuda.synchronize()
            return 1e3 * time.perf_counter()
        return 1e3 * time.process_time()


@dataclass
class Lane:
    """One variant on its way through the stream.

    Attributes:
        name: of the variant.
        model: with counters of its own; the weights are shared.
        session: of the variant.
        see_ms: work of the newest frame, before a question could be heard.
        ttft: of every timed answer.
        queued: likewise, with the work of its tick's frame.
        answer: to the last word.
        t: stream times of them.
        spent: ms in all, by what for.
        events: how often each type of event came.
        tokens: of memory, at the most.
        lend: tokens of lent time after each frame.
    """

    name: str
    model: Watchman
    session: Session
    timer: Timer
    see_ms: float = 0.0
    ttft: list[float] = field(default_factory=list)
    queued: list[float] = field(default_factory=list)
    answer: list[float] = field(default_factory=list)
    t: list[float] = field(default_factory=list)
    spent: dict[str, float] = field(default_factory=lambda: {"frames": 0.0, "idle": 0.0, "answers": 0.0})
    events: dict[str, int] = field(default_factory=dict)
    tokens: int = 0
    lend: int = LEND

    def see(self, t: float) -> None:
        """A frame, and the work it makes at once; then the lent time."""
        start = self.timer.now()
        self._note(self.session.see(Frame(DARK, t)))
        seen = self.timer.now()
        self._note(self.session.idle(self.lend))
        self.see_ms = seen - start
        self.spent["frames"] += self.see_ms
        self.spent["idle"] += self.timer.now() - seen
        self.tokens = max(self.tokens, self.session.memory.tokens)

    def ask(self, heard: int | None = None) -> float:
        """A question for now; milliseconds to the first word. `heard`: cut the answer after so many words."""
        start, first, n = self.timer.now(), float("nan"), 0
        with self.session.ask("word " * WORDS, when="now") as reply:
            for event in reply:
                self._count(event)
                if isinstance(event, Delta):
                    n += 1
                    first = self.timer.now() - start if n == 1 else first
                    if n == heard:
                        break
        took = self.timer.now() - start
        self.spent["answers"] += took
        for out, value in ((self.ttft, first), (self.queued, first + self.see_ms), (self.answer, took)):
            out.append(value)
        self.t.append(self.session.now)
        return first

    def _note(self, events: Iterator[Event]) -> None:
        for event in events:
            self._count(event)

    def _count(self, event: Event) -> None:
        self.events[event.type] = self.events.get(event.type, 0) + 1

    def told(self, *more: str) -> dict[str, Any]:
        """The setting of a lane, and what else of its record is named."""
        record = self.record()
        return {key: record[key] for key in ("variant", "size", "dtype", "max_len", *more)}

    def record(self) -> dict[str, Any]:
        """What a lane has to tell."""
        queued = spread(self.queued)
        return {
            "variant": self.name,
            "size": self.model.size,
            "dtype": self.model.dtype_name,
            "max_len": self.session.max_len,
            "frame_tokens": self.model.frame_tokens,
            "answers": len(self.ttft),
            "t": [round(t, 2) for t in self.t],
            "ttft_all_ms": [round(ms, 3) for ms in self.ttft],
            "queued_all_ms": [round(ms, 3) for ms in self.queued],
            **spread(self.ttft),
            "queued_p50_ms": queued["p50_ms"],
            "queued_p99_ms": queued["p99_ms"],
            "prefilled": self.model.prefilled,
            "rebuilds": self.events.get("compressed", 0),
            "stalls": self.events.get("stalled", 0),
            "max_tokens": self.tokens,
            "cpu_s": {name: round(ms / 1e3, 3) for name, ms in self.spent.items()},
            "kv_mib": self.session.cache_bytes / 2**20,
        }


def lane(weights: RandomModel, variant: str, max_len: int, device: str, **settings: Any) -> Lane:
    """A session of a variant on shared weights; what is given besides goes to the Session."""
    policy, cached, grace = VARIANTS[variant]
    model = Watchman(
        weights.size, weights.frame_tokens, weights.dtype, weights.device, weights.seed, *weights.pace, cached=cached
    )
    model.__dict__["decoder"], model.__dict__["bank"] = weights.decoder, weights.bank
    gate = settings.pop("gate", None) or load("activation", "scripted", fires={})
    given = {"compression": policy(), "max_len": max_len, "answer_len": WORDS, "grace": grace}
    return Lane(variant, model, Session(model, gate, **{**given, **settings}), Timer(device))


def feed(lanes: list[Lane], seconds: range, due: Callable[[int], bool], tick: Callable[[], None]) -> Iterator[int]:
    """Frames for all lanes, one a second; yields each second at which a question is due, for the caller to ask."""
    for second in seconds:
        for one in lanes:
            one.see(float(second))
        tick()
        if due(second):
            yield second


def by_turns(lanes: list[T], number: int) -> list[T]:
    """The lanes, in reversed order every other time, so that none always comes after a warm one."""
    return lanes if number % 2 == 0 else lanes[::-1]
