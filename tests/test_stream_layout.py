"""Promises of how a sample lies in time: frames before turns, clips on ticks, labels on frames. Knows no data set."""

import itertools
import math

import numpy as np
import pytest

from streambridge import streamit
from streambridge.data.augment import shift
from streambridge.data.flatten import Seen, between, count_by, edge_ms, flatten, frames, is_after, said_late, shown
from streambridge.data.joining import join
from streambridge.data.labels import PAPER, WIDTHS, Width, labels, labels_of, share
from streambridge.errors import BadInput, UnknownName, WrongUse
from streambridge.types import Media, Question, Reference, Timeline

NO_TICKS = [0, -1000, 0.5, math.nan, math.inf, "1000", None]
TICKS = [1000, 500, 1000 / 3, 1000 / 30, 40]


def sample(*turns, duration=10.0, media=None, **meta):
    return Timeline("set/train/a#0", media or (Media("set:a", 0.0, duration),), duration, turns, meta)


def instant(end_ms, duration_ms, tick_ms):
    """The first edge of a frame at or after the end of a span, as the schema puts it."""
    k = 0
    while edge_ms(k, tick_ms) < end_ms:
        k += 1
    return min(edge_ms(k, tick_ms), duration_ms) / 1000


def ragged(rng, n, order, tick_ms=1000):
    """A sample whose spans, and whose duration, end anywhere; they may overlap and answers may meet at one instant."""
    duration = int(rng.integers(2_000, 90_000))
    ends = sorted(int(end) for end in rng.integers(1, duration + 1, rng.integers(1, 9)))
    spans = [(int(rng.integers(0, end)) / 1000, end / 1000) for end in ends]
    placed = [(instant(end, duration, tick_ms), span) for end, span in zip(ends, spans, strict=True)]
    turns = [Question("q0", 0.0, "Tell me.", "watch", "instruction")] if order == "proactive" else []
    for k, (t, met) in enumerate(itertools.groupby(placed, key=lambda one: one[0])):
        asked = "q0" if order == "proactive" else f"q{k}"
        turns += [] if order == "proactive" else [Question(asked, t, "What now?")]
        turns += [Reference(f"a{k}", t, "This.", asked, tuple(span for _, span in met))]
    media = (Media("set:x", 3.25, 3.25 + duration / 1000),)
    return Timeline(f"x/train/{n}#0", media, duration / 1000, tuple(turns), {"order": order})


# ---------------------------------------------------------------------------------------------- frames


def test_frames_tell_where_their_picture_is():
    media = (Media("set:a", 7.5, 9.5), Media("set:b", 0.25, 1.75, 2.0))
    got = list(frames(sample(media=media, duration=3.5)))
    assert got == [
        Seen(0, 0, 1000, 0, "set:a", 8000),
        Seen(1, 1000, 2000, 0, "set:a", 9000),
        Seen(2, 2000, 3000, 1, "set:b", 750),
    ]


def test_where_a_join_lies_inside_a_frame_the_middle_tells_whose_picture_it_is():
    media = (Media("set:a", 0.0, 1.4), Media("set:b", 5.0, 6.2, 1.4), Media("set:c", 0.0, 1.4, 2.6))
    got = [(one.uri, one.source_ms) for one in frames(sample(media=media, duration=4.0))]
    assert got == [("set:a", 500), ("set:b", 5100), ("set:b", 6100), ("set:c", 900)]


def test_three_frames_a_second_stay_three_for_an_hour():
    got = list(frames(sample(duration=3600.0), 1000 / 3))
    assert len(got) == 3 * 3600
    assert [one.available_ms for one in got[2::3]] == list(range(1000, 3_601_000, 1000))
    assert all(one.available_ms == after.start_ms for one, after in itertools.pairwise(got))


@pytest.mark.parametrize("tick_ms", [*TICKS, 1, 1.5, 1001 / 30])
def test_as_many_frames_are_there_as_have_ended(tick_ms):
    ends = [edge_ms(k + 1, tick_ms) for k in range(300)]
    for ms in sorted({0, *range(0, ends[-1], 7), *ends[:-1], *(end - 1 for end in ends)}):
        assert count_by(ms, tick_ms) == sum(end <= ms for end in ends)


