"""Promises of the world's own bench: who knows the truth scores 100, who is silent 0. Knows no weights."""

import math

import pytest

import fakes_pair
from fakes import FakeBackbone
from streambridge import loading
from streambridge.activation.immediately import Immediately
from streambridge.activation.scripted import Scripted
from streambridge.bench import world as room
from streambridge.bench.world import SEEDS_APART, Bench, Setting, bench, by_distance, frames
from streambridge.errors import WrongUse
from streambridge.types import FrameTokens, Piece, Turn
from streambridge.world.script import World
from streambridge.world.timelines import random_timeline
from streambridge.world.truth import ABOUT, QUESTIONS, WATCHES


class Oracle(FakeBackbone):
    """Answers from the truth of one world, as of the newest frame of its memory. Frames cost little."""

    def __init__(self, world, every_s=1.0):
        super().__init__(max_context=16_384)
        self.world, self.every_s, self._items = world, every_s, ()

    def encode(self, frame):
        return FrameTokens({"embeds": frame.pixels[:4, 0].astype(float), "seen": ()}, 4, frame.t, (frame.t, frame.t))

    def render(self, items):
        self._items = tuple(items)
        return super().render(items)

    def answer(self, plan, max_tokens):
        asked = [item for item in self._items if isinstance(item, Turn) and item.role == "user"][-1]
        t = max(item.span[1] for item in self._items if isinstance(item, FrameTokens))
        yield Piece(7, self.says(*fakes_pair.named(asked.text), t))

    def says(self, kind, arg, t):
        if kind in QUESTIONS:
            return QUESTIONS[kind].answer(self.world, t, arg)
        told = [text for at, text in WATCHES[kind].happens(self.world, arg) if t - self.every_s < at <= t]
        return told[-1] if told else "Nothing."


class Wrong(Oracle):
    """Speaks when it should, of something else."""

    def says(self, kind, arg, t):
        return "A fish."


def told_when(world, kinds):
    """A gate that was told when each watch of the bench's own timeline is to fire."""
    timeline = random_timeline(world, kinds)
    fires = {question.text: [] for question in timeline.questions if question.when == "watch"}
    texts = {question.id: question.text for question in timeline.questions}
    for reference in timeline.references:
        if texts[reference.reply_to] in fires:
            fires[texts[reference.reply_to]].append(reference.t)
    return Scripted(fires)


def result(seed, backbone=Oracle, gate=None, fps=1.0, kinds=tuple(QUESTIONS), minutes=1.5):
    plan = Bench(seed=seed, streams=1, minutes=minutes, kinds=kinds)
    (world,) = plan.worlds()
    gate = told_when(world, kinds) if gate is None else gate
    return bench(Setting(backbone(world, 1 / fps), gate, fps=fps), plan)


@pytest.mark.parametrize(("seed", "fps"), [(0, 1.0), (1, 1.0), (2, 2.0), (3, 1.0)])
def test_who_knows_the_truth_scores_a_hundred_everywhere_without_false_alarms(seed, fps):
    found = result(seed, fps=fps)
    assert {kind: row["accuracy"] for kind, row in found["questions"].items()} == dict.fromkeys(QUESTIONS, 100.0)
    assert {kind: row["about"] for kind, row in found["questions"].items()} == ABOUT
    assert found["now"] == found["past"] == 100.0
    proactive = found["proactive"]
    assert {proactive[name] for name in ("precision", "recall", "f1", "text_exact")} == {100.0}
    assert proactive["false_alarms_per_hour"] == 0.0 and 0 <= proactive["delay_s"] < 1 / fps
    assert found["n"]["references"] == found["n"]["fires"] == found["n"]["matched"] > 0
    assert found["n"]["unasked"] == found["n"]["beside"] == 0


def test_a_silent_gate_finds_nothing_and_alarms_nobody():
    found = result(0, gate=Scripted({}))
    assert found["proactive"]["recall"] == 0.0 and found["proactive"]["false_alarms_per_hour"] == 0.0
    assert found["n"]["references"] > 0 == found["n"]["fires"]
    assert found["now"] == found["past"] == 100.0


def test_a_gate_that_speaks_at_once_is_a_false_alarm():
    found = result(0, gate=Immediately())
    assert found["n"]["false_alarms"] > 0 and found["proactive"]["false_alarms_per_hour"] > 30


def test_wrong_words_at_the_right_time_score_the_time_only():
    found = result(1, backbone=Wrong)
    assert found["now"] == found["past"] == 0.0 and found["proactive"]["text_exact"] == 0.0
    assert found["proactive"]["recall"] == found["proactive"]["precision"] == 100.0


