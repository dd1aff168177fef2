"""A sentence and the one span that shows it: asked for at the start, confirmed at its end. Knows no data set.

Sets for grounding give a sentence and times, but no words for an answer. The activation model learns when to speak
(arXiv 2505.05467, Appendix A) and never what, so any short text would do for it; ours names the sentence, so that
an answer can be read by itself and so that two questions about one video are not answered alike.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from streambridge.data.drafting import Draft
from streambridge.data.draws import pick
from streambridge.types import Timeline

CONFIRMED: Final = (
    "This is it: {words}",
    "There it was: {words}",
    "That was the moment: {words}",
    "It has just been shown: {words}",
    "Here it is: {words}",
)


def moment(draft: Draft, start: Any, end: Any, sentence: Any) -> Timeline:
    """A sample of one question and one answer.

    Args:
        draft: of the sample.
        start: of the span, in seconds, as it came.
        end: of the span.
        sentence: what is to be found, as it came.

    Raises:
        Reject: whatever is wrong with the span or the sentence; without them there is no sample.
    """
    span = draft.one((start, end, sentence))
    wording = CONFIRMED[pick(len(CONFIRMED), draft.policy.seed, draft.id, "confirmed")]
    return draft.proactive([replace(span, text=wording.replace("{words}", span.text))], "grounding", span.text)
