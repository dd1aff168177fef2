"""What other streaming systems do with their cache, in our own words, timed beside how far off their answers are.

Keys and values that were made under another context are kept, moved or averaged; nothing is read again. Each rival says
which context it claims to hold, and a fresh recompute of just that tells its error. Knows no Session and no policy.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate, groupby
from typing import Any, Final, NamedTuple, cast

import torch
from torch import Tensor

from streambridge.bench.extent import Record, Tick
from streambridge.bench.random_model import RandomModel
from streambridge.bench.roofline import WORDS, spread
from streambridge.bench.timing import Timer, by_turns
from streambridge.engine import oracle
from streambridge.engine.attention import run
from streambridge.engine.cache import KV
from streambridge.engine.decoder import Decoder
from streambridge.errors import UnknownName, WrongUse
from streambridge.types import FrameTokens, Segment

SINKS: Final = 64  # tokens at the very front that are never let go of
PART: Final = 8  # room is made by an eighth of the cache at once, so that most frames make none
POOLED: Final = 4  # frames that become one
TURN: Final = WORDS + 2  # tokens of a question and of an answer, header and end included

Rewrite = Callable[[Tensor], Tensor]  # [..., n, D] -> [..., m, D]: what becomes of tokens; never a view


class Rival:
    """One sequence in a decoder that never grows beyond `max_len`.

    Args:
        decoder: transformers' Qwen2, whose keys are rotated before they are cached.
        max_len: tokens held at the most.
        sinks: tokens at the front that stay for ever.

    Attributes:
        kv: its cache.
        touched: whether it has let go of anything: from then on no read of its context would give what it holds.
    """

    def __init__(self, decoder: Decoder, max_len: int, sinks: int = 0) -> None:
        if not 0 <= sinks < max_len:
            raise WrongUse(f"{sinks} tokens that stay leave no room in a cache of {max_len}; give more with max_len")
        self.decoder, self.max_len, self.sinks = decoder, max_len, sinks
        self.kv, self.touched = KV(max_len), False
        width, like = cast(Any, decoder.body).config.hidden_size, next(decoder.body.parameters())
        # Of no use to a rival: what it would have to read again, kept for the recompute that it is held against.
        self._embeds = torch.empty(max_len, width, dtype=like.dtype, device=like.device)  # [max_len, D]
        self._at = torch.empty(max_len, dtype=torch.int64, device=like.device)  # [max_len]
        self._next = 0  # position of the token to come

    @torch.inference_mode()
    def see(self, embeds: Tensor) -> None:
        """Read a frame, [P, D]."""
        self._append(embeds, frames=1)

    @torch.inference_mode()
    def ask(self, embeds: Tensor) -> Tensor:
        """Read a question, [n, D], which stays; the logits [V] of the first word of its answer."""
        return self.decoder.head(self._append(embeds, frames=0))

    @torch.inference_mode()
    def say(self, embeds: Tensor) -> None:
        """Keep an answer, [n, D]."""
        self._append(embeds, frames=0)

    def claimed(self) -> tuple[Tensor, Tensor]:
        """The context it claims to hold: embeddings [L, D] and positions [R, L]."""
        return self._embeds[: self.kv.length].clone(), self._at[None, : self.kv.length].clone()

    def _append(self, embeds: Tensor, frames: int) -> Tensor:
        """Read [n, D] behind what is held; what the model makes of the last token, [D]."""
        n, most = len(embeds), self.max_len - self.sinks
        if n > most:
            raise WrongUse(f"{n} tokens at once, and the cache has room for {most}; give more with max_len")
        if self.kv.length + n > self.max_len:
            self._make_room(n)
            self.touched = True
        new = slice(self.kv.length, self.kv.length + n)
        self._embeds[new] = embeds
        self._at[new] = torch.arange(self._next, self._next + n, device=self._at.device)
        self._next += n
        return run(self.decoder.body, self._embeds[new], self._at[None, new], [(self.kv, n)])[-1]

    def _make_room(self, n: int) -> None:
        """Let go of something, so that n more tokens fit."""
        raise NotImplementedError

    def _rewrite(self, start: int, rows: Rewrite, keys: Rewrite) -> None:
        """Put something else in the place of all tokens from `start` on: `rows` makes it of all but the keys."""
        held = [(keys(k[:, :, start:]), rows(v[:, :, start:])) for k, v in self.kv.layers()]
        old = slice(start, self.kv.length)
        embeds, at = rows(self._embeds[old]), rows(self._at[old, None].double())[:, 0]
        self.kv.crop(start)
        for layer, pair in enumerate(held):
            self.kv.write(layer, *pair)
        self.kv.advance(len(embeds))
        new = slice(start, self.kv.length)
        self._embeds[new], self._at[new] = embeds, at.long()


class Evicting(Rival):
    """Positions stay contiguous: keys behind what was let go of are rotated back in place; values are stale."""

    def __init__(self, decoder: Decoder, max_len: int, sinks: int = SINKS) -> None:
        super().__init__(decoder, max_len, sinks)

    def _evict(self, n: int) -> None:
        """Let go of the n oldest tokens behind the sinks."""
        rates = cast(Any, self.decoder.body).rotary_emb.inv_freq  # [D / 2]
        self._rewrite(self.sinks, partial(behind, n=n), lambda keys: rotated(keys[..., n:, :], -n, rates))
        self._at[self.sinks : self.kv.length] -= n
        self._next -= n


class SinkWindow(Evicting):
    """When the cache is full, all between the first tokens and the newest goes (the StreamingLLM, StreamingVLM kind).

    Args:
        decoder: as for every rival.
        max_len: tokens held at the most.
        sinks: tokens at the front that stay.
        window: newest tokens that stay; None for half of what the sinks leave, so that hardly a key is rotated twice.
    """

    def __init__(self, decoder: Decoder, max_len: int, sinks: int = SINKS, window: int | None = None) -> None:
        super().__init__(decoder, max_len, sinks)
        self.window = (max_len - sinks) // 2 if window is None else window
        if not 0 <= self.window <= max_len - sinks:
            raise WrongUse(f"a window of {self.window} tokens beside {sinks} sinks does not fit into {max_len}")

    def _make_room(self, n: int) -> None:
        self._evict(self.kv.length - self.sinks - min(self.window, self.max_len - self.sinks - n))


class ReRotate(Evicting):
    """The oldest eighth behind the sinks goes, again and again: in 16 bit keys drift with every rotation."""

    def _make_room(self, n: int) -> None:
        self._evict(min(max(n, self.max_len // PART), self.kv.length - self.sinks))


class Block(NamedTuple):
    """A frame, a pooled one, or the words of one turn: its tokens, and the frames it stands for (words: 0)."""

    tokens: int
    frames: int
    level: int  # how often it was pooled; -1 for words


class PooledKV(Rival):
    """Keys and values of old frames are averaged, four to one, token by token (the LiveVLM, InfiniPot kind).

    The oldest that were never pooled go first, then those pooled once, and so on. The newest quarter stays as it is;
    where nothing older can be pooled, the oldest frame or turn is let go of. Positions stay as they were, so they grow
    with the stream; what is pooled claims the mean of them.
    """

    def __init__(self, decoder: Decoder, max_len: int) -> None:
        super().__init__(decoder, max_len)
        self.blocks: list[Block] = []

    def _append(self, embeds: Tensor, frames: int) -> Tensor:
        last = super()._append(embeds, frames)
        self.blocks.append(Block(len(embeds), frames, 0 if frames else -1))
        return last

    def _make_room(self, n: int) -> None:
        while self.kv.length + n > self.max_len:
            groups = self._groups(self.kv.length + max(n, self.max_len // PART) - self.max_len)
            if len(groups) < len(self.blocks):
                rows: Rewrite = partial(averaged, groups=groups)
                self.blocks = [_pooled(group) for group in groups]
            else:
                rows = partial(behind, n=self.blocks.pop(0).tokens)
            self._rewrite(0, rows, rows)

    def _groups(self, excess: int) -> list[list[Block]]:
        """All blocks in order, each alone but those that are to become one: as many as save `excess` tokens."""
        old = self._old()
        runs = [list(run_) for _, run_ in groupby(self.blocks[:old], lambda block: (block.level, block.tokens))]
        lowest = min((run_[0].level for run_ in runs if run_[0].frames and len(run_) > 1), default=None)
        groups: list[list[Block]] = []
        for run_ in runs:
            while run_:
                n = POOLED if excess > 0 and run_[0].level == lowest else 1
                groups.append(run_[:n])
                excess -= sum(block.tokens for block in run_[1:n])
                run_ = run_[n:]
        return groups + [[block] for block in self.blocks[old:]]

    def _old(self) -> int:
        """How many blocks end before the newest quarter."""
        ends = accumulate(block.tokens for block in self.blocks)
        return sum(end <= self.kv.length - self.max_len // 4 for end in ends)


RIVALS: Final[dict[str, Callable[[Decoder, int], Rival]]] = {
    "sink+window": SinkWindow,
    "re-rotate": ReRotate,
    "kv-pool": PooledKV,
}


def rotated(keys: Tensor, by: int, rates: Tensor) -> Tensor:
    """Keys [..., D] that were cached rotated, as if each stood `by` positions further on; rates [D / 2] of Qwen2."""
    one, two = keys.float().chunk(2, dim=-1)  # [..., D / 2] each: pairs are of one half and the other
    angle = by * rates.double()  # single precision would be off by more than the rotation itself
    cos, sin = angle.cos().float(), angle.sin().float()
    return torch.cat([one * cos - two * sin, two * cos + one * sin], dim=-1).to(keys.dtype)


def behind(rows: Tensor, n: int) -> Tensor:
    """Rows [..., L, D] without the first n."""
    return rows[..., n:, :].clone()  # it is written over its own place


def averaged(rows: Tensor, groups: Sequence[Sequence[Block]]) -> Tensor:
    """Rows [..., L, D] of blocks one after another: those of a group become one, weighted by their frames."""
    out, at = [], 0
    for group in groups:
        n, tokens = len(group), group[0].tokens
        part = rows[..., at : at + n * tokens, :]
        at += n * tokens
        if n > 1:
            frames = torch.tensor([block.frames for block in group], device=rows.device)[:, None, None]
            stacked = part.double().reshape(*part.shape[:-2], n, tokens, -1)  # [..., n, P, D]
            part = ((stacked * frames).sum(-3) / frames.sum()).to(rows.dtype)
        out.append(part)
    return torch.cat(out, dim=-2)


def _pooled(group: Sequence[Block]) -> Block:
    level = group[0].level + (len(group) > 1)
    return Block(group[0].tokens, sum(block.frames for block in group), level)


@torch.inference_mode()
def truth(rival: Rival) -> Tensor:
    """The logits [V] behind what a rival claims to hold, read afresh by the library."""
    embeds, at = rival.claimed()
    n = len(embeds)
    all_ = FrameTokens({"embeds": embeds}, n, 0.0, (0.0, 0.0))
    # In one chunk, yet with a cache: without one the library takes a gap between positions for the border of another
    # sequence that was packed behind this one, and hides what is before it.
    hidden = oracle.recompute(rival.decoder, [Segment((0,) * n, at.cpu().numpy(), all_)], chunk=n)
    return rival.decoder.head(hidden[-1])


def errors(ours: Tensor, true: Tensor) -> dict[str, float]:
    """How far logits [V] are from the true ones."""
    ours, true = ours.double(), true.double()
    p, q = true.log_softmax(-1), ours.log_softmax(-1)
    return {
        "max_abs_logit_diff": float((ours - true).abs().max()),
        "relative_l2": float((ours - true).norm() / true.norm()),
        "kl": float((p.exp() * (p - q)).sum()),
        "top1": float(ours.argmax() == true.argmax()),
    }


@dataclass
class Course:
    """A rival on its way through the stream: milliseconds of its answers, errors before and after it let go of any."""

    name: str
    rival: Rival
    timer: Timer
    see_ms: float = 0.0
    ttft: list[float] = field(default_factory=list)
    queued: list[float] = field(default_factory=list)  # with the work of the tick's frame before it
    whole: list[dict[str, float]] = field(default_factory=list)
    lossy: list[dict[str, float]] = field(default_factory=list)

    def see(self, frame: Tensor) -> None:
        """Read a frame and make room for it, before a question could be heard."""
        start = self.timer.now()
        self.rival.see(frame)
        self.see_ms = self.timer.now() - start

    def ask(self, question: Tensor, answer: Tensor, check: bool) -> None:
        """Time the first word, hold it against the truth, and keep an answer."""
        start = self.timer.now()
        logits = self.rival.ask(question)
        int(logits.argmax())
        self.ttft.append(self.timer.now() - start)
        self.queued.append(self.ttft[-1] + self.see_ms)
        if check:
            (self.lossy if self.rival.touched else self.whole).append(errors(logits, truth(self.rival)))
        self.rival.say(answer)

    def record(self) -> Record:
        """What it has to tell; errors are medians over answers on a cache that was touched, if there were any."""
        checked, queued = self.lossy or self.whole, spread(self.queued)
        return {
            "variant": self.name,
            "answers": len(self.ttft),
            "ttft_all_ms": [round(ms, 3) for ms in self.ttft],
            **spread(self.ttft),
            "queued_p50_ms": queued["p50_ms"],
            "queued_p99_ms": queued["p99_ms"],
            "checked": len(checked),
            **{key: statistics.median(one[key] for one in checked) for key in checked[0]},
            "top1": statistics.mean(one["top1"] for one in checked),
        }


def measure(
    model: RandomModel,
    names: Sequence[str],
    minutes: float,
    max_len: int,
    every_s: float,
    seed: int,
    tick: Tick = lambda: None,
    check_every: int = 3,
) -> list[Record]:
    """One stream for all, a frame a second, by turns in one process; a record for each rival.

    Args:
        model: whose decoder they run on.
        names: of `RIVALS`.
        minutes: of stream.
        max_len: tokens that a rival may hold.
        every_s: seconds between questions.
        seed: of frames and words.
        tick: called after every second of stream.
        check_every: so many answers to one that is held against the recompute; the last one always is.

    Raises:
        UnknownName: when there is no such rival.
        WrongUse: when nothing would be asked.
    """
    unknown = [name for name in names if name not in RIVALS]
    if unknown:
        raise UnknownName("rival", unknown[0], RIVALS)
    answers = int(60 * minutes / every_s) if every_s >= 1 else 0
    if not answers:
        raise WrongUse(f"a question every {every_s:g} s in {minutes:g} minutes; give at least 1 s, and time for one")
    courses = [Course(name, RIVALS[name](model.decoder, max_len), Timer(model.device)) for name in names]
    for number, question, answer in _stream(courses, model, answers, every_s, seed, tick):
        for one in by_turns(courses, number):
            one.ask(question, answer, check=(answers - 1 - number) % check_every == 0)
    shown: Record = {"size": model.size, "dtype": model.dtype_name, "max_len": max_len}
    shown |= {"frame_tokens": model.frame_tokens, "minutes": minutes, "every_s": every_s}
    return [{"scenario": "rivals", **shown, **one.record()} for one in courses]


def _stream(
    courses: Sequence[Course], model: RandomModel, answers: int, every_s: float, seed: int, tick: Tick
) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Frames for all; at each question its number, its words and those of its answer, which are always the same."""
    rng, second = random.Random(seed), 0
    answer = _words(model, rng)
    for number in range(answers):
        while second < (number + 1) * every_s:
            frame = model.bank[rng.randrange(len(model.bank))].to(model.dtype)  # [P, D]
            for one in courses:
                one.see(frame)
            second += 1
            tick()
        yield number, _words(model, rng), answer


def _words(model: RandomModel, rng: random.Random) -> Tensor:
    """Embeddings [n, D] of random words."""
    ids = [rng.randrange(model.vocab) for _ in range(TURN)]
    return model.decoder.embed(torch.tensor(ids, device=model.device))
