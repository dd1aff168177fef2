"""One JSON object in a checkpoint's folder, read key by key with one clear line for what is wrong. Knows no family.

`processor_sheet` finds the object that the library would read for a processor, `config_sheet` the model's own config.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from streambridge.backbones.checkpoint import read_json
from streambridge.errors import BadInput, one_line

Part: TypeAlias = Literal["image_processor", "video_processor"]

_FAR: Final = 1e6  # beyond any mean or deviation of a colour


@dataclass(frozen=True, slots=True)
class Sheet:
    """A JSON object and where it stands.

    Attributes:
        file: the file, and the part of it, for messages.
        values: the object.
    """

    file: str
    values: Mapping[str, Any]

    def find(self, path: str) -> Any:
        """What stands at a dotted path; None where nothing does.

        Raises:
            BadInput: when the path leads through something that is no object.
        """
        here: Any = self.values
        for i, key in enumerate(path.split(".")):
            if here is None:
                return None
            if not isinstance(here, Mapping):
                raise self.wrong(".".join(path.split(".")[:i]), here, "an object")
            here = here.get(key)
        return here

    def first(self, *paths: str) -> tuple[str, Any]:
        """The first of these paths at which something stands, and what.

        Raises:
            BadInput: when nothing stands at any of them.
        """
        for path in paths:
            if (value := self.find(path)) is not None:
                return path, value
        raise BadInput(f"{self.file} has no {' or '.join(paths)}")

    def whole(self, *paths: str, most: int) -> int:
        """A whole number from 1 to `most` at the first of these paths at which something stands.

        Raises:
            BadInput: when nothing stands there, or something else.
        """
        path, value = self.first(*paths)
        if type(value) is not int or not 1 <= value <= most:  # a bool is an int to Python, not to us
            raise self.wrong(path, value, f"a whole number from 1 to {most}")
        return value

    def channels(self, path: str, positive: bool = False) -> tuple[float, float, float]:
        """Three finite numbers, one a channel.

        Raises:
            BadInput: when nothing stands there, or something else.
        """
        _, value = self.first(path)
        good = isinstance(value, list) and len(value) == 3 and all(_is_number(one) for one in value)
        if not good or (positive and min(value) <= 0):
            raise self.wrong(path, value, f"3 {'positive ' if positive else ''}numbers")
        return float(value[0]), float(value[1]), float(value[2])

    def wrong(self, path: str, value: Any, expected: str) -> BadInput:
        """The error for something that is no such thing as it should be."""
        return BadInput(f"{self.file}: {path} is {json.dumps(value):.60}; expected {expected}")


def processor_sheet(folder: Path, part: Part) -> Sheet:
    """What the library would read for this part, in its order of files.

    Raises:
        BadInput: when there is no such file, or it holds no JSON object.
    """
    joint = folder / "processor_config.json"  # new checkpoints keep all parts in one file
    if joint.is_file() and (inside := read_json(joint).get(part)) is not None:
        return _sheet(f"{joint} ({part})", inside)
    names = ["preprocessor_config.json"]
    if part == "video_processor":
        names.insert(0, "video_preprocessor_config.json")
    for name in names:
        if (folder / name).is_file():
            return _sheet(str(folder / name), read_json(folder / name))
    raise BadInput(f"{folder} holds no {' or '.join(names)}; expected the folder of a checkpoint")


def config_sheet(folder: Path) -> Sheet:
    """The model's config with what the library fills in: a saved config leaves out what is its class's default.

    Raises:
        BadInput: when there is no config.json, or it is none.
    """
    from transformers import AutoConfig

    file = folder / "config.json"
    if not file.is_file():
        raise BadInput(f"{folder} holds no config.json; expected the folder of a checkpoint")
    try:
        return _sheet(str(file), AutoConfig.from_pretrained(folder, local_files_only=True).to_dict())
    except Exception as err:  # the library raises many kinds for a damaged file; the user needs one line
        raise BadInput(f"{one_line(f'{file} cannot be read as a model config', err):.400}") from err


def _sheet(file: str, value: Any) -> Sheet:
    if not isinstance(value, Mapping):
        raise BadInput(f"{file} is no JSON object but {json.dumps(value):.60}")
    return Sheet(file, value)


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and -_FAR < value < _FAR  # false for what is no number too
