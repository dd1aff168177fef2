"""The rule as the authors' program has it, as far as is known: margin 2, written back. Knows integers only."""

from __future__ import annotations

from dataclasses import dataclass, field

from streambridge.memory.paper import Paper


@dataclass(eq=False)
class Repo(Paper):
    """`paper` with its result kept in memory.

    A merged frame then counts as one in the next mean, whatever it stands for: old detail weighs more than in the
    paper's own result. That is what it is here to show.

    Args:
        margin: what is added to floor((L - M) / T); 2 in the authors' program.

    Raises:
        WrongUse: when `margin` is not a whole number of 0 or more.
    """

    margin: int = 2
    name: str = field(default="repo", init=False)
    keeps: bool = field(default=True, init=False)
    weighted: bool = field(default=False, init=False)


OFFER = Repo
