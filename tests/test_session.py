"""What a Session promises, one promise a test. Knows no weights."""

import gc
import json

import pytest

from fakes import FRAME_TOKENS, FakeBackbone, FakeGate, make_frame, seen
from streambridge.errors import BadInput, WrongUse
from streambridge.loading import load, names
from streambridge.session import Session
from streambridge.types import (
    Answered,
    Asked,
    Delta,
    Dropped,
    Ended,
    Failed,
    Interrupted,
    Notice,
    OverBudget,
    Piece,
    Scored,
    Started,
    Turn,
    Unwatched,
    Watching,
)


def make(fires=None, backbone=None, **settings):
    backbone = backbone or FakeBackbone()
    settings = {"compression": load("memory", "keep_all"), "answer_len": 8, **settings}
    return Session(backbone, FakeGate(fires or {}), **settings), backbone


def see(session, *numbers):
    return [event for number in numbers for event in session.see(make_frame(number))]


def of(kind, events):
    return [event for event in events if isinstance(event, kind)]


def memory(session):
    """Kinds and names, in order: what was seen and said."""
    return [item.kind + " " + item.id if isinstance(item, Turn) else seen([item])[0] for item in session.memory.items()]


def read_to_delta(reply):
    """Read up to the first words, which are left half said."""
    events = []
    for event in reply:
        events.append(event)
        if isinstance(event, Delta):
            break
    return events


# ---------------------------------------------------------------------------------------------- Algorithm 1


def test_without_a_question_nothing_is_judged_and_nothing_said():
    session, _ = make({"?": [0, 1, 2]})
    events = see(session, 0, 1, 2)
    assert [type(event) for event in events] == [Started]
    assert session.activation.looked == []


def test_started_tells_every_setting_in_json():
    session, _ = make(max_len=500, system="be brief")
    started = next(session.see(make_frame(0)))
    settings = json.loads(json.dumps(started.settings))
    assert (settings["max_len"], settings["answer_len"], settings["reserve"]) == (500, 8, 11)
    assert settings["activation"] == {"name": "fake_gate", "fires": {}}
    assert (settings["compression"]["name"], settings["backbone"]) == ("keep_all", "fake")
    assert (settings["system"], settings["cue"], settings["queue"], settings["pending"]) == ("be brief", True, 8, 256)
    assert started.schema == "streambridge/1"


def test_max_len_is_the_models_context_and_16384_at_most():
    assert make(backbone=FakeBackbone(max_context=900))[0].max_len == 900
    assert make(backbone=FakeBackbone(max_context=900_000))[0].max_len == 16_384


def test_a_question_for_now_is_answered_on_all_that_was_seen():
    session, _ = make()
    see(session, 0, 1, 2)
    events = list(session.ask("what is it", when="now"))
    assert [type(e) for e in events if not isinstance(e, Delta)] == [Asked, Answered]
    assert memory(session) == [0, 1, 2, "question q0", "answer a0"]
    answer = events[-1]
    assert answer.text == "".join(event.text for event in of(Delta, events)) == session.memory.items()[-1].text != ""
    assert (answer.asked, answer.t_asked, answer.t_fired, answer.ms) == ("q0", 2.0, 2.0, {})


def test_a_question_before_any_frame_is_answered_too():
    session, _ = make()
    assert of(Answered, session.ask("hello", when="now"))
    assert memory(session) == ["question q0", "answer a0"]


def test_a_watch_judges_the_frame_in_view_at_once_and_may_fire_on_it():
    session, _ = make({"?": [2, 4]})
    see(session, 0, 1, 2)
    events = list(session.ask("?", when="watch"))
    assert [type(e) for e in events if not isinstance(e, Delta)] == [Asked, Watching, Scored, Answered]
    events = see(session, 3, 4)
    assert [(e.t, e.fire) for e in of(Scored, events)] == [(3.0, False), (4.0, True)]
    assert [e.t_fired for e in of(Answered, events)] == [4.0]
    assert session.activation.notes["?"][0] == 2  # frames before the question are not shown to its Watch


def test_nothing_is_judged_before_the_first_frame():
    session, _ = make({"?": [0]})
    assert not of(Scored, session.ask("?", t=0.0, when="auto"))
    assert of(Answered, see(session, 0))