def test_a_stream_of_years_is_laid_out_one_by_one():
    years = sample(Question("q", 2.0, "What?"), Reference("a", 2.0, "This.", "q"), duration=10.0**9)
    first = itertools.islice(flatten(years), 5)
    assert [getattr(one, "number", None) or getattr(one, "id", None) for one in first] == [None, 1, "q", "a", 2]


@pytest.mark.parametrize("tick_ms", NO_TICKS)
def test_what_is_no_tick_is_refused(tick_ms):
    for verb in (lambda: list(flatten(sample(), tick_ms)), lambda: labels(sample(), tick_ms=tick_ms)):
        with pytest.raises(WrongUse, match="a tick is a number of milliseconds"):
            verb()
    with pytest.raises(WrongUse, match="a tick is a number of milliseconds"):
        join([(Media("set:a", 0.0, 5.0), "words")], tick_ms)


@pytest.mark.parametrize(
    "media", [(Media("a", 0, 3),), (Media("a", 0, 3), Media("b", 0, 5, 5.0)), (Media("a", 0, 9, 1.0),)]
)
def test_a_frame_that_no_media_shows_is_told(media):
    with pytest.raises(BadInput, match=r"^'set/train/a#0': media lie end to end from 0 to 10.0 s; none at \d+ ms$"):
        list(frames(sample(media=media)))


def test_a_sample_without_media_is_told():
    with pytest.raises(BadInput, match="none at 500 ms"):
        list(frames(Timeline("x", (), 3.0, ())))


# ---------------------------------------------------------------------------------------------- causal order


def test_a_question_at_the_start_precedes_all_frames_and_the_last_frames_follow_the_last_turn():
    said = sample(Question("q", 0.0, "?", "watch"), Reference("a", 2.0, "!", "q", ((0.2, 1.4),)), duration=3.9)
    assert [getattr(one, "id", None) or one.number for one in flatten(said)] == ["q", 0, 1, "a", 2]


@pytest.mark.parametrize("tick_ms", TICKS)
def test_before_a_turn_come_all_frames_there_by_then_and_no_other(tick_ms):
    rng = np.random.default_rng(1)
    for n in range(40):
        laid = list(flatten(one := ragged(rng, n, ("proactive", "multi_turn")[n % 2], tick_ms), tick_ms))
        assert [turn for turn in laid if not isinstance(turn, Seen)] == list(one.turns)
        assert [frame for frame in laid if isinstance(frame, Seen)] == list(frames(one, tick_ms))
        for place, turn in enumerate(laid):
            if not isinstance(turn, Seen):
                before = [frame for frame in laid[:place] if isinstance(frame, Seen)]
                assert all(frame.available_ms <= streamit.to_ms(turn.t) for frame in before)
                assert len(before) == count_by(streamit.to_ms(turn.t), tick_ms)


@pytest.mark.parametrize("tick_ms", TICKS)
def test_no_frame_after_the_evidence_precedes_a_proactive_answer(tick_ms):
    rng = np.random.default_rng(2)
    for n in range(60):
        seen = []
        for turn in flatten(ragged(rng, n, "proactive", tick_ms), tick_ms):
            if isinstance(turn, Seen):
                seen.append(turn)
            elif isinstance(turn, Reference):
                end = max(streamit.to_ms(end) for _, end in turn.evidence)
                assert not [frame for frame in seen if frame.start_ms >= end]
                assert not [frame for frame in seen if is_after(frame.number, turn.evidence, tick_ms)]
                assert not said_late(turn, tick_ms)


@pytest.mark.parametrize("tick_ms", TICKS)
def test_no_frame_comes_between_a_multi_turn_question_and_its_answer(tick_ms):
    rng = np.random.default_rng(3)
    for n in range(60):
        one = ragged(rng, n, "multi_turn", tick_ms)
        laid = list(flatten(one, tick_ms))
        for question, answer in zip(one.questions, one.references, strict=True):
            assert laid.index(answer) == laid.index(question) + 1
            assert not between(question, answer, tick_ms)
            assert not said_late(answer, tick_ms)


