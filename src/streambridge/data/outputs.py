"""The files that a conversion writes: one per split, and what was rejected. Nothing half-written bears a final name.

Knows lines and bytes, no sample.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from streambridge.errors import RunFailed, WrongUse

_REJECTED: Final = "rejected/"  # what stands there is of no worth once it is told anew


def write(path: Path, text: str) -> None:
    """Write a text so that it stands there wholly or not at all.

    Raises:
        RunFailed: when it cannot be written.
    """
    expect_file(path)
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(text.encode("utf-8", "backslashreplace"))
        part.replace(path)
    except OSError as err:
        raise RunFailed(f"cannot write {path}: {err.strerror or err}") from err


def expect_file(path: Path) -> None:
    """Refuse to put a file in the place of a folder, a device or a pipe.

    Raises:
        WrongUse: when something else stands there, or the folder does not.
    """
    if path.exists() and not path.is_file():
        raise WrongUse(f"{path} is no file that could be written anew; name another")
    if not path.parent.is_dir():
        raise WrongUse(f"{path} cannot be written: there is no folder {path.parent}")


class Outputs:
    """Files that grow at their ends under names of their own until all is done.

    Args:
        folder: where they come to stand.
        mark: of this conversion, in the names of what is not done yet.
    """

    def __init__(self, folder: Path, mark: str) -> None:
        self._folder, self._mark = folder, mark
        self._open: dict[str, IO[bytes]] = {}

    def add(self, name: str, line: str) -> None:
        """Append a line to a file.

        Raises:
            RunFailed: when the disk does not take it.
            WrongUse: when a file of that name stands there already.
        """
        with self._writing():
            self._file(name).write(line.encode("utf-8") + b"\n")

    def sizes(self) -> dict[str, int]:
        """Bytes of each file, all of them safe on disk."""
        with self._writing():
            for file in self._open.values():
                file.flush()
                os.fsync(file.fileno())
        return {name: file.tell() for name, file in self._open.items()}

    def back(self, sizes: dict[str, int]) -> None:
        """Go back to sizes that `sizes` told: what came later was never noted."""
        for left in self._folder.glob(f".{self._mark}.*.part"):
            if left not in {self._part(name) for name in sizes}:
                left.unlink()
        for name, size in sizes.items():
            if not self._part(name).is_file() or self._part(name).stat().st_size < size:
                raise WrongUse(f"{self._part(name)} is shorter than noted; to start anew remove .{self._mark}.* there")
            with self._writing():
                self._file(name).truncate(size)
                self._file(name).seek(size)

    def publish(self, names: list[str]) -> None:
        """Give the files their final names; what has its name already is left as it is."""
        with self._writing():
            self.close()
            for name in names:
                if self._part(name).is_file():
                    self.final(name).parent.mkdir(parents=True, exist_ok=True)
                    self._give(self._part(name), self.final(name), name.startswith(_REJECTED))

    @staticmethod
    def _give(part: Path, final: Path, anew: bool) -> None:
        """Rename, but never over what another conversion has put there meanwhile."""
        if anew:
            part.replace(final)
            return
        try:
            os.link(part, final)  # unlike a rename, it fails where something stands
        except FileExistsError:
            if not final.samefile(part):  # else it was given its name before a kill
                message = f"{final} stands there already; remove it and type the same line again"
                raise WrongUse(message) from None
        except OSError:  # a file system without links: a look before must do
            if final.exists():
                raise
            part.replace(final)
            return
        part.unlink()

    def final(self, name: str) -> Path:
        """Where a file stands when all is done."""
        return self._folder / name

    def close(self) -> None:
        """Close what is open."""
        for file in self._open.values():
            file.close()
        self._open.clear()

    def _part(self, name: str) -> Path:
        return self._folder / f".{self._mark}.{name.replace('/', '-')}.part"

    def _file(self, name: str) -> IO[bytes]:
        if name not in self._open:
            if self.final(name).exists() and not name.startswith(_REJECTED):
                raise WrongUse(f"{self.final(name)} stands there already; remove it, or name another --out")
            path = self._part(name)
            self._open[name] = open(path, "r+b" if path.exists() else "w+b")
        return self._open[name]

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as err:
            why = err.strerror or err
            raise RunFailed(f"cannot write to {self._folder}: {why}; mend that and type the same line again") from err
