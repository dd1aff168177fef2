"""Training sequences of any family and any stream stand as they are served. Held against a live session of weights.

The live side is a real checkpoint in a real Session; only which token comes next is dictated. What it was fed is read
off its reader, and which raw frames a merge holds off rows of a unit matrix that the product's own mean has merged.
"""

import random
from collections import Counter
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch

import fakes_checkpoints as checkpoints
import fakes_pair
from fakes_streams import random_stream, world_stream
from streambridge import loading
from streambridge.backbones.opening import open_model
from streambridge.backbones.tiny import Tiny
from streambridge.data import flatten
from streambridge.engine.oracle import by_library
from streambridge.errors import BadInput, RunFailed, WrongUse
from streambridge.replay import replay
from streambridge.session import Session
from streambridge.train.sequences import Noted, cut
from streambridge.train.streams import Clock, Served, draw_max_len, lay_out
from streambridge.train.teacher import style_of, tiny_style
from streambridge.train.unsaid import WHY
from streambridge.types import (
    Compressed,
    Decision,
    Failed,
    Forgot,
    Frame,
    FrameTokens,
    GateTokens,
    Media,
    Question,
    Reference,
    Timeline,
    Turn,
)

FAMILIES = [*checkpoints.FAMILIES, "tiny"]
BUDGET = 6  # tokens of a frame; two rows of three where grids are free
POLICIES = ("round_decay", "round_decay", "round_decay", "uniform", "recent", "truncate", "paper", "repo")
LONGEST = 24  # tokens of an answer
TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """Family -> (a model with weights, the style read without them)."""
    root, made = tmp_path_factory.mktemp("checkpoints"), {}

    def open_one(family):
        if family not in made and family == "tiny":
            model = Tiny(fakes_pair.checkpoint(root / family))
            made[family] = model, tiny_style(model.tokenizer, model.grid)
        elif family not in made:
            folder = checkpoints.save(root / family, family, 1)
            made[family] = open_model(folder, tokens_per_frame=BUDGET), style_of(folder, BUDGET)
        return made[family]

    return open_one


# ------------------------------------------------------------------------------------------------- the live side


class Heard:
    """One answer of a live session: what its reader held, what was said, and the logits before each token."""

    def __init__(self, reference, items, ids, held):
        self.reference, self.items, self.ids, self.logits = reference, items, ids, []
        self.fed = [token for segment in held for token in segment.ids]
        self.positions = np.concatenate([segment.positions for segment in held], axis=1)
        self.seen = [item.bundle["who"][0] for item in items if isinstance(item, FrameTokens)]


class Live:
    """A model whose next token is dictated; all else is its own."""

    def __init__(self, model, timeline, tick, lead):
        self.model, self.lead = model, lead
        self.asked = sorted(timeline.questions, key=lambda one: one.t)
        self.due = due_of(timeline, tick)
        self.total = len(list(flatten.frames(timeline, tick)))
        self.raw, self.heard, self.rendered = [], [], ()

    def __getattr__(self, name):
        return getattr(self.model, name)

    def encode(self, frame):
        tokens = self.model.encode(frame)
        who = torch.zeros(len(tokens.bundle["embeds"]), self.total)
        who[:, len(self.raw)] = 1
        self.raw.append(tokens.bundle["embeds"])
        return replace(tokens, bundle={**tokens.bundle, "who": who})

    def render(self, items, header=True):
        self.rendered = tuple(items)
        return self.model.render(items, header)

    def answer(self, plan, max_tokens, reader=None):
        items, track = self.rendered, reader.track
        newest = next(item for item in reversed(items) if isinstance(item, Turn) and item.role == "user")
        refs = self.due.get((self.asked[int(newest.id[1:])].id, len(self.raw)))
        ids = self.model.turn("assistant", self.lead + refs[-1].text, 0.0, "answer", "").ids if refs else ()
        one, script = None, iter([*ids, min(reader.stop)])

        def dictated():
            nonlocal one
            if one is None:
                one = Heard(refs[-1] if refs else None, items, ids, list(reader.held))
                self.heard.append(one)
            one.logits.append(track.logits())
            return next(script)

        track.next = dictated
        try:
            yield from self.model.answer(plan, max_tokens, reader)
        finally:
            del track.next


