"""Replay = live: random scripts of frames, questions, half-read and cut answers. Knows no weights.

A script is driven twice and must tell the same; without forgetting it must also equal a model of one line: memory is
what arrived, in order of arrival, with each answer in the place where it became due. How fast an answer is read, and
what arrived meanwhile, changes nothing but where it is cut.
"""

import numpy as np
import pytest

from fakes import FakeBackbone, FakeGate, make_frame, seen
from streambridge.loading import load, names
from streambridge.session import Session
from streambridge.types import (
    Answered,
    Asked,
    Delta,
    Dropped,
    Ended,
    FrameTokens,
    Interrupted,
    Scored,
    Turn,
    Unwatched,
)

TEXTS = ("one", "two words", "three words here", "four", "five of them")
STEPS = 120


class Script:
    """Random calls; notes what arrived, in order."""

    def __init__(self, seed, policy, **settings):
        self.rng = np.random.default_rng(seed)
        rng = np.random.default_rng(seed + 10**6)
        fires = {text: [n for n in range(STEPS) if rng.random() < 0.2] for text in TEXTS}
        broken = (
            {int(n): int(rng.integers(0, 3)) for n in rng.choice(30, size=3)} if settings.pop("trouble", False) else {}
        )
        self.backbone = FakeBackbone(break_at=broken, blind=list(broken))
        gate = FakeGate(fires, look_breaks=[n + 1 for n in broken])
        self.journal, self.read, self.arrived, self.replies = [], [], [], []
        self.session = Session(
            self.backbone, gate, compression=load("memory", policy), answer_len=8, on_event=self.note, **settings
        )
        self.frames = 0
        self.opened_at_drop = 0

    def note(self, event):
        """The journal is also how arrivals of questions and fires are known, in order."""
        self.journal.append(event)
        if isinstance(event, Asked):
            self.arrived.append(("question", event.id, event.when))
            self.arrived += [("due", event.id)] * (event.when == "now")
        elif isinstance(event, Scored) and event.fire:
            self.arrived.append(("due", event.watch))
        elif isinstance(event, Dropped) and event.reason == "unwatched":
            self.let_go(self.unwatching)

    def let_go(self, id):
        """The oldest fire of that question that waits: not one of those that were opened."""
        dues = [n for n, arrival in enumerate(self.arrived) if arrival[0] == "due"][len(self.backbone.plans) :]
        self.arrived.pop(next(n for n in dues if self.arrived[n][1] == id))

    def keep(self, reply, rng):
        """Read all of it, some of it, or drop it unread."""
        fate = rng.random()
        if fate < 0.4:
            self.read += reply
        elif fate < 0.9:
            self.replies.append(reply)
            self.pull(reply, int(rng.integers(1, 6)))

    def pull(self, reply, count):
        for _ in range(count):
            event = next(reply, None)
            if event is not None:
                self.read.append(event)

    def step(self):
        rng, session = self.rng, self.session
        turn = rng.random()
        if turn < 0.5:
            self.arrived.append(("frame", self.frames))
            self.keep(session.see(make_frame(self.frames)), rng)
            self.frames += 1
        elif turn < 0.65:
            when = str(rng.choice(["now", "watch", "auto"]))
            lasting = (
                {} if when == "now" else {"once": bool(rng.random() < 0.4), "expires_s": float(rng.integers(2, 40))}
            )
            cut = bool(rng.random() < 0.2)
            self.keep(session.ask(str(rng.choice(TEXTS)), when=when, interrupt=cut, **lasting), rng)
        elif turn < 0.9 and self.replies:
            self.pull(self.replies[int(rng.integers(len(self.replies)))], int(rng.integers(1, 8)))
        elif turn < 0.95 and self.replies:
            self.replies.pop(int(rng.integers(len(self.replies)))).close()
        elif turn < 0.97 and session.watches:
            self.unwatching = str(rng.choice(list(session.watches)))
            self.keep(session.unwatch(self.unwatching), rng)
        elif turn < 0.98:
            self.replies.clear()  # nobody reads them any more

    def run(self, check=lambda script: None):
        for _ in range(STEPS):
            self.step()
            check(self)
        self.read += self.session.end()
        return self


def of(kind, events):
    return [event for event in events if isinstance(event, kind)]


def plain(items):
    """Items as (kind, name)."""
    return [(item.kind, item.id) if isinstance(item, Turn) else ("frame", seen([item])[0]) for item in items]


def one_line(arrived, answers):
    """The model: arrivals in order, each answer in its place. `answers`: (question, tokens heard), in order.

    Returns what each answer read, and what is remembered in the end.
    """
    items, plans, newest = [], [], None
    for kind, name, *_ in arrived:
        if kind != "due":
            items.append((kind, name))
            newest = name if kind == "question" else newest
        elif len(plans) == len(answers):
            break  # still owed when the stream ended: what waited behind it was dropped
        else:
            asked, heard = answers[len(plans)]
            assert asked == name
            if newest != name:
                items.append(("cue", name))
                newest = name
            plans.append(list(items))
            items += [("answer", f"a{len(plans) - 1}")] if heard else []
    return plans, items


