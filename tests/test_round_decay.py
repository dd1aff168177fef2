"""What the default policy promises beyond every policy: who gives way first, how detail decays, what it costs.

The steps are counted again here from the shapes alone, by other means than the policy's.
"""

import math
import time

import numpy as np
import pytest

from fakes_memory import (
    KINDS,
    count,
    filled,
    fit,
    frame,
    frames_of,
    merge,
    play,
    random_stream,
    shapes,
    turns_of,
    words,
)
from streambridge.errors import WrongUse
from streambridge.memory.buffer import MemoryBuffer
from streambridge.memory.round_decay import RoundDecay
from streambridge.types import Shape

streams = pytest.mark.parametrize("streams", [50, pytest.param(1000, marks=pytest.mark.slow)])


def fits(streams, seed, policy=None, kinds=tuple(KINDS)):
    """Every fit of many streams: (stream, room without the system turn, buffer after, shapes before, record)."""
    rng, seen = np.random.default_rng(seed), 0
    for number in range(streams):
        stream = random_stream(rng, kinds[number % len(kinds)])
        room = stream.budget - (stream.system.tokens if stream.system else 0)
        for buffer, before, done in play(stream, policy or RoundDecay()):
            if done:
                seen += 1
                yield stream, room, buffer, before, done
    assert seen > streams


def window_of(rounds, room):
    """Places (round, item) of the newest frames that the window keeps: 16 camera frames, a quarter of the budget."""
    places, frames, tokens = [], 0, 0
    for r, i in sorted(((r, i) for r, round_ in enumerate(rounds) for i, _ in enumerate(round_)), reverse=True):
        shape = rounds[r][i]
        if shape.kind == "frame":
            frames, tokens = frames + shape.frames, tokens + shape.tokens
            if frames > 16 or tokens > room // 4:
                break
            places.append((r, i))
    return set(places)


def least_without_forgetting(rounds, room):
    """Tokens when every run older than the window is at its floor, 1 + log2(frames / 8), and nothing else has given."""
    window, total = window_of(rounds, room), 0
    for r, round_ in enumerate(rounds):
        run = []
        for i, shape in enumerate([*round_, Shape("text", 0)]):
            if shape.kind == "frame" and (r, i) not in window:
                run.append(shape)
                continue
            frames = sum(old.frames for old in run)
            floor = 1 if frames < 16 else 1 + int(math.log2(frames / 8))
            total += shape.tokens + sum(old.tokens for old in run[:floor])
            run = []
    return total


def window_merged(buffer, before, room):
    """The newest frames are no longer those that the window held before."""
    window = [before[r][i].frames for r, i in sorted(window_of(before, room))]
    return window != [item.frames for item in frames_of(buffer)][len(frames_of(buffer)) - len(window) :]


