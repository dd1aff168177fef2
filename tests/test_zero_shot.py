"""Promises of the gate that asks the model: what it shows it, what it keeps, and that its cache changes no score."""

import math
import subprocess
import sys
import zlib
from dataclasses import replace

import numpy as np
import pytest

from fakes import FakeBackbone, make_frame, number_of
from streambridge.activation.scripted import Scripted
from streambridge.activation.trigger import TriggerSettings
from streambridge.activation.zero_shot import LEAST, NO, SAID, YES, ZeroShot, halved, share_of_yes
from streambridge.bench.random_model import RandomModel
from streambridge.cli.choosing import gate_for
from streambridge.engine.decoder import CachedTrack
from streambridge.errors import BadInput, RunFailed, WrongUse
from streambridge.loading import load
from streambridge.session import Session
from streambridge.types import Answered, Caps, Failed, FrameTokens, GateTokens, Scored, Turn

QUESTION = "Tell me each step."


class Fake(FakeBackbone):
    """Tells probabilities that are a function of all that it is shown; notes what that was."""

    def __init__(self, **given):
        super().__init__(**given)
        self.shown, self.readers, self.break_at, self.says = [], [], set(), None

    def weigh(self, items, choices, reader=None):
        assert tuple(choices) == (YES, NO)
        self.shown.append(list(items))
        self.readers.append(reader)
        if len(self.shown) - 1 in self.break_at:
            raise RunFailed("the server told no probabilities")
        if self.says is not None:
            return self.says
        content = zlib.crc32(repr([item.bundle["seen"] if is_frame(item) else item.text for item in items]).encode())
        return [content % 997 / 2000, content % 991 / 2000]


class Real(RandomModel):
    """A random decoder that weighs, with a cache or without."""

    def __init__(self, seed=0, **besides):
        super().__init__("1M", frame_tokens=6, seed=seed, **besides)

    def weigh(self, items, choices, reader=None):
        plan = self.render(items)
        reader = self.decoder.reader(plan.tokens, most=plan.tokens, lasts=False) if reader is None else reader
        reader.finish(plan)
        ids = [sorted({self.turn("user", word, 0.0, "question", "").ids[0] for word in words}) for words in choices]
        chances = reader.track.logits()[sum(ids, [])].softmax(-1)  # as if it knew no other words
        return [float(part.sum()) for part in chances.split([len(one) for one in ids])]


def is_frame(item):
    return isinstance(item, FrameTokens)


def item_of(backbone, number):
    return GateTokens({"item": backbone.encode(make_frame(number))}, float(number))


def fresh_score(watch, probe_t):
    """The same items judged without a cache."""
    probe = replace(watch._probe(watch.items), t=probe_t)
    return share_of_yes(*watch._sight.weigh([*watch.items, probe], (YES, NO)))


def run(backbone, numbers, gate=None, talk=()):
    """The scores of a Watch about these frames; it hears an answer behind those numbered in `talk`."""
    watch, scores = (gate or ZeroShot(backbone)).watch(QUESTION, 0.0), []
    for number in numbers:
        scores.append(watch.observe(item_of(backbone, number)).score)
        if number in talk:
            watch.heard(f"Step {number} is done.", float(number))
    return watch, scores


# ---------------------------------------------------------------------------------------------- the score


@pytest.mark.parametrize(
    ("yes", "no", "score"),
    [(0.6, 0.2, 0.75), (1.0, 0.0, 1.0), (0.0, 1.0, 0.0), (0.3, 0.3, 0.5), (0.0, 0.0, 0.0), (1.0 + 1e-7, 0.0, 1.0)],
)
def test_the_score_is_the_share_of_yes(yes, no, score):
    found = share_of_yes(yes, no)
    assert found == pytest.approx(score) and isinstance(found, float) and 0.0 <= found <= 1.0


def test_a_model_that_says_next_to_neither_is_silent():
    assert share_of_yes(LEAST * 0.98, 0.0) == 0.0 and share_of_yes(LEAST * 1.01, 0.0) == 1.0


