"""A recipe is a YAML file that fills a dataclass: unknown keys, missing keys and wrong types are told in one line.

Knows no training and no data set.
"""

from __future__ import annotations

import dataclasses
import difflib
import types
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import yaml

from streambridge.errors import BadInput

T = TypeVar("T")


def read(path: str | Path, kind: type[T]) -> T:
    """Read a recipe.

    Args:
        path: a YAML file.
        kind: the dataclass that it fills, nested ones included.

    Raises:
        BadInput: with file and key, what came and what was expected.
    """
    if not Path(path).is_file():
        raise BadInput(f"there is no file {path if str(path).isprintable() else ascii(str(path))}")
    try:
        data = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as err:  # ValueError: no UTF-8, no such date
        raise BadInput(f"{path}: cannot be read as a recipe: {' '.join(str(err).split())}") from err
    if data is None:
        raise BadInput(f"{path} is empty; expected keys and values")
    filled: T = fill(data, kind, str(path))
    return filled


def fill(data: Any, kind: Any, where: str) -> Any:
    """Fill a dataclass (or a tuple, an optional or a plain value) from what YAML or JSON gave.

    Raises:
        BadInput: `where: what came and what was expected`.
    """
    if dataclasses.is_dataclass(kind):
        return _fill_class(data, kind, where)
    if get_origin(kind) is tuple:
        return _fill_tuple(data, get_args(kind), where)
    if get_origin(kind) is types.UnionType:
        return None if data is None else fill(data, get_args(kind)[0], where)
    kind = dict if get_origin(kind) is dict else kind
    if kind is float and isinstance(data, int) and not isinstance(data, bool):
        return float(data)
    if not isinstance(data, kind) or (kind is int and isinstance(data, bool)):
        raise BadInput(f"{where}: expected {kind.__name__}, got {data!r}")
    return data


def _fill_class(data: Any, kind: Any, where: str) -> Any:
    if not isinstance(data, dict):
        raise BadInput(f"{where}: expected keys and values, got {data!r}")
    hints, fields = get_type_hints(kind), {field.name: field for field in dataclasses.fields(kind)}
    for key in data:
        if key not in fields:
            near = difflib.get_close_matches(str(key), fields, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else "."
            raise BadInput(f"{where}: unknown key {key!r}{hint} There are: {', '.join(sorted(fields))}")
    needed = [f.name for f in fields.values() if f.default is f.default_factory is dataclasses.MISSING]
    if missing := [name for name in needed if name not in data]:
        raise BadInput(f"{where}: missing key {missing[0]!r}")
    return kind(**{key: fill(value, hints[key], f"{where}: {key}") for key, value in data.items()})


def _fill_tuple(data: Any, parts: tuple[Any, ...], where: str) -> Any:
    if not isinstance(data, list):
        raise BadInput(f"{where}: expected a list, got {data!r}")
    if parts[-1] is Ellipsis:
        return tuple(fill(one, parts[0], f"{where}[{k}]") for k, one in enumerate(data))
    if len(data) != len(parts):
        raise BadInput(f"{where}: expected {len(parts)} values, got {data!r}")
    return tuple(fill(one, part, f"{where}[{k}]") for k, (one, part) in enumerate(zip(data, parts, strict=True)))
