"""Promises of the procedural world: its script, its pictures, its truth, its timelines, its films. Knows no model.

What the world says of itself (`truth`) is held against a scan of what can be seen at every single tick.
"""

import itertools
import math
import time

import av
import numpy as np
import pytest

from streambridge.errors import BadInput, WrongUse
from streambridge.sources.opening import open_source
from streambridge.sources.world import LENGTH_S, WorldSource
from streambridge.types import Question, Reference
from streambridge.world.draw import Painter
from streambridge.world.film import film
from streambridge.world.script import CELLS, FULL, SPLITS, TICKS_PER_S, World, tick_of
from streambridge.world.timelines import LAST_S, Script, quiet_timeline, random_timeline, some_sign
from streambridge.world.truth import ABOUT, QUESTIONS, TAUGHT, WATCHES, all_sentences

TRACKS = ("sign", "counter", "bowl", "things")
SEEDS = range(6)


def ticks(world):
    return [tick / TICKS_PER_S for tick in range(world.ticks)]


def states(world):
    return [world.state(t) for t in ticks(world)]


def same_pictures(one, other, times=(0.0, 1.125, 7.0)):
    return [np.array_equal(one.paint(t), other.paint(t)) for t in times]


# ---------------------------------------------------------------------------------------------- script


def test_the_same_seed_gives_the_same_world():
    for split in SPLITS:
        assert states(World(5, 60.0, split)) == states(World(5, 60.0, split))


@pytest.mark.parametrize("track", TRACKS)
def test_splits_and_seeds_share_nothing(track):
    tracks = [getattr(World(seed, 120.0, split), track) for seed in SEEDS for split in SPLITS]
    for one, other in itertools.combinations(tracks, 2):
        assert one != other


def test_the_first_word_of_every_seed_is_the_split_so_that_no_two_splits_can_meet():
    words = {split: World(7, 10.0, split).rng(3).bit_generator.seed_seq.entropy[0] for split in SPLITS}
    assert words == SPLITS and len(set(words.values())) == 3


def test_the_splits_look_different_too():
    one, other = Painter(World(7, 10.0, "train"), 84), Painter(World(7, 10.0, "test"), 84)
    assert not any(same_pictures(one, other))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("cut_s", [1, 13.4, 60, 119.9])
def test_a_shorter_world_is_the_beginning_of_a_longer_one(seed, cut_s):
    short, long = World(seed, cut_s), World(seed, 240.0)
    assert short.ticks == math.ceil(cut_s * TICKS_PER_S)
    assert states(short) == states(long)[: short.ticks]
    for track in TRACKS:
        ours, theirs = getattr(short, track), getattr(long, track)
        assert ours.ticks == theirs.ticks[: len(ours.ticks)] and ours.values == theirs.values[: len(ours.values)]
    assert all(same_pictures(Painter(short, 84), Painter(long, 84), (0.0, 0.5)))


def dwells(track):
    """(value, seconds it lasted) of all but the last value."""
    lasted = np.diff(track.ticks) / TICKS_PER_S
    return list(zip(track.values[:-1], lasted, strict=True))


@pytest.mark.parametrize("seed", SEEDS)
def test_everything_lasts_long_enough_to_be_seen_at_one_frame_a_second(seed):
    world = World(seed, 900.0, "train")
    assert all(4 <= s <= 14 for _, s in dwells(world.sign))
    assert all(3 <= s <= 12 for _, s in dwells(world.counter))
    assert all(2 <= s <= 8 for _, s in dwells(world.things))
    for bowl, s in dwells(world.bowl):
        assert s >= (1 if bowl.step is not None and bowl.level < FULL else 2), bowl


@pytest.mark.parametrize("seed", SEEDS)
def test_every_value_differs_from_the_one_before_so_that_every_change_can_be_seen(seed):
    world = World(seed, 900.0)
    for track in TRACKS:
        assert all(one != other for one, other in itertools.pairwise(getattr(world, track).values)), track


@pytest.mark.parametrize("seed", SEEDS)
def test_a_step_fills_the_bowl_quarter_by_quarter_and_the_next_step_is_another(seed):
    values = World(seed, 600.0).bowl.values
    steps = [[bowl.level for bowl in run] for step, run in itertools.groupby(values, lambda b: b.step) if step]
    assert len(steps) > 30 and all(levels == [0, 1, 2, 3, 4] for levels in steps)
    assert any(bowl.step is None for bowl in values)


