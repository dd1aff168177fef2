"""Promises that every memory policy keeps, whichever file of the room it lives in. Names the baselines, too."""

import numpy as np
import pytest

from fakes_memory import (
    KINDS,
    count,
    filled,
    fit,
    flat_shapes,
    frame,
    frames_of,
    play,
    policies,
    random_stream,
    shapes,
    turns_of,
    words,
)
from streambridge import loading
from streambridge.errors import WrongUse
from streambridge.memory.recent import Recent
from streambridge.memory.truncate import Truncate
from streambridge.memory.uniform import Uniform
from streambridge.types import Compression

NAMES = loading.names("memory")
streams = pytest.mark.parametrize("streams", [50, pytest.param(1000, marks=pytest.mark.slow)])
every = pytest.mark.parametrize("name", NAMES)
bounded = pytest.mark.parametrize("name", [policy.name for policy in policies(bounded=True)])


def test_the_room_has_the_seven_policies():
    assert {"paper", "repo", "round_decay", "recent", "truncate", "uniform", "keep_all"} <= set(NAMES)
    assert not {"buffer", "draft", "yielding"} & set(NAMES)


@every
def test_it_is_a_compression_that_bears_its_files_name(name):
    policy = loading.load("memory", name)
    assert isinstance(policy, Compression) and policy.name == name
    assert policy.at in ("frame", "answer")


def test_only_the_published_rules_and_keep_all_guarantee_nothing():
    assert {policy.name for policy in policies(bounded=False)} == {"paper", "repo", "keep_all"}
    assert all(policy.at == "frame" and policy.keeps and policy.reserves for policy in policies(bounded=True))


@bounded
@streams
def test_memory_is_within_the_budget_after_every_step(name, streams):
    rng, policy, fits = np.random.default_rng(21), loading.load("memory", name), 0
    for number in range(streams):
        stream = random_stream(rng, list(KINDS)[number % len(KINDS)])
        for buffer, _, done in play(stream, policy):
            assert buffer.tokens <= stream.budget
            fits += done is not None
    assert fits > streams  # the budget was passed again and again


@every
@streams
def test_what_stays_keeps_its_order_and_pinned_questions_always_stay(name, streams):
    rng, policy = np.random.default_rng(22), loading.load("memory", name)
    for _ in range(streams):
        stream = random_stream(rng)
        pinned, turns = set(), []
        steps = iter(stream.steps)
        for buffer, _, _ in play(stream, policy):
            for step, *what in steps:  # the steps up to this append
                if step in ("pin", "unpin"):
                    (pinned.add if step == "pin" else pinned.discard)(what[0])
                if step == "item":
                    turns += [what[0]] if hasattr(what[0], "ids") else []
                    break
            kept = turns_of(buffer)[1 if stream.system else 0 :]
            there = {id(turn) for turn in kept}
            assert kept == [turn for turn in turns if id(turn) in there]
            assert pinned & {turn.id for turn in turns} <= {turn.id for turn in kept}
            seen = [number for item in frames_of(buffer) for number in item.bundle["raw"]]
            assert seen == sorted(set(seen))


@every
@streams
def test_up_to_the_budget_nothing_happens(name, streams):
    rng, policy = np.random.default_rng(23), loading.load("memory", name)
    for _ in range(streams):
        stream = random_stream(rng)
        buffer = filled([[what[0] for step, *what in stream.steps if step == "item"]], stream.system)
        items, rounds = buffer.items(), buffer.shapes()
        assert fit(buffer, policy, buffer.tokens) is None and buffer.items() == items
        assert policy(rounds, sum(shape.tokens for shape in rounds[0]), count) is None  # asked all the same


