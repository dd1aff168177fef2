"""What all local Video-LLMs share: weights of the library, features cached with the frame, words by our own engine.

A family's file says only how pictures become features, and which words wrap them. Knows no session and no gate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from math import isqrt
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeAlias, get_args

import torch
from tokenizers import Tokenizer
from torch import Tensor

from streambridge.backbones.checkpoint import Placing, find, read_json, read_model, read_words, stops
from streambridge.backbones.eyes import read_eyes
from streambridge.backbones.merging import mean_of, pooled, refit
from streambridge.backbones.speaking import Speaks
from streambridge.backbones.template import read_template
from streambridge.backbones.turns import Grid, Seen, Turns
from streambridge.engine.decoder import Decoder
from streambridge.errors import BadInput, WrongUse
from streambridge.types import Caps, Frame, FrameTokens

Budget: TypeAlias = int | Literal["native", "paper"]
Pair: TypeAlias = Literal["duplicate", "wait", "upgrade"]


class Local(Turns, Speaks):
    """A Video-LLM of the library.

    Args:
        folder: a checkpoint's folder, or a hub id in the cache.
        placing: where the weights go and what they become.
        tokens_per_frame: `native`, as the checkpoint's own files have it; `paper`, the paper's preset; or at most so
            many.
        pair: where a temporal patch holds two frames, what a lone one does: `duplicate`, stand there twice; `wait` for
            the next one, outside of memory; `upgrade`, stand there twice until the next one comes.

    Attributes:
        CLASS: its name in the library.
        EYES: how its pictures are made.
        PAPER: tokens of a frame in the paper (arXiv 2505.05467).
        PICTURE: what a picture is in its chat template.
        KIND: the content type that writes it there.
        TWO: a temporal patch holds two frames.

    Raises:
        BadInput: when the folder holds no such checkpoint.
        WrongUse: on a budget that makes no frame, and on pairs where there are none.
    """

    CLASS: ClassVar[str]
    EYES: ClassVar[str]
    PAPER: ClassVar[int]
    PICTURE: ClassVar[str]
    KIND: ClassVar[str] = "image"
    POSITIONS: ClassVar[Literal["mrope", "rope"]] = "rope"
    TWO: ClassVar[bool] = False

    def __init__(
        self,
        folder: str | Path,
        placing: Placing | None = None,
        tokens_per_frame: Budget = "paper",
        pair: Pair = "duplicate",
    ) -> None:
        self.folder, self.placing = find(folder), Placing() if placing is None else placing
        self.name = Path(folder).resolve().name if Path(folder).is_dir() else str(folder)
        self.budget, self.pair = self._budget(tokens_per_frame), self._paired(pair)
        tokenizer, writer = read_words(self.folder)
        template = read_template(writer, self.PICTURE, self.KIND)
        self.model = read_model(self.folder, self._class(), self.placing)
        text = self.model.config.get_text_config()
        self._expect_sound(tokenizer, text)
        caps = Caps(True, True, True, True, self.POSITIONS, int(text.max_position_embeddings))
        super().__init__(
            tokenizer, template, caps, stops(self.folder, self.model.config, _first_mark(tokenizer, template.close))
        )
        self._prepare()

    def _prepare(self) -> None:
        """Read what belongs to the eyes; no weights are needed for it."""
        self.eyes = read_eyes(self.folder, self.EYES)
        self._find_marks()

    def _expect_sound(self, tokenizer: Tokenizer, text: Any) -> None:
        """Refuse what would break in mid-stream."""
        rows = self.model.get_input_embeddings().num_embeddings
        most = max(tokenizer.get_vocab(True).values(), default=0)
        if most >= rows:
            raise BadInput(f"{self.folder}: its tokenizer goes up to id {most}, its weights to {rows - 1}")
        kind = (getattr(text, "rope_parameters", None) or {}).get("rope_type")
        if kind in ("dynamic", "longrope"):
            raise BadInput(f"{self.folder}: its positions ({kind}) change with length: nothing read stays true")

    def _budget(self, wanted: Budget) -> int | None:
        if wanted == "native":
            return None
        tokens = self.PAPER if wanted == "paper" else wanted
        if not isinstance(tokens, int) or isinstance(tokens, bool) or tokens < 1:
            raise WrongUse(f"tokens per frame: native, paper, or a whole number from 1 on; got {wanted!r:.80}")
        return tokens

    def _paired(self, wanted: Pair) -> Pair:
        if wanted not in get_args(Pair):
            raise WrongUse(f"pair is one of {', '.join(get_args(Pair))}; this one is {wanted!r:.80}")
        if wanted != "duplicate" and not self.TWO:
            raise WrongUse(f"{self.name} sees each frame alone: pair can only be duplicate; this one is {wanted!r}")
        return wanted

    # ------------------------------------------------------------------------------------- what a family says

    def _class(self) -> str:
        """Its name in the library."""
        return self.CLASS

    def _find_marks(self) -> None:
        """Find the ids of the words that wrap a frame."""
        raise NotImplementedError

    def _features(self, frame: Frame) -> tuple[Mapping[str, Tensor], Grid]:
        """A frame's features, `embeds` [P, D] and whatever else shares dim 0, and their grid."""
        raise NotImplementedError

    def _wrapper(self, frame: Frame) -> tuple[tuple[int, ...], int, tuple[int, ...]]:
        """Ids before the placeholders, the placeholder, ids behind."""
        raise NotImplementedError

    def _picture(self, frame: Frame) -> Tensor:
        """[1, 3, S, S]: a frame for a tower that takes every picture in one size."""
        height, width, _ = frame.pixels.shape
        return self.eyes.patches(frame.pixels, *self.eyes.grid(height, width), self.device).to(self.device)

    def _pooled(self, tokens: Tensor) -> tuple[Tensor, Grid]:
        """The tokens [P, D] of a square picture, pooled where they are more than the budget; their grid."""
        grid = (isqrt(len(tokens)),) * 2
        within = self.budget is None or self.budget >= len(tokens)
        return (tokens, grid) if within else pooled(tokens, grid, self.budget or 1)

    @property
    def _body(self) -> Any:
        """The language model."""
        return self.model.model.language_model

    # ----------------------------------------------------------------------------------------- what all share

    @cached_property
    def decoder(self) -> Decoder:
        """The language model with its loop."""
        return Decoder(self._body, self.model.lm_head, self.model.get_input_embeddings(), self.stop)

    def settings(self) -> dict[str, Any]:
        """What decides how frames are seen, for the log."""
        kind = str(next(self.model.parameters()).dtype).removeprefix("torch.")
        budget = "native" if self.budget is None else self.budget
        return {"family": type(self).__name__, "dtype": kind, "tokens_per_frame": budget, "pair": self.pair}

    @property
    def device(self) -> str:
        """Where frames go."""
        return str(next(self.model.parameters()).device)

    @torch.inference_mode()
    def encode(self, frame: Frame) -> Seen:
        """See one frame alone: I(F_t) of Algorithm 1."""
        bundle, grid = self._features(frame)
        before, pad, behind = self._wrapper(frame)
        ids = (*before, *(pad,) * len(bundle["embeds"]), *behind)
        return Seen(bundle, len(ids), frame.t, (frame.t, frame.t), 1, grid, ids, len(before))

    @torch.inference_mode()
    def merge(self, parts: Sequence[FrameTokens]) -> Seen:
        """The count-weighted mean, token position by token position; other grids are fitted to the first one's."""
        seen = [part for part in parts if isinstance(part, Seen)]
        if len(seen) < len(parts):
            raise WrongUse(f"{self.name} merges its own frames only; there are others among these {len(parts)}")
        grid = seen[0].grid
        held = [{k: v for k, v in part.bundle.items() if k != "raw"} for part in seen]  # a merge joins no other frame
        bundles = [
            bundle if part.grid == grid else {k: refit(v, part.grid, grid) for k, v in bundle.items()}
            for part, bundle in zip(seen, held, strict=True)
        ]
        return mean_of(seen, bundles)


def _first_mark(tokenizer: Tokenizer, text: str) -> int | None:
    """The first id of a text, where it is a special word."""
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    added = tokenizer.get_added_tokens_decoder()
    return ids[0] if ids and ids[0] in added and added[ids[0]].special else None


def expect_ids(tokenizer: Any, words: Sequence[str], folder: Path) -> list[int]:
    """Ids of the checkpoint's special words.

    Raises:
        BadInput: when its tokenizer has not got one.
    """
    ids: list[int | None] = [tokenizer.token_to_id(word) for word in words]
    if lost := [word for word, id in zip(words, ids, strict=True) if id is None]:
        raise BadInput(f"{folder}: its tokenizer has no {', '.join(lost)}; is it the tokenizer of this model?")
    return [id for id in ids if id is not None]


def model_type(folder: Path) -> str:
    """What a checkpoint says that it is."""
    said = read_json(folder / "config.json").get("model_type")
    if not isinstance(said, str):
        raise BadInput(f"{folder / 'config.json'} names no model_type; expected a transformers checkpoint")
    return said