def test_the_same_bench_gives_the_same_figures_and_says_what_was_measured():
    one, again = result(1), result(1)
    assert one == again
    assert one["bench"] == {"seed": 1, "streams": 1, "minutes": 1.5, "split": "test", "quiet": False}
    assert one["settings"]["backbone"] == "fake" and one["settings"]["activation"]["name"] == "scripted"


def test_streams_are_told_as_they_are_done_and_counted():
    done = []
    plan = Bench(streams=3, minutes=0.2, kinds=("sign",))
    found = bench(Setting(Oracle(next(plan.worlds())), Scripted({})), plan, done.append)
    assert done == [1, 2, 3] and found["n"]["streams"] == 3
    assert found["questions"]["sign"]["n"] == 3 and found["questions"]["sign"]["accuracy"] < 100  # it knows one world


def test_seeds_of_different_benches_never_meet():
    def seeds(seed):
        return {world.seed for world in Bench(seed=seed, streams=5, minutes=0.2).worlds()}

    assert not seeds(0) & seeds(1) and not seeds(1) & seeds(2) and all(len(seeds(k)) == 5 for k in range(3))
    last = min(seeds(3)) + SEEDS_APART - 1  # of the longest bench there can be
    assert last < min(seeds(4))


def test_a_bench_is_on_test_worlds_unless_development_is_asked_for():
    assert {world.split for world in Bench(streams=2).worlds()} == {"test"}
    assert {world.split for world in Bench(streams=2, split="dev").worlds()} == {"dev"}


GARBAGE = [
    {"seed": -1}, {"seed": 1.5}, {"seed": "7"}, {"streams": 0}, {"streams": -3}, {"streams": SEEDS_APART + 1},
    {"streams": 2.5}, {"streams": None}, {"minutes": 0}, {"minutes": 0.1}, {"minutes": -1}, {"minutes": math.nan},
    {"minutes": math.inf}, {"minutes": 1e9}, {"minutes": "1"}, {"kinds": ("sign", "sing")}, {"kinds": ("",)},
]  # fmt: skip


@pytest.mark.parametrize("given", GARBAGE, ids=str)
def test_numbers_that_make_no_stream_are_refused_in_one_line(given):
    with pytest.raises(WrongUse, match="a world bench takes") as told:
        Bench(**given)
    assert "\n" not in str(told.value)
    if "kinds" in given:
        assert "unknown kinds" in str(told.value) and "first_sign" in str(told.value)


def test_an_unknown_split_is_refused():
    with pytest.raises(WrongUse):
        list(Bench(split="val").worlds())


@pytest.mark.parametrize("fps", [0, -1, math.nan, math.inf, 1000, "fast", None])
def test_a_rate_that_makes_no_stream_is_refused_before_it_begins(fps):
    with pytest.raises(WrongUse, match="fps"):
        Setting(Oracle(None), Scripted({}), fps=fps)


def test_frames_end_before_what_is_not_asked_about():
    times = [frame.t for frame in frames(World(1, 4.0), 2.0, 16)]
    assert times == [k / 2 for k in range(7)]


def test_policies_are_compared_by_distance_a_row_each(monkeypatch):
    monkeypatch.setattr(room, "DISTANCES_S", (10, 20))
    plan = Bench(seed=5, streams=2)
    policies = [loading.load("memory", name) for name in ("round_decay", "recent", "keep_all")]
    done, asked = [], []

    class AnyWorld(Oracle):
        """Knows each world of the bench: it is told which one by the painter."""

        def says(self, kind, arg, t):
            asked.append((kind, t))
            return super().says(kind, arg, t)

    worlds = list(plan.worlds(22))
    backbone = AnyWorld(worlds[0])
    run = room.run
    by_seed = {world.seed: world for world in worlds}

    def told_which(setting, world, timeline):
        backbone.world = by_seed[world.seed]
        return run(setting, world, timeline)

    monkeypatch.setattr(room, "run", told_which)
    table = by_distance(Setting(backbone, Scripted({}), max_len=300), plan, policies, done.append)
    assert set(table) == {"round_decay", "recent", "keep_all"}
    for rows in table.values():
        assert set(rows) == {"now", "10 s", "20 s"}
        assert rows["now"] == {"accuracy": 100.0, "n": 4} and rows["10 s"] == {"accuracy": 100.0, "n": 2}
    assert done == [1, 2, 3, 4, 5, 6]
    assert sorted(set(asked)) == [("first_sign", 10.0), ("first_sign", 20.0), ("sign", 10.0), ("sign", 20.0)]


def test_the_budget_of_the_comparison_is_a_quarter_of_what_the_longest_stream_needs():
    setting = Setting(Oracle(None), Scripted({}), fps=2.0)
    assert room.quarter(setting) == 240 * 2 * 4 // 4 + setting.answer_room()
