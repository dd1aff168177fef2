"""The one loop: order of frames and questions, misfortunes of a source, typed lines. Knows no file."""

import pytest

from fakes import FakeBackbone, FakeGate, make_frame, seen
from streambridge.errors import BadInput, RunFailed, WrongUse
from streambridge.loading import load
from streambridge.replay import replay
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
    Question,
    Scored,
    Started,
)


def make(fires=None, **settings):
    backbone = FakeBackbone()
    return Session(backbone, FakeGate(fires or {}), compression=load("memory", "keep_all"), **settings), backbone


def frames(*numbers):
    return [make_frame(number) for number in numbers]


def of(kind, events):
    return [event for event in events if isinstance(event, kind)]


def frames_read(backbone):
    """Of each answer, the camera frames that it saw."""
    return [[row[1][0] for row in plan if row[0] == "frame"] for plan in backbone.plans]


class Source:
    """Yields frames and errors from a list; `events()` tells what it was given before each."""

    def __init__(self, script):
        self.script, self.told = script, []

    def __iter__(self):
        for item in self.script:
            if isinstance(item, Exception):
                raise item
            elif isinstance(item, Dropped | Failed | Notice):
                self.told.append(item)
            else:
                yield item

    def events(self):
        told, self.told = self.told, []
        return told


def test_a_frame_comes_before_a_question_of_the_same_time_and_later_frames_after_it():
    session, backbone = make()
    questions = [Question("b", 2.0, "second"), Question("a", 0.5, "first"), Question("c", 2.0, "third")]
    events = list(replay(session, frames(0, 1, 2, 3), questions))
    assert [(e.id, e.text, e.t) for e in of(Asked, events)] == [
        ("q0", "first", 0.5),
        ("q1", "second", 2.0),
        ("q2", "third", 2.0),
    ]
    assert frames_read(backbone) == [[0], [0, 1, 2], [0, 1, 2]]
    assert isinstance(events[0], Started) and isinstance(events[-1], Ended)


def test_questions_before_the_first_frame_and_after_the_last_are_put():
    session, backbone = make({"watch": [0]})
    questions = [Question("a", -1.0, "watch", "watch", once=True), Question("b", 99.0, "at last")]
    events = list(replay(session, frames(0, 1), questions))
    assert frames_read(backbone) == [[0], [0, 1]]
    assert [e.t_fired for e in of(Answered, events)] == [0.0, 99.0]


def test_once_and_expiry_of_a_scripted_question_are_kept():
    session, _ = make({"w": [1, 2, 3], "x": [3]})
    questions = [Question("a", 0.0, "w", "watch", once=True), Question("b", 0.0, "x", "watch", expires_s=1.0)]
    events = list(replay(session, frames(0, 1, 2, 3), questions))
    assert [e.asked for e in of(Answered, events)] == ["q0"]


def test_without_end_the_session_goes_on():
    session, _ = make()
    assert not of(Ended, replay(session, frames(0, 1), end=False))
    list(replay(session, frames(2, 3)))
    assert seen(session.memory.items()) == [0, 1, 2, 3]


def test_an_empty_stream_begins_and_ends():
    session, _ = make()
    assert [type(event) for event in replay(session, [])] == [Started, Ended]


@pytest.mark.parametrize("error", [BadInput("the file is cut at byte 900"), RunFailed("the camera is gone")])
def test_a_source_that_breaks_is_told_and_what_came_before_is_kept(error):
    session, _ = make({"w": [1]})
    source = Source([*frames(0, 1), error, *frames(2)])
    events = list(replay(session, source, [Question("a", 0.0, "w", "watch"), Question("b", 5.0, "what was it")]))
    assert str(error) in of(Failed, events)[0].error and of(Failed, events)[0].what_next
    assert [e.asked for e in of(Answered, events)] == ["q0", "q1"]  # also the question put for later is answered
    assert isinstance(events[-1], Ended) and seen(session.memory.items()) == [0, 1]


def test_a_programming_error_in_a_source_is_not_hidden():
    session, _ = make()
    with pytest.raises(ZeroDivisionError):
        list(replay(session, (1 // 0 for _ in range(1))))


def test_what_a_source_tells_is_taken_in_where_it_happened():
    told = []
    session, _ = make(on_event=told.append)
    list(session.ask("w", t=0.0, when="watch"))
    lost, note = Dropped(t=1.0, frames=3, reason="corrupt"), Notice(t=2.0, text="odd")
    last = Failed(t=2.0, error="it ends early", what_next="record it again")
    events = list(replay(session, Source([*frames(0), lost, *frames(1), note, last])))
    order = [event for event in events if isinstance(event, Scored | Dropped | Notice | Failed)]
    assert [type(event) for event in order] == [Scored, Dropped, Scored, Notice, Failed]
    assert told[3:] == events  # the journal has them too, behind started, asked and watching


def test_typed_lines_are_put_for_now_and_typed_questions_as_they_say():
    session, backbone = make({"w": [3]})
    lines = iter([["what is it"], [Question("z", 0.0, "w", "watch")], [], []])
    events = list(replay(session, frames(0, 1, 2, 3), typed=lambda: next(lines)))
    assert [(e.text, e.when, e.t) for e in of(Asked, events)] == [("what is it", "now", 0.0), ("w", "watch", 1.0)]
    assert frames_read(backbone) == [[0], [0, 1, 2, 3]] and not of(Notice, events)


@pytest.mark.parametrize("line", ["", "   ", "\x00\n ", None, 7])
def test_a_typed_line_that_is_no_question_is_told_and_the_stream_goes_on(line):
    session, _ = make()
    lines = iter([[line], ["and this"]])
    events = list(replay(session, frames(0, 1), typed=lambda: next(lines)))
    if line == "\x00\n ":  # not blank for Python: a question like any other
        assert len(of(Answered, events)) == 2
    else:
        assert len(of(Failed, events)) == 1 and len(of(Answered, events)) == 1


@pytest.mark.parametrize(
    "question",
    [Question("a", 1.0, " "), Question("a", float("nan"), "x"), Question("a", 1.0, "x", "soon"), ("a", 1.0, "x")],
)
def test_a_scripted_question_that_makes_no_sense_is_refused_before_anything_happens(question):
    session, _ = make()
    with pytest.raises(WrongUse):
        replay(session, frames(0), [Question("ok", 0.0, "fine"), question])
    assert [type(event) for event in session.see(make_frame(0))] == [Started]


def test_a_replay_closed_midway_cuts_the_answer_and_leaves_the_session_usable():
    session, _ = make()
    events = replay(session, frames(0, 1, 2), [Question("a", 1.0, "tell me")])
    for event in events:
        if isinstance(event, Delta):
            break
    events.close()
    assert not session.speaking
    rest = list(session.end())
    assert [type(event) for event in rest] == [Interrupted, Ended] and rest[0].tokens >= 1


def test_two_replays_of_one_script_tell_the_same():
    def run():
        session, _ = make({"w": range(0, 40, 3), "v": range(5, 40, 7)}, max_len=400)
        questions = [Question("a", 0.0, "w", "watch"), Question("b", 3.0, "v", "auto"), Question("c", 9.5, "what now")]
        return list(replay(session, frames(*range(40)), questions))

    first = run()
    assert first == run() and len(of(Answered, first)) > 15
