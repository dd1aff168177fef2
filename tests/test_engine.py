"""Plan + cache = oracle: whatever happens in a stream, an answer is that of a full recompute of the same memory."""

import gc
import itertools
import random
import weakref

import numpy as np
import pytest
import torch

import fakes
import fakes_pair
from streambridge import loading
from streambridge.bench.equality import ANSWER, NOISE, TOLERANCE, Witness, fires, judge, noted, play, script
from streambridge.bench.random_model import RandomModel
from streambridge.engine import graphs
from streambridge.engine.cache import KV
from streambridge.engine.reader import Reader, _common
from streambridge.session import Session
from streambridge.types import Answered, Failed, Frame, FrameTokens, Plan, Segment, Stalled


def random_session(rng, model, **fixed):
    policies = loading.names("memory")
    settings = {
        "compression": loading.load("memory", rng.choice(policies)),
        "max_len": rng.randrange(160, 400),
        "answer_len": ANSWER,
        "grace": rng.randrange(6),
        "prefill": rng.choice(["eager", "budgeted", "lazy"]),
        "system": "be brief" if rng.random() < 0.5 else None,
    } | fixed
    return Session(model, loading.load("activation", "scripted", fires=fires(rng)), **settings)


def random_model(rng, seed):
    least = rng.randrange(1, 40)
    return Witness("1M", rng.randrange(1, 10), seed=seed, least=least, most=least + rng.randrange(1, 60))


def check_streams(seeds):
    answers, compacted, kinds = 0, 0, set()
    for seed in seeds:
        rng = random.Random(seed)
        model = random_model(rng, seed % 5)
        session = random_session(rng, model)
        events = play(session, script(rng))
        verdict = judge(model, model.heard)
        assert verdict.max_abs_logit_diff <= TOLERANCE and verdict.same_tokens == 1.0, seed
        assert not any(isinstance(event, Failed) for event in events), seed
        answers, compacted = answers + verdict.answers, compacted + sum(event.type == "compressed" for event in events)
        kinds.add((session.settings["compression"]["name"], session.prefill))
    assert answers > 4 * len(seeds) and compacted > len(seeds)
    return kinds


def test_an_answer_is_that_of_a_full_recompute_whatever_happens_in_the_stream():
    assert len(check_streams(range(50))) > 10


@pytest.mark.slow
def test_an_answer_is_that_of_a_full_recompute_in_a_thousand_streams():
    assert len(check_streams(range(1000, 2000))) == 3 * len(loading.names("memory"))


def same_bits(heard, others):
    assert len(heard) == len(others) > 3
    for one, other in zip(heard, others, strict=True):
        assert one.ids == other.ids and all(torch.equal(a, b) for a, b in zip(one.hidden, other.hidden, strict=True))


class Static(Witness):
    """Its short passes run as those that a GPU captures: padded to buckets, over the whole buffer."""

    def reader(self, room):
        reader = super().reader(room)
        self._make_static(reader.track)
        return reader

    def _make_static(self, track):
        fresh, track.kv.static = track.fresh, True

        def again():
            self._make_static(twin := fresh())
            return twin

        track.fresh = again


@pytest.mark.parametrize("seed", range(10))
def test_passes_of_fixed_shape_are_exact(seed, monkeypatch):
    rng, made = random.Random(seed), []
    monkeypatch.setattr(graphs.StaticPass, "run", count_calls(graphs.StaticPass.run, made))
    model = Static("1M", rng.randrange(1, 10), seed=seed)
    play(random_session(rng, model, prefill="eager"), script(rng))
    verdict = judge(model, model.heard)
    assert verdict.max_abs_logit_diff <= TOLERANCE and verdict.same_tokens == 1.0 and verdict.answers > 3
    assert len(made) > 20


def count_calls(function, calls):
    def counted(*args):
        calls.append(args)
        return function(*args)

    return counted


@pytest.mark.parametrize("seed", range(12))
def test_when_it_is_read_changes_no_bit_of_an_answer(seed):
    def run(prefill):
        rng = random.Random(seed)
        model = random_model(rng, 1)
        policy = loading.load("memory", ("round_decay", "uniform", "recent", "truncate")[seed % 4])
        events = play(random_session(rng, model, prefill=prefill, compression=policy), script(rng))
        return [event for event in events if event.type not in ("stalled", "started")], model.heard

    (events, heard), (others, compared) = run("eager"), run("budgeted")
    assert events == others
    same_bits(heard, compared)


