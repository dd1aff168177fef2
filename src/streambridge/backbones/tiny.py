"""The embedded Video-LLM: transformers' Qwen2-VL, small enough to ship. Knows only the world; knows no session.

The same class and code path as a real Qwen2-VL: own preprocessing, M-RoPE positions of our own, one image item a frame
(so that a frame leaves no trace in the next), own decode loop.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, cast

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor

from streambridge.backbones.merging import mean_of
from streambridge.backbones.pixels import normalise, patchify, resize
from streambridge.backbones.speaking import Speaks
from streambridge.engine.decoder import Decoder
from streambridge.errors import BadInput, one_line
from streambridge.types import Caps, Frame, FrameTokens, Item, Piece, Plan, Role, Segment, Shape, Turn

EMBEDDED: Final = Path(__file__).parent.parent / "embedded" / "backbone"
SPECIALS: Final = ("<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>")

_MARKS: Final = ("<|vision_start|>", "<|image_pad|>", "<|vision_end|>")
_SIZES: Final = {"text_config": {"hidden_size", "num_hidden_layers"}, "vision_config": {"embed_dim", "depth"}}


class Words:
    """The words of a Qwen-VL model: its tokenizer, turns and layout. No weights: training lays out with it too.

    Args:
        tokenizer: of the checkpoint.
        grid: rows and columns of tokens in one frame.
        max_context: the longest plan, the answer included, in tokens.
    """

    def __init__(self, tokenizer: Tokenizer, grid: tuple[int, int], max_context: int) -> None:
        self.tokenizer, self.grid = tokenizer, grid
        self.caps = Caps(True, True, True, True, "mrope", max_context)
        ids: dict[str, Any] = {word: tokenizer.token_to_id(word) for word in _MARKS}
        pads = [ids["<|image_pad|>"]] * (grid[0] * grid[1])
        self.frame_ids: tuple[int, ...] = (ids["<|vision_start|>"], *pads, ids["<|vision_end|>"])
        self.stop = cast(int, tokenizer.token_to_id("<|im_end|>"))
        self.headers: dict[str, tuple[int, ...]] = {
            role: self.encode_text(f"<|im_start|>{role}\n") for role in ("system", "user", "assistant")
        }
        self.end = self.encode_text("<|im_end|>\n")

    def encode_text(self, text: str) -> tuple[int, ...]:
        """Ids of a text; special words in it count as special only when we wrote them (see `turn`)."""
        return tuple(self.tokenizer.encode(text, add_special_tokens=False).ids)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids."""
        return self.tokenizer.decode(list(ids), skip_special_tokens=True)

    def turn(self, role: Role, text: str, t: float, kind: str, id: str) -> Turn:
        """Tokenise words once. What a person typed can never become a special token."""
        plain = text.replace("<|", "< |")
        return self._turn(role, text, self.encode_text(plain), t, kind, id)

    def spoken(self, pieces: Sequence[Piece], t: float, id: str) -> Turn:
        """The turn of an answer from the very ids that were generated."""
        ids = tuple(piece.id for piece in pieces if piece.id is not None)
        return self._turn("assistant", "".join(piece.text for piece in pieces), ids, t, "answer", id)

    def _turn(self, role: Role, text: str, ids: tuple[int, ...], t: float, kind: str, id: str) -> Turn:
        sort = cast(Literal["system", "question", "cue", "answer"], kind)
        return Turn(role, text, ids, t, sort, id, len(self.headers[role]) + len(ids) + len(self.end))

    def count(self, parts: Sequence[Shape]) -> int:
        """A merge costs what one frame costs."""
        return parts[0].tokens

    def overhead(self) -> int:
        """Header and end of an answer."""
        return len(self.headers["assistant"]) + len(self.end)

    def render(self, items: Sequence[Item], header: bool = True) -> Plan:
        """Frames and turns in order, then the header of the answer to come."""
        segments, at = [], 0
        for item in items:
            segment, at = self._frame(item, at) if isinstance(item, FrameTokens) else self._words(self._ids(item), at)
            segments.append(segment)
        if header:
            segments.append(self._words(self.headers["assistant"], at)[0])
        return Plan(tuple(segments), sum(len(segment.ids) for segment in segments))

    def _ids(self, turn: Turn) -> tuple[int, ...]:
        return (*self.headers[turn.role], *turn.ids, *self.end)

    def _words(self, ids: tuple[int, ...], at: int) -> tuple[Segment, int]:
        line = np.arange(at, at + len(ids), dtype=np.int64)
        return Segment(ids, np.stack([line, line, line])), at + len(ids)

    def _frame(self, frame: FrameTokens, at: int) -> tuple[Segment, int]:
        return Segment(self.frame_ids, self._places + at, frame), at + int(self._places[0, -1]) + 1

    @cached_property
    def _places(self) -> NDArray[np.int64]:
        """M-RoPE of one image item at 0: one instant, rows and columns; what follows starts after the longer side."""
        rows, cols = self.grid
        row, col = np.divmod(np.arange(rows * cols, dtype=np.int64), cols)
        inside = np.stack([np.ones_like(row), 1 + row, 1 + col])  # [3, P]
        start, end = np.zeros((3, 1), dtype=np.int64), np.full((3, 1), 1 + max(rows, cols), dtype=np.int64)
        return np.concatenate([start, inside, end], axis=1)  # [3, P + 2]


