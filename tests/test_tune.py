"""Promises of `tune`: numbers come from labels, are judged on clips left out, and a second run asks no gate."""

import json
from dataclasses import replace

import pytest
import yaml

from fakes import FakeBackbone, make_frame
from fakes_checkpoints import save
from streambridge import cli, streamit
from streambridge.activation.filtered import Filtered
from streambridge.activation.sweep import fires, trigger_of
from streambridge.activation.trigger import TriggerSettings
from streambridge.cli.choosing import backbone_for, gate_for
from streambridge.errors import BadInput, RunFailed, StreamBridgeError
from streambridge.session import Session
from streambridge.sources import open_source
from streambridge.sources.source import Opened
from streambridge.train import clip_scores, tuning, wishes
from streambridge.types import Media, Question, Reference, Timeline
from streambridge.world.script import World
from streambridge.world.truth import WATCHES
from test_gate_scores import TableGate

WATCH = "Tell me each step."
OWN = TriggerSettings(0.5)


class Clip(Opened):
    """So many frames, one a second."""

    def __init__(self, seconds, told=True):
        super().__init__("clip", 1.0, float(seconds) if told else None)
        self.seconds = seconds

    def _run(self):
        yield from (make_frame(number) for number in range(self.seconds))


def wish(clip, *moments, watch=WATCH, **fields):
    lines = tuple(wishes.Moment(float(t), "done.", f"labels:{number}") for number, t in enumerate(moments, 2))
    return wishes.Wish(clip, watch, lines, where="labels:2", **fields)


def part(clip, scores, *moments, **fields):
    """A wish and its scores, one a second; it was run at OWN."""
    times = tuple(map(float, range(len(scores))))
    told = wish(clip, *moments, **fields)
    silent = clip_scores.Scores(times, tuple(scores), (), float(len(scores)))
    fired = tuple(fires(clip_scores.Part(told, silent).trace(), OWN))
    return clip_scores.Part(told, replace(silent, fires=fired))


def peaks(seconds, **at):
    """A flat line of 0.1 with peaks: t5=0.4."""
    return [at.get(f"t{second}", 0.1) for second in range(seconds)]


def low(clip, n=4, peak=0.4):
    """A clip whose moments are scored 0.4 only: the own threshold of 0.5 misses them all."""
    due = [5 * k + 2 for k in range(n)]
    return part(clip, peaks(5 * n, **{f"t{t}": peak for t in due}), *due)


# ---------------------------------------------------------------------------------------------- what is proposed


def test_a_threshold_that_misses_everything_is_brought_down_also_for_clips_left_out():
    found = tuning.tune([low("a"), low("b"), low("c")], OWN.mapping())
    assert found["in_sample"]["before"]["f1"] == found["left_out"]["before"]["f1"] == 0.0
    assert found["in_sample"]["after"]["f1"] == found["left_out"]["after"]["f1"] == 100.0
    assert found["proposed"] == found["best"] and found["why"] is None
    assert found["proposed"]["threshold"] == pytest.approx(0.24), "the middle of [0.1, 0.4)"
    assert found["n"]["moments"] == 12 and found["n"]["fires_that_differ"] == 0
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_the_clip_left_out_has_no_say_in_the_numbers_it_is_judged_by():
    # The planted clip wants 0.9 and more: every other frame is scored 0.8 and nothing should be said.
    planted = part("planted", [0.8, 0.0] * 30)
    others = [low("a", peak=0.4), low("b", peak=0.4), low("c", peak=0.4)]
    found = tuning.tune([*others, planted], OWN.mapping())
    (judged,) = [one for one in found["by_clip"] if one["clip"] == "planted"]
    alone = tuning.tune(others, OWN.mapping())
    assert judged["settings"] == alone["best"], "as if the planted clip were not there"
    assert judged["after"]["n"]["false_alarms"] > 0
    other = tuning.tune([*others, part("planted", [0.0] * 60)], OWN.mapping())
    assert [one["settings"] for one in other["by_clip"] if one["clip"] == "planted"] == [judged["settings"]]
    assert other["best"] != found["best"], "in sample it does have its say"


