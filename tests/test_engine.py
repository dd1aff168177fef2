"""Plan + cache = oracle: whatever happens in a stream, an answer is that of a full recompute of the same memory."""

import itertools

import numpy as np
import pytest
import torch

import fakes
import fakes_pair
from streambridge import loading
from streambridge.bench.random_model import RandomModel
from streambridge.engine import oracle
from streambridge.engine.reader import Reader, _common
from streambridge.session import Session
from streambridge.types import Answered, Delta, Failed, FrameTokens, Plan, Segment, Stalled

ANSWER = 6


class Checked(RandomModel):
    """Notes for each answer the plan, the ids and the logits before each of them."""

    def __init__(self, *args, **settings):
        super().__init__(*args, **settings)
        self.noted = []

    def answer(self, plan, max_tokens, reader=None):
        ids, logits = [], []
        self.noted.append((plan, ids, logits))
        for piece in super().answer(plan, max_tokens, reader):
            ids.append(piece.id)
            logits.append(reader.track.logits())
            yield piece


def random_session(rng, model, **fixed):
    policies = loading.names("memory")
    settings = {
        "compression": loading.load("memory", policies[rng.integers(len(policies))]),
        "max_len": int(rng.integers(160, 400)),
        "answer_len": ANSWER,
        "grace": int(rng.integers(0, 6)),
        "prefill": ("eager", "budgeted", "lazy")[rng.integers(3)],
        "system": "be brief" if rng.random() < 0.5 else None,
    } | fixed
    fires = {f"w{n}": [k for k in range(60) if rng.random() < 0.15] for n in range(3)}
    return Session(model, fakes.FakeGate(fires), **settings)


def script(rng, frames=40):
    """Random steps: ("see", number), ("ask", text, when), ("unwatch",), ("cut", pieces heard), ("idle", tokens)."""
    steps = []

    def step(*what):
        steps.append((*what, int(rng.integers(0, ANSWER)) if rng.random() < 0.3 else None))

    for number in range(frames):
        step("see", number)
        if rng.random() < 0.2:
            step("ask", " ".join(["now"] * int(rng.integers(1, 9))), "now")
        if rng.random() < 0.08:
            step("ask", f"w{rng.integers(3)}", "watch")
        if rng.random() < 0.03:
            step("unwatch")
        if rng.random() < 0.3:
            step("idle", int(rng.integers(0, 200)))
    return steps


def play(session, steps):
    """Run the steps; what is heard of each answer is all, or the first few pieces and then a cut."""
    events = []
    for what, *given, cut in steps:
        if what == "see":
            reply = session.see(fakes.make_frame(given[0]))
        elif what == "ask":
            reply = session.ask(given[0], when=given[1])
        elif what == "idle":
            reply = session.idle(given[0])
        else:
            reply = session.unwatch(next(iter(session.watches))) if session.watches else session.idle(0)
        with reply:
            for event in reply:
                events.append(event)
                cut = cut if cut is None else cut - isinstance(event, Delta)
                if cut is not None and cut < 0:
                    break
    return [*events, *session.end()]


def worst(model, decoder=None):
    """The largest difference of a logit, over every token of every answer; greedy tokens must be the oracle's."""
    most, answers = 0.0, 0
    for plan, ids, logits in model.noted:
        if ids:
            truth = oracle.logits(model.decoder, plan, ids[:-1])
            assert truth.argmax(-1).tolist() == ids
            most = max(most, float((torch.stack(logits) - truth).abs().max()))
            answers += 1
    return most, answers


def random_model(rng, seed, kind=Checked):
    least = int(rng.integers(1, 40))
    return kind("1M", int(rng.integers(1, 10)), seed=seed, least=least, most=least + int(rng.integers(1, 60)))


def check_streams(seeds):
    answers, compacted, kinds = 0, 0, set()
    for seed in seeds:
        rng = np.random.default_rng(seed)
        model = random_model(rng, seed % 5)
        session = random_session(rng, model)
        events = play(session, script(rng))
        difference, heard = worst(model)
        assert difference <= 1e-4, seed
        assert not any(isinstance(event, Failed) for event in events), seed
        answers, compacted = answers + heard, compacted + sum(event.type == "compressed" for event in events)
        kinds.add((session.settings["compression"]["name"], session.prefill))
    assert answers > 4 * len(seeds) and compacted > len(seeds)
    return kinds


def test_an_answer_is_that_of_a_full_recompute_whatever_happens_in_the_stream():
    assert len(check_streams(range(50))) > 10