@pytest.mark.parametrize("said", [[math.nan, 0.5], [0.5, math.inf], [-0.1, 0.5], [0.5], [], [0.1, 0.2, 0.3]])
def test_what_are_no_two_probabilities_fails_in_one_line_and_is_not_taken(said):
    backbone = Fake()
    watch, _ = run(backbone, range(3))
    before, backbone.says = list(watch.items), said
    with pytest.raises(RunFailed, match="probabilities of yes and of no") as told:
        watch.observe(item_of(backbone, 3))
    assert "\n" not in str(told.value) and watch.items == before


def test_a_score_above_the_threshold_fires_once_until_it_came_down_and_rested():
    backbone = Fake()
    watch = ZeroShot(backbone, threshold=0.6, rest_s=4.0).watch(QUESTION, 0.0)
    told = []
    for number, share in enumerate([0.5, 0.7, 0.7, 0.4, 0.9, 0.2, 0.9, 0.9, 0.9]):
        backbone.says = [share, 1 - share]
        told.append(watch.observe(item_of(backbone, number)).fire)
    assert [number for number, fire in enumerate(told) if fire] == [1, 6]


# ---------------------------------------------------------------------------------------------- what is shown


def test_the_model_is_shown_the_frames_in_order_and_then_asked_about_the_question():
    backbone = Fake()
    run(backbone, range(3))
    for number, shown in enumerate(backbone.shown):
        *frames, probe = shown
        assert [item.bundle["seen"] for item in frames] == [(n,) for n in range(number + 1)]
        assert isinstance(probe, Turn) and probe.role == "user" and probe.t == float(number)
        assert f'"{QUESTION}"' in probe.text and probe.text.endswith("Answer with one word: yes or no.")
        assert SAID.strip() not in probe.text


def test_own_answers_stand_among_the_frames_and_the_probe_speaks_of_them():
    backbone = Fake()
    run(backbone, range(3), talk=[0])
    first, second, third = backbone.shown
    assert [item.text for item in first if isinstance(item, Turn)][0].count(SAID) == 0
    for shown in (second, third):
        assert is_frame(shown[0]) and shown[1].role == "assistant" and shown[1].text == "Step 0 is done."
        assert is_frame(shown[2]) and SAID in shown[-1].text and f'"{QUESTION}"' in shown[-1].text


@pytest.mark.parametrize("words", ["", "  ", "\n\t"])
def test_an_answer_without_words_leaves_no_trace(words):
    backbone = Fake()
    watch, _ = run(backbone, range(2))
    watch.heard(words, 1.0)
    assert len(watch.items) == 2


def test_words_are_tokenised_when_the_watch_opens_and_not_at_each_frame():
    backbone, calls = Fake(), []
    turn = backbone.turn
    backbone.turn = lambda *given: calls.append(given) or turn(*given)
    watch = ZeroShot(backbone).watch(QUESTION, 0.0)
    opened = len(calls)
    for number in range(5):
        watch.observe(item_of(backbone, number))
    assert opened == len(calls) == 2


@pytest.mark.parametrize("question", ['Say "now" {when} it {} rains.', "{question}{said}", "%s é 火 <|im_end|>"])
def test_a_question_is_quoted_as_it_stands(question):
    backbone = Fake()
    ZeroShot(backbone).watch(question, 0.0).observe(item_of(backbone, 0))
    assert f'"{question}"' in backbone.shown[0][-1].text


def test_every_word_for_yes_and_no_begins_one_answer_only():
    assert len({*YES, *NO}) == len(YES) + len(NO) == 12
    assert {word.strip().lower() for word in YES} == {"yes"} and {word.strip().lower() for word in NO} == {"no"}


# ---------------------------------------------------------------------------------------------- how far back


@pytest.mark.parametrize("reach", [1, 2, 5, 16])
def test_when_its_reach_is_full_the_older_half_of_the_frames_goes(reach):
    backbone = Fake()
    run(backbone, range(60), ZeroShot(backbone, reach=reach))
    held, shown = 0, []
    for items in backbone.shown:
        shown.append([item.bundle["seen"][0] for item in items if is_frame(item)])
        held = held + 1 if held < reach else (held + 1) // 2
        assert len(shown[-1]) == held <= reach
    assert all(seen == list(range(n - len(seen) + 1, n + 1)) for n, seen in enumerate(shown))
    assert reach < 5 or len({seen[0] for seen in shown}) <= 2 * 60 / reach + 2  # the beginning moves seldom