def test_what_helps_only_where_it_was_chosen_is_not_proposed():
    # Each clip alone would like another threshold; what the other two choose does not help the third.
    clips = [part("a", peaks(30, t4=0.2, t9=0.9, t14=0.9, t19=0.9), 9, 14, 19)]
    clips += [part(name, peaks(30, t4=0.9, t9=0.9, t14=0.9), 4, 9, 14, 19) for name in "bc"]
    found = tuning.tune(clips, OWN.mapping())
    assert found["left_out"]["after"]["f1"] <= found["left_out"]["before"]["f1"]
    assert found["proposed"] == found["own"] == dict(OWN.mapping()) and "own settings stay" in found["why"]


def test_too_few_moments_give_curves_and_no_proposal():
    found = tuning.tune([low("a", 2), low("b", 2)], OWN.mapping())
    assert found["proposed"] is None and found["why"].startswith("4 labelled moments are too few")
    assert str(tuning.LEAST_MOMENTS) in found["why"] and len(found["curve"]["own"]) > 50
    enough = tuning.tune([low("a", 5), low("b", 5)], OWN.mapping())
    assert enough["n"]["moments"] == tuning.LEAST_MOMENTS and enough["proposed"]


def test_one_clip_is_told_in_sample_only():
    found = tuning.tune([low("a", 12)], OWN.mapping())
    assert found["left_out"] is None and found["by_clip"] == [] and found["proposed"]["threshold"] < 0.4


def test_a_rest_is_found_where_less_is_wanted():
    scores = [0.9 if second % 5 == 2 else 0.1 for second in range(60)]
    seldom = [part(name, scores, *range(2, 60, 15)) for name in "abc"]
    found = tuning.tune(seldom, OWN.mapping())
    assert found["left_out"]["before"]["f1"] == 50.0 and found["left_out"]["after"]["f1"] == 100.0
    assert found["proposed"]["rest_s"] == 12.0


def test_a_deeper_hysteresis_is_found_where_scores_flicker():
    flicker = [0.1, 0.9, 0.3, 0.9, 0.3, 0.1, 0.1, 0.1] * 6
    shallow = TriggerSettings(0.5, 0.0, 0.5)
    clips = [part(name, flicker, *range(1, 48, 8)) for name in "ab"]
    found = tuning.tune(clips, shallow.mapping())
    assert found["in_sample"]["before"]["n"]["false_alarms"] == 12 and found["in_sample"]["after"]["f1"] == 100.0


def test_hours_of_a_clip_count_once_and_of_one_asked_late_from_there():
    clips = [low("a"), part("a", [0.1] * 20, watch="Another."), part("b", [0.1] * 20, asked=10.0)]
    found = tuning.tune(clips, OWN.mapping())
    assert found["in_sample"]["before"]["n"]["hours"] == pytest.approx(30 / 3600)
    assert [one["watch"] for one in found["by_watch"]] == [WATCH, "Another."]


def test_tuning_twice_gives_the_same():
    clips = [low("a"), part("b", peaks(30, t3=0.6, t9=0.5, t20=0.7), 3, 20), low("c")]
    assert tuning.tune(clips, OWN.mapping()) == tuning.tune(clips, OWN.mapping())


def test_wrong_use_of_tuning_is_one_line():
    for parts, settings, tol, said in (
        ([], OWN.mapping(), 1.0, "no label names a watch"),
        ([low("a")], OWN.mapping(), float("nan"), "a tolerance"),
        ([low("a")], {"gate": "periodic"}, 1.0, "'periodic' has no threshold"),
    ):
        with pytest.raises(StreamBridgeError, match=said):
            tuning.tune(parts, settings, tol)


# ---------------------------------------------------------------------------------------------- the gate, once


def gathered(gate, wanted, folder=None, seconds=20, identity=(), **clip):
    store = clip_scores.Store(folder, {"gate": gate.settings(), "more": list(identity)}) if folder else None
    return clip_scores.gather(wanted, lambda name: Clip(seconds, **clip), lambda: Session(FakeBackbone(), gate), store)