def test_frames_between_a_question_and_its_answer_are_those_laid_between():
    question, answer = Question("q", 2.3, "?", "watch"), Reference("a", 6.0, "!", "q", ((2.3, 5.5),))
    assert list(between(question, answer)) == [2, 3, 4, 5]
    laid = list(flatten(sample(question, answer)))
    assert [one.number for one in laid[laid.index(question) + 1 : laid.index(answer)]] == [2, 3, 4, 5]
    assert list(shown(2000, 4000)) == [2, 3]


def test_a_frame_is_after_the_evidence_when_it_begins_there_or_later():
    spans = ((0.0, 9.0), (3.0, 4.5))
    assert [is_after(k, spans) for k in (3, 8, 9, 10)] == [False, False, True, True]
    assert not is_after(3, ())


@pytest.mark.parametrize(("t", "late"), [(4.0, []), (5.0, []), (6.0, [5]), (8.0, [5, 6, 7])])
def test_an_answer_that_comes_late_is_told_by_the_frames_it_should_not_have_seen(t, late):
    assert list(said_late(Reference("a", t, "!", "q", ((1.0, 4.5),)))) == late


# ---------------------------------------------------------------------------------------------- joins


def clips(rng, count):
    starts, lengths = rng.integers(0, 50_000, count), rng.integers(1_000, 20_000, count)
    return [
        (Media(f"set:{k}", int(start) / 1000, int(start + length) / 1000, 99.0), f"words {k}")
        for k, (start, length) in enumerate(zip(starts, lengths, strict=True))
    ]


def straddling(media, tick_ms):
    """How many inner joins lie inside a frame."""
    return sum(edge_ms(count_by(round(1000 * one.at_s), tick_ms), tick_ms) != round(1000 * one.at_s) for one in media)


@pytest.mark.parametrize("tick_ms", TICKS)
def test_no_frame_straddles_a_join(tick_ms):
    rng = np.random.default_rng(4)
    for _ in range(60):
        given = clips(rng, int(rng.integers(2, 13)))
        made = join(given, tick_ms)
        assert straddling(made.media, tick_ms) == 0
        seen = list(frames(sample(media=made.media, duration=made.duration_s), tick_ms))
        for number, (whole, _) in enumerate(given):
            start, end = (streamit.to_ms(t) for t in made.span(number))
            own = [frame for frame in seen if frame.media == number]
            assert own[0].start_ms == start and own[-1].available_ms == end
            assert all(streamit.to_ms(whole.start_s) <= one.source_ms < streamit.to_ms(whole.end_s) for one in own)


def test_clips_joined_as_they_are_straddle_the_grid():
    media, at = [], 0.0
    for clip, _ in clips(np.random.default_rng(5), 200):
        media.append(Media(clip.uri, clip.start_s, clip.end_s, at))
        at += clip.end_s - clip.start_s
    assert straddling(media, 1000) > 150


@pytest.mark.parametrize("tick_ms", TICKS)
def test_joined_clips_lie_end_to_end_and_lose_less_than_a_tick_each(tick_ms):
    given = clips(np.random.default_rng(6), 50)
    made = join(given, tick_ms)
    assert made.words == tuple(words for _, words in given)
    at = 0
    for number, ((whole, _), cut) in enumerate(zip(given, made.media, strict=True)):
        lost = streamit.to_ms(whole.end_s) - streamit.to_ms(cut.end_s)
        assert (cut.uri, cut.start_s, streamit.to_ms(cut.at_s)) == (whole.uri, whole.start_s, at)
        assert 0 <= lost < tick_ms + 1
        assert (number in made.trimmed) == (lost > 0)
        at += streamit.to_ms(cut.end_s) - streamit.to_ms(cut.start_s)
    assert made.duration_s == at / 1000


def test_what_was_trimmed_is_told_by_hand():
    given = [(Media("s:a", 1.5, 4.5), "A"), (Media("s:b", 0.0, 2.999), "B"), (Media("s:c", 0.0, 1.0), "C")]
    made = join(given)
    assert made.media == (Media("s:a", 1.5, 4.5, 0.0), Media("s:b", 0.0, 2.0, 3.0), Media("s:c", 0.0, 1.0, 5.0))
    assert (made.trimmed, made.quirks, made.duration_s) == ((1,), ["trimmed_to_tick"], 6.0)
    assert [made.span(k) for k in range(3)] == [(0.0, 3.0), (3.0, 5.0), (5.0, 6.0)]
    assert join(given[:1]).quirks == []