def test_the_newest_own_answers_are_kept_beyond_the_frames_and_no_others():
    for answers in (0, 1, 2):
        backbone = Fake()
        gate = ZeroShot(backbone, reach=6, answers=answers)
        watch, _ = run(backbone, range(40), gate, talk=range(0, 36, 2))
        items = watch.items
        first = next(place for place, item in enumerate(items) if is_frame(item))
        assert len(items[:first]) == answers and all(not is_frame(item) for item in items[:first])
        said = [int(item.text.split()[1]) for item in items if not is_frame(item)]
        assert said == list(range(0, 36, 2))[18 - len(said) :]  # without a gap, up to the newest


def test_a_cut_keeps_the_newer_half_and_the_answers_among_it():
    backbone = Fake()
    f = [backbone.encode(make_frame(number)) for number in range(5)]
    a = [backbone.turn("assistant", f"said {n}", 0.0, "answer", "said") for n in range(4)]
    line = [a[0], f[0], a[1], f[1], f[2], a[2], f[3], a[3], f[4]]
    assert halved(line, 1) == [a[2], f[3], a[3], f[4]] and halved(line, 0) == [f[3], a[3], f[4]]
    assert halved(line, 9) == [a[0], a[1], a[2], f[3], a[3], f[4]] and halved([f[0]], 2) == [f[0]]


@pytest.mark.parametrize("context", [200, 400, 1000])
def test_what_is_shown_never_passes_the_models_context(context):
    backbone = Fake(max_context=context)
    rng = np.random.default_rng(context)
    watch = ZeroShot(backbone, reach=16).watch(QUESTION, 0.0)
    for number in range(80):
        seen = replace(backbone.encode(make_frame(number)), tokens=int(rng.integers(1, 60)))
        watch.observe(GateTokens({"item": seen}, float(number)))
        if rng.random() < 0.2:
            watch.heard("A few words. " * int(rng.integers(1, 4)), float(number))
    longest = [sum(item.tokens for item in shown) + backbone.overhead() for shown in backbone.shown]
    frames = [sum(map(is_frame, shown)) for shown in backbone.shown]
    assert max(longest) <= context and min(frames) >= 1 and max(frames) == (16 if context == 1000 else max(frames))
    assert context > 200 or max(frames) < 16


# ---------------------------------------------------------------------------------------------- cached = fresh


@pytest.mark.parametrize("reach", [1, 2, 5, 16])
def test_each_score_read_with_its_cache_is_that_of_a_fresh_reading(reach):
    for seed in range(3):
        backbone, rng, scores = Real(seed), np.random.default_rng(seed), []
        watch = ZeroShot(backbone, reach=reach).watch(QUESTION, 0.0)
        for number in range(40):
            scores.append(watch.observe(item_of(backbone, number)).score)
            assert scores[-1] == pytest.approx(fresh_score(watch, float(number)), abs=1e-5)
            if rng.random() < 0.25:
                watch.heard(f"Step {number} is done.", float(number))
        assert np.ptp(scores) > 0.03  # a model that always says the same proves nothing


def read_tokens(monkeypatch):
    """Notes how many tokens every pass reads."""
    counts, read = [], CachedTrack.read

    def noted(track, segments):
        counts.append(sum(len(segment.ids) for segment in segments))
        read(track, segments)

    monkeypatch.setattr(CachedTrack, "read", noted)
    return counts


def test_a_frame_costs_its_own_tokens_and_the_probes_until_the_older_half_goes(monkeypatch):
    counts, backbone = read_tokens(monkeypatch), Real()
    watch = ZeroShot(backbone, reach=16).watch(QUESTION, 0.0)
    each = []
    for number in range(32):
        before = sum(counts)
        watch.observe(item_of(backbone, number))
        each.append(sum(counts) - before)
    probe = watch._probe(watch.items).tokens + len(backbone.render([]).segments[-1].ids)
    anew = [number for number, read in enumerate(each) if read != 6 + probe]
    assert anew == [16, 25] and {each[16], each[25]} == {8 * 6 + probe}