def test_things_are_at_most_three_no_form_twice_and_never_two_in_a_place():
    counts = set()
    for seed in range(20):
        for things in World(seed, 600.0).things.values:
            assert len({t.form for t in things}) == len({t.cell for t in things}) == len(things) <= 3
            assert all(t.cell in range(CELLS) for t in things)
            counts.add(len(things))
    assert counts == {0, 1, 2, 3}


def test_a_world_of_hours_is_made_quickly():
    began = time.process_time()
    world = World(1, 8 * 3600.0)
    assert world.state(8 * 3600.0 - 1).sign and len(world.sign.ticks) > 2000
    assert time.process_time() - began < 10


def test_times_that_floats_cannot_hold_fall_on_their_tick():
    assert [tick_of(0.1 * k) for k in (0, 3, 30, 300)] == [0, 2, 24, 240]
    assert tick_of(sum([0.125] * 24)) == 24 and tick_of(-1.0) == 0


@pytest.mark.parametrize("seed", [-1, 1.5, "7", None, True, math.nan])
def test_a_seed_that_is_none_is_refused(seed):
    with pytest.raises(WrongUse, match="a world needs a whole seed >= 0"):
        World(seed, 60.0)


@pytest.mark.parametrize("duration_s", [0, -3.0, math.nan, math.inf, 1e6, 1e300, "60", None, True])
def test_a_length_that_is_none_is_refused(duration_s):
    with pytest.raises(WrongUse, match="a length in seconds"):
        World(1, duration_s)


@pytest.mark.parametrize("split", ["val", "", None, 3, ["train"]])
def test_a_split_that_is_none_is_refused(split):
    with pytest.raises(WrongUse, match=r"a split of \['train', 'dev', 'test'\]"):
        World(1, 60.0, split)


# ---------------------------------------------------------------------------------------------- pictures


def test_the_same_world_and_time_give_the_same_picture_in_any_order():
    one, other = Painter(World(3, 30.0), 112), Painter(World(3, 30.0), 112)
    forward = [one.paint(t) for t in (0.0, 4.5, 9.0)]
    backward = [other.paint(t) for t in (9.0, 4.5, 0.0)]
    assert all(np.array_equal(a, b) for a, b in zip(forward, reversed(backward), strict=True))
    assert all(picture.shape == (112, 112, 3) and picture.dtype == np.uint8 for picture in forward)


def test_a_picture_holds_for_its_tick_and_no_longer():
    painter = Painter(World(3, 30.0), 84)
    assert np.array_equal(painter.paint(2.0), painter.paint(2.1))
    assert not np.array_equal(painter.paint(2.0), painter.paint(2.125))


def colour_at(picture, x, y):
    """The nearest colour name at (x, y) in thirds, by hue, so that light and tint do not matter."""
    from streambridge.world.draw import _RGB

    third = len(picture) / 3
    row, col = int(y * third), int(x * third)
    patch = picture[row, col - 3 : col + 4].mean(0)  # one row: the camera shakes by almost half a quarter of the bowl
    far = {name: np.abs(patch / patch.sum() - np.array(rgb) / sum(rgb)).sum() for name, rgb in _RGB.items()}
    return min(far, key=far.get)


def test_the_picture_shows_the_shapes_and_the_bowl_that_the_state_tells_of():
    from streambridge.world.draw import _PLACES

    shown = 0
    for seed in range(4):
        world = World(seed, 40.0, "dev")
        painter = Painter(world)
        for t in range(40):
            picture, state = painter.paint(t), world.state(t)
            for thing in state.things:
                assert colour_at(picture, *_PLACES[thing.cell]) == thing.colour
            for quarter in range(1, state.bowl.level + 1):  # the middle of each quarter that is filled
                assert colour_at(picture, 2.5, 2.89 - 0.2 * quarter + 0.1) == state.bowl.step.colour
            if state.bowl.level < FULL:  # above the level the glass is grey
                above = picture[int((2.89 - 0.2 * state.bowl.level - 0.1) * 112), int(2.5 * 112)].astype(int)
                assert np.ptp(above) < 30
            shown += len(state.things) + state.bowl.level
    assert shown > 200


