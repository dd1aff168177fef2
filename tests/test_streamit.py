"""Promises of the file form of timelines, `streamit/1`. Knows no data set."""

import json
import math

import numpy as np
import pytest

from streambridge import streamit
from streambridge.errors import BadInput, RunFailed
from streambridge.types import Media, Question, Reference, Timeline

# The sample of the schema's own text, composed for this project.
SAMPLE = (
    '{"schema":"streamit/1","id":"activitynet_captions/train/v_AbCdEfGhIjK#0","task":"dense_caption",'
    '"order":"proactive","split":"train","source":{"dataset":"activitynet_captions","version":"1.3",'
    '"key":"v_AbCdEfGhIjK","licence":"unstated","converter":"activitynet_captions@1","raw_sha256":"..."},'
    '"media":[{"uri":"activitynet:v_AbCdEfGhIjK","in_ms":0,"out_ms":81370,"at_ms":0}],"duration_ms":81370,"turns":['
    '{"id":"q0","role":"user","t_ms":0,"kind":"instruction","text":"Tell me what happens as it happens."},'
    '{"id":"a0","role":"assistant","t_ms":13000,"text":"A boy ties his laces on the porch.","reply_to":"q0",'
    '"evidence":[[400,12960]],"learn":true},'
    '{"id":"a1","role":"assistant","t_ms":42000,"text":"He kicks a ball against the garage door.","reply_to":"q0",'
    '"evidence":[[11200,41800]],"learn":true}],'
    '"quirks":["overlap","end_clamped"],"policy":{"overlap":"by_end","tick_ms":1000}}'
)


def sample(**changes):
    return {**json.loads(SAMPLE), **changes}


def turn(i, **changes):
    """The sample with one of its turns changed; a change to None takes the field away."""
    turns = json.loads(SAMPLE)["turns"]
    turns[i] = {name: value for name, value in {**turns[i], **changes}.items() if value is not None}
    return sample(turns=turns)


def random_timeline(rng, n):
    """Any timeline on whole milliseconds, with every field in use."""
    times = sorted(int(ms) / 1000 for ms in rng.integers(0, 10**7, 12))
    turns = [Question("q", times[0], "First?")]
    for i, t in enumerate(times[1:]):
        if rng.random() < 0.4:
            expires = int(rng.integers(1, 10**6)) / 1000 if rng.random() < 0.5 else None
            when = str(rng.choice(["now", "watch", "auto"]))
            turns.append(Question(f"q{i}", t, f"火 {i} \u2028?", when, "sign" if i % 2 else "", i % 3 == 0, expires))
        else:
            asked = [one.id for one in turns if isinstance(one, Question)]
            spans = tuple((int(a) / 1000, (int(a) + 1500) / 1000) for a in rng.integers(0, 10**7, rng.integers(3)))
            turns.append(Reference(f"a{i}", t, 'Say "no".', str(rng.choice(asked)), spans, i % 2 == 0))
    media = (Media("set:one", 1.25, 5000.0), Media("set:two", 0.0, 5000.001, 4998.75))
    meta = {"task": "world", "order": str(rng.choice(["proactive", "mixed"])), "quirks": [], "source": {"n": n}}
    extras = {turns[1].id: {"qa_type": "OCR", "options": ["a", "b"], "answer_index": 1}}
    return Timeline(f"t{n}", media, 10_000.0, tuple(turns), {**meta, "turns": extras} if n % 2 else meta)


def test_the_schemas_own_sample_is_read_and_written_back_byte_for_byte():
    timeline = streamit.from_line(SAMPLE)
    assert streamit.to_line(timeline) == SAMPLE
    assert timeline.questions == (Question("q0", 0.0, "Tell me what happens as it happens.", "watch", "instruction"),)
    assert timeline.references[0] == Reference(
        "a0", 13.0, "A boy ties his laces on the porch.", "q0", ((0.4, 12.96),), True
    )
    assert timeline.media == (Media("activitynet:v_AbCdEfGhIjK", 0.0, 81.37, 0.0),)
    assert timeline.duration_s == 81.37 and timeline.meta["policy"]["tick_ms"] == 1000


