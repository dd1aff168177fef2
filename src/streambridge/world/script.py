"""The script of a world: what stands on the desk at every instant. Knows no pixel, no question and no model.

A desk with a sign, a counter, a bowl that fills through the coloured steps of a procedure, and coloured shapes that
enter, move, change and leave. Everything changes on a grid of 1/8 s, so that a film at 8 frames a second shows each
instant exactly. Seeds of training, development and test are apart by construction: the split is part of the seed.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Final, Literal, TypeAlias

import numpy as np

from streambridge.errors import WrongUse

Split: TypeAlias = Literal["train", "dev", "test"]
SPLITS: Final[dict[str, int]] = {"train": 101, "dev": 202, "test": 303}  # the first word of every seed

TICKS_PER_S: Final = 8  # the grid on which the world changes
WORDS: Final = (
    "APPLE BREAD CLOUD EXIT GLASS HOUSE JUMP LAMP MILK MUSIC NORTH OPEN "
    "PAPER QUIET RIVER SALT SMILE STOP TEA TIGER VAN WEST YES ZEBRA"
).split()
NUMBERS: Final = range(10, 100)
COLOURS: Final = ("red", "green", "blue", "yellow", "purple", "orange")
TOOLS: Final = ("pour", "stir", "whisk", "sift")
FORMS: Final = ("circle", "square", "triangle", "star")
CELLS: Final = 4  # places where a shape may lie
FULL: Final = 4  # the bowl's level in quarters at which a step is finished


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the procedure: a tool and the colour of what it works on."""

    tool: str
    colour: str


@dataclass(frozen=True, slots=True)
class Bowl:
    """The step under way (None: nobody works) and how full the bowl is, in quarters."""

    step: Step | None
    level: int


@dataclass(frozen=True, slots=True)
class Thing:
    """A coloured shape in one of the four places."""

    form: str
    colour: str
    cell: int


@dataclass(frozen=True, slots=True)
class Track:
    """A value that changes at ticks: `values[i]` holds from `ticks[i]` up to the next one."""

    ticks: tuple[int, ...]
    values: tuple[object, ...]

    def at(self, tick: int) -> object:
        """The value at a tick."""
        return self.values[bisect_right(self.ticks, tick) - 1]


@dataclass(frozen=True, slots=True)
class State:
    """All that can be seen at one instant."""

    sign: str
    counter: int
    bowl: Bowl
    things: tuple[Thing, ...]


class World:
    """A scripted desk, from seconds to hours long.

    Args:
        seed: any whole number from 0 on.
        duration_s: length in seconds.
        split: `train`, `dev` or `test`; worlds of different splits share no randomness.

    Raises:
        WrongUse: for a seed that is no whole number from 0 on, a length that is not positive, or an unknown split.
    """

    def __init__(self, seed: int, duration_s: float, split: Split = "test") -> None:
        whole = isinstance(seed, Integral) and not isinstance(seed, bool) and seed >= 0
        long = isinstance(duration_s, Real) and not isinstance(duration_s, bool) and 0 < duration_s < 1e6
        if not whole or not long or split not in list(SPLITS):
            raise WrongUse(
                f"a world needs a whole seed >= 0, a length in seconds below a million and a split of {list(SPLITS)}; "
                f"got seed={seed!r}, duration_s={duration_s!r}, split={split!r}"
            )
        self.seed, self.duration_s, self.split = seed, float(duration_s), split
        self.ticks = int(np.ceil(duration_s * TICKS_PER_S))
        self.sign = _sign_track(self.rng(1), self.ticks)
        self.counter = _counter_track(self.rng(2), self.ticks)
        self.bowl = _bowl_track(self.rng(3), self.ticks)
        self.things = _things_track(self.rng(4), self.ticks)

    @property
    def name(self) -> str:
        """Its name in timelines and logs; of a test world, `world:SEED` of the program shows the same."""
        return f"world:{self.split}/{self.seed}?s={self.duration_s:g}"

    def rng(self, *stream: int) -> np.random.Generator:
        """Randomness of this world and of nothing else; `stream` names what for."""
        return np.random.default_rng([SPLITS[self.split], self.seed, *stream])

    def state(self, t: float) -> State:
        """What can be seen at stream time `t` in seconds."""
        tick = tick_of(t)
        return State(
            str(self.sign.at(tick)),
            int(self.counter.at(tick)),  # type: ignore[call-overload]  # the track of the counter holds whole numbers
            self.bowl.at(tick),  # type: ignore[arg-type]  # the track of the bowl holds Bowls
            self.things.at(tick),  # type: ignore[arg-type]  # the track of the things holds tuples of Things
        )


