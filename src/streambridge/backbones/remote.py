"""A Video-LLM behind an OpenAI-compatible server: `openai:MODEL@URL`. Holds no weights, and nothing of a session.

Memory holds JPEGs. The server cannot average what it has seen, so compression here *drops pictures*: of the frames that
are merged the middle one stays and stands for all. Tokens are estimates (`estimates`); what the server counted comes
as the last piece of an answer. Greedy is asked for (temperature 0); whether the server gives the same words twice, and
whether it keeps what it has read of an unchanged beginning, is its own affair.
"""

from __future__ import annotations

import io
import math
import os
import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final, Literal, cast
from urllib.parse import urlsplit

import numpy as np
from PIL import Image

from streambridge.backbones import estimates
from streambridge.backbones.chat import KEYS, Chat
from streambridge.backbones.connection import Patience
from streambridge.backbones.dialogue import Conversation, messages
from streambridge.errors import RunFailed, WrongUse
from streambridge.types import Caps, Frame, FrameTokens, Item, Piece, Plan, Reader, Role, Segment, Shape, Turn

PREFIX: Final = "openai:"
LONGEST: Final = 512  # pixels of a frame's longer side: one tile where servers count tiles, else 200 tokens at 16:9
QUALITY: Final = 80  # of the JPEGs, of 95: about 25 kB a frame
CONTEXT: Final = 32_768  # tokens; nothing says how long a server's context is, and what serves video holds this much
LETTERS: Final = 16  # of one token at most: what a server says beyond `max_tokens` times that is not listened to
FAINTEST: Final = -700.0  # the logarithm of next to nothing; servers write -9999 for nothing
LIKELY: Final = 20  # tokens whose probability is asked for; no server gives more

_EXAMPLES: Final = "openai:gpt-4o@https://api.openai.com/v1 or openai:qwen2.5vl:7b@http://localhost:11434/v1"


@dataclass(frozen=True, slots=True)
class Usage(Piece):
    """The last piece of an answer: no words, and how many tokens the server counted in what it was sent."""

    read: int


