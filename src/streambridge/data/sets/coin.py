"""COIN: a mapping of how-to videos to labelled steps. Knows that file's layout and nothing of videos.

`class` names the task in CamelCase; as words it is the goal that the question asks about. Nothing was annotated
outside `start` to `end`, a region of the video that is not needed here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from streambridge.data import spans, words
from streambridge.data.drafting import Draft
from streambridge.data.draws import pick
from streambridge.data.rows import Row
from streambridge.data.source_set import Given, Input, Reject, SourceSet, listed, mapping
from streambridge.types import Timeline

SPLITS: Final = {"training": "train", "testing": "test"}
ASKED: Final = (  # ours, in the sense of arXiv 2505.05467, Appendix A: break a task down into its steps
    "This is about how to {goal}. Tell me each step as it is finished.",
    "I want to learn how to {goal}. Name every step once it is done.",
    "Somebody shows how to {goal}. Say each step when it is completed.",
    "Watch how to {goal}, and tell me which step has just been done.",
    "Break this down into the steps of how to {goal}, each one as it ends.",
)


def convert(row: Row, given: Given) -> Iterator[Timeline]:
    """One video."""
    said = mapping(row.value, ("duration", "class", "subset", "annotation"))
    steps = [mapping(step, ("segment", "label")) for step in listed(said["annotation"], "annotation")]
    raw = [(*spans.pair(step["segment"]), step["label"]) for step in steps]
    spans.count_raw(given.tally.read, raw, said["duration"])
    if not isinstance(said["subset"], str) or said["subset"] not in SPLITS:
        raise Reject("unknown_layout", f"subset is one of {', '.join(SPLITS)}; got {said['subset']!r:.60}")
    given.tally.read.update({said["subset"]: 1, "tasks": given.first("task", str(said["class"]))})
    draft = Draft(given, row, row.key, row.key, said["duration"], SPLITS[said["subset"]])
    yield draft.proactive(draft.tidy(raw), spoken=_asked(draft, said["class"]))


def _asked(draft: Draft, label: Any) -> str:
    """The question, with the goal in it."""
    given = draft.text(label)
    goal = draft.text(words.spaced(given))  # a label of underscores alone leaves no words
    if goal != given:
        draft.repaired("label_spelled")
    return ASKED[pick(len(ASKED), draft.policy.seed, draft.id, "prompt", 0)].replace("{goal}", goal)


OFFER = SourceSet(
    name="coin",
    title="COIN",
    dataset="youtube",
    version="1",
    licence="annotations: CC BY-NC 4.0 (the readme: research only); videos: YouTube",
    task="step",
    inputs=(Input("annotations", "COIN.json", "json", under="database"),),
    convert=convert,
    expected={"all": {"videos": 11_827, "tasks": 180}},
)
