"""Promises of the gates that need no training: immediately, periodic, scripted. Knows no session."""

import math

import numpy as np
import pytest

from streambridge.activation.immediately import Immediately
from streambridge.activation.periodic import Periodic
from streambridge.activation.scripted import Scripted
from streambridge.errors import WrongUse
from streambridge.types import Frame, FrameTokens


def fires(activation, question, t, times):
    """The times among `times` at which a Watch for this question fires."""
    watch = activation.watch(question, t)
    seen = [activation.look(Frame(np.zeros((2, 2, 3), np.uint8), at), FrameTokens({}, 1, at, (at, at))) for at in times]
    return [tokens.t for tokens in seen if watch.observe(tokens).fire]


def test_immediately_fires_on_the_first_frame_only():
    assert fires(Immediately(), "What is this?", 5.0, [4.5, 5.0, 5.5]) == [4.5]


def test_each_question_of_immediately_gets_its_own_answer():
    gate = Immediately()
    assert fires(gate, "a", 0.0, [0.0, 1.0]) == fires(gate, "a", 0.0, [0.0, 1.0]) == [0.0]


def test_periodic_counts_from_its_question():
    assert fires(Periodic(2.0), "q", 0.5, np.arange(0.0, 8.0, 0.5)) == [2.5, 4.5, 6.5]


def test_periodic_makes_up_for_no_missed_period():
    assert fires(Periodic(2.0), "q", 0.0, [0.0, 9.0, 9.5, 10.0, 11.0, 12.5]) == [9.0, 10.0, 12.5]


def test_periodic_keeps_its_beat_over_an_hour_of_tenths():
    heard = fires(Periodic(0.3), "q", 0.0, [i * 0.1 for i in range(36_000)])
    assert len(heard) == 11_999
    assert heard == pytest.approx([0.3 * k for k in range(1, 12_000)])


@pytest.mark.parametrize("every_s", [0, -1.0, math.nan, math.inf, "5", None, True])
def test_periodic_refuses_a_period_without_sense(every_s):
    with pytest.raises(WrongUse, match="every_s is a number of seconds above 0"):
        Periodic(every_s)


def test_scripted_fires_at_the_first_frame_at_or_after_each_time_in_any_order():
    gate = Scripted({"q": [4.2, 1.0, 6.0]})
    assert fires(gate, "q", 0.0, range(10)) == [1, 5, 6]


def test_scripted_makes_one_fire_of_times_that_pass_between_two_frames():
    assert fires(Scripted({"q": [1.1, 1.4, 1.9]}), "q", 0.0, range(5)) == [2]


def test_scripted_times_before_the_question_belong_to_an_earlier_asking():
    gate = Scripted({"q": [1.0, 3.0]})
    assert fires(gate, "q", 0.0, range(5)) == [1, 3]
    assert fires(gate, "q", 2.0, range(2, 5)) == [3]


def test_scripted_fires_for_the_question_of_that_text_only():
    assert fires(Scripted({"q": [1.0]}), "another", 0.0, range(5)) == []


@pytest.mark.parametrize(
    "script", [None, [1.0], {"q": 1.0}, {"q": "12"}, {"q": [math.nan]}, {"q": ["1"]}, {"q": [True]}, {3: [1.0]}]
)
def test_scripted_refuses_what_is_no_script(script):
    with pytest.raises(WrongUse, match="script"):
        Scripted(script)
