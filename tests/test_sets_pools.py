"""Worked cases of the pools of clips and of the sets for offline training. Composed rows, no videos."""

import json

import pytest

from streambridge.data import converting, prompts, source_set
from streambridge.data.marks import mark
from streambridge.data.policy import Policy
from streambridge.data.rows import Row
from streambridge.data.sets import panda70m, sharegpt4video, webvid
from streambridge.data.source_set import Given, Reject, Tally
from streambridge.errors import WrongUse


def converted(tmp_path, name, annotations, durations=None, **policy):
    """Samples by key, and the report. Annotations are a value for a JSON file, or a text as it is."""
    inputs = {"annotations": annotations if isinstance(annotations, str) else json.dumps(annotations)}
    inputs |= {"durations": json.dumps(durations)} if durations else {}
    paths = {which: (tmp_path / f"{which}.json",) for which in inputs}
    for which, text in inputs.items():
        paths[which][0].write_text(text, encoding="utf-8")
    job = converting.Job(source_set.find(name), paths, tmp_path / "out", Policy(**policy))
    report = converting.run(job)
    lines = [line for path in sorted(job.out.glob("*.jsonl")) for line in path.read_text("utf-8").splitlines()]
    return {sample["source"]["key"]: sample for sample in map(json.loads, lines)}, report


def said(sample):
    """(instant, words) of each turn, in order."""
    return [(turn["t_ms"], turn["text"]) for turn in sample["turns"]]


# ---------------------------------------------------------------------------------------------- pools

WEBVID = "videoid,name,page_idx,page_dir,duration,contentUrl\n"
PANDA = "videoID,url,timestamp,caption,matching_score\n"
CLIP = {
    "YoutubeID": "abc", "Start_timestamp": "00:01:00.250", "End_timestamp": "00:01:03.000", "Caption": "a heron lands",
    "Aesthetic_Score": 4.5, "UMT_Score": 0.31,
}  # fmt: skip


def test_a_clip_is_told_at_its_end_when_somebody_asks_and_is_its_own_evidence(tmp_path):
    samples, _ = converted(tmp_path, "webvid", WEBVID + '77,"Rain, on a roof",1,000001_000050,PT00H01M02S,\n')
    sample = samples["77_0_62000"]
    question = sample["turns"].pop(0)
    assert question.pop("text") in prompts.PROMPTS["now"]
    assert question == {"id": "q0", "role": "user", "t_ms": 62_000, "kind": "question"}
    assert sample["turns"] == [
        {"id": "a0", "role": "assistant", "t_ms": 62_000, "text": "Rain, on a roof", "reply_to": "q0",
         "evidence": [[0, 62_000]], "learn": True}
    ]  # fmt: skip
    assert sample["id"] == "webvid/train/77_0_62000#0"
    assert (sample["task"], sample["order"], sample["quirks"]) == ("dense_caption", "multi_turn", [])
    assert sample["media"] == [{"uri": "webvid:77", "in_ms": 0, "out_ms": 62_000, "at_ms": 0}]
    assert "score" not in sample["source"]


def test_a_stretch_of_a_source_video_stands_at_the_start_of_its_own_clock_and_keeps_its_score(tmp_path):
    samples, report = converted(tmp_path, "internvid", json.dumps(CLIP) + "\n" + json.dumps(CLIP | {"YoutubeID": "d"}))
    sample = samples["abc_60250_63000"]
    assert sample["media"] == [{"uri": "youtube:abc", "in_ms": 60_250, "out_ms": 63_000, "at_ms": 0}]
    assert sample["duration_ms"] == 2_750 and sample["turns"][1]["evidence"] == [[0, 2_750]]
    assert {t for t, _ in said(sample)} == {2_750}
    assert sample["source"]["score"] == 0.31
    assert report["read"] == {"rows": 2}


def test_each_clip_of_a_row_of_lists_is_a_sample_with_its_own_caption_and_score(tmp_path):
    times = "[['0:00:02.000', '0:00:09.500'], ['1:01:00.000', '1:01:04.250']]"
    row = f'''abc,u,"{times}","[""It's a kite."", 'It lands.']","[0.51, 0.47]"\n'''
    samples, report = converted(tmp_path, "panda70m", PANDA + row)
    assert list(samples) == ["abc_2000_9500", "abc_3660000_3664250"]
    assert [said(sample)[1] for sample in samples.values()] == [(7_500, "It's a kite."), (4_250, "It lands.")]
    assert [sample["source"]["score"] for sample in samples.values()] == [0.51, 0.47]
    assert {sample["media"][0]["uri"] for sample in samples.values()} == {"youtube:abc"}
    assert report["read"] == {"source_videos": 1, "clips_by_timestamp": 2}