def due_of(timeline, tick):
    """(question, frames seen) -> references, read off the causal order that `flatten` gives."""
    due, seen = {}, 0
    when = {one.id: one.when for one in timeline.questions}
    shown = [frame.source_ms for frame in flatten.frames(timeline, tick)]
    for one in flatten.flatten(timeline, tick):
        seen += isinstance(one, flatten.Seen)
        if isinstance(one, Reference):
            frames = seen
            if one.kind == "point" and when[one.reply_to] != "now":  # a world's clip begins at 0
                frames = next((k + 1 for k, ms in enumerate(shown) if ms >= round(1000 * one.t)), -1)
            due.setdefault((one.reply_to, frames), []).append(one)
    return due


class Gate:
    """Fires for the very watch that something is due to, told apart from others of the same words by its turn."""

    name = "told"

    def __init__(self, live, available):
        self.live, self.available = live, available
        self.coming = [one for one in live.asked if one.when != "now"]

    def settings(self):
        return {}

    def look(self, frame, tokens):
        return GateTokens({}, frame.t)

    def watch(self, text, t):
        question = next(one for one in self.coming if (one.text, one.t) == (text, t))
        self.coming.remove(question)
        return Told(self, question)


class Told:
    def __init__(self, gate, question):
        self.gate, self.question = gate, question

    def observe(self, frame):
        seen = self.gate.available.index(frame.t) + 1
        fire = frame.t >= self.question.t and (self.question.id, seen) in self.gate.live.due
        return Decision(float(fire), fire)

    def heard(self, text, t):
        pass


