"""Frames by the clock: never early, newest first when late, every dropped one told; and a stop in order."""

import os
import signal
from collections.abc import Iterator

import pytest

from fakes import make_frame
from streambridge.cli.pacing import Clocked, Flow, Stop, Stopped
from streambridge.types import Dropped, Event, Frame, Notice


class Reel:
    """A source of numbered frames at so many a second, with a notice after the third."""

    name, duration_s = "reel", None

    def __init__(self, count: int, fps: float = 1.0) -> None:
        self.fps = fps
        self._frames = (make_frame(number, number / fps) for number in range(count))
        self._told: list[Event] = []

    def __iter__(self) -> Iterator[Frame]:
        return self

    def __next__(self) -> Frame:
        frame = next(self._frames)
        if frame.t * self.fps == 2:
            self._told.append(Notice(t=frame.t, text="the third"))
        return frame

    def events(self) -> list[Event]:
        told, self._told = self._told, []
        return told


class Clock:
    """A clock that moves only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds


def clocked(source: Reel, clock: Clock, stop: Stop | None = None) -> Clocked:
    return Clocked(source, Stop() if stop is None else stop, clock=clock, sleep=clock.sleep)  # type: ignore[arg-type]


def test_without_a_clock_every_frame_comes_at_once_with_what_the_source_tells() -> None:
    flow = Flow(Reel(5), Stop(), others=lambda: [Notice(t=0.0, text="other")])  # type: ignore[arg-type]
    assert [frame.t for frame in flow] == [0, 1, 2, 3, 4]
    assert [event.text for event in flow.events() if isinstance(event, Notice)] == ["the third", "other"]
    assert flow.t == 4 and flow.behind == 0


def test_a_quick_model_gets_every_frame_and_none_before_its_time() -> None:
    clock = Clock()
    flow = clocked(Reel(5, fps=2.0), clock)
    for frame in flow:
        assert clock.now - 1000.0 >= frame.t - 1e-9
        clock.sleep(0.1)
    assert flow.t == 2.0 and not any(isinstance(event, Dropped) for event in flow.events())


@pytest.mark.parametrize("takes_s", [1.0, 1.5, 2.0, 3.7, 100.0])
def test_a_slow_model_gets_the_newest_frame_and_every_other_one_is_told_as_dropped(takes_s: float) -> None:
    clock = Clock()
    flow = clocked(Reel(20), clock)
    seen, dropped = [], 0
    for frame in flow:
        late = clock.now - 1000.0 - frame.t
        assert 0 <= late < 1.0 or frame.t == 19  # the newest whose time has come
        told = [event for event in flow.events() if isinstance(event, Dropped)]
        assert all(event.reason == "behind" and event.t <= frame.t for event in told)
        dropped += sum(event.frames for event in told)
        seen.append(frame.t)
        clock.sleep(takes_s)
    assert len(seen) + dropped == 20
    assert seen == sorted(set(seen)) and (dropped > 0) == (takes_s > 1.0)


def test_a_stop_ends_the_wait_for_a_frame_and_is_not_the_end_of_the_frames() -> None:
    clock, stop = Clock(), Stop()
    flow = clocked(Reel(3, fps=0.001), clock, stop)
    assert next(flow).t == 0
    flow.tick = lambda: setattr(stop, "signal", signal.SIGINT)
    with pytest.raises(Stopped):
        next(flow)
    assert clock.now < 1002.0


def test_the_first_ctrl_c_asks_and_the_second_insists_and_then_all_is_as_before() -> None:
    before = signal.getsignal(signal.SIGINT)
    with Stop() as stop:
        assert not stop
        os.kill(os.getpid(), signal.SIGINT)
        assert stop and stop.signal == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            signal.pause()
    assert signal.getsignal(signal.SIGINT) == before
