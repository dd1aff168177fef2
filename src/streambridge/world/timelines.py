"""Timelines of a world: questions put at times, with the exact answers. Knows no pixel, no model and no session."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from streambridge.types import Media, Question, Reference, Timeline
from streambridge.world.script import NUMBERS, TICKS_PER_S, WORDS, World
from streambridge.world.truth import QUESTIONS, TAUGHT, WATCHES

LAST_S: Final = 1.0  # what happens in the last second may fall between two frames and is not expected


class Script:
    """Puts questions to a world and notes what should be answered.

    Args:
        world: whom to ask about.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self._asked: list[tuple[Question, str]] = []

    def ask(self, kind: str, t: float, wording: int = 0, arg: str = "") -> None:
        """A question answered at once, at `t` seconds."""
        text = QUESTIONS[kind].wording[wording].format(arg=arg)
        self._asked.append((Question(f"q{len(self._asked)}", t, text, "now", kind), arg))

    def watch(self, kind: str, t: float, wording: int = 0, arg: str = "", once: bool = False) -> None:
        """A watch that stands from `t` seconds on."""
        text = WATCHES[kind].wording[wording].format(arg=arg)
        self._asked.append((Question(f"q{len(self._asked)}", t, text, "watch", kind, once), arg))

    def timeline(self) -> Timeline:
        """All of it in causal order: at one instant what happened comes before what is asked."""
        turns: list[tuple[float, int, Question | Reference]] = []
        for question, arg in self._asked:
            turns.append((question.t, 1, question))
            turns += [(ref.t, 2 if question.when == "now" else 0, ref) for ref in self._references(question, arg)]
        ordered = tuple(turn for _, _, turn in sorted(turns, key=lambda turn: turn[:2]))
        media = (Media(self.world.name, 0.0, self.world.duration_s),)
        return Timeline(self.world.name, media, self.world.duration_s, ordered, {"task": "world"})

    def _references(self, question: Question, arg: str) -> list[Reference]:
        world, name = self.world, question.id
        if question.when == "now":
            text = QUESTIONS[question.kind].answer(world, question.t, arg)
            return [Reference(f"{name}a0", question.t, text, name)]
        span = (question.t, world.duration_s - LAST_S)
        happened = [(t, text) for t, text in WATCHES[question.kind].happens(world, arg) if span[0] < t <= span[1]]
        happened = happened[:1] if question.once else happened
        told = enumerate(happened)
        return [Reference(f"{name}a{k}", t, text, name, ((t, t),), kind="point") for k, (t, text) in told]


def some_sign(world: World, rng: np.random.Generator, after: float) -> str:
    """A word or number to wait for: three times in four one that will come, never the one in view."""
    now = world.state(after).sign
    shown = [(tick, str(text)) for tick, text in zip(world.sign.ticks, world.sign.values, strict=True)]
    coming = [text for tick, text in shown if tick > after * TICKS_PER_S and text != now]
    if coming and rng.random() < 0.75:
        return str(rng.choice(coming))
    return str(rng.choice([word for word in [*WORDS, *map(str, NUMBERS)] if word != now]))


def random_timeline(world: World, kinds: Sequence[str] = TAUGHT, seed: int = 0) -> Timeline:
    """An ordinary stream: one to three watches from near the start, and each kind of question once a minute.

    Args:
        world: whom to ask about.
        kinds: of QUESTIONS.
        seed: another script over the same world.
    """
    rng, script = world.rng(8, seed), Script(world)
    for kind in rng.permutation(list(WATCHES))[: int(rng.integers(1, 4))]:
        t = float(rng.integers(0, 3))
        arg = some_sign(world, rng, t) if WATCHES[kind].needs_sign else ""
        script.watch(str(kind), t, int(rng.integers(len(WATCHES[kind].wording))), arg)
    for minute in range(int(np.ceil(world.duration_s / 60))):
        low, high = 60 * minute + 3, min(60 * (minute + 1), int(world.duration_s - LAST_S))
        for kind in kinds if high > low else ():
            t = float(rng.integers(low, high))
            arg = some_sign(world, rng, t) if QUESTIONS[kind].needs_sign else ""
            script.ask(kind, t, int(rng.integers(len(QUESTIONS[kind].wording))), arg)
    return script.timeline()


def quiet_timeline(world: World, rng: np.random.Generator) -> Timeline:
    """One watch from near the start, and nobody says anything else: its question may come to lie minutes back."""
    script, kind = Script(world), str(rng.choice(list(WATCHES)))
    t = float(rng.integers(0, 5))
    arg = some_sign(world, rng, t) if WATCHES[kind].needs_sign else ""
    script.watch(kind, t, int(rng.integers(len(WATCHES[kind].wording))), arg)
    return script.timeline()