def test_a_frame_is_looked_at_once_for_all_watches():
    session, _ = make()
    for text in ("one", "two", "three"):
        list(session.ask(text, t=0.0, when="watch"))
    assert len(of(Scored, see(session, 0, 1))) == 6
    assert session.activation.looked == [0, 1]


def test_an_auto_question_takes_the_place_of_the_one_before_and_of_no_watch():
    session, _ = make()
    see(session, 0)
    list(session.ask("w", when="watch")), list(session.ask("a", when="auto"))
    events = list(session.ask("b", when="auto"))
    assert [(e.watch, e.why) for e in of(Unwatched, events)] == [("q1", "replaced")]
    assert session.watches == {"q0": "w", "q2": "b"}


def test_a_once_watch_ends_with_its_answer_and_a_standing_one_lives():
    session, _ = make({"once": [1, 2], "ever": [1, 2]})
    list(session.ask("once", t=0.0, when="watch", once=True)), list(session.ask("ever", t=0.0, when="watch"))
    events = see(session, 0, 1, 2)
    assert [e.asked for e in of(Answered, events)] == ["q0", "q1", "q1"]
    assert [(e.watch, e.why, e.t) for e in of(Unwatched, events)] == [("q0", "answered", 1.0)]


def test_a_watch_expires_at_the_first_frame_after_its_time_and_not_at_its_time():
    session, _ = make({"?": [3]})
    list(session.ask("?", t=1.0, when="watch", expires_s=2.0))
    events = see(session, 1, 2, 3)
    assert len(of(Scored, events)) == 3 and of(Answered, events)
    events = see(session, 4)
    assert [(e.why, e.t) for e in of(Unwatched, events)] == [("expired", 4.0)] and not of(Scored, events)


def test_unwatch_ends_a_watch_and_an_unknown_one_is_wrong_use():
    session, _ = make({"?": [1]})
    list(session.ask("?", t=0.0, when="watch"))
    with pytest.raises(WrongUse, match="no live watch called 'q7'.*q0"):
        session.unwatch("q7")
    assert [e.why for e in of(Unwatched, session.unwatch("q0"))] == ["asked"]
    assert not of(Scored, see(session, 0, 1))


def test_the_answer_of_a_watch_that_is_not_the_newest_question_is_cued():
    session, _ = make({"?": [1, 3, 4]})
    list(session.ask("?", t=0.0, when="watch"))
    see(session, 0, 1)
    list(session.ask("now then", when="now"))
    see(session, 2, 3, 4)
    answers = ["question q0", 0, 1, "answer a0", "question q1", "answer a1"]
    assert memory(session) == [*answers, 2, 3, "cue q0", "answer a2", 4, "answer a3"]  # cued once: then it is newest
    assert session.memory.items()[-4].text == "?"


def test_without_cue_the_newest_question_is_answered_as_in_algorithm_1():
    session, _ = make({"?": [1]}, cue=False)
    list(session.ask("?", t=0.0, when="watch")), list(session.ask("now then", when="now"))
    see(session, 0, 1)
    assert memory(session) == ["question q0", "question q1", "answer a0", 0, 1, "answer a1"]


def test_a_watch_hears_its_own_answers_and_no_others():
    session, _ = make({"one": [1], "two": [2]})
    list(session.ask("one", t=0.0, when="watch")), list(session.ask("two", t=0.0, when="watch"))
    answers = of(Answered, see(session, 0, 1, 2))
    assert session.activation.notes["one"] == [0, 1, (answers[0].text, 1.0), 2]
    assert session.activation.notes["two"] == [0, 1, 2, (answers[1].text, 2.0)]


def test_a_late_question_is_answered_as_of_the_newest_frame_with_a_notice():
    session, _ = make()
    see(session, 0, 5)
    events = list(session.ask("what was it", t=3.0, when="now"))
    assert len(of(Notice, events)) == 1 and "3 s" in of(Notice, events)[0].text
    assert of(Answered, events)[0].t_asked == 5.0 and memory(session)[:2] == [0, 5]
    assert not of(Notice, session.ask("and now", t=5.0, when="now"))


def test_a_frame_stamped_before_a_question_that_came_first_is_welcome():
    session, _ = make({"?": [1]})
    see(session, 0)
    list(session.ask("?", t=1.5, when="watch"))
    events = see(session, 1)
    assert [e.t for e in of(Scored, events)] == [1.5] and of(Answered, events)[0].t_fired == 1.5


# ---------------------------------------------------------------------------------------------- while speaking