@pytest.mark.parametrize("seed", range(6))
def test_lent_time_changes_no_bit_of_an_answer(seed):
    def run(lend):
        rng = random.Random(seed)
        model = random_model(rng, 1)
        policy = loading.load("memory", "round_decay")
        session = random_session(rng, model, prefill="budgeted", compression=policy, grace=3, max_len=240)
        steps = [step for step in script(rng, 80) if step[0] != "idle"]
        steps = [one for step in steps for one in (step, ("idle", lend, None, None))]
        return play(session, steps), model.heard

    (little, heard), (much, compared) = run(0), run(100_000)
    stalls = [sum(event.tokens for event in events if isinstance(event, Stalled)) for events in (little, much)]
    assert stalls[0] >= stalls[1] and stalls[0] > 0  # what comes at once, many words, finds no time lent
    answers = [[event for event in events if isinstance(event, Answered)] for events in (little, much)]
    assert answers[0] == answers[1]
    same_bits(heard, compared)


class Noted(Witness):
    """The embedded model's class with random weights, noted like the others."""

    def __init__(self, tiny):
        self.tiny, self.heard = tiny, []

    def __getattribute__(self, name):
        if name in ("tiny", "heard", "answer", "__class__", "__dict__"):
            return object.__getattribute__(self, name)
        return getattr(object.__getattribute__(self, "tiny"), name)

    def answer(self, plan, max_tokens, reader=None):
        return noted(self.heard, plan, self.tiny.answer(plan, max_tokens, reader), reader)


@pytest.mark.parametrize("seed", range(3))
def test_positions_in_three_rows_are_exact_too(seed, tmp_path):
    model = Noted(loading.load("backbones", "tiny", folder=fakes_pair.checkpoint(tmp_path / "model")))
    rng = random.Random(seed)
    session = random_session(rng, model, max_len=rng.randrange(200, 500), prefill="eager")
    for number, picture in enumerate(itertools.islice(fakes_pair.pictures(seed), 40)):
        list(session.see(Frame(picture.pixels, float(number))))
        if number % 4 == 3:
            with session.ask("What does the sign say?", when="now") as reply:
                list(reply if number % 8 == 3 else itertools.islice(reply, 4))
    verdict = judge(model, model.heard)
    assert verdict.max_abs_logit_diff <= TOLERANCE and verdict.same_tokens == 1.0 and verdict.answers == 10


@pytest.mark.parametrize("seed", [*range(4), *(pytest.param(k, marks=pytest.mark.slow) for k in range(4, 104))])
def test_in_sixteen_bit_the_difference_is_the_oracles_own_noise(seed):
    rng = random.Random(seed)
    model = Witness("1M", 8, dtype=torch.bfloat16, seed=seed)
    play(random_session(rng, model, max_len=300, compression=loading.load("memory", "round_decay")), script(rng))
    verdict = judge(model, model.heard, noise=True)
    assert 0 < verdict.noise and verdict.max_abs_logit_diff <= NOISE * verdict.noise


def test_two_sessions_on_one_model_share_nothing():
    alone, together = [], []
    for out, count in ((alone, 1), (together, 2)):
        model = RandomModel("1M", 4)
        sessions = [Session(model, fakes.FakeGate(), max_len=200, answer_len=ANSWER) for _ in range(count)]
        for number in range(60):
            for k, session in enumerate(sessions):
                list(session.see(fakes.make_frame(number + 100 * k)))
                if number % 5 == 4:
                    said = list(session.ask(f"now {k}", when="now"))
                    out += [event for event in said if isinstance(event, Answered) and k == 0]
    assert alone == together and len(alone) == 12


class Breaks(RandomModel):
    """Its model breaks at passes of these numbers."""

    broken: set[int] = set()

    def reader(self, room):
        reader, passes, read = super().reader(room), itertools.count(), None

        def fragile(segments):
            if next(passes) in self.broken:
                raise RuntimeError("no memory left on the device")
            return read(segments)

        read, reader.track.read = reader.track.read, fragile
        return reader


