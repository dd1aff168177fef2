"""The plots of a gate: curves over the threshold, and what its scores mean. Knows no log; draws what it is given.

The same figures give the same bytes, as SVG. PNG is there for those who want to look quickly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from streambridge.errors import Missing, RunFailed, WrongUse

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Row = Mapping[str, Any]
LINES: Final = (("precision", "#0072B2", "-"), ("recall", "#E69F00", "--"), ("f1", "#000000", "-"))
DELAYS: Final = (("delay_median_s", "#009E73", "-"), ("delay_p90_s", "#D55E00", "--"))
FORMATS: Final = ("svg", "png")


def expect_library(path: Path) -> None:
    """Refuse before anything long what could not be drawn in the end.

    Raises:
        Missing: when matplotlib is not installed.
        WrongUse: when the file is neither SVG nor PNG, or its folder is not there.
    """
    try:
        import matplotlib  # noqa: F401
    except ModuleNotFoundError as err:
        raise Missing("matplotlib", "plots", "drawing plots") from err
    if path.suffix.lower().removeprefix(".") not in FORMATS:
        raise WrongUse(f"a plot is a file that ends in .svg or .png; {path} does not")


def curves(rows: Sequence[Row], marks: Mapping[str, float], title: str, path: Path) -> None:
    """Precision, recall and F1 over the threshold, and the delays below.

    Args:
        rows: figures with a `threshold` each.
        marks: what is marked upright: its name and its threshold.
        title: above the plot.
        path: the file; its ending names the format.

    Raises:
        Missing: when matplotlib is not installed.
        RunFailed: when the file cannot be written.
    """

    def draw(figure: Figure) -> None:
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
        for name, color, dash in LINES:
            _line(above, rows, name, color, dash)
        for name, color, dash in DELAYS:
            _line(below, rows, name, color, dash)
        for number, (name, threshold) in enumerate(marks.items()):
            for axes in (above, below):
                axes.axvline(threshold, color="#CC79A7", linestyle=(":", "-.")[number % 2], linewidth=1.4,
                             label=name if axes is above else None)  # fmt: skip
        above.set(title=title, ylabel="percent", ylim=(0, 103))
        below.set(xlabel="threshold", ylabel="delay, s", xlim=(0, 1))
        figure.legend(loc="outside lower center", ncols=4, fontsize=9)

    _save(draw, path, tall=1.4)


def reliability(table: Sequence[Row], title: str, path: Path) -> None:
    """Share of positive frames over the mean score of each bin, with 95 % intervals.

    Raises:
        Missing: when matplotlib is not installed.
        RunFailed: when the file cannot be written.
    """

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        held = [one for one in table if one["n"]]
        axes.plot([0, 1], [0, 100], color="#999999", linestyle="--", label="as it should be")
        low = [max(0.0, one["positive"] - one["interval"][0]) for one in held]
        high = [max(0.0, one["interval"][1] - one["positive"]) for one in held]
        across, up = [one["score"] for one in held], [one["positive"] for one in held]
        axes.errorbar(across, up, yerr=[low, high], color="#0072B2", marker="o", capsize=3, label="found, with 95 %")
        for one in held:
            axes.annotate(str(one["n"]), (one["score"], one["positive"]), xytext=(5, -12), textcoords="offset points",
                          fontsize=8)  # fmt: skip
        axes.set(title=title, xlabel="mean score of a bin", ylabel="frames that should fire, percent",
                 xlim=(-0.02, 1.02), ylim=(-3, 103))  # fmt: skip
        figure.legend(loc="outside lower center", ncols=2, fontsize=9)

    _save(draw, path)


def _line(axes: Axes, rows: Sequence[Row], name: str, color: str, dash: str) -> None:
    points = [(row["threshold"], row[name]) for row in rows if row[name] is not None]
    said = name.removesuffix("_s").replace("_", " ").replace("f1", "F1")
    axes.plot([x for x, _ in points], [y for _, y in points], color=color, linestyle=dash, label=said)


def _save(draw: Callable[[Figure], None], path: Path, tall: float = 1.0) -> None:
    expect_library(path)
    import matplotlib
    from matplotlib.figure import Figure

    from streambridge.bench.plots import INCHES, STILL  # here: that file knows more rooms, heavy ones too

    with matplotlib.rc_context(rc=dict(STILL)):  # type: ignore[arg-type]  # its keys are a literal type
        figure = Figure(figsize=(INCHES[0], INCHES[1] * tall), layout="constrained")
        draw(figure)
        kind = path.suffix.lower().removeprefix(".")
        still: dict[str, Any] = {"Date": None, "Creator": None} if kind == "svg" else {"Software": None}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            figure.savefig(path, format=kind, dpi=120, metadata=still)
        except OSError as err:
            raise RunFailed(f"the plot {path} cannot be written: {err.strerror}; name a folder that can be") from err
