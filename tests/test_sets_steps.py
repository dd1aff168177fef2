"""Worked cases of the sets of events and steps: captions of shots, tags, recipes, tasks. Composed rows, no videos."""

import json
from pathlib import Path

import pytest

from streambridge.data import converting, prompts, source_set
from streambridge.data.policy import Policy
from streambridge.data.sets import coin
from streambridge.errors import BadInput, WrongUse


def given(tmp_path, name, tables, **policy):
    """A conversion of files that were just written: the annotations (a value, or text as it is) and CSV tables."""
    inputs = {}
    for which, value in tables.items():
        path = tmp_path / f"{name}.{which}.{'csv' if which in ('fps', 'ids', 'durations') else 'json'}"
        path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
        inputs[which] = (path,)
    return converting.Job(source_set.find(name), inputs, tmp_path / "out", Policy(**policy))


def converted(tmp_path, name, tables, **policy):
    """Samples by key, and the report with what was left out."""
    job = given(tmp_path, name, tables, **policy)
    report = converting.run(job)
    lines = [line for path in sorted(job.out.glob("*.jsonl")) for line in path.read_text("utf-8").splitlines()]
    left = [line for path in job.out.glob("rejected/*.jsonl") for line in path.read_text("utf-8").splitlines()]
    samples = {said["source"]["key"]: said for said in map(json.loads, lines)}
    return samples, report | {"left": [json.loads(line) for line in left]}


def told(sample):
    """(instant, words, evidence) of each answer, in order."""
    return [(turn["t_ms"], turn["text"], turn["evidence"]) for turn in sample["turns"] if turn["role"] == "assistant"]


def asked(sample):
    """(instant, words) of each question, in order."""
    return [(turn["t_ms"], turn["text"]) for turn in sample["turns"] if turn["role"] == "user"]


# ---------------------------------------------------------------------------------------------- ActivityNet Captions

ANET = {
    "v_kettle00001": {
        "duration": 61.5,
        "timestamps": [[0, 40.2], [3.1, 12.0], [30, 61.5]],
        "sentences": ["A kettle boils.", " Somebody opens a window.", "Tea is poured."],
    }
}


def test_activitynet_answers_stand_at_the_first_tick_after_each_end_whatever_overlaps(tmp_path):
    samples, _ = converted(tmp_path, "activitynet_captions", {"annotations": ANET}, proactive_share=1.0)
    sample = samples["v_kettle00001"]
    assert told(sample) == [
        (12_000, "Somebody opens a window.", [[3_100, 12_000]]),
        (41_000, "A kettle boils.", [[0, 40_200]]),
        (61_500, "Tea is poured.", [[30_000, 61_500]]),
    ]
    assert [t for t, _ in asked(sample)] == [0]
    assert asked(sample)[0][1] in prompts.PROMPTS["dense_caption"]
    assert sample["quirks"] == ["overlap", "text_trimmed", "unsorted"]


def test_activitynet_multi_turn_asks_about_now_where_each_span_ends(tmp_path):
    samples, _ = converted(tmp_path, "activitynet_captions", {"annotations": ANET}, proactive_share=0.0)
    sample = samples["v_kettle00001"]
    assert [t for t, _ in asked(sample)] == [12_000, 41_000, 61_500]
    assert {words for _, words in asked(sample)} <= set(prompts.PROMPTS["now"])
    assert [turn["id"] for turn in sample["turns"]] == ["q0", "a0", "q1", "a1", "q2", "a2"]


# ---------------------------------------------------------------------------------------------- Shot2Story

SHOTS = {
    "video": "Qx7.3.mp4",
    "whole_caption": "not used",
    "whole_ASR": "heard",
    "video_names": ["Qx7.3_0_75.mp4", "Qx7.3_75_160.mp4", "Qx7.3_160_300.mp4"],
    "captions": ["A man opens a box.", "He lifts a lamp.", "The lamp glows."],
    "audio_captions": ["heard", "heard", "heard"],
    "ASR": ["heard", "heard", "heard"],
}