@pytest.mark.parametrize("size", [8, 84, 100, 1023])
def test_a_world_can_be_drawn_small_and_large(size):
    assert Painter(World(1, 5.0), size).paint(1.0).shape == (size, size, 3)


@pytest.mark.parametrize("size", [0, -3, 7, 1024, 10**9, 84.5, "84", None])
def test_a_size_that_nothing_can_be_drawn_at_is_refused(size):
    with pytest.raises(WrongUse, match="8 to 1023 pixels"):
        Painter(World(1, 5.0), size)


# ---------------------------------------------------------------------------------------------- truth


ING = {"pour": "pouring", "stir": "stirring", "whisk": "whisking", "sift": "sifting"}
LEVELS = ["empty", "a quarter full", "half full", "three quarters full", "full"]


class Scan:
    """What a patient watcher of every tick could tell at the end of what it saw; no look at the script's tracks."""

    def __init__(self, seen):
        self.now = seen[-1]
        self.signs, self.finished = [], []  # (tick, ...) of each change
        for tick, state in enumerate(seen):
            if not self.signs or self.signs[-1][1] != state.sign:
                self.signs.append((tick, state.sign))
            full = state.bowl.level == FULL and state.bowl.step is not None
            if full and (tick == 0 or seen[tick - 1].bowl != state.bowl):
                self.finished.append((tick, f"{ING[state.bowl.step.tool]} the {state.bowl.step.colour}"))


def _step(scan, _):
    step = scan.now.bowl.step
    return "Nobody is working right now." if step is None else f"Someone is {ING[step.tool]} the {step.colour}."


def _shapes(scan, _):
    n = len(scan.now.things)
    return "There is 1 shape." if n == 1 else f"There are {n} shapes."


def _sign_before(scan, _):
    return f"Before that the sign said {scan.signs[-2][1]}." if scan.signs[1:] else "It has said nothing else so far."


def _last_step(scan, _):
    return f"The last one finished was {scan.finished[-1][1]}." if scan.finished else "None is finished yet."


BY_SCAN = {  # a new kind needs a line here
    "sign": lambda scan, _: f"The sign says {scan.now.sign}.",
    "counter": lambda scan, _: f"The counter shows {scan.now.counter}.",
    "step": _step,
    "bowl": lambda scan, _: f"The bowl is {LEVELS[scan.now.bowl.level]}.",
    "first_sign": lambda scan, _: f"At first the sign said {scan.signs[0][1]}.",
    "sign_before": _sign_before,
    "last_step": _last_step,
    "has_said": lambda scan, arg: "Yes, it has." if arg in [s for _, s in scan.signs] else "Not yet.",
    "shapes": _shapes,
    "steps_done": lambda scan, _: f"{len(scan.finished)} so far.",
}
WATCHED_BY_SCAN = {
    "each_step": lambda scan, _: [(k, f"Finished {text}.") for k, text in scan.finished],
    "new_sign": lambda scan, _: [(k, f"The sign now says {text}.") for k, text in scan.signs[1:]],
    "sign_says": lambda scan, arg: [(k, f"There it is: {text}.") for k, text in scan.signs if text == arg],
}


def test_every_kind_has_a_scan_to_be_held_against():
    assert set(BY_SCAN) == set(QUESTIONS) and set(WATCHED_BY_SCAN) == set(WATCHES)


@pytest.mark.parametrize("kind", QUESTIONS)
def test_an_answer_is_what_a_scan_of_every_tick_up_to_now_finds(kind):
    said = set()
    for seed in SEEDS:
        world = World(seed, 75.0)
        seen, args = states(world), sorted({state.sign for state in states(world)})[:4] + ["ZEBRA"]
        for t in np.arange(0, 75, 0.625):
            scan = Scan(seen[: tick_of(t) + 1])
            for arg in args if QUESTIONS[kind].needs_sign else [""]:
                answer = QUESTIONS[kind].answer(world, float(t), arg)
                assert answer == BY_SCAN[kind](scan, arg), (seed, t, arg)
                said.add(answer)
    assert len(said) > 1  # a question with one answer for all worlds would ask nothing