def speaking(fires, at=1, **settings):
    """A session in the middle of an answer of several words to "?", fired at frame `at`, and its Reply."""
    session, backbone = make({"?": [at], **fires}, **settings)
    list(session.ask("?", t=0.0, when="watch"))
    for text in fires:
        list(session.ask(text, t=0.0, when="watch"))
    see(session, *range(at))
    reply = session.see(make_frame(at))
    assert of(Delta, read_to_delta(reply)) and session.speaking
    return session, backbone, reply


def test_the_act_is_eager_and_only_the_words_are_lazy():
    session, backbone = make({"?": [1]})
    list(session.ask("?", t=0.0, when="watch"))
    see(session, 0)
    reply = session.see(make_frame(1))
    assert len(backbone.plans) == 1 and backbone.read == []  # laid out, and not a word asked for
    assert seen(session.memory.items()) == [0, 1] and session.speaking
    assert type(next(reply)) is Scored and backbone.read == []


def test_frames_during_an_answer_are_judged_at_once_and_remembered_after_it():
    session, backbone, reply = speaking({"other": [2]})
    events = see(session, 2, 3)
    assert [e.t for e in of(Scored, events)] == [2.0, 2.0, 3.0, 3.0]
    assert seen(session.memory.items()) == [0, 1] and session.waiting == 2
    rest = list(reply)
    assert [(e.asked, e.t_fired) for e in of(Answered, rest)] == [("q0", 1.0), ("q1", 2.0)]  # the same Reply drives all
    assert seen(session.memory.items()) == [0, 1, 2, 3] and session.waiting == 0 and not session.speaking
    assert [row[1] for row in backbone.plans[1] if row[0] == "frame"] == [(0,), (1,), (2,)]  # never frame 3


def test_a_question_waits_for_the_answer_being_spoken_and_sees_what_it_was_put_on():
    session, backbone, reply = speaking({})
    see(session, 2)
    assert [type(e) for e in session.ask("what now", when="now")] == [Asked]
    see(session, 3)
    assert [e.asked for e in of(Answered, list(reply))] == ["q0", "q1"]
    assert [row[1] for row in backbone.plans[1] if row[0] == "frame"] == [(0,), (1,), (2,)]


def test_an_interrupting_question_cuts_the_answer_and_is_answered():
    session, _, reply = speaking({})
    see(session, 2)
    events = list(session.ask("stop, what is that", when="now", interrupt=True))
    assert [type(e) for e in events if not isinstance(e, Delta)] == [Interrupted, Asked, Answered]
    assert events[0].tokens >= 1 and list(reply) == []
    assert memory(session)[-4:] == ["answer a0", 2, "question q1", "answer a1"]
    assert of(Answered, see(session, 3)) == []


def test_two_watches_firing_on_one_frame_are_answered_in_order_of_opening():
    session, _ = make({"one": [1], "two": [1]})
    list(session.ask("one", t=0.0, when="watch")), list(session.ask("two", t=0.0, when="watch"))
    events = see(session, 0, 1)
    assert [e.asked for e in of(Answered, events)] == ["q0", "q1"]
    assert memory(session) == ["question q0", "question q1", 0, 1, "cue q0", "answer a0", "cue q1", "answer a1"]


def test_fires_above_the_queue_are_dropped_with_an_event_and_questions_never():
    session, _, reply = speaking({"other": [2, 3, 4, 5]}, queue=2)
    events = see(session, 2, 3, 4, 5)
    assert [(e.frames, e.reason, e.t) for e in of(Dropped, events)] == [(0, "busy", 4.0), (0, "busy", 5.0)]
    for _ in range(20):
        list(session.ask("and", when="now"))
    assert len(of(Answered, list(reply))) == 1 + 2 + 20


def test_a_queue_of_none_still_lets_a_fire_speak_when_nobody_does():
    session, _, reply = speaking({"other": [2, 3]}, queue=0)
    assert [e.reason for e in of(Dropped, see(session, 2))] == ["busy"]
    list(reply)
    assert of(Answered, see(session, 3))


def test_a_once_watch_whose_fire_was_dropped_as_busy_fires_again():
    session, _ = make({"?": [1], "once": [2, 4]}, queue=0)
    list(session.ask("?", t=0.0, when="watch")), list(session.ask("once", t=0.0, when="watch", once=True))
    see(session, 0)
    reply = session.see(make_frame(1))
    read_to_delta(reply)
    assert of(Dropped, see(session, 2))
    list(reply)
    assert [e.asked for e in of(Answered, see(session, 3, 4))] == ["q1"]