def ends(script):
    """(question, tokens heard) of every answer, in order of opening."""
    asked = {e.answer: e.asked for e in of(Answered, script.journal)}
    opened = [arrival[1] for arrival in script.arrived if arrival[0] == "due"]
    found = []
    for n in range(len(script.backbone.plans)):
        ending = [e for e in script.journal if isinstance(e, Answered | Interrupted) and e.answer == f"a{n}"]
        assert len(ending) == 1, f"a{n} must end once, and say so"
        assert asked.get(f"a{n}", opened[n]) == opened[n]
        said = isinstance(ending[0], Answered) or ending[0].tokens
        found.append((opened[n], bool(said)))
    return found


def equals_one_line(seed):
    script = Script(seed, "keep_all", queue=10**6, pending=10**6).run()
    answers = ends(script)
    plans, remembered = one_line(script.arrived, answers)
    assert [[(row[0], row[1][0] if row[0] == "frame" else row[1]) for row in p] for p in script.backbone.plans] == plans
    gone = sum(e.frames for e in of(Dropped, script.journal))
    kept = plain(script.session.memory.items())
    assert kept == remembered
    assert sum(kind == "frame" for kind, _ in kept) + gone == script.frames
    return len(answers), len(of(Interrupted, script.journal)), len(of(Unwatched, script.journal))


def tells_the_same(seed, policy):
    runs = [Script(seed, policy, max_len=160, queue=2, pending=5, trouble=True).run() for _ in range(2)]
    assert runs[0].journal == runs[1].journal and runs[0].read == runs[1].read
    assert runs[0].backbone.plans == runs[1].backbone.plans


def loses_nothing(seed, policy):
    script = Script(seed, policy, max_len=160, queue=2, pending=5, trouble=True)
    most = script.session.max_len - script.session.settings["reserve"]
    bounded = load("memory", policy).bounded

    def within(script):
        assert not bounded or script.session.memory.tokens <= most

    script.run(within)
    journal, items = script.journal, script.session.memory.items()
    # Every camera frame is remembered (merged or not) or told as dropped, and order is kept.
    remembered = seen(items)
    assert len(remembered) + sum(e.frames for e in of(Dropped, journal)) == script.frames
    assert remembered == sorted(remembered) and len(remembered) == sum(
        i.frames for i in items if isinstance(i, FrameTokens)
    )
    # Every fire and every question for now ends once: answered, cut, or dropped.
    owed = sum(e.fire for e in of(Scored, journal)) + sum(e.when == "now" for e in of(Asked, journal))
    ended = len(of(Answered, journal)) + len(of(Interrupted, journal))
    assert owed == ended + sum(e.frames == 0 for e in of(Dropped, journal))
    # What memory says was said is what was heard.
    said = {}
    for event in of(Delta, journal):
        said[event.answer] = said.get(event.answer, "") + event.text
    assert all(item.text == said.get(item.id, "") for item in items if isinstance(item, Turn) and item.kind == "answer")
    assert all(event.text == said.get(event.answer, "") for event in of(Answered, journal))
    # No answer saw what came after it was due, and none was too long for its model.
    for event in of(Answered, journal):
        plan = script.backbone.plans[int(event.answer[1:])]
        assert all(row[4][1] <= event.t_fired if row[0] == "frame" else row[4] <= event.t_fired for row in plan)
        assert not bounded or event.tokens + script.session.answer_len <= script.session.max_len
        assert [row[1] for row in plan if row[0] in ("question", "cue")][-1] == event.asked  # it knows what to answer
    # The journal has all, once and in order; what was read is part of it, once.
    assert isinstance(journal[-1], Ended) and len({id(event) for event in script.read}) == len(script.read)
    assert {id(event) for event in script.read} <= {id(event) for event in journal}


@pytest.mark.parametrize("block", range(10))
def test_memory_is_what_arrived_with_each_answer_in_its_place(block):
    found = np.array([equals_one_line(seed) for seed in range(5 * block, 5 * block + 5)]).sum(axis=0)
    assert all(found > 5)  # answers, cuts and ended Watches did occur


@pytest.mark.parametrize("policy", names("memory"))
def test_nothing_is_lost_in_silence(policy):
    for seed in range(12):
        loses_nothing(seed, policy)


@pytest.mark.parametrize("policy", names("memory"))
def test_a_script_driven_twice_tells_the_same(policy):
    for seed in range(100, 108):
        tells_the_same(seed, policy)


@pytest.mark.slow
def test_memory_is_what_arrived_with_each_answer_in_its_place_on_1000_streams():
    for seed in range(1000):
        equals_one_line(seed)


@pytest.mark.slow
@pytest.mark.parametrize("policy", names("memory"))
def test_nothing_is_lost_in_silence_on_1000_streams(policy):
    for seed in range(1000):
        loses_nothing(seed, policy)
        tells_the_same(seed, policy)
