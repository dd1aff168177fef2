"""The gate once over every clip, in the Session that serves users; its scores are kept in files. Knows no trigger.

One session for each question, so that the scores of one do not hang on what else was asked.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from streambridge.activation.sweep import Trace
from streambridge.errors import RunFailed
from streambridge.replay import replay
from streambridge.session import Session
from streambridge.sources.source import Source
from streambridge.train.wishes import Wish, check
from streambridge.types import Event, Failed, Frame, Question, Scored

FORMAT: Final = 1  # of a file of scores

Open = Callable[[str], Source]
Tell = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Scores:
    """What the gate made of one question in one clip, at its own settings.

    Attributes:
        times: of the frames judged, in seconds.
        scores: in [0, 1].
        fires: seconds of those that fired.
        duration_s: how long the clip lasts.
        failed: what went wrong on the way, one line each.
    """

    times: tuple[float, ...]
    scores: tuple[float, ...]
    fires: tuple[float, ...]
    duration_s: float
    failed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Part:
    """A wish and what the gate made of it."""

    wish: Wish
    scores: Scores

    def trace(self, filtered: bool = False) -> Trace:
        """Ready to be swept; of FIRST+SECOND, frames at exactly 0.0 were not asked about."""
        pairs = zip(self.scores.times, self.scores.scores, strict=True)
        kept = [(t, score) for t, score in pairs if score != 0.0 or not filtered]
        moments = [one.t for one in self.wish.moments]
        hours = max(0.0, self.scores.duration_s - self.wish.asked) / 3600
        times, scores = [t for t, _ in kept], [score for _, score in kept]
        return Trace(times, scores, moments, self.wish.asked, self.wish.once, hours)


class Store:
    """Scores on disk, one file for each question of each clip; a second run reads them and asks no gate.

    Args:
        folder: where they lie.
        identity: all that makes a score what it is, but for clip and question: model, gate, rate.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any]) -> None:
        self._folder, self._identity = folder, identity

    def get(self, wish: Wish) -> Scores | None:
        """What is there; None when nothing is, or what is there is of something else or broken."""
        path, key = self._place(wish)
        try:
            said = json.loads(path.read_text(encoding="utf-8"))
            if said["key"] != key:
                return None
            numbers = {name: tuple(said[name]) for name in ("times", "scores", "fires", "failed")}
            found = Scores(**numbers, duration_s=float(said["duration_s"]))
            Trace(found.times, found.scores)
            return found
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None

    def put(self, wish: Wish, scores: Scores) -> None:
        """Keep it; whole or not at all.

        Raises:
            RunFailed: when it cannot be written.
        """
        path, key = self._place(wish)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            part = path.with_suffix(".part")
            part.write_text(json.dumps({"key": key, **asdict(scores)}) + "\n", encoding="utf-8")
            part.replace(path)
        except OSError as err:
            raise RunFailed(f"scores cannot be kept in {self._folder}: {err.strerror or err}; name a --work") from err

    def _place(self, wish: Wish) -> tuple[Path, Any]:
        about = {"format": FORMAT, "clip": clip_state(wish.clip), "watch": wish.watch, "asked": wish.asked}
        key = json.loads(json.dumps({**about, **self._identity}))  # as it will be read back
        name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:24]
        return self._folder / f"{name}.json", key


def clip_state(clip: str) -> list[Any]:
    """What a clip is now: its name, and where it is a file or a folder, sizes and times of change."""
    path = Path(clip)
    try:
        inside = sorted(path.iterdir()) if path.is_dir() else [path]
        files = [(one, one.stat()) for one in inside if one.is_file()]
        return [clip, *([one.name, state.st_size, state.st_mtime_ns] for one, state in files)]
    except (OSError, ValueError):  # a name that is no path
        return [clip]


def gather(
    wishes: Sequence[Wish],
    open_clip: Open,
    session: Callable[[], Session],
    store: Store | None = None,
    tell: Tell = lambda done, total: None,
) -> list[Part]:
    """Let the gate run over every clip, once for each question; what the store holds is not run again.

    Args:
        wishes: what is watched for.
        open_clip: opens a clip.
        session: makes a new session with the gate at its own settings.
        store: where scores are kept.
        tell: called with the number of wishes done, and of all.

    Raises:
        BadInput: when a moment lies beyond its clip.
        RunFailed: when the gate scored no frame of a clip.
    """
    known = [store.get(wish) if store else None for wish in wishes]
    _check_all(wishes, known, open_clip)
    parts = []
    for done, (wish, scores) in enumerate(zip(wishes, known, strict=True), 1):
        if scores is None:
            scores = _run(wish, open_clip, session)
            check(wish, scores.duration_s)
            if store:
                store.put(wish, scores)
        parts.append(Part(wish, scores))
        tell(done, len(wishes))
    return parts


def _check_all(wishes: Sequence[Wish], known: Sequence[Scores | None], open_clip: Open) -> None:
    """Labels beyond a clip, and clips that cannot be opened, are told before minutes are spent on the others."""
    lasts = {wish.clip: scores.duration_s for wish, scores in zip(wishes, known, strict=True) if scores is not None}
    for wish in wishes:
        if wish.clip not in lasts:
            with open_clip(wish.clip) as source:
                lasts[wish.clip] = source.duration_s if source.duration_s is not None else float("inf")
        check(wish, lasts[wish.clip])


def _run(wish: Wish, open_clip: Open, session: Callable[[], Session]) -> Scores:
    """Watched as standing also where it is asked for once: behind the first fire there are scores too."""
    question = Question("q0", wish.asked, wish.watch, "watch")
    with open_clip(wish.clip) as source:
        frames = _Frames(source)
        events = list(replay(session(), frames, [question]))
        lasted = source.duration_s if source.duration_s is not None else frames.last + 1 / source.fps
    scored = [event for event in events if isinstance(event, Scored)]
    failed = tuple(event.error for event in events if isinstance(event, Failed))
    if not scored:
        why = failed[0] if failed else "there was no frame behind the question"
        raise RunFailed(f"the gate scored no frame of {wish.clip!r} for {wish.watch!r:.60}: {why}")
    times = [event.t for event in scored]
    if times[0] == wish.asked:  # judged when it was put, on the frame in view, which may be an older one
        times[0] = frames.before(wish.asked)
    fired = tuple(event.t for event in scored if event.fire)
    return Scores(tuple(times), tuple(event.score for event in scored), fired, lasted, failed)


class _Frames:
    """The frames of a source, and a note of their times."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._times: list[float] = []
        self.events: Callable[[], list[Event]] = source.events

    def __iter__(self) -> _Frames:
        return self

    def __next__(self) -> Frame:
        frame = next(self._source)
        self._times.append(frame.t)
        return frame

    @property
    def last(self) -> float:
        return self._times[-1] if self._times else 0.0

    def before(self, t: float) -> float:
        """The newest frame at or before this time; the time itself when there is none."""
        return max((one for one in self._times if one <= t), default=t)
