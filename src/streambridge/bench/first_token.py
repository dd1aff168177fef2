"""One answer at a given length of memory: the published loop and ours read the very same plan. Knows no session."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import Any

import torch

from streambridge.bench.extent import IN_PLACE, PAPER, Extent, Record, Tick
from streambridge.bench.published import published
from streambridge.bench.random_model import RandomModel
from streambridge.bench.roofline import DARK, WORDS
from streambridge.bench.timing import Timer
from streambridge.types import Frame, Piece, Plan


def first_token(extent: Extent, allowed: set[str], device: str, tick: Tick, size: str = "110M") -> Iterator[Record]:
    """One answer at a given length of memory, the frame of its tick already read: both read the very same plan."""
    model = RandomModel(size, 16, torch.bfloat16, device)
    if {PAPER, IN_PLACE} <= allowed:
        for context, times in extent.contexts:
            yield from _first_token(Dialogue(model, context), times, device, tick)


class Dialogue:
    """Frames, and questions about them one after another.

    Args:
        model: who answers.
        context: tokens of the frames.
    """

    def __init__(self, model: RandomModel, context: int) -> None:
        self.model, self.context = model, context
        self.items: list[Any] = [model.encode(Frame(DARK, float(k))) for k in range(context // model.frame_tokens)]
        self.asked = 0

    def ask(self, frames: int = 0) -> Plan:
        """The plan of one more question, after some more frames."""
        self.asked += 1
        self.items += [self.model.encode(Frame(DARK, 1e4 + self.asked + k)) for k in range(frames)]
        self.items.append(self.model.turn("user", "word " * WORDS, 0.0, "question", f"q{self.asked}"))
        return self.model.render(self.items)

    def hear(self, ids: list[int]) -> None:
        """Remember an answer."""
        self.items.append(self.model.spoken([Piece(token, "") for token in ids], 0.0, f"a{self.asked}"))


def _first_token(talk: Dialogue, times: int, device: str, tick: Tick) -> Iterator[Record]:
    """The published loop reads a plan afresh; ours reads the same one, most of which its cache holds already."""
    timer, model = Timer(device), talk.model
    took: dict[str, list[tuple[float, float]]] = {PAPER: [], IN_PLACE: []}
    # Room for all the turns to come, and four frames.
    kept = model.decoder.reader(talk.context + 64 * (times + 4), most=talk.context)
    kept.finish(model.render(talk.items))
    for number in range(times):
        plan = talk.ask()
        turns = [(PAPER, published(model.decoder, plan)), (IN_PLACE, kept)]
        for name, reader in turns if number % 2 else turns[::-1]:
            first, all_, ids = timed(timer, reader, plan)
            took[name].append((first, all_))
            tick()
        talk.hear(ids)
    unread = timed(timer, kept, talk.ask(frames=4))[0]
    for name, pairs in took.items():
        yield {
            "scenario": "first-token",
            "variant": name,
            "size": model.size,
            "dtype": model.dtype_name,
            "frame_tokens": model.frame_tokens,
            "context": talk.context,
            "ttft_ms": statistics.median(first for first, _ in pairs),
            "ttft_all_ms": [round(first, 3) for first, _ in pairs],
            "unread_frame_ttft_ms": unread if name == IN_PLACE else None,
            "answer_ms": statistics.median(all_ for _, all_ in pairs),
        }


def timed(timer: Timer, reader: Any, plan: Plan) -> tuple[float, float, list[int]]:
    """Milliseconds to the first id and to the last, and the ids."""
    start = timer.now()
    spoken = reader.answer(plan, WORDS)
    ids = [next(spoken)]
    first = timer.now() - start
    ids += spoken
    return first, timer.now() - start, ids
