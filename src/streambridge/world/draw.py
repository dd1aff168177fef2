"""Draws a world: texture, shadow, jitter, uneven light and noise. Knows no question and no model.

The picture is a grid of three by three places: the sign lies over two places of the top row, the counter in the third;
shapes lie in the middle row and bottom left; the tool and the bowl stand bottom middle and right.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from streambridge.errors import WrongUse
from streambridge.world.script import FULL, State, Step, Thing, World, tick_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIZE: Final = 336  # pixels a side, unless asked otherwise: what a film shows
_RGB: Final = {
    "red": (214, 40, 40),
    "green": (40, 160, 70),
    "blue": (45, 90, 215),
    "yellow": (240, 210, 40),
    "purple": (140, 60, 180),
    "orange": (245, 130, 30),
}
_INK: Final = (35, 32, 30)
_PLACES: Final = ((0.5, 1.5), (1.5, 1.5), (2.5, 1.5), (0.5, 2.5))  # centres (x, y) in thirds, of the four cells
_SIZES: Final = range(8, 1024)  # below, no letter can be drawn; above, the bank of noise is too small
_NOISE: Final = np.random.default_rng(7).standard_normal(1 << 20, dtype=np.float32)  # a bank to cut grain from


class Painter:
    """Draws the frames of one world at one size; the desk's texture and the light are the world's own.

    Args:
        world: what to draw.
        size: pixels a side, 8 to 1023.

    Raises:
        WrongUse: for another size.
    """

    def __init__(self, world: World, size: int = SIZE) -> None:
        if size not in _SIZES:
            raise WrongUse(f"a world is drawn at 8 to 1023 pixels a side; got size={size!r}")
        self.world, self.size = world, size
        rng = world.rng(5)
        self._margin = max(2, size // 16)
        self._desk = _texture(rng, size + 2 * self._margin)  # [S', S', 3] float32
        self._board = tuple(int(v) for v in rng.integers(205, 250, 3))
        self._grain = rng.uniform(2, 9)
        self._sign_font = _font(size * 0.165)
        self._digit_font = _font(size * 0.24)

    def paint(self, t: float) -> NDArray[np.uint8]:
        """The picture at stream time `t`: uint8 [size, size, 3]. The same world and time give the same picture."""
        rng = self.world.rng(6, tick_of(t))
        shake = rng.integers(-self._margin, self._margin + 1, 2) // 2  # the camera moves by up to 1/32 of the picture
        left, top = self._margin + shake[0], self._margin + shake[1]
        desk = self._desk[top : top + self.size, left : left + self.size]
        image = Image.fromarray(desk.astype(np.uint8))
        pen = _Pen(ImageDraw.Draw(image), self.size, -shake, rng)
        self._lay(pen, self.world.state(t))
        return self._light(np.asarray(image, dtype=np.float32), rng)

    def _lay(self, pen: _Pen, state: State) -> None:
        for thing in state.things:
            pen.thing(thing)
        if state.bowl.step is not None:
            pen.tool(state.bowl.step)
        pen.bowl(state.bowl.step, state.bowl.level)
        pen.plate(0.06, 0.12, 1.88, 0.82, self._board)
        pen.words(state.sign, 1.0, 0.53, self._sign_font, _INK)
        pen.plate(2.14, 0.12, 0.74, 0.82, (25, 28, 34))
        pen.words(str(state.counter), 2.51, 0.53, self._digit_font, (120, 250, 140))

    def _light(self, pixels: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.uint8]:
        """Gain and grain differ from frame to frame."""
        start = int(rng.integers(_NOISE.size - self.size * self.size))
        grain = _NOISE[start : start + self.size * self.size].reshape(self.size, self.size, 1)
        lit = pixels * rng.uniform(0.85, 1.12) + grain * self._grain
        return np.clip(lit, 0, 255).astype(np.uint8)


class _Pen:
    """Draws in thirds of the picture, shaken by the camera."""

    def __init__(
        self, draw: ImageDraw.ImageDraw, size: int, shift: NDArray[np.int64], rng: np.random.Generator
    ) -> None:
        self.draw, self.third, self.shift, self.rng = draw, size / 3, shift, rng

    def at(self, x: float, y: float) -> tuple[float, float]:
        return x * self.third + float(self.shift[0]), y * self.third + float(self.shift[1])

    def box(self, x: float, y: float, w: float, h: float) -> list[tuple[float, float]]:
        return [self.at(x, y), self.at(x + w, y + h)]

    def poly(self, points: list[tuple[float, float]], fill: tuple[int, ...]) -> None:
        self.draw.polygon([self.at(*point) for point in points], fill=fill)

    def plate(self, x: float, y: float, w: float, h: float, fill: tuple[int, ...]) -> None:
        self.draw.rectangle(self.box(x + 0.03, y + 0.04, w, h), fill=(60, 52, 46))  # its shadow
        self.draw.rectangle(self.box(x, y, w, h), fill=fill)

    def words(self, text: str, x: float, y: float, font: ImageFont.FreeTypeFont, ink: tuple[int, ...]) -> None:
        self.draw.text(self.at(x, y), text, font=font, fill=ink, anchor="mm")

    def thing(self, thing: Thing) -> None:
        x, y = _PLACES[thing.cell]
        x, y = x + self.rng.uniform(-0.06, 0.06), y + self.rng.uniform(-0.06, 0.06)
        r = 0.3 * self.rng.uniform(0.9, 1.1)
        for offset, fill in ((0.04, (60, 52, 46)), (0.0, _tinted(_RGB[thing.colour], self.rng))):
            _FORMS[thing.form](self, x + offset, y + offset, r, fill)

    def tool(self, step: Step) -> None:
        fill = _tinted(_RGB[step.colour], self.rng)
        x, y = 1.5 + self.rng.uniform(-0.03, 0.03), 2.5 + self.rng.uniform(-0.03, 0.03)
        _TOOLS[step.tool](self, x, y, fill)

    def bowl(self, step: Step | None, level: int) -> None:
        """A glass with straight walls, so that quarters are equally high."""
        self.draw.rectangle(self.box(2.12, 2.08, 0.8, 0.86), fill=(60, 52, 46))
        self.draw.rectangle(self.box(2.1, 2.06, 0.8, 0.86), fill=(225, 230, 232))
        if step is not None and level:
            high = 0.8 * level / FULL
            fill = _tinted(_RGB[step.colour], self.rng)
            self.draw.rectangle(self.box(2.13, 2.06 + 0.83 - high, 0.74, high), fill=fill)


def _circle(pen: _Pen, x: float, y: float, r: float, fill: tuple[int, ...]) -> None:
    pen.draw.ellipse(pen.box(x - r, y - r, 2 * r, 2 * r), fill=fill)


def _square(pen: _Pen, x: float, y: float, r: float, fill: tuple[int, ...]) -> None:
    pen.draw.rectangle(pen.box(x - 0.85 * r, y - 0.85 * r, 1.7 * r, 1.7 * r), fill=fill)


def _triangle(pen: _Pen, x: float, y: float, r: float, fill: tuple[int, ...]) -> None:
    pen.poly([(x, y - r), (x + r, y + 0.8 * r), (x - r, y + 0.8 * r)], fill)


def _star(pen: _Pen, x: float, y: float, r: float, fill: tuple[int, ...]) -> None:
    turns = np.arange(10) * np.pi / 5
    reach = np.where(np.arange(10) % 2, 0.42 * r, 1.1 * r)
    pen.poly([(x + a * np.sin(p), y - a * np.cos(p)) for a, p in zip(reach, turns, strict=True)], fill)


def _jug(pen: _Pen, x: float, y: float, fill: tuple[int, ...]) -> None:
    body = [(-0.3, -0.35), (0.38, -0.35), (0.2, -0.1), (0.2, 0.38), (-0.3, 0.38)]
    pen.poly([(x + dx, y + dy) for dx, dy in body], _INK)
    pen.draw.rectangle(pen.box(x - 0.22, y - 0.05, 0.34, 0.35), fill=fill)


def _spoon(pen: _Pen, x: float, y: float, fill: tuple[int, ...]) -> None:
    pen.draw.rectangle(pen.box(x - 0.05, y - 0.4, 0.1, 0.5), fill=_INK)
    pen.draw.ellipse(pen.box(x - 0.24, y - 0.02, 0.48, 0.44), fill=_INK)
    pen.draw.ellipse(pen.box(x - 0.16, y + 0.04, 0.32, 0.3), fill=fill)


def _whisk(pen: _Pen, x: float, y: float, fill: tuple[int, ...]) -> None:
    pen.draw.rectangle(pen.box(x - 0.06, y + 0.1, 0.12, 0.32), fill=_INK)
    pen.draw.ellipse(pen.box(x - 0.32, y - 0.42, 0.64, 0.58), fill=fill)
    for k in (-0.2, 0.0, 0.2):
        pen.draw.line([pen.at(x + k, y - 0.38), pen.at(x, y + 0.14)], fill=_INK, width=max(1, round(pen.third * 0.05)))


def _sieve(pen: _Pen, x: float, y: float, fill: tuple[int, ...]) -> None:
    pen.draw.rectangle(pen.box(x - 0.42, y - 0.28, 0.84, 0.12), fill=_INK)
    pen.poly([(x - 0.36, y - 0.16), (x + 0.36, y - 0.16), (x + 0.18, y + 0.1), (x - 0.18, y + 0.1)], fill)
    for k in (-0.2, 0.0, 0.2):
        pen.draw.rectangle(pen.box(x + k - 0.04, y + 0.18, 0.08, 0.2), fill=fill)


_FORMS = {"circle": _circle, "square": _square, "triangle": _triangle, "star": _star}
_TOOLS = {"pour": _jug, "stir": _spoon, "whisk": _whisk, "sift": _sieve}


def _tinted(rgb: tuple[int, int, int], rng: np.random.Generator) -> tuple[int, ...]:
    return tuple(int(v) for v in np.clip(np.array(rgb) + rng.uniform(-12, 12, 3), 0, 255))


def _font(pixels: float) -> ImageFont.FreeTypeFont:
    """The font that Pillow carries, so that a world looks alike everywhere."""
    return ImageFont.load_default(pixels)  # type: ignore[return-value]  # with a size it is always a FreeType font


def _texture(rng: np.random.Generator, size: int) -> NDArray[np.float32]:
    """A desk top: a gradient in a random hue, with wood grain or speckle. float32 [size, size, 3] in 0..255."""
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size
    base = rng.uniform(90, 190, 3) + (x[..., None] * rng.uniform(-30, 30, 3) + y[..., None] * rng.uniform(-30, 30, 3))
    if rng.random() < 0.5:
        rings = np.sin(2 * np.pi * (y * rng.uniform(4, 12) + 0.3 * np.sin(2 * np.pi * x * rng.uniform(0.5, 2))))
        pattern = rings * rng.uniform(4, 12)
    else:
        small = rng.standard_normal((24, 24)).astype(np.float32)
        picture = Image.fromarray(small).resize((size, size), Image.Resampling.BILINEAR)
        pattern = np.asarray(picture) * rng.uniform(4, 12)
    desk: NDArray[np.float32] = np.clip(base + pattern[..., None], 20, 235).astype(np.float32)
    return desk