def test_shots_become_seconds_by_the_rate_of_their_own_clip(tmp_path):
    other = SHOTS | {"video": "Qx7.4.mp4", "video_names": ["Qx7.4_0_75.mp4", "Qx7.4_75_160.mp4", "Qx7.4_160_300.mp4"]}
    tables = {"annotations": [SHOTS, other], "fps": "clip_id,fps\nQx7.3,25\nQx7.4,12.5\n"}
    samples, report = converted(tmp_path, "shot2story", tables, proactive_share=1.0)
    assert told(samples["Qx7.3"]) == [
        (3_000, "A man opens a box.", [[0, 3_000]]),
        (7_000, "He lifts a lamp.", [[3_000, 6_400]]),
        (12_000, "The lamp glows.", [[6_400, 12_000]]),
    ]
    assert samples["Qx7.3"]["media"] == [{"uri": "hdvila:Qx7.3", "in_ms": 0, "out_ms": 12_000, "at_ms": 0}]
    assert [evidence for _, _, evidence in told(samples["Qx7.4"])] == [
        [[0, 6_000]],
        [[6_000, 12_800]],
        [[12_800, 24_000]],
    ]
    assert "heard" not in json.dumps(samples)
    assert report["read"] == {"videos": 2, "shots": 6}


def test_a_fifth_of_the_clips_is_proactive_and_the_others_are_asked_about_now(tmp_path):
    clips = [
        SHOTS | {"video": f"c.{n}.mp4", "video_names": [f"c.{n}_0_75.mp4", f"c.{n}_75_160.mp4", f"c.{n}_160_300.mp4"]}
        for n in range(1500)
    ]
    rates = "clip_id,fps\n" + "".join(f"c.{n},25\n" for n in range(1500))
    _, report = converted(tmp_path, "shot2story", {"annotations": clips, "fps": rates})
    orders = report["produced"]["by_order"]
    assert sum(orders.values()) == 1500
    assert 0.169 < orders["proactive"] / 1500 < 0.231  # 3 sigma


def test_captions_shorter_than_shots_reject_the_clip_and_say_so(tmp_path):
    short = SHOTS | {"captions": SHOTS["captions"][:2]}
    samples, report = converted(tmp_path, "shot2story", {"annotations": [short], "fps": "clip_id,fps\nQx7.3,25\n"})
    assert samples == {}
    assert [(one["reason"], one["detail"]) for one in report["left"]] == [("length_mismatch", "3 shots, 2 captions")]


@pytest.mark.parametrize("rate", ["0", "-25", "nan", "inf", "25/1", " "])
def test_a_frame_rate_that_is_none_rejects_the_clip(tmp_path, rate):
    _, report = converted(tmp_path, "shot2story", {"annotations": [SHOTS], "fps": f"clip_id,fps\nQx7.3,{rate}\n"})
    assert report["rejected"] == {"missing_fps": 1}


@pytest.mark.parametrize(
    "name", ["Qx7.3_75.mp4", "Qx7.3_75_1e3.mp4", "Qx7.31_75_160.mp4", "_75_160.mp4", "Qx7.3_75_-1.mp4", "", 7, None]
)
def test_a_shot_whose_name_tells_no_frames_of_its_clip_is_dropped_alone(tmp_path, name):
    shots = [SHOTS["video_names"][0], name, SHOTS["video_names"][2]]
    tables = {"annotations": [SHOTS | {"video_names": shots}], "fps": "clip_id,fps\nQx7.3,25\n"}
    samples, report = converted(tmp_path, "shot2story", tables)
    assert [words for _, words, _ in told(samples["Qx7.3"])] == ["A man opens a box.", "The lamp glows."]
    assert report["dropped"] == {"bad_time": 1}


def test_without_frame_rates_shot2story_is_not_begun(tmp_path):
    with pytest.raises(WrongUse, match=r"frames per second.*type: --input fps=PATH"):
        converting.run(given(tmp_path, "shot2story", {"annotations": [SHOTS]}))


# ---------------------------------------------------------------------------------------------- ViTT


