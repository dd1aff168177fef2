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
from streambridge.memory.round_decay import ACCEPT, RoundDecay
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


def low_water(rounds, room):
    """0.3 of the budget, at least twice the window."""
    return max(int(room * 0.3), 2 * sum(rounds[r][i].tokens for r, i in window_of(rounds, room)))


def enough(rounds, room):
    """A third of the way from mark to budget: there the past is let be."""
    return low_water(rounds, room) + (room - low_water(rounds, room)) // 3


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


def cost(rounds):
    return sum(shape.tokens for round_ in rounds for shape in round_)


def window_merged(buffer, before, room):
    """The newest frames are no longer those that the window held before."""
    window = [before[r][i].frames for r, i in sorted(window_of(before, room))]
    return window != [item.frames for item in frames_of(buffer)][len(frames_of(buffer)) - len(window) :]


@streams
def test_no_word_goes_and_the_window_stays_raw_as_long_as_older_frames_can_give(streams):
    kept_words = lost_words = 0
    for _, room, buffer, before, done in fits(streams, 41):
        if least_without_forgetting(before, room) <= low_water(before, room):
            kept_words += 1
            assert done.turns_forgotten == done.rounds_forgotten == done.frames_dropped == 0
            assert not window_merged(buffer, before, room)
        else:
            lost_words += 1
            gave = done.rounds_forgotten or done.turns_forgotten or done.frames_dropped
            let_be = cost(buffer.shapes()) <= enough(before, room)
            assert gave or let_be or window_merged(buffer, before, room) or len(before) <= 2
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


def test_a_growing_run_gives_block_by_block_and_stops_at_the_low_water_mark():
    """65 frames, mark 32: five blocks of 8 give 7 each, and the rest stays raw although it is older than the window."""
    (opened,) = RoundDecay(low=0.5)(shapes("f" * 65), 64, count)
    assert [len(group) for group in opened] == [8] * 5 + [1] * 25


def test_what_is_left_of_a_block_is_one_slot_until_the_block_is_full():
    """Of 59 older than the window 3 are left of 7 blocks; 51 frames on, 5 of those have filled the eighth."""
    policy = RoundDecay(window=6, low=0.1)
    assert [item.frames for item in frames_of(endless(65, 64, policy))] == [8] * 7 + [3] + [1] * 6
    assert [item.frames for item in frames_of(endless(65 + 51, 64, policy))][:8] == [8] * 8


@streams
def test_once_rounds_are_joined_there_is_room_for_a_while(streams):
    """Down to the mark, or to the last closed round."""
    seen = 0
    for _, room, buffer, before, done in fits(streams, 45):
        if done.rounds_forgotten and len(buffer.rounds) > 2:
            seen += 1
            assert cost(buffer.shapes()) <= low_water(before, room)
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
    """20, 6 and 6 frames, 20 over the mark: round 1 keeps floor(log2(20 / 8)) + 1 = 2, round 2 gives all at once."""
    buffer = filled([*([frame(v) for v in range(n)] + [words()] for n in (20, 6, 6)), [frame(v) for v in range(9)]])
    fit(buffer, RoundDecay(window=9, low=23.5 / 43), 43)
    assert [sum(s.kind == "frame" for s in round_) for round_ in buffer.shapes()] == [2, 1, 6, 9]


def test_rounds_are_joined_before_a_run_goes_below_its_floor():
    """Both runs at their floor of 3 make 15, 12 is enough: the older words go, mark 9 is reached, six slots stay."""
    rounds = shapes("f" * 40 + "tttttt|" + "f" * 40 + "tt|f")
    layout = RoundDecay(window=1, low=0.45)(rounds, 20, count)
    assert [len(round_) for round_ in layout] == [6 + 2, 1]


@pytest.mark.parametrize(("pinned", "slots"), [(14, 3), (16, 3), (17, 1)])
def test_a_run_gives_its_floor_up_only_while_memory_is_over_the_budget(pinned, slots):
    layout = RoundDecay(window=1)(shapes("P" * pinned + "f" * 40), 20, count)
    assert len(layout[0]) == pinned + slots + 1


