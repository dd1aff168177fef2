"""A gate that sees change and nothing else: how much of the picture looks different. Knows no model and no question.

Each frame becomes a thumbnail once. A Watch compares it with the picture at its last fire, or at its opening: a cut
counts at once, a slow drift when it has come far enough, and a picture that goes and comes back not at all. The score
is the share of the picture that looks different, so a threshold of 0.1 means a tenth of it.
"""

from collections.abc import Mapping
from functools import lru_cache
from itertools import product
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streambridge.activation.trigger import Trigger, TriggerSettings
from streambridge.types import Decision, Frame, FrameTokens, GateTokens

Thumb: TypeAlias = NDArray[np.float32]  # [3, GRID, GRID], in grey levels 0 to 255

GRID: Final = 64  # dots of a thumbnail a side; they are compared in cells of two by two, which tames grain
SAMPLED: Final = 256  # rows and columns of a large picture that are looked at, at least
SHAKE: Final = 4  # dots by which the camera may have moved, each way: 1/16 of the picture
GAIN: Final = 1.5  # by how much the exposure may have changed, up or down
QUIET: Final = 12.0  # grey levels by which a cell may differ and still be the same
LOUD: Final = 36.0  # from here on it is another; between, it counts partly


class SceneChange:
    """Fires when enough of the picture has changed, whatever was asked; the answer is left to the model.

    Forgiven are grain, a shake of the camera and a change of exposure within the bounds above. Not forgiven, and hence
    seen as a change: a moved camera, lights that go on or off, a person who walks through the picture. Not seen: what
    is smaller than the threshold, and what differs by less than `QUIET` grey levels.

    There is no hysteresis: after a fire the score counts from the new picture, so each score above the threshold is
    a change of its own. What keeps changing fires after every rest.

    Args:
        threshold: share of the picture, 0 to 1; a score above it fires.
        rest_s: seconds of rest after a fire; a change during the rest fires at its end if it still stands.

    Raises:
        WrongUse: when a number makes no sense.
    """

    name = "scene_change"

    def __init__(self, threshold: float = 0.1, rest_s: float = 2.0) -> None:
        self.trigger = TriggerSettings(threshold, rest_s, rising=False)

    def look(self, frame: Frame, tokens: FrameTokens) -> GateTokens:
        """A thumbnail of the frame, made once for all Watches."""
        return GateTokens({"thumb": thumbnail(frame.pixels)}, frame.t)

    def watch(self, question: str, t: float) -> "_Changed":
        """Begin to compare with the first frame that comes."""
        return _Changed(Trigger(self.trigger))

    def settings(self) -> Mapping[str, Any]:
        """The numbers that decide."""
        picture = {"quiet": QUIET, "loud": LOUD, "gain": GAIN, "shake": SHAKE / GRID}
        return {"gate": self.name, **self.trigger.mapping(), **picture}


class _Changed:
    def __init__(self, trigger: Trigger) -> None:
        self._trigger = trigger
        self._known: Thumb | None = None

    def observe(self, frame: GateTokens) -> Decision:
        thumb = frame.bundle["thumb"]
        score = 0.0 if self._known is None else difference(thumb, self._known)
        fire = self._trigger.step(score, frame.t)
        if fire or self._known is None:
            self._known = thumb
        return Decision(score, fire)

    def heard(self, text: str, t: float) -> None:
        """An answer changes nothing."""


def thumbnail(pixels: NDArray[np.uint8]) -> Thumb:
    """The mean colours [3, GRID, GRID] of a picture of any size and shape, squashed to a square."""
    height, width, _ = pixels.shape
    some = pixels[:: max(1, height // SAMPLED), :: max(1, width // SAMPLED)]
    colours = some.transpose(2, 0, 1).astype(np.float32)  # [3, H, W]
    return np.asarray(_parts(colours.shape[1]) @ colours @ _parts(colours.shape[2]).T, np.float32)


@lru_cache(maxsize=8)
def _parts(pixels: int) -> NDArray[np.float32]:
    """[GRID, pixels]: how much of each dot each pixel makes; a dot may be smaller than a pixel."""
    edges = np.linspace(0, pixels, GRID + 1)[:, None]
    pixel = np.arange(pixels)[None]
    overlap = np.minimum(edges[1:], pixel + 1) - np.maximum(edges[:-1], pixel)
    return np.asarray(np.clip(overlap, 0, None) * GRID / pixels, np.float32)


def difference(one: Thumb, other: Thumb) -> float:
    """The share of the picture, 0 to 1, that looks different: the mean over cells, under the shift that suits best."""
    gain = np.clip(np.median((one + 1) / (other + 1)), 1 / GAIN, GAIN)  # the median does not mind a local change
    moved, still = _cells(one / np.sqrt(gain)), _cells(other * np.sqrt(gain))
    wide = range(-SHAKE, SHAKE + 1, 2)
    best, down, right = min((_share(moved, still, *shift), *shift) for shift in product(wide, wide))
    near = product(_around(down), _around(right))  # by single dots, where it suits best by twos
    return min(best, *(_share(moved, still, *shift) for shift in near))


def _around(shift: int) -> range:
    return range(max(shift - 1, -SHAKE), min(shift + 1, SHAKE) + 1)


def _cells(thumb: Thumb) -> Thumb:
    """The mean of two by two dots, at every dot: [3, GRID - 1, GRID - 1]."""
    pairs = thumb[:, :-1] + thumb[:, 1:]
    return np.asarray((pairs[:, :, :-1] + pairs[:, :, 1:]) / 4, np.float32)


def _share(moved: Thumb, still: Thumb, down: int, right: int) -> float:
    end = GRID - 1 - SHAKE
    some = moved[:, SHAKE + down : end + down : 2, SHAKE + right : end + right : 2]
    apart = np.abs(some - still[:, SHAKE:end:2, SHAKE:end:2]).max(axis=0)  # of the colours, that which differs most
    return float(np.clip((apart - QUIET) / (LOUD - QUIET), 0.0, 1.0).mean())


OFFER = SceneChange
