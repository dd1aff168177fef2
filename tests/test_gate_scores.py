"""Promises of `bench gate`: figures reckoned by hand, the sweep is the product, and garbage is told in one line."""

import json
import math

import numpy as np
import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from fakes import FakeBackbone, make_frame
from streambridge import streamit, wire
from streambridge.activation.sweep import (
    REARMS,
    RESTS_S,
    Trace,
    at,
    best,
    counted,
    fires,
    grid,
    share_of,
    summed,
    trigger_of,
)
from streambridge.activation.trigger import PAPER, Trigger, TriggerSettings
from streambridge.bench import gate_logs, gate_plots
from streambridge.bench.gate_page import page
from streambridge.bench.gate_scores import evaluate, frame_labels
from streambridge.cli.gate_scores import gate
from streambridge.errors import BadInput, Missing, StreamBridgeError, WrongUse
from streambridge.replay import replay
from streambridge.scoring import calibration
from streambridge.scoring.alarms import Firing, firing, quantile, row, together
from streambridge.scoring.moments import Moments
from streambridge.session import Session
from streambridge.types import (
    Asked,
    Decision,
    Ended,
    GateTokens,
    Media,
    Question,
    Reference,
    Scored,
    Started,
    Timeline,
    Unwatched,
    Watching,
)

WORDS = "Tell me each step."


class TableGate:
    """A gate whose score is a function of question and frame; its trigger is the product's."""

    name = "table"

    def __init__(self, score, trigger=None):
        self.score, self.trigger, self.asked = score, trigger or TriggerSettings(), 0

    def look(self, frame, tokens):
        return GateTokens({}, frame.t)

    def watch(self, question, t):
        gate, trigger = self, Trigger(self.trigger)

        class One:
            def observe(self, frame):
                gate.asked += 1
                score = gate.score(question, frame.t)
                return Decision(score, trigger.step(score, frame.t))

            def heard(self, text, t):
                """An answer changes nothing."""

        return One()

    def settings(self):
        return {"gate": self.name, **self.trigger.mapping()}


def timeline(watches, duration=20.0, name="clip"):
    """Watches as {words: moments} or {words: (moments, fields of the question)}."""
    turns = []
    for number, (text, told) in enumerate(watches.items()):
        moments, fields = told if isinstance(told, tuple) else (told, {})
        question = Question(f"w{number}", fields.pop("t", 0.0), text, "watch", **fields)
        turns.append((question.t, 0, question))
        for k, t in enumerate(moments):
            turns.append((t, 1, Reference(f"w{number}a{k}", t, "done.", question.id, ((t, t),), kind="point")))
    ordered = tuple(turn for _, _, turn in sorted(turns, key=lambda turn: turn[:2]))
    media = (Media("clip.mp4", 0.0, duration),)
    return Timeline(name, media, duration, ordered, {"task": "world", "order": "proactive"})


def logged(path, scores, fired=(), asked=0.0, text=WORDS, end=None, settings=None, why=None):
    """A log of one watch, written by hand; returns its path."""
    last = (max(scores) if scores else asked) if end is None else end
    told = {"activation": {"name": "t", **(settings or TriggerSettings().mapping())}}
    events = [Started(t=0.0, schema="streambridge/1", settings=told), Asked(t=asked, id="q0", text=text, when="watch")]
    events.append(Watching(t=asked, watch="q0", text=text))
    events += [Scored(t=t, watch="q0", score=score, fire=t in fired) for t, score in scores.items()]
    events += [Unwatched(t=last, watch="q0", why=why)] if why else []
    with wire.Journal(path) as journal:
        for event in [*events, Ended(t=last)]:
            journal.write(event)
    return path


# ---------------------------------------------------------------------------------------------- worked cases


def test_fires_are_counted_with_delays_and_duplicates_as_reckoned_by_hand():
    # 5 s is met by 5.5, 10 s by 9.0; 6.0 is near 5 s which is met already, 15.0 is near nothing, 12 s is missed.
    found = firing([5.0, 10.0, 13.0], [5.5, 6.0, 9.0, 15.0], 1.0, 0.5)
    assert found.moments == Moments(3, 4, (0.5, -1.0), 0.5) and found.duplicates == 1
    told = row(found)
    assert [told[name] for name in ("precision", "recall", "f1")] == pytest.approx([50.0, 200 / 3, 400 / 7])
    assert told["false_alarms_per_hour"] == 4.0 and told["delay_median_s"] == -0.25
    assert told["delay_p90_s"] == pytest.approx(0.35)
    assert told["intervals"]["precision"] == pytest.approx([15.0, 85.0], abs=0.1)  # Wilson, 2 of 4
    assert told["intervals"]["false_alarms_per_hour"] == pytest.approx([0.484, 14.449], abs=1e-2)  # Garwood, 2 in 0.5
    assert told["n"] == {
        "references": 3, "fires": 4, "matched": 2, "false_alarms": 2, "duplicates": 1, "hours": 0.5
    }  # fmt: skip


