"""Promises of the scores: worked cases, brute force, an oracle, a silent model. Knows no model."""

import itertools
import json
import math
import time

import numpy as np
import pytest

from streambridge.errors import WrongUse
from streambridge.scoring.answers import StreamScore, combine, pair_questions, plain, score_stream
from streambridge.scoring.intervals import poisson, wilson
from streambridge.scoring.moments import Moments, match, measure, pool
from streambridge.types import Answered, Asked, Delta, Ended, Interrupted, Media, Question, Reference, Timeline

# ---------------------------------------------------------------------------------------------- moments


def brute(references, fires, tol):
    """The best one-to-one matching by trying all: (pairs, least sum of distances)."""
    best = (0, 0.0)
    for size in range(1, min(len(references), len(fires)) + 1):
        for some in itertools.combinations(range(len(references)), size):
            for others in itertools.permutations(range(len(fires)), size):
                apart = [abs(references[i] - fires[j]) for i, j in zip(some, others, strict=True)]
                if max(apart) <= tol + 1e-9:
                    best = max(best, (size, -sum(apart)))
    return best[0], -best[1]


def test_matching_equals_trying_all_pairings():
    rng = np.random.default_rng(13)
    seen = set()
    for _ in range(300):
        references = rng.integers(0, 12, rng.integers(0, 6)) / 2  # halves: many ties and equal times
        fires = rng.integers(0, 12, rng.integers(0, 6)) / 2
        tol = float(rng.choice([0.0, 0.5, 1.0, 2.0, math.inf]))
        pairs = match(list(references), list(fires), tol)
        assert len({i for i, _ in pairs}) == len({j for _, j in pairs}) == len(pairs)
        apart = [abs(references[i] - fires[j]) for i, j in pairs]
        assert all(distance <= tol for distance in apart)
        assert (len(pairs), sum(apart)) == pytest.approx(brute(references, fires, tol))
        seen.add(len(pairs))
    assert seen == {0, 1, 2, 3, 4, 5}


def test_more_pairs_go_before_nearer_pairs():
    assert match([0.0, 1.0], [1.0, 2.0], 1.0) == ((0, 0), (1, 1))  # taking 1.0-1.0 would leave both others alone


def test_the_window_is_closed_and_reaches_both_ways():
    assert match([1.0], [2.0], 1.0) == match([1.0], [0.0], 1.0) == ((0, 0),)
    assert match([0.3], [1.3], 1.0) == ((0, 0),)  # 1.3 - 0.3 > 1.0 in floats
    assert match([1.0], [2.001], 1.0) == ()


def test_a_gate_that_fires_at_each_frame_of_eight_hours_is_matched_in_seconds():
    fires, references = list(np.arange(28_800) + 0.25), list(np.arange(0.0, 28_800, 20.0))
    begin = time.perf_counter()
    assert len(match(references, fires, 1.0)) == len(references)
    assert time.perf_counter() - begin < 20


def test_precision_recall_f1_delay_and_false_alarms_of_a_worked_case():
    moments = measure([10.0, 20.0, 30.0], [10.5, 12.0, 19.75, 50.0], tol_s=1.0, hours=0.5)
    assert moments == Moments(references=3, fires=4, delays=(0.5, -0.25), hours=0.5)
    assert (moments.precision, moments.recall) == (50.0, pytest.approx(200 / 3))
    assert moments.f1 == pytest.approx(400 / 7)
    assert (moments.delay_s, moments.false_alarms, moments.false_alarms_per_hour) == (0.125, 2, 4.0)


def test_nothing_gives_none_and_never_a_nan():
    nothing = Moments()
    assert nothing == pool([]) == measure([], [], 1.0)
    assert {nothing.precision, nothing.recall, nothing.f1, nothing.delay_s, nothing.false_alarms_per_hour} == {None}


def test_silence_where_something_was_due_is_an_f1_of_zero():
    silent = measure([1.0], [], 1.0, hours=1.0)
    assert (silent.precision, silent.recall, silent.f1, silent.false_alarms_per_hour) == (None, 0.0, 0.0, 0.0)


@pytest.mark.parametrize("wrong", [([math.nan], [], 1.0), ([], [math.inf], 1.0), ([], [], -1.0), ([], [], math.nan)])
def test_times_and_tolerances_without_sense_are_refused(wrong):
    with pytest.raises(WrongUse, match="seconds"):
        match(*wrong)


# ---------------------------------------------------------------------------------------------- intervals


def test_wilson_gives_the_published_values():
    # Newcombe, Statistics in Medicine 17 (1998), table I: 81/263, 15/148, 0/20, 1/29.
    published = {
        (81, 263): (0.2553, 0.3662),
        (15, 148): (0.0624, 0.1605),
        (0, 20): (0, 0.1611),
        (1, 29): (0.0061, 0.1718),
    }
    for (hits, n), expected in published.items():
        assert wilson(hits, n) == pytest.approx(expected, abs=5e-5)


