"""`streambridge bench gate`: files, options and a bar. Knows no arithmetic; what is measured stands in bench/."""

import json as json_
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streambridge.cli import bars
from streambridge.errors import BadInput, WrongUse

if TYPE_CHECKING:
    from streambridge.types import Timeline


def gate(
    events: Annotated[
        list[Path], typer.Option("--events", help="A log of one stream, as `watch --events` writes it; repeat it.")
    ],
    timelines: Annotated[Path, typer.Option("--timelines", help="streamit/1: what should have been said, and when.")],
    tol: Annotated[str, typer.Option(help="Seconds that a fire may be off, with commas; the first leads.")] = "1,2,5",
    out: Annotated[
        Path | None, typer.Option(help="A folder: gate.json, gate.md and plots (needs the extra `plots`).")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """How good a gate was, from the scores in event logs: no model is read and no frame is seen.

    Precision, recall, F1, delay, false alarms an hour, calibration, and what other thresholds, rests and hystereses
    would have given. With as many logs as timelines they go together by order; otherwise each log takes the one
    timeline whose watches it asked, in the same words and within a second.

    streambridge bench gate --events a.jsonl --events b.jsonl --timelines truth.jsonl --out report
    """
    from streambridge.bench import gate_logs, gate_scores
    from streambridge.bench.gate_page import page

    tols = _tolerances(tol)
    if out is not None:
        _expect_plots(out)
    truth = _timelines(timelines)
    with bars.bar() as bar:
        logs = [gate_logs.read(path) for path in bar.track(_there(events), description="logs")]
        task = bar.add_task("settings", total=None)
        found = gate_scores.evaluate(
            logs, truth, tols, lambda done, total: bar.update(task, completed=done, total=total)
        )
    command = _command(events, timelines, tol, out)
    plots = {} if out is None else _drawn(found, out)
    if out is not None:
        _write(out / "gate.json", json_.dumps({"command": command, **found}, indent=1) + "\n")
        _write(out / "gate.md", page(found, command, plots))
    typer.echo(json_.dumps({"command": command, **found}) if json else page(found, command, {}).rstrip())
    if out is not None and not json:
        typer.echo(f"\nwritten to {out}")


def _tolerances(typed: str) -> list[float]:
    try:
        return [float(word) for word in typed.split(",")]
    except ValueError:
        raise WrongUse(f"--tol {typed!r}: expected seconds with commas, e.g. --tol 1,2,5") from None


def _there(events: Iterable[Path]) -> list[Path]:
    paths = list(events)
    for path in paths:
        if not path.is_file():
            raise BadInput(f"--events {path}: there is no such file; `streambridge watch ... --events FILE` writes one")
    if doubled := next((path for path in paths if paths.count(path) > 1), None):
        raise WrongUse(f"--events {doubled} is named twice; name each log once")
    return paths


def _timelines(path: Path) -> "list[Timeline]":
    from streambridge import streamit

    found = list(streamit.read(path))
    if not found:
        raise BadInput(f"--timelines {path} holds no timeline; expected streamit/1, one JSON object a line")
    return found


def _expect_plots(out: Path) -> None:
    from streambridge.bench.gate_plots import expect_library

    if out.exists() and not out.is_dir():
        raise WrongUse(f"--out {out} is a file; name a folder")
    expect_library(out / "x.svg")


def _drawn(found: dict[str, Any], out: Path) -> dict[str, str]:
    from streambridge.bench.gate_plots import curves, reliability

    tol = f"{found['tolerance_s']:g}"
    marks = {"own threshold": found["settings"][0]["threshold"]}
    curves(found["sweep"][tol], marks, f"Thresholds, within {tol} s", out / "thresholds.svg")
    drawn = {"thresholds": "thresholds.svg"}
    if found["calibration"]["n"]["frames"]:
        reliability(found["calibration"]["bins"], "What a score means", out / "calibration.svg")
        drawn["calibration"] = "calibration.svg"
    return drawn


def _command(events: Iterable[Path], timelines: Path, tol: str, out: Path | None) -> str:
    named = [word for path in events for word in ("--events", str(path))]
    also = [] if out is None else ["--out", str(out)]
    return shlex.join(["streambridge", "bench", "gate", *named, "--timelines", str(timelines), "--tol", tol, *also])


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as err:
        raise WrongUse(f"--out: {path} cannot be written: {err.strerror}; name a folder that can be") from err
