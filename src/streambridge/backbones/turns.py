"""Words and layout of a local Video-LLM: turns, positions, plans. Knows no weights and no pixels.

A round is one turn of the user, in which frames and questions stand in order of time, and the answer that closes it:
what the checkpoint was trained on, and what Algorithm 1 of arXiv 2505.05467 makes of a stream. Every piece is tokenised
alone, once; where one stands depends only on those before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from streambridge.backbones.template import Template
from streambridge.errors import WrongUse
from streambridge.types import Caps, FrameTokens, Item, Piece, Plan, Role, Segment, Shape, Turn

Grid = tuple[int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Seen(FrameTokens):
    """What a local model made of a frame.

    Attributes:
        grid: rows and columns of its tokens.
        ids: of its wrapper and placeholders.
        start: the first placeholder.
    """

    grid: Grid = (0, 0)
    ids: tuple[int, ...] = ()
    start: int = 0


class Turns:
    """The words of a checkpoint.

    Args:
        tokenizer: of the checkpoint.
        template: how it writes conversations.
        caps: what is true of the model.
        stop: ids that end an answer.
    """

    def __init__(self, tokenizer: Tokenizer, template: Template, caps: Caps, stop: frozenset[int]) -> None:
        self.tokenizer, self.template, self.caps, self.stop = tokenizer, template, caps, stop
        added = sorted(token.content for token in tokenizer.get_added_tokens_decoder().values())
        self._specials = [word for word in added if len(word) > 1]  # <think> is not special, and still no mere word
        self._opening, self._joint = self.encode_text(template.opening), self.encode_text(template.joint)
        self._answer, self._close = self.encode_text(template.answer), self.encode_text(template.close)
        self._rule = tuple(self.encode_text(part) for part in template.rule)

    def encode_text(self, text: str) -> tuple[int, ...]:
        """Ids of a text; special words in it count as special: what people type goes through `turn`."""
        return tuple(self.tokenizer.encode(text, add_special_tokens=False).ids)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids."""
        return self.tokenizer.decode(list(ids), skip_special_tokens=True)

    def turn(self, role: Role, text: str, t: float, kind: str, id: str) -> Turn:
        """Tokenise words once. What a person typed can never become a special token."""
        return self._turn(role, text, self.encode_text(self._plain(text)), t, kind, id)

    def spoken(self, pieces: Sequence[Piece], t: float, id: str) -> Turn:
        """The turn of an answer from the very ids that were generated."""
        ids = tuple(piece.id for piece in pieces if piece.id is not None)
        return self._turn("assistant", "".join(piece.text for piece in pieces), ids, t, "answer", id)

    def _plain(self, text: str) -> str:
        for word in self._specials:
            text = text.replace(word, f"{word[0]} {word[1:]}")
        return text

    def _turn(self, role: Role, text: str, ids: tuple[int, ...], t: float, kind: str, id: str) -> Turn:
        sort = cast(Literal["system", "question", "cue", "answer"], kind)
        return Turn(role, text, ids, t, sort, id, len(self._wrapped(role, ids)))

    def _wrapped(self, role: str, ids: tuple[int, ...]) -> tuple[int, ...]:
        """A turn with what belongs to it."""
        if role == "system":
            return (*self._rule[0], *ids, *self._rule[1])
        if role == "assistant":
            return (*self._answer, *ids, *self._close)
        return (*self._joint, *ids)

    def count(self, parts: Sequence[Shape]) -> int:
        """A merge costs what one frame costs."""
        return parts[0].tokens

    def overhead(self) -> int:
        """What stands around an answer's words, and what stands before everything."""
        return len(self._answer) + len(self._close) + len(self._opening)

    def render(self, items: Sequence[Item], header: bool = True) -> Plan:
        """Frames and turns in order, then the header of the answer to come.

        Without a system's turn at the head, the checkpoint's own opening stands there; `overhead` has counted it.
        """
        ruled = bool(items) and isinstance(items[0], Turn) and items[0].role == "system"
        segments, at = ([], 0) if ruled else ([self._words(self._opening, 0)], len(self._opening))
        for item in items:
            if isinstance(item, Seen):
                segments.append(self._frame(item, at))
                at = self.after(segments[-1].positions)
            elif isinstance(item, Turn):
                segments.append(self._words(self._wrapped(item.role, item.ids), at))
                at += len(segments[-1].ids)
            else:
                raise WrongUse(f"a plan of {self.caps.positions} takes turns and its own frames; this is {item!r:.80}")
        if header:
            segments.append(self._words(self._answer, at))
        return Plan(tuple(segments), sum(len(segment.ids) for segment in segments))

    def _words(self, ids: tuple[int, ...], at: int) -> Segment:
        line = np.arange(at, at + len(ids), dtype=np.int64)
        return Segment(ids, np.stack([line] * (3 if self.caps.positions == "mrope" else 1)))

    def _frame(self, frame: Seen, at: int) -> Segment:
        if self.caps.positions != "mrope":
            return Segment(frame.ids, np.arange(at, at + len(frame.ids), dtype=np.int64)[None], frame, frame.start)
        return Segment(frame.ids, self._places(frame) + at, frame, frame.start)

    def _places(self, frame: Seen) -> NDArray[np.int64]:
        """M-RoPE of one image item at 0 (arXiv 2409.12191, section 2.1): one instant, rows and columns.

        What follows it starts behind the longer side.
        """
        rows, cols = frame.grid
        row, col = np.divmod(np.arange(rows * cols, dtype=np.int64), cols)
        inside = np.stack([np.zeros_like(row), row, col]) + frame.start  # [3, P]
        rest = len(frame.ids) - frame.start - rows * cols
        end = np.arange(rest, dtype=np.int64) + frame.start + max(rows, cols)
        before = np.arange(frame.start, dtype=np.int64)
        return np.concatenate([np.stack([before] * 3), inside, np.stack([end] * 3)], axis=1)  # [3, n]

    @staticmethod
    def after(positions: NDArray[Any]) -> int:
        """Where the next token stands: behind all that came before."""
        return int(positions.max()) + 1