class Tiny(Words, Speaks):
    """The embedded Video-LLM.

    Args:
        folder: a checkpoint folder; None for the one in the package.

    Raises:
        BadInput: when the folder holds no such checkpoint.
    """

    name = "tiny"

    def __init__(self, folder: str | Path | None = None) -> None:
        self.folder = Path(folder) if folder is not None else EMBEDDED
        self.model, tokenizer, seen = _read(self.folder)
        self.size, self._mean, self._std = seen
        vision = self.model.config.vision_config
        self._patch = (vision.patch_size, vision.spatial_merge_size, vision.temporal_patch_size)
        cell = vision.patch_size * vision.spatial_merge_size
        grid = (self.size[0] // cell, self.size[1] // cell)
        super().__init__(tokenizer, grid, self.model.config.text_config.max_position_embeddings)

    @cached_property
    def decoder(self) -> Decoder:
        """The language model with its loop."""
        model = self.model
        return Decoder(model.model.language_model, model.lm_head, model.get_input_embeddings(), frozenset({self.stop}))

    @torch.inference_mode()
    def encode(self, frame: Frame) -> FrameTokens:
        """See one frame alone: `{"embeds": float32 [P, D]}`. Any shape of picture is squashed to the model's square."""
        embeds = self._tower(self._patches(frame.pixels)[0])
        return FrameTokens({"embeds": embeds}, len(self.frame_ids), frame.t, (frame.t, frame.t))

    def _patches(self, pixels: Any) -> Tensor:
        return patchify(normalise(resize(pixels, *self.size), self._mean, self._std), *self._patch)

    def _tower(self, patches: Tensor) -> Tensor:
        side_h, side_w = self.size[0] // self._patch[0], self.size[1] // self._patch[0]
        out = self.model.model.visual(patches, torch.tensor([[1, side_h, side_w]]))
        return cast(Tensor, out.pooler_output)

    def merge(self, parts: Sequence[FrameTokens]) -> FrameTokens:
        """The count-weighted mean, token position by token position."""
        return mean_of(parts)


Seen: TypeAlias = tuple[tuple[int, int], tuple[float, ...], tuple[float, ...]]  # height and width, mean, deviation


def _read(folder: Path) -> tuple[Any, Tokenizer, Seen]:
    for file in ("config.json", "model.safetensors", "tokenizer.json", "preprocessor_config.json"):
        if not (folder / file).is_file():
            raise BadInput(f"{folder} holds no {file}; expected a checkpoint folder of the embedded model")
    try:
        model, tokenizer = _read_model(folder), Tokenizer.from_file(str(folder / "tokenizer.json"))
        seen = json.loads((folder / "preprocessor_config.json").read_text(encoding="utf-8"))
        size = (int(seen["size"]["height"]), int(seen["size"]["width"]))
        if lost := [word for word in SPECIALS if tokenizer.token_to_id(word) is None]:
            raise ValueError(f"tokenizer.json lacks {', '.join(lost)}")
        return model, tokenizer, (size, tuple(seen["image_mean"]), tuple(seen["image_std"]))
    except Exception as err:  # the library raises many kinds for a damaged file; the user needs one line
        raise BadInput(f"{one_line(f'{folder} cannot be read as a checkpoint', err):.400}") from err


def _read_model(folder: Path) -> Any:
    from transformers import Qwen2VLForConditionalGeneration
    from transformers.utils import logging

    cast(Any, logging).disable_progress_bar()  # so small a model is read in no time
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    for part, sizes in _SIZES.items():  # without them the library would make a model of 7 B
        if lost := sizes - set(config[part]):
            raise ValueError(f"config.json: {part} lacks {', '.join(sorted(lost))}")
    read: Any = Qwen2VLForConditionalGeneration.from_pretrained  # its types know no `output_loading_info`
    model, told = read(folder, dtype=torch.float32, local_files_only=True, output_loading_info=True)
    if told["missing_keys"]:  # the library would fill them with chance
        raise ValueError(f"model.safetensors lacks {', '.join(sorted(told['missing_keys']))}")
    return model.eval()


OFFER = Tiny