def tags(name, *pairs):
    return json.dumps({"id": name, "annotations": [{"timestamp": ms, "tag": tag} for ms, tag in pairs]}) + "\n"


IDS = "yt8m_id,youtube_id,duration_s\naB3x,dQ-abcdefg1,50.5\n"


def test_vitt_steps_end_where_the_next_begins_and_the_last_with_the_video(tmp_path):
    lines = tags("aB3x", (480, "Opening"), (21_350, "Mixing the paint"), (30_000, "Closing"))
    samples, _ = converted(tmp_path, "vitt", {"annotations": lines, "ids": IDS})
    sample = samples["aB3x"]
    assert told(sample) == [
        (22_000, "Opening", [[480, 21_350]]),
        (30_000, "Mixing the paint", [[21_350, 30_000]]),
        (50_500, "Closing", [[30_000, 50_500]]),
    ]
    assert (sample["task"], sample["order"], sample["quirks"]) == ("dense_caption", "proactive", ["end_inferred"])
    assert sample["media"][0]["uri"] == "youtube:dQ-abcdefg1"
    assert asked(sample)[0][0] == 0
    assert asked(sample)[0][1] in prompts.PROMPTS["dense_caption"]


def test_a_blank_tag_and_a_start_past_the_video_still_end_the_step_before_them(tmp_path):
    lines = tags("aB3x", (0, "Opening"), (10_000, " "), (20_000, "Sanding"), (50_900, "Closing"))
    samples, report = converted(tmp_path, "vitt", {"annotations": lines, "ids": IDS})
    assert told(samples["aB3x"]) == [(10_000, "Opening", [[0, 10_000]]), (50_500, "Sanding", [[20_000, 50_500]])]
    assert report["dropped"] == {"empty_text": 1, "beyond_duration": 1}


def test_a_start_that_is_no_time_ends_nothing(tmp_path):
    lines = tags("aB3x", (0, "Opening"), ("10000", "Priming"), (20_000, "Sanding"))
    samples, report = converted(tmp_path, "vitt", {"annotations": lines, "ids": IDS})
    assert told(samples["aB3x"]) == [(20_000, "Opening", [[0, 20_000]]), (50_500, "Sanding", [[20_000, 50_500]])]
    assert report["dropped"] == {"bad_time": 1}


@pytest.mark.parametrize(("options", "first"), [({}, "one"), ({"choose": "first"}, "one"), ({"choose": "most"}, "two")])
def test_one_set_of_tags_is_taken_and_which_is_the_policys_choice(tmp_path, options, first):
    sets = [[(0, "one"), (9_000, "x")], [(0, "two"), (5_000, "x"), (9_000, "y")], [(0, "three"), (5, "x"), (9, "y")]]
    lines = tags("aB3x", *sets[0]) + tags("zzzz", (0, "of another video")) + "".join(tags("aB3x", *s) for s in sets[1:])
    samples, report = converted(tmp_path, "vitt", {"annotations": lines, "ids": IDS}, options=options)
    assert told(samples["aB3x"])[0][1] == first
    assert samples["aB3x"]["quirks"] == ["end_inferred", "set_chosen"]
    assert report["read"] == {"videos": 2, "annotation_sets": 4, "tags": 9}
    assert report["rejected"] == {"missing_id": 1}


@pytest.mark.parametrize("options", [{"choose": "last"}, {"choose": 1}, {"chose": "most"}])
def test_a_choice_that_is_none_is_told_in_one_line(tmp_path, options):
    tables = {"annotations": tags("aB3x", (0, "Opening")), "ids": IDS}
    with pytest.raises(BadInput, match="choose") as err:
        converted(tmp_path, "vitt", tables, options=options)
    assert "\n" not in str(err.value)


# ---------------------------------------------------------------------------------------------- YouCook2 and COIN


