"""`streambridge bench backbones`: names, a file and a bar. Knows no arithmetic; what is compared stands in bench/."""

import json as json_
import shlex
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

from streambridge.cli import bars
from streambridge.errors import WrongUse
from streambridge.installed import expect_library


def backbones(
    out: Annotated[Path | None, typer.Option(help="Write a page, as docs/backbones.md is.")] = None,
    only: Annotated[
        list[str] | None, typer.Option(metavar="TYPE", help="Only this model type, e.g. qwen2_vl; may be given again.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> int:
    """Every family of Video-LLMs that is read, held against the library's own path and a full recompute.

    Tiny random checkpoints are made and thrown away, nothing is downloaded: under a minute on two cores. Exit codes:
    0 all agree, 1 one does not, 2 wrong use.
    """
    expect_library()
    if out is not None and not out.parent.is_dir():  # before anything long
        raise WrongUse(f"--out {out} cannot be written: there is no folder {out.parent}; name one that exists")
    found = _compared(only)
    if out is not None:
        _write(out, found, only)
    if json:
        typer.echo(json_.dumps({"records": found}))
    else:
        from streambridge.bench.backbones_page import table

        typer.echo(table(found))
    return 0 if all(record["passed"] for record in found) else 1


def _compared(only: list[str] | None) -> list[dict[str, Any]]:
    import torch

    from streambridge.bench.backbones import run

    torch.set_num_threads(1)  # the models are tiny
    columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
    with bars.bar(*columns) as bar:
        task = bar.add_task("backbones", total=None)
        return list(run(only, tick=lambda kind: bar.update(task, description=kind)))


def _write(out: Path, found: list[dict[str, Any]], only: list[str] | None) -> None:
    from streambridge.bench.backbones_page import page

    picked = [word for kind in only or () for word in ("--only", kind)]
    command = shlex.join(["streambridge", "bench", "backbones", *picked, "--out", str(out)])
    try:
        out.write_text(page(found, command), encoding="utf-8")
    except OSError as err:
        raise WrongUse(f"--out {out} cannot be written: {err.strerror}; name a file that can be") from err
