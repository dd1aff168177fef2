"""Promises of varied samples: questions left out, asked before, or asked where nothing answers. Knows no data set."""

import itertools
import math
from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest

from streambridge import streamit
from streambridge.data.augment import P_DROP, P_SHIFT, draw, drop, qas, shift
from streambridge.data.draws import u
from streambridge.data.flatten import Seen, between, flatten, frames
from streambridge.data.hallucination import LEAST_WORDS, RATIO, REFUSALS, Pool, add, content_words
from streambridge.data.invariants import check
from streambridge.data.joining import join
from streambridge.errors import WrongUse
from streambridge.types import Media, Question, Reference, Timeline

THINGS = "drum lamp boat kite sheep piano ladder anchor violin tractor candle bridge helmet parrot".split()
MANY = pytest.mark.parametrize("count", [500, pytest.param(10_000, marks=pytest.mark.slow)])


def video(n):
    """Clips of any length joined, with no, one or several questions each, right after the clip."""
    rng = np.random.default_rng([11, n])
    starts, lengths = rng.integers(0, 40_000, 12), rng.integers(1_000, 20_000, 12)
    given = [
        (Media(f"pool:{n}-{k}", int(starts[k]) / 1000, int(starts[k] + lengths[k]) / 1000), f"A {THINGS[k]}.")
        for k in range(int(rng.integers(2, 13)))
    ]
    joined = join(given)
    turns, extras = [], {}
    for k in range(len(given)):
        for j in range(int(rng.integers(0, 4))):
            (start, end), name = joined.span(k), f"{k}_{j}"
            turns += [Question(f"q{name}", end, f"What is near the {THINGS[k]} number {n}?", kind="question")]
            turns += [Reference(f"a{name}", end, f"A {THINGS[k]}.", f"q{name}", ((start, end),))]
            if rng.random() < 0.4:
                extras[("q" if j else "a") + name] = {"qa_type": "OP", "shiftable": bool(rng.random() < 0.5)}
    meta = {"task": "realtime_qa", "order": "multi_turn", "split": "train", "source": {}, "quirks": joined.quirks}
    meta |= {"policy": {"tick_ms": 1000}} | ({"turns": extras} if extras else {})
    return Timeline(f"pool/train/{n}#0", joined.media, joined.duration_s, tuple(turns), meta)


@lru_cache(maxsize=1)
def videos(count):
    return [video(n) for n in range(count)]


def one_clip_apart():
    """Two clips of five and three seconds, a question after each; made by hand."""
    turns = (
        Question("q1", 5.0, "Who sings?"),
        Reference("a1", 5.0, "A girl.", "q1", ((0.0, 5.0),)),
        Question("q2", 8.0, "What flies?"),
        Reference("a2", 8.0, "A kite.", "q2", ((5.0, 8.0),)),
    )
    media = (Media("pool:a", 2.0, 7.0), Media("pool:b", 0.0, 3.0, 5.0))
    meta = {"task": "realtime_qa", "order": "multi_turn", "split": "train", "source": {}, "quirks": [], "policy": {}}
    return Timeline("pool/train/two#0", media, 8.0, turns, meta)


def ids(timeline):
    return [turn.id for turn in timeline.turns]


def asked(timeline):
    return {question.id for question in timeline.questions}


def may_move(timeline, qa):
    extras = timeline.meta.get("turns", {})
    return all(extras.get(turn.id, {}).get("shiftable", True) for turn in qa.turns)


def is_good(timeline):
    """It holds all rules of a sample and is the same when written and read."""
    assert streamit.from_line(streamit.to_line(timeline)) == timeline
    assert check(timeline) == []


# ---------------------------------------------------------------------------------------------- drop and shift: P1-P12


@MANY
def test_p1_with_no_chance_the_very_same_sample_comes_back(count):
    for one in videos(count):
        assert drop(one, 0.0) is one and shift(one, 0.0) is one


@MANY
def test_p2_with_certainty_all_are_dropped_and_all_that_may_are_shifted(count):
    for one in videos(count):
        assert not drop(one, 1.0, keep_min=0).turns
        moved = [question.id for question in shift(one, 1.0).questions if question.when == "watch"]
        assert sorted(moved) == sorted(qa.question.id for qa in qas(one) if may_move(one, qa))


@MANY
def test_p3_what_survives_is_as_it_was_and_in_its_order(count):
    for one in videos(count):
        left = drop(one, seed=3)
        rest = iter(one.turns)
        assert all(any(turn is other for other in rest) for turn in left.turns)
        assert (left.media, left.duration_s, left.id) == (one.media, one.duration_s, one.id)
        assert {turn.reply_to for turn in left.references} == asked(left)


