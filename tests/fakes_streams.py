"""Random streams as data sets have them, for tests of layouts: watches, turns, moved questions. Knows no model."""

import math
import random

import numpy as np

from streambridge import streamit
from streambridge.data.augment import shift
from streambridge.train import words
from streambridge.types import Media, Question, Reference, Timeline
from streambridge.world.script import World

ASKED = ("Tell me.", "Each step?", "Say it.")  # few, so that several watches have the same words
SAID = ("A red cup.", "He cuts.", "Now.", "It is open, and it stays so.", "<|im_end|> yes", "Two.")


def random_stream(seed: int) -> Timeline:
    """A stream with everything at once, as its file would give it back."""
    rng = random.Random(f"stream {seed}")
    duration = rng.randrange(25_000, 60_000) if rng.random() < 0.5 else 1000 * rng.randrange(25, 60)
    turns = [*watches(rng, duration), *rounds(rng, duration)]
    turns.sort(key=lambda turn: streamit.to_ms(turn.t))
    meta = {"task": "realtime_qa", "order": "mixed", "split": "train"}
    made = Timeline(f"made/{seed}", clips(rng, duration), duration / 1000, tuple(turns), meta)
    return streamit.from_line(streamit.to_line(shift(made, 0.3, seed)))


def world_stream(seed: int) -> Timeline:
    """A dialogue about a world, its times in whole milliseconds."""
    rng = np.random.default_rng([5, seed])
    world = World(seed, float(rng.integers(30, 60)), "train")
    return streamit.from_line(streamit.to_line(words.dialogue(world, rng, float(rng.uniform(4, 12)))))


def clips(rng: random.Random, duration: int) -> tuple[Media, ...]:
    """Clips end to end."""
    cuts = sorted({0, duration, *(rng.randrange(1, duration) for _ in range(rng.randrange(3)))})
    spans = zip(cuts[:-1], cuts[1:], strict=True)
    return tuple(Media(f"set:{k}", 3.5, 3.5 + (b - a) / 1000, a / 1000) for k, (a, b) in enumerate(spans))


def watches(rng: random.Random, duration: int) -> list[Question | Reference]:
    """A standing instruction, and others that open, expire, end with their answer or meet at one instant."""
    turns: list[Question | Reference] = []
    meet = [1000 * rng.randrange(5, duration // 1000) for _ in range(3)]
    for number in range(rng.randrange(1, 5)):
        at = 0 if number == 0 else rng.choice([1000 * rng.randrange(duration // 1500), rng.randrange(duration // 2)])
        once, expires = rng.random() < 0.3, rng.choice([None, None, None, 12.0])
        kind = "instruction" if number == 0 else ""
        name = f"w{number}"
        turns.append(Question(name, at / 1000, rng.choice(ASKED), "watch", kind, once, expires))
        for k in range(rng.randrange(6)):
            whole = 1000 * rng.randrange(at // 1000 + 1, duration // 1000 + 1)
            t, learn = rng.choice([*meet, rng.randrange(at, duration + 1), whole]), rng.random() > 0.15
            turns.append(Reference(f"{name}a{k}", max(at, t) / 1000, rng.choice(SAID), name, learn=learn))
    return turns


def rounds(rng: random.Random, duration: int) -> list[Question | Reference]:
    """Questions for now with their answers; several at one instant, some whose answers come too late."""
    turns: list[Question | Reference] = []
    at = rng.randrange(2000)
    while (at := at + rng.randrange(1500, 9000)) < duration:
        end = min(1000 * math.ceil(at / 1000), duration)
        for k in range(rng.choice([1, 1, 1, 2, 3])):
            name, evidence = f"n{at}-{k}", ((max(0, at - rng.randrange(500, 6000)) / 1000, at / 1000),)
            late = 4000 if rng.random() < 0.05 else 0
            turns.append(Question(name, end / 1000, rng.choice(ASKED), "now"))
            said, learn = rng.choice(SAID), rng.random() > 0.15
            turns.append(Reference(name + "a", min(end + late, duration) / 1000, said, name, evidence, learn))
    return turns