def test_a_second_run_asks_no_gate_and_another_gate_rate_or_question_does(tmp_path):
    gate, wanted = TableGate(lambda text, t: 0.9 if t == 5 else 0.1), [wish("a", 5), wish("b", 5)]
    first = gathered(gate, wanted, tmp_path)
    assert gate.asked == 40
    assert gathered(gate, wanted, tmp_path) == first and gate.asked == 40
    assert gathered(gate, [wish("a", 5, 9)], tmp_path)[0].scores == first[0].scores and gate.asked == 40
    for asked, changed in ((60, {"wanted": [wish("a", 5, watch="Other.")]}), (80, {"identity": ["other weights"]})):
        gathered(gate, **{"wanted": wanted[:1], "folder": tmp_path, **changed})
        assert gate.asked == asked
    gate.trigger = TriggerSettings(0.95)  # it would have spoken at other times
    gathered(gate, wanted[:1], tmp_path)
    assert gate.asked == 100


def test_broken_files_of_scores_are_made_anew(tmp_path):
    gate = TableGate(lambda text, t: 0.1)
    first = gathered(gate, [wish("a", 5)], tmp_path)
    (path,) = tmp_path.glob("*.json")
    whole = json.loads(path.read_text())
    wrong = [json.dumps({**whole, "times": [1]}), json.dumps({**whole, "key": "of another clip"})]
    for text in ("", "[]", "{}", path.read_text()[:-20], *wrong):
        path.write_text(text)
        gate.asked = 0
        assert gathered(gate, [wish("a", 5)], tmp_path) == first and gate.asked == 20


def test_a_clip_that_changed_is_seen_again(tmp_path):
    (clip := tmp_path / "clip.bin").write_bytes(b"one")
    before = clip_scores.clip_state(str(clip))
    clip.write_bytes(b"other")
    assert clip_scores.clip_state(str(clip)) != before == [str(clip), ["clip.bin", 3, before[1][2]]]
    assert clip_scores.clip_state("world:7") == ["world:7"] and clip_scores.clip_state("a\0b") == ["a\0b"]


def test_scores_go_on_behind_the_answer_of_a_question_asked_once_and_one_fire_counts():
    gate = TableGate(lambda text, t: 0.9 if t in (5, 15) else 0.1)
    (one,) = gathered(gate, [wish("a", 5, once=True)])
    assert len(one.scores.times) == 20 and one.scores.fires == (5.0, 15.0)
    found = tuning.tune([one], gate.settings())
    assert found["in_sample"]["before"]["n"]["fires"] == 1 and tuning.told([one], 1.0)["n"]["fires"] == 1
    assert found["n"]["fires_that_differ"] == 0


def test_a_question_put_between_two_frames_judges_the_one_in_view():
    gate = TableGate(lambda text, t: 0.9 if t == 2 else 0.1, TriggerSettings(0.5, 1.0))
    (one,) = gathered(gate, [wish("a", 5, asked=2.5)])
    assert one.scores.times[:2] == (2.0, 3.0) and one.scores.fires == (2.5,)
    assert tuning.tune([one], gate.settings())["n"]["fires_that_differ"] == 0


def test_a_moment_beyond_a_clip_is_told_before_any_clip_is_run():
    gate = TableGate(lambda text, t: 0.1)
    with pytest.raises(BadInput, match=r"labels:3: t is 20.5 s, and 'b' lasts 20 s"):
        gathered(gate, [wish("a", 5), wish("b", 5, 20.5)])
    assert gate.asked == 0
    with pytest.raises(BadInput, match="labels:2: t is 25 s, and 'a' lasts 20 s"):
        gathered(gate, [wish("a", 25)], told=False)
    with pytest.raises(RunFailed, match=r"scored no frame of 'a' .*: there was no frame"):
        gathered(gate, [wish("a")], seconds=0, told=False)


