"""A folder of images as a source: one after another, in the order a person counts. Knows no video and no subfolders."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from streambridge.errors import BadInput, WrongUse
from streambridge.sources.sampling import Picture, at_ticks
from streambridge.sources.source import MOST_PIXELS, Opened, checked_fps, checked_span
from streambridge.types import Frame

if TYPE_CHECKING:
    from numpy.typing import NDArray

SUFFIXES = frozenset(".png .jpg .jpeg .webp .bmp .gif .tif .tiff .ppm .pgm .pnm .avif".split())
EXPECTED = "expected a folder of images (.png, .jpg, .webp ...); type: streambridge watch FOLDER"


class ImageFolder(Opened):
    """Images at a fixed rate, sorted as a person counts (2.png before 10.png), sampled by time.

    EXIF rotation is honoured; what is transparent lies on white; grey and 16-bit images become 8-bit RGB; of an
    animation the first picture is taken; sizes may differ. Image k is on screen from k / image_fps for 1 / image_fps
    seconds of the folder. An unreadable image is `dropped` once, and no frame is claimed for its time.
    """

    def __init__(
        self,
        path: str | Path,
        fps: float = 1.0,
        start_s: float = 0.0,
        end_s: float | None = None,
        image_fps: float = 1.0,
    ) -> None:
        """List the folder and look for one readable image.

        Args:
            path: the folder.
            fps: frames per second of stream time.
            start_s: seconds into the folder at which the stream begins.
            end_s: seconds at which it ends (not included), None for all of it.
            image_fps: images per second of stream time.

        Raises:
            WrongUse: when a number makes no sense.
            BadInput: when no image can be read.
        """
        super().__init__(str(path), fps)
        self._start, end = checked_span(start_s, end_s)
        self._image_fps = checked_fps(image_fps, "image_fps")
        self._images, others = _listed(Path(path))
        length = len(self._images) / self._image_fps
        if self._start >= length:
            raise WrongUse(f"start is {self._start:g} s, but {path} is {length:g} s long ({len(self._images)} images)")
        self.duration_s = (length if end is None else min(end, length)) - self._start
        _one_readable(Path(path), self._images)
        if others:
            self._notice(f"left out, no images: {_few(others)}")

    def _run(self) -> Iterator[Frame]:
        shown, pixels = None, None
        for t, image in at_ticks(self._pictures(), self.fps, self.duration_s):
            if image is not shown:
                shown, pixels = image, self._pixels(image)
            if pixels is not None:
                yield Frame(pixels, t)

    def _pictures(self) -> Iterator[Picture[Path]]:
        for k, image in enumerate(self._images):
            yield Picture(k / self._image_fps - self._start, 1 / self._image_fps, image)

    def _pixels(self, image: Path) -> NDArray[np.uint8] | None:
        try:
            return read_image(image)
        except BadInput as err:
            self._dropped(1, f"unreadable: {err}")
            return None


def read_image(path: Path) -> NDArray[np.uint8]:
    """One image as a person sees it: uint8 [H, W, 3] RGB, upright, on white.

    Raises:
        BadInput: when it cannot be read, or is large enough to be a decompression bomb; the text begins with its name.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                if image.width * image.height > MOST_PIXELS:
                    raise Image.DecompressionBombError
                return _rgb(ImageOps.exif_transpose(image))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as err:
        raise BadInput(f"{path.name} (more than {MOST_PIXELS / 1e6:.0f} million pixels; scale it down)") from err
    except Exception as err:  # Pillow's decoders raise nearly anything on damaged bytes
        raise BadInput(f"{path.name} ({_why(err)})") from err


def _rgb(image: Image.Image) -> NDArray[np.uint8]:
    if image.mode == "F":
        raise ValueError("floating-point pixels have no agreed white; save it as 8 or 16 bit")
    if image.mode == "I" or image.mode.startswith("I;16"):
        grey = np.clip(np.asarray(image, dtype=np.int64), 0, 65535) / 257  # 65535 / 255
        return np.repeat(np.rint(grey).astype(np.uint8)[:, :, None], 3, axis=2)
    if image.has_transparency_data:
        over = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", over.size, "white"), over)
    return np.array(image.convert("RGB"))


def natural(name: str) -> list[tuple[int, int, str]]:
    """A key that sorts names as a person counts: img2 before img10, and ties by the name itself."""
    parts = re.split(r"(\d+)", name.casefold())
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part] + [(-1, 0, name)]


def _in_order(name: str) -> tuple[list[tuple[int, int, str]], str]:
    return natural(Path(name).stem), name


def _listed(folder: Path) -> tuple[list[Path], list[str]]:
    """The images in order, and the names of what is none; hidden files are not looked at.

    Raises:
        BadInput: when there is no such folder, or nothing in it.
    """
    try:
        names = sorted((name for name in _names(folder) if not name.startswith(".")), key=_in_order)
    except (OSError, ValueError) as err:
        raise BadInput(f"{str(folder)!r}: {getattr(err, 'strerror', None) or err}; {EXPECTED}") from err
    images = [folder / name for name in names if Path(name).suffix.lower() in SUFFIXES]
    others = [name for name in names if Path(name).suffix.lower() not in SUFFIXES]
    if not images:
        what = f"no images in it, only {_few(others)}" if others else "the folder is empty"
        raise BadInput(f"{folder}: {what}; {EXPECTED}, or name one video file in it")
    return images, others


def _names(folder: Path) -> list[str]:
    return [entry.name for entry in folder.iterdir()]


def _one_readable(folder: Path, images: list[Path]) -> None:
    why = ""
    for image in images:
        try:
            read_image(image)
            return
        except BadInput as err:
            why = why or str(err)
    raise BadInput(f"{folder}: none of its {len(images)} images can be read, beginning with {why}; {EXPECTED}")


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _why(err: Exception) -> str:
    if isinstance(err, UnidentifiedImageError):
        return "not an image that can be read"
    return " ".join((getattr(err, "strerror", None) or str(err) or type(err).__name__).split())


OFFER = ImageFolder
