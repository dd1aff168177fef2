"""What of a plan is in the cache, what is still to be read, and in which portions. Integers only: no tensor, no model.

`follow(plan)` finds the longest common prefix with what is held, cuts the rest off and queues the new part in chunks.
Where a chunk ends depends on the plans followed and on nothing else: reading at once, in lent time or just before an
answer runs the same chunks and gives the same numbers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, Self

from streambridge.types import Plan, Segment

LEAST: Final = 16  # tokens: smaller frames wait for the next one, for so short a pass costs as much as a longer one
MOST: Final = 256  # tokens: an answer waits for one chunk at most, and longer ones are hardly cheaper by the token


class Track(Protocol):
    """One sequence in a model: the tokens read so far."""

    def read(self, segments: Sequence[Segment]) -> None:
        """Append these tokens."""
        ...

    def crop(self, length: int) -> None:
        """Forget all but the first `length` tokens."""
        ...

    def copy(self, other: Self, length: int) -> None:
        """Hold the first `length` tokens of another track instead."""
        ...

    def fresh(self) -> Self:
        """Another track in the same model, with nothing read."""
        ...

    def next(self) -> int:
        """The likeliest id to follow the token read last."""
        ...

    @property
    def nbytes(self) -> int:
        """Memory of its cache."""
        ...


@dataclass(slots=True, eq=False)
class Chunk:
    """What is read in one pass.

    Attributes:
        segments: in order.
        tokens: how many there are.
        keep: how many stay; a later plan may have cut the rest off before it was read.
    """

    segments: list[Segment]
    tokens: int
    keep: int


class Reader:
    """One session's cache and the plan it was built from.

    Args:
        track: where tokens are read.
        stop: ids that end an answer.
        least: tokens that make a chunk.
        most: tokens after which a chunk ends; a frame is never split.
    """

    def __init__(self, track: Track, stop: frozenset[int], least: int = LEAST, most: int = MOST) -> None:
        self.track, self.stop, self.least, self.most = track, stop, least, most
        self.held: list[Segment] = []  # all that is or will be in the cache
        self._queue: deque[Chunk] = deque()
        self._read = self._cut = self._length = 0  # tokens in the cache; in chunks; held

    @property
    def unread(self) -> int:
        """Tokens in chunks that are not in the cache yet."""
        return sum(chunk.tokens for chunk in self._queue)

    @property
    def nbytes(self) -> int:
        """Memory of the cache."""
        return self.track.nbytes

    def follow(self, plan: Plan) -> None:
        """Be about to read this plan and nothing else: keep the common prefix, queue what is new."""
        self._sync(plan.segments)
        while self._length - self._cut >= self.least:
            self._cut_chunk()

    def work(self, max_tokens: int | None = None) -> int:
        """Read chunks until so many tokens are read (the last one may pass it), or all; how many it were."""
        done = 0
        while self._queue and (max_tokens is None or done < max_tokens):
            chunk = self._queue[0]
            self.track.read(chunk.segments)
            if chunk.keep < chunk.tokens:
                self.track.crop(self._read + chunk.keep)
            self._read += chunk.keep
            done += chunk.tokens
            self._queue.popleft()  # only now: a pass that breaks is tried again
        return done

    def finish(self, plan: Plan) -> None:
        """Read a plan to its end, so that `track.next` tells what follows it."""
        self._sync(plan.segments, unless_whole=True)
        while self._length > self._cut:
            self._cut_chunk()
        self.work()

    def answer(self, plan: Plan, max_tokens: int) -> Iterator[int]:
        """The likeliest ids one after another, ending at a stop id (not given out) or after `max_tokens`.

        What was read stays, the answer's own tokens too: the next plan holds them and pays only for what is new.
        """
        self.finish(plan)
        position = plan.segments[-1].positions[:, -1:]  # [R, 1]
        for spoken in range(max_tokens):
            token = self.track.next()
            if token in self.stop:
                return
            yield token
            if spoken + 1 < max_tokens:
                position = position + 1
                self._say(Segment((token,), position))

    def fork(self, plan: Plan, into: Reader | None = None) -> Reader:
        """Another reader which follows that plan and starts from what it has in common with this one.

        Args:
            plan: what it shall read.
            into: one that is not needed any more, whose cache is overwritten.
        """
        twin = Reader(self.track.fresh() if into is None else into.track, self.stop, self.least, self.most)
        twin.held, twin._length = list(self.held), self._length
        twin._queue = deque(Chunk(chunk.segments, chunk.tokens, chunk.keep) for chunk in self._queue)
        twin._read, twin._cut = self._read, self._cut
        shared = min(self._read, _common(self.held, plan.segments)[0])
        twin.track.copy(self.track, shared)
        if shared < self._read:
            twin._crop(shared)
        twin.follow(plan)
        return twin

    def _say(self, segment: Segment) -> None:
        self.track.read([segment])
        self.held.append(segment)
        self._length += 1
        self._read = self._cut = self._length

    def _sync(self, segments: Sequence[Segment], unless_whole: bool = False) -> None:
        """Hold these segments: crop to the common prefix, append the rest as tokens that are in no chunk yet."""
        common, number, inside = _common(self.held, segments)
        if unless_whole and common == sum(len(segment.ids) for segment in segments):  # the last one is read again
            common, number, inside = common - 1, len(segments) - 1, len(segments[-1].ids) - 1
        if common < self._length:
            self._crop(common)
        if inside:
            self._hold(_part(segments[number], inside, None))
            number += 1
        for segment in segments[number:]:
            self._hold(segment)

    def _hold(self, segment: Segment) -> None:
        self.held.append(segment)
        self._length += len(segment.ids)

    def _crop(self, length: int) -> None:
        """Forget all but the first `length` tokens, read or not."""
        while self._length > length:
            last = self.held.pop()
            self._length -= len(last.ids)
            if self._length < length:
                self._hold(_part(last, 0, length - self._length))
        if length < self._read:
            self.track.crop(length)
            self._queue.clear()
            self._read = length
        self._cut = min(self._cut, length)
        self._crop_queue(length)

    def _crop_queue(self, length: int) -> None:
        """Drop chunks that begin behind `length`; one that it falls into is still read whole, then cut.

        A chunk read early would have been read whole: so the numbers do not depend on when it was read.
        """
        end = self._read + sum(chunk.keep for chunk in self._queue)
        while self._queue and end - self._queue[-1].keep >= length:
            end -= self._queue.pop().keep
        if self._queue and end > length:
            self._queue[-1].keep -= end - length

    def _cut_chunk(self) -> None:
        """Make a chunk of the first tokens that are in none."""
        segments, tokens = [], 0
        for segment in self._loose():
            if segment.frame is None and tokens + len(segment.ids) > self.most:
                segment = _part(segment, 0, self.most - tokens)
            segments.append(segment)
            tokens += len(segment.ids)
            if tokens >= self.most:
                break
        self._queue.append(Chunk(segments, tokens, tokens))
        self._cut += tokens

    def _loose(self) -> list[Segment]:
        """What is held and in no chunk."""
        number, start = len(self.held), self._length
        while start > self._cut:
            number -= 1
            start -= len(self.held[number].ids)
        loose = self.held[number:]
        if start < self._cut:
            loose[0] = _part(loose[0], self._cut - start, None)
        return loose


def _common(held: Sequence[Segment], plan: Sequence[Segment]) -> tuple[int, int, int]:
    """The common prefix of two lines of segments, which may divide the same words differently.

    Returns:
        Its tokens; the first segment of `plan` that is not wholly in it; how many of that one's tokens are.
    """
    total = mine = theirs = i = j = 0  # tokens in common; inside of held[i] and of plan[j]
    while i < len(held) and j < len(plan):
        here, there = held[i], plan[j]
        if here.frame is not None or there.frame is not None:
            if mine or theirs or not _same_frame(here, there):
                break
            n = len(there.ids)
            mine = theirs = n
        else:
            n = _same_words(here, mine, there, theirs)
            mine, theirs = mine + n, theirs + n
        total += n
        if mine < len(here.ids) and theirs < len(there.ids):
            break
        i, mine = (i + 1, 0) if mine == len(here.ids) else (i, mine)
        j, theirs = (j + 1, 0) if theirs == len(there.ids) else (j, theirs)
    return total, j, theirs


def _same_frame(here: Segment, there: Segment) -> bool:
    return here is there or (
        here.frame is there.frame and here.ids == there.ids and bool((here.positions == there.positions).all())
    )


def _same_words(here: Segment, a: int, there: Segment, b: int) -> int:
    """How many tokens are the same, from token `a` of one and `b` of the other on: ids and positions."""
    if here is there and a == b:
        return len(here.ids) - a
    n = min(len(here.ids) - a, len(there.ids) - b)
    said, placed = here.ids[a : a + n], (here.positions[:, a : a + n] == there.positions[:, b : b + n]).all(axis=0)
    if said == (wanted := there.ids[b : b + n]) and placed.all():
        return n
    return next(k for k in range(n) if said[k] != wanted[k] or not placed[k])


def _part(segment: Segment, start: int, stop: int | None) -> Segment:
    """Some tokens of a segment of words."""
    return Segment(segment.ids[start:stop], segment.positions[:, start:stop], segment.frame)