def test_scores_that_cannot_be_kept_are_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFailed, match="name a --work"):
        gathered(TableGate(lambda text, t: 0.1), [wish("a", 5)], tmp_path / "file")


# ---------------------------------------------------------------------------------------------- labels

HEAD = "clip,watch,t,text\n"


def read(tmp_path, text, clips=("a.mp4",)):
    (path := tmp_path / "labels.csv").write_text(text, encoding="utf-8")
    return wishes.read(path, clips)


def test_csv_json_lines_and_streamit_say_the_same(tmp_path):
    table = read(tmp_path, "\ufeff" + HEAD + 'a.mp4,"Each step, please.",5,done.\na,"Each step, please.",2.5,cut.\n\n')
    (one,) = table
    assert (one.clip, one.watch, [m.t for m in one.moments]) == ("a.mp4", "Each step, please.", [2.5, 5.0])
    assert one.moments[0].text == "cut." and one.moments[0].where.endswith("labels.csv:3")
    rows = [{"clip": "a.mp4", "watch": one.watch, "t": m.t, "text": m.text} for m in one.moments]
    lines = read(tmp_path, "\n".join(map(json.dumps, rows)))
    question = Question("q", 0.0, one.watch, "watch")
    answers = [Reference(f"a{k}", m.t, m.text, "q", ((0.0, m.t),)) for k, m in enumerate(one.moments)]
    sample = Timeline("s", (Media("a.mp4", 0.0, 9.0),), 9.0, (question, *answers), {"order": "proactive"})
    streamit.write(tmp_path / "s.jsonl", [sample])
    whole = wishes.read(tmp_path / "s.jsonl", ["a.mp4"])
    for found in (lines, whole):
        assert [(m.t, m.text) for m in found[0].moments] == [(m.t, m.text) for m in one.moments]


def test_a_line_without_time_and_text_watches_for_what_never_comes(tmp_path):
    found = read(tmp_path, HEAD + "b.mp4,W,3,x\na.mp4,W,,\n", ("a.mp4", "b.mp4"))
    assert [(one.clip, len(one.moments)) for one in found] == [("a.mp4", 0), ("b.mp4", 1)], "clips as they were typed"


def test_the_worlds_own_timelines_are_labels_of_world_clips(tmp_path):
    turns = (Question("q", 1.0, WATCH, "watch", once=True), Reference("a", 3.0, "x", "q", ((3.0, 3.0),), kind="point"))
    sample = Timeline("s", (Media(World(7, 60.0).name, 0.0, 60.0),), 60.0, turns)
    streamit.write(tmp_path / "s.jsonl", [sample])
    (one,) = wishes.read(tmp_path / "s.jsonl", ["world:7"])
    assert (one.clip, one.asked, one.once) == ("world:7", 1.0, True)