def test_a_silent_gate_and_an_empty_stream_have_figures_too():
    silent, empty = row(firing([1.0], [], 1.0, 1.0)), row(Firing())
    assert (silent["precision"], silent["recall"], silent["f1"]) == (None, 0.0, 0.0)
    assert empty["f1"] is empty["delay_p90_s"] is empty["false_alarms_per_hour"] is None
    assert together([]) == Firing()


def test_quantiles_lie_straight_between_neighbours():
    assert [quantile([4.0, 1.0, 2.0, 3.0], share) for share in (0, 0.5, 0.9, 1)] == [1.0, 2.5, pytest.approx(3.7), 4.0]
    assert quantile([], 0.5) is None


def test_calibration_is_as_reckoned_by_hand():
    labels, scores = [0, 1, 1, 0], [0.1, 0.3, 0.9, 0.9]
    low, high = calibration.bins(labels, scores, 2)
    assert (low.n, low.positive, low.score) == (2, 1, pytest.approx(0.4))
    assert low.gap == pytest.approx(0.3) and high.gap == pytest.approx(0.4)
    assert calibration.expected_error([low, high]) == pytest.approx(0.35)
    assert calibration.brier(labels, scores) == pytest.approx((0.01 + 0.49 + 0.01 + 0.81) / 4)
    told = calibration.report(labels, scores)
    assert told["brier_of_the_base_rate"] == 0.25 and told["n"] == {"frames": 4, "positive": 2}
    assert calibration.bins([1], [1.0])[-1].n == 1, "a score of 1 lies in the last bin"
    assert calibration.report([], [])["ece"] is None


def test_calibration_refuses_what_is_no_score():
    for labels, scores in (([1], []), ([2], [0.5]), ([1], [math.nan]), ([0], [1.5])):
        with pytest.raises(WrongUse):
            calibration.report(labels, scores)


def test_frames_are_labelled_as_gates_are_trained():
    times = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    point = timeline({WORDS: ([2.5], {"kind": "new_sign"})})
    assert frame_labels(times, point.questions[0], point) == [0, 0, 0, 1, 0, 0]
    alert = timeline({WORDS: ([2.0], {"kind": "sign_says"})})
    assert frame_labels(times, alert.questions[0], alert) == [0, 0, 1, 1, 1, 0]
    once = timeline({WORDS: ([2.0], {"kind": "new_sign", "once": True})})
    assert frame_labels(times, once.questions[0], once) == [0, 0, 1, None, None, None]
    question = Question("q", 0.0, WORDS, "watch", "each_step")
    span = Timeline("s", (), 6.0, (question, Reference("a", 5.0, "x", "q", ((0.0, 5.0),))))
    assert frame_labels(times, question, span) == [0, 0, 0, 0, 1, 1], "the last 30 % of five frames"


# ---------------------------------------------------------------------------------------------- the sweep


GAPS, MARKS = st.sampled_from([0.25, 0.5, 1.0]), st.sampled_from([0.0, 0.2, 0.4, 0.5, 0.505, 0.6, 0.9, 1.0])


@settings(max_examples=150, deadline=None)
@given(
    steps=st.lists(st.tuples(GAPS, MARKS), max_size=30),
    threshold=st.sampled_from([0.2, 0.5, 0.6]),
    rest=st.sampled_from([0.0, 1.0, 2.5]),
    rearm=st.sampled_from([None, 0.0, 0.2]),
    rising=st.booleans(),
    asked=st.sampled_from([0.0, 0.7, 3.1]),
)
def test_at_the_products_own_settings_the_sweep_fires_where_the_session_told(
    tmp_path_factory, steps, threshold, rest, rearm, rising, asked
):
    trigger = TriggerSettings(threshold, rest, rearm, rising)
    times = np.cumsum([0.0, *(gap for gap, _ in steps)])[:-1].tolist()
    if asked:  # frames at an even pace, so that the time of the frame in view can be told from the log
        times = [float(k) for k in range(len(times))]
    scores = dict(zip(times, (score for _, score in steps), strict=True))
    session = Session(FakeBackbone(), TableGate(lambda text, t: scores[t], trigger))
    path = tmp_path_factory.mktemp("log") / "log.jsonl"
    frames = [make_frame(k, t) for k, t in enumerate(times)]
    truth = timeline({WORDS: ([], {"t": asked})})
    with wire.Journal(path) as journal:
        for event in replay(session, frames, truth.questions):
            journal.write(event)
    (one,) = gate_logs.judged(log := gate_logs.read(path), truth)
    assert log.own.mapping() == trigger.mapping()
    told = [event.t for event in wire.read(path) if isinstance(event, Scored) and event.fire]
    enough = asked == 0.0 or len(one.watched.times) > 2
    assert fires(one.trace(), trigger) == told or not enough