def test_any_timeline_on_whole_milliseconds_comes_back_as_it_was():
    rng = np.random.default_rng(17)
    for n in range(200):
        timeline = random_timeline(rng, n)
        line = streamit.to_line(timeline)
        assert streamit.from_line(line) == timeline
        assert streamit.to_line(streamit.from_line(line)) == line and "\n" not in line


def test_every_millisecond_of_a_day_survives_seconds_and_back():
    for ms in [*range(0, 86_400_000, 997), 86_399_999]:
        assert streamit.to_ms(streamit.to_s(ms)) == ms


def test_rounding_goes_to_the_nearest_millisecond_and_keeps_the_order():
    assert [streamit.to_ms(t) for t in (0.0004, 0.0006, 1 / 30, 12.9999)] == [0, 1, 33, 13000]


@pytest.mark.parametrize("t", [math.nan, math.inf, "1", None])
def test_a_time_that_is_none_is_not_converted(t):
    with pytest.raises(BadInput, match="finite number of seconds"):
        streamit.to_ms(t)


def test_a_question_without_when_watches_in_a_proactive_sample_and_asks_in_any_other():
    for order, when in (("proactive", "watch"), ("multi_turn", "now"), ("mixed", "now")):
        line = json.dumps(sample(order=order))
        assert streamit.from_line(line).questions[0].when == when
        assert '"when"' not in streamit.to_line(streamit.from_line(line))


@pytest.mark.parametrize(("wrong", "expected"), [
    (sample(schema="streamit/2"), "schema: is 'streamit/1'; got 'streamit/2'"),
    (sample(turn=[]), "turn: a sample has no such field, did you mean 'turns'?"),
    (sample(id=" "), "id: is a text that is not empty"), (sample(id=7), "id: is a text"),
    (sample(duration_ms=0), "duration_ms: is a whole number from 1"),
    (sample(duration_ms=81370.0), "duration_ms: is a whole number"),
    (sample(duration_ms=True), "duration_ms: is a whole"),
    (sample(duration_ms=10**30), "duration_ms: is a whole number"),
    (sample(media={}), "media: is a list"), (sample(media=[3]), "media[0]: is a mapping; got 3"),
    (sample(media=[{"uri": "a:b", "in_ms": 5, "out_ms": 5, "at_ms": 0}]), "media[0].out_ms: lies after in_ms = 5"),
    (sample(media=[{"uri": "a:b", "in_ms": 0, "out_ms": 5}]), "media[0].at_ms: this field is missing"),
    (sample(turns=None), "turns: is a list; got None"), (sample(turns=["x"]), "turns[0].role: is user or assistant"),
    (sample(task=3), "task: is a text"), (sample(quirks="overlap"), "quirks: is a list"),
    (sample(policy=[]), "policy: is a mapping"),
    (turn(0, role="system"), "turns[0].role: is user or assistant; got 'system'"),
    (turn(0, t_ms=None), "turns[0].t_ms: this field is missing"),
    (turn(0, t_ms=-1), "turns[0].t_ms: is a whole number"),
    (turn(0, when="later"), "turns[0].when: is one of now, watch, auto; got 'later'"),
    (turn(0, once="yes"), "turns[0].once: is true or false"),
    (turn(0, learn=True), "learn: turns[0] has no such field"),
    (turn(0, text=""), "turns[0].text: is a text that is not empty"),
    (turn(0, text="\ud800"), "turns[0].text: is a text"),
    (turn(1, txt="x"), "txt: turns[1] has no such field, did you mean 'text'?"),
    (turn(1, reply_to="q9"), "turns[1].reply_to: is the id of an earlier user turn; got 'q9'"),
    (turn(1, reply_to="a1"), "turns[1].reply_to: is the id of an earlier user turn; got 'a1'"),
    (turn(1, evidence=[[5, 4]]), "turns[1].evidence[0]: is [start, end]"),
    (turn(1, evidence=[[1, 2], [0.5, 1]]), "turns[1].evidence[1]: is [start, end]"),
    (turn(1, learn=1), "turns[1].learn: is true or false"),
    (turn(2, id="a0"), "turns[2].id: stands once in a sample; got 'a0'"),
    (turn(2, t_ms=12_999), "turns[2].t_ms: lies in [13000, 81370]: never back in time; got 12999"),
    (turn(2, t_ms=81_371), "turns[2].t_ms: lies in [13000, 81370]"),
])  # fmt: skip
def test_each_rule_is_told_with_its_field_and_what_came(wrong, expected):
    with pytest.raises(BadInput) as said:
        streamit.from_line(json.dumps(wrong))
    assert str(said.value).startswith(expected) and "\n" not in str(said.value)


