"""Promises of sampling by time, on numbers alone: no file, no pixels."""

import math
from collections.abc import Iterator

import numpy as np
import pytest

from streambridge.sources.sampling import GRAIN_S, Picture, at_ticks, holes, steady


def film(times: list[float], last_s: float | None = None) -> list[Picture[int]]:
    ends = [*times[1:], times[-1] + last_s if last_s is not None else None]
    return [Picture(t, None if e is None else e - t, n) for n, (t, e) in enumerate(zip(times, ends, strict=True))]


def naive(pictures: list[Picture[int]], fps: float, end_s: float | None) -> list[tuple[float, int]]:
    """The definition, tick by tick: the newest picture not after the tick, while there is one on screen."""
    last, out = pictures[-1], []
    over = last.t + last.duration_s if last.duration_s else None
    for tick in range(10_000):
        t = tick / fps
        if end_s is not None and t >= end_s - 1e-9:
            break
        if t > last.t + GRAIN_S and (over is None or t >= over - GRAIN_S):
            break
        if shown := [p for p in pictures if p.t <= t + GRAIN_S]:
            out.append((t, shown[-1].of))
    return out


def check_against_the_definition(streams: int) -> None:
    rng = np.random.default_rng(5)
    for _ in range(streams):
        steps = rng.choice([0.0, 0.001, 0.02, 1 / 30, 0.1, 0.7, 3.0], size=rng.integers(1, 40))
        times = [float(t) for t in rng.choice([0.0, 0.0, -1.3, 0.4]) + np.concatenate([[0.0], np.cumsum(steps)])]
        pictures = film(times, last_s=rng.choice([None, 0.01, 0.5, 2.0]))
        fps = float(rng.choice([0.3, 1.0, 2.0, 7.0, 30.0]))
        end_s = rng.choice([None, 0.5, 4.0])
        assert list(at_ticks(pictures, fps, end_s)) == naive(pictures, fps, end_s)


def test_each_tick_takes_the_newest_picture_not_after_it() -> None:
    check_against_the_definition(150)


@pytest.mark.slow
def test_each_tick_takes_the_newest_picture_not_after_it_in_full() -> None:
    check_against_the_definition(3000)


def test_no_sampled_picture_is_later_than_its_tick() -> None:
    times = [float(t) for t in np.cumsum(np.random.default_rng(1).uniform(0.005, 0.4, 300))]
    times = [t - times[0] for t in times]
    for t, n in at_ticks(film(times), fps=5):
        assert times[n] <= t + GRAIN_S
        assert n + 1 == len(times) or times[n + 1] > t


def test_a_clock_of_milliseconds_still_gives_each_tick_its_own_picture() -> None:
    times = [round(n / 30, 3) for n in range(600)]
    assert [n for _, n in at_ticks(film(times, 1 / 30), fps=15)] == list(range(0, 600, 2))


def test_a_gap_repeats_the_picture_that_stands_on_screen() -> None:
    assert list(at_ticks(film([0.0, 3.5, 4.0], 0.5), fps=1)) == [(0.0, 0), (1.0, 0), (2.0, 0), (3.0, 0), (4.0, 2)]


@pytest.mark.parametrize(
    ("last_s", "ticks"), [(0.1, [0.0, 1.0]), (1.0, [0.0, 1.0]), (1.2, [0.0, 1.0, 2.0]), (None, [0.0, 1.0])]
)
def test_the_last_picture_lasts_its_own_duration_and_no_tick_is_after_it(last_s: float, ticks: list[float]) -> None:
    assert [t for t, _ in at_ticks(film([0.0, 1.0], last_s), fps=1)] == ticks


def test_one_picture_alone_is_one_frame_at_zero() -> None:
    assert list(at_ticks(film([0.0]), fps=1)) == [(0.0, 0)]
    assert list(at_ticks([], fps=1)) == []


def test_sampling_reads_one_picture_ahead_and_no_further() -> None:
    read: list[int] = []

    def watched() -> Iterator[Picture[int]]:
        for picture in film([n / 10 for n in range(100)]):
            read.append(picture.of)
            yield picture

    ticks = at_ticks(watched(), fps=1)
    next(ticks), next(ticks)
    assert read[-1] == 11


def test_the_end_is_not_included_and_nothing_after_it_is_read() -> None:
    pictures = iter(film([n / 10 for n in range(100)]))
    assert [t for t, _ in at_ticks(pictures, fps=2, end_s=2.0)] == [0.0, 0.5, 1.0, 1.5]
    assert next(pictures).t < 2.3


def told(pictures: list[Picture[int]], stated_s: float | None = None) -> tuple[list[float], list[str]]:
    lines: list[str] = []
    return [p.t for p in steady(pictures, lines.append, stated_s)], lines


def test_small_disorder_is_clamped_without_a_word() -> None:
    assert told(film([0.0, 0.2, 0.1, 0.3])) == ([0.0, 0.2, 0.2, 0.3], [])


def test_a_clock_set_back_goes_on_and_is_told() -> None:
    pictures = [Picture(t, 0.5, n) for n, t in enumerate([100.0, 100.5, 0.0, 0.5])]
    times, lines = told(pictures)
    assert times == [100.0, 100.5, 101.0, 101.5]
    assert len(lines) == 1 and "100.500 s to 0.000 s" in lines[0]


def test_a_leap_of_a_broken_clock_does_not_freeze_the_stream_for_days() -> None:
    times, lines = told([Picture(t, 0.5, n) for n, t in enumerate([0.0, 0.5, 95_000.0, 95_000.5])])
    assert times == [0.0, 0.5, 1.0, 1.5] and len(lines) == 1
    times, lines = told([Picture(t, 0.5, n) for n, t in enumerate([0.0, 0.5, 60.0])], stated_s=2.0)
    assert times == [0.0, 0.5, 1.0] and len(lines) == 1


def test_a_long_pause_within_the_stated_length_is_believed() -> None:
    assert told(film([0.0, 600.0, 600.1]), stated_s=601.0) == ([0.0, 600.0, 600.1], [])


def test_times_after_steady_never_go_back() -> None:
    rng = np.random.default_rng(3)
    for _ in range(50):
        times = list(np.cumsum(rng.choice([0.1, 0.1, -0.05, -40.0, 9000.0], size=50)))
        out, _ = told([Picture(float(t), 0.1, n) for n, t in enumerate(times)])
        assert all(a <= b for a, b in zip(out, out[1:], strict=False)) and all(math.isfinite(t) for t in out)
        assert len(out) == len(times)


def test_holes_are_told_three_by_three_and_then_counted() -> None:
    pictures = [Picture(5.0 * n, 0.5, n) for n in range(6)]
    lines: list[str] = []
    assert list(holes(pictures, lines.append)) == pictures
    assert lines[0] == "no pictures from 0.500 s to 5.000 s of the video"
    assert len(lines) == 4 and lines[3] == "5 holes without pictures in the video, 22.500 s in all"


def test_a_picture_that_says_it_stays_long_is_no_hole() -> None:
    lines: list[str] = []
    list(holes(film([0.0, 60.0, 61.0], 1.0), lines.append))
    assert lines == []