def test_a_clip_shorter_than_one_frame_is_none(tmp_path):
    (tmp_path / "fast").mkdir()
    half = json.dumps(CLIP | {"End_timestamp": "00:01:00.750"}) + "\n" + json.dumps(CLIP)
    samples, report = converted(tmp_path, "internvid", half)
    assert list(samples) == ["abc_60250_63000"] and report["rejected"] == {"zero_length": 1}
    samples, _ = converted(tmp_path / "fast", "internvid", half, tick_ms=500)
    assert len(samples) == 2


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("webvid", {"videoid": "7", "name": "Rain.", "duration": "PT5S"}),
        ("panda70m", {"videoID": "7", "timestamp": "[['0:00:02.000', '0:00:09.500']]", "caption": "['Rain.']"}),
        ("internvid", CLIP),
    ],
)
def test_a_pool_remembers_nothing_of_the_clips_it_has_seen(name, value):
    def first(kind, word):
        raise AssertionError("millions of clips would be remembered")

    given = Given(source_set.find(name), Policy(), None, {}, "train", Tally(), first)
    for _ in range(2):
        assert len(list(given.source.convert(Row(1, 1, "", value, b"raw"), given))) == 1
    assert given.tally.drops == [] and len(given.tally.read) <= 2


@pytest.mark.parametrize(
    ("text", "seconds"), [("PT00H00M21S", 21), ("PT01H02M03S", 3723), ("PT7S", 7), ("PT2M", 120), ("PT1.5S", 1.5)]
)
def test_a_length_of_iso_8601_is_read_in_seconds(text, seconds):
    assert webvid.length(text) == seconds


@pytest.mark.parametrize(
    "text", ["PT", "P1D", "21", "pt21s", "PT-5S", "PT5S ", "PT٥S", "PT1e9S", "PT" + "9" * 400 + "S", 21]
)
def test_a_length_that_is_none_is_no_time(text):
    with pytest.raises(Reject) as caught:
        webvid.length(text)
    assert caught.value.reason == "bad_time"


HOSTILE_CELLS = [
    "__import__('os').system('touch HACKED')",
    "[__import__('os').system('touch HACKED')]",
    "[].append(open('HACKED', 'w'))",
    "[x for x in (1,)]",
    'f\'{open("HACKED", "w")}\'',
    "[" * 5_000,
    "-" * 100_000 + "1",
    "[1" + "+1j" * 5_000 + "]",
    "[" + "9" * 5_000 + "]",
    "('0:00:01', '0:00:02')",
    "",
    "\x00",
    "\ud800",
    None,
    [["0:00:01", "0:00:02"]],
]


@pytest.mark.parametrize("cell", HOSTILE_CELLS)
def test_a_cell_that_is_no_literal_of_a_list_is_rejected_and_never_run(cell, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Reject) as caught:
        panda70m.literal(cell, "timestamp")
    assert caught.value.reason == "unknown_layout"
    assert not (tmp_path / "HACKED").exists()


def test_a_cell_is_measured_before_it_is_read():
    most = "[" + " " * (panda70m.MOST_CELL - 2) + "]"
    assert panda70m.literal(most, "caption") == []
    with pytest.raises(Reject, match="list in text"):
        panda70m.literal(most + " ", "caption")


@pytest.mark.filterwarnings("error")
def test_a_stray_backslash_in_a_caption_warns_nobody():
    assert panda70m.literal(r"['50\% off']", "caption") == [r"50\% off"]


@pytest.mark.parametrize("score", ["high", True, 1e300, [0.3], {"a": 1}])
def test_a_score_that_is_no_number_is_another_layout(tmp_path, score):
    lines = json.dumps(CLIP | {"UMT_Score": score}) + "\n" + json.dumps(CLIP)
    samples, report = converted(tmp_path, "internvid", lines)
    assert len(samples) == 1 and report["rejected"] == {"unknown_layout": 1}


# ---------------------------------------------------------------------------------------------- the offline mix


def talk(*turns):
    return [{"from": ("human", "gpt")[k % 2], "value": text} for k, text in enumerate(turns)]


LLAVA = {
    "id": "lv-1", "data_source": "made up", "video": "lot/01.mp4",
    "conversations": talk("<image>\nWhat colour is the van?", "Green.", "And the gate?", "Red."),
}  # fmt: skip


def test_questions_about_a_whole_video_are_asked_in_their_order_when_it_is_over(tmp_path):
    samples, report = converted(tmp_path, "llava_video_178k", [LLAVA], {"lot/01.mp4": 24.5})
    ((key, sample),) = samples.items()
    assert key.startswith("lv-1/") and sample["media"][0]["uri"] == "llava_video:lot/01"
    assert sample["turns"] == [
        {"id": "q0", "role": "user", "t_ms": 24_500, "kind": "question", "text": "What colour is the van?"},
        {"id": "a0", "role": "assistant", "t_ms": 24_500, "text": "Green.", "reply_to": "q0", "evidence": [],
         "learn": True},
        {"id": "q1", "role": "user", "t_ms": 24_500, "kind": "question", "text": "And the gate?"},
        {"id": "a1", "role": "assistant", "t_ms": 24_500, "text": "Red.", "reply_to": "q1", "evidence": [],
         "learn": True},
    ]  # fmt: skip
    assert (sample["task"], sample["order"]) == ("offline_qa", "multi_turn")
    assert sample["quirks"] == ["tags_stripped", "unplaced"]
    assert report["read"] == {"rows": 1, "questions": 2}