@MANY
def test_p4_dropping_again_changes_nothing_and_a_higher_chance_leaves_a_part(count):
    for one, keep in itertools.product(videos(count), (0, 1, 3)):
        left = drop(one, 0.5, seed=4, keep_min=keep)
        assert drop(left, 0.5, seed=4, keep_min=keep) is left
        assert asked(drop(one, 0.7, seed=4, keep_min=keep)) <= asked(left)
        assert drop(drop(one, 0.5, seed=4, keep_min=keep), 0.7, seed=4, keep_min=keep) == drop(
            one, 0.7, seed=4, keep_min=keep
        )
        moved = shift(one, 0.5, seed=4)
        assert shift(moved, 0.5, seed=4) is moved


@MANY
def test_p5_what_becomes_of_a_question_does_not_hang_on_the_others(count):
    rng = np.random.default_rng(5)
    for one in videos(count):
        found = qas(one)
        alone = {turn.id for qa in found if rng.random() < 0.3 for turn in qa.turns}
        few = replace(one, turns=tuple(turn for turn in one.turns if turn.id in alone))
        few = replace(
            few, meta={**few.meta, "turns": {k: v for k, v in one.meta.get("turns", {}).items() if k in alone}}
        )
        assert asked(drop(few, keep_min=0)) == asked(drop(one, keep_min=0)) & alone
        there = {turn.id: turn for turn in shift(one, 0.5).turns}
        assert all(there[turn.id] == turn for turn in shift(few, 0.5).turns)


@MANY
def test_p6_a_shift_changes_only_when_is_asked_and_the_delay_is_the_length_of_the_clip(count):
    for one in videos(count):
        moved = shift(one, 0.5, seed=6)
        before = {turn.id: turn for turn in one.turns}
        assert sorted(ids(moved)) == sorted(ids(one))
        for qa in qas(moved):
            was = before[qa.question.id]
            assert [before[answer.id] for answer in qa.answers] == list(qa.answers)
            if qa.question != was:
                assert replace(was, t=qa.question.t, when="watch", once=True) == qa.question
                start, end = qa.answers[0].evidence[0]
                assert (qa.question.t, qa.answers[0].t) == (start, end)


@MANY
def test_p7_answers_keep_their_order_and_dropping_and_shifting_may_be_swapped(count):
    for n, one in enumerate(videos(count)):
        keep = n % 3
        both = shift(drop(one, seed=n, keep_min=keep), 0.3, seed=n)
        assert both == drop(shift(one, 0.3, seed=n), seed=n, keep_min=keep)
        assert [turn.id for turn in both.references] == [a.id for a in one.references if a.id in ids(both)]
        if both.turns:
            is_good(both)


@MANY
def test_p8_as_many_go_and_move_as_is_said(count):
    found = left = may = moved = 0
    for one in videos(count):
        kept = drop(one, keep_min=0)
        found, left = found + len(qas(one)), left + len(qas(kept))
        may += sum(may_move(kept, qa) for qa in qas(kept))
        moved += sum(qa.moved for qa in qas(shift(kept)))
    assert found >= (100_000 if count == 10_000 else 5_000)
    assert abs(1 - left / found - P_DROP) <= 4 * math.sqrt(P_DROP * (1 - P_DROP) / found)
    assert abs(moved / may - P_SHIFT) <= 4 * math.sqrt(P_SHIFT * (1 - P_SHIFT) / may)


@MANY
def test_p9_draws_for_different_ends_are_uncorrelated(count):
    pairs = [(one, qa.question.id) for one in videos(count) for qa in qas(one)]
    ways = [("drop", 0, 0), ("shift", 0, 0), ("hallucination", 0, 0), ("drop", 1, 0), ("drop", 0, 1), ("drop", 0, 2)]
    rows = np.array([[draw(tag, one, name, seed, epoch) for one, name in pairs] for tag, seed, epoch in ways])
    most = 0.01 if len(pairs) >= 100_000 else 4 / math.sqrt(len(pairs))
    assert np.abs(np.corrcoef(rows) - np.eye(len(ways))).max() < most
    assert np.abs(rows.mean(1) - 0.5).max() < 4 * math.sqrt(1 / 12 / len(pairs))