@pytest.mark.parametrize("prefill", ["eager", "budgeted", "lazy"])
def test_a_model_that_breaks_while_reading_ahead_loses_nothing(prefill):
    model = Breaks("1M", 8)
    model.broken = {3, 7}
    session = Session(model, fakes.FakeGate(), max_len=200, answer_len=ANSWER, prefill=prefill, grace=3)
    events = []
    for number in range(80):
        events += session.see(fakes.make_frame(number))
        events += session.idle(64)
        if number % 10 == 9:
            events += session.ask("now", when="now")
    failed = [event for event in events if isinstance(event, Failed)]
    answered = [event for event in events if isinstance(event, Answered)]
    assert failed and all("no memory left" in event.error for event in failed)
    assert len(answered) + sum("a" in event.error.split()[0] for event in failed) >= 7
    assert session.memory.tokens + session.settings["reserve"] <= 200


def test_a_cache_that_cannot_be_doubled_loses_nothing(monkeypatch):
    model = Witness("1M", 8)
    session = Session(model, fakes.FakeGate(), max_len=200, answer_len=ANSWER, grace=3)

    def full(self, other, length):
        raise MemoryError("no room for a second cache")

    monkeypatch.setattr(KV, "copy", full)
    events = []
    for number in range(60):
        events += session.see(fakes.make_frame(number))
        events += session.ask("now", when="now") if number % 10 == 9 else ()
    failed = [event for event in events if isinstance(event, Failed)]
    assert failed and all("no room for a second cache" in event.error for event in failed)
    assert sum(isinstance(event, Answered) for event in events) == 6
    assert judge(model, model.heard).max_abs_logit_diff <= TOLERANCE
    assert session.memory.tokens + session.settings["reserve"] <= 200


def test_words_that_may_not_go_take_the_grace_too():
    """Pinned questions that fit the budget, and do not fit what the grace leaves of it."""
    model = RandomModel("1M", 16)
    session = Session(model, fakes.FakeGate(), max_len=400, answer_len=160, system="be " * 34, grace=4)
    list(session.see(fakes.make_frame(0)))
    list(session.ask("when " * 88, when="watch"))
    events = list(session.ask("what " * 88, when="now"))
    for number in range(1, 30):
        events += session.see(fakes.make_frame(number))
    assert sum(isinstance(event, Answered) for event in events) == 1
    assert not any(isinstance(event, Failed) for event in events)
    assert session.memory.tokens + session.settings["reserve"] <= 400


def test_a_model_that_has_read_can_still_be_trained():
    model = Witness("1M", 4)
    list(model.answer(model.render([model.turn("user", "hello", 0.0, "question", "q0")]), 3))
    body = model.decoder.body.requires_grad_(True)
    body(inputs_embeds=torch.randn(1, 5, 64)).last_hidden_state.sum().backward()
    assert all(weights.grad is not None for weights in body.layers.parameters())


def test_a_first_pass_that_broke_midway_does_not_spoil_the_next(monkeypatch):
    model = Static("1M", 8)
    reader, layer = model.reader(128), model.decoder.body.layers[1]
    plan = model.render([model.turn("user", "hello there", 0.0, "question", "q0")])
    with monkeypatch.context() as patch:
        patch.setattr(layer, "forward", lambda *a, **k: (_ for _ in ()).throw(RuntimeError("no memory left")))
        with pytest.raises(RuntimeError, match="no memory left"):
            next(reader.answer(plan, 3))
    assert list(reader.answer(plan, 3)) == list(model.decoder.greedy(plan, 3))


def test_a_cache_goes_with_its_session_and_waits_for_no_collector():
    gc.disable()
    try:
        model = Static("1M", 8)
        reader = model.reader(128)
        list(reader.answer(model.render([model.turn("user", "hello", 0.0, "question", "q0")]), 4))
        assert reader.track.kv.passes
        held = weakref.ref(reader.track.kv.buffers[0][0])
        model.heard.clear()
        reader.track.fresh = None  # the test's own knot
        del reader
        assert held() is None
    finally:
        gc.enable()


# ---------------------------------------------------------------------------------------------- the reader alone


class Ledger:
    """A track of integers: holds which tokens were read, and in which passes."""

    def __init__(self):
        self.held, self.passes = [], []

    def read(self, segments):
        line = [(token, *column) for s in segments for token, column in zip(s.ids, s.positions.T.tolist(), strict=True)]
        self.held += line
        self.passes.append(len(line))

    def crop(self, length):
        del self.held[length:]

    def copy(self, other, length):
        self.held = other.held[:length]

    def fresh(self):
        return Ledger()

    def next(self):
        return 7

    nbytes = 0