def test_a_once_watch_fires_once_and_a_frame_in_view_is_told_when_the_question_comes():
    trace = Trace((2.0, 3.0, 4.0, 5.0), (0.9, 0.0, 0.9, 0.0), asked=2.5)
    assert fires(trace, TriggerSettings()) == [2.5, 4.0]
    assert fires(Trace(trace.times, trace.scores, once=True), TriggerSettings()) == [2.0]
    assert fires(trace, TriggerSettings(rest_s=2.0)) == [2.5, 4.0], "the rest runs from the frame, as in the product"


def test_the_gates_own_settings_are_read_and_kept_but_for_the_threshold():
    assert trigger_of({"gate": "x", "first": {"threshold": 0.1}, "second": PAPER.mapping()}) == PAPER
    own = TriggerSettings(0.6, 2.0, 0.15)
    moved = at(own, 0.2)
    assert (moved.threshold, moved.rest_s, moved.rearm_at) == (0.2, 2.0, pytest.approx(0.05))
    assert {share_of(cell) for cell in grid(PAPER)} == {0.5}, "without edges there is no hysteresis to vary"
    for scores, times in (([1.5], [0.0]), ([math.nan], [0.0]), ([0.5, 0.5], [1.0, 0.0])):
        with pytest.raises(BadInput):
            Trace(times, scores)
    with pytest.raises(WrongUse, match="'periodic' has no threshold"):
        trigger_of({"gate": "periodic", "every_s": 2.0})


def test_of_equally_good_settings_fewer_alarms_win_and_then_the_middle_of_the_plateau():
    scores = [0.0, 0.8, 0.0, 0.4, 0.0, 0.9, 0.0]
    trace = Trace(range(7), scores, [1.0, 5.0], hours=1.0)
    cells = [cell for cell in grid(TriggerSettings()) if cell.rest_s == 0.0]
    worth = summed(counted([trace], cells, 0.5))
    chosen = cells[best(cells, worth)]
    assert worth[best(cells, worth)].moments.f1 == 100.0
    assert chosen.threshold == pytest.approx(0.58, abs=0.021)  # the middle of [0.4, 0.8), where only both fire
    assert chosen.rest_s == 0.0 and share_of(chosen) == 0.5
    rested = grid(TriggerSettings())
    chosen = rested[best(rested, summed(counted([trace], rested, 0.5)))]
    assert (chosen.rest_s, chosen.threshold) == (3.0, 0.4), "with a rest all of (0, 0.8) is as good: a wider plateau"
    alone = [TriggerSettings(0.1), TriggerSettings(0.9)]
    same = [Firing(Moments(4, 8, (0.0,) * 3)), Firing(Moments(4, 4, (0.0,) * 2))]
    assert same[0].moments.f1 == same[1].moments.f1 == 50.0 and best(alone, same) == 1


# ---------------------------------------------------------------------------------------------- logs and timelines