def test_youcook2_records_tell_their_own_subset(tmp_path):
    one = {"duration": 251.4, "annotations": [{"segment": [41, 58], "id": 0, "sentence": "whisk the eggs"}]}
    subsets = {"Zk3-train000": "training", "Zk3-val00000": "validation", "Zk3-test0000": "testing"}
    records = {name: one | {"subset": subset} for name, subset in subsets.items()}
    samples, _ = converted(tmp_path, "youcook2", {"annotations": {"database": records}})
    assert {name: sample["split"] for name, sample in samples.items()} == {
        "Zk3-train000": "train",
        "Zk3-val00000": "val",
        "Zk3-test0000": "test",
    }
    sample = samples["Zk3-val00000"]
    assert sample["id"] == "youcook2/val/Zk3-val00000#0"
    assert sample["media"] == [{"uri": "youtube:Zk3-val00000", "in_ms": 0, "out_ms": 251_400, "at_ms": 0}]
    assert told(sample) == [(58_000, "whisk the eggs", [[41_000, 58_000]])]
    assert asked(sample)[0][1] in prompts.PROMPTS["step"]


@pytest.mark.parametrize("sentence", ["None", "none", "", "  ", None, 7])
def test_youcook2_steps_without_words_are_left_out(tmp_path, sentence):
    steps = [{"segment": [1, 9], "sentence": sentence}, {"segment": [9, 20], "sentence": "salt it"}]
    records = {"Zk3-train000": {"duration": 60, "subset": "training", "annotations": steps}}
    samples, report = converted(tmp_path, "youcook2", {"annotations": {"database": records}})
    assert [words for _, words, _ in told(samples["Zk3-train000"])] == ["salt it"]
    assert report["dropped"] == {"bad_text" if sentence == 7 else "empty_text": 1}


@pytest.mark.parametrize(
    ("label", "goal"),
    [
        ("ReplaceBikeChain", "replace bike chain"),
        ("ReplaceCDDriveWithSSD", "replace CD drive with SSD"),
        ("InstallCeilingTVMount", "install ceiling TV mount"),
        ("MakeRJ45Cable", "make RJ45 cable"),
        ("ReplaceSIMCard", "replace SIM card"),
        ("ShootAsInNBA", "shoot as in NBA"),
        ("{goal}", "{goal}"),
    ],
)
def test_coin_asks_for_the_steps_of_the_task_in_words(tmp_path, label, goal):
    step = {"id": "212", "segment": [14.0, 31.0], "label": "take off the old chain"}
    record = {"duration": 131.2, "class": label, "subset": "testing", "annotation": [step], "start": 12.1, "end": 99.8}
    samples, _ = converted(tmp_path, "coin", {"annotations": {"database": {"LmN-0000000": record}}})
    sample = samples["LmN-0000000"]
    assert asked(sample)[0][1] in [wording.replace("{goal}", goal) for wording in coin.ASKED]
    assert sample["quirks"] == (["label_spelled"] if goal != label else [])
    assert told(sample) == [(31_000, "take off the old chain", [[14_000, 31_000]])]
    assert (sample["task"], sample["order"], sample["split"]) == ("step", "proactive", "test")


def test_coin_draws_among_five_wordings_that_all_name_the_goal(tmp_path):
    step = {"id": "1", "segment": [1, 3], "label": "press"}
    record = {"duration": 9, "class": "juggle", "subset": "training", "annotation": [step]}
    records = {"database": {f"LmN-{n:07}": record for n in range(80)}}
    samples, _ = converted(tmp_path, "coin", {"annotations": records})
    drawn = {asked(sample)[0][1] for sample in samples.values()}
    assert len(drawn) == len(set(coin.ASKED)) == 5
    assert all("how to juggle" in words for words in drawn)


# ---------------------------------------------------------------------------------------------- HowToStep

ROW = {"task": "slc", "source": "how_to_step", "video": "how_to_step/PJ-abcdefgh.mp4", "duration": 60.75}
STEPS = [(13_000, "soak the cane", [[3_000, 12_500]]), (40_000, "weave the base", [[12_500, 40_000]])]


def said(words):
    return [{"from": "human", "value": "<image>\nName the steps."}, {"from": "gpt", "value": words}]


