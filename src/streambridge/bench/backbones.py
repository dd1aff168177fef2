"""`bench backbones`: every family, as a tiny random checkpoint, held against the library's own path and the oracle.

Random weights: what agrees here agrees for any weights of that architecture; how good answers are, nothing here says.
Knows no page and no clock.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any, Final

import torch

from streambridge.backbones.opening import families, open_model
from streambridge.backbones.sketch import Sketch
from streambridge.bench.checkpoints import FAMILIES, save
from streambridge.bench.equality import TOLERANCE, Heard, judge, noted
from streambridge.bench.reference import frames, library_features, library_words, pixels_of, plan_of, read_reference
from streambridge.errors import UnknownName
from streambridge.loading import load
from streambridge.session import Session
from streambridge.types import Answered, Compressed, Failed, Piece, Plan

SEED: Final = 1  # of the weights
PLANS: Final = 4  # for the library's path: frames, an answer, frames, a question
WORDS: Final = 10  # tokens of each answer to them
BATCH: Final = 5  # pictures of the batch that frames are held against
STREAM: Final = 40  # frames of the stream that the oracle judges
NEAR: Final = 1e-5  # largest difference of a feature


def run(
    kinds: Sequence[str] | None = None, plans: int = PLANS, tick: Callable[[str], None] = lambda _: None
) -> Iterator[dict[str, Any]]:
    """A record of each model type, as it is done.

    Args:
        kinds: model types; None for all that are read.
        plans: how many are held against the library's path.
        tick: told each model type before its turn.

    Raises:
        UnknownName: for a type that is not read.
    """
    known = families()
    for kind in (wanted := sorted(known, key=FAMILIES.index) if kinds is None else kinds):
        if kind not in known:
            raise UnknownName("model type", kind, known)
    with tempfile.TemporaryDirectory() as room:
        for kind in wanted:
            tick(kind)
            yield record(save(Path(room) / kind, kind, SEED), plans)


def record(folder: Path, plans: int = PLANS) -> dict[str, Any]:
    """What one checkpoint shows.

    Args:
        folder: of the checkpoint; small, and in float32 on a CPU.
        plans: how many are held against the library's path.
    """
    model, reference, sketch = open_model(folder, tokens_per_frame="native"), read_reference(folder), Sketch(folder)
    told = {
        "model_type": sketch.kind,
        "family": sketch.family,
        "class": sketch.library_class,
        "levels": sketch.levels,
        "paper": sketch.model.PAPER,
        "caps": asdict(model.caps),
        "features": features_apart(model, reference),
        **words_apart(model, reference, plans),
        **stream_apart(model),
    }
    small = told["features"] <= NEAR and max(told["logits"], told["oracle"]) <= TOLERANCE
    same = told["same"] == told["tokens"] and told["oracle_same"] == 1.0 and not told["failed"]
    proves = told["distinct"] > 1 and told["answers"] > 0 and told["compressed"] > 0
    return {**told, "passed": bool(small and same and proves)}


def features_apart(model: Any, reference: Any) -> float:
    """The largest difference of a feature between frames encoded one by one and the library's batch, all levels."""
    pictures = list(frames(BATCH, 3))
    together = library_features(reference, model, pixels_of(model, pictures), len(pictures))
    alone = [_levels(model.encode(one).bundle) for one in pictures]
    pairs = [pair for a, b in zip(alone, together, strict=True) for pair in zip(a, b, strict=True)]
    return max(float((a - b).abs().max()) for a, b in pairs)


def _levels(bundle: Mapping[str, Any]) -> list[Any]:
    return [bundle["embeds"], *(bundle[f"deep{n}"] for n in range(len(bundle) - 1))]


def words_apart(model: Any, reference: Any, plans: int) -> dict[str, Any]:
    """Greedy answers against the library's, each token of which comes from pixels and ids alone."""
    worst, same, total = 0.0, 0, 0
    heard: set[int] = set()
    for seed in range(plans):
        pictures = list(frames(4, seed))
        plan = plan_of(model, pictures)
        wanted, first = library_words(reference, model, plan, pixels_of(model, pictures), WORDS)
        said = [piece.id for piece in model.answer(plan, WORDS, model.reader(plan.tokens + WORDS))]
        worst = max(worst, float((_first(model, plan) - first).abs().max()))
        same += sum(a == b for a, b in zip(said, wanted, strict=False))
        total += max(len(said), len(wanted))
        heard |= {*wanted}
    return {"plans": plans, "logits": worst, "same": same, "tokens": total, "distinct": len(heard)}


def _first(model: Any, plan: Plan) -> torch.Tensor:
    """[V] of what follows a plan."""
    reader = model.reader(plan.tokens)
    reader.finish(plan)
    logits: torch.Tensor = reader.track.logits()
    return logits


def stream_apart(model: Any) -> dict[str, Any]:
    """A random stream with compression and cut answers: every token of every answer against the oracle."""
    heard: list[Heard] = []
    events = list(_stream(listening(model, heard)))
    verdict = judge(model, heard)
    return {
        "oracle": verdict.max_abs_logit_diff,
        "oracle_same": verdict.same_tokens,
        "answers": sum(isinstance(event, Answered) for event in events),
        "compressed": sum(isinstance(event, Compressed) for event in events),
        "failed": [event.error for event in events if isinstance(event, Failed)],
    }


def listening(model: Any, heard: list[Heard]) -> Any:
    """The same model, which notes every answer's plan, ids and hidden states."""

    class Listening(type(model)):  # type: ignore[misc]  # its family is known only now
        def answer(self, plan: Plan, max_tokens: int, reader: Any = None) -> Iterator[Piece]:
            return noted(heard, plan, super().answer(plan, max_tokens, reader), reader)

    twin = object.__new__(Listening)
    twin.__dict__.update(model.__dict__)
    return twin


def _stream(model: Any) -> Iterator[Any]:
    rng = random.Random(SEED)
    gate = load("activation", "scripted", fires={"w": [float(k) for k in range(3, STREAM, 7)]})
    session = Session(model, gate, max_len=_short(model), answer_len=6)
    yield from session.ask("w", 0.0, "watch")
    for frame in frames(STREAM, SEED):
        with session.see(frame) as reply:
            yield from islice(reply, None if rng.random() < 0.7 else 1)  # what is left unread is cut
        if rng.random() < 0.3:
            yield from session.ask("now", when="now")
        yield from session.idle(rng.randrange(200))
    yield from session.end()


def _short(model: Any) -> int:
    """A budget that the stream passes several times."""
    one = model.encode(next(frames(1)))
    return int(4 * (6 + model.overhead()) + STREAM // 3 * one.tokens)