def test_a_once_watch_that_waits_for_its_answer_does_not_fire_again_nor_expire():
    session, _ = make({"?": [1], "once": [2, 3, 4]})
    list(session.ask("?", t=0.0, when="watch"))
    list(session.ask("once", t=0.0, when="watch", once=True, expires_s=2.5))
    see(session, 0)
    reply = session.see(make_frame(1))
    read_to_delta(reply)
    assert [e.watch for e in of(Scored, see(session, 2, 3, 4))] == ["q0", "q1", "q0", "q0"]
    rest = list(reply)
    assert [e.asked for e in of(Answered, rest)] == ["q0", "q1"]
    assert [(e.watch, e.why) for e in of(Unwatched, rest)] == [("q1", "answered")]


def test_frames_above_pending_go_oldest_first_with_an_event_each():
    session, _, reply = speaking({}, pending=3)
    events = see(session, 2, 3, 4, 5, 6)
    assert [(e.frames, e.reason) for e in of(Dropped, events)] == [(1, "busy"), (1, "busy")]
    list(reply)
    assert seen(session.memory.items()) == [0, 1, 4, 5, 6]


def test_unwatching_lets_its_waiting_fires_go_and_says_so():
    session, _, reply = speaking({"other": [2, 3]})
    see(session, 2, 3)
    events = list(session.unwatch("q1"))
    assert [(e.frames, e.reason) for e in of(Dropped, events)] == [(0, "unwatched")] * 2
    assert [e.asked for e in of(Answered, list(reply))] == ["q0"]
    assert seen(session.memory.items()) == [0, 1, 2, 3]


# ---------------------------------------------------------------------------------------------- cut short


def test_closing_midway_keeps_what_was_heard_and_closes_the_round():
    session, _ = make({"?": [1]})
    list(session.ask("?", t=0.0, when="watch"))
    see(session, 0)
    reply = session.see(make_frame(1))
    heard = "".join(event.text for event in of(Delta, read_to_delta(reply)))
    reply.close()
    assert list(reply) == [] and not session.speaking
    assert memory(session) == ["question q0", 0, 1, "answer a0"] and session.memory.items()[-1].text == heard
    assert session.memory.rounds[-1].items == []
    first = next(session.see(make_frame(2)))
    assert type(first) is Interrupted and (first.answer, first.tokens) == ("a0", len(session.memory.items()[-2].ids))


def test_a_cut_answer_is_kept_exactly_and_the_model_is_stopped():
    session, backbone, reply = speaking({})
    reply.close()
    reply.close()
    assert backbone.stopped == 1
    list(session.ask("go on", when="now"))
    fresh, again = FakeBackbone(), backbone.plans[-1]
    assert [row for row in again if row[0] == "answer"][0][3] == session.memory.items()[3].ids
    oracle = list(fresh.answer(fresh.render(session.memory.items()[:-1]), 8))  # a full recompute of the same memory
    assert "".join(piece.text for piece in oracle) == session.memory.items()[-1].text


def test_an_answer_nobody_reads_is_cut_with_nothing_heard_and_told_by_the_next_call():
    session, backbone = make({"?": [1]})
    list(session.ask("?", t=0.0, when="watch", once=True))
    session.see(make_frame(0))
    session.see(make_frame(1))  # its Reply is dropped here
    gc.collect()
    assert not session.speaking
    events = see(session, 2)
    assert [(e.answer, e.tokens) for e in of(Interrupted, events)] == [("a0", 0)]
    assert [e.why for e in of(Unwatched, events)] == ["answered"]
    assert memory(session) == ["question q0", 0, 1, 2] and len(session.memory.rounds) == 2 and backbone.read == []


def test_leaving_a_with_cuts_and_a_for_loop_left_cuts_too():
    session, _ = make({"?": [1, 3]})
    list(session.ask("?", t=0.0, when="watch"))
    see(session, 0)
    with session.see(make_frame(1)) as reply:
        read_to_delta(reply)
    assert not session.speaking
    see(session, 2)
    for event in session.see(make_frame(3)):
        if isinstance(event, Delta):
            break
    assert [e.answer for e in of(Interrupted, session.idle(0))] == ["a1"]