@pytest.mark.slow
def test_an_answer_is_that_of_a_full_recompute_in_a_thousand_streams():
    assert len(check_streams(range(1000, 2000))) == 3 * len(loading.names("memory"))


def heard(seed, **settings):
    rng = np.random.default_rng(seed)
    model = random_model(rng, 1)
    events = play(random_session(rng, model, **settings), script(rng))
    kept = [event for event in events if event.type not in ("stalled", "started")]  # settings are told; stalls differ
    return kept, model.noted


@pytest.mark.parametrize("seed", range(12))
def test_when_it_is_read_changes_no_bit_of_an_answer(seed):
    policy = ("round_decay", "uniform", "recent", "truncate")[seed % 4]
    runs = [heard(seed, prefill=mode, compression=loading.load("memory", policy)) for mode in ("eager", "budgeted")]
    (events, noted), (others, compared) = runs
    assert events == others and len(noted) > 3
    for (_, ids, logits), (_, same, these) in zip(noted, compared, strict=True):
        assert ids == same and all(torch.equal(a, b) for a, b in zip(logits, these, strict=True))


@pytest.mark.parametrize("seed", range(6))
def test_lent_time_changes_no_bit_of_an_answer(seed):
    def run(lend):
        rng = np.random.default_rng(seed)
        model = random_model(rng, 1)
        policy = loading.load("memory", "round_decay")
        session = random_session(rng, model, prefill="budgeted", compression=policy, grace=3, max_len=240)
        steps = [step for step in script(rng, 80) if step[0] != "idle"]
        steps = [one for step in steps for one in (step, ("idle", lend, None))]
        return play(session, steps), model.noted

    (little, noted), (much, compared) = run(0), run(100_000)
    stalls = [sum(event.tokens for event in events if isinstance(event, Stalled)) for events in (little, much)]
    assert stalls[0] >= stalls[1] and stalls[0] > 0  # what comes at once, many words, finds no time lent
    answers = [[event for event in events if isinstance(event, Answered)] for events in (little, much)]
    assert answers[0] == answers[1] and len(noted) > 3
    for (_, ids, logits), (_, same, these) in zip(noted, compared, strict=True):
        assert ids == same and all(torch.equal(a, b) for a, b in zip(logits, these, strict=True))


@pytest.mark.parametrize("seed", range(3))
def test_positions_in_three_rows_are_exact_too(seed, tmp_path_factory):
    tiny = loading.load("backbones", "tiny", folder=fakes_pair.checkpoint(tmp_path_factory.mktemp("model")))
    noted = []

    def answer(plan, max_tokens, reader):
        ids, logits = [], []
        noted.append((plan, ids, logits))
        for token in reader.answer(plan, max_tokens):
            ids.append(token)
            logits.append(reader.track.logits())
            yield from tiny_answer(token)

    def tiny_answer(token):
        from streambridge.types import Piece

        yield Piece(token, "x")

    tiny.answer, tiny.noted = answer, noted
    rng = np.random.default_rng(seed)
    session = random_session(rng, tiny, max_len=int(rng.integers(200, 500)), prefill="eager")
    events = []
    for number, picture in enumerate(itertools.islice(fakes_pair.pictures(seed), 40)):
        events += session.see(type(picture)(picture.pixels, float(number)))
        if number % 4 == 3:
            with session.ask("What does the sign say?", when="now") as reply:
                events += reply if number % 8 == 3 else itertools.islice(reply, 4)
    difference, answers = worst(tiny)
    assert difference <= 1e-4 and answers == 10


def noise(model, plan, ids):
    """How far the oracle is from itself when it reads in portions."""
    whole = oracle.logits(model.decoder, plan, ids)
    parts = [oracle.logits(model.decoder, plan, ids, chunk) for chunk in (37, 64)]
    return max(float((part - whole).abs().max()) for part in parts), whole


@pytest.mark.parametrize("seed", range(4))
def test_in_sixteen_bit_the_difference_is_the_oracles_own_noise(seed):
    rng = np.random.default_rng(seed)
    model = Checked("1M", 8, dtype=torch.bfloat16, seed=seed)
    play(random_session(rng, model, max_len=300, compression=loading.load("memory", "round_decay")), script(rng))
    floor = worst_seen = 0.0
    for plan, ids, logits in model.noted:
        if ids:
            own, truth = noise(model, plan, ids[:-1])
            floor = max(floor, own)
            worst_seen = max(worst_seen, float((torch.stack(logits) - truth).abs().max()))
    assert 0 < floor and worst_seen <= 3 * floor


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
