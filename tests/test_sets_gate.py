"""Worked cases of the sets that teach a gate when to speak: action instances and moments. Composed rows, no videos."""

import json

import pytest

from streambridge.data import converting, prompts, source_set
from streambridge.data.moments import CONFIRMED
from streambridge.data.policy import Policy
from streambridge.data.sets import et_instruct
from streambridge.data.source_set import Reject
from streambridge.errors import WrongUse


def converted(tmp_path, name, annotations, durations="", options=None, **policy):
    """Samples by key, and the report. Annotations are a value for a JSON file, or a text as it is."""
    inputs = {"annotations": annotations if isinstance(annotations, str) else json.dumps(annotations)}
    inputs |= {"durations": durations} if durations else {}
    paths = {}
    for which, text in inputs.items():
        paths[which] = (tmp_path / f"{which}.{'csv' if which == 'durations' else 'json'}",)
        paths[which][0].write_text(text, encoding="utf-8")
    rules = Policy(options=options or {}, **policy)
    job = converting.Job(source_set.find(name), paths, tmp_path / "out", rules)
    report = converting.run(job)
    lines = [line for path in sorted(job.out.glob("*.jsonl")) for line in path.read_text("utf-8").splitlines()]
    return {sample["source"]["key"]: sample for sample in map(json.loads, lines)}, report


def told(sample):
    """(instant, words, evidence) of each answer, in order."""
    return [(turn["t_ms"], turn["text"], turn["evidence"]) for turn in sample["turns"] if turn["role"] == "assistant"]


def worded(task, words):
    """All that a question of a task may say."""
    return {wording.replace("{words}", words) for wording in prompts.PROMPTS[task]}


# ---------------------------------------------------------------------------------------------- FineAction and HACS


def database(**videos):
    return {"database": videos}


def video(*instances, subset="training", duration=30.0):
    said = [{"label": label, "segment": [start, end]} for label, start, end in instances]
    return {"annotations": said, "subset": subset, "duration": duration, "filename": "v_1.mp4"}


def test_a_label_is_asked_for_at_the_start_and_said_at_the_end_of_each_instance(tmp_path):
    rows = database(v_1=video(("open_door", 2.0, 7.4), ("bow", 8.0, 9.0), ("open_door", 10.0, 14.0), duration=20.25))
    samples, _ = converted(tmp_path, "fineaction", rows)
    sample = samples["v_1/open-door"]
    question = sample["turns"].pop(0)
    assert question.pop("text") in worded("action_detect", "open door")
    assert question == {"id": "q0", "role": "user", "t_ms": 0, "kind": "instruction"}
    assert sample["turns"] == [
        {"id": "a0", "role": "assistant", "t_ms": 8_000, "text": "open door", "reply_to": "q0",
         "evidence": [[2_000, 7_400]], "learn": True},
        {"id": "a1", "role": "assistant", "t_ms": 14_000, "text": "open door", "reply_to": "q0",
         "evidence": [[10_000, 14_000]], "learn": True},
    ]  # fmt: skip
    assert sample["id"] == "fineaction/train/v_1/open-door#0"
    assert (sample["task"], sample["order"], sample["split"]) == ("action_detect", "proactive", "train")
    assert sample["media"] == [{"uri": "fineaction:v_1", "in_ms": 0, "out_ms": 20_250, "at_ms": 0}]
    assert sample["duration_ms"] == 20_250
    assert sample["quirks"] == ["label_spelled"]
    assert told(samples["v_1/bow"]) == [(9_000, "bow", [[8_000, 9_000]])]


def test_instances_that_end_within_one_tick_say_the_label_once(tmp_path):
    samples, _ = converted(tmp_path, "fineaction", database(v_1=video(("nod", 1.0, 2.2), ("nod", 2.4, 2.9))))
    assert told(samples["v_1/nod"]) == [(3_000, "nod", [[1_000, 2_200], [2_400, 2_900]])]
    assert samples["v_1/nod"]["quirks"] == ["merged"]


def test_what_a_label_becomes_does_not_depend_on_the_labels_beside_it(tmp_path):
    one, two, three = (tmp_path / name for name in "abc")
    for folder in (one, two, three):
        folder.mkdir()
    nods = (("nod", 1.0, 2.2), ("nod", 9.0, 11.0))
    alone, _ = converted(one, "fineaction", database(v_1=video(*nods)))
    last, _ = converted(two, "fineaction", database(v_1=video(("bow", 1.0, 2.0), *nods)))
    first, _ = converted(three, "fineaction", database(v_1=video(*nods, ("bow", 1.0, 2.0), ("hop", 3.0, 4.0))))
    for samples in (alone, last, first):
        samples["v_1/nod"]["source"].pop("raw_sha256")
    assert alone["v_1/nod"] == last["v_1/nod"] == first["v_1/nod"]


