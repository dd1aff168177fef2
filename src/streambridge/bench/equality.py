"""Is an answer that of a full recompute of the same memory? Random streams, every token held against the oracle.

Knows no clock. A variant that fails here has no place in a table of speed.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from streambridge.bench.random_model import RandomModel
from streambridge.bench.roofline import DARK, VARIANTS
from streambridge.engine import oracle
from streambridge.loading import load
from streambridge.session import Session
from streambridge.types import Delta, Event, Frame, Piece, Plan

TOLERANCE = 1e-4  # largest difference of a logit in fp32; logits of these models have a deviation of 1
TIE = 1e-5  # two ids whose logits the oracle itself has so near are both its choice: rounding decides
NOISE = 3.0  # in 16 bit: so many times what the oracle differs from itself when it reads in other portions
ANSWER = 6  # tokens of an answer


@dataclass(frozen=True, slots=True)
class Heard:
    """One answer: its plan, its ids, and what the model made of the token before each."""

    plan: Plan
    ids: list[int]
    hidden: list[torch.Tensor]  # [D] each


def noted(heard: list[Heard], plan: Plan, pieces: Iterator[Piece], reader: Any) -> Iterator[Piece]:
    """The pieces of an answer as they come, each noted with what the model made of the token before it."""
    one = Heard(plan, [], [])
    heard.append(one)
    for piece in pieces:
        assert piece.id is not None
        one.ids.append(piece.id)
        one.hidden.append(reader.track.hidden())
        yield piece


class Witness(RandomModel):
    """A random model that notes how it came to its answers."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.heard: list[Heard] = []

    def answer(self, plan: Plan, max_tokens: int, reader: Any = None) -> Iterator[Piece]:
        """Note each token as it comes."""
        used: Any = self.decoder.reader(0, *self.pace) if reader is None else reader
        return noted(self.heard, plan, super().answer(plan, max_tokens, used), used)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the oracle says.

    Attributes:
        answers: how many were held against it.
        max_abs_logit_diff: the largest difference, over every token of every answer.
        noise: how far the oracle is from itself in other portions, at the most; None where it was not measured.
        same_tokens: share of tokens that are the oracle's choice, or tie with it.
    """

    answers: int
    max_abs_logit_diff: float
    noise: float | None
    same_tokens: float


@torch.inference_mode()
def judge(model: RandomModel, heard: Sequence[Heard], noise: bool = False) -> Verdict:
    """Hold answers against the library's recompute of their plans."""
    worst = floor = 0.0
    same = total = answers = 0
    for one in heard:
        if not one.ids:
            continue
        truth = oracle.logits(model.decoder, one.plan, one.ids[:-1])
        ours = model.decoder.head(torch.stack(one.hidden))
        worst = max(worst, float((ours - truth).abs().max()))
        spoken = truth.gather(1, torch.tensor(one.ids, device=truth.device)[:, None])[:, 0]  # [n]
        same += int((spoken >= truth.amax(dim=-1) - TIE).sum())
        total, answers = total + len(one.ids), answers + 1
        if noise:
            other = oracle.logits(model.decoder, one.plan, one.ids[:-1], chunk=37)
            floor = max(floor, float((other - truth).abs().max()))
    return Verdict(answers, worst, floor if noise else None, same / max(1, total))


Step = tuple[str, Any, Any, int | None]  # what; two arguments; deltas after which the answer is cut, or None


def script(rng: random.Random, frames: int = 40) -> list[Step]:
    """Random steps: frames, questions, watches opened and closed, answers cut, lent time."""
    steps: list[Step] = []

    def step(what: str, one: Any = None, two: Any = None) -> None:
        steps.append((what, one, two, rng.randrange(ANSWER) if rng.random() < 0.3 else None))

    for number in range(frames):
        step("see", float(number))
        if rng.random() < 0.2:
            step("ask", " ".join(["now"] * rng.randint(1, 8)), "now")
        if rng.random() < 0.08:
            step("ask", f"w{rng.randrange(3)}", "watch")
        if rng.random() < 0.03:
            step("unwatch")
        if rng.random() < 0.3:
            step("idle", rng.randrange(200))
    return steps


def play(session: Session, steps: Sequence[Step]) -> list[Event]:
    """Run the steps; what is heard of an answer is all of it, or a few pieces and then a cut."""
    events: list[Event] = []
    for what, one, two, cut in steps:
        if what == "see":
            reply = session.see(Frame(DARK, one))
        elif what == "ask":
            reply = session.ask(one, when=two)
        elif what == "unwatch" and session.watches:
            reply = session.unwatch(next(iter(session.watches)))
        else:
            reply = session.idle(one or 0)
        with reply:
            for event in reply:
                events.append(event)
                cut = cut if cut is None else cut - isinstance(event, Delta)
                if cut is not None and cut < 0:
                    break
    return [*events, *session.end()]


def fires(rng: random.Random, frames: int = 40) -> dict[str, list[float]]:
    """When the three questions that may be watched for come true."""
    return {f"w{n}": [float(k) for k in range(frames) if rng.random() < 0.15] for n in range(3)}


def check(
    variant: str,
    streams: int,
    dtype: torch.dtype = torch.float32,
    device: str = "cpu",
    tick: Callable[[], None] = lambda: None,
    seed: int = 0,
) -> dict[str, Any]:
    """The record of a variant: random streams through the real Session, on a small random model."""
    policy, cached, grace = VARIANTS[variant]
    model = Witness("1M", 8, dtype=dtype, device=device, seed=seed, cached=cached)
    for number in range(streams):
        rng = random.Random(1000 * seed + number)
        gate = load("activation", "scripted", fires=fires(rng))
        settings: dict[str, Any] = {"max_len": rng.randrange(160, 400), "answer_len": ANSWER, "grace": grace}
        play(Session(model, gate, compression=policy(), **settings), script(rng))
        tick()
    verdict = judge(model, model.heard, noise=dtype != torch.float32)
    allowed = TOLERANCE if verdict.noise is None else NOISE * verdict.noise
    return {
        "scenario": "oracle",
        "variant": variant,
        "size": "1M",
        "dtype": model.dtype_name,
        "streams": streams,
        "answers": verdict.answers,
        "max_abs_logit_diff": verdict.max_abs_logit_diff,
        "noise": verdict.noise,
        "same_tokens": verdict.same_tokens,
        "passed": verdict.max_abs_logit_diff <= allowed and (verdict.noise is not None or verdict.same_tokens == 1.0),
    }
