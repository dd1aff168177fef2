"""A gate's figures as Markdown tables. Knows no log and measures nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

Row = Mapping[str, Any]
HEAD: Final = (
    "precision", "recall", "F1", "delay median / p90, s", "false alarms an hour", "fires", "met", "twice"
)  # fmt: skip
SHOWN: Final = 0.1  # thresholds that stand in the table of a page; the JSON has all


def page(found: Mapping[str, Any], command: str, plots: Mapping[str, str]) -> str:
    """The report of `bench gate`.

    Args:
        found: of `gate_scores.evaluate`.
        command: what made it.
        plots: name of each plot -> its address beside the page.
    """
    n = found["n"]
    parts = [
        ["# The gate, from stored scores", "", f"`{command}`", ""],
        [f"{n['streams']} streams, {n['watches']} watches. " + _told(found["settings"]), ""],
        _notes(n),
        ["## Moments met, by tolerance", "", *table("within", _seconds(found["by_tolerance"])), "", *_legend()],
        _kinds(found),
        ["## Calibration of the scores", "", *_calibration(found["calibration"])],
        ["## Other thresholds", "", *_sweep(found), "", *_grid(found)],
        [line for name, place in plots.items() for line in (f"![{name}]({place})", "")],
    ]
    return "\n".join(line for part in parts for line in part).rstrip() + "\n"


def _told(settings: Sequence[Row]) -> str:
    said = "; ".join(
        f"threshold {one['threshold']:g}, rest {one['rest_s']:g} s, re-armed at {_number(one['rearm'], 3)}"
        for one in settings
    )
    return f"Ran with: {said}."


def _notes(n: Mapping[str, int]) -> list[str]:
    said = {
        "unasked": "watches of the timelines were never put; their moments count as missed",
        "beside": "watches of the logs are in no timeline; they count for nothing",
        "ended_by_answer": "watches ended with their answer; what they would have scored behind it is not known",
        "fires_that_differ": "fires of the logs differ from those of the trigger run anew: the sweep is off by so many",
    }
    lines = [f"- {n[name]} {text}" for name, text in said.items() if n[name]]
    return [*lines, ""] if lines else []


def _legend() -> list[str]:
    return [
        "In brackets 95 %: Wilson's interval of a share, the exact Poisson interval of a rate. `twice`: false alarms "
        "near a",
        "moment that another fire had met already. A delay below 0 is a fire before its moment.",
        "",
    ]


def _seconds(rows: Mapping[str, Row]) -> list[tuple[str, Row]]:
    return [(f"{tol} s", row) for tol, row in rows.items()]


def table(first: str, rows: Iterable[tuple[str, Row]]) -> list[str]:
    """Rows of figures (`scoring.alarms.row`) under a first column."""
    lines = [f"| {first} | " + " | ".join(HEAD) + " |", "|---" * (len(HEAD) + 1) + "|"]
    return [*lines, *(f"| {name} | " + " | ".join(cells(row)) + " |" for name, row in rows)]


def cells(row: Row) -> list[str]:
    """The figures of one row, in the order of HEAD."""
    n, ranges = row["n"], row["intervals"]
    return [
        _number(row["precision"]) + _range(ranges["precision"]),
        _number(row["recall"]) + _range(ranges["recall"]),
        _number(row["f1"]),
        f"{_number(row['delay_median_s'], 2)} / {_number(row['delay_p90_s'], 2)}",
        _number(row["false_alarms_per_hour"]) + _range(ranges["false_alarms_per_hour"]),
        str(n["fires"]),
        f"{n['matched']} of {n['references']}",
        str(n["duplicates"]),
    ]


def _kinds(found: Mapping[str, Any]) -> list[str]:
    if len(found["by_kind"]) < 2:
        return []
    said = f"By kind of question, within {found['tolerance_s']:g} s; alarms by the hour of one watch"
    return [f"{said}:", "", *table("kind", found["by_kind"].items()), ""]


def _calibration(found: Mapping[str, Any]) -> list[str]:
    n = found["n"]
    if not n["frames"]:
        return ["No frame was judged.", ""]
    return [
        f"{n['frames']} frames, {n['positive']} of which should fire. ECE {found['ece']:.4f} in {len(found['bins'])} "
        f"bins, Brier {found['brier']:.4f}",
        f"(always saying the base rate: {found['brier_of_the_base_rate']:.4f}).",
        "",
        "| scores | frames | mean score | should fire, % | 95 % |",
        "|---|---|---|---|---|",
        *(
            f"| {one['low']:.1f} - {one['high']:.1f} | {one['n']} | {_number(one['score'], 3)} | "
            f"{_number(one['positive'])} |{_range(one['interval']) or ' -'} |"
            for one in found["bins"]
        ),
        "",
    ]


def _sweep(found: Mapping[str, Any]) -> list[str]:
    own = found["settings"][0]["threshold"]
    rows = found["sweep"][f"{found['tolerance_s']:g}"]
    return [
        f"Within {found['tolerance_s']:g} s, at the rest and hysteresis of the logs; the trigger runs anew over the "
        "stored scores.",
        "A gate hears its own answers: with other fires its scores might have been others.",
        "",
        *table("threshold", shown(rows, {own: "own"})),
    ]


def shown(rows: Sequence[Row], named: Mapping[float, str]) -> list[tuple[str, Row]]:
    """Every tenth, and the named ones with their names."""
    return [
        (f"{row['threshold']:g}" + (f" ({named[row['threshold']]})" if row["threshold"] in named else ""), row)
        for row in rows
        if row["threshold"] in named or abs(row["threshold"] / SHOWN - round(row["threshold"] / SHOWN)) < 1e-6
    ]


def _grid(found: Mapping[str, Any]) -> list[str]:
    top = found["best"]
    return [
        "Rest and hysteresis, each at its best threshold:",
        "",
        *table("re-armed at, rest, threshold", ((setting(one), one) for one in found["grid"])),
        "",
        f"The best on these very streams: threshold {top['threshold']:g}, rest {top['rest_s']:g} s, re-armed at "
        f"{_number(top['rearm'], 3)}: F1 {_number(top['f1'])}.",
        "It was chosen on what it is measured on; `streambridge tune` leaves clips out.",
        "",
    ]


def setting(one: Row) -> str:
    """A trigger in a few words."""
    share = "no edges" if one["rearm"] is None else f"{one['rearm_share']:g} of it"
    return f"{share}, {one['rest_s']:g} s, {one['threshold']:g}"


def _number(value: float | None, digits: int = 1) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _range(bounds: Sequence[float] | None) -> str:
    return "" if bounds is None else f" [{bounds[0]:.1f}, {bounds[1]:.1f}]"