@streams
def test_no_word_goes_and_the_window_stays_raw_as_long_as_older_frames_can_give(streams):
    kept_words = lost_words = 0
    for _, room, buffer, before, done in fits(streams, 41):
        if least_without_forgetting(before, room) <= (room // 2 + room) // 2:
            kept_words += 1
            assert done.turns_forgotten == done.rounds_forgotten == done.frames_dropped == 0
            assert not window_merged(buffer, before, room)
        else:
            lost_words += 1
            gave = done.rounds_forgotten or done.turns_forgotten or done.frames_dropped
            assert gave or window_merged(buffer, before, room) or len(before) <= 2
    assert kept_words > streams and lost_words > 5


@streams
def test_the_window_merges_only_when_no_older_word_is_left_to_give(streams):
    """Words of closed rounds but the last go first: what is left of those is pinned."""
    for _, room, buffer, before, _ in fits(streams, 42):
        if window_merged(buffer, before, room):
            assert len(buffer.rounds) <= 2


@streams
def test_frames_are_dropped_only_when_all_words_left_are_pinned(streams):
    for _, _, buffer, _, done in fits(streams, 43):
        if done.frames_dropped:
            assert all(shape.pinned for round_ in buffer.shapes() for shape in round_ if shape.kind == "text")


@streams
def test_it_stops_exactly_at_the_low_water_mark_when_frames_alone_reach_it(streams):
    """ceil((L - target) / T) frames go, no more."""
    seen = 0
    for stream, room, _, before, done in fits(streams, 44, kinds=("mixed", "endless", "one_question", "chatty")):
        length, target = sum(shape.tokens for round_ in before for shape in round_), room // 2
        if least_without_forgetting(before, room) <= target:
            seen += 1
            wanted = stream.per_frame * math.ceil((length - target) / stream.per_frame)
            assert done.before - done.after == wanted
    assert seen > streams // 2


@streams
def test_once_rounds_are_joined_there_is_room_for_a_while(streams):
    """Down to midway between mark and budget, or to the last closed round."""
    seen = 0
    for _, room, buffer, _, done in fits(streams, 45):
        if done.rounds_forgotten and len(buffer.rounds) > 2:
            seen += 1
            assert sum(s.tokens for round_ in buffer.shapes() for s in round_) <= (room // 2 + room) // 2
    assert seen > streams // 5


@streams
def test_only_unbroken_runs_merge(streams):
    """What merges has no kept word between, and lay in one round unless the words between the rounds went."""
    rng = np.random.default_rng(46)
    for _ in range(streams):
        for buffer, _, done in play(random_stream(rng), RoundDecay()):
            items = [item.bundle["raw"] for item in frames_of(buffer)] if done else []
            assert all(list(raw) == list(range(raw[0], raw[-1] + 1)) for raw in items)


@streams
def test_keeping_merged_frames_equals_merging_the_raw_ones_under_the_same_groups(streams):
    rng, merged = np.random.default_rng(47), 0
    for _ in range(streams):
        stream = random_stream(rng)
        *_, (buffer, _, _) = play(stream, RoundDecay())
        for item in frames_of(buffer):
            again = merge([stream.raw[number] for number in item.bundle["raw"]])
            assert np.allclose(item.bundle["embeds"], again.bundle["embeds"], rtol=0, atol=1e-5)
            assert (item.frames, item.span) == (again.frames, again.span) and item.t == pytest.approx(again.t)
            merged += item.frames > 2
    assert merged > streams


def endless(length, budget, policy):
    buffer = MemoryBuffer()
    for number in range(length):
        buffer.append(frame(number, float(number), number=number))
        fit(buffer, policy, budget)
        assert buffer.tokens <= budget
    return buffer


@pytest.mark.parametrize("length", [600, 5000, pytest.param(50_000, marks=pytest.mark.slow)])
def test_in_one_endless_round_detail_decays_in_proportion_to_age(length):
    """No blur: what a slot stands for is about a fixed part of its age, and nothing is lost."""
    kept = frames_of(endless(length, 64, RoundDecay()))
    assert sum(item.frames for item in kept) == length
    assert all(item.frames == 1 for item in kept[-16:])
    ages = length - np.array([item.span[1] for item in kept])
    sizes = np.array([item.frames for item in kept])
    assert np.all(sizes <= 2 * ages), (sizes, ages)
    assert sizes[0] < length / 2 and np.sum(ages > length / 100) >= 6


def test_the_paper_keeps_of_the_same_round_one_blur_and_the_tail():
    from streambridge.memory.repo import Repo

    kept = frames_of(endless(600, 64, Repo()))
    assert kept[0].frames > 500 and all(item.frames == 1 for item in kept[1:])


def test_oldest_rounds_give_first_and_down_to_their_floor():
    """20, 6 and 6 frames, 20 over the mark: round 1 keeps floor(log2(20 / 8)) + 1 = 2, round 2 gives the rest."""
    buffer = filled([*([frame(v) for v in range(n)] + [words()] for n in (20, 6, 6)), [frame(v) for v in range(9)]])
    fit(buffer, RoundDecay(window=9, low=23.5 / 43), 43)
    assert [sum(s.kind == "frame" for s in round_) for round_ in buffer.shapes()] == [2, 3, 6, 9]


def test_rounds_are_joined_before_a_run_goes_below_its_floor():
    """Both runs at their floor of 3 make 11, midway is 10: the older words go, and all six slots stay."""
    rounds = shapes("f" * 40 + "tt|" + "f" * 40 + "tt|f")
    layout = RoundDecay(window=1, low=0.01)(rounds, 20, count)
    assert [len(round_) for round_ in layout] == [6 + 2, 1]


@pytest.mark.parametrize(("pinned", "slots"), [(14, 3), (16, 3), (17, 1)])
def test_a_run_gives_its_floor_up_only_while_memory_is_over_the_budget(pinned, slots):
    layout = RoundDecay(window=1)(shapes("P" * pinned + "f" * 40), 20, count)
    assert len(layout[0]) == pinned + slots + 1


def test_a_join_lets_the_older_rounds_words_go_and_merges_its_frames_on():
    buffer = filled([[frame(v, v), words(f"a{v}", 2)] for v in range(10)] + [[frame(10, 10)]])
    done = fit(buffer, RoundDecay(window=0), 30)
    assert (done.turns_forgotten, done.rounds_forgotten, done.frames_dropped) == (3, 3, 0)  # 31 - 3 * 3 = 22 = midway
    assert [turn.id for turn in turns_of(buffer)] == [f"a{v}" for v in range(3, 10)]
    assert [item.frames for item in frames_of(buffer)] == [4, 1, 1, 1, 1, 1, 1, 1]


def test_a_join_keeps_a_pinned_question_in_its_place():
    rounds = shapes("fPt|ft|ft|ft|ft|f")
    layout = RoundDecay(window=0)(rounds, 10, count)
    assert layout[0][:2] == ((0,), (1,)) and len(layout) < 6


def test_what_is_left_at_last_is_pinned_and_one_frame_and_then_not_even_that():
    rounds = shapes("tftPftftft")
    assert RoundDecay()(rounds, 3, count) == (((1,), (3,), (4, 6, 8)),)
    assert RoundDecay()(rounds, 2, count) == (((3,), (4, 6, 8)),)
    assert RoundDecay()(rounds, 1, count) == (((3,),),)


@pytest.mark.parametrize("rounds", [500, pytest.param(10_000, marks=pytest.mark.slow)])
def test_ten_thousand_rounds_stay_within_the_budget_and_every_frame_is_remembered(rounds):
    rng, buffer = np.random.default_rng(48), MemoryBuffer(words("s", 7, kind="system"))
    frames = 0
    for number in range(rounds):
        for _ in range(rng.integers(0, 6)):
            buffer.append(frame(frames, float(frames), tokens=2, number=frames))
            frames += 1
            fit(buffer, RoundDecay(), 300)
            assert buffer.tokens <= 300
        buffer.append(words(f"a{number}", int(rng.integers(1, 9))))
        fit(buffer, RoundDecay(), 300)
        assert buffer.tokens <= 300
        buffer.close()
    assert sum(item.frames for item in frames_of(buffer)) == frames
    assert len(buffer.rounds) < 60


def test_ten_thousand_rounds_at_once_are_decided_in_seconds():
    frame_, text = Shape("frame", 64, 1), Shape("text", 20)
    rounds = [[frame_] * 5 + [text] for _ in range(10_000)]
    start = time.process_time()
    layout = RoundDecay()(rounds, 16_384, count)
    assert time.process_time() - start < 10
    flat = [shape for round_ in rounds for shape in round_]
    assert sum(flat[group[0]].tokens for round_ in layout for group in round_) <= 16_384
    assert sum(len(group) for round_ in layout for group in round_ if flat[group[0]].kind == "frame") == 50_000


def test_a_window_that_is_asked_for_is_kept():
    kept = frames_of(endless(400, 64, RoundDecay(window=25)))
    assert all(item.frames == 1 for item in kept[-25:])


def test_memory_is_rebuilt_seldom():
    """Below the mark half the budget is free, so the model's cache stays valid for about half a budget of frames."""
    buffer, done = MemoryBuffer(), 0
    for number in range(3200):
        buffer.append(frame(number, float(number), number=number))
        done += fit(buffer, RoundDecay(), 64) is not None
    assert done == 1 + (3200 - 65) // 33


@pytest.mark.parametrize("window", [-1, 1.5, True, "16"])
def test_a_window_that_is_no_whole_number_is_refused(window):
    with pytest.raises(WrongUse, match="window is a whole number, 0 or more; this one is"):
        RoundDecay(window=window)