def test_after_a_cut_what_waited_is_remembered_and_a_waiting_fire_is_begun_by_the_next_call():
    session, backbone, reply = speaking({"other": [3]})
    see(session, 2, 3, 4)
    reply.close()
    assert seen(session.memory.items()) == [0, 1, 2, 3] and session.waiting == 1 and not session.speaking
    events = see(session, 5)
    assert [(e.asked, e.t_fired) for e in of(Answered, events)] == [("q1", 3.0)]
    assert seen(session.memory.items()) == [0, 1, 2, 3, 4, 5]
    assert [row[1] for row in backbone.plans[1] if row[0] == "frame"] == [(0,), (1,), (2,), (3,)]


def test_the_end_tells_what_is_left_unsaid():
    session, _, reply = speaking({"other": [2, 4]})
    see(session, 2, 3, 4)
    list(session.ask("and now", when="now"))
    events = list(session.end())
    assert [type(e) for e in events] == [Interrupted, Dropped, Dropped, Dropped, Dropped, Unwatched, Unwatched, Ended]
    assert [(e.frames, e.reason) for e in of(Dropped, events)] == [(2, "ended")] + [(0, "ended")] * 3
    assert list(reply) == [] and list(session.end()) == [] and session.watches == {}
    for late in (lambda: session.see(make_frame(9)), lambda: session.ask("x"), lambda: session.idle(1)):
        with pytest.raises(WrongUse, match="ended"):
            late()


def test_a_journal_is_told_every_event_once_and_in_order_even_unread_ones():
    told, read = [], []
    session, _ = make({"?": [1, 3]}, on_event=told.append)
    read += session.ask("?", t=0.0, when="watch")
    read += session.see(make_frame(0))
    session.see(make_frame(1))  # unread
    read += session.see(make_frame(2))
    read += session.see(make_frame(3))
    read += session.end()
    unread = [event for event in told if all(event is not other for other in read)]
    assert [event for event in told if any(event is other for other in read)] == read
    assert [type(event) for event in unread] == [Scored]  # the cut of a0 was told by the next call


# ---------------------------------------------------------------------------------------------- misfortune


def test_a_model_that_breaks_midway_keeps_what_was_heard_and_the_stream_goes_on():
    plan = FakeBackbone(break_at={0: 0}, error=BadInput)
    session, _ = make(backbone=plan)
    events = list(session.ask("one", when="now"))
    assert [type(e) for e in events[-2:]] == [Failed, Interrupted]
    assert "a0 broke off: the model broke at piece 0" in events[-2].error and events[-2].what_next
    assert memory(session) == ["question q0"] and session.memory.rounds[-1].items == []
    assert of(Answered, session.ask("two", when="now"))


def test_a_model_that_breaks_after_some_words_keeps_those_words():
    for text in ("a b c", "d", "e f", "g h", "i"):  # the fake's answers differ in length
        session, _ = make(backbone=FakeBackbone(break_at={0: 2}))
        events = list(session.ask(text, when="now"))
        if of(Failed, events):
            assert events[-1].tokens == 2 == len(session.memory.items()[-1].ids)
            assert "RuntimeError: the model broke at piece 2" in of(Failed, events)[0].error
            return
    raise AssertionError("no answer was long enough to break")


def test_a_frame_that_cannot_be_encoded_is_told_dropped_and_judged_by_nobody():
    session, _ = make({"?": [1]}, backbone=FakeBackbone(blind=[1]))
    list(session.ask("?", t=0.0, when="watch"))
    events = see(session, 0, 1, 2)
    assert [(e.frames, e.reason, e.t) for e in of(Dropped, events)] == [(1, "unreadable", 1.0)]
    assert len(of(Failed, events)) == 1 and "\n" not in of(Failed, events)[0].error
    assert [e.t for e in of(Scored, events)] == [0.0, 2.0] and seen(session.memory.items()) == [0, 2]


def test_a_gate_that_breaks_on_a_frame_is_told_and_the_other_watches_go_on():
    backbone, gate = FakeBackbone(), FakeGate({"b": [1]}, look_breaks=[2], observe_breaks=[("a", 1)])
    session = Session(backbone, gate, compression=load("memory", "keep_all"))
    list(session.ask("a", t=0.0, when="watch")), list(session.ask("b", t=0.0, when="watch"))
    events = see(session, 0, 1)
    assert [e.watch for e in of(Scored, events)] == ["q0", "q1", "q1"] and of(Answered, events)
    assert "q0" in of(Failed, events)[0].error
    events = see(session, 2)
    assert len(of(Failed, events)) == 2 and seen(session.memory.items()) == [0, 1, 2]
    assert len(of(Scored, see(session, 3))) == 2