GARBAGE = {
    "": "labels.csv:1: the column 'clip' stands there 0 times; expected the head clip,watch,t,text",
    HEAD: "holds no label",
    "clip,watch,time,text\n": r"labels.csv:1: there is no column 'time'; did you mean|labels.csv:1: .*'time'",
    "clip,watch,txt,t\n": "did you mean 'text'",
    "clip,watch,t\n": "the column 'text' stands there 0 times",
    "clip,clip,watch,t,text\n": "'clip' stands there 2 times",
    HEAD + "a.mp4,W,5\n": "labels.csv:2: 3 cells under 4 columns",
    HEAD + "a.mp4,W,5,x,y\n": "put texts with commas in quotes",
    HEAD + ",W,5,x\n": "labels.csv:2: clip is empty",
    HEAD + "a.mp4, ,5,x\n": "labels.csv:2: watch is",
    HEAD + "a.mp4,W,nan,x\n": "labels.csv:2: t is 'nan'; expected seconds",
    HEAD + "a.mp4,W,-1,x\n": "t is '-1'",
    HEAD + "a.mp4,W,inf,x\n": "t is 'inf'",
    HEAD + "a.mp4,W,1:20,x\n": "t is '1:20'",
    HEAD + "a.mp4,W,,x\n": "t is ''",
    HEAD + "a.mp4,W,5,\n": "labels.csv:2: text is empty",
    HEAD + "a.mp4,W,5,x\na.mp4,W,5.0,y\n": "labels.csv:3: the moment 5 s of 'W' in 'a.mp4' stands there twice",
    HEAD + "b.mp4,W,5,x\n": "labels.csv:2: the clip 'b.mp4' was not given; did you mean 'a.mp4'",
    HEAD + 'a.mp4,"W,5,x\n': "this is no CSV",
    '{"clip": "a.mp4", "watch": "W", "t": 5}\n': "labels.csv:1: text is empty",
    '{"clip": "a.mp4", "watch": "W", "t": true, "text": "x"}\n': "t is True",
    '{"clip": "a.mp4", "watch": "W", "t": NaN, "text": "x"}\n': "t is nan",
    '{"clip": "a.mp4", "watch": "W", "t": 5, "text": 3}\n': "text is 3",
    '{"clip": 4, "watch": "W", "t": 5, "text": "x"}\n': "clip is 4",
    '{"watch": "W", "t": 5, "text": "x"}\n': "clip is missing",
    '{"clip": "a.mp4", "whatch": "W"}\n': "there is no field 'whatch'; did you mean 'watch'",
    '{"clip": "a.mp4", "watch": "W"}\n[3]\n': "labels.csv:2: expected an object",
    "{broken\n": "labels.csv:1: this is no line of JSON",
    '{"schema": "streamit/1", "id": "x"}\n': "duration_ms",
}


@pytest.mark.parametrize("text", GARBAGE)
def test_garbage_in_labels_is_one_line_with_its_place(tmp_path, text):
    with pytest.raises(BadInput, match=GARBAGE[text]) as caught:
        read(tmp_path, text)
    assert "\n" not in str(caught.value)


def test_labels_that_are_no_text_or_name_no_clip_are_told(tmp_path):
    (binary := tmp_path / "x").write_bytes(b"\xff\xfe\x00")
    for path, said in ((binary, "no UTF-8"), (tmp_path / "none", "No such file"), (tmp_path, "cannot read the labels")):
        with pytest.raises(BadInput, match=said):
            wishes.read(path, ["a.mp4"])
    with pytest.raises(BadInput, match=r"has no label for 'b.mp4'.* b.mp4,WATCH,,"):
        read(tmp_path, HEAD + "a.mp4,W,5,x\n", ("a.mp4", "b.mp4"))
    with pytest.raises(BadInput, match="'a' may be a.mkv or a.mp4"):
        read(tmp_path, HEAD + "a,W,5,x\n", ("a.mp4", "a.mkv"))


# ---------------------------------------------------------------------------------------------- the whole


def moments_of(seed, kind, seconds):
    world = World(seed, seconds)
    return [t for t, _ in WATCHES[kind].happens(world, "") if t <= seconds - 1]


def world_parts(wanted, seconds, gate="score_head", model="tiny"):
    backbone = backbone_for(str(model))
    gate = gate_for(gate, backbone, None, None)
    parts = clip_scores.gather(
        wanted, lambda clip: open_source(clip, 1.0, end_s=seconds), lambda: Session(backbone, gate, answer_len=4)
    )
    return parts, gate


def test_the_embedded_pair_is_tuned_to_shifted_wishes_and_does_better_on_clips_left_out():
    """It was taught to read every new sign; wanted is one now and then, at least ten seconds apart."""
    wanted = []
    for seed in range(30, 33):
        kept = []
        for t in moments_of(seed, "new_sign", 60.0):
            kept += [t] if not kept or t - kept[-1] >= 10 else []
        wanted.append(wish(f"world:{seed}", *kept, watch="Read every new sign."))
    parts, gate = world_parts(wanted, 60.0)
    found = tuning.tune(parts, gate.settings())
    assert found["n"]["fires_that_differ"] == 0, "the sweep at the gate's own settings is what the sessions told"
    assert found["left_out"]["after"]["f1"] > found["left_out"]["before"]["f1"] + 5
    assert found["proposed"]["rest_s"] >= 5 and trigger_of(gate.settings()).rest_s == 0.0


