"""`streambridge bench`: score a model and a gate on unseen streams. Knows names and files, and no arithmetic."""

import json as json_
from pathlib import Path
from typing import Annotated, Any

import typer

from streambridge import loading
from streambridge.cli import bars
from streambridge.cli.backbones import backbones
from streambridge.cli.choosing import GATE, TINY, backbone_for, gate_for, gate_name
from streambridge.cli.gate_scores import gate
from streambridge.cli.latency import latency
from streambridge.errors import WrongUse

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def bench() -> None:
    """Score a model and a gate on unseen streams, through the Session that serves users."""


@app.command("world")
def world(
    seed: Annotated[int, typer.Option(help="Which unseen streams.")] = 0,
    streams: Annotated[int, typer.Option(help="How many.")] = 20,
    minutes: Annotated[float, typer.Option(help="How long each, in minutes.")] = 1.0,
    kinds: Annotated[str | None, typer.Option(help="Kinds of questions, with commas; `all` for all there are.")] = None,
    model: Annotated[str, typer.Option(help="Who answers.")] = TINY,
    activation: Annotated[str | None, typer.Option(help="The gate, or FIRST+SECOND; default as in watch.")] = None,
    memory: Annotated[
        str, typer.Option(help="The memory policy; `all` compares all by distance into the past.")
    ] = "round_decay",
    max_len: Annotated[int | None, typer.Option(min=1, help="Tokens of memory and answer together.")] = None,
    fps: Annotated[float, typer.Option(help="Frames to look at per second.")] = 1.0,
    threshold: Annotated[float | None, typer.Option(help="Speak up above this score, 0 to 1.")] = None,
    rest: Annotated[float | None, typer.Option(help="Seconds of silence after speaking up.")] = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", help="One watch a stream, and no question asked beside it.")
    ] = False,
    dev: Annotated[bool, typer.Option("--dev", help="Development worlds, for choosing numbers.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
    out: Annotated[Path | None, typer.Option(help="Write the JSON object to this file as well.")] = None,
) -> None:
    """Streams of the made-up world with exact truth: questions about now and about earlier, and standing watches.

    Percentages are 0-100. An answer counts when its words are those of the truth; a watch's answer counts when it came
    within 1 s of what it tells.
    """
    from streambridge.bench import world as room
    from streambridge.loading import load, names
    from streambridge.world.truth import QUESTIONS, TAUGHT

    asked = tuple(QUESTIONS) if kinds == "all" else tuple(kinds.split(",")) if kinds else TAUGHT
    plan = room.Bench(seed, streams, minutes, "dev" if dev else "test", asked, quiet)
    policies = [load("memory", name) for name in (names("memory") if memory == "all" else [memory])]
    backbone = backbone_for(model)
    gate = gate_for(gate_name(model, activation), backbone, threshold, rest)
    setting = room.Setting(backbone, gate, policies[0], max_len, fps)
    with bars.bar() as bar:
        if memory == "all":
            task = bar.add_task("worlds", total=streams * len(policies))
            found: Any = room.by_distance(setting, plan, policies, lambda done: bar.update(task, completed=done))
        else:
            task = bar.add_task("worlds", total=streams)
            found = room.bench(setting, plan, lambda done: bar.update(task, completed=done))
    if out is not None:
        _write(out, json_.dumps(found, indent=1) + "\n")
    typer.echo(json_.dumps(found) if json else _told(found) if memory != "all" else _policies(found))


app.command("latency")(latency)
app.command("backbones")(backbones)
app.command("gate")(gate)


@app.command("card")
def card(
    out: Annotated[Path, typer.Option(help="The Markdown file to write.")] = Path("docs/embedded-pair.md"),
    work: Annotated[Path, typer.Option(help="Where parts are stored; a card that was stopped goes on.")] = Path(
        "runs/card"
    ),
    quick: Annotated[bool, typer.Option("--quick", help="A twentieth of the streams, to see that it works.")] = False,
) -> None:
    """Measure the embedded pair anew and write its card: some twenty minutes on two cores."""
    from streambridge.bench import card as room
    from streambridge.bench.world import Setting

    backbone = backbone_for(TINY)
    setting = Setting(backbone, gate_for(GATE, backbone, None, None))
    size = room.quick(room.Size()) if quick else room.Size()
    found = room.measure(setting, size, work, lambda line: typer.echo(line, err=True))
    _write(out, room.card(found, size, Path(loading.__file__).parent / "embedded"))
    typer.echo(f"the card stands in {out}")


def _write(out: Path, text: str) -> None:
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as err:
        raise WrongUse(f"--out {out} cannot be written: {err.strerror}; name a file in a folder that exists") from err


def _told(found: dict[str, Any]) -> str:
    """The report as a person reads it."""
    lines = [f"{'question':<14}{'about':<9}{'right':>7}   {'95 %':<15}n"]
    for kind, row in found["questions"].items():
        low, high = found["intervals"]["questions"][kind]
        lines.append(f"{kind:<14}{row['about']:<9}{row['accuracy']:>6.1f}%   {low:5.1f} - {high:5.1f}  {row['n']}")
    lines.append("")
    for name, value in found["proactive"].items():
        lines.append(f"{name:<24}{'-' if value is None else f'{value:.2f}'}")
    return "\n".join(lines)


def _policies(found: dict[str, dict[str, dict[str, float]]]) -> str:
    keys = list(next(iter(found.values())))
    lines = [f"{'policy':<14}" + "".join(f"{key:>8}" for key in keys)]
    for name, row in found.items():
        lines.append(f"{name:<14}" + "".join(f"{row[key]['accuracy']:>7.0f}%" for key in keys))
    return "\n".join(lines)


OFFER = app