@pytest.mark.parametrize(("start", "end"), [(0.0, 0.999), (5.0, 5.0), (5.0, 3.0), (-2.0, 3.0), (math.nan, 3.0)])
def test_a_clip_that_gives_no_whole_tick_is_refused(start, end):
    with pytest.raises(BadInput, match=r"at least one tick|a finite number of seconds"):
        join([(Media("set:a", 0.0, 3.0), "A"), (Media("set:b", start, end), "B")])


def test_no_clip_at_all_is_refused():
    with pytest.raises(BadInput, match="one clip or more; none came"):
        join([])


# ---------------------------------------------------------------------------------------------- labels

HALF = {"": Width(share=0.5)}


def asked(t=0.0, **more):
    return Question("q", t, "Tell me.", "watch", **more)


def told(t, *spans, name="a", kind=""):
    return Reference(name, t, "This.", "q", spans, kind=kind)


def test_the_last_share_of_the_frames_of_the_evidence_is_positive():
    one = sample(asked(), told(6.0, (2.0, 5.5)))  # frames 2 to 5 become available in (2, 6]
    assert labels(one, HALF) == [0, 0, 0, 0, 1, 1, 0, 0, 0, 0]


def test_a_share_is_rounded_up():
    one = sample(asked(), told(6.0, (1.2, 5.5)))  # 1 to 5: half of five are three
    assert labels(one, HALF) == [0, 0, 0, 1, 1, 1, 0, 0, 0, 0]


def test_a_share_near_nothing_still_has_one_positive_frame():
    one = sample(asked(), told(6.0, (2.0, 5.5)))
    assert labels(one, {"": Width(share=0.0)}) == [0, 0, 0, 0, 0, 1, 0, 0, 0, 0]


def test_no_frame_before_the_question_is_judged():
    one = sample(asked(3.0), told(8.0, (0.0, 8.0)))
    assert labels(one, {"": Width(share=0.75)}) == [-1, -1, -1, 1, 1, 1, 1, 1, 0, 0]


def test_answers_that_overlap_are_united():
    one = sample(asked(), told(4.0, (0.0, 4.0)), told(5.0, (2.0, 4.3), name="b"))  # 2, 3 and 3, 4
    assert labels(one, HALF) == [0, 0, 1, 1, 1, 0, 0, 0, 0, 0]


def test_of_several_spans_the_one_that_ends_last_is_labelled():
    spans = ((5.0, 7.5), (0.0, 2.0))
    assert labels(sample(asked(), told(8.0, *spans)), {"": Width(share=1.0)}) == [0, 0, 0, 0, 0, 1, 1, 1, 0, 0]


def test_a_watch_for_one_answer_is_over_when_it_came():
    one = sample(asked(1.0, once=True), told(4.0, (2.0, 4.0)), told(8.0, (6.0, 8.0), name="b"))
    assert labels(one, HALF) == [-1, 0, 0, 1, -1, -1, -1, -1, -1, -1]


def test_a_watch_that_expires_is_not_judged_after():
    one = sample(asked(1.0, expires_s=5.5), told(4.0, (2.0, 4.0)), told(9.0, (6.0, 9.0), name="b"))
    assert labels(one, HALF) == [-1, 0, 0, 1, 0, 0, -1, -1, -1, -1]


@pytest.mark.parametrize(("ms", "first"), [(4.0, 4), (4.5, 4), (4.501, 5), (5.0, 5)])
def test_an_instant_is_shown_by_the_first_picture_of_it_or_later(ms, first):
    one = sample(asked(), told(ms, (ms, ms), kind="point"))
    assert labels(one).index(1) == first and sum(labels(one)) == 1
    assert [k for k, label in enumerate(labels(one, {"": Width(frames=3)})) if label] == [first, first + 1, first + 2]


def test_what_the_last_part_of_a_tick_shows_no_frame_can_tell():
    one = sample(asked(), told(9.6, (9.1, 9.5)), duration=9.6)
    assert labels(one) == [0] * 9


def test_who_asks_now_waits_for_nobody():
    one = sample(Question("q", 3.0, "What is this?"), told(3.0, (0.0, 3.0)))
    assert labels(one) == [-1] * 10
    with pytest.raises(WrongUse, match="has no watch 'q'; its watches: none"):
        labels_of(one, "q")