@pytest.mark.parametrize("kind", QUESTIONS)
def test_an_answer_knows_nothing_of_what_comes_later(kind):
    for seed in SEEDS:
        world = World(seed, 120.0)
        for t in (0.0, 5.5, 17.0, 40.125, 99.0):
            ended = World(seed, t + 1 / TICKS_PER_S)  # the same world, ended just after
            assert QUESTIONS[kind].answer(ended, t, "LAMP") == QUESTIONS[kind].answer(world, t, "LAMP")


@pytest.mark.parametrize("kind", WATCHES)
def test_what_happens_is_what_a_scan_of_every_tick_finds(kind):
    found = 0
    for seed in SEEDS:
        world = World(seed, 120.0)
        scan = Scan(states(world))
        args = [text for _, text in scan.signs] + ["ZEBRA"] if WATCHES[kind].needs_sign else [""]
        for arg in args:
            truth = [(t, text) for t, text in WATCHES[kind].happens(world, arg) if t < world.ticks / TICKS_PER_S]
            assert truth == [(k / TICKS_PER_S, text) for k, text in WATCHED_BY_SCAN[kind](scan, arg)]
            assert all(one[0] < other[0] for one, other in itertools.pairwise(truth))
            found += len(truth)
    assert found > 30


@pytest.mark.parametrize("kind", [kind for kind in WATCHES if WATCHES[kind].holds is not None])
def test_what_lasts_begins_where_it_happens(kind):
    for seed in SEEDS:
        world = World(seed, 120.0)
        for arg in {state.sign for state in states(world)}:
            lasts = [WATCHES[kind].holds(world, t, arg) for t in ticks(world)]
            begins = [k / TICKS_PER_S for k, now in enumerate(lasts) if now and not (k and lasts[k - 1])]
            assert begins == [t for t, _ in WATCHES[kind].happens(world, arg) if t < 120.0] and begins


def test_each_finished_step_is_in_view_at_the_next_whole_second():
    for seed in SEEDS:
        world = World(seed, 300.0)
        for t, text in WATCHES["each_step"].happens(world, ""):
            bowl = world.state(math.ceil(t)).bowl
            assert bowl.level == FULL and text == f"Finished {ING[bowl.step.tool]} the {bowl.step.colour}."


@pytest.mark.parametrize("kinds", [QUESTIONS, WATCHES], ids=["questions", "watches"])
def test_every_kind_is_worded_as_it_says(kinds):
    for kind in kinds.values():
        assert kind.wording and len(set(kind.wording)) == len(kind.wording)
        assert all(("{arg}" in wording) == kind.needs_sign for wording in kind.wording)
        assert all(wording.format(arg="LAMP").strip() for wording in kind.wording)


def test_no_two_kinds_share_a_wording_so_that_words_name_the_kind():
    wordings = [text for kinds in (QUESTIONS, WATCHES) for kind in kinds.values() for text in kind.wording]
    assert len(set(wordings)) == len(wordings)


def test_what_is_taught_exists_and_every_kind_says_what_it_is_about():
    assert set(TAUGHT) <= set(QUESTIONS) and set(ABOUT) == set(QUESTIONS)
    assert set(ABOUT.values()) <= {"now", "past", "count", "not_yet"}


def test_the_corpus_holds_every_wording_and_what_training_worlds_say():
    corpus = set(all_sentences())
    for kind in (*QUESTIONS.values(), *WATCHES.values()):
        assert {wording.format(arg="LAMP") for wording in kind.wording} <= corpus
    for name in QUESTIONS:
        assert QUESTIONS[name].answer(World(3, 300.0, "train"), 105.0, "LAMP") in corpus


# ---------------------------------------------------------------------------------------------- timelines


def timelines():
    for seed in range(20):
        world = World(seed, 61.0 + seed, "dev")
        yield world, random_timeline(world, list(QUESTIONS), seed)