def test_a_question_that_the_gate_cannot_watch_for_is_told_and_not_stored():
    session, _ = make()
    events = list(session.ask("unwatchable", t=0.0, when="watch"))
    assert [type(e) for e in events] == [Started, Asked, Failed] and memory(session) == [] and session.watches == {}


def test_a_layout_that_fails_is_told_and_the_stream_goes_on():
    session, backbone = make()
    render, backbone.render = backbone.render, lambda items: 1 / 0
    events = list(session.ask("one", when="now"))
    assert [type(e) for e in events[-2:]] == [Failed, Interrupted] and "ZeroDivisionError" in events[-2].error
    backbone.render = render
    assert of(Answered, session.ask("two", when="now"))


def test_a_gate_or_model_that_breaks_as_an_answer_ends_is_told_and_the_stream_goes_on():
    session, backbone = make({"?": [1, 2]})
    list(session.ask("?", t=0.0, when="watch"))
    see(session, 0)
    live = next(iter(session._watches))
    live.watch.heard = lambda text, t: 1 / 0
    assert "q0" in of(Failed, see(session, 1))[0].error and "answer a0" in memory(session)

    class Pieces:
        def __iter__(self):
            return self

        def __next__(self):
            return backbone.words.pop()

        def close(self):
            raise OSError("the line is dead")

    backbone.words, backbone.answer = [Piece(1, " b"), Piece(2, " a")], lambda plan, most: Pieces()
    reply = session.see(make_frame(2))
    read_to_delta(reply)
    reply.close()
    events = list(session.idle(0))
    assert [type(e) for e in events[:2]] == [Failed, Interrupted] and "the line is dead" in events[0].error
    assert session.memory.items()[-1].text == " a"


def test_a_caller_who_reads_nothing_gathers_nothing():
    session, _ = make({"?": range(500)})
    session.ask("?", t=0.0, when="watch")
    for number in range(500):
        session.see(make_frame(number))
    assert len(list(session.idle(0))) == 1 and seen(session.memory.items()) == list(range(500))  # the last cut


def test_ctrl_c_in_the_model_is_never_swallowed_and_the_end_is_in_order():
    session, _ = make(backbone=FakeBackbone(break_at={0: 0}, error=KeyboardInterrupt))
    reply = session.ask("one", when="now")
    with pytest.raises(KeyboardInterrupt):
        list(reply)
    assert [type(e) for e in session.end()] == [Interrupted, Ended]


# ---------------------------------------------------------------------------------------------- budget


def test_a_question_longer_than_a_quarter_of_the_budget_is_refused_and_not_stored():
    session, _ = make(max_len=80)
    fits, over = "x " * 17, "x " * 18  # with header and end: 20 and 21 tokens
    assert of(Answered, session.ask(fits, when="now"))
    for when in ("now", "watch", "auto"):
        before = memory(session)
        events = list(session.ask(over, when=when))
        assert [type(e) for e in events] == [Asked, Failed] and memory(session) == before
        assert "21 tokens" in events[1].error and "max_len" in events[1].what_next


def test_watched_questions_together_take_a_quarter_of_the_budget_at_most():
    session, _ = make(max_len=80)
    list(session.ask("x " * 5, t=0.0, when="watch")), list(session.ask("x " * 5, when="auto"))
    assert [type(e) for e in session.ask("y " * 5, when="watch")] == [Asked, Failed]
    events = list(session.ask("y " * 5, when="auto"))  # it takes the place of the other auto, so there is room
    assert [type(e) for e in events] == [Asked, Unwatched, Watching]
    list(session.unwatch("q0"))
    assert of(Watching, session.ask("y " * 5, when="watch"))


@pytest.mark.parametrize("name", ["keep_all", "paper", "repo"])
def test_a_policy_without_guarantee_says_that_it_is_over_the_budget(name):
    session, _ = make(max_len=64, compression=load("memory", name))
    see(session, 0)
    for number in range(1, 8):
        list(session.ask("one two three", when="now"))
        see(session, number)
    over = of(OverBudget, session.ask("one two three", when="now"))
    assert len(over) == 1 and over[0].tokens > 64


