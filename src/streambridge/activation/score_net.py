"""The gate's network: a small language model with a score head on a learnable <ACT> token. Knows no trigger, no stream.

A sequence is the question, then frames and the gate's own earlier answers in order of time (arXiv 2505.05467, section
3.3). <ACT> stands after each frame, hidden from all later rows, and its position does not advance the line: cutting it
from the cache in use gives the very numbers of the training forward. In use the net is a client of the engine, as the
answering model is.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import Qwen2Config, Qwen2Model

from streambridge.engine.attention import run
from streambridge.engine.cache import KV
from streambridge.errors import BadInput, WrongUse

Entry: TypeAlias = Tensor | Sequence[int]  # vision tokens [P, V] of a frame, or the ids of words


@dataclass(frozen=True, slots=True)
class Reach:
    """How far back a gate looks; fixed in training and shipped with the weights.

    Attributes:
        frames: when so many are held, the older half is let go and the rest read anew.
        answers: own answers that are kept beyond the frames held.

    Raises:
        WrongUse: on numbers that make no sense.
    """

    frames: int = 24
    answers: int = 2

    def __post_init__(self) -> None:
        """Refuse what reaches nothing."""
        for name, value, least in (("frames", self.frames, 1), ("answers", self.answers, 0)):
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise WrongUse(f"a gate's reach in {name} is a whole number, {least} or more; this one is {value!r}")


def read_words(tokenizer: Tokenizer, text: str) -> list[int]:
    """Ids of a question or an own answer, in training as in use; what looks like a special token is only words."""
    ids: list[int] = tokenizer.encode(text.replace("<|", "< |") + "\n", add_special_tokens=False).ids
    return ids


class ScoreNet(nn.Module):
    """Decoder, projector, <ACT> and score head.

    Args:
        config: of the decoder (transformers' Qwen2).
        vision_width: width V of the vision tokens it reads.
        reach: how far back it looks.
    """

    def __init__(self, config: Qwen2Config, vision_width: int, reach: Reach) -> None:
        super().__init__()
        self.decoder = Qwen2Model(config)
        self.projector = nn.Linear(vision_width, config.hidden_size)
        self.act = nn.Parameter(torch.randn(config.hidden_size) * config.initializer_range)
        self.head = nn.Sequential(nn.LayerNorm(config.hidden_size), nn.Linear(config.hidden_size, 1))
        self.vision_width, self.reach = vision_width, reach

    def embed(self, entry: Entry) -> Tensor:
        """[n, D] of a frame or of words."""
        if isinstance(entry, Tensor):
            projected: Tensor = self.projector(entry)
            return projected
        rows: Tensor = self.decoder.embed_tokens(torch.tensor(list(entry), dtype=torch.long, device=self.act.device))
        return rows

    @torch.inference_mode()
    def step(self, unread: Sequence[tuple[KV, Sequence[Entry]]]) -> Tensor:
        """In use: read new entries into each sequence's cache, all in one pass; the logits [W] of <ACT> behind them.

        A pass that breaks may leave rows behind what was held, to be cut off by whoever owns the cache.
        """
        rows = iter(self._embed_all([entry for _, entries in unread for entry in entries]))
        laid = [torch.cat([*(next(rows) for _ in entries), self.act[None]]) for _, entries in unread]  # each [n, D]
        places = [torch.arange(kv.length, kv.length + len(own)) for (kv, _), own in zip(unread, laid, strict=True)]
        parts = [(kv, len(own)) for (kv, _), own in zip(unread, laid, strict=True)]
        hidden = run(self.decoder, torch.cat(laid), torch.cat(places)[None].to(self.act.device), parts)  # [W, D]
        for kv, _ in parts:
            kv.crop(kv.length - 1)  # <ACT> asks and is not remembered
        scores: Tensor = self.head(hidden).squeeze(-1)
        return scores

    def _embed_all(self, entries: Sequence[Entry]) -> list[Tensor]:
        """[n, D] of each: one projection and one look-up for all; a frame that several sequences read is seen once."""
        frames = {id(entry): entry for entry in entries if isinstance(entry, Tensor)}
        said = {id(entry): entry for entry in entries if not isinstance(entry, Tensor)}
        rows: dict[int, Tensor] = {}
        if frames:
            projected = self.embed(torch.cat(list(frames.values())))
            rows |= zip(frames, torch.split(projected, [len(entry) for entry in frames.values()]), strict=True)
        if said:
            looked_up = self.embed([token for entry in said.values() for token in entry])
            rows |= zip(said, torch.split(looked_up, [len(entry) for entry in said.values()]), strict=True)
        return [rows[id(entry)] for entry in entries]

    def logits(self, entries: Sequence[Entry]) -> Tensor:
        """The training forward of one sequence: a logit [F] for each frame, all at once."""
        embeds, positions, is_act = self.lay_out(entries)
        return self.run(embeds[None], positions[None], is_act[None])[0][is_act]

    def lay_out(self, entries: Sequence[Entry]) -> tuple[Tensor, Tensor, Tensor]:
        """Embeddings [L, D], positions [L] and which of them are <ACT> [L]."""
        rows, positions, acts, at = [], [], [], 0
        for entry in entries:
            rows.append(self.embed(entry))
            n = len(rows[-1])
            positions.append(torch.arange(at, at + n))
            acts.append(torch.zeros(n, dtype=torch.bool))
            at += n
            if isinstance(entry, Tensor):
                rows.append(self.act[None])
                positions.append(torch.tensor([at]))  # the next entry takes this position too
                acts.append(torch.ones(1, dtype=torch.bool))
        return torch.cat(rows), torch.cat(positions), torch.cat(acts)

    def run(self, embeds: Tensor, positions: Tensor, is_act: Tensor) -> Tensor:
        """Logits [B, L] of sequences [B, L, D]; only those at <ACT> mean something."""
        n = embeds.shape[1]
        seen = torch.ones(n, n, dtype=torch.bool).tril()[None] & ~is_act[:, None, :]
        seen = seen | torch.eye(n, dtype=torch.bool)[None]  # <ACT> sees itself
        mask = torch.zeros(seen.shape, dtype=embeds.dtype).masked_fill(~seen, torch.finfo(embeds.dtype).min)
        out = self.decoder(
            inputs_embeds=embeds,
            position_ids=positions,
            attention_mask={"full_attention": mask[:, None]},
            use_cache=False,
        )
        scores: Tensor = self.head(out.last_hidden_state).squeeze(-1)
        return scores

    def save(self, folder: Path, tokenizer: Tokenizer, trigger: dict[str, Any]) -> None:
        """Write weights in 16 bit, sizes, tokenizer, and the trigger chosen on development worlds."""
        from safetensors.torch import save_file

        folder.mkdir(parents=True, exist_ok=True)
        weights = {name: value.half().contiguous() for name, value in self.state_dict().items()}
        save_file(weights, folder / "model.safetensors")
        config = {
            "decoder": self.decoder.config.to_diff_dict(),
            "vision_width": self.vision_width,
            "reach": asdict(self.reach),
            "trigger": trigger,
        }
        (folder / "config.json").write_text(json.dumps(config, indent=1, default=str) + "\n", encoding="utf-8")
        tokenizer.save(str(folder / "tokenizer.json"))


def read_net(folder: Path) -> tuple[ScoreNet, Tokenizer, dict[str, Any]]:
    """A saved gate: network, tokenizer, trigger.

    Raises:
        BadInput: when the folder holds no gate.
    """
    from safetensors.torch import load_file

    for file in ("config.json", "model.safetensors", "tokenizer.json"):
        if not (folder / file).is_file():
            raise BadInput(f"{folder} holds no {file}; expected the folder of a gate (score_head)")
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        if lost := {"hidden_size", "num_hidden_layers"} - set(config["decoder"]):
            raise ValueError(f"config.json lacks {', '.join(sorted(lost))}")  # the library would make one of 7 B
        net = ScoreNet(Qwen2Config(**config["decoder"]), config["vision_width"], Reach(**config["reach"]))
        net.load_state_dict({name: value.float() for name, value in load_file(folder / "model.safetensors").items()})
        return net.eval(), Tokenizer.from_file(str(folder / "tokenizer.json")), config["trigger"]
    except Exception as err:  # a damaged file raises many kinds; the user needs one line
        raise BadInput(f"{folder} cannot be read as a gate: {' '.join(str(err).split())[:200]}") from err
