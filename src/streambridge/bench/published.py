"""The published loop as it is published: the library's own model and cache. Knows nothing of our engine.

Every answer reads the whole memory again, in one pass of the library's forward, then decodes with the library's cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor

from streambridge.engine.decoder import Decoder, positions
from streambridge.engine.oracle import by_library
from streambridge.engine.reader import Reader
from streambridge.errors import WrongUse
from streambridge.types import Plan, Segment


class LibraryTrack:
    """One sequence in the library's cache.

    Args:
        decoder: whose language model reads.
    """

    nbytes = 0  # it lives for one answer

    def __init__(self, decoder: Decoder) -> None:
        from transformers import DynamicCache

        self.decoder, self.cache = decoder, DynamicCache()
        self._last: Tensor | None = None  # [D]

    @torch.inference_mode()
    def read(self, segments: Sequence[Segment]) -> None:
        """Append these tokens in one pass."""
        body = cast(Any, self.decoder.body)
        embeds, at = self.decoder.embeds(segments)[None], positions(segments).to(self.decoder.device)
        with by_library(body):
            out = body(inputs_embeds=embeds, position_ids=at, past_key_values=self.cache, use_cache=True)
        self._last = out.last_hidden_state[0, -1]

    def hidden(self) -> Tensor:
        """[D]: what the model makes of the token read last."""
        assert self._last is not None, "nothing was read"
        return self._last

    def next(self) -> int:
        """The likeliest id to follow."""
        return int(self.decoder.head(self.hidden()).argmax())

    def fresh(self) -> LibraryTrack:
        """Another track in the same model."""
        return LibraryTrack(self.decoder)

    def crop(self, length: int) -> None:
        """Not in this loop."""
        raise WrongUse("the published loop keeps nothing: it reads each plan once, from its beginning")

    def copy(self, other: LibraryTrack, length: int) -> None:
        """Not in this loop."""
        self.crop(length)


def published(decoder: Decoder, plan: Plan) -> Reader:
    """A reader for one answer, which reads its plan in one pass."""
    return Reader(LibraryTrack(decoder), decoder.stop, most=plan.tokens)