@pytest.mark.parametrize(
    ("words", "tgt"),
    [
        ("3 - 12.5 seconds, soak the cane; 12.5 - 40 seconds, weave the base", [3, 12.5, 12.5, 40]),
        ("3.0 - 12.5 seconds, soak the cane\n12.5 - 40.0 seconds, weave the base", None),
        ("Steps: 3-12.5s: soak the cane;\n 12.5-40s: weave the base\n", None),
        ("<vid> - <vid> seconds, soak the cane; <vid> - <vid> seconds, weave the base", [3, 12.5, 12.5, 40]),
        ("<vid> - <vid>, soak the cane; <vid> - <vid>, weave the base", [3, 12.5, 12.5, 40]),
    ],
)
def test_both_spellings_of_et_instruct_give_the_same_steps(tmp_path, words, tgt):
    row = ROW | {"conversations": said(words)} | ({"tgt": tgt} if tgt else {})
    samples, _ = converted(tmp_path, "howtostep", {"annotations": [row]})
    assert told(samples["PJ-abcdefgh"]) == STEPS
    assert samples["PJ-abcdefgh"]["media"][0]["uri"] == "et_instruct:how_to_step/PJ-abcdefgh"


def test_a_field_that_et_instruct_has_not_is_told_with_the_nearest_one(tmp_path):
    row = ROW | {"conversations": said("3 - 9 seconds, soak"), "durations": 3}
    _, report = converted(tmp_path, "howtostep", {"annotations": [row]})
    (left,) = report["left"]
    assert left["reason"] == "unknown_layout"
    assert left["detail"] == "no known field: 'durations'; the nearest one is 'duration'"


OWN = {
    "vid": "PJ-abcdefgh",
    "say": ["soak the cane", "weave the base"],
    "from": [3, 12.5],
    "to": [12.5, 40],
    "sec": 60.75,
}
FIELDS = {"video": "vid", "text": "say", "start": "from", "end": "to", "duration": "sec"}


def test_rows_of_another_layout_are_read_when_their_fields_are_declared(tmp_path):
    row = OWN | {"score": [0.5, 0.25]}
    options = {"fields": FIELDS | {"ignore": ["score"]}}
    samples, _ = converted(tmp_path, "howtostep", {"annotations": [row]}, options=options)
    assert told(samples["PJ-abcdefgh"]) == STEPS
    assert samples["PJ-abcdefgh"]["media"][0] == {
        "uri": "howto100m:PJ-abcdefgh",
        "in_ms": 0,
        "out_ms": 60_750,
        "at_ms": 0,
    }


def test_ids_and_lengths_may_stand_beside_the_rows(tmp_path):
    rows = {
        name: {key: OWN[key] for key in ("say", "from", "to")} for name in ("PJ-abcdefgh", "PJ-nolength", "PJ-oddlengt")
    }
    tables = {"annotations": rows, "durations": "video,duration_s\nPJ-abcdefgh,60.75\nPJ-oddlengt,long\n"}
    options = {"fields": FIELDS | {"video": "", "duration": ""}}
    samples, report = converted(tmp_path, "howtostep", tables, options=options)
    assert {name: told(sample) for name, sample in samples.items()} == {"PJ-abcdefgh": STEPS}
    assert report["rejected"] == {"missing_duration": 2}
    assert (report["read"]["videos"], report["read"]["segments"]) == (3, 6)


@pytest.mark.parametrize(
    ("row", "reason", "detail"),
    [
        (OWN | {"scores": []}, "unknown_layout", "no known field: 'scores'; the nearest one is 'score'"),
        (OWN | {"fromm": 1}, "unknown_layout", "no known field: 'fromm'; the nearest one is 'from'"),
        ({key: OWN[key] for key in ("vid", "say", "from", "sec")}, "unknown_layout", "missing: to;"),
        (OWN | {"say": "soak the cane"}, "unknown_layout", "say is a list; got 'soak the cane'"),
        (OWN | {"to": [12.5]}, "length_mismatch", "2 texts, 2 starts, 1 ends"),
        (OWN | {"vid": "../PJ"}, "bad_id", "'../PJ'"),
        (OWN | {"sec": "60"}, "missing_duration", "'60'"),
        (ROW | {"conversations": said("3 - 9 seconds, soak")}, "unknown_layout", "missing: vid, say, from, to, sec;"),
        ([OWN], "unknown_layout", "a record is a mapping"),
    ],
)
def test_rows_that_do_not_fit_the_declared_fields_are_left_out_and_told(tmp_path, row, reason, detail):
    options = {"fields": FIELDS | {"ignore": ["score"]}}
    samples, report = converted(tmp_path, "howtostep", {"annotations": [row, OWN]}, options=options)
    assert set(samples) == {"PJ-abcdefgh"}
    (left,) = report["left"]
    assert left["reason"] == reason
    assert left["detail"].startswith(detail)