def test_labels_that_differ_in_a_sign_are_several(tmp_path):
    rows = database(v_1=video(("C", 1.0, 3.0), ("C++", 5.0, 7.0), ("C#", 9.0, 11.0)))
    samples, _ = converted(tmp_path, "fineaction", rows)
    assert sorted(samples) == ["v_1/c", "v_1/c#", "v_1/c++"]


def test_labels_that_differ_in_spelling_alone_are_one_label(tmp_path):
    rows = database(v_1=video(("Open_Door", 1.0, 2.0), ("open door", 4.0, 5.0), ("open-door", 7.0, 8.0)))
    samples, _ = converted(tmp_path, "fineaction", rows)
    assert [t for t, _, _ in told(samples["v_1/open-door"])] == [2_000, 5_000, 8_000]
    assert {words for _, words, _ in told(samples["v_1/open-door"])} == {"open door"}


def test_an_instance_told_twice_in_two_spellings_is_one(tmp_path):
    rows = database(v_1=video(("open_door", 1.0, 2.0), ("open-door", 1.0, 2.0)))
    samples, report = converted(tmp_path, "fineaction", rows)
    assert told(samples["v_1/open-door"]) == [(2_000, "open door", [[1_000, 2_000]])]
    assert report["dropped"] == {"duplicate": 1}


def test_a_label_whose_instances_are_all_dropped_costs_the_other_labels_nothing(tmp_path):
    rows = database(v_1=video(("hop", 9.0, 3.0), ("nod", 1.0, 2.0)))
    samples, report = converted(tmp_path, "fineaction", rows)
    assert list(samples) == ["v_1/nod"] and samples["v_1/nod"]["quirks"] == []
    assert (report["dropped"], report["rejected"]) == ({"reversed": 1}, {})


def test_a_label_too_long_for_an_id_is_dropped_alone(tmp_path):
    samples, report = converted(tmp_path, "fineaction", database(v_1=video(("hop " * 40, 1, 2), ("nod", 1.0, 2.0))))
    assert list(samples) == ["v_1/nod"] and samples["v_1/nod"]["quirks"] == ["dropped_bad_text"]
    assert report["dropped"] == {"bad_text": 1}


def test_hacs_tells_its_lengths_as_texts_and_its_subsets_become_splits(tmp_path):
    rows = database(
        abc=video(("Rowing", 3.1, 9.0), duration="61.500000"),
        xyz=video(("Rowing", 3.1, 9.0), duration="8.500000", subset="validation"),
        uvw=video(duration="12.0", subset="testing"),
    )
    samples, report = converted(tmp_path, "hacs", rows)
    assert told(samples["abc/rowing"]) == [(9_000, "rowing", [[3_100, 9_000]])]
    assert samples["abc/rowing"]["media"][0] == {"uri": "hacs:abc", "in_ms": 0, "out_ms": 61_500, "at_ms": 0}
    assert told(samples["xyz/rowing"]) == [(8_500, "rowing", [[3_100, 8_500]])]  # half a second past the end: clamped
    assert samples["xyz/rowing"]["quirks"] == ["end_clamped", "label_spelled"]
    assert (samples["abc/rowing"]["split"], samples["xyz/rowing"]["split"]) == ("train", "val")
    assert report["rejected"] == {"no_segment": 1}
    assert [d["found"] for d in report["differences"]] == [1, 1, 1]  # of 37,613, 5,981 and 5,987


@pytest.mark.parametrize(("name", "duration", "more"), [("hacs", 61.5, {}), ("fineaction", 61.5, {"filename": None})])
def test_the_file_of_another_set_of_the_same_layout_is_not_taken_for_this_one(tmp_path, name, duration, more):
    record = {**video(("Rowing", 3.1, 9.0), duration=duration), **more}
    record = {key: value for key, value in record.items() if value is not None}
    samples, report = converted(tmp_path, name, database(abc=record))
    assert not samples and report["rejected"] == {"unknown_layout": 1}


# ---------------------------------------------------------------------------------------------- Charades-STA

LENGTHS = "video,duration_s\nAB1CD,30.0\n"


