"""How a checkpoint writes a conversation, read off its own chat template. Knows no tokenizer, no frame and no model.

A template is a program over whole conversations; a stream needs the pieces between the words, each known before what
comes next. So conversations of marked words are written out once, and cut at the marks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from streambridge.errors import BadInput

Message: TypeAlias = Mapping[str, Any]
Write: TypeAlias = Callable[[Sequence[Message], bool], str]  # messages; whether the answer's header is to follow

RULE: Final = "Qrulemark"
ASKED: Final = "Qaskedmark"
SAID: Final = "Qsaidmark"
AGAIN: Final = "Qagainmark"


@dataclass(frozen=True, slots=True)
class Template:
    """The pieces between the words. A user's turn is open at all times, so that frames have a place to go.

    Attributes:
        opening: what stands before the first picture or word when no rule was given.
        rule: what stands before and behind the words of a rule (the system's).
        joint: between what is seen and words about it; where the template puts nothing, a new line, for questions may
            follow one another.
        answer: closes the user's turn and opens the answer.
        close: closes the answer and opens the user's next turn.
    """

    opening: str
    rule: tuple[str, str]
    joint: str
    answer: str
    close: str


def read_template(write: Write, picture: str, kind: str) -> Template:
    """Cut a chat template into its pieces.

    Args:
        write: writes a conversation out.
        picture: what one picture becomes there.
        kind: of content that a picture is in this template: `image` or `video`.

    Raises:
        BadInput: when the template cannot be read so.
    """

    def user(words: str) -> Message:
        return {"role": "user", "content": [{"type": kind}, _words(words)]}

    asked = write([user(ASKED)], True)
    opening, joint = _around(_before(asked, ASKED), picture)
    answer = _behind(asked, ASKED)
    if "<think>" in answer:
        raise BadInput("this checkpoint thinks before it speaks, too long for a stream; take the one that does not")
    history = write([user(ASKED), {"role": "assistant", "content": [_words(SAID)]}, user(AGAIN)], False)
    close = _around(_before(_behind(history, SAID), AGAIN), picture)[0]
    ruled = write([{"role": "system", "content": [_words(RULE)]}, user(ASKED)], True)
    if RULE not in ruled:
        raise BadInput("the chat template drops the system's words; expected one that writes them")
    rule = _before(ruled, RULE), _around(_before(_behind(ruled, RULE), ASKED), picture)[0]
    return Template(opening, rule, joint or "\n", answer, close)


def _words(text: str) -> Message:
    return {"type": "text", "text": text}


def _before(text: str, mark: str) -> str:
    return _split(text, mark)[0]


def _behind(text: str, mark: str) -> str:
    return _split(text, mark)[1]


def _around(text: str, picture: str) -> tuple[str, str]:
    return _split(text, picture)


def _split(text: str, mark: str) -> tuple[str, str]:
    if text.count(mark) != 1:
        raise BadInput(f"the chat template writes {mark!r} {text.count(mark)} times where it belongs once")
    before, behind = text.split(mark)
    return before, behind
