"""`streambridge data validate | stats | card | leakage`: what files of samples hold. Knows files and options only."""

import json as json_
import shutil
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from streambridge.errors import BadInput, WrongUse

FILES = Annotated[list[Path], typer.Argument(help="Files of streamit/1, or folders of them (*.jsonl).")]
LEAKAGE: Final = "leakage.json"  # what was found, beside the samples that are left
_MOST_TOLD: Final = 20  # leaking samples told one by one; all stand in --json


def files_of(paths: list[Path]) -> list[Path]:
    """The files named, those of a folder in the order of their names.

    Raises:
        WrongUse: when there is no such file, or a folder has none.
    """
    found: list[Path] = []
    for path in paths:
        inside = sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
        if not inside or not all(one.exists() for one in inside):
            raise WrongUse(f"{path} is no file of samples and no folder of *.jsonl; make some with: "
                           "streambridge data convert")  # fmt: skip
        found += inside
    return found


def validate(
    files: FILES,
    most: Annotated[int, typer.Option(min=1, help="Findings after which it ends.")] = 1000,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object a finding.")] = False,
) -> int:
    """Find what breaks a rule of the schema: file, line, field, rule, and what stands there. 1 when something does."""
    from streambridge.data.validate import Corpus

    corpus = Corpus(most)
    for found in corpus.read(files_of(files)):
        fault = found.fault
        said = {"file": found.file, "line": found.line, "field": fault.field, "rule": fault.rule, "got": fault.got}
        typer.echo(json_.dumps(said, ensure_ascii=False) if json else str(found))
    left = "" if corpus.complete else "; left there, --most is more"
    typer.echo(f"{corpus.samples:,} samples in {corpus.files} files, {corpus.found:,} findings{left}", err=json)
    return 1 if corpus.found else 0


def stats(
    files: FILES,
    page: Annotated[Path | None, typer.Option(help="Write an HTML page: charts, and samples on a timeline.")] = None,
    shown: Annotated[int, typer.Option(min=0, max=2000, help="Samples drawn on the page.")] = 24,
    seed: Annotated[int, typer.Option(help="Another choice of samples for the page.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Count samples: durations, answers per sample, gaps, tasks, kinds and types, balance of options and of yes and no.

    streambridge data stats streams --page streams.html
    """
    from streambridge.data import page as drawing
    from streambridge.data import stats as room
    from streambridge.data.outputs import write

    named = files_of(files)
    found, samples = drawing.counted(named, shown if page else 0, seed)
    if page is not None:
        write(page, drawing.told(found, samples))
    for line in [json_.dumps(found, ensure_ascii=False)] if json else room.told(found):
        typer.echo(line)
    if page is not None:
        typer.echo(f"the page stands in {page}", err=json)


def card(
    folder: Annotated[Path, typer.Argument(help="A folder that data convert wrote: samples and reports.")],
    out: Annotated[Path, typer.Option(help="The Markdown file to write.")] = Path("DATA-CARD.md"),
    title: Annotated[str, typer.Option(help="Of the card.")] = "Stream-IT data card",
    leakage: Annotated[Path | None, typer.Option(help="What `data leakage --json` printed.")] = None,
) -> None:
    """Write the data card: sources and licences, counts, what was mended and left out, splits, honest limits."""
    from streambridge.data import card as room
    from streambridge.data.outputs import write
    from streambridge.data.stats import stats as counted

    reports = [_json(path) for path in sorted(folder.glob("*.report.json"))]
    if not all(isinstance(report, dict) for report in reports):
        raise BadInput(f"{folder} holds a *.report.json that no conversion wrote")
    checked = leakage or (folder / LEAKAGE if (folder / LEAKAGE).exists() else None)
    leaks = _json(checked) if checked else None
    if checked and (not isinstance(leaks, dict) or leaks.get("schema") != "leakage/1"):
        raise BadInput(f"{checked} is not what `streambridge data leakage --json` prints")
    found = counted(files_of([folder]))
    write(out, room.card(found, reports, title, leaks))
    lacks = "" if reports else f"; {folder} has no reports of conversions, so it lacks counts, licences and policy"
    typer.echo(f"the card stands in {out}{lacks}")


def leakage(
    files: FILES,
    against: Annotated[list[Path], typer.Option(help="An annotation file of a benchmark; repeat it.")],
    without: Annotated[
        Path | None, typer.Option(help="Write the files without the samples that leak into this folder.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> int:
    """Look for a benchmark's videos among the samples, by their ids. 1 when some are there and are not left out.

    streambridge data leakage streams --against ovo_bench_new.json --without streams-clean
    """
    from streambridge.data import leakage as room
    from streambridge.data.outputs import write

    named = files_of(files)
    if without is not None:
        _expect_elsewhere(without, named)
    found = room.check(named, against)
    for line in [json_.dumps(found.said(), ensure_ascii=False)] if json else found.told():
        typer.echo(line)
    for leak in found.leaks[: 0 if json else _MOST_TOLD]:
        typer.echo(f"  {leak.sample}: {leak.uri} is {leak.matched} of {leak.benchmark}")
    if without is not None:
        for path in named:
            kept, left = room.without(path, found.leaking, without / path.name)
            typer.echo(f"{without / path.name}: {kept} samples, {left} left out", err=json)
        for path in {path.parent for path in named}:
            _copy_reports(path, without)
        write(without / LEAKAGE, json_.dumps({**found.said(), "left_out": True}) + "\n")
    return 1 if found.leaks and without is None else 0


def _expect_elsewhere(folder: Path, named: list[Path]) -> None:
    if len({path.name for path in named}) < len(named):
        raise WrongUse("several of these files bear one name, and would become one; name their folders one by one")
    for path in named:
        if path.resolve().parent == folder.resolve():
            raise WrongUse(f"--without {folder} is where the samples are read from; name another folder")
        if (folder / path.name).exists():
            raise WrongUse(f"{folder / path.name} stands there already; remove it, or name another folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise WrongUse(f"--without {folder} cannot be made: {err.strerror}; name another folder") from err


def _copy_reports(folder: Path, to: Path) -> None:
    """The card of what is left tells where it came from, too."""
    for path in folder.glob("*.report.json"):
        shutil.copyfile(path, to / path.name)


def _json(path: Path) -> Any:
    try:
        return json_.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as err:
        raise BadInput(f"cannot read {path} as JSON: {' '.join(str(err).split())}") from err
