"""The rules of time and shares that a conversion follows, in one place. Knows no data set and no sample.

Written into every sample, so that a file says by itself how it was made.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from streambridge.data.flatten import TICK_MS
from streambridge.errors import WrongUse


@dataclass(frozen=True, slots=True)
class Policy:
    """How spans become turns.

    Attributes:
        tick_ms: one frame; 1 fps as in the paper. Answers stand on ticks.
        clamp_ms: an end past the video's end by no more than this is set to it; beyond, the span is dropped.
        proactive_share: of the samples of ActivityNet and Shot2Story; the others are multi-turn (arXiv 2505.05467,
            section 4: 20 % and 80 %).
        seed: of everything that is drawn.
        options: the rules of the set that is converted.
    """

    tick_ms: int = TICK_MS
    clamp_ms: int = 2000
    proactive_share: float = 0.2
    seed: int = 0
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 40 <= self.tick_ms <= 60_000:
            raise WrongUse(f"policy: tick_ms lies between 40 and 60000; it is {self.tick_ms}")
        if self.clamp_ms < 0:
            raise WrongUse(f"policy: clamp_ms is 0 or more; it is {self.clamp_ms}")
        if not 0 <= self.proactive_share <= 1:
            raise WrongUse(f"policy: proactive_share lies between 0 and 1; it is {self.proactive_share:g}")

    def said(self) -> dict[str, Any]:
        """As a sample tells it."""
        said: dict[str, Any] = {"tick_ms": self.tick_ms, "clamp_ms": self.clamp_ms}
        said |= {"proactive_share": self.proactive_share, "seed": self.seed}
        return said | ({"options": self.options} if self.options else {})

    def instant(self, end_ms: int, duration_ms: int) -> int:
        """When a span is answered: the first tick not before its end, or the end of the video, in ms."""
        return min(-(-end_ms // self.tick_ms) * self.tick_ms, duration_ms)
