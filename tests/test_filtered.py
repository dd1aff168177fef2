"""Promises of one gate before another: when the second is asked, what it sees, and what its break leaves behind."""

import math

import numpy as np
import pytest
import torch

import fakes_pair
from fakes import FakeBackbone, FakeGate, make_frame
from streambridge import loading
from streambridge.activation.filtered import BAR, Filtered
from streambridge.activation.immediately import Immediately
from streambridge.activation.periodic import Periodic
from streambridge.activation.scene_change import SceneChange
from streambridge.activation.score_head import ScoreWatch, judge
from streambridge.activation.score_net import Reach
from streambridge.activation.trigger import Trigger, TriggerSettings
from streambridge.cli.choosing import gate_for, session_for
from streambridge.errors import WrongUse
from streambridge.session import Session
from streambridge.types import Activation, Decision, Failed, Frame, FrameTokens, GateTokens, Scored, Watch

QUESTION = "Tell me each step."


class Scored01:
    """A first gate that scores frames as it is told; notes how often its Watches judged."""

    name = "told"

    def __init__(self, scores):
        self.scores, self.judged, self.said = list(scores), [], []

    def look(self, frame, tokens):
        return GateTokens({"number": round(frame.t)}, frame.t)

    def watch(self, question, t):
        gate = self

        class One:
            def observe(self, frame):
                gate.judged.append(frame.bundle["number"])
                return Decision(gate.scores[frame.bundle["number"]], False)

            def heard(self, text, t):
                gate.said.append(text)

        return One()

    def settings(self):
        return {"gate": self.name}


class Net:
    """A random trained gate over noise: judged alone, or several in one pass."""

    name = "net"

    def __init__(self, together=True):
        self.net = fakes_pair.random_net(320, Reach(6, 1), vision_width=12)
        self.looks, self.sizes, self.break_at = 0, [], None
        if together:
            self.observe = self.judge

    def look(self, frame, tokens):
        self.looks += 1
        noise = np.random.default_rng(round(frame.t)).standard_normal((3, 12), dtype=np.float32)
        return GateTokens({"tokens": torch.from_numpy(noise)}, frame.t)

    def watch(self, question, t):
        words = [ord(letter) % 320 for letter in question]
        return ScoreWatch(self.net, words, Trigger(TriggerSettings(0.5)), lambda text: [ord(c) % 320 for c in text])

    def judge(self, watches, frame):
        self.sizes.append(len(watches))
        if frame.t == self.break_at:
            raise MemoryError("all at once is too much")
        return judge(self.net, watches, frame)

    def settings(self):
        return {"gate": self.name}


def look(gate, number):
    frame = make_frame(number)
    return gate.look(frame, FrameTokens({}, 1, frame.t, (frame.t, frame.t)))


def judged(gate, numbers):
    watch = gate.watch(QUESTION, 0.0)
    return [watch.observe(look(gate, number)) for number in numbers]


# ---------------------------------------------------------------------------------------------- when it is asked


def test_the_second_is_asked_about_the_first_frame_and_where_the_first_passes_the_bar():
    second = FakeGate(fires={QUESTION: [0, 2, 3, 5]})
    told = judged(Filtered(Scored01([0.0, 0.5, 0.0, 0.9, 0.02, 0.021]), second, bar=0.02), range(6))
    assert second.notes[QUESTION] == [0, 1, 3, 5]  # at the bar is not above it
    assert [decision.fire for decision in told] == [True, False, False, True, False, True]
    assert [decision.score for decision in told] == [0.9, 0.1, 0.0, 0.9, 0.0, 0.9]


def test_the_second_looks_only_at_frames_it_is_asked_about_and_once_for_all_watches():
    first, second = Scored01([0.0, 0.0, 0.5, 0.0, 0.5]), FakeGate()
    gate = Filtered(first, second)
    watches = [gate.watch(f"question {n}", 0.0) for n in range(3)]
    for number in range(5):
        tokens = look(gate, number)
        assert tokens.t == float(number)
        for watch in watches:
            watch.observe(tokens)
    assert second.looked == [0, 2, 4]


def test_both_hear_an_answer():
    first, second = Scored01([0.0]), FakeGate()
    gate = Filtered(first, second)
    gate.watch(QUESTION, 0.0).heard("Done.", 1.0)
    assert first.said == ["Done."] and second.notes[QUESTION] == [("Done.", 1.0)]


def test_before_a_trained_gate_the_frames_between_are_not_in_its_context():
    net = Net()
    kept = [0, 3, 4, 9]
    told = judged(Filtered(Scored01([float(number in kept) for number in range(10)]), net), range(10))
    alone = net.watch(QUESTION, 0.0)
    expected = [alone.observe(net.look(make_frame(number), None)) for number in kept]
    assert [told[number] for number in kept] == expected
    assert {decision for number, decision in enumerate(told) if number not in kept} == {Decision(0.0, False)}


def test_a_picture_that_changes_step_by_step_is_asked_about_whenever_it_came_far_enough():
    """The first gate compares with the picture at its last fire, which is where the second was asked."""
    second = FakeGate()
    gate = Filtered(SceneChange(threshold=BAR, rest_s=0.0), second)
    watch, asked = gate.watch(QUESTION, 0.0), []
    for number in range(64):
        pixels = np.full((64, 64, 3), 120, np.uint8)
        pixels[:, :number] = 20
        pixels[0, 0, :2] = 0, number  # as the fake gate reads it
        frame = Frame(pixels, float(number))
        watch.observe(gate.look(frame, FrameTokens({}, 1, frame.t, (frame.t, frame.t))))
    asked = second.notes[QUESTION]
    steps = np.diff(asked)
    assert asked[0] == 0 and 5 < len(asked) < 40 and steps.max() <= 12