@every
@streams
def test_each_value_is_the_mean_of_the_raw_frames_that_it_stands_for(name, streams):
    """`repo` averages slots instead of camera frames: its times, spans and counts hold all the same."""
    rng, policy = np.random.default_rng(24), loading.load("memory", name)
    merged = 0
    for _ in range(streams):
        stream = random_stream(rng)
        raw = stream.raw
        *_, (buffer, _, _) = play(stream, policy)
        for item in frames_of(buffer):
            parts = [raw[number] for number in item.bundle["raw"]]
            assert item.frames == len(parts) and item.span == (parts[0].t, parts[-1].t)
            assert item.t == pytest.approx(np.mean([part.t for part in parts]), abs=1e-9)
            if getattr(policy, "weighted", True):
                mean = np.mean([part.bundle["embeds"] for part in parts], axis=0)
                assert np.allclose(item.bundle["embeds"], mean, rtol=0, atol=1e-5)
            merged += len(parts) > 1
    assert bool(merged) == getattr(policy, "merges", True)


@every
def test_the_same_stream_gives_the_same_memory(name):
    for seed in range(5):
        ends = []
        for _ in range(2):
            *_, (buffer, _, _) = play(random_stream(np.random.default_rng(seed)), loading.load("memory", name))
            ends.append([getattr(item, "bundle", {}).get("raw") or item.id for item in buffer.items()])
        assert ends[0] == ends[1]


@bounded
@pytest.mark.parametrize(
    "picture", ["f" * 40, "ft" * 20, "|".join(["ftt"] * 20), "t" * 40, "|".join(["t"] * 40), "fP|fffff"]
)
@pytest.mark.parametrize("budget", [1, 2, 5])
def test_tiny_budgets_hold(name, picture, budget):
    rounds = shapes(picture)
    layout = loading.load("memory", name)(rounds, budget, count)
    flat = [shape for round_ in rounds for shape in round_]
    assert sum(flat[group[0]].tokens for round_ in layout for group in round_) <= budget
    assert picture.count("P") == sum(flat[group[0]].pinned for round_ in layout for group in round_)


@bounded
def test_one_frame_larger_than_the_budget_is_dropped_and_costs_no_word(name):
    buffer = filled([[words("q0", 3, kind="question"), frame(1.0, tokens=50)]])
    done = fit(buffer, loading.load("memory", name), 20)
    assert (done.frames_dropped, done.turns_forgotten, buffer.tokens) == (1, 0, 3)


@bounded
def test_pinned_questions_over_the_budget_are_wrong_use(name):
    buffer = filled([[words("q0", 9, kind="question"), frame(1.0)]])
    buffer.pin("q0")
    with pytest.raises(WrongUse, match="guarantees 8 tokens and left 9, 9 of them pinned"):
        fit(buffer, loading.load("memory", name), 8)


@every
@pytest.mark.parametrize("budget", [0, -5, 1.5, True, None])
def test_a_budget_that_is_none_is_refused(name, budget):
    with pytest.raises(WrongUse, match="the budget of memory is a number of tokens above 0; this one is"):
        loading.load("memory", name)(shapes("fft"), budget, count)


@pytest.mark.parametrize("name", ["round_decay", "recent", "truncate", "uniform"])
@pytest.mark.parametrize("low", [0, 0.0, -0.1, 1.01, 7, float("nan"), True, None, "half"])
def test_a_low_water_mark_out_of_range_is_refused(name, low):
    with pytest.raises(WrongUse, match=r"low is a share of the budget, above 0 and up to 1; this one is"):
        loading.load("memory", name, low=low)


# ------------------------------------------------------------------------------------------ each baseline


def _play(policy, kind, seed=31):
    rng = np.random.default_rng(seed)
    for _ in range(20):
        stream = random_stream(rng, kind)
        for buffer, before, done in play(stream, policy):
            yield stream, buffer, before, done


