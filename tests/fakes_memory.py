"""A backbone of plain numbers, and random streams, for the tests of memory. Knows no policy.

Frames carry the numbers of the raw frames they are made of, so that a test can hold each value against its source.
"""

from dataclasses import dataclass

import numpy as np

from streambridge import loading
from streambridge.memory.buffer import MemoryBuffer
from streambridge.types import FrameTokens, Shape, Turn


def frame(value, t=0.0, tokens=1, step=0.0, number=0):
    """A frame whose token i is `value` + i * `step`."""
    rows = np.asarray(value, dtype=np.float64) + step * np.arange(tokens)[:, None]
    return FrameTokens({"embeds": rows, "raw": (number,)}, tokens, t, (t, t))


def words(name="a", tokens=1, t=0.0, kind="answer"):
    role = {"answer": "assistant", "system": "system"}.get(kind, "user")
    return Turn(role, name, (), t, kind, name, tokens)


def merge(parts):
    """What the contract asks of a backbone: the count-weighted mean, with time and span."""
    weights = np.array([part.frames for part in parts], dtype=np.float64)
    rows = np.stack([part.bundle["embeds"] for part in parts])
    return FrameTokens(
        {
            "embeds": np.tensordot(weights / weights.sum(), rows, axes=1),
            "raw": tuple(number for part in parts for number in part.bundle["raw"]),
        },
        parts[0].tokens,
        float(sum(part.t * part.frames for part in parts) / weights.sum()),
        (parts[0].span[0], parts[-1].span[1]),
        int(weights.sum()),
    )


def count(shapes):
    return shapes[0].tokens


def fit(buffer, policy, budget):
    return buffer.fit(policy, budget, merge, count)


def frames_of(buffer):
    return [item for item in buffer.items() if isinstance(item, FrameTokens)]


def turns_of(buffer):
    return [item for item in buffer.items() if isinstance(item, Turn)]


def flat_shapes(buffer):
    return [shape for round_ in buffer.shapes() for shape in round_]


def filled(rounds, system=None):
    """A buffer with these rounds, each a list of items; the last one stays open."""
    buffer = MemoryBuffer(system)
    for number, items in enumerate(rounds):
        if number:
            buffer.close()
        for item in items:
            buffer.append(item)
    return buffer


# ------------------------------------------------------------------------------------------- random streams


@dataclass
class Stream:
    """Steps to be played into a buffer: ("item", item), ("close",), ("pin", id), ("unpin", id)."""

    steps: list
    per_frame: int
    budget: int
    system: Turn | None

    @property
    def raw(self):
        return [step[1] for step in self.steps if step[0] == "item" and isinstance(step[1], FrameTokens)]


# chance of each step beside a frame: question, answer that closes, watch (pins), unwatch; and the longest turn
KINDS = {
    "mixed": (0.08, 0.08, 0.02, 0.02, 12),
    "endless": (0.0, 0.0, 0.0, 0.0, 1),
    "one_question": (0.0, 0.0, 0.02, 0.0, 6),
    "chatty": (0.3, 0.3, 0.02, 0.02, 8),
    "texts": (0.45, 0.15, 0.05, 0.05, 30),
    "one_round_of_texts": (0.5, 0.0, 0.05, 0.05, 30),
    "no_frames": (0.7, 0.3, 0.0, 0.0, 20),
}


def random_stream(rng, kind=None, length=160):
    """A stream of one kind, with a budget that it passes many times."""
    kind = kind or list(KINDS)[rng.integers(len(KINDS))]
    ask, answer, watch, unwatch, longest = KINDS[kind]
    per_frame = int(rng.integers(1, 6))
    system = words("be brief", int(rng.integers(1, 8)), kind="system") if rng.random() < 0.5 else None
    room = int(rng.integers(max(4 * longest, 6 * per_frame), 40 * per_frame + 4 * longest))
    steps, pinned, frames = [], {}, 0
    for number in range(length):
        chance, t = rng.random(), float(number)
        cost = int(rng.integers(1, longest + 1))
        if chance < ask:
            steps.append(("item", words(f"q{number}", cost, t, "cue" if rng.random() < 0.2 else "question")))
        elif (chance := chance - ask) < answer:
            steps += [("item", words(f"a{number}", cost, t)), ("close",)]
        elif (chance := chance - answer) < watch and sum(pinned.values()) + cost <= room // 4:
            pinned[f"q{number}"] = cost
            steps += [("pin", f"q{number}"), ("item", words(f"q{number}", cost, t, "question"))]
        elif chance - watch < unwatch and pinned:
            gone = list(pinned)[rng.integers(len(pinned))]
            del pinned[gone]
            steps.append(("unpin", gone))
        else:
            value = rng.normal(size=(1, 2))
            steps.append(("item", frame(value, t, per_frame, 0.1, frames)))
            frames += 1
    return Stream(steps, per_frame, room + (system.tokens if system else 0), system)


def play(stream, policy):
    """Play a stream into a new buffer; yields (buffer, shapes before or [], fit or None) after each append and fit."""
    buffer = MemoryBuffer(stream.system)
    for step, *what in stream.steps:
        if step == "item":
            buffer.append(what[0])
            before = buffer.shapes() if buffer.tokens > stream.budget else []
            yield buffer, before, fit(buffer, policy, stream.budget)
        else:
            getattr(buffer, step)(*what)


def policies(**wanted):
    """All policies of the room whose attributes are as wanted, each with its own defaults."""
    room = [loading.load("memory", name) for name in loading.names("memory")]
    return [policy for policy in room if all(getattr(policy, key) == value for key, value in wanted.items())]


def shapes(text):
    """Shapes from a picture: 'f' a frame of 1 token, 't' a turn of 1 token, 'P' a pinned one, '|' the next round."""
    known = {"f": Shape("frame", 1, 1), "t": Shape("text", 1), "P": Shape("text", 1, pinned=True)}
    return [[known[letter] for letter in round_] for round_ in text.split("|")]