def test_a_watch_stays_as_small_as_its_reach():
    backbone = Real()
    watch, sizes, rng = ZeroShot(backbone, reach=8).watch(QUESTION, 0.0), [], np.random.default_rng(0)
    for number in range(300):
        watch.observe(item_of(backbone, number))
        sizes.append((len(watch.items), watch._reader.nbytes))
        if rng.random() < 0.3:
            watch.heard("Done.", float(number))
    assert max(sizes) and max(size for size, _ in sizes[150:]) <= max(size for size, _ in sizes[:150])
    assert len({nbytes for _, nbytes in sizes}) == 1


def test_a_model_without_a_cache_is_asked_all_the_same():
    backbone = Fake()
    _, scores = run(backbone, range(5))
    assert set(backbone.readers) == {None} and len(set(scores)) == 5


# ---------------------------------------------------------------------------------------------- what breaks


def test_frames_at_which_the_model_broke_are_not_taken_and_all_others_judged_as_without_them():
    for seed in range(20):
        rng, backbone = np.random.default_rng(seed), Fake()
        watch = ZeroShot(backbone, reach=5, answers=1).watch(QUESTION, 0.0)
        backbone.break_at = set(rng.choice(40, 12, replace=False).tolist())
        talk, scores, taken = set(rng.choice(40, 10, replace=False).tolist()), [], []
        other = Fake()
        twin = ZeroShot(other, reach=5, answers=1).watch(QUESTION, 0.0)
        expected = []
        for number in range(40):
            if number in backbone.break_at:
                with pytest.raises(RunFailed, match="told no probabilities"):
                    watch.observe(item_of(backbone, number))
            else:
                scores.append(watch.observe(item_of(backbone, number)))
                expected.append(twin.observe(item_of(other, number)))
                taken.append(number)
            if number in talk:
                watch.heard(f"Step {number}.", float(number))
                twin.heard(f"Step {number}.", float(number))
        assert scores == expected and len(scores) == 28


def test_a_pass_that_breaks_midway_spoils_no_later_score(monkeypatch):
    rng, read, broken = np.random.default_rng(4), CachedTrack.read, []

    def sometimes(track, segments):
        when = rng.random()
        if when < 0.15:
            raise MemoryError("before")
        read(track, segments)
        if when < 0.3:
            raise MemoryError("behind")

    backbone = Real()
    watch = ZeroShot(backbone, reach=5).watch(QUESTION, 0.0)
    judged = 0
    for number in range(60):
        monkeypatch.setattr(CachedTrack, "read", sometimes)
        try:
            score = watch.observe(item_of(backbone, number)).score
        except MemoryError:
            broken.append(number)
            continue
        monkeypatch.setattr(CachedTrack, "read", read)
        assert score == pytest.approx(fresh_score(watch, float(number)), abs=1e-5)
        judged += 1
    taken = {round(item.t) for item in watch.items if is_frame(item)}
    assert len(broken) > 10 and judged > 15 and not taken & set(broken)


def test_a_frame_whose_time_goes_back_is_refused_and_not_taken():
    backbone = Fake()
    watch, _ = run(backbone, range(4))
    with pytest.raises(BadInput, match="does not go back"):
        watch.observe(item_of(backbone, 2))
    assert [item.bundle["seen"][0] for item in watch.items] == [0, 1, 2, 3]


def test_in_a_session_a_break_is_told_and_the_next_frame_judged():
    backbone = Fake()
    backbone.break_at = {2}
    session = Session(backbone, ZeroShot(backbone, threshold=1.0), compression=load("memory", "keep_all"))
    session.ask(QUESTION, when="watch")
    events = [event for number in range(5) for event in session.see(make_frame(number))]
    told = [event for event in events if isinstance(event, Scored | Failed)]
    assert [event.type for event in told] == ["scored", "scored", "failed", "scored", "scored"]
    assert told[2].error == "the gate failed on a frame for q0: the server told no probabilities"
    assert [item.bundle["seen"][0] for item in backbone.shown[-1] if is_frame(item)] == [0, 1, 3, 4]


