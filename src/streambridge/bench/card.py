"""The card of the embedded pair: every figure measured here and now, with its interval and the command that makes it.

Knows no weights. Each part is stored as JSON beside the others, so that a card that was stopped goes on.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from streambridge import loading
from streambridge.bench.world import DISTANCES_S, Bench, Setting, bench, by_distance, quarter
from streambridge.world.truth import QUESTIONS, TAUGHT, WATCHES

SEED: Final = 1  # of all parts: streams of the test split that nothing was chosen on
SHARES: Final = {"precision": "precision", "recall": "recall", "text_exact": "exact words of those"}


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured."""

    short: int = 100  # streams of 1 minute
    long: int = 20  # streams of 5 minutes
    hours: int = 8  # streams of 1 hour, for false alarms
    quiet: int = 30  # streams of 3 minutes with one watch and nothing else
    distance: int = 24  # streams for each policy


def measure(setting: Setting, size: Size, work: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """All parts, each once.

    Args:
        setting: model and gate, default memory.
        size: how much.
        work: where the parts are stored.
        say: takes a line before each part.
    """
    plans = {
        "short": Bench(SEED, size.short, 1.0),
        "long": Bench(SEED + 1, size.long, 5.0),
        "quiet": Bench(SEED + 4, size.quiet, 3.0, quiet=True),
        "hours": Bench(SEED + 2, size.hours, 60.0),
    }
    parts = {name: _part(work / f"{name}.json", partial(bench, setting, plan), say) for name, plan in plans.items()}
    policies = [loading.load("memory", name) for name in loading.names("memory")]
    far = partial(by_distance, setting, Bench(SEED + 3, size.distance), policies)
    parts["distance"] = _part(work / "distance.json", far, say)
    return {**parts, "max_len": quarter(setting), "settings": setting.session().settings}


def _part(path: Path, make: Callable[[], Any], say: Callable[[str], None]) -> Any:
    if not path.is_file():
        say(f"measuring {path.stem}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(make(), indent=1) + "\n", encoding="utf-8")
    return json.loads(path.read_text(encoding="utf-8"))


def card(found: dict[str, Any], size: Size, folder: Path) -> str:
    """The card as Markdown."""
    return "\n".join([
        *_head(folder),
        *_scores("One-minute streams", found["short"], f"--seed {SEED} --streams {size.short} --minutes 1"),
        *_scores("Five-minute streams", found["long"], f"--seed {SEED + 1} --streams {size.long} --minutes 5"),
        *_scores("One watch and silence around it", found["quiet"], _quiet_flags(size)),
        *_alarms(found["hours"], f"--seed {SEED + 2} --streams {size.hours} --minutes 60"),
        *_distances(found["distance"], found["max_len"], f"--memory all --seed {SEED + 3} --streams {size.distance}"),
        *_limits(),
        "",
    ])  # fmt: skip


def _head(folder: Path) -> list[str]:
    sizes = {name: (folder / name / "model.safetensors").stat().st_size / 1e6 for name in ("backbone", "gate")}
    return [
        "# The embedded pair",
        "",
        "Written by `streambridge bench card`; every figure below was measured by that command. Percentages with their",
        "95 % intervals (Wilson for shares, exact Poisson for rates), on test worlds: no world of training or",
        "development is among them, by construction of their seeds.",
        "",
        f"- `tiny`, the Video-LLM: transformers' Qwen2-VL, 16 bit, {sizes['backbone']:.1f} MB; frames of 84 x 84",
        "  pixels, 9 tokens each",
        f"- `score_head`, the gate: transformers' Qwen2 with a score head on `<ACT>`, 16 bit, {sizes['gate']:.1f} MB;",
        "  it shares the eyes of `tiny`",
        "- made by `recipes/embedded_backbone.yaml` and `recipes/embedded_gate.yaml`; their training stands in `log/`",
        "- trained on made-up worlds only, at one frame a second; its answers are the sentences of `world/truth.py`",
        "",
    ]


def _scores(title: str, part: dict[str, Any], flags: str) -> list[str]:
    rows = [f"## {title}", "", f"`streambridge bench world {flags}`", ""]
    rows += ["| question | about | right | 95 % | n |", "|---|---|---|---|---|"] if part["questions"] else []
    for kind, row in part["questions"].items():
        low, high = part["intervals"]["questions"][kind]
        rows.append(f"| {kind} | {row['about']} | {row['accuracy']:.1f} | {low:.1f} - {high:.1f} | {row['n']} |")
    spoke, ranges = part["proactive"], part["intervals"]["proactive"]
    rows += ["", "| standing watches, within 1 s | | 95 % |", "|---|---|---|"]
    rows += [f"| {said} | {_number(spoke[name])} | {_range(ranges[name])} |" for name, said in SHARES.items()]
    rows += [f"| event F1 | {_number(spoke['f1'])} | |", f"| delay of the matched, s | {spoke['delay_s']:.2f} | |", ""]
    counts = part["n"]
    return [*rows, f"{counts['references']} events were due and {counts['fires']} answers came.", ""]


def _alarms(part: dict[str, Any], flags: str) -> list[str]:
    counts, spoke = part["n"], part["proactive"]
    low, high = part["intervals"]["proactive"]["false_alarms_per_hour"]
    return [
        "## Hours",
        "",
        f"`streambridge bench world {flags}`",
        "",
        f"Over {counts['hours']:.0f} simulated hours with one to three standing watches, at the threshold chosen on",
        f"development worlds: {counts['false_alarms']} false alarms, {spoke['false_alarms_per_hour']:.2f} an hour",
        f"(95 %: {low:.2f} - {high:.2f}), a recall of {_number(spoke['recall'])} % of {counts['references']} events,",
        f"and exact words in {_number(spoke['text_exact'])} % of the matched.",
        "",
    ]


def _distances(table: dict[str, dict[str, dict[str, float]]], max_len: int, flags: str) -> list[str]:
    keys = ["now", *(f"{distance} s" for distance in DISTANCES_S)]
    best = {key: max(row[key]["accuracy"] for row in table.values()) for key in keys}
    n = next(iter(table.values()))[keys[-1]]["n"]
    rows = [
        "## Memory policies by distance into the past",
        "",
        f"`streambridge bench world {flags}`",
        "",
        f"At {max_len} tokens, the answer's reserve included: a quarter of what the longest of these streams needs. A",
        "stream is watched for so long, then asked what the sign says now and what it said first: right answers in",
        f"percent (n = {n} for each distance, `now` all together). `keep_all`, `paper` and `repo` guarantee no budget.",
        "",
        "| policy | " + " | ".join(keys) + " |",
        "|---" * (len(keys) + 1) + "|",
    ]
    for name, row in table.items():
        rows.append(f"| {name} | " + " | ".join(f"{row[key]['accuracy']:.0f}" for key in keys) + " |")
    own = {key: table["round_decay"][key]["accuracy"] for key in keys}
    behind = [key for key in keys if own[key] < best[key]]
    said = ["`round_decay` is best or shares the best at every distance."]
    if behind:
        said = ["`round_decay` is not the best at:"]
    for key in behind:
        others = ", ".join(f"`{name}`" for name, row in table.items() if row[key]["accuracy"] == best[key])
        said.append(f"- {key}: {own[key]:.0f} against {best[key]:.0f} of {others}")
    return [*rows, "", *said, ""]


def _quiet_flags(size: Size) -> str:
    return f"--quiet --seed {SEED + 4} --streams {size.quiet} --minutes 3"


def _limits() -> list[str]:
    return [
        "## Limits",
        "",
        "- It knows the made-up world and nothing else: on any other video its words mean nothing.",
        "- It was taught these questions and watches, in these wordings; any other gets a wrong answer:",
        *(f"  - `{name}`: " + " ".join(QUESTIONS[name].wording) for name in TAUGHT),
        *(
            f"  - `{name}`, watched for: " + " ".join(watch.wording).format(arg="LAMP")
            for name, watch in WATCHES.items()
        ),
        "- Asked once a minute, `first_sign` is also answered from its own earlier answers.",
        "- It knows the words and numbers that worlds show, and cannot spell an unseen one.",
        "- What was merged is a mean: the older a thing, the less sure the answer. It never says that it is not sure.",
    ]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _range(bounds: list[float] | None) -> str:
    return "-" if bounds is None else f"{bounds[0]:.1f} - {bounds[1]:.1f}"


def quick(size: Size) -> Size:
    """A twentieth, to see that the card can be written."""
    return replace(size, short=5, long=1, quiet=2, hours=1, distance=1)