def random_plan(rng, before=()):
    """Segments that share a random part with those before, sometimes divided otherwise."""
    keep = int(rng.integers(0, len(before) + 1))
    segments, at = [], 0
    for segment in before[:keep]:
        cut = int(rng.integers(1, len(segment.ids))) if segment.frame is None and len(segment.ids) > 1 else 0
        parts = [(0, cut), (cut, None)] if cut and rng.random() < 0.3 else [(0, None)]
        segments += [Segment(segment.ids[a:b], segment.positions[:, a:b], segment.frame) for a, b in parts]
        at += len(segment.ids)
    for _ in range(int(rng.integers(1, 8))):
        n = int(rng.integers(1, 30))
        frame = FrameTokens({}, n, 0.0, (0.0, 0.0)) if rng.random() < 0.6 else None
        ids = (0,) * n if frame else tuple(rng.integers(1, 4, n).tolist())
        segments.append(Segment(ids, np.arange(at, at + n)[None], frame))
        at += n
    return Plan(tuple(segments), at)


def flat(segments):
    return [
        (token, position, s.frame)
        for s in segments
        for token, position in zip(s.ids, s.positions[0].tolist(), strict=True)
    ]


@pytest.mark.parametrize("seed", range(200))
def test_what_is_read_is_the_plan(seed):
    rng = np.random.default_rng(seed)
    least = int(rng.integers(1, 40))
    reader, plan = Reader(Ledger(), frozenset({9}), least, least + int(rng.integers(0, 50))), Plan((), 0)
    for _ in range(30):
        before = reader.held
        plan = random_plan(rng, list(plan.segments) if rng.random() < 0.9 else ())
        length = len(flat(plan.segments))
        reader.follow(plan)
        assert flat(reader.held) == flat(plan.segments) and before is reader.held
        if rng.random() < 0.5:
            reader.work(None if rng.random() < 0.5 else int(rng.integers(0, 60)))
        if rng.random() < 0.2:
            other = reader.fork(random_plan(rng, list(plan.segments)))
            other.work()
            assert other.track.held == [(t, p) for t, p, _ in flat(other.held)][: len(other.track.held)]
        if rng.random() < 0.3:
            reader.finish(plan)
            assert len(reader.track.held) == length
        assert reader.track.held == [(t, p) for t, p, _ in flat(plan.segments)][: len(reader.track.held)]
        assert length - len(reader.track.held) - reader.unread < reader.least or reader.unread


@pytest.mark.parametrize("seed", range(100))
def test_the_common_prefix_is_the_longest_one(seed):
    rng = np.random.default_rng(seed)
    one = random_plan(rng)
    other = random_plan(rng, list(one.segments))
    n, number, inside = _common(one.segments, other.segments)
    a, b = flat(one.segments), flat(other.segments)
    assert a[:n] == b[:n] and n == sum(len(s.ids) for s in other.segments[:number]) + inside
    if n < min(len(a), len(b)) and a[n] == b[n]:  # only a frame with another in its place ends it sooner
        assert a[n][2] is not None


def test_an_answer_pays_only_for_what_is_new():
    model = RandomModel("1M", 16)
    reader = model.reader(512)
    reader.track, ledger = Ledger(), None
    ledger = reader.track
    frames = [FrameTokens({}, 16, 0.0, (0.0, 0.0)) for _ in range(10)]
    for k in range(1, 11):
        reader.follow(model.render(frames[:k], header=False))
        reader.work()
    before = sum(ledger.passes)
    question = model.turn("user", "what is this", 10.0, "question", "q0")
    ids = list(reader.answer(model.render([*frames, question]), 5))
    assert before == 160 and sum(ledger.passes) - before == question.tokens + 1 + 4  # header; all words but the last
    said = model.spoken([fakes.Piece(token, "x") for token in ids], 10.0, "a0")
    reader.follow(model.render([*frames, question, said, FrameTokens({}, 32, 0.0, (0.0, 0.0))], header=False))
    assert reader.unread == 2 + 32  # the last word and the end; the answer's own tokens have stayed
