"""The embedded Video-LLM from nothing, in stages: eyes, worlds seen, words. Each stage resumes after a kill.

Knows the world and nothing else: no file of pictures, no download.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from streambridge.backbones.pixels import normalise, patchify
from streambridge.errors import BadInput
from streambridge.train import models, vision
from streambridge.train.features import Seen, see_worlds
from streambridge.train.loop import Pace, fit
from streambridge.train.words import Lessons, Phase, lessons_loss
from streambridge.world.script import World
from streambridge.world.truth import all_sentences

SIZE: Final = 84  # pixels a side that the embedded model sees: 3 x 3 tokens
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Eyes:
    """Stage 1: pictures, and the pace of learning to see."""

    pictures: int
    steps: int
    batch: int
    lr: float


@dataclass(frozen=True, slots=True)
class Worlds:
    """The streams of stages 2 and 3: how many, how long (seconds)."""

    short: int
    short_s: int
    long: int
    long_s: int


@dataclass(frozen=True, slots=True)
class Words:
    """Stages 2 and 3: pace and curriculum of learning to answer."""

    steps: int
    lr: float
    phases: tuple[Phase, ...]


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that decides the embedded Video-LLM."""

    seed: int
    threads: int
    eyes: Eyes
    worlds: Worlds
    words: Words
    quiet: Words  # stage 3: the same with few questions, so that one asked minutes ago is still answered


def train(recipe: Recipe, out: Path, say: Say = print) -> Path:
    """Run every stage that is not done yet.

    Args:
        recipe: what to do.
        out: the folder of the run; checkpoints stand in it, the finished model in `out/backbone`.
        say: takes lines for the log.

    Returns:
        The folder of the finished model.
    """
    torch.set_num_threads(recipe.threads)
    tokenizer, model = start(recipe.seed)
    open_eyes(recipe, model, out, say)
    seen = seen_worlds(recipe.worlds, model.model.visual, out, say)
    for name, plan in (("words", recipe.words), ("quiet", recipe.quiet)):
        learn_words(plan, name, recipe.seed, model, tokenizer, seen, out, say)
    models.save_backbone(model, tokenizer, out / "backbone", SIZE)
    return out / "backbone"


def trained(out: Path) -> tuple[Tokenizer, Any, list[Seen]]:
    """Tokenizer, model and stored worlds of a run that has taught words.

    Raises:
        BadInput: when it has not.
    """
    if not (out / "quiet.pt").is_file() or not (out / "seen.pt").is_file():
        raise BadInput(f"{out} holds no quiet.pt and seen.pt; first: streambridge train backbone RECIPE --out {out}")
    tokenizer, model = start(0)
    model.load_state_dict(torch.load(out / "quiet.pt", weights_only=True)["module"])
    return tokenizer, model.eval(), _stored(out)


def start(seed: int) -> tuple[Tokenizer, Any]:
    """The tokenizer of the world's words, and a model that knows nothing."""
    tokenizer = models.new_tokenizer(sorted(set(all_sentences())))
    return tokenizer, models.new_backbone(tokenizer, seed)


def open_eyes(recipe: Recipe, model: Any, out: Path, say: Say) -> None:
    """Stage 1: the tower learns to see, on instants of training worlds; the heads are thrown away."""
    tower, plan, path = model.model.visual, recipe.eyes, out / "eyes.pt"
    both = nn.ModuleDict({"tower": tower, "readers": vision.heads(model.config.text_config.hidden_size)})
    if not path.is_file() or torch.load(path, weights_only=True)["step"] < plan.steps:
        say(f"drawing {plan.pictures} pictures")
        looks, check = vision.draw_looks(0, plan.pictures, "train"), vision.draw_looks(0, 800, "dev")

        def note(step: int, figures: dict[str, float]) -> None:
            if step % 500 == 0:
                say(f"eyes {step}: {_rounded(figures)}; development {_rounded(_check_eyes(both, check))}")

        fit(both, lambda first: _eye_losses(both, looks, recipe, first), Pace(plan.steps, plan.lr), path, "eyes", note)
    both.load_state_dict(torch.load(path, weights_only=True)["module"])
    tower.requires_grad_(False)


def _eye_losses(
    both: nn.ModuleDict, looks: vision.Looks, recipe: Recipe, first: int
) -> Iterator[Callable[[], tuple[Tensor, dict[str, float]]]]:
    rng = np.random.default_rng([recipe.seed, first])
    for patches, labels in vision.batches(looks, recipe.eyes.batch, recipe.eyes.steps - first, rng):
        yield lambda patches=patches, labels=labels: vision.loss_and_right(  # type: ignore[misc]  # this step's batch
            vision.forward_frames(both["tower"], patches), both["readers"], labels
        )


@torch.inference_mode()
def _check_eyes(both: nn.ModuleDict, check: vision.Looks) -> dict[str, float]:
    patches = patchify(normalise(check.patches, vision.HALF, vision.HALF), 14, 2, 2)
    return vision.loss_and_right(vision.forward_frames(both["tower"], patches), both["readers"], check.labels)[1]


def seen_worlds(plan: Worlds, tower: nn.Module, out: Path, say: Say) -> list[Seen]:
    """The streams as the frozen eyes see them, stored once."""
    path = out / "seen.pt"
    if not path.is_file():
        say(f"watching {plan.short} worlds of {plan.short_s} s and {plan.long} of {plan.long_s} s")
        short = see_worlds(tower, range(plan.short), plan.short_s, "train")
        long = see_worlds(tower, range(plan.short, plan.short + plan.long), plan.long_s, "train")
        torch.save([(one.world.seed, one.world.duration_s, one.tokens) for one in short + long], path)
    return _stored(out)


def _stored(out: Path) -> list[Seen]:
    rows = torch.load(out / "seen.pt", weights_only=True)
    return [Seen(World(seed, seconds, "train"), tokens) for seed, seconds, tokens in rows]


def learn_words(
    plan: Words, name: str, seed: int, model: Any, tokenizer: Tokenizer, seen: list[Seen], out: Path, say: Say
) -> None:
    """Stages 2 and 3: the language model learns to answer; the eyes stay as they are."""
    lessons = Lessons(seen, tokenizer, plan.phases, plan.steps, seed)

    def note(step: int, figures: dict[str, float]) -> None:
        say(f"{name} {step}: {_rounded(figures)}")

    pace = Pace(plan.steps, plan.lr)
    fit(model, lambda first: lessons_loss(model, lessons, first), pace, out / f"{name}.pt", name, note)


def _rounded(figures: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 3) for name, value in figures.items()}
