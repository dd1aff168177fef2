"""What a session promises of several Watches at one frame: one pass of the gate, and a broken one spoils no other."""

import numpy as np
import pytest
import torch

import fakes_pair
from fakes import FakeBackbone, make_frame
from streambridge.activation.score_head import ScoreWatch, judge
from streambridge.activation.score_net import Reach
from streambridge.activation.trigger import Trigger, TriggerSettings
from streambridge.loading import load
from streambridge.session import Session
from streambridge.types import Activation, Failed, GateTokens, Scored

VOCAB, WIDTH, PATCHES = 320, 12, 3
BROKEN = "\x00"  # an answer with it has a word that no net knows


def ids_of(text):
    return [VOCAB if letter == BROKEN else ord(letter) % VOCAB for letter in text]


class Alone:
    """A random net that looks at noise, a function of the frame's number; each Watch is judged alone."""

    name = "alone"

    def __init__(self, threshold=0.5):
        self.net = fakes_pair.random_net(VOCAB, Reach(6, 1), vision_width=WIDTH)
        self.trigger, self.looks = TriggerSettings(threshold=threshold, rest_s=2.0), 0

    def look(self, frame, tokens):
        self.looks += 1
        noise = np.random.default_rng(tokens.bundle["seen"][0]).standard_normal((PATCHES, WIDTH), dtype=np.float32)
        return GateTokens({"tokens": torch.from_numpy(noise)}, frame.t)

    def watch(self, question, t):
        return ScoreWatch(self.net, ids_of(question), Trigger(self.trigger), ids_of)

    def settings(self):
        return self.trigger.mapping()


class Together(Alone):
    """All Watches in one pass; notes how many they were."""

    def __init__(self, threshold=0.5):
        super().__init__(threshold)
        self.sizes = []

    def observe(self, watches, frame):
        self.sizes.append(len(watches))
        return judge(self.net, watches, frame)


class Never(Together):
    """Cannot do what it offers."""

    def observe(self, watches, frame):
        raise MemoryError("all at once is too much")


def session_with(gate):
    return Session(FakeBackbone(), gate, compression=load("memory", "keep_all"), answer_len=8)


def listen(session, numbers):
    return [event for number in numbers for event in session.see(make_frame(number))]


def told(events):
    """Scores and failures, in order, without the score itself; and the scores."""
    kept = [event for event in events if isinstance(event, Scored | Failed)]
    order = [(e.t, e.watch, e.fire) if isinstance(e, Scored) else (e.t, e.error, e.what_next) for e in kept]
    return order, [event.score for event in kept if isinstance(event, Scored)]


def count_calls(module):
    calls = []
    module.register_forward_pre_hook(lambda *_: calls.append(1))
    return calls


def test_a_frame_costs_one_look_one_projection_and_one_pass_for_four_watches():
    gate = Together(threshold=1.0)
    session = session_with(gate)
    for n in range(4):
        session.ask(f"question {n}", when="watch")
    passes, projections = count_calls(gate.net.decoder), count_calls(gate.net.projector)
    for number in range(20):  # more than its reach
        assert len([event for event in listen(session, [number]) if isinstance(event, Scored)]) == 4
        assert len(passes) == len(projections) == gate.looks == number + 1
    assert gate.sizes == [4] * 20


def busy_stream(gate, seed, frames=60):
    """Questions are put and taken back at random, some end with their answer; answers are read at random times."""
    rng, session, events = np.random.default_rng(seed), session_with(gate), []
    for number in range(frames):
        if rng.random() < 0.15 and len(session.watches) < 5:
            events += session.ask(f"question {number}", when="watch", once=rng.random() < 0.3)
        if session.watches and rng.random() < 0.05:
            events += session.unwatch(list(session.watches)[int(rng.integers(len(session.watches)))])
        reply = session.see(make_frame(number))
        events += reply if rng.random() < 0.7 else []
    return [*events, *session.end()]