@pytest.mark.parametrize("kind", ["mixed", "chatty", "texts"])
def test_recent_keeps_the_newest_frames_raw_and_without_a_gap(kind):
    seen = 0
    for stream, buffer, before, done in _play(Recent(), kind):
        kept = [item.bundle["raw"] for item in frames_of(buffer)]
        numbers = [raw[0] for raw in kept]
        assert all(len(raw) == 1 for raw in kept) and numbers == list(range(*_ends(numbers)))
        if done and kept:
            seen += 1
            words_cost = sum(item.tokens for item in turns_of(buffer))
            there = sum(shape.kind == "frame" for round_ in before for shape in round_)
            assert len(kept) == min(there, max(1, int((stream.budget - words_cost) * 0.75) // stream.per_frame))
    assert seen > 20


def _ends(numbers):
    return (numbers[0], numbers[-1] + 1) if numbers else (0, 0)


def test_recent_keeps_every_word_while_the_newest_frame_fits_beside_them():
    for stream, _, before, done in _play(Recent(), "texts"):
        if done:
            flat = [shape for round_ in before for shape in round_]
            room = stream.budget - (stream.system.tokens if stream.system else 0)
            newest = next((shape.tokens for shape in reversed(flat) if shape.kind == "frame"), 0)
            fits = sum(shape.tokens for shape in flat if shape.kind == "text") + newest <= room
            assert (done.turns_forgotten == 0) == fits


def test_truncate_keeps_the_end_of_the_sequence():
    buffer = filled([[*(frame(v, v) for v in range(6)), words("a0", 2)], [frame(6, 6), words("q1", 1), frame(7, 7)]])
    fit(buffer, Truncate(), 8)
    assert [getattr(item, "id", item.t) for item in buffer.items()] == [5, "a0", 6, "q1", 7]
    assert buffer.tokens == 6 == int(8 * 0.75)


def test_truncate_keeps_the_newest_item_even_above_the_low_water_mark():
    buffer = filled([[words("a0", 3), words("a1", 9)]])
    fit(buffer, Truncate(), 10)
    assert [turn.id for turn in turns_of(buffer)] == ["a1"]


def test_uniform_takes_the_same_share_from_every_round_and_reaches_its_mark():
    """The corrected ratio: 60 frames and 8 tokens of words under 38: 22 of 60 stay (low is 3/4 of 30)."""
    buffer = filled([[*(frame(v) for v in range(n)), words("a", 2)] for n in (30, 12, 12, 6)])
    fit(buffer, Uniform(), 38)
    assert [sum(s.kind == "frame" for s in round_) for round_ in buffer.shapes()] == [12, 4, 4, 2]
    assert all(s.frames in (2, 3) for s in flat_shapes(buffer) if s.kind == "frame")


def test_the_printed_ratio_would_miss_the_limit_and_ours_does_not():
    """L = 20000, V = 19000, M = 16384: the printed share ends at 16565."""
    buffer = filled([[*(frame(v, tokens=100) for v in range(95)), words("a", 500)] for _ in range(2)])
    assert buffer.tokens == 20000 and 20000 - 19000 * (20000 - 16384) / 20000 > 16384
    fit(buffer, Uniform(low=1.0), 16384)
    assert 16384 - 2 * 100 < buffer.tokens <= 16384


def test_uniform_stays_uniform_however_often_it_merges():
    buffer = filled([[]])
    for value in range(3000):
        buffer.append(frame(value, value, number=value))
        fit(buffer, Uniform(), 40)
        if value == 2000:
            buffer.append(words("a"))
            buffer.close()
    sizes = np.array([item.frames for item in frames_of(buffer) if item.frames > 1])
    assert sizes.sum() > 2900 and sizes.max() <= 4 * 3000 / 30


def test_uniform_joins_the_oldest_rounds_when_one_frame_each_is_too_much():
    buffer = filled([[frame(v, v), words(f"a{v}", 2)] for v in range(20)])
    done = fit(buffer, Uniform(), 40)
    assert done.rounds_forgotten and done.frames_dropped == 0 and buffer.tokens <= 35
    assert [turn.id for turn in turns_of(buffer)] == [f"a{v}" for v in range(done.turns_forgotten, 20)]