@MANY
def test_p10_a_shifted_question_has_the_frames_of_its_clip_before_its_answer_and_no_other_has_any(count):
    for one in videos(count)[:2000]:
        both = shift(drop(one), 0.4)
        laid = list(flatten(both))
        place = {turn.id: k for k, turn in enumerate(laid) if not isinstance(turn, Seen)}
        for qa in qas(both):
            question, answer = qa.question, qa.answers[0]
            seen = [one for one in laid[place[question.id] : place[answer.id]] if isinstance(one, Seen)]
            assert [frame.number for frame in seen] == list(between(question, answer))
            clip = next(k for k, media in enumerate(one.media) if media.at_s == answer.evidence[0][0])
            due = [frame for frame in frames(both) if frame.media == clip] if qa.moved else []
            assert seen == due


@MANY
def test_p11_what_is_not_shiftable_never_moves(count):
    barred = 0
    for one in videos(count):
        moved = {question.id: question for question in shift(one, 1.0).questions}
        for qa in qas(one):
            if not may_move(one, qa):
                barred += 1
                assert moved[qa.question.id] == qa.question
    assert barred > 0.05 * len(videos(count))


@MANY
def test_p12_every_epoch_draws_anew_and_epoch_0_is_fixed(count):
    one = one_clip_apart()
    assert draw("drop", one, "q1", 7, 0) == u(7, one.id, "q1", "drop")
    assert draw("drop", one, "q1", 7, 2) == u(7, 2, one.id, "q1", "drop")
    some = [one for one in videos(count) if len(qas(one)) > 3]
    assert all(drop(one, epoch=0) == drop(one) and shift(one, 0.5, epoch=0) == shift(one, 0.5) for one in some)
    for vary in (drop, lambda one, **more: shift(one, 0.5, **more)):
        runs = [[vary(one, seed=seed, epoch=epoch) for one in some] for seed, epoch in [(0, 0), (0, 1), (0, 2), (1, 0)]]
        for first, second in itertools.combinations(runs, 2):
            assert sum(a != b for a, b in zip(first, second, strict=True)) > 0.6 * len(some)


# ---------------------------------------------------------------------------------------------- by hand


def test_the_answer_about_the_clip_before_precedes_the_question_moved_to_the_join():
    moved = shift(one_clip_apart(), 1.0)
    assert ids(moved) == ["q1", "a1", "q2", "a2"]
    assert [turn.t for turn in moved.turns] == [0.0, 5.0, 5.0, 8.0]
    assert [question.when for question in moved.questions] == ["watch", "watch"]
    wrong = sorted(moved.turns, key=lambda turn: (turn.t, isinstance(turn, Reference)))
    assert [turn.id for turn in wrong] == ["q1", "q2", "a1", "a2"]  # asked before the answer about the clip before
    is_good(moved)


def test_sorting_by_time_and_role_would_put_many_samples_in_a_wrong_order():
    def by_role(one):
        return sorted(one.turns, key=lambda turn: (turn.t, isinstance(turn, Reference)))

    wrong = 0
    for one in videos(500):
        one = replace(one, turns=tuple(turn for turn in one.turns if turn.id.endswith("_0")))  # one question a clip
        assert by_role(one) == list(one.turns)  # as long as nothing moved
        moved = shift(one, 0.3)
        laid = [turn.id for turn in by_role(moved)]
        wrong += laid != ids(moved)
        for question, answer in itertools.product(moved.questions, moved.references):
            if question.t == answer.t and question.id != answer.reply_to:  # the clip before is closed first
                assert ids(moved).index(answer.id) < ids(moved).index(question.id)
    assert wrong > 0.2 * 500


def test_a_question_moved_to_a_join_comes_after_a_pair_that_stays_there():
    one = one_clip_apart()
    seed = next(s for s in range(99) if draw("shift", one, "q2", s, 0) < 0.5 <= draw("shift", one, "q1", s, 0))
    moved = shift(one, 0.5, seed=seed)
    assert [(turn.id, turn.t) for turn in moved.turns] == [("q1", 5.0), ("a1", 5.0), ("q2", 5.0), ("a2", 8.0)]


def test_what_is_done_is_owned_up_to_once_and_the_extras_of_what_went_go():
    one = one_clip_apart()
    extras = {"q1": {"qa_type": "AR"}, "a2": {"qa_type": "OP"}}
    one = replace(one, meta={**one.meta, "quirks": ["trimmed_to_tick"], "turns": extras})
    for seed in range(20):
        left = drop(shift(drop(one, 0.5, seed), 1.0), 0.5, seed + 1)
        assert len(left.turns) == 2 or left == shift(one, 1.0)
        done = ["question_shifted"] + ["qa_dropped"] * (len(left.turns) == 2)
        assert left.meta["quirks"] == ["trimmed_to_tick", *done]
        assert left.meta["turns"] == {name: own for name, own in extras.items() if name in ids(left)}
    assert one.meta["turns"] == extras and one.meta["quirks"] == ["trimmed_to_tick"]
    assert "turns" not in drop(one, 1.0, keep_min=0).meta


