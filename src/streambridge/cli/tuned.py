"""What `streambridge tune` found, as a person reads it. Knows no gate and no file."""

from collections.abc import Mapping
from typing import Any, Final

FIGURES: Final = {
    "precision": "precision, %",
    "recall": "recall, %",
    "f1": "F1, %",
    "delay_median_s": "delay median, s",
    "delay_p90_s": "delay p90, s",
    "false_alarms_per_hour": "false alarms an hour",
}


def lines(found: Mapping[str, Any]) -> list[str]:
    """The report as a person reads it."""
    n = found["n"]
    lines = [
        f"{n['moments']} moments, {n['watches']} watches, {n['clips']} clips, {n['frames']} frames judged; "
        f"a fire counts within {found['tolerance_s']:g} s",
        *([f"{n['failed']} failures on the way; see --json"] if n["failed"] else []),
        "",
        *_curve(found),
        "",
        f"own:      {_trigger(found['own'])}",
    ]
    if found["proposed"] is None:
        return [*lines, "", f"no proposal: {found['why']}"]
    lines += [f"best:     {_trigger(found['best'])}", "", *_pair("in sample", found["in_sample"]), ""]
    if found["left_out"] is None:
        lines += ["one clip: nothing could be left out, and the figures above flatter; give two clips or more", ""]
    else:
        lines += [*_pair("on clips left out", found["left_out"]), "", *_clips(found), ""]
    return [*lines, *_watches(found), "", *_advice(found)]


def _advice(found: Mapping[str, Any]) -> list[str]:
    lines = [f"proposed: {_trigger(found['proposed'])}" + (f" ({found['why']})" if found["why"] else "")]
    if "run_again" in found:
        lines.append(f"run again with what is proposed: F1 {_number(found['run_again']['f1'])} on these clips")
    lines.append(f"type: streambridge watch CLIP {found['type']}")
    if found["rearm_in_code"]:
        alone = _number(found["typed_in_sample"]["f1"])
        lines.append(
            f"that line has no hysteresis of its own and gives F1 {alone} in sample; with it, in code: "
            f"{found['rearm_in_code']}"
        )
    return lines


def _trigger(said: Mapping[str, Any]) -> str:
    rearm = "no edges" if said["rearm"] is None else f"re-armed at {said['rearm']:.4g}"
    return f"threshold {said['threshold']:g}, rest {said['rest_s']:g} s, {rearm}"


def _pair(title: str, pair: Mapping[str, Mapping[str, Any]]) -> list[str]:
    before, after = pair["before"], pair["after"]
    lines = [f"{title:<22}{'before':>24}{'after':>24}"]
    for name, said in FIGURES.items():
        lines.append(f"{said:<22}" + "".join(f"{_bounded(one, name):>24}" for one in (before, after)))
    return lines


def _bounded(one: Mapping[str, Any], name: str) -> str:
    digits = 2 if name.endswith("_s") else 1
    bounds = one["intervals"].get(name)
    return _number(one[name], digits) + (f" [{bounds[0]:.1f}, {bounds[1]:.1f}]" if bounds else "")


def _curve(found: Mapping[str, Any]) -> list[str]:
    """Every tenth threshold, and those that have a name; without a proposal, at the gate's own rest and hysteresis."""
    name = "best" if found["proposed"] else "own"
    marks = {found[key]["threshold"]: key for key in ("own", name)}
    head = ("threshold", "precision", "recall", "F1", "delay", "alarms/h", "fires")
    lines = [f"by threshold, rest and hysteresis: {name}", "".join(f"{word:>10}" for word in head)]
    for one in found["curve"][name]:
        threshold = one["threshold"]
        if threshold in marks or abs(10 * threshold - round(10 * threshold)) < 1e-6:
            figures = [one[key] for key in ("precision", "recall", "f1", "delay_median_s", "false_alarms_per_hour")]
            cells = "".join(f"{_number(figure):>10}" for figure in figures)
            lines.append(f"{threshold:>10g}{cells}{one['n']['fires']:>10}  {marks.get(threshold, '')}".rstrip())
    return lines


def _clips(found: Mapping[str, Any]) -> list[str]:
    lines = ["left out: F1 before, after, settings chosen on the others"]
    for one in found["by_clip"]:
        f1 = [_number(one[when]["f1"]) for when in ("before", "after")]
        lines.append(f"{f1[0]:>7}{f1[1]:>7}  {one['clip']}: {_trigger(one['settings'])}")
    return lines


def _watches(found: Mapping[str, Any]) -> list[str]:
    lines = ["in sample: F1 before, after, by watch"]
    for one in found["by_watch"]:
        f1 = [_number(one[when]["f1"]) for when in ("before", "after")]
        lines.append(f"{f1[0]:>7}{f1[1]:>7}  {one['watch']}")
    return lines


def _number(value: float | None, digits: int = 1) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