def test_wilson_ends_at_0_and_1_exactly_and_is_none_of_nothing():
    assert wilson(0, 7)[0] == 0.0 and wilson(7, 7)[1] == 1.0 and wilson(0, 0) is None


def test_poisson_gives_the_published_values():
    # Exact limits for a Poisson count (Garwood 1936; Ulm 1990, American Journal of Epidemiology 131).
    published = {
        0: (0.0, 3.6889),
        1: (0.0253, 5.5716),
        3: (0.6187, 8.7673),
        10: (4.7954, 18.3904),
        100: (81.364, 121.627),
    }
    for count, expected in published.items():
        assert poisson(count, 1.0) == pytest.approx(expected, abs=5e-4)
        assert poisson(count, 8.0) == pytest.approx([bound / 8 for bound in expected], abs=1e-4)


def test_poisson_holds_its_tails_at_counts_whose_factorials_overflow():
    low, high = poisson(2000, 1.0)
    assert low == pytest.approx(2000 - 1.96 * math.sqrt(2000), abs=3) and high == pytest.approx(2089.6, abs=2)


def test_poisson_of_no_exposure_is_none():
    assert poisson(0, 0.0) is None


@pytest.mark.parametrize(("interval", "wrong"), [
    (wilson, (3, 2)), (wilson, (-1, 2)), (wilson, (1, 2, 1.0)), (wilson, (1, 2, math.nan)),
    (poisson, (-1, 1.0)), (poisson, (1, -1.0)), (poisson, (1, math.nan)), (poisson, (1, math.inf)),
    (poisson, (1, 1, 0)),
])  # fmt: skip
def test_counts_without_sense_are_refused(interval, wrong):
    with pytest.raises(WrongUse):
        interval(*wrong)


# ---------------------------------------------------------------------------------------------- answers


def scripted(questions, references, duration_s=60.0):
    turns = sorted([*questions, *references], key=lambda turn: turn.t)
    return Timeline("t", (Media("world:1", 0.0, duration_s),), duration_s, tuple(turns))


STREAM = scripted(
    [
        Question("watch-it", 0.0, "Tell me each step.", "watch", "each_step"),
        Question("s1", 10.0, "What does the sign say?", "now", "sign"),
        Question("s2", 40.0, "What does the sign say?", "now", "sign"),
        Question("f", 50.0, "What did it say at first?", "now", "first_sign"),
    ],
    [
        Reference("r1", 10.0, "It says LAMP.", "s1"),
        Reference("r2", 40.0, "It says TREE.", "s2"),
        Reference("r3", 50.0, "LAMP.", "f"),
        Reference("w1", 15.0, "Step one.", "watch-it"),
        Reference("w2", 30.0, "Step two.", "watch-it"),
    ],
)
ABOUT = {"sign": "now", "first_sign": "past"}


def said(t, asked, text, answer="a"):
    return Answered(t=t + 0.5, answer=answer, asked=asked, text=text, t_asked=0.0, t_fired=t, tokens=5)


def oracle(timeline):
    """The events of a session that knows everything; its ids are its own, in order of asking."""
    names = {question.id: f"q{i}" for i, question in enumerate(timeline.questions)}
    asked = [Asked(t=one.t, id=names[one.id], text=one.text, when=one.when) for one in timeline.questions]
    return [*asked, *(said(one.t, names[one.reply_to], one.text) for one in timeline.references), Ended(t=60.0)]


def test_an_oracle_scores_100_everywhere():
    report = combine([score_stream(STREAM, oracle(STREAM), about=ABOUT)] * 3)
    assert report["questions"] == {
        "first_sign": {"about": "past", "accuracy": 100.0, "n": 3}, "sign": {"about": "now", "accuracy": 100.0, "n": 6},
    }  # fmt: skip
    assert (report["now"], report["past"]) == (100.0, 100.0)
    assert report["proactive"] == {
        "precision": 100.0, "recall": 100.0, "f1": 100.0, "text_exact": 100.0, "delay_s": 0.0,
        "false_alarms_per_hour": 0.0,
    }  # fmt: skip


def test_a_silent_model_scores_the_floor_whether_asked_or_not():
    silent = [event for event in oracle(STREAM) if not isinstance(event, Answered)]
    for events, unasked in ((silent, 0), ([], 4)):
        score = score_stream(STREAM, events, about=ABOUT)
        report = combine([score])
        assert score.unasked == report["n"]["unasked"] == unasked
        assert (report["now"], report["past"], report["questions"]["sign"]["n"]) == (0.0, 0.0, 2)
        assert report["proactive"] == {
            "precision": None, "recall": 0.0, "f1": 0.0, "text_exact": None, "delay_s": None,
            "false_alarms_per_hour": 0.0,
        }  # fmt: skip