class Remote:
    """A model on a server.

    Args:
        model: as the server names it.
        url: of the server's API, up to and without `/chat/completions`.
        key: what it takes for a key; None for what the environment says (STREAMBRIDGE_API_KEY, else OPENAI_API_KEY),
            if anything.
        longest: pixels of the longer side to which larger frames are shrunk.
        quality: of the JPEGs, 1 to 95.
        max_context: tokens that a plan and its answer may take, by the estimate.
        patience: how long the server is waited for.

    Raises:
        WrongUse: when one of these makes no sense.
    """

    def __init__(
        self,
        model: str,
        url: str,
        *,
        key: str | None = None,
        longest: int = LONGEST,
        quality: int = QUALITY,
        max_context: int = CONTEXT,
        patience: Patience | None = None,
    ) -> None:
        _expect_model(model)
        _expect_number("longest", longest, 16, 4096)
        _expect_number("quality", quality, 1, 95)
        _expect_number("max_context", max_context, 1, 2**31)
        url = _expect_url(url)
        self.name = f"{PREFIX}{model}@{url}"
        self.model, self.longest, self.quality = model, longest, quality
        self.caps = Caps(False, False, False, True, "none", max_context)
        self._counted, self._cost = estimates.rule_for(model)
        self._chat = Chat(url, _key(key), patience or Patience())

    def settings(self) -> Mapping[str, Any]:
        """What decides how frames are seen, for the log; `merge`: compression drops pictures, and averages none."""
        return {"merge": "dropped", "longest": self.longest, "quality": self.quality, "counted": self._counted}

    # ------------------------------------------------------------------------------------------ memory

    def encode(self, frame: Frame) -> FrameTokens:
        """A JPEG, shrunk to `longest`, never blown up: `{"jpeg": bytes, "size": (width, height)}`."""
        picture = Image.fromarray(frame.pixels)
        picture.thumbnail((self.longest, self.longest))
        out = io.BytesIO()
        picture.save(out, "JPEG", quality=self.quality)
        tokens = self._cost(*picture.size) + estimates.TIME
        return FrameTokens({"jpeg": out.getvalue(), "size": picture.size}, tokens, frame.t, (frame.t, frame.t))

    def merge(self, parts: Sequence[FrameTokens]) -> FrameTokens:
        """Drop all pictures but the middle one, by camera frames; nothing is averaged but the time.

        What is left stands for all: their camera frames, their span, their mean time; and it costs what the dearest
        of them did, since a policy knows the cost before it knows which one stays (frames of one source cost the same).
        """
        frames = sum(part.frames for part in parts)
        t = sum(part.t * part.frames for part in parts) / frames
        span = (min(part.span[0] for part in parts), max(part.span[1] for part in parts))
        return FrameTokens(_middle(parts).bundle, max(part.tokens for part in parts), t, span, frames)

    def count(self, parts: Sequence[Shape]) -> int:
        """What one of them costs: the dearest."""
        return max(part.tokens for part in parts)

    def turn(self, role: Role, text: str, t: float, kind: str, id: str) -> Turn:
        """Words with what they cost by the estimate; they have no ids here."""
        sort = cast(Literal["system", "question", "cue", "answer"], kind)
        return Turn(role, text, (), t, sort, id, estimates.words(text))

    def spoken(self, pieces: Sequence[Piece], t: float, id: str) -> Turn:
        """The turn of an answer: the text of its pieces, to the letter."""
        return self.turn("assistant", "".join(piece.text for piece in pieces), t, "answer", id)

    def overhead(self) -> int:
        """Header and end of an answer."""
        return estimates.HEADER + estimates.END

    def render(self, items: Sequence[Item], header: bool = True) -> Conversation:
        """A segment an item, as long as it costs; the items themselves are what is sent."""
        costs = [item.tokens for item in items] + [estimates.HEADER] * header
        frames = [item if isinstance(item, FrameTokens) else None for item in items] + [None] * header
        starts = np.cumsum([0, *costs], dtype=np.int64)
        segments = [
            Segment((0,) * cost, np.arange(start, start + cost, dtype=np.int64)[None], frame)
            for cost, start, frame in zip(costs, starts[:-1], frames, strict=True)
        ]
        return Conversation(tuple(segments), int(starts[-1]), tuple(items))

    # ------------------------------------------------------------------------------------------ answers

    def reader(self, room: int) -> None:
        """None: what the server keeps of what it has read is its own affair."""

    def answer(self, plan: Plan, max_tokens: int, reader: Reader | None = None) -> Iterator[Piece]:
        """Words as the server streams them; the last piece is `Usage`, if the server counts.

        The request is sent when the first piece is asked for; closing the iterator hangs up.

        Raises:
            WrongUse: when the plan is another backbone's.
            RunFailed: when the server cannot be reached, refuses, or breaks off; what came before was whole.
        """
        if not isinstance(plan, Conversation):
            raise WrongUse(f"{self.name} answers the plans that it rendered itself; this is {type(plan).__name__}")
        return self._answer(plan, max_tokens)

    def _answer(self, plan: Conversation, max_tokens: int) -> Generator[Piece]:
        left, finish, read = LETTERS * max_tokens, None, None
        body = self._body(plan.items, max_tokens, stream=True, stream_options={"include_usage": True})
        with closing(self._chat.chunks(body)) as chunks:
            for chunk in chunks:
                finish, read = chunk.finish or finish, chunk.read or read
                if text := chunk.text[:left]:
                    left -= len(text)
                    yield Piece(None, text)
                if not left:
                    return
        spoke = left < LETTERS * max_tokens
        if finish == "content_filter":
            raise RunFailed(f"the server at {self._chat.url} let no more words through: its filter cut them")
        if finish == "length" and not spoke:
            what = f"{self.name} used up its {max_tokens} tokens before the first word, as models do that think first"
            raise RunFailed(f"{what}; raise answer_len, or name another model")
        if spoke and read is not None:
            yield Usage(None, "", read)

    def _body(self, items: Sequence[Item], max_tokens: int, **more: Any) -> dict[str, Any]:
        """The request; memory stands last, so that of two requests the one begins with the other."""
        said = messages(items)
        return {"model": self.model, "temperature": 0, "max_tokens": max_tokens, **more, "messages": said}

    def weigh(
        self, items: Sequence[Item], choices: Sequence[Sequence[str]], reader: Reader | None = None
    ) -> list[float]:
        """How likely the answer to these items begins with a word of each choice, as far as the server tells.

        It tells the likeliest tokens, twenty at most; each counts for the choice that has it as a whole word,
        whatever its case and the spaces around it.

        Raises:
            RunFailed: when the server tells no probabilities, or as `answer`.
        """
        body = self._body(items, 1, stream=False, logprobs=True, top_logprobs=LIKELY)
        with closing(self._chat.chunks(body)) as chunks:
            likely = next((chunk.likely for chunk in chunks if chunk.likely), ())
        chances = [(_bare(token["token"]), _chance(token)) for token in likely if _chance(token)]
        if not chances:
            what = f"the server at {self._chat.url} tells no probabilities (logprobs) of {self.model}"
            raise RunFailed(f"{what}, which zero_shot needs; type --activation scene_change, or name one that does")
        wanted = [{_bare(word) for word in words} for words in choices]
        return [min(1.0, sum(chance for text, chance in chances if text in words)) for words in wanted]