# ---------------------------------------------------------------------------------------------- beside a session


def test_asking_the_model_beside_a_session_changes_no_answer():
    def answers(gate, backbone):
        session = Session(backbone, gate, compression=load("memory", "keep_all"), answer_len=6)
        session.ask(QUESTION, when="watch")
        events = [event for number in range(30) for event in session.see(make_frame(number))]
        events += session.ask("And now?", when="now")
        return [(event.t_fired, event.text) for event in events if isinstance(event, Answered)]

    backbone = Real()
    gate = ZeroShot(backbone, reach=6)
    gate.trigger = TriggerSettings(0.5, rest_s=6.0, rising=False)  # so that it fires several times
    spoken = answers(gate, backbone)
    fires = [t for t, _ in spoken[:-1]]
    assert len(fires) > 2
    assert answers(Scripted({QUESTION: fires}), Real()) == spoken


def test_the_sessions_own_tokens_are_used_and_no_frame_is_seen_twice():
    backbone = Fake()
    tokens = backbone.encode(make_frame(3))
    assert ZeroShot(backbone).look(make_frame(3), tokens).bundle["item"] is tokens
    other = ZeroShot(backbone, shared=False).look(make_frame(3), FrameTokens({}, 1, 3.0, (3.0, 3.0))).bundle["item"]
    assert other.bundle["seen"] == (number_of(make_frame(3)),)


def test_watches_side_by_side_judge_as_alone_whatever_another_hears():
    backbone, words = Real(), (QUESTION, "Read every new sign.")
    alone = []
    for question in words:
        watch = ZeroShot(backbone, reach=4).watch(question, 0.0)
        alone.append([watch.observe(item_of(backbone, number)).score for number in range(12)])
    gate, beside = ZeroShot(backbone, reach=4), ([], [])
    watches = [gate.watch(question, 0.0) for question in (*words, "And now?")]
    for number in range(12):
        for watch, scores in zip(watches, (*beside, []), strict=True):
            scores.append(watch.observe(item_of(backbone, number)).score)
        watches[2].heard("Something was said.", float(number))
    assert list(beside) == alone and max(abs(a - b) for a, b in zip(*alone, strict=True)) > 0.01


# ---------------------------------------------------------------------------------------------- what is refused


def test_a_model_that_does_not_weigh_is_refused_in_one_line_by_code_and_command():
    for make in (lambda: ZeroShot(FakeBackbone()), lambda: gate_for("zero_shot", FakeBackbone(), None, None)):
        with pytest.raises(WrongUse, match="zero_shot asks how likely a yes is, which the model 'fake'") as told:
            make()
        assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    "given",
    [{"reach": 0}, {"reach": 2.5}, {"reach": True}, {"reach": "9"}, {"answers": -1}, {"answers": None},
     {"threshold": 1.1}, {"threshold": math.nan}, {"rest_s": -2.0}, {"rest_s": "x"}],
)  # fmt: skip
def test_numbers_that_make_no_sense_are_refused_in_one_line(given):
    with pytest.raises(WrongUse, match=next(iter(given))) as told:
        ZeroShot(Fake(), **given)
    assert "\n" not in str(told.value)


def test_the_command_line_gives_it_the_sessions_model_and_the_numbers():
    backbone = Fake()
    gate = gate_for("zero_shot", backbone, 0.3, 4.0)
    assert isinstance(gate, ZeroShot) and gate._sight is backbone
    told = gate.settings()
    assert (told["threshold"], told["rest_s"], told["reach"], told["answers"]) == (0.3, 4.0, 16, 2)
    assert "{question}" in told["probe"] and told["said"] == SAID


def test_it_needs_no_torch():
    code = "import sys, streambridge.activation.zero_shot; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_what_a_server_costs_a_request_is_bounded_by_the_reach():
    backbone = Fake()
    backbone.caps = Caps(False, False, False, True, "none", 1 << 17)
    run(backbone, range(50), ZeroShot(backbone, reach=4))
    assert max(sum(map(is_frame, shown)) for shown in backbone.shown) == 4