def test_those_with_the_highest_draws_stay():
    for one in videos(500)[:100]:
        draws = {qa.question.id: draw("drop", one, qa.question.id, 0, 0) for qa in qas(one)}
        best = sorted(draws, key=draws.__getitem__)[::-1]
        for keep in (1, 2):
            assert asked(drop(one, 1.0, keep_min=keep)) == set(best[:keep])
        assert asked(drop(one, keep_min=2)) == {name for name in draws if draws[name] >= P_DROP} | set(best[:2])


def test_a_question_goes_with_all_its_answers():
    one = one_clip_apart()
    one = replace(one, turns=(*one.turns, Reference("a3", 8.0, "And a bird.", "q2", ((5.0, 8.0),))))
    for seed in range(20):
        assert ids(drop(one, 0.5, seed)) in (["q1", "a1"], ["q2", "a2", "a3"], ids(one))


def test_proactive_samples_instructions_and_standing_watches_pass_through():
    one = one_clip_apart()
    narrated = replace(one.questions[0], t=0.0, when="watch", once=True, kind="instruction")
    standing = replace(one.questions[0], t=0.0, when="watch")
    later = replace(standing, t=1.0, once=True)  # for one answer, yet not where its evidence begins
    for order, first in [("proactive", one.questions[0]), ("mixed", narrated), ("mixed", standing), ("mixed", later)]:
        same = replace(one, turns=(first, one.turns[1]), meta={**one.meta, "order": order})
        assert qas(same) == []
        assert drop(same, 1.0, keep_min=0) is same and shift(same, 1.0) is same and add(same, pool(), 1.0) is same


def test_what_has_no_evidence_before_its_question_does_not_move():
    one = one_clip_apart()
    for spans in ((), ((5.0, 5.0),), ((5.0, 7.0),)):
        same = replace(one, turns=(one.turns[0], replace(one.turns[1], evidence=spans)))
        assert len(qas(same)) == 1 and shift(same, 1.0) is same


def test_a_question_that_would_expire_unanswered_does_not_move():
    one = one_clip_apart()
    short, long = (replace(one, turns=(replace(one.turns[0], expires_s=s), *one.turns[1:2])) for s in (4.9, 5.0))
    assert shift(short, 1.0) is short and shift(long, 1.0).turns[0].when == "watch"


@pytest.mark.parametrize("p", [-0.1, 1.1, math.nan, "0.5", None])
def test_what_is_no_share_is_refused(p):
    for verb in (drop, shift, lambda one, p: add(one, pool(), p)):
        with pytest.raises(WrongUse, match=r"a share in \[0, 1\]; got"):
            verb(one_clip_apart(), p)


def test_fewer_than_none_cannot_stay():
    with pytest.raises(WrongUse, match="keep_min: 0 or more QAs stay; got -1"):
        drop(one_clip_apart(), keep_min=-1)


# ---------------------------------------------------------------------------------------------- hallucination

OTHERS = [
    "How many llamas cross the desert?",
    "Which chef burned the onions?",
    "Why did the rocket explode?",
    "Where is the red submarine?",
    "Who painted this wooden fence?",
]


def other(n, text, uri=""):
    turns = (Question("q", 4.0, text), Reference("a", 4.0, "Yes, a camel.", "q", ((0.0, 4.0),)))
    return Timeline(f"other/{n}", (Media(uri or f"other:{n}", 0.0, 4.0),), 4.0, turns, {"order": "multi_turn"})


def pool(*more, **settings):
    return Pool([*(other(n, text) for n, text in enumerate(OTHERS)), *more], **settings)


def invented(timeline):
    return {answer.id: answer for answer in timeline.references if answer.id.endswith(".na.a")}


