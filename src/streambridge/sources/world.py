"""Frames of the procedural world, drawn as they are asked for. Knows no file and no truth."""

from __future__ import annotations

from collections.abc import Iterator

from streambridge.sources.source import Opened, checked_span
from streambridge.types import Frame
from streambridge.world.draw import Painter
from streambridge.world.script import World

LENGTH_S = 180.0  # a world could go on for ever; this much is shown unless an end is given


class WorldSource(Opened):
    """A test world as a stream.

    Args:
        seed: which world.
        fps: frames per second of stream time.
        start_s: the world's time at stream time 0.
        end_s: the world's time at which the stream ends.
    """

    def __init__(self, seed: int, fps: float = 1.0, start_s: float = 0.0, end_s: float | None = None) -> None:
        self._start, end = checked_span(start_s, end_s)
        end = self._start + LENGTH_S if end is None else end
        super().__init__(f"world:{seed}", fps, end - self._start)
        self._painter = Painter(World(seed, end))

    def _run(self) -> Iterator[Frame]:
        number = 0
        while (t := number / self.fps) < (self.duration_s or 0.0):
            yield Frame(self._painter.paint(self._start + t), t)
            number += 1


OFFER = WorldSource
