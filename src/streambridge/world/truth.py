"""What can be asked about a world, and the exact truth. Knows no pixel, no model and no session.

Each kind of question is one entry of QUESTIONS (answered at once) or WATCHES (answered by itself, when it happens).
`TAUGHT` are the kinds that the embedded pair has learned; the others are exact too and wait for a better pupil.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from streambridge.world.script import FULL, NUMBERS, TICKS_PER_S, WORDS, Bowl, Step, World, tick_of

_ING: Final = {"pour": "pouring", "stir": "stirring", "whisk": "whisking", "sift": "sifting"}
_LEVELS: Final = ("empty", "a quarter full", "half full", "three quarters full", "full")


@dataclass(frozen=True, slots=True)
class Asking:
    """A kind of question that is answered at once.

    Attributes:
        about: `now`, `past`, `count` or `not_yet`.
        wording: ways to put it; `{arg}` is what it asks about, where it needs something.
        answer: `(world, t, arg) -> words`, true at stream time `t`.
        needs_sign: it asks about a word or number of the sign.
    """

    about: Literal["now", "past", "count", "not_yet"]
    wording: tuple[str, ...]
    answer: Callable[[World, float, str], str]
    needs_sign: bool = False


@dataclass(frozen=True, slots=True)
class Watching:
    """A kind of standing watch.

    Attributes:
        wording: ways to put it.
        happens: `(world, arg) -> (time, words)` for all that happens.
        needs_sign: it asks about a word or number of the sign.
        holds: `(world, t, arg)`: what was asked for is in view and lasts; None where each time is an instant. A gate
            may learn from all that time; its trigger fires where it begins.
    """

    wording: tuple[str, ...]
    happens: Callable[[World, str], Iterator[tuple[float, str]]]
    needs_sign: bool = False
    holds: Callable[[World, float, str], bool] | None = None


def doing(step: Step) -> str:
    """`stirring the red`."""
    return f"{_ING[step.tool]} the {step.colour}"


def _sign(world: World, t: float, _: str) -> str:
    return f"The sign says {world.state(t).sign}."


def _counter(world: World, t: float, _: str) -> str:
    return f"The counter shows {world.state(t).counter}."


def _step(world: World, t: float, _: str) -> str:
    step = world.state(t).bowl.step
    return "Nobody is working right now." if step is None else f"Someone is {doing(step)}."


def _bowl(world: World, t: float, _: str) -> str:
    return f"The bowl is {_LEVELS[world.state(t).bowl.level]}."


def _first_sign(world: World, t: float, _: str) -> str:
    return f"At first the sign said {world.sign.values[0]}."


def _signs_so_far(world: World, t: float) -> list[str]:
    return [str(v) for tick, v in zip(world.sign.ticks, world.sign.values, strict=True) if tick <= tick_of(t)]


def _sign_before(world: World, t: float, _: str) -> str:
    seen = _signs_so_far(world, t)
    return f"Before that the sign said {seen[-2]}." if len(seen) > 1 else "It has said nothing else so far."


def _has_said(world: World, t: float, arg: str) -> str:
    return "Yes, it has." if arg in _signs_so_far(world, t) else "Not yet."


def _things(world: World, t: float, _: str) -> str:
    count = len(world.state(t).things)
    return "There is 1 shape." if count == 1 else f"There are {count} shapes."


def _finished(world: World, t: float) -> list[Step]:
    pairs = zip(world.bowl.ticks, world.bowl.values, strict=True)
    bowls = [bowl for tick, bowl in pairs if tick <= tick_of(t) and isinstance(bowl, Bowl)]
    return [bowl.step for bowl in bowls if bowl.level == FULL and bowl.step is not None]


def _steps_done(world: World, t: float, _: str) -> str:
    return f"{len(_finished(world, t))} so far."


def _last_step(world: World, t: float, _: str) -> str:
    done = _finished(world, t)
    return f"The last one finished was {doing(done[-1])}." if done else "None is finished yet."


QUESTIONS: Final[dict[str, Asking]] = {
    "sign": Asking(
        "now",
        ("What does the sign say?", "What is on the sign now?", "Read the sign.", "Which word is on the sign?"),
        _sign,
    ),
    "counter": Asking(
        "now",
        ("What does the counter show?", "Read the counter.", "Which number is on the counter?", "What is the count?"),
        _counter,
    ),
    "step": Asking(
        "now",
        ("What is being done?", "Which step is under way?", "What is happening now?", "What is someone doing?"),
        _step,
    ),
    "bowl": Asking(
        "now",
        ("How full is the bowl?", "How much is in the bowl?", "What is the level of the bowl?", "Is the bowl full?"),
        _bowl,
    ),
    "first_sign": Asking(
        "past",
        ("What did the sign say first?", "What was on the sign at first?", "What was the first word on the sign?"),
        _first_sign,
    ),
    "sign_before": Asking("past", ("What did the sign say before?",), _sign_before),
    "last_step": Asking("past", ("Which step was finished last?",), _last_step),
    "has_said": Asking("not_yet", ("Has the sign said {arg} yet?",), _has_said, needs_sign=True),
    "shapes": Asking("count", ("How many shapes are on the desk?",), _things),
    "steps_done": Asking("count", ("How many steps are finished?",), _steps_done),
}


def _each_step(world: World, _: str) -> Iterator[tuple[float, str]]:
    for tick, bowl in zip(world.bowl.ticks, world.bowl.values, strict=True):
        if isinstance(bowl, Bowl) and bowl.step is not None and bowl.level == FULL:
            yield tick / TICKS_PER_S, f"Finished {doing(bowl.step)}."


def _new_sign(world: World, _: str) -> Iterator[tuple[float, str]]:
    for tick, text in zip(world.sign.ticks[1:], world.sign.values[1:], strict=True):
        yield tick / TICKS_PER_S, f"The sign now says {text}."


def _sign_says(world: World, arg: str) -> Iterator[tuple[float, str]]:
    for tick, text in zip(world.sign.ticks, world.sign.values, strict=True):
        if text == arg:
            yield tick / TICKS_PER_S, f"There it is: {text}."


WATCHES: Final[dict[str, Watching]] = {
    "each_step": Watching(
        ("Tell me each step as it is finished.", "Tell me whenever a step is done.", "Say which step was finished."),
        _each_step,
    ),
    "new_sign": Watching(
        ("Read every new sign.", "Tell me whenever the sign changes.", "Read out each new word on the sign."),
        _new_sign,
    ),
    "sign_says": Watching(
        ("Tell me when the sign says {arg}.", "Say so as soon as the sign says {arg}.", "Wait for {arg} on the sign."),
        _sign_says,
        needs_sign=True,
        holds=lambda world, t, arg: world.state(t).sign == arg,
    ),
}

TAUGHT: Final = ("sign", "counter", "step", "bowl", "first_sign")  # of QUESTIONS; all WATCHES are taught
ABOUT: Final = {name: kind.about for name, kind in QUESTIONS.items()}


def all_sentences() -> Iterator[str]:
    """Everything that may be asked or answered, for a tokenizer to learn its words from."""
    signs = [*WORDS, *(str(number) for number in NUMBERS)]
    kinds: list[Asking | Watching] = [*QUESTIONS.values(), *WATCHES.values()]
    for kind in kinds:
        args = signs if kind.needs_sign else [""]
        yield from (wording.format(arg=arg) for wording in kind.wording for arg in args)
    for seed in range(40):
        world = World(seed, 300.0, "train")
        for asking in QUESTIONS.values():
            yield from (asking.answer(world, float(t), "LAMP") for t in range(0, 300, 5))
        for watching in WATCHES.values():
            yield from (text for sign in WORDS for _, text in watching.happens(world, sign))
