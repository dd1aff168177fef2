"""A Video-LLM of numpy and a gate that breaks when told to, for tests. Knows no weights.

The fake's words are a function of all that its plan holds, so a wrong plan gives wrong words; each frame carries the
number that its pixels spell, so a test can say which camera frames an item of memory stands for.
"""

import zlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from streambridge.types import Caps, Decision, Frame, FrameTokens, GateTokens, Item, Piece, Plan, Segment, Shape, Turn

FRAME_TOKENS = 4
HEADER, END = 2, 1


def make_frame(number: int, t: float | None = None) -> Frame:
    """The camera frame of that number (below 65,536), at `number` seconds unless said otherwise."""
    pixels = np.zeros((2, 2, 3), np.uint8)
    pixels[0, 0, :2] = number // 256, number % 256
    return Frame(pixels, float(number) if t is None else t)


def number_of(frame: Frame) -> int:
    return int(frame.pixels[0, 0, 0]) * 256 + int(frame.pixels[0, 0, 1])


def seen(items: Sequence[Item]) -> list[int]:
    """The camera frames that these items stand for, in order."""
    return [number for item in items if isinstance(item, FrameTokens) for number in item.bundle["seen"]]


def what(item: Item) -> tuple[object, ...]:
    """An item as plain values, to compare two runs."""
    if isinstance(item, Turn):
        return (item.kind, item.id, item.text, item.ids, item.t, item.tokens)
    values = tuple(item.bundle["embeds"][:, 0].tolist())
    return ("frame", item.bundle["seen"], values, item.t, item.span, item.frames, item.tokens)


class FakeBackbone:
    """Encodes a frame as its number; speaks one to seven words, a function of the plan.

    Args:
        max_context: what `caps` says.
        break_at: the answer of this number (from 0) -> the piece before which it breaks.
        blind: numbers of the frames that cannot be encoded.
        error: what is raised then.
    """

    name = "fake"

    def __init__(
        self,
        max_context: int = 4096,
        break_at: dict[int, int] | None = None,
        blind: Sequence[int] = (),
        error: Callable[[str], BaseException] = RuntimeError,
    ) -> None:
        self.caps = Caps(True, True, True, True, "rope", max_context)
        self.break_at, self.blind, self.error = break_at or {}, set(blind), error
        self.plans: list[list[tuple[object, ...]]] = []  # what each answer was rendered from
        self.read: list[Plan] = []  # the plans whose first word was asked for
        self.stopped = 0

    def encode(self, frame: Frame) -> FrameTokens:
        number = number_of(frame)
        if number in self.blind:
            raise self.error(f"cannot see\nframe {number}")
        embeds = np.arange(FRAME_TOKENS, dtype=np.float64)[:, None] / 10 + number
        return FrameTokens({"embeds": embeds, "seen": (number,)}, FRAME_TOKENS, frame.t, (frame.t, frame.t))

    def merge(self, parts: Sequence[FrameTokens]) -> FrameTokens:
        frames = sum(part.frames for part in parts)
        embeds = sum(part.bundle["embeds"] * (part.frames / frames) for part in parts)
        t = sum(part.t * part.frames for part in parts) / frames
        both = {"embeds": embeds, "seen": tuple(number for part in parts for number in part.bundle["seen"])}
        return FrameTokens(both, FRAME_TOKENS, t, (parts[0].span[0], parts[-1].span[1]), frames)

    def turn(self, role: str, text: str, t: float, kind: str, id: str) -> Turn:
        ids = tuple(zlib.crc32(word.encode()) % 50_000 for word in text.split())
        return Turn(role, text, ids, t, kind, id, len(ids) + HEADER + END)  # type: ignore[arg-type]

    def spoken(self, pieces: Sequence[Piece], t: float, id: str) -> Turn:
        ids = tuple(piece.id for piece in pieces if piece.id is not None)
        text = "".join(piece.text for piece in pieces)
        return Turn("assistant", text, ids, t, "answer", id, len(ids) + HEADER + END)

    def count(self, parts: Sequence[Shape]) -> int:
        return FRAME_TOKENS

    def overhead(self) -> int:
        return HEADER + END

    def render(self, items: Sequence[Item], header: bool = True) -> Plan:
        self.plans.append([what(item) for item in items])
        segments = [_segment(item) for item in items] + [Segment((1,) * HEADER, np.zeros((1, HEADER), np.int64))]
        return Plan(tuple(segments), sum(item.tokens for item in items) + HEADER)

    def reader(self, room: int) -> None:
        return None

    def answer(self, plan: Plan, max_tokens: int, reader: object = None) -> Iterator[Piece]:
        number = len(self.read)
        self.read.append(plan)
        content = self.plans_text(plan)
        try:
            for n in range(min(1 + content % 7, max_tokens)):
                if n == self.break_at.get(number):
                    raise self.error(f"the model broke at piece {n}")
                word = zlib.crc32(f"{content}/{n}".encode()) % 10_000
                yield Piece(word, f" w{word}" if word % 5 else "")  # some tokens complete no text yet
        except GeneratorExit:
            self.stopped += 1
            raise

    @staticmethod
    def plans_text(plan: Plan) -> int:
        """One number for all that a plan holds."""
        parts = [repr((s.ids, s.frame.bundle["embeds"].round(6).tolist() if s.frame else None)) for s in plan.segments]
        return zlib.crc32("|".join(parts).encode())


def _segment(item: Item) -> Segment:
    frame = item if isinstance(item, FrameTokens) else None
    ids = (0,) * item.tokens if isinstance(item, FrameTokens) else (HEADER, *item.ids, END)
    return Segment(ids, np.zeros((1, item.tokens), np.int64), frame)


class FakeGate:
    """Fires for a question at the frames whose numbers it is told; notes what its Watches were shown and heard.

    Args:
        fires: question -> numbers of frames.
        look_breaks: numbers of the frames at which `look` breaks.
        observe_breaks: (question, number) at which `observe` breaks.
    """

    name = "fake_gate"

    def __init__(
        self,
        fires: dict[str, Sequence[int]] | None = None,
        look_breaks: Sequence[int] = (),
        observe_breaks: Sequence[tuple[str, int]] = (),
    ) -> None:
        self.fires, self.look_breaks, self.observe_breaks = fires or {}, look_breaks, observe_breaks
        self.looked: list[int] = []
        self.notes: dict[str, list[object]] = {}

    def look(self, frame: Frame, tokens: FrameTokens) -> GateTokens:
        number = number_of(frame)
        self.looked.append(number)
        if number in self.look_breaks:
            raise RuntimeError(f"no look at {number}")
        return GateTokens({"number": number}, frame.t)

    def watch(self, question: str, t: float) -> "FakeWatch":
        if question == "unwatchable":
            raise RuntimeError("cannot watch for that")
        return FakeWatch(self, question)

    def settings(self) -> dict[str, object]:
        return {"fires": {question: list(numbers) for question, numbers in self.fires.items()}}


class FakeWatch:
    def __init__(self, gate: FakeGate, question: str) -> None:
        self.gate, self.question = gate, question
        self.notes = gate.notes.setdefault(question, [])

    def observe(self, frame: GateTokens) -> Decision:
        number = frame.bundle["number"]
        if (self.question, number) in self.gate.observe_breaks:
            raise RuntimeError(f"no judgement of {number}")
        self.notes.append(number)
        fire = number in self.gate.fires.get(self.question, ())
        return Decision(0.9 if fire else 0.1, fire)

    def heard(self, text: str, t: float) -> None:
        self.notes.append((text, t))