def test_a_whole_evaluation_is_as_reckoned_by_hand(tmp_path):
    # Fires at 5 and 9 (5 is met, 9 is false), 15 missed; a second log fires at 3 for 3.5.
    one = logged(tmp_path / "a", {t: 0.9 if t in (5.0, 9.0) else 0.1 for t in np.arange(0.0, 20.0)}, (5.0, 9.0))
    two = logged(tmp_path / "b", {t: 0.8 if t == 3.0 else 0.2 for t in np.arange(0.0, 20.0)}, (3.0,))
    kind = {"kind": "new_sign"}
    truths = [timeline({WORDS: ([5.0, 15.0], dict(kind))}), timeline({WORDS: ([3.5], dict(kind))})]
    found = evaluate([gate_logs.read(one), gate_logs.read(two)], truths, (1.0, 0.25))
    near, tight = found["by_tolerance"]["1"], found["by_tolerance"]["0.25"]
    assert near["n"] == {
        "references": 3, "fires": 3, "matched": 2, "false_alarms": 1, "duplicates": 0, "hours": 38 / 3600
    }  # fmt: skip
    assert near["delay_median_s"] == -0.25 and near["false_alarms_per_hour"] == pytest.approx(3600 / 38)
    assert tight["n"]["matched"] == 1
    assert found["by_kind"]["new_sign"]["n"]["matched"] == 2
    own = next(one for one in found["sweep"]["1"] if one["threshold"] == 0.5)
    assert own["n"] == near["n"] and own["f1"] == near["f1"]
    assert found["n"]["fires_that_differ"] == 0 and found["n"]["unasked"] == found["n"]["beside"] == 0
    assert found["calibration"]["n"] == {"frames": 40, "positive": 3}
    assert found["best"]["f1"] >= near["f1"] and len(found["grid"]) == len(RESTS_S) * len(REARMS)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    shown = page(found, "streambridge bench gate", {"thresholds": "thresholds.svg"})
    assert "| 1 s | 66.7 [20.8, 93.9] | 66.7 [20.8, 93.9] | 66.7 |" in shown and "(thresholds.svg)" in shown


def test_moments_of_a_watch_that_was_never_put_are_missed_and_one_beside_counts_for_nothing(tmp_path):
    log = gate_logs.read(logged(tmp_path / "a", {0.0: 0.1, 1.0: 0.9}, (1.0,)))
    found = evaluate([log], [timeline({WORDS: [1.0], "Tell me of the sign.": [1.0, 2.0]})])
    assert found["by_tolerance"]["1"]["n"]["references"] == 3 and found["n"]["unasked"] == 1
    log = gate_logs.read(logged(tmp_path / "b", {0.0: 0.1, 1.0: 0.9}, (1.0,), text=" tell me each  step"))
    assert evaluate([log], [timeline({WORDS: [1.0]})])["by_tolerance"]["1"]["f1"] == 100.0
    with pytest.raises(BadInput, match="asked no watch of 'clip'"):
        evaluate([log], [timeline({"Something else.": [1.0]})])


def test_hours_count_once_however_many_watches_stand(tmp_path):
    session = Session(FakeBackbone(), TableGate(lambda text, t: 0.1))
    truth = timeline({WORDS: ([], {"t": 0.0}), "Tell me of the sign.": ([], {"t": 5.0})})
    with wire.Journal(path := tmp_path / "log") as journal:
        for event in replay(session, [make_frame(k) for k in range(11)], truth.questions):
            journal.write(event)
    found = evaluate([gate_logs.read(path)], [truth])
    assert found["by_tolerance"]["1"]["n"]["hours"] == pytest.approx(10 / 3600)


def test_logs_find_their_timelines_by_words_and_time_when_there_are_more_of_them(tmp_path):
    truths = [timeline({WORDS: ([2.0], {"t": float(t)})}, name=f"s{t}") for t in (0, 3, 6)]
    logs = [gate_logs.read(logged(tmp_path / f"{t}", {t + 1.0: 0.9}, (t + 1.0,), asked=float(t))) for t in (6, 0)]
    assert [truth.id for _, truth in gate_logs.paired(logs, truths)] == ["s6", "s0"]
    lost = gate_logs.read(logged(tmp_path / "lost", {9.0: 0.1}, asked=8.5))
    with pytest.raises(BadInput, match="fits none of the 3 timelines"):
        gate_logs.paired([lost], truths)
    with pytest.raises(BadInput, match="fits 's0', 's0' of the 2"):
        gate_logs.paired(logs[1:], [truths[0], truths[0]])


def test_a_skipped_frame_of_two_gates_is_not_taken_for_a_score(tmp_path):
    told = {"gate": "a+b", "bar": 0.02, "first": {"gate": "a"}, "second": TriggerSettings().mapping()}
    path = logged(tmp_path / "a", {0.0: 0.9, 1.0: 0.0, 2.0: 0.8}, (0.0,), settings=told)
    found = evaluate([gate_logs.read(path)], [timeline({WORDS: [0.0]})])
    assert found["n"]["fires_that_differ"] == 0 and found["calibration"]["n"]["frames"] == 2


# ---------------------------------------------------------------------------------------------- garbage