def from_name(name: str) -> Remote:
    """The model that a name of the form `openai:MODEL@URL` names.

    A model's name may hold `:` and `@`, as some do: the URL begins behind the last `@` that `http` follows.

    Raises:
        WrongUse: when the name has no such form; passwords in a URL are refused, and never repeated.
    """
    found = re.fullmatch(r"openai:(.*)@(https?://.*)", name, re.DOTALL)
    if found is None:
        raise WrongUse(f"{_shown(name)} is no openai:MODEL@URL with a URL of http or https; type e.g. {_EXAMPLES}")
    return Remote(found[1], found[2])


# ---------------------------------------------------------------------------------------------- what makes sense


def _expect_model(model: str) -> None:
    if not re.fullmatch(r"[!-~]{1,200}", model) or "://" in model:
        raise WrongUse(f"the name of a model is needed, without spaces, before the @ of openai:MODEL@URL; {_EXAMPLES}")


def _expect_url(url: str) -> str:
    """The URL as it is used.

    Never repeated in a message: it may hold a password.
    """
    if not re.fullmatch(r"[!-~]+", url):
        raise WrongUse(f"the URL of a server holds only plain letters, and no spaces; type e.g. {_EXAMPLES}")
    if "@" in url:
        names = " or ".join(KEYS)
        raise WrongUse(f"a URL with a name or password in it (…@host) is not taken; put the key into {names}")
    if re.search("[?#]", url):
        raise WrongUse("the URL of a server has nothing behind its path: no ? and no #; a key goes into OPENAI_API_KEY")
    if not _is_reachable(url):
        raise WrongUse(f"the URL of a server is http:// or https://, a host, perhaps a port; type e.g. {_EXAMPLES}")
    return url.rstrip("/").removesuffix("/chat/completions")


def _is_reachable(url: str) -> bool:
    """Whether it names a scheme that we speak, a host and, if any, a port."""
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname or "", parts.port
        return parts.scheme in ("http", "https") and bool(host.encode("idna"))
    except ValueError:
        return False


def _expect_number(name: str, value: object, least: int, most: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise WrongUse(f"{name} is a whole number from {least} to {most}; this one is {value!r:.80}")


def _key(key: str | None) -> str | None:
    """The key, if there is one; a line end that came with it is cut off."""
    found = key if key is not None else next((os.environ[name] for name in KEYS if os.environ.get(name)), "")
    if not re.fullmatch(r"[!-~]*", found.strip()):
        raise WrongUse(f"the key in {' or '.join(KEYS)} holds letters that no key has; set it again")
    return found.strip() or None


def _shown(name: str) -> str:
    """A name in a message, without what may be a password."""
    before = re.split("@|://", name)[0]
    return repr(name[:80] if name.count("@") < 2 and "://" not in name.partition("@")[0] else f"{before[:80]}…")


# ---------------------------------------------------------------------------------------------- small things


def _middle(parts: Sequence[FrameTokens]) -> FrameTokens:
    """The part in which the middle camera frame lies."""
    half = sum(part.frames for part in parts) / 2
    for part in parts:
        half -= part.frames
        if half <= 0:
            return part
    return parts[-1]


def _chance(token: Any) -> float:
    """The probability that a server tells of a token; 0 where it makes no sense."""
    said = token.get("logprob") if isinstance(token, dict) and isinstance(token.get("token"), str) else None
    if not isinstance(said, int | float) or not FAINTEST <= said <= 0.01:  # above 0 only by rounding; NaN is neither
        return 0.0
    return math.exp(said)


def _bare(word: str) -> str:
    """A word without its case, and without the marks that tokenizers write for a space."""
    return word.strip(" \t\r\n\u2581\u0120\u010a").casefold()
