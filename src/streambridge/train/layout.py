"""Training sequences of the embedded pair: the made-up world, laid out as `streams` lays out any stream.

The world's source shows each frame at the instant it is of, the first one at 0. Knows no weights.
"""

from __future__ import annotations

from dataclasses import replace

from tokenizers import Tokenizer

from streambridge.train.sequences import Sample
from streambridge.train.streams import Clock, Served
from streambridge.train.streams import lay_out as lay_out_any
from streambridge.train.teacher import tiny_style
from streambridge.types import Compression, Timeline

__all__ = ["Sample", "lay_out"]


def lay_out(
    timeline: Timeline, tokenizer: Tokenizer, grid: tuple[int, int], policy: Compression, max_len: int, fps: float = 1.0
) -> list[Sample]:
    """Run a world's timeline through a Session and cut its dialogue into training sequences, one per plan.

    What is put at the end of the stream or later is left out, for no frame follows.
    """
    asked = {one.id for one in timeline.questions if one.t < timeline.duration_s}
    turns = tuple(turn for turn in timeline.turns if getattr(turn, "reply_to", turn.id) in asked)
    style, served, clock = tiny_style(tokenizer, grid), Served(max_len, policy), Clock.of_instants(timeline, fps)
    return list(lay_out_any(replace(timeline, turns=turns), style, served, clock).samples)