@MANY
def test_a_sample_with_questions_of_others_is_a_good_one_and_the_rest_of_it_is_as_it_was(count):
    here = pool()
    for one in videos(count)[: count // 5]:
        more = add(one, here, 0.5)
        assert [turn for turn in more.turns if ".na" not in turn.id] == list(one.turns)
        assert add(more, here, 0.5) is more
        if one.turns:
            is_good(more)
            is_good(shift(drop(more), 0.5))


def test_the_question_of_another_sample_comes_right_after_at_the_same_instant_with_a_refusal():
    one = shift(one_clip_apart(), 1.0)
    more = add(one, pool(), 1.0)
    assert ids(more) == ["q1", "a1", "q1.na", "q1.na.a", "q2", "a2", "q2.na", "q2.na.a"]
    for question, answer in zip(more.questions, more.references, strict=True):
        if answer.id in invented(more):
            before = more.turns[more.turns.index(question) - 1]
            assert (question.when, question.once, question.t, answer.t) == ("now", False, before.t, before.t)
            assert question.text in OTHERS and answer.text in REFUSALS
            assert answer.evidence == before.evidence
            assert more.meta["turns"][answer.id] == {"qa_type": "NA", "shiftable": False}
    assert len({question.text for question in more.questions}) == 4
    assert more.meta["quirks"] == ["question_shifted", "hallucination"]
    is_good(more)


@pytest.mark.parametrize(
    "asking", ["Is the kite torn apart?", "Which girls sing loudly?", "Was everyone singing opera?"]
)
def test_a_question_with_a_word_of_the_sample_is_never_taken(asking):
    one = one_clip_apart()
    assert add(one, Pool([other(0, asking)]), 1.0) is one


def test_one_sample_is_not_asked_the_same_twice():
    assert len(invented(add(one_clip_apart(), Pool([other(0, OTHERS[0])]), 1.0))) == 1


def test_words_of_the_options_count():
    one = one_clip_apart()
    one = replace(one, meta={**one.meta, "turns": {"a1": {"options": ["A girl.", "A llama."], "answer_index": 0}}})
    assert add(one, Pool([other(0, OTHERS[0])]), 1.0) is one


def test_neither_the_sample_itself_nor_the_same_video_is_asked():
    one = one_clip_apart()
    same_video = other(7, OTHERS[0], uri="pool:b")
    itself = replace(other(8, OTHERS[1]), id=one.id)
    assert add(one, Pool([same_video, itself]), 1.0) is one
    assert add(one, Pool([same_video, itself, other(9, OTHERS[2])]), 1.0).questions[1].text == OTHERS[2]


def test_a_pool_holds_no_question_that_fits_anything():
    twice = "How many llamas cross the desert?"
    vague = ["What is happening now?", "What color is it?", "Who is this person?"]
    here = Pool([other(0, twice), other(1, twice.upper()), *(other(n + 2, text) for n, text in enumerate(vague))])
    assert here.questions == ()
    assert add(one_clip_apart(), here, 1.0) == one_clip_apart()
    assert all(len(content_words(text)) >= LEAST_WORDS for text in OTHERS)


def test_a_pool_takes_no_refused_question_and_none_of_a_proactive_sample():
    refused = other(0, OTHERS[0])
    refused = replace(refused, meta={"order": "multi_turn", "turns": {"a": {"qa_type": "NA"}}})
    narrated = replace(other(1, OTHERS[1]), meta={"order": "proactive"})
    assert Pool([refused, narrated]).questions == ()


def test_a_pool_is_bounded_and_the_same_whatever_the_order():
    some = [other(n, f"Who stole diamond {n} today?") for n in range(400)]
    full = Pool(iter(some), most=50)
    assert len(full.questions) == 50
    assert full.questions == Pool(reversed(some), most=50).questions
    assert full.questions != Pool(some, seed=1, most=50).questions
    assert set(full.questions) <= set(Pool(some).questions)
    with pytest.raises(WrongUse, match="a pool holds 1 question or more; got 0"):
        Pool(some, most=0)


def test_stems_are_rather_too_short_than_too_long():
    same = [
        ("girls", "girl"),
        ("singing", "sing"),
        ("chopped", "chop"),
        ("cars", "car"),
        ("boxes", "box"),
        ("make", "now"),
    ]
    assert all(content_words(a) == content_words(b) for a, b in same)
    assert content_words("What is the Drum doing?") == {"drum"}
    assert content_words("他在做什么") == set("他在做什么")


def test_as_many_are_added_as_is_said_and_the_papers_ratio_adds_almost_none():
    here = pool()
    some = videos(500)
    found = sum(len(qas(one)) for one in some)
    added = sum(len(invented(add(one, here, 0.05))) for one in some)
    assert abs(added / found - 0.05) < 4 * math.sqrt(0.05 * 0.95 / found)
    assert RATIO == 0.0001 and sum(add(one, here) is not one for one in some) < 5
    assert [add(one, here, 0.05, epoch=0) for one in some] == [add(one, here, 0.05) for one in some]
    assert [add(one, here, 0.05, epoch=1) for one in some] != [add(one, here, 0.05) for one in some]
