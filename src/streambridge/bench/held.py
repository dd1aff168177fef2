"""The published rule, held to its limit: what the bench times as `paper`. Knows integers only.

As printed, the rule keeps a frame and all words of every round, and passes the limit in a long dialogue; every answer
then costs more and more. To compare at one length, the oldest items go here until the limit holds. That is to the
paper's favour: as printed it would be slower.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from streambridge.memory.paper import Paper
from streambridge.types import Layout, Shape, Shapes


@dataclass(eq=False)
class Held(Paper):
    """`paper`, and then the oldest items go."""

    def __call__(self, rounds: Shapes, budget: int, count: Callable[[Sequence[Shape]], int]) -> Layout | None:
        """Decide what to merge, and what to let go of where that is not enough."""
        layout = super().__call__(rounds, budget, count)
        shapes = [shape for round_ in rounds for shape in round_]
        if layout is None:
            if sum(shape.tokens for shape in shapes) <= budget:
                return None
            layout = self._as_it_is(rounds)
        excess = sum(shapes[group[0]].tokens for round_ in layout for group in round_) - budget
        held = []
        for round_ in layout:
            kept = []
            for group in round_:
                if excess > 0 and not shapes[group[0]].pinned:
                    excess -= shapes[group[0]].tokens
                else:
                    kept.append(group)
            held.append(tuple(kept))
        return tuple([*filter(None, held[:-1]), held[-1]])

    @staticmethod
    def _as_it_is(rounds: Shapes) -> Layout:
        number, layout = 0, []
        for round_ in rounds:
            layout.append(tuple((number + k,) for k in range(len(round_))))
            number += len(round_)
        return tuple(layout)