@pytest.mark.parametrize(
    ("fields", "told_of"),
    [
        ({key: FIELDS[key] for key in ("video", "text", "start", "end")}, "missing key 'duration'"),
        (FIELDS | {"ignored": ["x"]}, "unknown key 'ignored'; did you mean 'ignore'"),
        (FIELDS | {"start": 3}, "start: expected str, got 3"),
        (FIELDS | {"ignore": "score"}, "ignore: expected a list, got 'score'"),
        (FIELDS | {"start": ""}, "start names a field of the rows; it is empty"),
        (FIELDS | {"end": "from"}, "'from' has two"),
        (FIELDS | {"ignore": ["sec"]}, "'sec' has two"),
        ("video", "expected keys and values, got 'video'"),
    ],
)
def test_a_map_of_fields_that_is_none_is_told_in_one_line_before_anything_is_read(tmp_path, fields, told_of):
    with pytest.raises(BadInput) as err:
        converted(tmp_path, "howtostep", {"annotations": [OWN]}, options={"fields": fields})
    assert told_of in str(err.value)
    assert "\n" not in str(err.value)


def test_without_declared_fields_only_rows_of_et_instruct_are_read(tmp_path):
    rows = [OWN, ROW | {"conversations": said("3 - 12.5 seconds, soak the cane")}, ROW | {"source": "hirest"}]
    samples, report = converted(tmp_path, "howtostep", {"annotations": rows})
    assert [words for _, words, _ in told(samples["PJ-abcdefgh"])] == ["soak the cane"]
    assert report["rejected"] == {"unknown_layout": 1, "out_of_scope": 1}


def test_a_long_reply_made_to_slow_the_search_down_is_read_at_once(tmp_path):
    words = "1" * 200_000 + " " * 200_000 + "1 - " * 50_000
    samples, report = converted(tmp_path, "howtostep", {"annotations": [ROW | {"conversations": said(words)}]})
    assert samples == {}
    assert report["rejected"] == {"no_segment": 1}


# ---------------------------------------------------------------------------------------------- all six

SETS = ("activitynet_captions", "shot2story", "vitt", "youcook2", "coin", "howtostep")


@pytest.mark.parametrize("name", SETS)
def test_a_file_of_another_set_gives_no_sample(tmp_path, name):
    other = [{"question": "Is it night?", "answer": "Yes"}, {"question": "Who enters?", "answer": "A guard"}]
    needed = {"shot2story": {"fps": "clip_id,fps\na,1\n"}, "vitt": {"ids": IDS}}.get(name, {})
    samples, report = converted(tmp_path, name, {"annotations": other} | needed)
    assert samples == {}
    assert report["rejected"] == {"unknown_layout": 2}


@pytest.mark.parametrize("name", SETS)
def test_no_words_of_a_record_are_ever_called(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    folder = Path(__file__).parent / "stream_it" / name
    expected = json.loads((folder / "expected.json").read_text("utf-8"))
    inputs = {which: (folder / file,) for which, file in expected["inputs"].items()}
    job = converting.Job(source_set.find(name), inputs, tmp_path / "out", Policy(options=expected["policy"]["options"]))
    converting.run(job)
    assert "touch HACKED" in "".join(path.read_text("utf-8") for path in job.out.glob("*.jsonl"))
    assert not (tmp_path / "HACKED").exists()