def test_the_program_tunes_writes_and_tells_what_to_type(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("streambridge.sources.world.LENGTH_S", 60.0)
    clips = ["world:20", "world:21"]
    lines = [f"{clip},Say when the sign shows another word.,{t},x"
             for clip in clips for t in moments_of(int(clip[6:]), "new_sign", 60.0)]  # fmt: skip
    (labels := tmp_path / "labels.csv").write_text(HEAD + "\n".join(lines) + "\n")
    out, plot = tmp_path / "settings.yaml", tmp_path / "curves.png"
    words = ["tune", *clips, str(labels), "--work", str(tmp_path / "w"), "--out", str(out), "--plot", str(plot)]
    assert cli.main(words) == 0
    shown = capsys.readouterr().out
    said = yaml.safe_load(out.read_text())
    assert f"--activation score_head --threshold {said['threshold']:g} --rest {said['rest_s']:g}" in shown
    assert said["f1_left_out"]["after"] > said["f1_left_out"]["before"] and plot.read_bytes()[:4] == b"\x89PNG"
    monkeypatch.setattr("streambridge.sources.open_source", lambda *words: pytest.fail("a clip was opened again"))
    assert cli.main([*words[:6], "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["proposed"]["threshold"] == said["threshold"]


def test_a_model_asked_without_training_is_tuned_as_well(tmp_path):
    wanted = [wish(f"world:{seed}", *range(2, 9), watch="Read every new sign.") for seed in (1, 2)]
    parts, gate = world_parts(wanted, 9.0, "zero_shot", save(tmp_path / "model", "qwen2_vl"))
    found = tuning.tune(parts, gate.settings())
    assert found["n"]["frames"] == 18 and found["n"]["fires_that_differ"] == 0 and found["proposed"]


def test_of_two_gates_the_second_is_tuned():
    first = TableGate(lambda text, t: 1.0 if t % 2 else 0.0)
    gate = Filtered(first, TableGate(lambda text, t: 0.4 if t in (5, 11) else 0.3 if t < 12 else 0.1))
    parts = gathered(gate, [wish("a", *range(1, 11)), wish("b", 5, 11)])
    assert 0.0 in parts[0].scores.scores, "the second was not asked about every frame"
    assert tuning.tune(parts, gate.settings())["n"]["frames"] == 2 * 11, "ten odd seconds, and the first one"
    low = TriggerSettings(0.35, 0.0, 0.0)  # it is never armed again: frames that were not asked about are no scores
    gate.second.trigger = low
    parts = gathered(gate, [wish("a", 5, 11)])
    assert parts[0].scores.fires == (5.0,) and tuning.tune(parts, gate.settings())["n"]["fires_that_differ"] == 0


def test_wrong_use_of_the_program_is_told_before_a_model_is_read(tmp_path, capsys):
    (labels := tmp_path / "l.csv").write_text(HEAD + "world:1,W,5,x\n")
    for words, said in (
        (["world:1", "world:1", labels], "named twice"),
        (["clip.mp4", labels], "the clip 'world:1' was not given. Given: clip.mp4"),
        (["world:1", tmp_path / "none"], "cannot read the labels"),
        (["world:1", labels, "--plot", tmp_path / "x.pdf"], "ends in .svg or .png"),
        (["world:1", labels, "--out", tmp_path / "no" / "x"], "there is no folder"),
        (["world:1", labels, "--activation", "periodic"], "has no threshold"),
        (["world:1", labels, "--model", "no/such"], "no/such"),
        ([labels], "CLIP"),
    ):
        assert cli.main(["tune", *map(str, words)]) == 2, words
        told = capsys.readouterr().err
        assert said in told and told.count("\n") == 1, told
    (labels := tmp_path / "l.csv").write_text(HEAD + "clip.mp4,W,5,x\n")
    assert cli.main(["tune", "clip.mp4", str(labels)]) == 2
    assert "no --model was named" in capsys.readouterr().err