def tick_of(t: float) -> int:
    """The tick that is on screen at `t` seconds (the epsilon absorbs float times such as 0.1 * 30)."""
    return max(0, int(np.floor(t * TICKS_PER_S + 1e-6)))


def _dwell(rng: np.random.Generator, low_s: float, high_s: float) -> int:
    return int(rng.integers(round(low_s * TICKS_PER_S), round(high_s * TICKS_PER_S) + 1))


def _sign_track(rng: np.random.Generator, end: int) -> Track:
    ticks, values, tick, last = [], [], 0, ""
    while tick < end:
        text = last
        while text == last:
            text = str(rng.choice(WORDS)) if rng.random() < 0.7 else str(rng.choice(NUMBERS))
        ticks.append(tick)
        values.append(text)
        tick, last = tick + _dwell(rng, 4, 14), text
    return Track(tuple(ticks), tuple(values))


def _counter_track(rng: np.random.Generator, end: int) -> Track:
    ticks, values, tick, value = [], [], 0, int(rng.integers(10))
    while tick < end:
        ticks.append(tick)
        values.append(value)
        tick, value = tick + _dwell(rng, 3, 12), (value + 1) % 10
    return Track(tuple(ticks), tuple(values))


def _bowl_track(rng: np.random.Generator, end: int) -> Track:
    """Steps of four quarters each; a quarter lasts 1 to 2.5 s, the full bowl 2 to 4 s, so 1 fps sees every one."""
    ticks, values, tick, last = [], [], 0, None
    while tick < end:
        if rng.random() < 0.3:
            ticks.append(tick)
            values.append(Bowl(None, 0))
            tick += _dwell(rng, 2, 6)
        step = last
        while step == last:
            step = Step(str(rng.choice(TOOLS)), str(rng.choice(COLOURS)))
        for level in range(FULL + 1):
            ticks.append(tick)
            values.append(Bowl(step, level))
            tick += _dwell(rng, 2, 4) if level == FULL else _dwell(rng, 1, 2.5)
        last = step
    return Track(tuple(ticks), tuple(values))


def _things_track(rng: np.random.Generator, end: int) -> Track:
    ticks, values, tick = [0], [_some_things(rng)], 0
    while (tick := tick + _dwell(rng, 2, 8)) < end:
        ticks.append(tick)
        values.append(_next_things(rng, values[-1]))
    return Track(tuple(ticks), tuple(values))


def _some_things(rng: np.random.Generator) -> tuple[Thing, ...]:
    things: tuple[Thing, ...] = ()
    for _ in range(int(rng.integers(0, 4))):
        things = _enter(rng, things)
    return things


def _enter(rng: np.random.Generator, things: tuple[Thing, ...]) -> tuple[Thing, ...]:
    free = sorted(set(range(CELLS)) - {thing.cell for thing in things})
    forms = sorted(set(FORMS) - {thing.form for thing in things})  # no form twice, so that a form names one thing
    thing = Thing(str(rng.choice(forms)), str(rng.choice(COLOURS)), int(rng.choice(free)))
    return (*things, thing)


def _next_things(rng: np.random.Generator, things: tuple[Thing, ...]) -> tuple[Thing, ...]:
    """One thing enters, leaves, moves or changes colour; at most three lie on the desk."""
    act = rng.choice(["enter", "leave", "move", "change"])
    if not things or (act == "enter" and len(things) < 3):
        return _enter(rng, things)
    at = int(rng.integers(len(things)))
    old, rest = things[at], things[:at] + things[at + 1 :]
    if act == "move":
        free = sorted(set(range(CELLS)) - {thing.cell for thing in things})
        return (*rest, Thing(old.form, old.colour, int(rng.choice(free))))
    if act == "change":
        others = [colour for colour in COLOURS if colour != old.colour]
        return (*rest, Thing(old.form, str(rng.choice(others)), old.cell))
    return rest