@pytest.mark.parametrize("seed", range(1, 6))
def test_judged_together_a_session_is_the_one_judged_alone(seed):
    gate = Together()
    (order, scores), (expected, alone) = told(busy_stream(gate, seed)), told(busy_stream(Alone(), seed))
    assert min(abs(score - 0.5) for score in alone) > 1e-4  # else a fire may differ by rights
    assert order == expected and scores == pytest.approx(alone, abs=1e-5)
    assert max(gate.sizes) > 2 and sum(fire for *_, fire in order) > 5 and np.std(scores) > 0.05


def test_scores_and_fires_come_in_order_of_opening():
    session = session_with(Together(threshold=0.0))
    for n in (2, 0, 1):
        session.ask(f"question {n}", when="watch")
    events = listen(session, [0])
    assert [event.watch for event in events if isinstance(event, Scored)] == ["q0", "q1", "q2"]
    assert [event.asked for event in events if event.type == "answered"] == ["q0", "q1", "q2"]


def test_a_watch_that_breaks_spoils_no_other():
    gate, whole = Together(threshold=1.0), Together(threshold=1.0)
    session, other = session_with(gate), session_with(whole)
    for one in (session, other):
        for n in range(3):
            one.ask(f"question {n}", when="watch")
        listen(one, range(5))
    broken = next(live for live in session._watches if live.question.id == "q1")
    session._watches.hear(broken, f"said {BROKEN}", 4.0)
    (order, scores), (expected, fine) = told(listen(session, range(5, 20))), told(listen(other, range(5, 20)))
    assert [watch for _, watch, _ in expected] == ["q0", "q1", "q2"] * 15
    kept = [k for k, (_, watch, _) in enumerate(expected) if watch != "q1"]
    assert scores == pytest.approx([fine[k] for k in kept], abs=1e-5)
    for place, (t, what, why) in enumerate(order):  # in its own place, at each frame
        if place % 3 == 1:
            assert t == expected[place][0] and why == "the next frame is tried again"
            assert what.startswith("the gate failed on a frame for q1") and "\n" not in what
        else:
            assert (t, what, why) == expected[place]


def test_a_gate_that_cannot_do_it_together_is_told_and_judges_each_alone():
    def run(gate):
        session = session_with(gate)
        session.ask("question 0", when="watch")
        session.ask("question 1", when="watch")
        return told(listen(session, range(10)))

    (order, scores), (expected, alone) = run(Never(threshold=1.0)), run(Alone(threshold=1.0))
    failures = [entry for entry in order if isinstance(entry[2], str)]
    assert [entry for entry in order if entry not in failures] == expected and scores == alone
    assert [t for t, *_ in failures] == list(range(10))
    assert {(what, why) for _, what, why in failures} == {
        (
            "the gate failed on a frame for q0, q1 together: MemoryError: all at once is too much",
            "each was judged alone",
        )
    }


def test_a_look_that_breaks_is_told_for_each_watch_and_the_next_frame_is_judged():
    class Blind(Together):
        def look(self, frame, tokens):
            if frame.t == 2.0:
                raise RuntimeError("dark")
            return super().look(frame, tokens)

    session = session_with(Blind(threshold=1.0))
    session.ask("question 0", when="watch")
    session.ask("question 1", when="watch")
    order, scores = told(listen(session, range(5)))
    assert [what for t, what, _ in order if t == 2.0] == [
        f"the gate failed on a frame for q{n}: RuntimeError: dark" for n in range(2)
    ]
    assert len(scores) == 8


def test_two_sessions_on_one_gate_share_nothing():
    def run(*sessions):
        for session in sessions:
            session.ask("question 0", when="watch")
            session.ask("question 1", when="watch")
        heard = [[] for _ in sessions]
        for number in range(25):
            for place, session in enumerate(sessions):
                heard[place] += listen(session, [number + 100 * place])
        return [told(events) for events in heard]

    gate = Together()
    assert isinstance(gate, Activation)
    first, second = run(session_with(gate), session_with(gate))
    assert run(session_with(gate))[0] == first and first[1] != second[1]
