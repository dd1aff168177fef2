"""Promises that every gate keeps, whichever file of the room it lives in. Knows none of them by name.

A file that cannot be made without arguments defines `example() -> Activation` beside its OFFER. One gate before another
keeps the same promises: `FIRST+SECOND`, as on the command line.
"""

import importlib
import json

import numpy as np
import pytest

from streambridge import loading
from streambridge.activation.filtered import Filtered
from streambridge.types import Activation, Frame, FrameTokens, Watch

QUESTION = "Tell me each step."
NAMES = [*loading.names("activation"), "periodic+scene_change", "scene_change+score_head"]


def make(name):
    if "+" in name:
        return Filtered(*map(make, name.split("+")))
    module = importlib.import_module(f"streambridge.activation.{name}")
    return getattr(module, "example", module.OFFER)()


def look(gate, seed=3, count=12):
    """The same short random stream each time, looked at by this gate: one frame every half second."""
    rng = np.random.default_rng(seed)
    frames = [Frame(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8), i / 2) for i in range(count)]
    return [gate.look(frame, FrameTokens({}, 1, frame.t, (frame.t, frame.t))) for frame in frames]


def judge(watch, seen):
    return [watch.observe(tokens) for tokens in seen]


def offer(name):
    return importlib.import_module(f"streambridge.activation.{name}").OFFER


TOGETHER = [name for name in NAMES if hasattr(offer(name.split("+")[-1]), "observe")]  # those that can


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


@pytest.fixture
def gate(name):
    return make(name)


def test_the_room_is_not_empty():
    assert {"immediately", "periodic", "scripted", "scene_change", "zero_shot"} <= set(loading.names("activation"))
    assert TOGETHER == ["score_head", "scene_change+score_head"]


def test_it_is_an_activation_that_bears_its_files_name(gate, name):
    assert isinstance(gate, Activation) and isinstance(gate.watch(QUESTION, 0.0), Watch)
    assert gate.name == name


def test_a_look_keeps_the_frames_time(gate):
    assert [tokens.t for tokens in look(gate)] == [i / 2 for i in range(12)]


def test_a_score_is_a_finite_number_in_0_1_and_fire_a_boolean(gate):
    for decision in judge(gate.watch(QUESTION, 0.0), look(gate)):
        assert 0.0 <= decision.score <= 1.0 and isinstance(decision.score, float)
        assert isinstance(decision.fire, bool)


def test_the_same_stream_is_judged_the_same_twice(name):
    one, other = make(name), make(name)
    expected = judge(one.watch(QUESTION, 0.0), look(one))
    assert judge(one.watch(QUESTION, 0.0), look(one)) == expected
    assert judge(other.watch(QUESTION, 0.0), look(other)) == expected


def test_two_watches_of_one_gate_do_not_share_state(gate):
    seen = look(gate)
    alone = judge(gate.watch(QUESTION, 0.0), seen), judge(gate.watch(QUESTION, 2.0), seen[4:])
    first, second, both = gate.watch(QUESTION, 0.0), None, ([], [])
    for i, tokens in enumerate(seen):
        if i == 4:
            second = gate.watch(QUESTION, 2.0)
        both[0].append(first.observe(tokens))
        if second is not None:
            both[1].append(second.observe(tokens))
    assert both == alone


@pytest.mark.parametrize("name", TOGETHER)
def test_watches_judged_in_one_pass_are_judged_as_alone(name):
    gate = make(name)
    seen = look(gate)
    alone = [judge(gate.watch(question, 0.0), seen) for question in (QUESTION, "Read every new sign.", "And now?")]
    watches = [gate.watch(question, 0.0) for question in (QUESTION, "Read every new sign.", "And now?")]
    for place, tokens in enumerate(seen):
        for decision, one in zip(gate.observe(watches, tokens), [judged[place] for judged in alone], strict=True):
            assert decision.score == pytest.approx(one.score, abs=1e-5) and decision.fire == one.fire


def test_an_answer_heard_by_one_watch_changes_no_other(gate):
    seen = look(gate)
    expected = judge(gate.watch(QUESTION, 0.0), seen)
    one, other, judged = gate.watch(QUESTION, 0.0), gate.watch(QUESTION, 0.0), []
    for tokens in seen:
        judged.append(one.observe(tokens))
        other.observe(tokens)
        other.heard("Put the lid on.", tokens.t)
    assert judged == expected


@pytest.mark.parametrize("words", ["Put the lid on.", "", "  \n", "é 火 \U0001f525 <ACT> </s>"])
def test_hearing_an_answer_is_harmless(gate, words):
    watch, seen = gate.watch(QUESTION, 0.0), look(gate)
    judge(watch, seen[:6])
    watch.heard(words, seen[5].t)
    assert all(0.0 <= decision.score <= 1.0 for decision in judge(watch, seen[6:]))


def test_its_settings_can_be_written_to_the_log_and_read_back(gate):
    settings = dict(gate.settings())
    assert settings and json.loads(json.dumps(settings, allow_nan=False)) == settings
