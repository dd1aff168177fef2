"""E.T. Instruct 164K: questions about times in a video, of nine tasks. Knows that file's layout and nothing of videos.

Three tasks have a place in a stream: `tvg` (find a sentence), `slc` (steps) and `dvc` (events). The activation model
of arXiv 2505.05467 is trained on `tvg` alone (Appendix A), so that is the default. Times are those of `tgt`, pairs in
one flat list, so both files will do: `txt`, which writes times into the words, and `vid`, which has tokens there.
How the questions are worded is not documented; a sentence to be found is taken where it stands in quotes, or behind
the only colon, and a record where it stands neither way is rejected.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from streambridge.data import words
from streambridge.data.conversations import pairs, plain
from streambridge.data.drafting import Draft
from streambridge.data.marks import mark
from streambridge.data.moments import moment
from streambridge.data.rows import Row
from streambridge.data.source_set import Given, Input, Reject, SourceSet, listed, mapping
from streambridge.errors import WrongUse
from streambridge.types import Timeline

TASKS: Final = {"tvg": "grounding", "slc": "step", "dvc": "dense_caption"}
_SOURCE: Final = re.compile(r"[A-Za-z]\w+", re.ASCII)
_OPENS: Final = re.compile(r"(?<![\w'\"’”.,;!?])['\"‘“](?=\S)")
_CLOSES: Final = re.compile(r"(?<=\S)['\"’”](?!\w)")
_TOKEN: Final = "<vid>"
_SPAN: Final = re.compile(  # `2.5 - 4.8 seconds, ` in one file, `<vid> - <vid>, ` in the other
    r"\s*(?:\d+(?:\.\d+)?\s*-\s*\d+(?:\.\d+)?\s*seconds|<vid>(?:\s*-?\s*<vid>)?(?:\s*seconds)?)[,:]?\s*"
)


@dataclass(frozen=True, slots=True)
class Options:
    """What to take of this set.

    Attributes:
        tasks: of `tvg`, `slc` and `dvc`.
    """

    tasks: tuple[str, ...] = ("tvg",)

    def __post_init__(self) -> None:
        for task in self.tasks:
            if task not in TASKS:
                raise WrongUse(f"et_instruct: tasks are some of {', '.join(TASKS)}; got {task!r:.40}")


def convert(row: Row, given: Given) -> Iterator[Timeline]:
    """One row."""
    given.tally.read["rows"] += 1
    said = mapping(row.value, ("task", "source", "video", "duration", "conversations"))
    task = said["task"]
    if not isinstance(task, str):
        raise Reject("unknown_layout", f"a task is a text; got {task!r:.40}")
    given.tally.read.update([task] if task in TASKS else [])
    if task not in given.options.tasks:
        raise Reject("out_of_scope", task[:40])
    talk = pairs(said["conversations"])
    if len(talk) != 1:
        raise Reject("length_mismatch", f"one question and its answer; got {len(talk)}")
    asked, answer = talk[0]
    draft, times = _draft(row, given, said), _times(said.get("tgt"), answer)
    yield _found(draft, asked, times) if task == "tvg" else _told(draft, TASKS[task], times, answer)


def _draft(row: Row, given: Given, said: Mapping[str, Any]) -> Draft:
    """Videos are named `source/ID.mp4`; the source is a data set of its own."""
    source, file = said["source"], words.stem(words.known_id(said["video"]))
    if not isinstance(source, str) or not _SOURCE.fullmatch(source):
        raise Reject("bad_id", f"source {source!r:.40}")
    video = file.removeprefix(f"{source}/")
    return Draft(given, row, f"{source}/{video}/{mark(row.value)}", video, said["duration"], dataset=source)


def _times(tgt: Any, answer: Any) -> list[tuple[Any, Any]]:
    """The pairs of the flat list."""
    if tgt is None or tgt == []:
        hidden = isinstance(answer, str) and _TOKEN in answer
        raise Reject("bad_text" if hidden else "no_segment", f"no tgt; the answer is {answer!r:.60}")
    times = listed(tgt, "tgt")
    if len(times) % 2:
        raise Reject("length_mismatch", f"{len(times)} times are no pairs")
    return list(zip(times[::2], times[1::2], strict=True))


# ---------------------------------------------------------------------------------------------- tvg


def _found(draft: Draft, asked: Any, times: list[tuple[Any, Any]]) -> Timeline:
    if len(times) != 1:
        raise Reject("length_mismatch", f"one moment; got {len(times)}")
    sentence = query(plain(asked, draft.repaired)) if isinstance(asked, str) else asked
    return moment(draft, *times[0], sentence)


def query(text: str) -> str:
    """The sentence that a question asks to find.

    It ends at the first closing quote behind which all quotes are in pairs: an apostrophe ends nothing.

    Raises:
        Reject: `bad_text` when it is not to be found, or not for certain.
    """
    if opening := _OPENS.search(text):
        for closing in _CLOSES.finditer(text, opening.end()):
            rest = text[closing.end() :]
            if len(_OPENS.findall(rest)) == len(_CLOSES.findall(rest)):
                return text[opening.end() : closing.start()].strip()
    elif text.count(": ") == 1:
        return text.partition(": ")[2].strip()
    raise Reject("bad_text", f"no sentence in {text!r:.80}")


# ---------------------------------------------------------------------------------------------- slc and dvc


def _told(draft: Draft, task: str, times: list[tuple[Any, Any]], answer: Any) -> Timeline:
    if not isinstance(answer, str):
        raise Reject("bad_text", f"{answer!r:.60}")
    before, *sentences = _SPAN.split(answer)
    if before.strip() or len(sentences) != len(times):
        raise Reject("length_mismatch", f"{len(times)} spans, {len(sentences)} sentences behind {before!r:.40}")
    raw = [(*pair, text.rstrip("; \n")) for pair, text in zip(times, sentences, strict=True)]
    return draft.proactive(draft.tidy(raw), task)


OFFER = SourceSet(
    name="et_instruct",
    title="E.T. Instruct 164K",
    dataset="et_instruct",
    version="164k",
    licence="CC BY-NC-SA 4.0",
    task="grounding",
    inputs=(Input("annotations", "et_instruct_164k_txt.json or et_instruct_164k_vid.json", "json"),),
    convert=convert,
    options=Options,
)
