"""`streambridge train`: train the backbone or the gate from a recipe. Knows where files stand, and no training."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
_RECIPE = typer.Argument(help="A YAML file of recipes/, e.g. embedded_backbone.yaml or embedded_gate.yaml.")
_OUT = typer.Option("--out", help="The folder of the run; a run that was stopped goes on from what stands there.")


@app.command("backbone")
def backbone(recipe: Annotated[Path, _RECIPE], out: Annotated[Path, _OUT] = Path("runs/embedded")) -> None:
    """Train the embedded Video-LLM: eyes, then words. The model goes to OUT/backbone."""
    from streambridge.recipe import read
    from streambridge.train import embedded

    typer.echo(f"the model stands in {embedded.train(read(recipe, embedded.Recipe), out, _note(out))}")


@app.command("activation")
def activation(recipe: Annotated[Path, _RECIPE], out: Annotated[Path, _OUT] = Path("runs/embedded")) -> None:
    """Train the embedded gate on the model and worlds of an earlier `train backbone`. The gate goes to OUT/gate."""
    from streambridge.recipe import read
    from streambridge.train import embedded, gate

    plan = read(recipe, gate.Recipe)
    tokenizer, model, seen = embedded.trained(out)
    typer.echo(f"the gate stands in {gate.train(plan, model, tokenizer, seen, out, _note(out))}")


def _note(out: Path) -> Callable[[str], None]:
    """Writes a line to the terminal and to the log of the run."""
    out.mkdir(parents=True, exist_ok=True)

    def say(line: str) -> None:
        typer.echo(line)
        with (out / "log.txt").open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    return say


OFFER = app
