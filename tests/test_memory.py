"""What the buffer promises, whatever the policy. Knows no real policy: those here are made up."""

import numpy as np
import pytest

from fakes_memory import count, fit, flat_shapes, frame, frames_of, merge, turns_of, words
from streambridge.errors import WrongUse
from streambridge.memory.buffer import MemoryBuffer
from streambridge.types import Compression, Shape


class Says:
    """A policy that always says the same."""

    name, bounded, at, keeps, reserves = "says", False, "frame", True, True

    def __init__(self, layout, **more):
        self.layout, self.asked = layout, []
        self.__dict__.update(more)

    def __call__(self, rounds, budget, count):
        self.asked.append((rounds, budget))
        return self.layout


def buffer_of_six():
    """Two rounds: frames 0, 1, question q0, answer a0 | frames 2, 3 (tokens 2 each), every turn 3."""
    buffer = MemoryBuffer(words("system", 5, kind="system"))
    for item in (frame(0.0, 0.0, 2), frame(1.0, 1.0, 2), words("q0", 3, 1.0, "question"), words("a0", 3, 1.0)):
        buffer.append(item)
    buffer.close()
    buffer.append(frame(2.0, 2.0, 2))
    buffer.append(frame(5.0, 3.0, 2))
    return buffer


def test_made_up_policy_meets_the_contract():
    assert isinstance(Says(None), Compression)


def test_items_are_the_very_objects_in_order_after_the_system_turn():
    buffer = buffer_of_six()
    assert [getattr(item, "id", item.t) for item in buffer.items()] == ["system", 0.0, 1.0, "q0", "a0", 2.0, 3.0]
    assert buffer.items()[1] is buffer.rounds[0].items[0]
    assert [len(round_.items) for round_ in buffer.rounds] == [4, 2]


def test_tokens_are_the_sum_of_all_items_with_the_system_turn():
    buffer = buffer_of_six()
    assert buffer.tokens == 19 == sum(item.tokens for item in buffer.items())
    fit(buffer, Says((((0, 1), (2,), (3,)), ((4,), (5,)))), 18)
    assert buffer.tokens == 17 == sum(item.tokens for item in buffer.items())


def test_a_round_without_items_is_not_kept():
    buffer = MemoryBuffer()
    buffer.close()
    buffer.append(words())
    buffer.close()
    buffer.close()
    assert [len(round_.items) for round_ in buffer.rounds] == [1, 0]


def test_shapes_show_rounds_costs_weights_and_pins_but_not_the_system_turn():
    buffer = buffer_of_six()
    buffer.pin("q0")
    raw = Shape("frame", 2, 1)
    assert buffer.shapes() == [[raw, raw, Shape("text", 3, pinned=True), Shape("text", 3)], [raw, raw]]


def test_only_the_question_itself_is_pinned_and_only_until_unpinned():
    buffer = MemoryBuffer()
    buffer.pin("q0")  # before it comes
    buffer.append(words("q0", 4, kind="question"))
    buffer.append(words("q0", 2, kind="cue"))
    assert [shape.pinned for shape in flat_shapes(buffer)] == [True, False]
    assert buffer.pinned_tokens == 4
    buffer.unpin("q0")
    buffer.unpin("never there")
    assert buffer.pinned_tokens == 0


def test_newest_question_is_the_last_turn_of_the_user():
    buffer = MemoryBuffer(words("s", kind="system"))
    assert buffer.newest_question() is None
    for name, kind in (("q0", "question"), ("q1", "cue"), ("a0", "answer")):
        buffer.append(words(name, kind=kind))
    buffer.close()
    buffer.append(frame(0.0))
    assert buffer.newest_question().id == "q1"


def test_a_copy_changes_nothing_in_its_original():
    buffer = buffer_of_six()
    items = buffer.items()
    twin = buffer.copy()
    fit(twin, Says((((0, 1),), ((4, 5),))), 6)
    twin.append(words("more"))
    twin.pin("more")
    assert buffer.items() == items and buffer.tokens == 19 and buffer.pinned_tokens == 0
    assert all(a is b for a, b in zip(buffer.items(), buffer.copy().items(), strict=True))


def test_a_policy_is_asked_above_the_budget_only_and_with_what_the_system_turn_leaves():
    buffer, policy = buffer_of_six(), Says(None)
    assert fit(buffer, policy, 19) is None and policy.asked == []
    assert fit(buffer, policy, 18) is None and policy.asked == [(buffer.shapes(), 13)]


def test_groups_of_one_keep_the_object_and_groups_of_several_are_merged():
    buffer = buffer_of_six()
    before = buffer.items()
    fit(buffer, Says((((0, 1), (2,), (3,)), ((4,), (5,)))), 18)
    after = buffer.items()
    assert [a is b for a, b in zip(after[2:], before[3:], strict=True)] == [True] * 4
    assert np.array_equal(after[1].bundle["embeds"], np.full((2, 1), 0.5))
    assert (after[1].frames, after[1].t, after[1].span) == (2, 0.5, (0.0, 1.0))


