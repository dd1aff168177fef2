"""Action instances in ActivityNet's layout: one sample per video and label. Knows no data set by name.

FineAction and HACS share it: videos by id, each with `annotations` of a `label` and a `segment` in seconds, `subset`
and `duration`. A label is asked for at the start and said at the end of each of its instances; the answer is the label
itself (arXiv 2505.05467, Appendix A).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from streambridge.data import spans, words
from streambridge.data.drafting import Draft
from streambridge.data.rows import Row
from streambridge.data.source_set import Given, Reject, listed, mapping
from streambridge.data.spans import Raw
from streambridge.types import Timeline

SPLITS: Final = {"training": "train", "validation": "val", "testing": "test"}
MOST_LABEL: Final = 100  # characters: a label is part of an id


@dataclass(slots=True)
class Label:
    """What one video holds of a label.

    Attributes:
        words: the label as it is spoken.
        raw: its instances as annotated.
        quirks: what was mended in its spelling.
    """

    words: str
    raw: list[Raw] = field(default_factory=list)
    quirks: set[str] = field(default_factory=set)


def convert(row: Row, given: Given) -> Iterator[Timeline]:
    """One video: a sample for each of its labels."""
    said = mapping(row.value, ("annotations", "subset", "duration"))
    instances = listed(said["annotations"], "annotations")
    given.tally.read.update({"videos": 1, "segments": len(instances)})
    split = _split(said["subset"], given)
    video, length = words.known_id(row.key), _length(said["duration"])
    lost: set[str] = set()
    found = by_label(instances, given.tally.drop, lost)
    made = False
    for slug, label in found.items():
        draft = Draft(given, row, f"{video}/{slug}", video, length, split)
        draft.quirks |= label.quirks | lost
        if told := draft.tidy(label.raw):
            made = True
            yield draft.proactive(told, about=label.words)
    if not made:
        raise Reject("no_segment", video)


def by_label(instances: Sequence[Any], dropped: Callable[[Reject], None], lost: set[str]) -> dict[str, Label]:
    """Instances by the slug of their label, in the order of first appearance.

    Labels that differ in case or in what stands between their words are one label.

    Args:
        instances: as they came.
        dropped: is told each one whose label cannot be read, and why.
        lost: takes the quirks of these; they belong to every label, since it may have been any.
    """
    found: dict[str, Label] = {}
    for one in instances:
        try:
            said = mapping(one, ("label", "segment"))
            slug, spoken, quirks = _spelled(said["label"])
        except Reject as err:
            dropped(err)
            lost.add(f"dropped_{err.reason}")
            continue
        label = found.setdefault(slug, Label(spoken))
        label.raw.append((*spans.pair(said["segment"]), label.words))
        label.quirks |= quirks
    return found


def _spelled(label: Any) -> tuple[str, str, set[str]]:
    """Slug and words of a label, and what was mended."""
    quirks: set[str] = set()
    clean = words.clean(label, quirks.add)
    spoken = words.spaced(clean)
    slug = re.sub(r"[\s/\\@:.-]+", "-", spoken.casefold()).strip("-")  # C, C++ and C# stay three
    if not slug:
        raise Reject("empty_text", f"{clean!r:.60}")
    if len(spoken) > MOST_LABEL:
        raise Reject("bad_text", f"{clean!r:.60}")
    return slug, spoken, quirks | ({"label_spelled"} if spoken != clean else set())


def _split(subset: Any, given: Given) -> str:
    if not isinstance(subset, str) or subset not in SPLITS:
        raise Reject("unknown_layout", f"subset is one of {', '.join(SPLITS)}; got {subset!r:.40}")
    given.tally.read[f"{subset}_videos"] += 1
    return SPLITS[subset]


def _length(duration: Any) -> Any:
    """Seconds; HACS writes them as a text."""
    return words.number(duration, "missing_duration") if isinstance(duration, str) else duration
