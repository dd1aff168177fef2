"""What is installed beside us and can break us. Looks before it imports, so where nothing is wrong it costs nothing.

torchvision is not needed here, but the library imports it wherever it is installed: a build for another torch (or for
CUDA, beside a torch for the CPU) then takes every Video-LLM with it.
"""

from importlib import import_module, metadata
from typing import Final

from streambridge.errors import RunFailed, one_line

TORCHVISION: Final = "torchvision"


def version(package: str) -> str | None:
    """The version of a package; None when it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def broken_torchvision() -> str | None:
    """What is wrong with a torchvision that is installed, and what mends it; None when it is well, or not there."""
    installed = version(TORCHVISION)
    if installed is None:
        return None
    try:
        import_module(TORCHVISION)
    except Exception as err:  # a build for another torch raises what it likes
        broken = one_line(f"torchvision {installed} is installed but breaks when it is imported", err)
        mend = f"pip uninstall torchvision (not needed here), or install a build of it for torch {version('torch')}"
        return f"{broken:.200}; so transformers cannot load Video-LLMs; type: {mend}"
    return None


def expect_library() -> None:
    """Refuse to go on where the library cannot load a Video-LLM.

    Raises:
        RunFailed: when an installed torchvision breaks it.
    """
    if (why := broken_torchvision()) is not None:
        raise RunFailed(why)
