"""`streambridge bench latency`: names, files and a bar. Knows no arithmetic; what is measured stands in bench/."""

import json as json_
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer
from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

from streambridge.cli import bars
from streambridge.errors import BadInput, WrongUse

DEVICES = ("cpu", "cuda")


def latency(
    quick: Annotated[bool, typer.Option("--quick", help="Shorter streams, fewer answers: under five minutes.")] = False,
    scenario: Annotated[
        list[str] | None,
        typer.Option(
            help="Only this one; may be given again: first-token, long-stream, proactive, burst, giant-round, rivals, "
            "replay, rare, soak, gpu."
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, or cuda: then a 7B at 16k tokens is timed as well.")] = "cpu",
    threads: Annotated[int, typer.Option(min=1, help="Threads of a CPU; one compares best on a busy machine.")] = 1,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="Write the records here, one JSON object a line, as they come.")
    ] = None,
    page: Annotated[
        Path | None, typer.Option(help="Write a page with plots, as docs/performance.md is (needs the extra `plots`).")
    ] = None,
    records: Annotated[
        Path | None, typer.Option(help="Measure nothing: print, and draw, what an earlier --out has written.")
    ] = None,
) -> None:
    """How soon the first word comes, for how much work, and whether it is the right one.

    Random weights of known sizes, nothing is downloaded. Every variant is first held against a full recompute of the
    same memory: one that is not exact gets no row. Times are process CPU time, or the clock on a GPU.
    """
    if page is not None:
        _drawn([], page)  # before anything long: a missing library is told now
    found = _read(records) if records else _measure(quick, scenario, device, threads, out)
    if page is not None:
        from streambridge.bench.performance import page as written

        plots = _drawn(found, page)
        _write(page, written(found, plots))
    if json:
        summary = next((record for record in found if record["scenario"] == "summary"), {})
        typer.echo(json_.dumps({"summary": summary, "records": found}))
    else:
        from streambridge.bench.performance import table

        typer.echo(table(found))


def _measure(
    quick: bool, scenario: list[str] | None, device: str, threads: int, out: Path | None
) -> list[dict[str, Any]]:
    if device.split(":")[0] not in DEVICES:
        raise WrongUse(f"--device {device}: expected one of {', '.join(DEVICES)}")
    import torch

    from streambridge.bench.extent import QUICK, Extent
    from streambridge.bench.latency import chosen, run

    torch.set_num_threads(threads)
    names = chosen(scenario, device)
    command = " ".join(["streambridge", *sys.argv[1:]]) if sys.argv[1:2] == ["bench"] else "streambridge bench latency"
    said = TextColumn("{task.description}"), TextColumn("{task.completed} steps")
    columns = SpinnerColumn(), *said, TimeElapsedColumn()
    with bars.bar(*columns) as bar:
        task = bar.add_task("latency", total=None)
        stream = run(
            QUICK if quick else Extent(),
            names,
            device,
            command,
            lambda name: bar.update(task, description=name, completed=0),
            lambda: bar.advance(task),
        )
        return list(_kept(stream, out))


def _kept(stream: Iterator[dict[str, Any]], out: Path | None) -> Iterator[dict[str, Any]]:
    """The records, each written as it comes: a run that is stopped has not measured for nothing."""
    if out is None:
        yield from stream
        return
    with _opened(out) as file:
        for record in stream:
            file.write(json_.dumps(record) + "\n")
            file.flush()
            yield record


def _opened(out: Path) -> TextIO:
    try:
        return out.open("w", encoding="utf-8")
    except OSError as err:
        raise WrongUse(f"--out {out} cannot be written: {err.strerror}; name a file in a folder that exists") from err


def _read(path: Path) -> list[dict[str, Any]]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as err:
        raise BadInput(f"--records {path} cannot be read: {err}") from err
    found = []
    for number, line in enumerate(lines, 1):
        try:
            record = json_.loads(line)
        except (ValueError, RecursionError) as err:  # the latter: brackets without end
            raise BadInput(f"{path}, line {number}: no JSON object; expected what --out writes") from err
        if not isinstance(record, dict) or "scenario" not in record:
            raise BadInput(f"{path}, line {number}: {line[:60]!r} is no record; expected what --out writes")
        found.append(record)
    return found


def _drawn(found: list[dict[str, Any]], page: Path) -> dict[str, str]:
    from streambridge.bench.plots import draw

    return draw(found, page.parent / page.stem)


def _write(page: Path, text: str) -> None:
    try:
        page.parent.mkdir(parents=True, exist_ok=True)  # as the plots' folder is made
        page.write_text(text, encoding="utf-8")
    except OSError as err:
        raise WrongUse(f"--page {page} cannot be written: {err.strerror}; name a file in a folder that can be") from err
