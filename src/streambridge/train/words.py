"""Stage 2: the words. Teaches the language model to answer from vision tokens, on streams laid out by Session itself.

Knows no pixels: the eyes are frozen and their tokens were stored. A curriculum goes from seconds to minutes, and from a
memory that holds all to one that is compressed again and again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  # torch's own custom
from tokenizers import Tokenizer
from torch import Tensor, nn

from streambridge import loading
from streambridge.train.features import Seen
from streambridge.train.layout import Sample, lay_out
from streambridge.types import Timeline
from streambridge.world.script import World
from streambridge.world.timelines import Script, quiet_timeline, some_sign
from streambridge.world.truth import QUESTIONS, TAUGHT, WATCHES


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of the curriculum.

    Attributes:
        until: share of all steps at which it ends.
        seconds: shortest and longest stream.
        max_len: smallest and largest memory in tokens.
        every_s: shortest and longest mean time between questions.
        batch_tokens: tokens in a batch, padding included.
        quiet: share of streams with one watch and nothing else: its question may lie minutes back.
    """

    until: float
    seconds: tuple[int, int]
    max_len: tuple[int, int]
    every_s: tuple[float, float]
    batch_tokens: int
    quiet: float = 0.0


def dialogue(world: World, rng: np.random.Generator, every_s: float) -> Timeline:
    """Random watches and questions over a stream; at one moment there may be several."""
    script = Script(world)
    for kind in rng.permutation(list(WATCHES))[: int(rng.integers(0, 4))]:
        t = float(rng.integers(0, max(1, int(world.duration_s) // 3)))
        arg = some_sign(world, rng, t) if WATCHES[kind].needs_sign else ""
        script.watch(str(kind), t, int(rng.integers(len(WATCHES[kind].wording))), arg)
    t = float(rng.integers(0, 3))
    while t < world.duration_s - 1:
        for kind in rng.permutation(TAUGHT)[: 1 + int(rng.integers(0, 3))]:
            script.ask(str(kind), t, int(rng.integers(len(QUESTIONS[kind].wording))))
        t += float(1 + int(rng.exponential(every_s)))
    return script.timeline()


class Lessons:
    """Batches of laid-out streams, fresh dialogues each time.

    Args:
        seen: worlds and their stored vision tokens.
        tokenizer: of the model.
        phases: the curriculum.
        steps: of the stage.
        seed: of the dialogues.
    """

    def __init__(
        self, seen: Sequence[Seen], tokenizer: Tokenizer, phases: Sequence[Phase], steps: int, seed: int
    ) -> None:
        self.seen, self.tokenizer, self.phases, self.steps, self.seed = seen, tokenizer, phases, steps, seed

    def batches(self, first: int) -> Iterator[list[tuple[Sample, Tensor]]]:
        """From a step on: lists of (sample, the vision tokens of its stream)."""
        step = first
        while step < self.steps:
            phase = next(p for p in self.phases if step <= p.until * self.steps)
            for batch in self._pool(phase, step):
                yield batch
                step += 1

    def _pool(self, phase: Phase, step: int) -> list[list[tuple[Sample, Tensor]]]:
        """Samples of like length go together, so that little is padding."""
        rng = np.random.default_rng([self.seed, step])
        samples: list[tuple[Sample, Tensor]] = []
        while sum(len(sample.ids) for sample, _ in samples) < 6 * phase.batch_tokens:
            samples += self._stream(phase, rng)
        samples.sort(key=lambda pair: len(pair[0].ids))
        batches, at = [], 0
        while at < len(samples):
            size = max(1, phase.batch_tokens // len(samples[min(at + 3, len(samples) - 1)][0].ids))
            batches.append(samples[at : at + size])
            at += size
        return [batches[k] for k in rng.permutation(len(batches))]

    def _stream(self, phase: Phase, rng: np.random.Generator) -> list[tuple[Sample, Tensor]]:
        seconds = int(np.exp(rng.uniform(*np.log(phase.seconds))))
        long_enough = [one for one in self.seen if one.world.duration_s >= seconds]
        one = long_enough[int(rng.integers(len(long_enough)))]
        world = World(one.world.seed, seconds, one.world.split)  # the beginning of the same world
        quiet = phase.quiet > 0 and rng.random() < phase.quiet
        timeline = quiet_timeline(world, rng) if quiet else dialogue(world, rng, float(rng.uniform(*phase.every_s)))
        max_len = int(np.exp(rng.uniform(*np.log(phase.max_len))))
        policy = loading.load("memory", "round_decay")
        return [(s, one.tokens) for s in lay_out(timeline, self.tokenizer, (3, 3), policy, max_len)]


def embed_batch(batch: Sequence[tuple[Sample, Tensor]], embed: nn.Module) -> tuple[Tensor, Tensor, Tensor]:
    """Embeddings [B, L, D], positions [3, B, L] and labels [B, L], padded on the right."""
    longest = max(len(sample.ids) for sample, _ in batch)
    ids = torch.zeros(len(batch), longest, dtype=torch.long)
    positions = torch.zeros(3, len(batch), longest, dtype=torch.long)
    labels = torch.full((len(batch), longest), -100)
    for row, (sample, _) in enumerate(batch):
        n = len(sample.ids)
        ids[row, :n] = torch.from_numpy(sample.ids)
        positions[:, row, :n] = torch.from_numpy(sample.positions)
        labels[row, :n] = torch.from_numpy(sample.labels)
    embeds: Tensor = embed(ids)
    return torch.stack([_fill(embeds[row], *pair) for row, pair in enumerate(batch)]), positions, labels


def _fill(embeds: Tensor, sample: Sample, tokens: Tensor) -> Tensor:
    """Put the mean vision tokens of each frame in its place: embeds [L, D], tokens [seconds, P, D]."""
    if not sample.frames:
        return embeds
    shares = torch.zeros(len(sample.frames), len(tokens))
    for k, rows in enumerate(sample.frames):
        shares[k, list(rows)] = 1 / len(rows)
    merged = torch.einsum("kt,tpd->kpd", shares, tokens.float())  # [K, P, D]
    at = torch.tensor(sample.places)[:, None] + torch.arange(tokens.shape[1])  # [K, P]
    return embeds.index_put((at.flatten(),), merged.flatten(0, 1).to(embeds.dtype))


def loss_of(model: Any, batch: Sequence[tuple[Sample, Tensor]]) -> tuple[Tensor, dict[str, float]]:
    """Cross-entropy on the answers only, and the share of answers that greedy decoding would get wholly right."""
    embeds, positions, labels = embed_batch(batch, model.get_input_embeddings())
    with torch.autocast("cpu", torch.bfloat16):
        hidden = model.model.language_model(inputs_embeds=embeds, position_ids=positions, use_cache=False)
        picked = labels != -100
        logits = model.lm_head(hidden.last_hidden_state[picked]).float()  # [answer tokens, V]
    loss = F.cross_entropy(logits, labels[picked])
    return loss, {"exact": _exact(logits.argmax(-1) == labels[picked], picked)}


def _exact(right: Tensor, picked: Tensor) -> float:
    """Answers are runs of picked places in a row."""
    marks = torch.zeros(picked.shape, dtype=torch.int8)
    marks[picked] = torch.where(right, 1, 2).to(torch.int8)
    whole = total = 0
    for row in marks.tolist():
        for answer in "".join(map(str, row)).split("0"):
            whole, total = whole + (answer != "" and "2" not in answer), total + (answer != "")
    return whole / max(total, 1)


def lessons_loss(
    model: Any, lessons: Lessons, first: int
) -> Iterator[Callable[[], tuple[Tensor, dict[str, float]]]]:
    """One loss a step, for the training loop."""
    for batch in lessons.batches(first):
        yield lambda batch=batch: loss_of(model, batch)  # type: ignore[misc]  # binds this step's batch