def expect_causal(timeline):
    asked, last = {}, 0.0
    for place, turn in enumerate(timeline.turns):
        assert turn.t >= last
        last = turn.t
        if isinstance(turn, Question):
            asked[turn.id] = turn
            continue
        question = asked[turn.reply_to]  # it was asked before
        if question.when == "now":
            assert turn.t == question.t
        else:  # what happened at an instant comes before what is asked at that instant
            assert turn.t > question.t
            assert not any(isinstance(b, Question) and b.t == turn.t for b in timeline.turns[:place])


def test_timelines_are_in_causal_order_with_ids_of_their_own():
    for _, timeline in timelines():
        expect_causal(timeline)
        ids = [turn.id for turn in timeline.turns]
        assert len(set(ids)) == len(ids)


def test_at_one_instant_what_happened_comes_before_what_is_asked():
    world = World(0, 60.0)
    t = next(t for t, _ in WATCHES["each_step"].happens(world, "") if t > 1)
    script = Script(world)
    script.watch("each_step", 0.0)
    script.ask("sign", t)
    script.ask("bowl", t)
    turns = [turn for turn in script.timeline().turns if turn.t == t]
    assert [(type(turn), getattr(turn, "reply_to", turn.id)) for turn in turns] == [
        (Reference, "q0"), (Question, "q1"), (Question, "q2"), (Reference, "q1"), (Reference, "q2"),
    ]  # fmt: skip


def test_references_are_the_truth_after_the_question_and_before_the_last_second():
    late = 0
    for world, timeline in timelines():
        by_id = {question.id: question for question in timeline.questions}
        for question in by_id.values():
            said = [(ref.t, ref.text) for ref in timeline.references if ref.reply_to == question.id]
            arg = arg_of(question)
            if question.when == "now":
                assert said == [(question.t, QUESTIONS[question.kind].answer(world, question.t, arg))]
                continue
            happened = [e for e in WATCHES[question.kind].happens(world, arg) if e[0] > question.t]
            assert said == [e for e in happened if e[0] <= world.duration_s - LAST_S]
            late += len(happened) - len(said)
    assert late > 0  # something did happen in a last second, and was left out


def arg_of(question):
    """What a wording was filled with."""
    kinds = QUESTIONS if question.when == "now" else WATCHES
    for wording in kinds[question.kind].wording:
        head, _, tail = wording.partition("{arg}")
        if "{arg}" in wording and question.text.startswith(head) and question.text.endswith(tail):
            return question.text[len(head) : len(question.text) - len(tail)]
    assert question.text in kinds[question.kind].wording
    return ""


@pytest.mark.parametrize("kind", WATCHES)
def test_a_once_watch_expects_one_answer_the_first_of_a_standing_one(kind):
    for seed in SEEDS:
        world = World(seed, 90.0)
        arg = world.sign.values[3]
        script = Script(world)
        script.watch(kind, 2.0, 0, arg, once=False)
        script.watch(kind, 2.0, 1, arg, once=True)
        references = script.timeline().references
        standing, once = ([r for r in references if r.reply_to == name] for name in ("q0", "q1"))
        assert [(r.t, r.text) for r in once] == [(r.t, r.text) for r in standing[:1]] and len(once) == 1


def test_a_random_timeline_is_the_same_each_time_and_another_with_another_seed():
    world = World(4, 180.0)
    assert random_timeline(world) == random_timeline(World(4, 180.0))
    assert random_timeline(world, seed=1).turns != random_timeline(world).turns