def test_garbage_in_logs_is_told_in_one_line(tmp_path):
    started = '{"type": "started", "t": 0.0, "schema": "streambridge/1", "settings": %s}\n'
    own = json.dumps({"activation": {"gate": "x", **TriggerSettings().mapping()}})
    watch = '{"type": "watching", "t": 0.0, "watch": "q0", "text": "x"}\n'
    score = '{"type": "scored", "t": %s, "watch": "q0", "score": %s, "fire": false}\n'
    for text, said in {
        "": "holds no event",
        "nonsense\n": ":1: not a line of JSON",
        '{"type": "ended", "t": 1.0}\n': "begins with 'ended'",
        started % "{}": "tells no settings of a gate",
        started % '{"activation": {"gate": "periodic"}}': "'periodic' has no threshold",
        started % '{"activation": {"threshold": 2.0}}': "threshold is a number",
        started % '{"activation": {"threshold": 0.5, "second": 3}}': "no threshold",
        (started % own) * 2: "holds two sessions",
        started % own + score % (1.0, 0.5): "no `watching` came before it",
        started % own + watch + score % (1.0, 1.5): "a score of 1.5",
        started % own + watch + score % (2.0, 0.5) + score % (1.0, 0.5): "do not go back",
        started % own + watch + score % (1.0, "NaN"): "finite",
    }.items():
        (path := tmp_path / "log").write_text(text)
        with pytest.raises(BadInput) as caught:
            gate_logs.read(path)
        assert said in str(caught.value) and "\n" not in str(caught.value), text
    log = gate_logs.read(logged(tmp_path / "x", {}))
    with pytest.raises(BadInput, match="watch for nothing"):
        evaluate([log] * 2, [Timeline("n", (), 1.0, ())])
    with pytest.raises(WrongUse, match="tolerances"):
        evaluate([], [], (-1.0,))


# ---------------------------------------------------------------------------------------------- as a person types it


@pytest.fixture
def program():
    app = typer.Typer()
    app.command()(gate)
    return lambda *words: CliRunner().invoke(app, [str(word) for word in words])


def test_the_verb_writes_json_page_and_plots(program, tmp_path):
    log = logged(tmp_path / "a.jsonl", {float(t): 0.9 if t == 5 else 0.1 for t in range(20)}, (5.0,))
    streamit.write(truth := tmp_path / "t.jsonl", [timeline({WORDS: [5.0]})])
    done = program("--events", log, "--timelines", truth, "--tol", "1,2", "--out", tmp_path / "report")
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "report" / "gate.json").read_text())
    assert list(found["by_tolerance"]) == ["1", "2"] and found["by_tolerance"]["1"]["f1"] == 100.0
    for name in ("thresholds", "calibration"):
        drawn = (tmp_path / "report" / f"{name}.svg").read_text()
        assert drawn.startswith("<?xml") and f"]({name}.svg)" in (tmp_path / "report" / "gate.md").read_text()
    printed = program("--events", log, "--timelines", truth, "--json")
    assert json.loads(printed.output)["by_tolerance"]["5"]["f1"] == 100.0


def test_the_same_figures_give_the_same_plot(tmp_path):
    rows = [{"threshold": t, **row(firing([1.0], [1.0], 1.0, 1.0))} for t in (0.2, 0.4)]
    for name in ("one.svg", "two.svg"):
        gate_plots.curves(rows, {"own": 0.5}, "t", tmp_path / name)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()


def test_without_matplotlib_a_plot_is_refused_before_anything_long(program, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    with pytest.raises(Missing, match=r"streambridge\[plots\]"):
        gate_plots.expect_library(tmp_path / "x.svg")
    done = program("--events", "nothing", "--timelines", "nothing", "--out", tmp_path / "r")
    assert isinstance(done.exception, Missing), "told before the missing files are"


def test_wrong_use_of_the_verb_is_one_line(program, tmp_path):
    log = logged(tmp_path / "a.jsonl", {0.0: 0.1})
    streamit.write(truth := tmp_path / "t.jsonl", [timeline({WORDS: [5.0]})])
    (empty := tmp_path / "empty").write_text("")
    for words, said in (
        (("--events", log, "--timelines", truth, "--tol", "a,b"), "expected seconds with commas"),
        (("--events", log, "--timelines", truth, "--tol", "nan"), "tolerances"),
        (("--events", tmp_path / "none", "--timelines", truth), "there is no such file"),
        (("--events", log, "--events", log, "--timelines", truth), "named twice"),
        (("--events", log, "--timelines", empty), "holds no timeline"),
        (("--events", log, "--timelines", truth, "--out", empty), "is a file"),
    ):
        done = program(*words)
        assert isinstance(done.exception, StreamBridgeError) and said in str(done.exception), words
        assert "\n" not in str(done.exception)
