"""The loop of every stage: steps, learning rate, a progress bar, a checkpoint every few minutes, resume after a kill.

Knows no model: a stage brings its parameters and a loss.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from rich.progress import Progress, TimeElapsedColumn
from torch import Tensor, nn

from streambridge.errors import BadInput, one_line

SAVE_EVERY_S: Final = 120.0
NOTE_EVERY: Final = 100  # steps


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a stage learns.

    Attributes:
        steps: optimiser steps in all.
        lr: highest learning rate, reached after `warmup` steps and falling to zero over the last 70 %.
        warmup: steps.
        weight_decay: of AdamW.
    """

    steps: int
    lr: float
    warmup: int = 100
    weight_decay: float = 0.02

    def rate(self, step: int) -> float:
        """The share of `lr` at a step."""
        return min(1.0, (step + 1) / self.warmup) * min(1.0, (self.steps - step) / (0.7 * self.steps))


def fit(
    module: nn.Module,
    losses: Callable[[int], Iterator[Callable[[], tuple[Tensor, dict[str, float]]]]],
    pace: Pace,
    checkpoint: Path,
    title: str,
    note: Callable[[int, dict[str, float]], None] = lambda step, figures: None,
) -> None:
    """Train `module` until `pace.steps`, from the checkpoint if there is one.

    Args:
        module: all that is trained; what needs no gradient is left alone.
        losses: from a step on, one function a step that computes its loss and figures.
        pace: steps and learning rate.
        checkpoint: written every two minutes and at the end; a later call goes on from it.
        title: for the progress bar.
        note: called every hundred steps, with the means of the figures since the last call.

    Raises:
        BadInput: when the checkpoint is of something else, or damaged.
    """
    params = [p for p in module.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(params, lr=pace.lr, betas=(0.9, 0.98), weight_decay=pace.weight_decay)
    first, saved = _resume(module, optimiser, checkpoint), time.monotonic()
    recent: list[dict[str, float]] = []
    with Progress(*Progress.get_default_columns(), TimeElapsedColumn()) as bar:
        task = bar.add_task(title, total=pace.steps, completed=first)
        for step, loss_of in zip(range(first, pace.steps), losses(first), strict=False):
            figures = _step(params, optimiser, pace, step, loss_of)
            bar.update(task, completed=step + 1, description=f"{title} {figures['loss']:.3f}")
            recent.append(figures)
            if step % NOTE_EVERY == NOTE_EVERY - 1:
                note(step + 1, _means(recent))
                recent = []
            if time.monotonic() - saved > SAVE_EVERY_S or step + 1 == pace.steps:
                _save(module, optimiser, step + 1, checkpoint)
                saved = time.monotonic()


def _step(
    params: list[nn.Parameter],
    optimiser: torch.optim.Optimizer,
    pace: Pace,
    step: int,
    loss_of: Callable[[], tuple[Tensor, dict[str, float]]],
) -> dict[str, float]:
    for group in optimiser.param_groups:
        group["lr"] = pace.lr * pace.rate(step)
    loss, figures = loss_of()
    optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]  # torch's backward bears no types
    nn.utils.clip_grad_norm_(params, 1.0)
    optimiser.step()
    return {"loss": float(loss.detach()), **figures}


def _means(figures: list[dict[str, float]]) -> dict[str, float]:
    return {name: sum(one[name] for one in figures) / len(figures) for name in figures[0]}


def _save(module: nn.Module, optimiser: torch.optim.Optimizer, step: int, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    torch.save({"module": module.state_dict(), "optimiser": optimiser.state_dict(), "step": step}, part)
    part.replace(path)  # a kill while writing leaves the old checkpoint whole


def _resume(module: nn.Module, optimiser: torch.optim.Optimizer, path: Path) -> int:
    if not path.is_file():
        return 0
    try:
        saved = torch.load(path, weights_only=True)
        module.load_state_dict(saved["module"])
        optimiser.load_state_dict(saved["optimiser"])
        return int(saved["step"])
    except Exception as err:  # cut short, of another recipe, or no checkpoint at all
        raise BadInput(f"{one_line(f'{path} is no checkpoint of this; remove it to begin anew', err):.400}") from err