def test_the_record_says_what_was_merged_joined_and_let_go():
    buffer = buffer_of_six()
    done = fit(buffer, Says((((0, 1, 4, 5),),)), 18)
    assert (done.before, done.after) == (19, 7)
    assert (done.rounds_changed, done.rounds_forgotten, done.turns_forgotten, done.frames_dropped) == (2, 1, 2, 0)
    assert len(buffer.rounds) == 1 and frames_of(buffer)[0].bundle["embeds"][0] == 2.0


def test_dropped_frames_are_counted_in_camera_frames():
    buffer = buffer_of_six()
    fit(buffer, Says((((0, 1), (2,), (3,)), ((4,), (5,)))), 18)
    done = fit(buffer, Says((((1,), (2,)), ((3,),))), 16)
    assert done.frames_dropped == 3 and done.rounds_changed == 2 and done.turns_forgotten == 0


def test_a_closed_round_left_empty_goes_and_the_open_one_stays():
    buffer = buffer_of_six()
    done = fit(buffer, Says(((), ())), 18)
    assert done.rounds_forgotten == 1 and buffer.tokens == 5
    assert [round_.items for round_ in buffer.rounds] == [[]]


def test_frames_that_only_lost_items_stand_between_may_merge():
    buffer = buffer_of_six()
    fit(buffer, Says((((0, 1, 4), (5,)),)), 18)
    assert [item.frames for item in frames_of(buffer)] == [3, 1] and [item.id for item in turns_of(buffer)] == [
        "system"
    ]


def test_an_unweighted_policy_averages_slots_and_still_counts_camera_frames():
    buffer = MemoryBuffer()
    for number, value in enumerate((0.0, 3.0, 9.0)):
        buffer.append(frame(value, float(number), number=number))
    policy = Says((((0, 1), (2,)),), weighted=False)
    fit(buffer, policy, 2)
    policy.layout = (((0, 1),),)
    fit(buffer, policy, 1)
    (left,) = frames_of(buffer)
    assert left.bundle["embeds"][0] == pytest.approx((1.5 + 9.0) / 2)  # weighted it would be 4
    assert (left.frames, left.t, left.span) == (3, 1.0, (0.0, 2.0))


LIES = {
    "turns the order": (((1,), (0,), (2,), (3,)), ((4,), (5,))),
    "uses an item twice": (((0, 1), (1,), (2,), (3,)), ((4,), (5,))),
    "merges around an item that stays": (((0, 2), (1,)), ((4,), (5,))),
    "merges across words that stay": (((0, 1), (3,)), ((2, 4), (5,))),
    "names an item that is not there": (((0,), (1,)), ((4,), (6,))),
    "names an item before the first": (((-1,), (1,)), ((4,), (5,))),
    "says an empty group": (((0,), ()), ((4,), (5,))),
    "says no round at all": (),
    "merges words": (((0, 1), (2, 3)), ((4,), (5,))),
    "merges a frame with words": (((0, 1, 2), (3,)), ((4,), (5,))),
}


@pytest.mark.parametrize("layout", LIES.values(), ids=LIES.keys())
def test_a_layout_that_breaks_a_promise_is_refused_by_name_and_changes_nothing(layout):
    buffer = buffer_of_six()
    items = buffer.items()
    with pytest.raises(WrongUse, match="'says'"):
        fit(buffer, Says(layout), 18)
    assert buffer.items() == items and buffer.tokens == 19


def test_a_policy_that_lets_a_pinned_question_go_is_refused():
    buffer = buffer_of_six()
    buffer.pin("q0")
    with pytest.raises(WrongUse, match="'says'.*'q0'"):
        fit(buffer, Says((((0,), (1,), (3,)), ((4,), (5,)))), 18)
    assert len(turns_of(buffer)) == 3


def test_a_bounded_policy_above_its_budget_is_refused():
    with pytest.raises(WrongUse, match="guarantees 13 tokens and left 14"):
        fit(buffer_of_six(), Says(tuple([((0,), (1,), (2,), (3,)), ((4,), (5,))]), bounded=True), 18)


@pytest.mark.parametrize("junk", [None, "a frame", 3, words("s", kind="system"), object()])
def test_only_frames_and_turns_are_taken(junk):
    with pytest.raises(WrongUse, match="memory takes FrameTokens and turns"):
        MemoryBuffer().append(junk)


@pytest.mark.parametrize("tokens", [0, -1, 1.5, None, "4"])
def test_a_frame_that_costs_nothing_is_refused(tokens):
    buffer = MemoryBuffer()
    item = frame(0.0)
    object.__setattr__(item, "tokens", tokens)
    with pytest.raises(WrongUse, match="must cost at least 1 tokens; it says"):
        buffer.append(item)
    assert buffer.tokens == 0 and buffer.items() == []


@pytest.mark.parametrize("junk", [words("q", kind="question"), "be brief", 3])
def test_only_a_system_turn_stands_first(junk):
    with pytest.raises(WrongUse, match="begins with a turn of kind 'system'"):
        MemoryBuffer(junk)


@pytest.mark.parametrize("budget", [5, 0, -3])
def test_a_budget_that_the_system_turn_eats_up_is_refused(budget):
    with pytest.raises(WrongUse, match=f"the system turn costs 5 tokens and the budget is {budget}"):
        buffer_of_six().fit(Says(None), budget, merge, count)
