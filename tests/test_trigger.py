"""Promises of the trigger: when a score becomes a fire. Knows no gate."""

import json
import math

import numpy as np
import pytest

from streambridge.activation.trigger import PAPER, Trigger, TriggerSettings
from streambridge.errors import BadInput, WrongUse


def fires(scores, settings=None, dt=1.0):
    trigger = Trigger(settings)
    return [i for i, score in enumerate(scores) if trigger.step(score, i * dt)]


def test_a_score_equal_to_the_threshold_does_not_fire():
    settings = TriggerSettings(threshold=0.5)
    assert fires([0.5, 0.5], settings) == []
    assert fires([0.5, math.nextafter(0.5, 1)], settings) == [1]


def test_a_high_first_score_fires_at_once():
    assert fires([0.9]) == [0]


def test_it_fires_once_per_rise_and_rearms_only_at_the_lower_threshold():
    settings = TriggerSettings(threshold=0.5, rearm=0.2)
    assert fires([0.6, 0.9, 0.6, 0.3, 0.9, 0.2, 0.9], settings) == [0, 6]


def test_left_alone_it_rearms_at_half_the_threshold():
    assert fires([0.9, 0.26, 0.9, 0.25, 0.9], TriggerSettings(threshold=0.5)) == [0, 4]


def test_a_rearm_at_the_threshold_means_a_plain_rising_edge():
    assert fires([0.9, 0.5, 0.9, 0.9], TriggerSettings(threshold=0.5, rearm=0.5)) == [0, 2]


def test_a_rise_during_the_rest_is_delayed_to_its_end_while_it_lasts():
    settings = TriggerSettings(threshold=0.5, rest_s=4.0)
    assert fires([0.9, 0.0, 0.9, 0.9, 0.9, 0.9], settings) == [0, 4]


def test_a_rise_during_the_rest_is_lost_when_it_has_fallen_by_its_end():
    settings = TriggerSettings(threshold=0.5, rest_s=4.0)
    assert fires([0.9, 0.0, 0.9, 0.0, 0.0, 0.9], settings) == [0, 5]


def test_the_end_of_the_rest_does_not_rearm():
    assert fires([0.9] * 10, TriggerSettings(rest_s=2.0)) == [0]


def test_a_rest_ends_on_its_last_instant_whatever_floats_do():
    settings = TriggerSettings(threshold=0.5, rest_s=0.2, rising=False)
    trigger = Trigger(settings)
    assert [trigger.step(0.9, t) for t in (0.1, 0.2, 0.3)] == [True, False, True]  # 0.3 - 0.1 < 0.2 in floats


def test_the_paper_decides_each_frame_anew_above_0_35():
    assert fires([0.35, 0.36, 0.9, 0.36, 0.35, 0.9], PAPER) == [1, 2, 3, 5]


def test_a_rest_holds_without_rising_edges_too():
    assert fires([0.9] * 7, TriggerSettings(rest_s=3.0, rising=False)) == [0, 3, 6]


def test_two_fires_are_never_closer_than_the_rest_nor_without_a_fall_between():
    rng = np.random.default_rng(7)
    for _ in range(200):
        threshold = rng.uniform(0.1, 0.9)
        settings = TriggerSettings(threshold, rest_s=float(rng.integers(0, 6)), rearm=threshold * rng.uniform())
        scores = rng.uniform(size=60)
        at = fires(scores, settings)
        assert at, "sixty uniform scores cross every threshold"
        for one, other in zip(at, at[1:], strict=False):
            assert other - one >= settings.rest_s
            assert scores[one + 1 : other + 1].min() <= settings.rearm_at
        assert all(scores[i] > threshold for i in at)


def test_two_triggers_of_the_same_settings_do_not_share_state():
    settings = TriggerSettings()
    one, other = Trigger(settings), Trigger(settings)
    assert one.step(0.9, 0.0)
    assert other.step(0.9, 0.0)


@pytest.mark.parametrize("numbers", [
    {"threshold": 1.1}, {"threshold": -0.1}, {"threshold": math.nan}, {"threshold": "0.5"}, {"threshold": True},
    {"rest_s": -1.0}, {"rest_s": math.nan}, {"rest_s": math.inf}, {"rest_s": None},
    {"rearm": 0.6}, {"rearm": -0.1}, {"rearm": math.nan}, {"rearm": "low"}, {"rising": 1},
])  # fmt: skip
def test_settings_without_sense_are_refused_by_name(numbers):
    with pytest.raises(WrongUse, match=next(iter(numbers))):
        TriggerSettings(**numbers)


@pytest.mark.parametrize("score", [math.nan, math.inf, -0.01, 1.01, None, "0.9", True])
def test_a_score_that_is_none_is_refused_and_says_what_came(score):
    with pytest.raises(BadInput, match="score is a number in"):
        Trigger().step(score, 0.0)


@pytest.mark.parametrize("t", [math.nan, math.inf, 0.5, None])
def test_a_time_that_goes_back_or_is_none_is_refused(t):
    trigger = Trigger()
    trigger.step(0.1, 1.0)
    with pytest.raises(BadInput, match="time that does not go back"):
        trigger.step(0.1, t)


def test_the_log_gets_every_number_with_its_default_filled_in():
    expected = {"threshold": 0.6, "rest_s": 2.0, "rearm": 0.3, "rising": True}
    assert TriggerSettings(0.6, 2.0).mapping() == expected
    assert json.loads(json.dumps(dict(PAPER.mapping()))) == {
        "threshold": 0.35, "rest_s": 0.0, "rearm": None, "rising": False,
    }  # fmt: skip


def test_numpy_scores_fire_as_plain_booleans():
    answers = [Trigger().step(np.float32(score), np.float64(0.0)) for score in (0.9, 0.1)]
    assert answers == [True, False] and {type(answer) for answer in answers} == {bool}
