"""The world's own benchmark: unseen streams with exact truth, through the same Session and loop that serve users.

Knows no weights and no file. Streams run at full speed, one frame after another; every score comes from events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from streambridge.errors import WrongUse
from streambridge.replay import replay
from streambridge.scoring.answers import StreamScore, combine, score_stream
from streambridge.session import ANSWER_LEN, Session
from streambridge.sources.source import checked_fps
from streambridge.types import Activation, Backbone, Compression, Event, Frame, Timeline
from streambridge.world.draw import Painter
from streambridge.world.script import Split, World
from streambridge.world.timelines import LAST_S, Script, quiet_timeline, random_timeline
from streambridge.world.truth import ABOUT, QUESTIONS, TAUGHT

SEEDS_APART: Final = 100_000  # seeds of one bench; `--seed` picks which hundred thousand
TOLERANCE_S: Final = 1.0
SIZE: Final = 168  # pixels a side at which streams are drawn


@dataclass(frozen=True, slots=True)
class Setting:
    """What is put to the test.

    Attributes:
        backbone: the model.
        activation: the gate.
        compression: the memory policy; None for the default.
        max_len: tokens of memory; None for the model's own.
        fps: frames per second.
    """

    backbone: Backbone
    activation: Activation
    compression: Compression | None = None
    max_len: int | None = None
    fps: float = 1.0

    def __post_init__(self) -> None:
        """Refuse a rate that makes no stream."""
        checked_fps(self.fps)

    def answer_room(self) -> int:
        """Tokens that a session reserves for its answer."""
        return ANSWER_LEN + self.backbone.overhead()

    def session(self) -> Session:
        """A new session of this setting."""
        return Session(self.backbone, self.activation, compression=self.compression, max_len=self.max_len)


@dataclass(frozen=True, slots=True)
class Bench:
    """Which streams.

    Attributes:
        seed: which unseen streams.
        streams: how many.
        minutes: how long each.
        split: `test`; `dev` for choosing numbers.
        kinds: of QUESTIONS, once a minute each.
        quiet: one watch a stream and no question, so that what was asked comes to lie minutes back.
    """

    seed: int = 0
    streams: int = 20
    minutes: float = 1.0
    split: Split = "test"
    kinds: Sequence[str] = field(default=TAUGHT)
    quiet: bool = False

    def __post_init__(self) -> None:
        """Refuse numbers that make no stream."""
        unknown = sorted(set(self.kinds) - set(QUESTIONS))
        whole = all(isinstance(number, int) for number in (self.seed, self.streams))
        long = isinstance(self.minutes, int | float) and 0.2 <= self.minutes <= 10_000
        if unknown or not whole or self.seed < 0 or not 1 <= self.streams <= SEEDS_APART or not long:
            raise WrongUse(
                f"a world bench takes a seed from 0 on, 1 to {SEEDS_APART} streams, 0.2 or more minutes and kinds of "
                f"{', '.join(QUESTIONS)}; got seed {self.seed!r}, {self.streams!r} streams, {self.minutes!r} minutes"
                + (f", unknown kinds {', '.join(unknown)}" if unknown else "")
            )

    def worlds(self, seconds: float | None = None) -> Iterator[World]:
        """The worlds, one a stream; `seconds` long where a measure needs its own length."""
        for number in range(self.streams):
            yield World(self.seed * SEEDS_APART + number, seconds or 60 * self.minutes, self.split)


def frames(world: World, fps: float, size: int = SIZE) -> Iterator[Frame]:
    """A world as frames, up to the last instant that its timelines ask about."""
    painter, number = Painter(world, size), 0
    while (t := number / fps) <= world.duration_s - LAST_S:
        yield Frame(painter.paint(t), t)
        number += 1


def run(setting: Setting, world: World, timeline: Timeline) -> list[Event]:
    """One stream through a fresh session."""
    return list(replay(setting.session(), frames(world, setting.fps), timeline.questions))


def bench(setting: Setting, plan: Bench, tell: Callable[[int], None] = lambda done: None) -> dict[str, Any]:
    """Score a pair on unseen streams.

    Args:
        setting: model, gate, memory.
        plan: which streams.
        tell: called with the number of streams done.

    Returns:
        `questions` by kind, `now`, `past`, `proactive`, percentages 0-100; counts and intervals beside them.
    """
    scores: list[StreamScore] = []
    for world in plan.worlds():
        timeline = quiet_timeline(world, world.rng(12)) if plan.quiet else random_timeline(world, plan.kinds)
        scores.append(score_stream(timeline, run(setting, world, timeline), TOLERANCE_S, ABOUT))
        tell(len(scores))
    settings = setting.session().settings
    return {**combine(scores), "settings": settings, "bench": _said(plan)}


def _said(plan: Bench) -> dict[str, Any]:
    return {
        "seed": plan.seed,
        "streams": plan.streams,
        "minutes": plan.minutes,
        "split": plan.split,
        "quiet": plan.quiet,
    }


# ---------------------------------------------------------------------------------- how far back memory reaches

DISTANCES_S: Final = (30, 60, 120, 180, 240)
Table = dict[str, dict[str, dict[str, float]]]


def quarter(setting: Setting) -> int:
    """A quarter of the tokens that the longest of these streams needs, and the answer's reserve."""
    one = setting.backbone.encode(next(frames(World(0, 2.0), 1.0))).tokens
    return int(DISTANCES_S[-1] * setting.fps) * one // 4 + setting.answer_room()


def by_distance(
    setting: Setting, plan: Bench, policies: Sequence[Compression], tell: Callable[[int], None] = lambda done: None
) -> Table:
    """All policies at one budget, a quarter of what the longest stream needs, by the age of what is asked for.

    A stream is watched for so many seconds, then what the sign says now and what it said first are asked. Each
    distance is a session of its own, and no watch is open: nothing said before helps memory.

    Returns:
        Policy -> `now` and each distance -> {"accuracy", "n"}, in percent.
    """
    max_len = setting.max_len or quarter(setting)
    table: Table = {}
    for number, policy in enumerate(policies):
        one = Setting(setting.backbone, setting.activation, policy, max_len, setting.fps)
        rows: dict[str, list[bool]] = {"now": [], **{f"{distance} s": [] for distance in DISTANCES_S}}
        for done, world in enumerate(plan.worlds(DISTANCES_S[-1] + 2 * LAST_S)):
            for distance in DISTANCES_S:
                now, first = _after(one, world, distance)
                rows["now"].append(now)
                rows[f"{distance} s"].append(first)
            tell(number * plan.streams + done + 1)
        table[policy.name] = {key: {"accuracy": 100 * sum(hit) / len(hit), "n": len(hit)} for key, hit in rows.items()}
    return table


def _after(setting: Setting, world: World, seconds: int) -> tuple[bool, bool]:
    """Are the present sign and the first one known after so many seconds?"""
    short = World(world.seed, seconds + LAST_S, world.split)  # the beginning of the same world
    script = Script(short)
    script.ask("sign", float(seconds))
    script.ask("first_sign", float(seconds))
    timeline = script.timeline()
    marks = score_stream(timeline, run(setting, short, timeline), TOLERANCE_S, ABOUT).marks
    return marks[0].right, marks[1].right
