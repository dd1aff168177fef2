"""What words and addresses of a sample must not hold: placeholders, control characters, paths, pixels, passwords.

Knows no timeline and no file.
"""

import functools
import re
import unicodedata
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import unquote

MOST_TEXT: Final = 20_000  # characters of one text: a whole transcript fits, a picture written as text does not
MOST_ADDRESS: Final = 1_000  # characters of an id or a uri
_DEEPEST: Final = 50  # levels of a mapping that are looked through: real ones have two or three

NO_WORDS: Final = frozenset({"none", "nan", "null", "n/a"})
_SEEN: Final = "LNPS"  # letters, numbers, punctuation, symbols: what else there is shows nothing
_BREAKS: Final = {"Cc", "Zl", "Zp"}  # control characters, and the two that are line ends to many readers
# Tokens that stand for pictures or times in training files of other models: <image>, <T1>, <vid>, <12.5s>, <|im_end|>.
_TOKEN: Final = re.compile(
    r"<\s{0,3}/?\s{0,3}(?:image|img|video|vid|frame|frames|act|audio|t\d*|ts|s|pad|unk|bos|eos"
    r"|time\w{0,20}(?:[ =:][^<>]{0,20})?)(?:_\w{1,20})?\s{0,3}/?\s{0,3}>"
    r"|<\d{1,12}(?:[.:]\d{1,12}){0,3}\s?s?>|<\|[^|<>]{1,40}\|>",
    re.IGNORECASE,
)
_PIXELS: Final = re.compile(r"data:[\w.+/-]*(?:;[\w=.-]+)*;base64,|data:(?:image|video)/", re.IGNORECASE)
_PASSWORD: Final = re.compile(r"//[^/\s@:]*:[^/\s@]*@")
_ABSOLUTE: Final = re.compile(r"[/\\]|~[\w.-]*/|[A-Za-z]:(?:[/\\]|$)|file:", re.IGNORECASE)
_URI: Final = re.compile(r"[A-Za-z][\w.+-]+:(?P<id>.+)", re.DOTALL)


def broken(text: str) -> str:
    """Which character or token no text may hold, or nothing."""
    if not text.isprintable() and any(unicodedata.category(char) in _BREAKS for char in text):
        return "a control character in it"
    found = _TOKEN.search(text)
    return f"{found[0]}, which stands for pictures or times" if found else ""


def wordless(text: str) -> str:
    """Why a text is no words, or nothing when it is: rule `words`."""
    if not any(unicodedata.category(char)[0] in _SEEN for char in text):
        return "nothing that can be seen"
    return "a word that stands for none" if text.strip().casefold() in NO_WORDS else broken(text)


def unsafe_text(text: str) -> str:
    """Why a text must not be passed on, or nothing: rule `private`."""
    if len(text) > MOST_TEXT:
        return f"{len(text)} characters"
    if _PIXELS.search(text):
        return "pixels written as text"
    return "credentials in an address" if _PASSWORD.search(text) else ""


@functools.lru_cache(maxsize=1024)  # a conversion's notes are the same in a million samples, but for two
def unsafe_note(text: str) -> str:
    """As `unsafe_text`, for notes such as `source`, where a path would tell of somebody's machine."""
    return unsafe_text(text) or ("an absolute path" if _ABSOLUTE.match(text.strip()) else "")


def unsafe_uri(uri: str) -> str:
    """Why an address of a video is none, or nothing: rule `private`."""
    if len(uri) > MOST_ADDRESS or not uri.isprintable():
        return "too long" if len(uri) > MOST_ADDRESS else "control characters in it"
    plain = unquote(unquote(uri))  # twice: what hides behind %252e is no better
    if uri.lower().startswith("data:"):
        return "pixels written as text"
    if unsafe_text(plain) or re.search(r"//[^/\s@]*@", plain):  # a name without a password may be a token
        return unsafe_text(plain) or "credentials in an address"
    parts = _URI.fullmatch(plain)
    if _ABSOLUTE.match(plain) or (parts and _ABSOLUTE.match(parts["id"]) and not parts["id"].startswith("//")):
        return "an absolute path"
    if ".." in re.split(r"[/\\:?#]", plain):
        return "'..' in it"
    return "" if parts else "no dataset:ID"


def strings(value: Any, field: str, depth: int = 0) -> Iterator[tuple[str, str]]:
    """Each text in a mapping or list with its place; keys too. What is nested too deeply counts as a text too long."""
    if isinstance(value, str):
        yield field, value
    elif depth > _DEEPEST and isinstance(value, dict | list):
        yield field, " " * (MOST_TEXT + 1)
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield field, str(key)
            yield from strings(inner, f"{field}.{key}", depth + 1)
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from strings(inner, f"{field}[{i}]", depth + 1)