def test_a_sentence_is_asked_for_at_the_start_and_confirmed_when_its_span_is_over(tmp_path):
    samples, report = converted(tmp_path, "charades_sta", "AB1CD 2.0 7.4##a person folds a towel.\n", LENGTHS)
    (key, sample), *others = samples.items()
    (question, answer), words = sample["turns"], "a person folds a towel."
    assert not others and key.startswith("AB1CD/") and len(key) == len("AB1CD/") + 12
    assert question["text"] in worded("grounding", words)
    assert answer["text"] in {wording.replace("{words}", words) for wording in CONFIRMED}
    assert (question["t_ms"], answer["t_ms"], answer["evidence"]) == (0, 8_000, [[2_000, 7_400]])
    assert (sample["task"], sample["order"], sample["quirks"]) == ("grounding", "proactive", [])
    assert sample["media"] == [{"uri": "charades:AB1CD", "in_ms": 0, "out_ms": 30_000, "at_ms": 0}]
    assert report["read"] == {"rows": 1, "videos": 1, "reversed": 0, "end_beyond_duration": 0}


def test_a_line_is_the_same_sample_wherever_it_stands_and_one_span_may_have_two_sentences(tmp_path):
    lines = ["AB1CD 2.0 7.4##person sits.\n", "AB1CD 2.0 7.4##person takes a seat.\n", "AB1CD 3.0 7.4##person sits.\n"]
    (tmp_path / "turned").mkdir()
    samples, report = converted(tmp_path, "charades_sta", "".join(lines), LENGTHS)
    turned, _ = converted(tmp_path / "turned", "charades_sta", "".join(lines[::-1]), LENGTHS)
    assert len(samples) == 3 and samples == turned
    assert report["read"]["videos"] == 1


def test_an_end_past_the_video_is_clamped_no_further_than_the_policy_says(tmp_path):
    (tmp_path / "strict").mkdir()
    line = "AB1CD 12.0 31.5##person turns the lamp off.\n"
    samples, report = converted(tmp_path, "charades_sta", line, LENGTHS)
    assert [turn["t_ms"] for sample in samples.values() for turn in sample["turns"]] == [0, 30_000]
    assert report["read"]["end_beyond_duration"] == 1 and report["repaired"] == {"end_clamped": 1}
    samples, report = converted(tmp_path / "strict", "charades_sta", line, LENGTHS, clamp_ms=1_499)
    assert samples == {} and report["rejected"] == {"beyond_duration": 1}


def test_nothing_is_converted_without_a_table_of_lengths(tmp_path):
    with pytest.raises(WrongUse, match="--input durations=PATH"):
        converted(tmp_path, "charades_sta", "AB1CD 2.0 7.4##person sits.\n")


# ---------------------------------------------------------------------------------------------- E.T. Instruct


def row(task, asked, answer, duration=40.0, video="didemo/clip.mp4", **more):
    talk = [{"from": "human", "value": asked}, {"from": "gpt", "value": answer}]
    source = video.partition("/")[0]
    return {"task": task, "source": source, "video": video, "duration": duration, "conversations": talk} | more


FIND = row("tvg", "<image>\nFind this: 'a fox crosses the yard'.", "3.2 - 9.1 seconds", tgt=[3.2, 9.1])
STEPS = row(
    "slc", "<image>\nWhich steps?", "1.0 - 4.0 seconds, rinse the lentils. 6.0 - 9.5 seconds, slice two onions.",
    tgt=[1, 4, 6, 9.5], video="how_to_step/pan.mp4",
)  # fmt: skip
EVENTS = row("dvc", "<image>\nWhat?", "<vid> - <vid>, A kite dips. <vid> - <vid>, It lands.", tgt=[9, 12, 2, 6.5])


def test_a_moment_is_found_on_a_video_of_the_set_that_it_comes_from(tmp_path):
    samples, _ = converted(tmp_path, "et_instruct", [FIND])
    ((key, sample),) = samples.items()
    assert key.startswith("didemo/clip/") and sample["media"][0]["uri"] == "didemo:clip"
    assert sample["turns"][0]["text"] in worded("grounding", "a fox crosses the yard")
    assert sample["turns"][1]["text"] in {text.replace("{words}", "a fox crosses the yard") for text in CONFIRMED}
    assert (sample["turns"][1]["t_ms"], sample["turns"][1]["evidence"]) == (10_000, [[3_200, 9_100]])
    assert (sample["task"], sample["quirks"]) == ("grounding", ["tags_stripped"])