def test_a_worked_stream_with_a_late_a_wrong_and_a_false_answer():
    events = [
        *(event for event in oracle(STREAM) if isinstance(event, Asked)),
        said(10.0, "q1", "it  says lamp"), said(40.0, "q2", "It says LAMP."), said(50.0, "q3", "LAMP"),
        said(15.5, "q0", "Step one."), said(31.0, "q0", "Step three."), said(45.0, "q0", "Step two."),
    ]  # fmt: skip
    report = combine([score_stream(STREAM, events, about=ABOUT)])
    assert report["questions"]["sign"] == {"about": "now", "accuracy": 50.0, "n": 2}
    assert (report["now"], report["past"]) == (50.0, 100.0)
    assert report["proactive"] == {
        "precision": pytest.approx(200 / 3), "recall": 100.0, "f1": 80.0, "text_exact": 50.0, "delay_s": 0.75,
        "false_alarms_per_hour": pytest.approx(60.0),
    }  # fmt: skip


def test_the_report_has_exactly_the_promised_keys_and_is_json():
    report = combine([score_stream(STREAM, oracle(STREAM), about=ABOUT)])
    assert list(report) == ["questions", "now", "past", "proactive", "n", "intervals"]
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert report["intervals"]["now"] == pytest.approx([100 * bound for bound in wilson(2, 2)])
    assert report["intervals"]["proactive"]["false_alarms_per_hour"] == pytest.approx([0.0, 3.6889 * 60], rel=1e-4)


def test_no_streams_and_an_empty_stream_give_none():
    for scores in ([], [StreamScore()], [score_stream(scripted([], []), [Ended(t=1.0)])]):
        report = combine(scores)
        assert report["questions"] == {} and report["now"] is report["past"] is None
        assert set(report["proactive"].values()) == set(report["intervals"]["proactive"].values()) == {None}


def test_answers_are_matched_with_their_own_question_only():
    timeline = scripted(
        [Question("x", 0.0, "Steps?", "watch"), Question("y", 0.0, "Signs?", "watch")],
        [Reference("r", 10.0, "Step.", "x"), Reference("s", 20.0, "Sign.", "y")],
    )
    asked = [Asked(t=0.0, id="q0", text="Signs?", when="watch"), Asked(t=0.0, id="q1", text="Steps?", when="watch")]
    right = combine([score_stream(timeline, [*asked, said(10.0, "q1", "Step."), said(20.0, "q0", "Sign.")])])
    crossed = combine([score_stream(timeline, [*asked, said(10.0, "q0", "Step."), said(20.0, "q1", "Sign.")])])
    assert right["proactive"]["f1"] == 100.0 and crossed["proactive"]["f1"] == 0.0


def test_the_same_words_asked_again_are_told_apart_by_time_even_if_one_was_never_asked():
    later = [Asked(t=40.2, id="q0", text="What does the sign say?", when="now"), said(40.2, "q0", "It says TREE.")]
    score = score_stream(STREAM, later, about=ABOUT)
    assert [mark.right for mark in score.marks] == [False, True, False]
    assert pair_questions(STREAM.questions, [later[0]]) == {"s2": "q0"}


def test_a_question_beside_the_script_counts_for_nothing_but_is_counted():
    events = [Asked(t=5.0, id="q9", text="What time is it?", when="now"), said(5.0, "q9", "Late."), *oracle(STREAM)]
    score = score_stream(STREAM, events, about=ABOUT)
    assert score.beside == 1 and combine([score])["proactive"]["f1"] == combine([score])["now"] == 100.0


def test_an_answer_that_was_cut_is_no_answer():
    events = [event for event in oracle(STREAM) if not (isinstance(event, Answered) and event.asked == "q1")]
    cut = [Delta(t=10.0, answer="a7", text="It says LAMP."), Interrupted(t=10.0, answer="a7", tokens=3)]
    assert [mark.right for mark in score_stream(STREAM, [*events, *cut], about=ABOUT).marks] == [False, True, True]


def test_only_a_first_answer_counts_and_any_reference_will_do():
    timeline = scripted(
        [Question("q", 1.0, "Colour?")], [Reference("a", 1.0, "Red.", "q"), Reference("b", 1.0, "Crimson.", "q")]
    )
    asked = Asked(t=1.0, id="q0", text="Colour?", when="now")
    second = score_stream(timeline, [asked, said(1.0, "q0", "crimson"), said(2.0, "q0", "Blue.")])
    assert second.marks[0].right
    assert not score_stream(timeline, [asked, said(1.0, "q0", "Blue."), said(2.0, "q0", "Red.")]).marks[0].right


def test_a_kind_that_about_does_not_know_is_refused_by_name():
    with pytest.raises(WrongUse, match="'first_sign'.*known kinds: sign"):
        score_stream(STREAM, oracle(STREAM), about={"sign": "now"})


@pytest.mark.parametrize(("one", "other", "same"), [
    ("It says LAMP.", " it  says\nlamp ", True), ("3.", "3", True), ("Red!", "Red", False),
    ("A. B.", "A B", False), ("", ".", True), ("Straße", "STRASSE", True),
])  # fmt: skip
def test_words_are_compared_without_case_blanks_and_one_final_stop(one, other, same):
    assert (plain(one) == plain(other)) is same
