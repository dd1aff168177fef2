"""The embedded gate: learns when to speak, on the frozen eyes' tokens of training worlds. Begins as the backbone.

A sample is a window of a stream as a live Watch holds it: the question, own answers at the moment of their events, and
frames; the first frame that shows an event is positive (arXiv 2505.05467 takes the last P % of a segment; a world's
events are instants, so P is one frame).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  # torch's own custom
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import Qwen2Config

from streambridge.activation.score_head import ScoreWatch
from streambridge.activation.score_net import Entry, Reach, ScoreNet, read_words
from streambridge.activation.trigger import Trigger, TriggerSettings
from streambridge.scoring.moments import match
from streambridge.train.features import Seen, see_worlds
from streambridge.train.loop import Pace, fit
from streambridge.types import GateTokens
from streambridge.world.script import NUMBERS, WORDS, World
from streambridge.world.timelines import some_sign
from streambridge.world.truth import WATCHES

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage: steps, samples in a batch, highest learning rate, share of each kind of WATCHES in its order."""

    steps: int
    batch: int
    lr: float
    kinds: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that decides the embedded gate."""

    seed: int
    threads: int
    pairs: Stage  # first, two frames at a time: many questions, half of them with something to tell
    windows: Stage  # then windows as a live Watch holds them
    frames: int
    answers: int
    near_event: float  # share of windows laid around an event, since those to wait for are rare
    forget_answer: float  # share of own answers left out, so that a missed one does not derail the gate
    dev_worlds: int
    dev_s: int


@dataclass(frozen=True, slots=True)
class Window:
    """One sample: entries as a Watch holds them, and a label for each frame (-1: not judged)."""

    entries: list[Entry]
    labels: list[int]


def new_net(language_model: nn.Module, recipe: Recipe) -> ScoreNet:
    """A gate that begins as the backbone's language model, as the paper's begins as a small Video-LLM.

    It has read signs and steps from these very tokens; the head, <ACT> and what they need are learned.
    """
    torch.manual_seed(recipe.seed)
    text: Any = language_model.config
    config = Qwen2Config(
        vocab_size=text.vocab_size,
        hidden_size=text.hidden_size,
        intermediate_size=text.intermediate_size,
        num_hidden_layers=text.num_hidden_layers,
        num_attention_heads=text.num_attention_heads,
        num_key_value_heads=text.num_key_value_heads,
        max_position_embeddings=text.max_position_embeddings,
        rope_parameters={"rope_type": "default", "rope_theta": text.rope_parameters["rope_theta"]},
        initializer_range=text.initializer_range,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=None,
    )
    net = ScoreNet(config, text.hidden_size, Reach(recipe.frames, recipe.answers))
    net.decoder.load_state_dict(language_model.state_dict())
    with torch.no_grad():
        net.projector.weight.copy_(torch.eye(text.hidden_size))
        net.projector.bias.zero_()
    return net


@dataclass(frozen=True, slots=True)
class Put:
    """A watch put to a world: its words, and what happens after it."""

    text: str
    events: list[tuple[float, str]]
    holds: Callable[[float], bool] | None

    def due(self, second: int) -> list[str]:
        """What is to be said at the frame of this second."""
        return [answer for t, answer in self.events if second - 1 < t <= second]

    def label(self, second: int) -> int:
        """Is this frame positive? One frame where it happens in an instant, all of the time where it lasts."""
        return int(bool(self.due(second)) if self.holds is None else self.holds(second))


def put(world: World, rng: np.random.Generator, asked: int, shares: Sequence[float]) -> Put:
    """A random watch, put at `asked` seconds."""
    kind = str(rng.choice(list(WATCHES), p=shares))
    return put_kind(world, rng, asked, kind, some_sign(world, rng, asked) if WATCHES[kind].needs_sign else "")


def put_kind(world: World, rng: np.random.Generator, asked: float, kind: str, arg: str) -> Put:
    """A watch of this kind in any wording."""
    watching = WATCHES[kind]
    text = watching.wording[int(rng.integers(len(watching.wording)))].format(arg=arg)
    events = [(t, answer) for t, answer in watching.happens(world, arg) if t > asked]
    holds = watching.holds
    return Put(text, events, None if holds is None else lambda t: holds(world, t, arg))


def pair(one: Seen, tokenizer: Tokenizer, recipe: Recipe, rng: np.random.Generator) -> Window:
    """Two neighbouring frames and a question; in half of them there is something to tell at the second."""
    world, kind = one.world, str(rng.choice(list(WATCHES), p=recipe.pairs.kinds))
    second, hit = int(rng.integers(1, len(one.tokens))), rng.random() < 0.5
    arg = ""
    if WATCHES[kind].needs_sign:
        arg = world.state(second).sign if hit else other_sign(world.state(second).sign, rng)
    watch = put_kind(world, rng, -1.0, kind, arg)
    happened = [int(np.ceil(t)) for t, _ in watch.events if 1 <= np.ceil(t) < len(one.tokens)]
    if hit and watch.holds is None and happened:
        second = happened[int(rng.integers(len(happened)))]
    first = -1 if watch.holds is None else watch.label(second - 1)
    frames = [one.tokens[second - 1].float(), one.tokens[second].float()]
    return Window([read_words(tokenizer, watch.text), *frames], [first, watch.label(second)])


def other_sign(shown: str, rng: np.random.Generator) -> str:
    """A word or number that is not shown; of numbers, often one that shares a digit."""
    if shown.isdigit() and rng.random() < 0.5:
        digit = str(rng.integers(1, 10))
        near = shown[0] + digit if rng.random() < 0.5 else digit + shown[1]
        if near != shown:
            return near
    return str(rng.choice([sign for sign in [*WORDS, *map(str, NUMBERS)] if sign != shown]))


def window(one: Seen, tokenizer: Tokenizer, recipe: Recipe, rng: np.random.Generator) -> Window:
    """A random window: from the question on, or from the middle of a stream after a cut."""
    seconds = len(one.tokens)
    asked = int(rng.integers(0, max(1, seconds // 2)))
    watch = put(one.world, rng, asked, recipe.windows.kinds)
    first = _start(asked, [int(np.ceil(t)) for t, _ in watch.events if t <= seconds - 1], seconds, recipe, rng)
    before = [answer for t, answer in watch.events if np.ceil(t) < first][-recipe.answers :]
    entries: list[Entry] = [read_words(tokenizer, watch.text), *(read_words(tokenizer, answer) for answer in before)]
    labels: list[int] = []
    for second in range(first, min(first + recipe.frames, seconds)):
        entries.append(one.tokens[second].float())
        labels.append(-1 if second == first > asked else watch.label(second))
        if (due := watch.due(second)) and rng.random() > recipe.forget_answer:
            entries.append(read_words(tokenizer, due[-1]))
    return Window(entries, labels)


def _start(asked: int, events: Sequence[int], seconds: int, recipe: Recipe, rng: np.random.Generator) -> int:
    """Where a window begins: at the question, around an event, or anywhere after the question."""
    if rng.random() < 0.25:
        return asked
    if events and rng.random() < recipe.near_event:
        return max(asked, events[int(rng.integers(len(events)))] - int(rng.integers(1, recipe.frames)))
    return int(rng.integers(asked, max(asked + 1, seconds - recipe.frames)))


def loss_of(net: ScoreNet, windows: Sequence[Window]) -> tuple[Tensor, dict[str, float]]:
    """Cross-entropy on <ACT> places only; `found` and `right` are recall and precision at one half."""
    laid = [net.lay_out(one.entries) for one in windows]
    longest = max(len(rows) for rows, _, _ in laid)
    embeds = torch.stack([F.pad(rows, (0, 0, 0, longest - len(rows))) for rows, _, _ in laid])
    positions = torch.stack([F.pad(at, (0, longest - len(at))) for _, at, _ in laid])
    acts = torch.stack([F.pad(act, (0, longest - len(act))) for _, _, act in laid])
    with torch.autocast("cpu", torch.bfloat16):
        logits = net.run(embeds, positions, acts)[acts].float()
    labels = torch.tensor([label for one in windows for label in one.labels])
    judged = labels >= 0
    logits, labels = logits[judged], labels[judged]
    fires = logits > 0
    hits = float((fires & (labels == 1)).sum())
    figures = {"found": hits / max(1, int(labels.sum())), "right": hits / max(1, int(fires.sum()))}
    return F.binary_cross_entropy_with_logits(logits, labels.float()), figures


def train(
    recipe: Recipe, model: Any, tokenizer: Tokenizer, seen: Sequence[Seen], out: Path, say: Say = print
) -> Path:
    """Train the gate, choose its threshold on development worlds, and save it.

    Args:
        recipe: what to do.
        model: the trained backbone; its eyes stay frozen.
        tokenizer: of the backbone.
        seen: training worlds as the eyes see them.
        out: the folder of the run; the finished gate goes to `out/gate`.
        say: takes lines for the log.
    """
    torch.set_num_threads(recipe.threads)
    net = new_net(model.model.language_model, recipe)
    for name, stage, sample in (("pairs", recipe.pairs, pair), ("windows", recipe.windows, window)):
        teach(net, name, stage, partial(sample, tokenizer=tokenizer, recipe=recipe), seen, out, say)
    dev = see_worlds(model.model.visual, range(recipe.dev_worlds), recipe.dev_s, "dev")
    trigger = choose_trigger(net.eval(), tokenizer, dev, say)
    net.save(out / "gate", tokenizer, asdict(trigger))
    return out / "gate"


def teach(
    net: ScoreNet, name: str, stage: Stage, sample: Callable[..., Window], seen: Sequence[Seen], out: Path, say: Say
) -> None:
    """One stage of the gate, from its checkpoint if there is one."""

    def losses(first: int) -> Iterator[Callable[[], tuple[Tensor, dict[str, float]]]]:
        for step in range(first, stage.steps):
            rng = np.random.default_rng([len(name), step])
            picks = rng.integers(0, len(seen), stage.batch)
            windows = [sample(seen[int(k)], rng=rng) for k in picks]
            yield lambda windows=windows: loss_of(net, windows)  # type: ignore[misc]  # this step's windows

    def note(step: int, figures: dict[str, float]) -> None:
        say(f"{name} {step}: " + ", ".join(f"{figure} {value:.3f}" for figure, value in figures.items()))

    fit(net, losses, Pace(stage.steps, stage.lr), out / f"gate_{name}.pt", f"gate, {name}", note)


@dataclass(frozen=True, slots=True)
class Scores:
    """What a Watch scored over one stream, and when it should have fired."""

    scores: list[tuple[float, float]]  # (t, score)
    due: list[float]


def score_stream(net: ScoreNet, tokenizer: Tokenizer, one: Seen, watch: Put) -> Scores:
    """Run a live Watch over one stream from its start; its own answers come at the true moments."""
    read = partial(read_words, tokenizer)
    live = ScoreWatch(net, read(watch.text), Trigger(TriggerSettings()), read)
    scores = []
    for second, tokens in enumerate(one.tokens):
        scores.append((float(second), live.observe(GateTokens({"tokens": tokens.float()}, float(second))).score))
        for answer in watch.due(second)[-1:]:
            live.heard(answer, float(second))
    return Scores(scores, [t for t, _ in watch.events if t <= len(one.tokens) - 1])


def choose_trigger(net: ScoreNet, tokenizer: Tokenizer, dev: Sequence[Seen], say: Say) -> TriggerSettings:
    """The threshold with the best event F1 at +-1 s on development worlds, the mean over the kinds of watch."""
    streams = [
        [score_stream(net, tokenizer, one, put(one.world, one.world.rng(11), 0, shares)) for one in dev]
        for shares in np.eye(len(WATCHES)).tolist()
    ]
    tried: dict[float, list[float]] = {}
    for threshold in np.arange(0.1, 0.96, 0.05).round(2):
        tried[float(threshold)] = [_f1(kind, TriggerSettings(threshold=float(threshold))) for kind in streams]
    best = max(tried, key=lambda threshold: sum(tried[threshold]))
    say(f"event F1 by threshold on {len(dev)} development worlds, for {', '.join(WATCHES)}:")
    for threshold, found in tried.items():
        say(f"  {threshold:.2f}  " + "  ".join(f"{f1:.3f}" for f1 in found) + "  <- chosen" * (threshold == best))
    return TriggerSettings(threshold=best)


def _f1(streams: Sequence[Scores], settings: TriggerSettings) -> float:
    hits = fires = due = 0
    for stream in streams:
        trigger = Trigger(settings)
        fired = [t for t, score in stream.scores if trigger.step(score, t)]
        hits, fires, due = hits + len(match(fired, stream.due, 1.0)), fires + len(fired), due + len(stream.due)
    return 2 * hits / max(1, fires + due)