def test_a_policy_that_does_not_keep_its_result_leaves_memory_as_it_was():
    session, backbone = make(max_len=100, compression=load("memory", "paper"))
    see(session, *range(60))
    list(session.ask("what", when="now"))
    assert seen(session.memory.items()) == list(range(60)) and len(session.memory.items()) == 62
    assert len(backbone.plans[0]) < 30


def test_the_default_policy_is_round_decay():
    assert Session(FakeBackbone(), FakeGate()).settings["compression"]["name"] == "round_decay"


# ---------------------------------------------------------------------------------------------- wrong use


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"max_len": 0}, "max_len"),
        ({"max_len": True}, "max_len"),
        ({"max_len": 21}, "at least 22"),
        ({"max_len": "big"}, "max_len"),
        ({"answer_len": 0}, "answer_len"),
        ({"queue": -1}, "queue"),
        ({"pending": 0}, "pending"),
        ({"max_len": 60, "system": "word " * 40}, "too small"),
    ],
)
def test_numbers_that_cannot_work_are_refused_in_one_line(settings, words):
    with pytest.raises(WrongUse, match=words) as caught:
        make(**settings)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "question",
    [
        {"text": ""},
        {"text": " \n"},
        {"text": None},
        {"text": b"what"},
        {"text": "x", "t": float("nan")},
        {"text": "x", "t": "3"},
        {"text": "x", "when": "soon"},
        {"text": "x", "when": "now", "once": True},
        {"text": "x", "when": "now", "expires_s": 3.0},
        {"text": "x", "when": "watch", "expires_s": -1.0},
        {"text": "x", "when": "watch", "expires_s": float("inf")},
    ],
)
def test_a_question_that_makes_no_sense_is_refused_in_one_line_and_leaves_no_trace(question):
    session, _ = make()
    with pytest.raises(WrongUse) as caught:
        session.ask(**question)
    assert "\n" not in str(caught.value)
    assert [type(e) for e in session.see(make_frame(0))] == [Started]


def test_frames_that_go_back_in_time_or_are_none_are_refused():
    session, _ = make()
    see(session, 5)
    with pytest.raises(WrongUse, match="4 s came after one at 5 s"):
        session.see(make_frame(4))
    with pytest.raises(WrongUse, match="Frame"):
        session.see("frame.jpg")
    with pytest.raises(WrongUse, match="Event"):
        session.tell("lost")
    with pytest.raises(WrongUse, match="max_tokens"):
        session.idle(-1)
    session.see(make_frame(9, t=5.0))  # the same time twice is fine
    assert seen(session.memory.items()) == [5, 9]


def test_a_stopwatch_is_the_only_source_of_durations():
    ticks = iter(range(100))
    session, _ = make(stopwatch=lambda: float(next(ticks)))
    answer = of(Answered, session.ask("what", when="now"))[0]
    assert answer.ms == {"first": 1000.0, "all": 2000.0}


def test_frame_tokens_count_towards_the_plan_that_an_answer_tells():
    session, _ = make()
    see(session, 0, 1)
    answer = of(Answered, session.ask("one two", when="now"))[0]
    assert answer.tokens == 2 * FRAME_TOKENS + (2 + 3) + 2  # frames, the question with header and end, answer's header


@pytest.mark.parametrize("name", [name for name in names("memory") if load("memory", name).bounded])
def test_in_the_smallest_memory_every_answer_still_reads_its_own_question(name):
    standing = "s " * 17  # 20 tokens, a quarter of 80, pinned; with a question as long in the open round
    session, backbone = make({standing: range(4, 400, 5)}, max_len=80, answer_len=37, compression=load("memory", name))
    list(session.ask(standing, t=0.0, when="watch"))
    answers = []
    for number in range(400):
        answers += of(Answered, see(session, number))
        if number % 3 == 0:
            answers += of(Answered, session.ask(f"n{number} " * 17, when="now"))
        assert session.memory.tokens + session.settings["reserve"] <= 80
    assert len(answers) == 80 + 134 and session.memory.pinned_tokens == 20
    for event, plan in zip(answers, backbone.plans, strict=True):
        assert [row[1] for row in plan if row[0] in ("question", "cue")][-1] == event.asked
        assert event.tokens + 37 <= 80