def test_a_random_timeline_asks_every_kind_once_a_minute_and_opens_one_to_three_watches():
    for world, timeline in timelines():
        asked = [question for question in timeline.questions if question.when == "now"]
        minutes = {(q.kind, int(q.t // 60)) for q in asked}
        whole = int((world.duration_s - LAST_S) // 60)
        assert len(minutes) == len(asked) and {(kind, m) for kind in QUESTIONS for m in range(whole)} <= minutes
        assert 1 <= len(timeline.questions) - len(asked) <= 3
        assert all(question.t <= world.duration_s - LAST_S for question in timeline.questions)


def test_a_sign_to_wait_for_is_never_the_one_in_view():
    world, coming = World(2, 120.0), 0
    for n in range(200):
        t = float(n % 100)
        sign = some_sign(world, world.rng(77, n), t)
        assert sign != world.state(t).sign
        coming += any(
            text == f"There it is: {sign}." and at > t for at, text in WATCHES["sign_says"].happens(world, sign)
        )
    assert 100 < coming < 190  # most come, some never do


# ---------------------------------------------------------------------------------------------- film


@pytest.fixture(scope="module")
def filmed(tmp_path_factory):
    shares, world = [], World(11, 6.0)
    path = film(world, tmp_path_factory.mktemp("film") / "desk.mp4", 112, shares.append)
    return world, path, shares


def test_a_film_is_h264_at_eight_frames_a_second_each_at_its_time_with_its_picture(filmed):
    world, path, shares = filmed
    painter = Painter(world, 112)
    painted = np.stack([painter.paint(t) for t in ticks(world)]).astype(np.int16)
    with av.open(str(path)) as file:
        assert file.streams.video[0].codec_context.name == "h264"
        frames = [(float(frame.time), frame.to_ndarray(format="rgb24")) for frame in file.decode(video=0)]
    assert [t for t, _ in frames] == ticks(world)
    for tick, (_, picture) in enumerate(frames):
        far = np.abs(painted - picture).mean((1, 2, 3))
        assert far.argmin() == tick and far[tick] < 8, far
    assert shares == pytest.approx([(k + 1) / 48 for k in range(48)])


def test_a_film_read_as_a_stream_shows_what_the_world_shows(filmed):
    world, path, _ = filmed
    with open_source(path, fps=2.0) as source:
        frames = list(source)
    assert [frame.t for frame in frames] == pytest.approx([k / 2 for k in range(12)], abs=0.07)
    painter = Painter(world, 112)
    for k, frame in enumerate(frames):
        assert np.abs(painter.paint(k / 2).astype(int) - frame.pixels).mean() < 8


@pytest.mark.parametrize("name", ["nowhere/desk.mp4", "desk", "desk.jpg", "desk.foo", "folder.mp4", ""])
def test_a_film_that_cannot_be_written_is_told_in_one_line(tmp_path, name):
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(BadInput, match=r"^cannot write .*ending in \.mp4$"):
        film(World(1, 1.0), tmp_path / name if name else "", 84)


@pytest.mark.parametrize("size", [85, 0, -2, 4000])
def test_a_film_of_a_size_that_cannot_be_is_refused_before_anything_is_written(tmp_path, size):
    with pytest.raises(WrongUse, match="pixels a side"):
        film(World(1, 1.0), tmp_path / "desk.mp4", size)
    assert not list(tmp_path.iterdir())


# ---------------------------------------------------------------------------------------------- source


def test_a_world_as_a_source_gives_the_painters_pictures_from_its_start():
    with open_source("world:7", fps=2.0, start_s=10.0, end_s=14.0) as source:
        frames = list(source)
        assert source.duration_s == 4.0 and source.name == "world:7" and source.events() == []
    painter = Painter(World(7, 14.0, "test"))
    assert [frame.t for frame in frames] == [k / 2 for k in range(8)]
    assert all(np.array_equal(frame.pixels, painter.paint(10 + frame.t)) for frame in frames)


def test_a_world_without_an_end_lasts_three_minutes():
    source = WorldSource(7, fps=1 / 30)
    assert source.duration_s == LENGTH_S == 180.0 and len(list(source)) == 6


@pytest.mark.parametrize(
    "settings", [{"seed": -1}, {"seed": 1.5}, {"fps": 0}, {"start_s": -1}, {"end_s": math.inf}, {"end_s": 1e7}]
)
def test_a_world_that_cannot_be_shown_is_refused(settings):
    with pytest.raises(WrongUse):
        WorldSource(**{"seed": 1, **settings})


def test_a_quiet_timeline_holds_one_watch_near_the_start_and_all_that_happens_after_it():
    kinds = set()
    for seed in range(40):
        world = World(seed, 120.0, "dev")
        timeline = quiet_timeline(world, np.random.default_rng(seed))
        assert timeline == quiet_timeline(world, np.random.default_rng(seed))
        (question,) = timeline.questions
        assert question.when == "watch" and question.t < 5
        assert all(ref.reply_to == question.id and ref.t > question.t for ref in timeline.references)
        kinds.add(question.kind)
    assert kinds == set(WATCHES)