@pytest.mark.parametrize(
    ("turns", "reason"),
    [
        (talk("Who?"), "length_mismatch"),
        (talk("Who?", "A guard.", "Why?"), "length_mismatch"),
        (talk("Who?", "A guard.")[::-1], "length_mismatch"),
        ([{"from": "user", "value": "Who?"}, {"from": "gpt", "value": "A guard."}], "length_mismatch"),
        ([{"from": ["human"], "value": "Who?"}, {"from": None, "value": "A guard."}], "length_mismatch"),
        ([{"from": "human"}, {"from": "gpt", "value": "A guard."}], "unknown_layout"),
        (["Who?", "A guard."], "unknown_layout"),
        ({"human": "Who?"}, "unknown_layout"),
        (None, "unknown_layout"),
        ([], "no_segment"),
        (talk("<image>", "A guard."), "no_segment"),
        (talk("Who?", None), "no_segment"),
    ],
)
def test_a_conversation_out_of_turn_or_without_words_is_rejected_with_its_reason(tmp_path, turns, reason):
    rows = [LLAVA | {"conversations": turns}, LLAVA]
    samples, report = converted(tmp_path, "llava_video_178k", rows, {"lot/01": 24.5})
    assert len(samples) == 1 and report["rejected"] == {reason: 1}


@pytest.mark.parametrize("name", ["llava_video_178k", "vcg_plus", "sharegpt4video"])
def test_without_a_table_of_lengths_the_offline_sets_say_what_to_type(tmp_path, name):
    with pytest.raises(WrongUse, match="--input durations=PATH"):
        converted(tmp_path, name, [LLAVA])


NO_LENGTHS = [*((text, "missing_duration") for text in ("soon", "", "-1", "nan", "1_0")), (0.4, "zero_length")]


@pytest.mark.parametrize(("length", "reason"), NO_LENGTHS)
def test_a_length_that_is_none_rejects_its_video_alone(tmp_path, length, reason):
    rows = [LLAVA, LLAVA | {"id": "lv-2", "video": "lot/02.mp4"}]
    samples, report = converted(tmp_path, "llava_video_178k", rows, {"lot/01": length, "lot/02": 9})
    assert [key.partition("/")[0] for key in samples] == ["lv-2"] and report["rejected"] == {reason: 1}


def test_several_records_of_one_video_are_samples_of_their_own_and_one_told_twice_is_a_duplicate(tmp_path):
    other = LLAVA | {"conversations": talk("How many wheels?", "Four.")}
    samples, report = converted(tmp_path, "llava_video_178k", [LLAVA, other, LLAVA], {"lot/01": 24.5})
    assert len(samples) == 2 and report["rejected"] == {"duplicate": 1}


def test_a_record_is_known_by_what_it_says_and_not_by_the_order_of_its_fields():
    assert mark(LLAVA) == mark(dict(reversed(LLAVA.items()))) != mark(LLAVA | {"id": "lv-2"})
    assert len(mark("\ud800")) == 12


def test_both_layouts_of_vcg_plus_are_read_and_its_videos_are_those_of_activitynet(tmp_path):
    rows = [
        {"id": "v_abc", "conversations": talk("Who sings?\n<video>", "A choir.")},
        {"video_id": "v_abc", "q": "Where do they stand?", "a": "On steps."},
        {"video_id": "v_abc", "question": "Why?", "answer": "Because."},
    ]
    samples, report = converted(tmp_path, "vcg_plus", rows, {"v_abc": 12})
    assert [said(sample) for sample in samples.values()] == [
        [(12_000, "Who sings?"), (12_000, "A choir.")],
        [(12_000, "Where do they stand?"), (12_000, "On steps.")],
    ]
    assert {sample["media"][0]["uri"] for sample in samples.values()} == {"activitynet:v_abc"}
    assert report["rejected"] == {"unknown_layout": 1}


def test_the_caption_of_a_whole_video_answers_a_question_of_ours_and_those_of_key_frames_do_not(tmp_path):
    captions = [{"idx": "0", "content": "A road."}, {"idx": "-1", "content": "A road winds through a valley."}]
    row = {"video_id": "sg-1", "video_path": "stock/sg-1.mp4", "keyframe": [0], "captions": captions}
    mixed = {"id": "m", "video": "mix/b.mp4", "conversations": talk("<video>Is it open?", "No.")}
    samples, _ = converted(tmp_path, "sharegpt4video", [row, mixed], {"stock/sg-1.mp4": 15, "mix/b.mp4": 20})
    caption, conversation = samples.values()
    (_, asked), answer = said(caption)
    assert asked in sharegpt4video.ASKED and answer == (15_000, "A road winds through a valley.")
    assert said(conversation) == [(20_000, "Is it open?"), (20_000, "No.")]
    assert [sample["media"][0]["uri"] for sample in samples.values()] == [
        "sharegpt4video:stock/sg-1",
        "sharegpt4video:mix/b",
    ]
