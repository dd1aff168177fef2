"""A world as a real video file: H.264 in MP4. Knows no question and no model; loads the video library when called."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from streambridge.errors import BadInput, WrongUse
from streambridge.world.draw import SIZE, Painter
from streambridge.world.script import TICKS_PER_S, World


def film(
    world: World, path: str | Path, size: int = SIZE, tell: Callable[[float], None] = lambda share: None
) -> Path:
    """Write the world to a file, one frame a tick (8 a second), so that each instant is on film exactly.

    Args:
        world: what to show.
        path: where to, ending in .mp4 or .mkv.
        size: pixels a side, an even number.
        tell: called with the share that is done, 0 to 1.

    Raises:
        BadInput: when the file cannot be written.
        WrongUse: for a size that is odd or that nothing can be drawn at.
    """
    import av

    painter = Painter(world, size)
    if size % 2:
        raise WrongUse(f"a film needs an even number of pixels a side; got size={size}, try {size + 1}")
    try:
        with av.open(str(path), "w") as file:
            stream = file.add_stream("libx264", rate=TICKS_PER_S, options={"crf": "28", "preset": "veryfast"})
            stream.width = stream.height = size
            stream.pix_fmt = "yuv420p"
            for tick in range(world.ticks):
                picture = av.VideoFrame.from_ndarray(painter.paint(tick / TICKS_PER_S), format="rgb24")
                file.mux(stream.encode(picture))
                tell((tick + 1) / world.ticks)
            file.mux(stream.encode(None))
    except (OSError, ValueError, av.FFmpegError) as err:  # a ValueError: no such format, or none for this codec
        raise BadInput(f"cannot write {path}: {err}; name a file that can be written, ending in .mp4") from err
    return Path(path)
