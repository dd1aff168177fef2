"""What a frame and words cost at a server that we cannot ask: stated estimates, in tokens. Knows no server, no memory.

All figures are for pictures as they are sent, `width` x `height` pixels. Where a vendor's own figures differ from one
another the larger one stands here: memory is then smaller than it could be, never larger than was said. What the
server really counted comes back with each answer (`remote.Usage`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from math import ceil
from typing import Final, TypeAlias

Rule: TypeAlias = Callable[[int, int], int]  # width and height in pixels -> tokens of one picture

TIME: Final = 8  # "[1234.5 s]" beside each picture: digits are a token each in most vocabularies
HEADER: Final = 5  # what opens a message: a mark, the role, a line end, and some to spare
END: Final = 5  # what ends it, and opens the user's message when the next thing is a frame
BYTES: Final = 3  # of UTF-8 a token: English has 4 to 5, other scripts 2 to 3


def words(text: str) -> int:
    """Tokens of a turn, header and end included."""
    return HEADER + -(-len(text.encode("utf-8", "replace")) // BYTES) + END


def patches(side: int, wrapper: int = 2, times: float = 1.0) -> Rule:
    """A token (or `times` of one) for each square of that side in pixels, at least four; and a mark at each end."""
    return lambda w, h: ceil(max(4, ceil(w / side) * ceil(h / side)) * times) + wrapper


def tiles(fixed: int, each: int) -> Rule:
    """So much for the whole, and for each tile of 512 pixels: first within 2048 x 2048, its shorter side within 768."""

    def cost(w: int, h: int) -> int:
        shrink = min(1.0, 2048 / max(w, h))
        shrink *= min(1.0, 768 / (min(w, h) * shrink))
        return fixed + each * ceil(round(w * shrink) / 512) * ceil(round(h * shrink) / 512)

    return cost


def squares(each: int, side: int, small: int) -> Rule:
    """So much for each square of that side; a picture within `small` is one."""
    return lambda w, h: each if max(w, h) <= small else each * ceil(w / side) * ceil(h / side)


def area(pixels: int, least: int) -> Rule:
    """A token for so many pixels, no fewer than `least`."""
    return lambda w, h: max(least, ceil(w * h / pixels))


# The first row whose pattern is found in the model's name (case does not matter) says how pictures are counted.
# OpenAI: guide "Images and vision", costs by tile and by patch; Google: guide "Understand and count tokens"; Anthropic:
# guide "Vision"; Qwen: 14-pixel (16 from version 3 on) patches, merged two by two; Gemma 3 and 4: 256 for any picture.
RULES: Final[tuple[tuple[str, str, Rule], ...]] = (
    (r"gpt-4o-mini", "tiles 2833+5667", tiles(2833, 5667)),
    (r"gpt-[45][\w.]*-mini", "patches 32 x1.62", patches(32, 0, 1.62)),
    (r"gpt-[45][\w.]*-nano", "patches 32 x2.46", patches(32, 0, 2.46)),
    (r"\bo4-mini", "patches 32 x1.72", patches(32, 0, 1.72)),
    (r"gpt-5", "tiles 70+140", tiles(70, 140)),
    (r"\bo[13]\b", "tiles 75+150", tiles(75, 150)),
    (r"gpt-4", "tiles 85+170", tiles(85, 170)),
    (r"gemini", "squares 768 of 258", squares(258, 768, 384)),
    (r"gemma", "256 a picture", lambda w, h: 256 + 4),
    (r"claude", "750 pixels a token", area(750, 16)),
    (r"qwen-?[3-9]", "patches 32", patches(32)),
)
USUAL: Final = ("patches 28", patches(28))  # Qwen2-VL and Qwen2.5-VL, and whoever is not in the table


def rule_for(model: str) -> tuple[str, Rule]:
    """How a model of that name counts pictures: the rule's own name, for the log, and the rule."""
    name = model.casefold()
    found = ((title, rule) for pattern, title, rule in RULES if re.search(pattern, name))
    return next(found, USUAL)