def pictures(timeline, tick, sizes, seed):
    """Coarse pictures at the times at which `flatten` has them available."""
    rng = np.random.default_rng(seed)
    for number, seen in enumerate(flatten.frames(timeline, tick)):
        height, width = sizes(number)
        coarse = rng.integers(0, 256, (3, 4, 3), dtype=np.uint8)
        pixels = np.kron(coarse, np.ones((height // 3, width // 4, 1), dtype=np.uint8))
        yield Frame(pixels, seen.available_ms / 1000)


def both(opened, family, seed, timeline, between, sizes, tick=1000):
    """A timeline laid out, and played live; settings drawn from the seed."""
    rng = random.Random(seed)
    model, style = opened(family)
    max_len = draw_max_len(timeline, between, seed)
    policy, grace, prefill = rng.choice(POLICIES), rng.randrange(6), rng.choice(["eager", "budgeted", "lazy"])
    fixed = {"max_len": max_len, "answer_len": LONGEST, "grace": grace, "system": rng.choice([None, None, "Be brief."])}
    laid = lay_out(
        timeline, style, Served(policy=loading.load("memory", policy), **fixed), Clock.of_sample(timeline, tick), sizes
    )
    live = Live(model, timeline, tick, " " if family == "smolvlm" else "")
    available = [seen.available_ms / 1000 for seen in flatten.frames(timeline, tick)]
    memory = loading.load("memory", policy)
    session = Session(live, Gate(live, available), compression=memory, prefill=prefill, **fixed)
    events = list(replay(session, pictures(timeline, tick, sizes, seed), timeline.questions))
    broken = [one.error for one in events if isinstance(one, Failed)]
    assert all("of max_len" in error or "the most" in error for error in broken), broken
    return laid, live, events


def stream(seed):
    return world_stream(seed) if seed % 3 == 0 else random_stream(seed)


def room(seed):
    """The range that `max_len` is drawn from; a world's questions are long."""
    return (700, 1100) if seed % 3 == 0 else (300, 700)


def compare(opened, family, seed):
    """One random stream both ways; what there was to compare."""
    timeline, tall = stream(seed), seed % 5 == 1  # two shapes of pictures in one stream, as joined clips have them

    def sizes(number):
        return (120, 60) if tall and number // 9 % 2 else (60, 80)

    laid, live, events = both(opened, family, seed, timeline, room(seed), sizes, 500 if seed % 7 == 3 else 1000)
    heard = [one for one in live.heard if one.ids]
    assert list(laid.said) == [one.reference.id for one in heard]
    assert {*laid.said, *(name for name, _ in laid.unsaid)} == {one.id for one in timeline.references}
    assert len(laid.said) + len(laid.unsaid) == len(timeline.references)
    assert all(why in WHY and why not in ("unfired", "wordless", "forgotten") for _, why in laid.unsaid)
    taught = [(sample, name, at) for sample in laid.samples for name, at in sample.answers]
    learned = [one for one in heard if one.reference.learn]
    assert [name for _, name, _ in taught] == [one.reference.id for one in learned]
    for (sample, _, at), one in zip(taught, learned, strict=True):
        same(sample, at, one, end_of(live.model, family), live.total)
    for sample in laid.samples:
        mine = [one for one in learned if one.reference.id in dict(sample.answers)]
        assert (sample.labels != -100).sum() == sum(len(wanted_of(one, 0)) for one in mine) > 0
        assert len(sample.ids) == len(sample.labels) == sample.positions.shape[1]
        assert sample.ids.dtype == sample.labels.dtype == sample.positions.dtype == np.int32
    cues = sum(isinstance(item, Turn) and item.kind == "cue" for one in heard for item in one.items[-1:])
    merged = sum(len(raw) > 1 for sample in laid.samples for raw in sample.frames)
    told = {name: sum(isinstance(event, kind) for event in events) for name, kind in EVENTS.items()}
    return Counter(samples=1, answers=len(learned), cues=cues, sequences=len(laid.samples), merged=merged, **told,
                   unlearned=len(heard) - len(learned), unsaid=len(laid.unsaid), cut=len(laid.cut))  # fmt: skip


EVENTS = {"compressed": Compressed, "forgot": Forgot}


def end_of(model, family):
    return model.tokenizer.token_to_id("<end_of_utterance>" if family == "smolvlm" else "<|im_end|>")


def wanted_of(one, end):
    """What is learned of an answer; the end of one that was cut is not."""
    return [*one.ids, end] if len(one.ids) <= LONGEST else list(one.ids[:LONGEST])


def same(sample, at, one, end, count):
    """The prefix of a learned answer is what the reader was fed; its labels are what was said, and its end."""
    assert sample.ids[: at + 1].tolist() == one.fed
    assert np.array_equal(sample.positions[:, : at + 1], one.positions)
    wanted = wanted_of(one, end)
    assert sample.labels[at : at + len(wanted)].tolist() == wanted
    assert sample.ids[at + 1 : at + 1 + len(wanted)].tolist() == wanted
    assert at + len(wanted) == len(sample.labels) or sample.labels[at + len(wanted)] == -100 == sample.labels[at - 1]
    places = [place for place in sample.places if place < at]
    assert len(places) == len(one.seen)
    table = torch.zeros(len(places), count)
    for k, (raw, weights) in enumerate(zip(sample.frames[: len(places)], sample.weights, strict=False)):
        table[k, list(raw)] = torch.tensor(weights)
    if places:
        torch.testing.assert_close(table, torch.stack(one.seen), atol=1e-5, rtol=0)
    starts = [k for place, rows in zip(places, sample.rows, strict=False) for k in range(place, place + rows)]
    pads = [k for k, token in enumerate(one.fed) if token in placeholders(sample)]
    assert starts == pads


def placeholders(sample):
    return {int(sample.ids[place]) for place in sample.places}


def compare_many(opened, seeds, family=None):
    total = Counter()
    for number, seed in enumerate(seeds):
        total += compare(opened, family or FAMILIES[number % len(FAMILIES)], seed)
    print(dict(total))
    n = len(seeds)
    assert total["answers"] > 5 * n and total["compressed"] > n and total["merged"] > n and total["forgot"] > 0
    assert total["cues"] > n and total["sequences"] < total["answers"] and total["unlearned"] and total["unsaid"]


def test_what_is_learned_is_what_a_live_session_reads_and_says(opened):
    compare_many(opened, range(21))


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_learned_is_what_a_live_session_reads_and_says_200_times(opened, family):
    first = 1000 + 100 * FAMILIES.index(family)
    compare_many(opened, range(first, first + 29), family)  # 203 in all


def forced(model, sample, raw):
    """[L, V]: one teacher-forced forward over a sample, by the library's own forward, positions and causal mask."""
    decoder = model.decoder
    embeds = decoder.embed(torch.from_numpy(sample.ids).long()).clone()
    for place, rows, frames, weights in zip(sample.places, sample.rows, sample.frames, sample.weights, strict=True):
        assert all(len(raw[number]) == rows for number in frames)
        embeds[place : place + rows] = sum(w * raw[number] for number, w in zip(frames, weights, strict=True))
    at = torch.from_numpy(sample.positions).long()[:, None]
    with by_library(decoder.body):
        out = decoder.body(inputs_embeds=embeds[None], position_ids=at if len(at) > 1 else at[0], use_cache=False)
    return decoder.head(out.last_hidden_state[0])


def forward_many(opened, family, seeds):
    """How far one forward over each sample is from the live session's logits."""
    worst, tokens, merged = 0.0, 0, 0
    for seed in seeds:
        laid, live, _ = both(opened, family, seed, stream(seed), room(seed), lambda _: (60, 80))
        learned = iter([one for one in live.heard if one.ids and one.reference.learn])
        for sample in laid.samples:
            with torch.inference_mode():
                logits = forced(live.model, sample, live.raw)
            merged += sum(len(frames) > 1 for frames in sample.frames)
            for _, at in sample.answers:
                said = torch.stack(next(learned).logits)
                worst = max(worst, float((logits[at : at + len(said)] - said).abs().max()))
                tokens += len(said)
        assert next(learned, None) is None
    print(f"{family}: {tokens} tokens of answers, {merged} merged frames, largest difference {worst:.1e}")
    assert worst <= TOLERANCE and tokens > 50 * len(seeds) and merged > 5 * len(seeds)


@pytest.mark.parametrize("family", ["qwen2_vl", "llava_onevision"])
def test_one_forward_over_a_sample_gives_the_logits_of_the_live_session(opened, family):
    forward_many(opened, family, (1, 4))


@pytest.mark.slow
@pytest.mark.parametrize("family", ["qwen2_vl", "llava_onevision"])
def test_one_forward_over_a_sample_gives_the_logits_of_the_live_session_12_times(opened, family):
    forward_many(opened, family, range(300, 312))


# -------------------------------------------------------------------------------------------------- what is said when


@pytest.fixture(scope="module")
def style():
    return tiny_style(fakes_pair.tokenizer(), (2, 2))


def sample(*turns, duration=12.0):
    return Timeline("made", (Media("set:a", 0.0, duration),), duration, turns)


def watch(name, t, text="Tell me.", **rest):
    return Question(name, t, text, "watch", "", **rest)


def served(max_len=4000, policy="keep_all", **rest):
    return Served(max_len, loading.load("memory", policy) if isinstance(policy, str) else policy, **rest)


def told(style, laid):
    """Each learned answer: its words, and all that stands before it, in words."""
    found = []
    for one in laid.samples:
        for _, at in one.answers:
            stop = at + int(np.flatnonzero(np.append(one.labels[at:], -100) == -100)[0])
            decode = style.words.tokenizer.decode
            found.append((decode(one.labels[at : stop - 1].tolist()), decode(one.ids[: at + 1].tolist())))
    return found


@pytest.mark.parametrize("tick", [1000, 500, 1000 / 3, 40.7])
def test_an_answer_sees_the_frames_that_flatten_puts_before_it(style, tick):
    answers = 0
    for seed in range(100, 106):
        timeline = random_stream(seed)
        laid = lay_out(timeline, style, served(10**6, queue=1000), Clock.of_sample(timeline, tick))
        seen, before = 0, {}
        for one in flatten.flatten(timeline, tick):
            seen += isinstance(one, flatten.Seen)
            before[getattr(one, "id", None)] = seen
        for one in laid.samples:
            for name, at in one.answers:
                frames = [raw for place, raw in zip(one.places, one.frames, strict=True) if place < at]
                assert frames == [(number,) for number in range(before[name])]
                answers += 1
    assert answers > 50


def test_what_a_point_shows_is_said_at_the_first_frame_whose_picture_is_of_it_or_later(style):
    turns = [watch("w", 0.0), *(Reference(f"a{t}", t, "So.", "w", ((t, t),), kind="point") for t in (3.5, 6.6, 11.9))]
    laid = lay_out(sample(*turns), style, served())
    frames = [sum(place < at for place in one.places) for one in laid.samples for _, at in one.answers]
    assert frames == [4, 8] and laid.unsaid == (("a11.9", "no_frame"),)  # middles: 3.5 is frame 3, 6.6 is past 6.5


def test_watches_of_the_same_words_are_told_apart(style):
    turns = [watch("w0", 0.0), watch("w1", 0.0), watch("w2", 4.0), *(
        Reference(f"{w}a{t}", float(t), f"{w} at {t}", w)
        for t, w in [(2, "w1"), (3, "w0"), (6, "w2"), (6, "w0"), (9, "w1"), (9, "w2")]
    )]  # fmt: skip
    turns.sort(key=lambda turn: turn.t)
    said = [words for words, _ in told(style, lay_out(sample(*turns), style, served()))]
    assert said == ["w1 at 2", "w0 at 3", "w0 at 6", "w2 at 6", "w1 at 9", "w2 at 9"]


def test_an_older_watch_is_cued_before_its_answer(style):
    turns = [watch("w0", 0.0, "First?"), watch("w1", 2.0, "Second?"), Reference("a", 5.0, "Yes.", "w0")]
    ((said, before),) = told(style, lay_out(sample(*turns), style, served()))
    assert said == "Yes." and before.count("First?") == 2 and before.rindex("First?") > before.index("Second?")


def test_questions_of_one_instant_are_answered_one_by_one(style):
    asked = [Question(f"q{k}", 5.0, f"Question {k}?") for k in range(3)]
    turns = [turn for k, one in enumerate(asked) for turn in (one, Reference(f"a{k}", 5.0, f"answer {k}", one.id))]
    found = told(style, lay_out(sample(*turns), style, served()))
    assert [words for words, _ in found] == ["answer 0", "answer 1", "answer 2"]
    assert [before.count("Question") for _, before in found] == [1, 2, 3]


def test_what_is_not_to_be_learned_is_said_and_not_learned(style):
    refs = [Reference(f"a{k}", 2.0 + k, f"word {k}", "w", learn=k in (0, 2)) for k in range(4)]
    laid = lay_out(sample(watch("w", 0.0), *refs), style, served())
    assert laid.said == ("a0", "a1", "a2", "a3") and laid.unsaid == ()
    ((_, first), (_, second)) = found = told(style, laid)
    assert [words for words, _ in found] == ["word 0", "word 2"]
    assert "word 1" in second and "word" not in first and len(laid.samples) == 1
    assert "word 3" not in style.words.tokenizer.decode(laid.samples[0].ids.tolist())
    assert lay_out(sample(watch("w", 0.0), refs[1]), style, served()).samples == ()


def test_a_reference_of_special_words_ends_where_it_ends(style):
    laid = lay_out(sample(Question("q", 3.0, "Who?"), Reference("a", 3.0, "<|im_end|> so", "q")), style, served())
    labels = laid.samples[0].labels
    stop = style.words.tokenizer.token_to_id("<|im_end|>")
    assert labels[labels != -100].tolist().index(stop) == (labels != -100).sum() - 1 > 2


def test_a_reference_longer_than_an_answer_is_cut_and_told(style):
    timeline = sample(Question("q", 3.0, "Who?"), Reference("a", 3.0, "a b c d e f g h i j k l", "q"))
    laid = lay_out(timeline, style, served(answer_len=5))
    assert laid.cut == ("a",) and (laid.samples[0].labels != -100).sum() == 5
    assert style.words.tokenizer.token_to_id("<|im_end|>") not in laid.samples[0].labels
    assert lay_out(timeline, style, served()).cut == ()


def test_answers_of_the_same_words_do_not_make_a_changed_memory_one_that_grew(style):
    words, frames = style.words, [style.look(float(k), (1, 1)) for k in range(3)]
    frames = [replace(one, bundle={**one.bundle, "share": {k: Fraction(1)}}) for k, one in enumerate(frames)]
    asked = [words.turn("user", f"Who {k}?", 3.0, "question", f"q{k}") for k in range(3)]
    said = words.turn("assistant", "He.", 3.0, "answer", "a")
    first = Noted((frames[0], frames[1], asked[0]), said.ids, "q0", "a0")
    grown = Noted((*first.items, said, frames[2], asked[1]), said.ids, "q1", "a1")
    changed = Noted((frames[0], asked[0], asked[2], said, frames[2], asked[1]), said.ids, "q1", "a1")
    other = words.turn("assistant", "She.", 3.0, "answer", "b")
    lost = [(frames[2], asked[1]), (asked[1],), (other, asked[1])]  # the answer is forgotten, nothing else is
    assert [len(one.answers) for one in cut(words, [first, grown])] == [2]
    assert [len(one.answers) for one in cut(words, [first, changed])] == [1, 1]
    for rest in lost:
        forgot = Noted((*first.items, *rest), said.ids, "q1", "a1")
        assert [len(one.answers) for one in cut(words, [first, forgot])] == [1, 1]


class DropsCues:
    """A policy that lets the newest words go before every answer."""

    name, bounded, at, keeps, reserves = "drops_cues", False, "answer", False, False

    def __call__(self, rounds, budget, count):
        shapes = [shape for round_ in rounds for shape in round_]
        last = len(shapes) - 1
        loose = shapes[last].kind == "text" and not shapes[last].pinned
        return ((*((number,) for number in range(last)), *([] if loose else [(last,)])),)


def now(name, t, text="Who?"):
    return Question(name, t, text)


def ref(name, t, to="w", text="x"):
    return Reference(name, t, text, to)


TWO = (watch("w", 0.0), ref("a0", 3.2), ref("a1", 3.7))
MANY = tuple(watch(f"w{k}", 0.0) for k in range(11))
LONG = "who " * 90
SMALL = {"max_len": 80, "answer_len": 4, "policy": DropsCues()}
LOST = {
    "merged": ({"a0"}, TWO, {}),
    "no_frame": ({"a", "b"}, (watch("w", 0.0), ref("b", 0.5), watch("v", 3.4), ref("a", 3.9, "v")), {}),
    "late": ({"a"}, (now("q", 3.0), ref("a", 5.0, "q")), {}),
    "refused": (
        {"a", "b"},
        (watch("w", 0.0, LONG), now("q", 2.0, LONG), ref("a", 2.0, "q"), ref("b", 5.0)),
        {"max_len": 300},
    ),
    "busy": ({"a9", "a10"}, (*MANY, *(ref(f"a{k}", 5.0, f"w{k}") for k in range(11))), {}),
    "answered": ({"b"}, (watch("w", 0.0, once=True), ref("a", 3.0), ref("b", 5.0)), {}),
    "expired": ({"b"}, (watch("w", 0.0, expires_s=4.0), ref("a", 3.0), ref("b", 5.0)), {}),
    "replaced": ({"a"}, (Question("w", 0.0, "x", "auto"), Question("p", 2.0, "y", "auto"), ref("a", 5.0)), {}),
    "forgotten": ({"a0", "a1"}, (*MANY[:2], ref("a0", 11.0, "w0"), ref("a1", 11.0, "w1")), SMALL),
    "wordless": ({"a"}, (now("q", 3.0), ref("a", 3.0, "q", "")), {}),
}


@pytest.mark.parametrize("why", LOST)
def test_a_reference_that_is_not_said_is_told_with_its_reason(style, why):
    lost, turns, settings = LOST[why]
    laid = lay_out(sample(*turns), style, served(**settings))
    assert dict(laid.unsaid) == dict.fromkeys(lost, why)
    rest = {one.id for one in turns if isinstance(one, Reference)} - lost
    assert set(laid.said) == {name for one in laid.samples for name, _ in one.answers} == rest


def test_as_many_fires_wait_as_the_session_lets_wait(style):
    turns = LOST["busy"][1]
    assert lay_out(sample(*turns), style, served(queue=11)).unsaid == ()
    assert len(lay_out(sample(*turns), style, served(queue=1)).said) == 2


def test_every_reason_is_tried():
    assert set(LOST) == set(WHY) - {"unfired"}


# ---------------------------------------------------------------------------------------------- styles, draws, garbage


@pytest.mark.parametrize("family", checkpoints.FAMILIES)
def test_a_frame_is_laid_out_as_the_model_encodes_it(opened, family):
    model, style = opened(family)
    for number, (height, width) in enumerate([(60, 80), (120, 60), (90, 90)]):
        frame = Frame(np.full((height, width, 3), 99, np.uint8), 70.0 + number)
        made, real = style.look(frame.t, (height, width)), model.encode(frame)
        for name in ("tokens", "t", "span", "frames", "grid", "ids", "start"):
            assert getattr(made, name) == getattr(real, name)
        assert made.bundle["rows"] == len(real.bundle["embeds"]) and made.bundle["grid"] == real.grid
    assert style.lead == (" " if family == "smolvlm" else "")


def test_a_style_is_read_without_weights(tmp_path):
    folder = checkpoints.save(tmp_path / "m", "qwen2_vl", 1)
    (folder / "model.safetensors").unlink()
    laid = lay_out(sample(*TWO), style_of(folder), served(), size_of=lambda _: (60, 80))
    assert laid.said == ("a1",)


def test_where_sizes_decide_tokens_they_must_be_given(opened):
    with pytest.raises(WrongUse, match="pass size_of"):
        lay_out(sample(*TWO), opened("qwen2_vl")[1], served())
    assert lay_out(sample(*TWO), opened("llava_onevision")[1], served()).said == ("a1",)


def test_a_template_without_an_end_of_answers_is_told(tmp_path):
    folder = checkpoints.save(tmp_path / "m", "qwen2_vl", 1)
    template = (folder / "chat_template.jinja").read_text()
    (folder / "chat_template.jinja").write_text(template.replace("<|im_end|>", "END"))
    with pytest.raises(BadInput, match="ends an answer with no special word"):
        style_of(folder)


def test_sizes_of_memory_are_drawn_by_sample_and_epoch_alone():
    streams = [random_stream(seed) for seed in range(40)]
    drawn = [draw_max_len(one, (300, 4800), 7) for one in streams]
    assert drawn == [draw_max_len(one, (300, 4800), 7) for one in streams] and len(set(drawn)) > 35
    assert drawn != [draw_max_len(one, (300, 4800), 7, 1) for one in streams]
    assert 300 <= min(drawn) < 600 and 2400 < max(drawn) <= 4800
    assert 12 <= sum(one < 1200 for one in drawn) <= 28  # the middle of the octaves
    assert draw_max_len(streams[0], (500, 500)) == 500


@pytest.mark.parametrize("between", [(0, 10), (20, 10), (-5, 5)])
def test_a_range_that_is_none_is_refused(between):
    with pytest.raises(WrongUse, match="the smaller first"):
        draw_max_len(random_stream(0), between)


def test_turns_that_cannot_be_told_apart_are_refused(style):
    with pytest.raises(BadInput, match="the id of a turn stands once"):
        lay_out(sample(watch("w", 0.0), watch("w", 1.0)), style, served())
    with pytest.raises(BadInput, match="'a' replies to no question"):
        lay_out(sample(watch("w", 0.0), Reference("a", 1.0, "x", "v")), style, served())


def test_a_layout_that_breaks_is_no_shorter_sample(style):
    with pytest.raises(RunFailed, match="could not be laid out.*frame at 1 s"):
        lay_out(sample(*TWO), style, served(), size_of=lambda number: 1 / 0)


def test_a_memory_too_small_for_an_answer_is_refused(style):
    with pytest.raises(WrongUse, match="max_len 60 is too small"):
        lay_out(sample(*TWO), style, served(60))
