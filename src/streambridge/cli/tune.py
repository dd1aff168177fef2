"""`streambridge tune`: from labelled moments in your own clips to threshold, rest and hysteresis.

Knows names, files and a terminal; what is reckoned stands in train/ and scoring/.
"""

import json as json_
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from streambridge.cli import bars
from streambridge.errors import WrongUse

if TYPE_CHECKING:
    from streambridge.types import Activation

FPS: Final = 1.0  # as in `watch`


def tune(
    clips: Annotated[list[str], typer.Argument(help="Videos, folders of pictures, or world:SEED.", metavar="CLIP")],
    labels: Annotated[Path, typer.Argument(help="Labelled moments: CSV, JSON Lines or streamit/1.", metavar="LABELS")],
    model: Annotated[str | None, typer.Option(help="Who answers; needed on anything but the made-up world.")] = None,
    activation: Annotated[
        str | None, typer.Option(help="The gate, as in watch: one with a threshold, e.g. score_head or zero_shot.")
    ] = None,
    tol: Annotated[float, typer.Option(min=0, help="Seconds that a fire may be off its moment.")] = 1.0,
    fps: Annotated[float, typer.Option(help="Frames to look at per second.")] = FPS,
    work: Annotated[Path, typer.Option(help="Where scores are kept; a second run asks no gate.")] = Path("runs/tune"),
    out: Annotated[Path | None, typer.Option(help="Write the proposed settings here, as YAML.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the curves: .png or .svg (needs the extra `plots`).")] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Run the gate once more, with what is proposed: its answers come into it.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> int:
    """Propose threshold, rest and hysteresis of a gate from labelled moments in your own clips.

    The gate runs once over every clip; then other numbers are tried on its scores. What is proposed is judged on clips
    that it was not chosen on: each is left out in turn. LABELS is a CSV file such as

    clip,watch,t,text

    kitchen.mp4,Tell me each step as it is finished.,12.5,Finished cutting.

    garden.mp4,Tell me each step as it is finished.,,

    (t in seconds of the clip; t and text empty: watched for, and nothing should be said), or JSON Lines with the same
    fields, or streamit/1. Exit codes: 0 done, 1 too few moments to propose from, 2 wrong use.

    streambridge tune kitchen.mp4 garden.mp4 labels.csv --model ./my-model --out settings.yaml --plot curves.png
    """
    from streambridge.cli.tuned import lines
    from streambridge.train import tuning, wishes

    _expect(clips, out, plot)
    wanted = wishes.read(labels, clips)
    run = _Run(_model(clips, model), activation, fps, work)
    with bars.bar() as bar:
        parts = run.gather(wanted, bar, "clips")
        task = bar.add_task("settings", total=None)
        settings = run.gate.settings()
        found = tuning.tune(
            parts, settings, tol, lambda done, total: bar.update(task, completed=done, total=total)
        )
        if found["proposed"] is not None:
            typed, exact = run.typed(found["proposed"])
            found["type"], found["typed_in_sample"] = run.line(typed), tuning.worth(parts, settings, typed, tol)
            found["rearm_in_code"] = None if exact else _in_code(found["proposed"])
            if check:
                found["run_again"] = tuning.told(run.again(found["proposed"]).gather(wanted, bar, "again"), tol)
    _written(found, run, out, plot)
    typer.echo(json_.dumps(found) if json else "\n".join(lines(found)))
    return 0 if found["proposed"] is not None else 1


class _Run:
    """A model and its gate, and what is asked of them."""

    def __init__(self, model: str, activation: str | None, fps: float, work: Path) -> None:
        from streambridge.activation.sweep import trigger_of
        from streambridge.cli.choosing import backbone_for, gate_for, gate_name

        self.model, self.fps, self.work = model, fps, work
        self.named = gate_name(model, activation)
        self.backbone = backbone_for(model)
        self.gate: Activation = gate_for(self.named, self.backbone, None, None)
        trigger_of(self.gate.settings())  # a gate without a threshold is told before a clip is opened

    def gather(self, wanted: Sequence[Any], bar: Any, name: str) -> Any:
        """The scores of all clips."""
        from streambridge.session import Session
        from streambridge.sources import open_source
        from streambridge.train import clip_scores

        task = bar.add_task(name, total=len(wanted))
        return clip_scores.gather(
            wanted,
            lambda clip: open_source(clip, self.fps),
            lambda: Session(self.backbone, self.gate),
            clip_scores.Store(self.work, self._identity()),
            lambda done, total: bar.update(task, completed=done),
        )

    def _identity(self) -> dict[str, Any]:
        """All that decides a score but clip and question."""
        from streambridge import __version__
        from streambridge.loading import __file__ as house
        from streambridge.train.clip_scores import clip_state

        embedded = Path(house).parent / "embedded"
        weights = [clip_state(str(path)) for path in (Path(self.model), embedded / "backbone", embedded / "gate")]
        settings = {"gate": self.named, "settings": self.gate.settings(), "fps": self.fps}
        stamps = [files[1:] for files in weights]  # where the house stands is all the same
        return {"version": __version__, "model": self.model, "weights": stamps, **settings}

    def typed(self, proposed: Mapping[str, Any]) -> tuple[Any, bool]:
        """The trigger that the line on the command line makes, and whether it is the one proposed."""
        from streambridge.activation.sweep import trigger_of
        from streambridge.cli.choosing import gate_for

        wanted = trigger_of({"gate": self.named, **proposed})
        gate = gate_for(self.named, self.backbone, wanted.threshold, wanted.rest_s)
        made = trigger_of(gate.settings())
        return made, made.mapping() == wanted.mapping()

    def line(self, trigger: Any) -> str:
        """What to type behind `streambridge watch CLIP`."""
        gate = ["--model", self.model, "--activation", self.named]
        return shlex.join([*gate, "--threshold", f"{trigger.threshold:g}", "--rest", f"{trigger.rest_s:g}"])

    def again(self, proposed: Mapping[str, Any]) -> "_Run":
        """The same, with the gate as proposed."""
        from streambridge.activation.sweep import trigger_of

        asked: Any = getattr(self.gate, "second", self.gate)  # FIRST+SECOND: the second's numbers
        asked.trigger = trigger_of({"gate": self.named, **proposed})
        return self


def _expect(clips: Sequence[str], out: Path | None, plot: Path | None) -> None:
    """What can be told before a model is read."""
    if doubled := next((clip for clip in clips if list(clips).count(clip) > 1), None):
        raise WrongUse(f"the clip {doubled} is named twice; name each once, and the labels last")
    for path in (out, plot):
        if path is not None and not path.parent.is_dir():
            raise WrongUse(f"{path} cannot be written: there is no folder {path.parent}; name one that exists")
    if plot is not None:
        from streambridge.bench.gate_plots import expect_library

        expect_library(plot)


def _model(clips: Sequence[str], model: str | None) -> str:
    from streambridge.cli.choosing import FORMS, TINY, model_for
    from streambridge.sources.opening import parsed

    if model is not None:
        return model_for(clips[0], model)
    if other := next((clip for clip in clips if parsed(clip)[0] != "world"), None):
        knows = f"the embedded {TINY!r} knows only the made-up world, and {other} is none"
        raise WrongUse(f"no --model was named, and {knows}; type --model and {FORMS}, or --model {TINY} all the same")
    return TINY


def _in_code(proposed: Mapping[str, Any]) -> str:
    numbers = ", ".join(f"{name}={proposed[name]!r}" for name in ("threshold", "rest_s", "rearm", "rising"))
    return f"gate.trigger = TriggerSettings({numbers})"


# ---------------------------------------------------------------------------------------------- what is told


def _written(found: Mapping[str, Any], run: _Run, out: Path | None, plot: Path | None) -> None:
    if plot is not None:
        from streambridge.bench.gate_plots import curves

        marks = {"own": found["own"]["threshold"]}
        marks |= {"best": found["best"]["threshold"]} if found["proposed"] else {}
        name = "best" if found["proposed"] else "own"
        title = f"{run.named}, within {found['tolerance_s']:g} s, rest and hysteresis: {name}"
        curves(found["curve"][name], marks, title, plot)
    if out is not None and found["proposed"] is not None:
        _write(out, _yaml(found, run))


def _yaml(found: Mapping[str, Any], run: _Run) -> str:
    import yaml

    left = found["left_out"]
    said = {
        "model": run.model,
        "activation": run.named,
        **found["proposed"],
        "fps": run.fps,
        "f1_left_out": None if left is None else {when: left[when]["f1"] for when in ("before", "after")},
        "f1_in_sample": {when: found["in_sample"][when]["f1"] for when in ("before", "after")},
        "tolerance_s": found["tolerance_s"],
        "clips": found["n"]["clips"],
        "moments": found["n"]["moments"],
    }
    return f"# Proposed by streambridge tune; type: {found['type']}\n" + str(yaml.safe_dump(said, sort_keys=False))


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as err:
        raise WrongUse(f"--out {path} cannot be written: {err.strerror}; name a file in a folder that exists") from err


OFFER = tune
