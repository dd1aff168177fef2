"""`streambridge data convert`: a data set's annotations -> streamit/1. Knows options and a terminal, no data set."""

import inspect
import json as json_
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from streambridge.cli import bars
from streambridge.errors import WrongUse

if TYPE_CHECKING:
    from streambridge.data.source_set import SourceSet

_SPLIT: Final = re.compile(r"(train|val|test)[A-Za-z0-9_-]{0,40}")
_IN_NAME: Final = re.compile(r"(?:^|[^a-z])(train(?:ing)?|val(?:id|idation|_\d)?|dev|test(?:ing)?)(?![a-z])")
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
    split: Annotated[
        str | None,
        typer.Option(help="For sets whose records do not tell theirs; default: as the file is named, else train."),
    ] = None,
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
    force: Annotated[bool, typer.Option("--force", help="Do it again: remove what stands there of it.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the report as one JSON object and nothing else.")] = False,
    list_: Annotated[bool, typer.Option("--list", help="Name the sets, one a line; with SOURCE: its files.")] = False,
) -> int:
    """Turn a data set's own annotation files into streamit/1.

    Nothing is downloaded and no video is opened. What is repaired is noted in its sample, what is rejected is listed
    with its line and reason, and the rest goes on. A conversion that was stopped goes on when the same line is typed.

    streambridge data convert youcook2 --input youcookii_annotations_trainval.json --out streams
    """
    from streambridge.data import converting, source_set
    from streambridge.data.job import Job
    from streambridge.data.outputs import expect_file, write
    from streambridge.data.report import lines

    if list_:
        _print(_listed(source, source_set.names, source_set.find))
        return 0
    if source is None or out is None or not input:
        what = f"{source} --list" if source else "--list"
        raise WrongUse(
            f"type: streambridge data convert {source or 'SOURCE'} --input FILE --out FOLDER; what there is and what "
            f"it needs: streambridge data convert {what}"
        )
    chosen = source_set.find(source)
    inputs = _inputs(chosen, input)
    job = Job(chosen, inputs, out, _policy(policy), _split(split, inputs[chosen.inputs[0].name]), _stems(videos))
    if report is not None:
        expect_file(report)
    if force:
        job.forget()
    found = _run(lambda told: converting.run(job, told), source, job.notes.exists())
    if report is not None:
        write(report, json_.dumps(found, indent=1, ensure_ascii=False) + "\n")
    told = [*lines(found), f"written to {out}"] if found["produced"]["samples"] else lines(found)
    _print([json_.dumps(found, ensure_ascii=False)] if json else told)
    return _code(found, out, strict)


def _run(run: Callable[[Callable[[int, int], None]], dict[str, Any]], source: str, again: bool) -> dict[str, Any]:
    if again:
        print(f"streambridge: {source}: going on where an earlier run was stopped", file=sys.stderr)
    try:
        with _bar(source) as told:
            return run(told)
    except KeyboardInterrupt:
        print("streambridge: stopped; type the same line to go on", file=sys.stderr)
        raise


def _code(found: dict[str, Any], out: Path, strict: bool) -> int:
    rejected = out / "rejected" / f"{found['source']}.{found['split']}.jsonl"
    if not found["produced"]["samples"]:
        first = found["first_rejected"] or "there are no records"
        print(f"streambridge: nothing was converted; the first: {first}; all of them: {rejected}", file=sys.stderr)
        return 1
    if found["breaks_off"]:
        print(f"streambridge: {found['breaks_off']}: the file breaks off; what stands behind was not read",
              file=sys.stderr)  # fmt: skip
        return 1
    return 1 if strict and found["differences"] else 0


def _listed(source: str | None, names: Callable[[], list[str]], find: "Callable[[str], SourceSet]") -> list[str]:
    if source is None:
        return [f"{name:<22}{find(name).title}" for name in names()]
    chosen = find(source)
    files = [f"--input {one.name}={_what(one)}" for one in chosen.inputs]
    head = f"{source}: {chosen.title} ({chosen.version}); licence: {chosen.licence}"
    return [head, *files, *_options(chosen.options)]


def _what(one: Any) -> str:
    columns = f" (columns {', '.join(one.columns)}; or JSON by id)" if one.columns else ""
    return f"PATH   {'' if one.needed else 'optional: '}{one.what}{columns}"


def _options(options: type) -> list[str]:
    """The set's own rules as they stand in a policy file, with what their class says of them."""
    names = getattr(options, "__slots__", ())
    if not names:
        return []
    made = options()
    values = [f"  {name}: {json_.dumps(getattr(made, name), default=list)}" for name in names]
    said = (inspect.getdoc(options) or "").partition("Attributes:")[2].splitlines()
    meant = [f"# {line.strip()}" for line in said if line.strip()]
    return ["its own rules, for --policy FILE:", "options:", *values, *meant]


def _inputs(chosen: "SourceSet", given: list[str]) -> dict[str, tuple[Path, ...]]:
    known = [one.name for one in chosen.inputs]
    found: dict[str, tuple[Path, ...]] = {}
    for word in given:
        name, equals, path = word.partition("=")
        if equals and name not in known and not Path(word).exists():
            raise WrongUse(f"--input {word}: {chosen.name} has no input {name!r}; there are: {', '.join(known)}")
        name, path = (name, path) if equals and name in known else (known[0], word)
        if not path:
            raise WrongUse(f"--input {word}: no file is named")
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


def _split(named: str | None, files: tuple[Path, ...]) -> str:
    """The split that is named, else the one that the files' names tell, else train."""
    if named is not None:
        if not _SPLIT.fullmatch(named):
            raise WrongUse(f"--split {named}: a split is train, val or test, or begins with one, as val_1 does")
        return named
    told = {_told(path) for path in files}
    if len(told) > 1:
        names = ", ".join(path.name for path in files[:4])
        splits = ", ".join(sorted(told))
        raise WrongUse(f"{names} are of several splits ({splits}); convert each by itself, or say --split")
    return told.pop() if told else "train"


def _told(path: Path) -> str:
    found = _IN_NAME.search(path.stem.lower())
    return "train" if found is None else re.sub("^(valid(ation)?|dev)$", "val", re.sub("ing$", "", found[1]))


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
    from rich.progress import Progress, TimeElapsedColumn

    with bars.bar(*Progress.get_default_columns(), TimeElapsedColumn()) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _print(lines: list[str]) -> None:
    for line in lines:
        typer.echo(line)