def test_a_join_lets_the_older_rounds_words_go_and_merges_its_frames_on():
    buffer = filled([[frame(v, v), words(f"a{v}", 2)] for v in range(10)] + [[frame(10, 10)]])
    done = fit(buffer, RoundDecay(window=0, low=0.5), 30)
    assert (done.turns_forgotten, done.rounds_forgotten, done.frames_dropped) == (6, 6, 0)  # 31 - 6 * 3 = 13, mark 15
    assert [turn.id for turn in turns_of(buffer)] == [f"a{v}" for v in range(6, 10)]
    assert [item.frames for item in frames_of(buffer)] == [7, 1, 1, 1, 1]


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


def test_how_it_all_began_is_known_for_ever():
    kept = frames_of(endless(5000, 64, RoundDecay()))
    assert kept[0].bundle["raw"] == tuple(range(8))


# ------------------------------------------------------------------------------------------ what a cache reads again


def dialogue(seconds, per_frame, every_s, seed=49):
    """One frame a second, and a question and its answer, 20 tokens each, about every so many seconds (None: never)."""
    rng = np.random.default_rng(seed)
    due = rng.uniform(2 / 3, 4 / 3) * every_s if every_s else seconds
    for second in range(seconds):
        while due < second:
            yield words("q", 20, kind="question")
            yield words("a", 20)
            due += rng.uniform(2 / 3, 4 / 3) * every_s
        yield frame(0.0, float(second), per_frame, number=second)


def fits_of(stream, budget, policy):
    """Items before and after each fit of a stream whose answers close rounds."""
    buffer = MemoryBuffer()
    for item in stream:
        before = buffer.items()
        buffer.append(item)
        if fit(buffer, policy, budget):
            yield before, buffer.items()
        if item in turns_of(buffer) and item.kind == "answer":
            buffer.close()


def read_again(before, after):
    """Tokens from the first item on that is not the very one that stood there; the newest item is new anyway."""
    same = 0
    while same < len(before) and before[same] is after[same]:
        same += 1
    return sum(item.tokens for item in after[same:-1])


@pytest.mark.parametrize(
    ("budget", "per_frame", "every_s", "share"),
    [
        (2018, 16, 10, 0.6),
        (2018, 16, 30, 0.5),
        (2018, 16, 300, 0.45),
        (2018, 16, None, 0.45),
        (4066, 16, 30, 0.4),
        (16354, 64, 30, 1 / 3),
        (1170, 11, 30, 0.5),
    ],
)
def test_of_an_hour_little_is_read_again(budget, per_frame, every_s, share):
    stream = list(dialogue(3600, per_frame, every_s))
    again = [read_again(*pair) for pair in fits_of(stream, budget, RoundDecay())]
    assert 0 < sum(again) <= share * sum(item.tokens for item in stream)
    assert max(again) <= budget * 0.54


@pytest.mark.parametrize("every_s", [10, 30, 300, None])
def test_what_was_squeezed_is_left_alone_until_the_past_gives_as_a_whole(every_s):
    """Either nothing squeezed and no word changes, or memory comes down to its mark (a round at a time, so about)."""
    left, gave, mark = 0, 0, int(4066 * RoundDecay().low)
    for before, after in fits_of(dialogue(3600, 16, every_s), 4066, RoundDecay()):
        squeezed = [item for item in before if getattr(item, "frames", 8) >= 8]
        there = {id(item) for item in after}
        if all(id(item) in there for item in squeezed):
            left += 1
            assert sum(item.tokens for item in after) <= mark + (4066 - mark) * ACCEPT
        else:
            gave += 1
            assert sum(item.tokens for item in after) <= mark
    assert gave and left >= gave


def test_memory_is_rebuilt_seldom():
    """Half of the budget or more is free after each fit, so that what was read stays valid for as many frames."""
    done = sum(1 for _ in fits_of((frame(n, float(n), number=n) for n in range(3200)), 256, RoundDecay()))
    assert done <= 3200 // 128


@pytest.mark.parametrize("window", [-1, 1.5, True, "16"])
def test_a_window_that_is_no_whole_number_is_refused(window):
    with pytest.raises(WrongUse, match="window is a whole number, 0 or more; this one is"):
        RoundDecay(window=window)
