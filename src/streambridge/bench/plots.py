"""The plots of `streambridge bench latency`: its records as SVG. Knows no model and no clock; measures nothing.

Every point stands in a record, or is the median of some. The same records give the same bytes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from streambridge.bench.equality import TOLERANCE
from streambridge.bench.records import Row, Rows, sorted_out
from streambridge.errors import Missing, RunFailed

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INCHES: Final = (7.3, 4.2)  # 700 pixels wide
STILL: Final = {  # no salt of chance, text that stays text
    "svg.hashsalt": "streambridge",
    "svg.fonttype": "none",
    "font.size": 11.0,
    "axes.grid": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.alpha": 0.3,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
}
LOOKS: Final = {  # colour and marker; the colours are those of Okabe and Ito, told apart by colour-blind eyes too
    "paper": ("#D55E00", "s"),
    "re-run": ("#D55E00", "s"),
    "paper+prefix-cache": ("#E69F00", "D"),
    "round_decay": ("#56B4E9", "o"),
    "lazy": ("#56B4E9", "o"),
    "round_decay+shadow": ("#0072B2", "^"),
    "cached": ("#0072B2", "^"),
    "eager": ("#0072B2", "^"),
    "budgeted": ("#009E73", "v"),
    "sink+window": ("#CC79A7", "P"),
    "kv-pool": ("#000000", "X"),
    "re-rotate": ("#999999", "*"),
}
OTHER: Final = ("#444444", ".")
DASHES: Final = ("-", "--", ":", "-.")
LEAST_ERROR: Final = 1e-8  # an error of 0 is drawn here, since the axis is logarithmic


class Plot(NamedTuple):
    """A plot: the scenario it is of, how it is drawn, its words; `log` names the axes that are logarithmic."""

    scenario: str
    draw: Callable[[Axes, Mapping[str, Rows]], None]
    title: str
    across: str
    up: str
    log: str


def draw(records: Sequence[Mapping[str, Any]], folder: Path) -> dict[str, str]:
    """Draw what the records allow.

    Args:
        records: as of `performance.page`; a plot whose records are missing, or hold no point, is left out.
        folder: where the files go; made when it is not there.

    Returns:
        Name of each plot -> its address as seen from a page that stands beside the folder.

    Raises:
        BadInput: for a record that cannot be read.
        Missing: when matplotlib is not installed.
        RunFailed: when a file cannot be written.
    """
    try:
        import matplotlib
    except ModuleNotFoundError as err:
        raise Missing("matplotlib", "plots", "drawing plots") from err
    found, drawn = sorted_out(records), {}
    with matplotlib.rc_context(rc=dict(STILL)):  # type: ignore[arg-type]  # its keys are a literal type
        for name, plot in PLOTS.items():
            if plot.scenario in found and _save(plot, found, folder / f"{name}.svg"):
                drawn[name] = f"{folder.name}/{name}.svg"
    return drawn


def _save(plot: Plot, found: Mapping[str, Rows], path: Path) -> bool:
    """Draw one; false where there was no point to draw."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=INCHES, layout="constrained")
    axes = figure.add_subplot()
    _prepare(axes, plot)
    plot.draw(axes, found)
    if not axes.lines:
        return False
    labels = axes.get_legend_handles_labels()[1]
    figure.legend(loc="outside lower center", ncols=2 if max(map(len, labels)) > 20 else 4, fontsize=9)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
    except OSError as err:
        raise RunFailed(f"the plot {path} cannot be written: {err.strerror}; name a folder that can be") from err
    return True


def _prepare(axes: Axes, plot: Plot) -> None:
    """Words and scales; a logarithmic axis is labelled at 1, 2 and 5 in plain numbers."""
    from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

    axes.set(title=plot.title, xlabel=plot.across, ylabel=plot.up)
    if "x" in plot.log:
        axes.set_xscale("log")
    if "y" in plot.log:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))


def _line(axes: Axes, label: str, variant: str, points: Sequence[tuple[float, float]], **how: Any) -> None:
    """One variant's line, in its colour; what is no number above 0 is left out, since most axes are logarithmic."""
    real = sorted((x, y) for x, y in points if math.isfinite(x) and math.isfinite(y) and y > 0)
    if real:
        color, marker = LOOKS.get(variant, OTHER)
        how = {"marker": marker, "markersize": 5, **how}
        axes.plot([x for x, _ in real], [y for _, y in real], label=label, color=color, **how)


def _by_variant(rows: Rows) -> Iterator[tuple[str, Rows]]:
    for variant in dict.fromkeys(row["variant"] for row in rows):
        yield variant, [row for row in rows if row["variant"] == variant]


