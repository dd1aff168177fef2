"""`streambridge data convert`: a data set's annotations -> streamit/1. Knows options and a terminal, no data set."""

import json as json_
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from streambridge.errors import WrongUse

if TYPE_CHECKING:
    from streambridge.data.source_set import SourceSet

_ENDINGS: Final = {".json", ".jsonl", ".csv", ".txt", ".parquet"}


def convert(
    source: Annotated[str | None, typer.Argument(help="The set, as --list names it.")] = None,
    input: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME=PATH of a file the set needs (NAME may be left out for the annotations); a folder "
            "stands for its files. Repeat it. SOURCE --list tells the names."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The folder to write to: SOURCE.SPLIT.jsonl, a report, and what was rejected.")
    ] = None,
    split: Annotated[str, typer.Option(help="The split, for sets whose records do not tell theirs.")] = "train",
    policy: Annotated[
        Path | None, typer.Option(help="YAML: tick_ms, clamp_ms, proactive_share, seed, options.")
    ] = None,
    videos: Annotated[
        Path | None, typer.Option(help="A folder of videos: samples whose video is not among them are rejected.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Write the report here too: found beside expected counts of the full set.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Fail when counts differ from the full set's.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the report as one JSON object and nothing else.")] = False,
    list_: Annotated[bool, typer.Option("--list", help="Name the sets, one a line; with SOURCE: its files.")] = False,
) -> int:
    """Turn a data set's own annotation files into streamit/1.

    Nothing is downloaded and no video is opened. What is repaired is noted in its sample, what is rejected is listed
    with its line and reason, and the rest goes on. A conversion that was stopped goes on when the same line is typed.

    streambridge data convert youcook2 --input youcookii_annotations_trainval.json --out streams
    """
    from streambridge.data import converting, source_set
    from streambridge.data.report import lines

    if list_:
        _print(_listed(source, source_set.names, source_set.find))
        return 0
    if source is None or out is None or not input:
        raise WrongUse(
            "type: streambridge data convert SOURCE --input FILE --out FOLDER; the sets are told by: "
            "streambridge data convert --list"
        )
    chosen = source_set.find(source)
    job = converting.Job(chosen, _inputs(chosen, input), out, _policy(policy), _named(split), _stems(videos))
    with _bar(source) as told:
        found = converting.run(job, told)
    if report is not None:
        converting.write(report, json_.dumps(found, indent=1, ensure_ascii=False) + "\n")
    _print([json_.dumps(found, ensure_ascii=False)] if json else [*lines(found), f"written to {out}"])
    return _code(found, strict)


def _code(found: dict[str, Any], strict: bool) -> int:
    if not found["produced"]["samples"]:
        most = max(found["rejected"], key=found["rejected"].get, default="no records")
        print(f"streambridge: nothing was converted; most of it: {most}", file=sys.stderr)
        return 1
    return 1 if strict and found["differences"] else 0


def _listed(source: str | None, names: Callable[[], list[str]], find: "Callable[[str], SourceSet]") -> list[str]:
    if source is None:
        return [f"{name:<22}{find(name).title}" for name in names()]
    chosen = find(source)
    files = [f"{'' if one.needed else '[not needed] '}--input {one.name}={_what(one)}" for one in chosen.inputs]
    options = [f"policy option {name}: {value!r}" for name, value in _defaults(chosen.options)]
    return [f"{source}: {chosen.title} ({chosen.version}); licence: {chosen.licence}", *files, *options]


def _what(one: Any) -> str:
    columns = f" (columns {', '.join(one.columns)}; or JSON by id)" if one.columns else ""
    return f"PATH   {one.what}{columns}"


def _defaults(options: type) -> list[tuple[str, Any]]:
    made = options()
    return [(name, getattr(made, name)) for name in getattr(options, "__slots__", ())]


def _inputs(chosen: "SourceSet", given: list[str]) -> dict[str, tuple[Path, ...]]:
    known = [one.name for one in chosen.inputs]
    found: dict[str, tuple[Path, ...]] = {}
    for word in given:
        name, equals, path = word.partition("=")
        if equals and name not in known and not Path(word).exists():
            raise WrongUse(f"--input {word}: {chosen.name} has no input {name!r}; there are: {', '.join(known)}")
        name, path = (name, path) if equals and name in known else (known[0], word)
        found[name] = (*found.get(name, ()), *_files(Path(path)))
    return found


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    inside = sorted(one for one in path.iterdir() if one.suffix.lower() in _ENDINGS and one.is_file())
    if not inside:
        raise WrongUse(f"{path} holds no annotation file; expected {', '.join(sorted(_ENDINGS))}")
    return inside


def _policy(path: Path | None) -> Any:
    from streambridge import recipe
    from streambridge.data.policy import Policy

    return Policy() if path is None else recipe.read(path, Policy)


def _named(split: str) -> str:
    if not split.replace("_", "").replace("-", "").isalnum():
        raise WrongUse(f"--split {split!r}: a split is letters, digits, _ and -, e.g. train")
    return split


def _stems(folder: Path | None) -> frozenset[str] | None:
    """The names of all videos below a folder, without their endings."""
    if folder is None:
        return None
    if not folder.is_dir():
        raise WrongUse(f"--videos {folder} is no folder")
    from streambridge.data.probing import videos

    return frozenset(path.stem for path in videos(folder))


@contextmanager
def _bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on a terminal, nothing in a pipe."""
    from rich.console import Console
    from rich.progress import Progress, TimeElapsedColumn

    columns = (*Progress.get_default_columns(), TimeElapsedColumn())
    with Progress(*columns, disable=not sys.stderr.isatty(), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _print(lines: list[str]) -> None:
    for line in lines:
        typer.echo(line)