def test_only_moments_are_taken_unless_more_is_asked_for(tmp_path):
    (tmp_path / "more").mkdir()
    samples, report = converted(tmp_path, "et_instruct", [FIND, STEPS, EVENTS])
    assert len(samples) == 1 and report["rejected"] == {"out_of_scope": 2}
    samples, report = converted(tmp_path / "more", "et_instruct", [FIND, STEPS, EVENTS], options={"tasks": ["slc"]})
    assert [sample["task"] for sample in samples.values()] == ["step"] and report["rejected"] == {"out_of_scope": 2}
    assert report["read"] == {"rows": 3, "tvg": 1, "slc": 1, "dvc": 1}


def test_steps_and_events_are_told_at_the_ends_that_tgt_tells_with_the_words_of_the_answer(tmp_path):
    samples, _ = converted(tmp_path, "et_instruct", [STEPS, EVENTS], options={"tasks": ["slc", "dvc"]})
    steps, events = sorted(samples.values(), key=lambda sample: sample["task"], reverse=True)
    assert steps["turns"][0]["text"] in worded("step", "") and events["turns"][0]["text"] in worded("dense_caption", "")
    assert told(steps) == [
        (4_000, "rinse the lentils.", [[1_000, 4_000]]),
        (10_000, "slice two onions.", [[6_000, 9_500]]),
    ]
    assert told(events) == [(7_000, "It lands.", [[2_000, 6_500]]), (12_000, "A kite dips.", [[9_000, 12_000]])]
    assert events["quirks"] == ["unsorted"]


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ("Locate 'a dog barks' and give times.", "a dog barks"),
        ('Which part shows "the drummer\'s solo"?', "the drummer's solo"),
        ("Find: 'the dogs' bowl is filled'. Use the form 'start - end'.", "the dogs' bowl is filled"),
        ("Find “a cat sleeps” in the video.", "a cat sleeps"),
        ("Find the moment: the dogs' bowl is filled ", "the dogs' bowl is filled"),
    ],
)
def test_the_sentence_is_taken_from_its_quotes_or_behind_the_colon(asked, sentence):
    assert et_instruct.query(asked) == sentence


@pytest.mark.parametrize("asked", ["", "Locate the event.", "First: this. Second: that.", "Find 'a dog barks", ":'"])
def test_a_sentence_that_is_not_to_be_found_for_certain_is_none(asked):
    with pytest.raises(Reject) as caught:
        et_instruct.query(asked)
    assert caught.value.reason == "bad_text"


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"tgt": [1, 4, 6]}, "length_mismatch"),
        ({"tgt": [1, 4, 6, 9, 12, 15]}, "length_mismatch"),
        ({"tgt": []}, "no_segment"),
        ({"tgt": "1 - 4"}, "unknown_layout"),
        ({"tgt": [None, None, None, None]}, "no_segment"),
        ({"source": "a:b"}, "bad_id"),
        ({"conversations": STEPS["conversations"] * 2}, "length_mismatch"),
        ({"conversations": [{"from": "human", "value": "Which?"}, {"from": "gpt", "value": 7}]}, "bad_text"),
    ],
)
def test_a_row_of_garbage_is_rejected_with_its_reason(tmp_path, more, reason):
    samples, report = converted(tmp_path, "et_instruct", [STEPS | more], options={"tasks": ["slc"]})
    assert samples == {} and report["rejected"] == {reason: 1}


def test_a_sentence_with_two_moments_is_no_moment(tmp_path):
    samples, report = converted(tmp_path, "et_instruct", [FIND | {"tgt": [3.2, 9.1, 20, 30]}])
    assert samples == {} and report["rejected"] == {"length_mismatch": 1}


def test_what_stands_between_two_sentences_belongs_to_neither(tmp_path):
    answer = "1.0 - 4.0 seconds, rinse the lentils; 6.0 - 9.5 seconds, slice two onions;"
    rows = [row("slc", "Which?", answer, tgt=[1, 4, 6, 9.5])]
    samples, _ = converted(tmp_path, "et_instruct", rows, options={"tasks": ["slc"]})
    (sample,) = samples.values()
    assert [words for _, words, _ in told(sample)] == ["rinse the lentils", "slice two onions"]
    assert sample["quirks"] == []


def test_an_unknown_task_among_the_options_is_told_in_one_line(tmp_path):
    with pytest.raises(WrongUse, match="tasks are some of tvg, slc, dvc; got 'tvq'"):
        converted(tmp_path, "et_instruct", [FIND], options={"tasks": ["tvq"]})
