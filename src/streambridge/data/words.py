"""Words and ids as they come from annotation files, made fit for a sample. Knows no data set.

What is repaired is told to whoever asks; what cannot be is rejected with its reason.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from streambridge.data.source_set import Reject
from streambridge.data.texts import NO_WORDS, unsafe_text, wordless

MOST_CHARS: Final = 4000  # of one text; whole-video captions stay under 3000
MOST_ID: Final = 200
MOST_S: Final = 1e6  # of a time: eleven days; NaN is not below it either
_HALVES: Final = re.compile("[\ud800-\udfff]")  # of characters, alone: no UTF-8 says them
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")  # and the two line ends of their own
_ID: Final = re.compile(r"[^\x00-\x1f\x7f\\]+")
_CLOCK: Final = re.compile(r"(?:(\d+):)?(\d{1,2}):(\d{1,2}(?:\.\d+)?)")


def clean(text: Any, repaired: Callable[[str], None]) -> str:
    """The words without blanks around them and without control characters.

    Args:
        text: what came.
        repaired: is told each quirk that had to be mended.

    Raises:
        Reject: `empty_text`, or `bad_text` for what is no text, too long, or holds a placeholder.
    """
    if not isinstance(text, str) or _HALVES.search(text):
        raise Reject("bad_text" if text is not None else "empty_text", f"{text!r:.60}")
    stripped = text.strip()
    plain = " ".join(_CONTROL.sub(" ", stripped).split()) if _CONTROL.search(stripped) else stripped
    if not plain or plain.casefold() in NO_WORDS:
        raise Reject("empty_text", f"{text!r:.60}")
    if len(plain) > MOST_CHARS or wordless(plain) or unsafe_text(plain):
        raise Reject("bad_text", f"{plain!r:.60}")
    for quirk, mended in (("text_trimmed", stripped != text), ("text_cleaned", plain != stripped)):
        if mended:
            repaired(quirk)
    return plain


def known_id(value: Any, reason: str = "missing_id") -> str:
    """The value as an id: a text or a whole number that is no path out of its folder.

    Raises:
        Reject: for that reason when there is none, `bad_id` when it is no id.
    """
    if value is None or value == "":
        raise Reject(reason, "")
    said = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    steps = said.split("/")
    if not _ID.fullmatch(said) or said != said.strip() or len(said) > MOST_ID or {"", ".", ".."} & set(steps):
        raise Reject("bad_id", f"{value!r:.60}")
    if "://" in said or "@" in said or _HALVES.search(said):
        raise Reject("bad_id", f"{value!r:.60}")
    return said


def stem(file: str) -> str:
    """A file's name without its last ending, its folders kept."""
    head, dot, tail = file.rpartition(".")
    return head if dot and tail.isalnum() and 1 < len(tail) < 5 and head and not head.endswith("/") else file


def seconds(value: Any, reason: str = "bad_time") -> float:
    """A finite number of seconds from 0 on.

    Raises:
        Reject: for that reason.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < MOST_S:
        raise Reject(reason, f"{value!r:.60}")
    return float(value)


def number(text: str, reason: str = "bad_time") -> float:
    """The number of seconds that a text says.

    Raises:
        Reject: for that reason.
    """
    try:
        return seconds(float(text.replace("_", "?")), reason)  # Python's own 1_000 is no number to others
    except (AttributeError, ValueError) as err:
        raise Reject(reason, f"{text!r:.60}") from err


def clock(text: Any) -> float:
    """Seconds of a clock text: `H:MM:SS.mmm` or `MM:SS.mmm`.

    Raises:
        Reject: `bad_time`.
    """
    found = _CLOCK.fullmatch(text.strip()) if isinstance(text, str) and len(text) < 40 else None
    if found is None or float(found[3]) >= 60 or (found[1] is not None and int(found[2]) >= 60):
        raise Reject("bad_time", f"{text!r:.60}")
    return seconds(3600 * int(found[1] or 0) + 60 * int(found[2]) + float(found[3]))


def spaced(label: str) -> str:
    """A label in CamelCase or with underscores as words; acronyms stay whole (`ReplaceCDDriveWithSSD`)."""
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", label.replace("_", " "))
    return " ".join(word if word.isupper() and len(word) > 1 else word.lower() for word in apart.split())