# ---------------------------------------------------------------------------------------------- what breaks


def test_a_change_at_which_the_second_broke_is_made_up_for_at_the_next_frame():
    second = FakeGate(observe_breaks=[(QUESTION, 2)], look_breaks=[3])
    gate = Filtered(Scored01([0.0, 0.0, 0.9, 0.0, 0.0, 0.0]), second)
    watch, broken = gate.watch(QUESTION, 0.0), []
    for number in range(6):
        try:
            watch.observe(look(gate, number))
        except RuntimeError:
            broken.append(number)
    assert broken == [2, 3] and second.notes[QUESTION] == [0, 4]


def test_a_pass_for_several_that_breaks_is_made_up_for_alone_and_the_first_judges_no_frame_twice():
    def scores(gate):
        session = Session(FakeBackbone(), gate, compression=loading.load("memory", "keep_all"))
        for n in range(3):
            session.ask(f"question {n}", when="watch")
        events = [event for number in range(12) for event in session.see(make_frame(number))]
        return [(e.t, e.watch, e.score) for e in events if isinstance(e, Scored)], [
            e.error for e in events if isinstance(e, Failed)
        ]

    plan = [0.9 * (number % 3 == 1) for number in range(12)]
    first, second = Scored01(plan), Net()
    second.break_at = 4.0
    found, failures = scores(Filtered(first, second))
    expected, none = scores(Filtered(Scored01(plan), Net(together=False)))
    assert [(t, watch) for t, watch, _ in found] == [(t, watch) for t, watch, _ in expected]
    assert [score for *_, score in found] == pytest.approx([score for *_, score in expected], abs=1e-5)
    assert none == [] and failures == [
        "the gate failed on a frame for q0, q1, q2 together: MemoryError: all at once is too much"
    ]
    assert first.judged == [number for number in range(12) for _ in range(3)]
    assert second.sizes == [3] * 5 and second.looks == 5  # at 0, 1, 4, 7, 10; one look and one pass for all


def test_only_where_the_second_can_judge_several_does_it_offer_to():
    assert callable(Filtered(Scored01([]), Net()).observe)
    assert Filtered(Scored01([]), FakeGate()).observe is None


def test_watches_of_different_age_are_asked_apart():
    net = Net()
    gate = Filtered(Scored01([0.0] * 5), net)
    early, late = gate.watch(QUESTION, 0.0), gate.watch("Read every new sign.", 2.0)
    assert gate.observe([early], look(gate, 0))[0].score > 0.0
    both = gate.observe([early, late], look(gate, 2))
    assert both[0] == Decision(0.0, False) and both[1].score > 0.0 and net.sizes == [1, 1]
    assert gate.observe([early, late], look(gate, 3)) == [Decision(0.0, False)] * 2 and net.sizes == [1, 1]


# ---------------------------------------------------------------------------------------------- its name


class Eyes(FakeBackbone):
    def weigh(self, items, choices, reader=None):
        return [0.6, 0.2]


def test_a_name_with_a_plus_is_one_gate_before_another_and_the_numbers_are_the_seconds():
    gate = gate_for("scene_change+zero_shot", Eyes(), 0.3, 4.0)
    assert isinstance(gate, Activation) and isinstance(gate.watch(QUESTION, 0.0), Watch)
    assert gate.name == "scene_change+zero_shot" and gate.bar == BAR
    told = gate.settings()
    assert (told["first"]["threshold"], told["first"]["rest_s"]) == (BAR, 0.0)
    assert (told["second"]["threshold"], told["second"]["rest_s"]) == (0.3, 4.0)


@pytest.mark.parametrize("first", ["periodic", "immediately", "scene_change"])
def test_any_gate_may_stand_first_that_the_command_line_can_make(first):
    gate = gate_for(f"{first}+zero_shot", Eyes(), None, None)
    assert gate.first.name == first and gate.second.name == "zero_shot"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("a+b+c", "FIRST\\+SECOND"), ("scene_change+score_head+periodic", "FIRST\\+SECOND"),
        ("scene_change+", "FIRST\\+SECOND"), ("+score_head", "FIRST\\+SECOND"), ("+", "FIRST\\+SECOND"),
        ("", "FIRST\\+SECOND"), ("scene_chance+score_head", "did you mean 'scene_change'"),
        ("scene_change+scorehead", "did you mean 'score_head'"), ("scene_change+scripted", "only code can give"),
        ("scripted+periodic", "only code can give"), ("scene_change score_head", "no activation called"),
    ],
)  # fmt: skip
def test_a_name_that_makes_no_gate_is_refused_in_one_line_before_a_model_is_read(name, told, monkeypatch):
    with pytest.raises(WrongUse, match=told) as by_gate:
        gate_for(name, Eyes(), None, None)
    assert "\n" not in str(by_gate.value)
    read = []
    monkeypatch.setattr("streambridge.cli.choosing.backbone_for", lambda *named: read.append(named) or Eyes())
    with pytest.raises(WrongUse, match=told):
        session_for("tiny", name, "round_decay", None, None, None)
    assert not read or "only code" in told


def test_a_number_that_the_second_does_not_take_is_refused():
    with pytest.raises(WrongUse, match="the gate 'periodic' takes no --threshold"):
        gate_for("scene_change+periodic", Eyes(), 0.5, None)


@pytest.mark.parametrize("bar", [-0.1, 1.0, 2, math.nan, "x", None, True])
def test_a_bar_that_makes_no_sense_is_refused(bar):
    with pytest.raises(WrongUse, match="the bar between two gates") as told:
        Filtered(Immediately(), Periodic(), bar=bar)
    assert "\n" not in str(told.value)
