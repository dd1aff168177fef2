"""What a checkpoint will cost, told from its small files and the headers of its weights. Reads no weight.

Nothing is estimated: tokens, widths and bytes are those of the model when it is read. What a pass needs while it runs
is not among them.
"""

from __future__ import annotations

from functools import cached_property
from math import isqrt
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import torch

from streambridge.backbones.checkpoint import DTYPES, Placing, find, read_words, weights_bytes
from streambridge.backbones.eyes import Eyes
from streambridge.backbones.local import Budget, Local, model_type
from streambridge.backbones.opening import families, family_of
from streambridge.backbones.sheet import config_sheet
from streambridge.backbones.template import read_template
from streambridge.backbones.turns import Turns
from streambridge.types import Caps, Frame

SIZES: Final = ((360, 640), (720, 1280), (1080, 1920))  # height and width of the pictures that costs are told for
LARGEST: Final = 2**40  # of any number in a config


class Sketch:
    """A local model without its weights.

    Args:
        name: a checkpoint's folder, or a hub id in the cache.
        placing: where its weights would go and what they would become.

    Attributes:
        model: an instance of its family that has words and eyes, and can see and say nothing.

    Raises:
        BadInput: when there is no such checkpoint, its files are broken, or of a family that is not read.
    """

    def __init__(self, name: str | Path, placing: Placing | None = None) -> None:
        self.folder, self.placing = find(name), Placing() if placing is None else placing
        self.kind = model_type(self.folder)
        family = family_of(name)
        self.family = families()[self.kind]
        self._config = config_sheet(self.folder)
        self.caps = Caps(True, True, True, True, family.POSITIONS, self._text("max_position_embeddings"))
        self.model = _without_weights(family, self.folder, self.caps)
        self.library_class = self.model._class()

    def budget(self, wanted: Budget) -> int | None:
        """Tokens of a frame at most, as `Local` takes it; None: as the checkpoint has it.

        Raises:
            WrongUse: on a budget that makes no frame.
        """
        return cast("int | None", self.model._budget(wanted))

    def features(self, height: int, width: int, budget: int | None) -> int:
        """Rows of features that a frame of this size becomes.

        Raises:
            WrongUse: when the budget is smaller than a family of fixed size takes.
        """
        return rows_of(self.model.eyes, height, width, budget)

    def tokens(self, height: int, width: int, budget: int | None) -> int:
        """What such a frame costs in a plan, wrapper included."""
        return self.features(height, width, budget) + self._around

    @cached_property
    def _around(self) -> int:
        before, _pad, behind = self.model._wrapper(Frame(np.zeros((1, 1, 3), dtype=np.uint8), 0.0))
        return len(before) + len(behind)

    @property
    def overhead(self) -> int:
        """What stands around an answer's words, and before everything, in tokens."""
        return int(self.model.overhead())

    # ------------------------------------------------------------------------------------------ bytes

    @property
    def width(self) -> int:
        """Numbers in one row of features, and in a word's embedding."""
        return self._text("hidden_size")

    @property
    def levels(self) -> int:
        """Rows of features that a token has: one, and one for each layer that DeepStack adds to."""
        deep = self._config.find("vision_config.deepstack_visual_indexes")
        return 1 + (len(deep) if self.kind.startswith("qwen3") and isinstance(deep, list) else 0)

    @property
    def dtype(self) -> torch.dtype:
        """What is computed in, and what features, keys and values are kept in."""
        kind = self.placing.kind
        return kind if isinstance(kind, torch.dtype) else DTYPES.get(str(self._config.find("dtype")), torch.float32)

    def frame_bytes(self, height: int, width: int, budget: int | None) -> int:
        """Memory of a frame that is remembered."""
        return self.features(height, width, budget) * self.width * self.levels * self.dtype.itemsize

    @property
    def kv_bytes(self) -> int:
        """Memory of the keys and values of one token, all layers."""
        heads = self._text("num_attention_heads")
        head = self._config.find("text_config.head_dim") or self.width // heads
        groups = self._config.find("text_config.num_key_value_heads") or heads
        return 2 * self._text("num_hidden_layers") * int(groups) * int(head) * self.dtype.itemsize

    @cached_property
    def weights_bytes(self) -> int:
        """Memory of the weights, as placed.

        Raises:
            BadInput: when a file of them is missing or cut.
        """
        return weights_bytes(self.folder, self.placing)

    def _text(self, key: str) -> int:
        return self._config.whole(f"text_config.{key}", most=LARGEST)


def rows_of(eyes: Eyes, height: int, width: int, budget: int | None) -> int:
    """Rows of features that a frame of this size becomes in `encode`.

    Args:
        eyes: of the checkpoint.
        height: pixels of the frame.
        width: pixels of the frame.
        budget: at most so many; None: as the checkpoint has it.

    Raises:
        WrongUse: when the budget is smaller than fixed eyes take.
    """
    if eyes.rule == "qwen":
        rows, cols = eyes.grid(height, width, budget)
        return rows * cols
    rows, cols = eyes.grid(height, width)
    tokens = rows * cols if budget is None or budget >= rows * cols else isqrt(budget) ** 2  # pooled to a square
    return tokens + (eyes.rule == "square")  # and the newline of a video


def _without_weights(family: type[Local], folder: Path, caps: Caps) -> Any:
    """An instance that read all but its weights, in the order in which the whole one reads."""
    model = object.__new__(family)
    model.folder = folder
    tokenizer, writer = read_words(folder)
    template = read_template(writer, family.PICTURE, family.KIND)
    Turns.__init__(model, tokenizer, template, caps, frozenset())
    model._prepare()
    return model
