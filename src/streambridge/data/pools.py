"""One clip and its caption as a sample, for the pools that StreamingQA is made from. Knows no data set.

A clip is a stretch of a source video. At its end somebody asks what is going on and is told the caption; the whole
clip is the evidence, by construction and not by a repair. Pools hold millions of clips: this is kept short.
"""

from __future__ import annotations

from typing import Any, Final

from streambridge.data import prompts, words
from streambridge.data.drafting import Draft
from streambridge.data.rows import Row
from streambridge.data.source_set import Given, Reject
from streambridge.streamit import to_s
from streambridge.types import Media, Question, Reference, Timeline

MOST_SCORE: Final = 1e6  # of any pool's score, up or down; NaN does not lie below it


def clip(row: Row, given: Given, video: Any, start: float, end: float, caption: Any, score: Any = None) -> Timeline:
    """A sample of one clip.

    Args:
        row: the record it stands in.
        given: policy and tally.
        video: the source video's id.
        start: of the clip in the source video, in seconds.
        end: of the clip.
        caption: as it came.
        score: how well caption and clip agree, on the pool's own scale; kept in `source`.

    Raises:
        Reject: `missing_id`, `bad_id`, `reversed`, `zero_length`, `empty_text`, `bad_text`, `unknown_layout`.
    """
    name, start_ms, end_ms = words.known_id(video), round(1000 * start), round(1000 * end)
    if start_ms > end_ms:
        raise Reject("reversed", f"{start_ms} - {end_ms} ms")
    if end_ms - start_ms < given.policy.tick_ms:
        raise Reject("zero_length", f"{end_ms - start_ms} ms hold no frame")
    draft = Draft(given, row, f"{name}_{start_ms}_{end_ms}", name, to_s(end_ms - start_ms))
    text, known, over = draft.text(caption), _score(score), to_s(draft.duration)
    asked = Question("q0", over, prompts.worded("now", given.policy.seed, draft.id), "now", "question")
    told = Reference("a0", over, text, "q0", ((0.0, over),))
    media = (Media(draft.uri, to_s(start_ms), to_s(end_ms)),)
    sample = draft.finish((asked, told), "multi_turn", media=media)
    if known is not None:
        sample.meta["source"]["score"] = known
    return sample


def _score(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not -MOST_SCORE < value < MOST_SCORE:
        raise Reject("unknown_layout", f"a score is a number; got {value!r:.40}")
    return value