def _longest(rows: Rows) -> Rows:
    """The rows of one setting: that of the largest memory and frames, and the longest stream of it."""

    def setting(row: Row) -> tuple[float, ...]:
        return tuple(row.get(key) or 0 for key in ("max_len", "frame_tokens", "hours", "minutes"))

    most = max(setting(row) for row in rows)
    first = next(row for row in rows if setting(row) == most)
    same = ("machine", "size", "model", "dtype")
    return [row for row in rows if setting(row) == most and all(row.get(key) == first.get(key) for key in same)]


def _over_time(axes: Axes, rows: Rows) -> None:
    chosen = _longest(rows)
    for row in chosen:
        points = [(t / 60, ms) for t, ms in zip(row["t"], row["ttft_all_ms"], strict=True)]
        _line(axes, row["variant"], row["variant"], points, markersize=3, linewidth=1.2)
    told = chosen[0]
    on = f"{told['model']} on {told['machine']}, calculated" if "machine" in told else f"{told['size']} {told['dtype']}"
    axes.text(0, 1.0, f"{on}; MaxLen {told['max_len']}, {told['frame_tokens']} tokens a frame", fontsize=9,
              transform=axes.transAxes, va="bottom")  # fmt: skip


def _frames(axes: Axes, found: Mapping[str, Rows]) -> None:
    rows = found["frames"]
    lengths = sorted({row["max_len"] for row in rows}, reverse=True)
    for variant, own in _by_variant(rows):
        for row in sorted(own, key=lambda row: -row["max_len"]):
            style = DASHES[lengths.index(row["max_len"]) % len(DASHES)]
            points = list(zip(row["frame"], row["ttft_ms"], strict=True))
            _line(axes, f"{variant}, MaxLen {row['max_len']}", variant, points, linestyle=style, marker=None)
    axes.set_ylim(bottom=0)


def _gate(axes: Axes, found: Mapping[str, Rows]) -> None:
    for variant, rows in _by_variant(found["gate"]):
        _line(axes, variant, variant, [(row["seconds"], row["step_ms"]) for row in rows])


def _rivals(axes: Axes, found: Mapping[str, Rows]) -> None:
    errors = [max(row["max_abs_logit_diff"], LEAST_ERROR) for row in found["rivals"]]
    for row, error in zip(found["rivals"], errors, strict=True):
        _line(axes, row["variant"], row["variant"], [(error, row["p99_ms"])], linestyle="", markersize=10)
    errors = [error for error in errors if math.isfinite(error)]
    if axes.lines:
        axes.axvspan(LEAST_ERROR / 2, TOLERANCE, color="#000000", alpha=0.06, linewidth=0)
        axes.text(TOLERANCE / 2, 0.03, "exact", transform=axes.get_xaxis_transform(), ha="right", fontsize=9)
        axes.set_xlim(LEAST_ERROR / 2, 2 * max(TOLERANCE, *errors))


def _rare(axes: Axes, found: Mapping[str, Rows]) -> None:
    from matplotlib.ticker import NullLocator, StrMethodFormatter

    for variant, rows in _by_variant(found["rare"]):
        _line(axes, variant, variant, [(row["every_s"], row["flop"] / 1e15) for row in rows])
    axes.set_xticks(sorted({row["every_s"] for row in found["rare"]}))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    for row in found.get("break-even", []) if axes.lines else []:
        if row.get("every_s") is not None:
            axes.axvline(row["every_s"], color="#000000", linestyle=":", linewidth=1.2,
                         label=f"break-even: {row['every_s']:.3g} s")  # fmt: skip


PLOTS: Final = {
    "long-stream": Plot(
        "long-stream", lambda axes, found: _over_time(axes, found["long-stream"]), "Time to the first token\n",
        "stream time, minutes", "TTFT, ms", "y",
    ),
    "frames": Plot("frames", _frames, "Latency against frame number", "frame number", "response latency, ms", ""),
    "gate": Plot("gate", _gate, "The gate, a frame", "seconds since the question", "step, ms", "y"),
    "rivals": Plot(
        "rivals", _rivals, "Error against latency", "max logit error against the recompute (0 at the edge)",
        "TTFT p99, ms", "xy",
    ),
    "rare": Plot("rare", _rare, "Compute where answers are rare", "seconds between answers", "compute, PFLOP", "xy"),
    "replay": Plot(
        "replay", lambda axes, found: _over_time(axes, found["replay"]), "Time to the first token, 7B\n",
        "stream time, minutes", "TTFT, ms (calculated)", "y",
    ),
}  # fmt: skip