def test_a_shifted_question_is_labelled_like_any_watch():
    qa = (Question("q", 8.0, "What is this?"), told(8.0, (3.0, 8.0)))
    one = shift(sample(*qa, order="multi_turn", task="realtime_qa"), p=1.0)
    assert labels(one, {"": Width(share=0.4)}) == [-1, -1, -1, 0, 0, 0, 1, 1, -1, -1]


def test_watches_are_labelled_apart_and_together():
    other = Question("p", 2.0, "And that?", "watch", "new_sign")
    one = sample(asked(), other, told(3.0, (0.0, 3.0)), Reference("b", 6.0, "That.", "p", ((2.0, 6.0),)))
    widths = {**HALF, "new_sign": Width(frames=1)}
    assert labels_of(one, "q", widths) == [0, 1, 1, 0, 0, 0, 0, 0, 0, 0]
    assert labels_of(one, "p", widths) == [-1, -1, 0, 0, 0, 1, 0, 0, 0, 0]
    assert labels(one, widths) == [0, 1, 1, 0, 0, 1, 0, 0, 0, 0]


def test_labels_stand_on_frames_of_any_rate():
    one = sample(asked(), told(2.0, (1.0, 2.0)), duration=3.0)
    assert labels(one, HALF, tick_ms=250) == [0] * 6 + [1] * 2 + [0] * 4


@pytest.mark.parametrize(
    ("kind", "task", "positive"),
    [("new_sign", "world", 1), ("sign_says", "world", 3), ("instruction", "step", 6), ("", "action_detect", 3)],
)
def test_widths_for_events_go_by_the_kind_of_question_or_else_the_task(kind, task, positive):
    one = sample(Question("q", 0.0, "Tell me.", "watch", kind), told(20.0, (0.0, 20.0)), duration=30.0, task=task)
    assert labels(one, "events") == [0] * (20 - positive) + [1] * positive + [0] * 10


def test_what_has_no_width_of_its_own_has_the_papers():
    one = sample(asked(), told(20.0, (0.0, 20.0)), duration=30.0, task="dense_caption")
    assert labels(one, "events") == labels(one, "paper") == labels(one, {"": PAPER})
    assert not WIDTHS["paper"]


def test_a_width_is_no_victim_of_floats():
    assert 0.07 * 100 > 7 and Width(share=0.07).count(100, 0.0) == 7
    assert [Width(share=0.1).count(n, 0.0) for n in (10, 20, 30, 31)] == [1, 2, 3, 4]


def test_unknown_widths_and_answers_without_evidence_are_told():
    with pytest.raises(UnknownName, match=r"no widths called 'event'; did you mean 'events'\? There are"):
        labels(sample(asked()), "event")
    with pytest.raises(BadInput, match="answer 'a': labels come from evidence, and it has none"):
        labels(sample(asked(), told(3.0)))


def test_the_share_of_a_sample_is_drawn_below_one_half_for_each_sample_and_epoch():
    drawn = [share(f"set/train/{n}#0") for n in range(4000)]
    assert 0 <= min(drawn) < 0.001 and 0.499 < max(drawn) < 0.5
    assert abs(np.mean(drawn) - 0.25) < 4 * 0.5 / math.sqrt(12 * 4000)
    assert share("a") == share("a", 0, 0) != share("a", 0, 1) != share("a", 1, 0)


@pytest.mark.parametrize("tick_ms", [1000, 500, 1000 / 3])
def test_the_papers_rule_holds_on_any_proactive_sample(tick_ms):
    rng = np.random.default_rng(7)
    for n in range(40):
        one = ragged(rng, n, "proactive", tick_ms)
        seen = list(frames(one, tick_ms))
        due = set()
        for answer in one.references:
            start = max((end, start) for start, end in answer.evidence)[1]
            own = [f.number for f in seen if 1000 * start + 1e-6 < f.available_ms <= 1000 * answer.t + 1e-6]
            due |= set(own[len(own) - max(1, math.ceil(share(one.id, 3) * len(own))) :] if own else ())
        assert labels(one, tick_ms=tick_ms, seed=3) == [int(frame.number in due) for frame in seen]