@pytest.mark.parametrize("line", [
    "", "{", "[]", "null", "\0", "[" * 100_000, SAMPLE + "x", SAMPLE[:-1], SAMPLE[:-1] + ',"id":"again"}',
    SAMPLE.replace('"tick_ms":1000', '"tick_ms":NaN'), "a,b,c",
])  # fmt: skip
def test_what_is_no_sample_is_refused_in_one_line(line):
    with pytest.raises(BadInput) as said:
        streamit.from_line(line)
    assert str(said.value).startswith("line: ") and "\n" not in str(said.value) and len(str(said.value)) < 300


QUESTION = Question("q", 0.0, "Why?")
MEDIA = (Media("a:b", 0.0, 1.0),)


@pytest.mark.parametrize("wrong", [
    Timeline("t", MEDIA, math.nan, ()), Timeline("", MEDIA, 1.0, ()), Timeline("t", MEDIA, 1.0, (QUESTION, QUESTION)),
    Timeline("t", MEDIA, 1.0, (Reference("a", 0.5, "So.", "q"), QUESTION)),
    Timeline("t", MEDIA, 1.0, (), {"seed": 3}), Timeline("t", MEDIA, 1.0, (), {"source": {"x": object()}}),
    Timeline("t", MEDIA, 1.0, (), {"source": {"x": "\ud800"}}), Timeline("t", MEDIA, 1.0, (), {"turns": {"q": {}}}),
    Timeline("t", MEDIA, 1.0, (QUESTION,), {"turns": {"q": {"text": "another"}}}),
    Timeline("t", MEDIA, 1.0, (QUESTION,), {"turns": 3}),
])  # fmt: skip
def test_what_would_not_be_read_is_not_written(wrong):
    with pytest.raises(BadInput):
        streamit.to_line(wrong)


def test_a_file_is_read_one_sample_at_a_time_and_a_wrong_one_is_named_by_file_and_line(tmp_path):
    path = tmp_path / "samples.jsonl"
    path.write_text(SAMPLE + "\n\n" + json.dumps(turn(1, t_ms="13 s")) + "\n")
    samples = streamit.read(path)
    assert streamit.to_line(next(samples)) == SAMPLE
    with pytest.raises(BadInput, match=r"samples\.jsonl:3: turns\[1\]\.t_ms: is a whole number.*'13 s'"):
        next(samples)


def test_a_written_file_reads_back_and_is_written_again_to_the_same_bytes(tmp_path):
    rng = np.random.default_rng(19)
    timelines = [random_timeline(rng, n) for n in range(20)]
    assert streamit.write(tmp_path / "one", timelines) == 20
    assert list(streamit.read(tmp_path / "one")) == timelines
    streamit.write(tmp_path / "two", streamit.read(tmp_path / "one"))
    assert (tmp_path / "two").read_bytes() == (tmp_path / "one").read_bytes()


def test_lines_may_end_as_windows_ends_them(tmp_path):
    (tmp_path / "x").write_bytes(SAMPLE.encode() + b"\r\n")
    assert streamit.to_line(*streamit.read(tmp_path / "x")) == SAMPLE


def test_garbage_files_are_refused_with_their_first_line(tmp_path, monkeypatch):
    monkeypatch.setattr(streamit, "MOST_BYTES", 1000)
    for content in (b"\xff\xfe\n", b"\x00" * 5000, b"RIFF\x00AVI \n"):
        (tmp_path / "x").write_bytes(content)
        with pytest.raises(BadInput, match="x:1: "):
            list(streamit.read(tmp_path / "x"))


def test_a_file_that_cannot_be_read_or_written_is_one_clear_line(tmp_path):
    with pytest.raises(BadInput, match="cannot read .*absent: No such file"):
        list(streamit.read(tmp_path / "absent"))
    with pytest.raises(RunFailed, match="cannot write "):
        streamit.write(tmp_path, [])
