"""`streambridge data convert` when things go wrong: files that change, break or stand in the way, and large records."""

import json
import os
import pickle
import re
from pathlib import Path

import pytest

from streambridge.data import converting, source_set, tables
from streambridge.data.job import Job
from streambridge.data.outputs import Outputs
from streambridge.errors import BadInput, WrongUse
from test_data_convert import activitynet, run


def test_an_input_that_was_changed_since_is_another_one(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(converting, "KEEP_S", 0.0)
    path = activitynet(tmp_path / "train.json", 3000)

    def bomb(done, total):
        raise KeyboardInterrupt

    job = Job(source_set.find("activitynet_captions"), {"annotations": (path,)}, tmp_path / "out")
    with pytest.raises(KeyboardInterrupt):
        converting.run(job, bomb)
    held = path.read_bytes()
    path.write_bytes(held[: len(held) // 2] + held[len(held) // 2 :].replace(b"apples", b"pearls", 1))
    os.utime(path, ns=(1, 10**18))
    assert run("activitynet_captions", "--input", path, "--out", tmp_path / "out") == 2
    assert "with another input" in capsys.readouterr().err


def test_two_conversions_that_end_in_one_file_never_overwrite_each_other(tmp_path, capsys):
    """Records of COIN tell their split: two runs under other names write the same file."""

    def coin(name, key):
        steps = [{"id": "1", "segment": [1.0, 9.0], "label": "turn the crank"}]
        video = {
            "duration": 30.0,
            "class": "TurnCrank",
            "video_url": "",
            "start": 0.0,
            "end": 30.0,
            "subset": "training",
            "recipe_type": 1,
            "annotation": steps,
        }
        (tmp_path / name).write_text(json.dumps({"database": {key: video}}))
        return tmp_path / name

    first = Job(
        source_set.find("coin"), {"annotations": (coin("a.json", "aaaaaaaaaaa"),)}, tmp_path / "out", split="train"
    )
    other = Job(
        source_set.find("coin"), {"annotations": (coin("b.json", "bbbbbbbbbbb"),)}, tmp_path / "out", split="val"
    )

    def meanwhile(done, total):
        if not other.report.exists():
            converting.run(other)

    with pytest.raises(WrongUse, match=r"coin\.train\.jsonl stands there already"):
        converting.run(first, meanwhile)
    written = (tmp_path / "out/coin.train.jsonl").read_text()
    assert "bbbbbbbbbbb" in written and "aaaaaaaaaaa" not in written
    (tmp_path / "out/coin.train.jsonl").rename(tmp_path / "moved.jsonl")
    assert converting.run(first)["produced"]["samples"] == 1
    assert "aaaaaaaaaaa" in (tmp_path / "out/coin.train.jsonl").read_text()


def test_a_name_that_another_was_quicker_to_take_is_never_overwritten(tmp_path, monkeypatch):
    outputs = Outputs(tmp_path, "mark")
    outputs.add("x.jsonl", "mine")
    real = os.link

    def slower(part, final):
        final.write_text("theirs")
        real(part, final)

    monkeypatch.setattr(os, "link", slower)
    with pytest.raises(WrongUse, match="stands there already"):
        outputs.publish(["x.jsonl"])
    assert (tmp_path / "x.jsonl").read_text() == "theirs"


def test_force_removes_nothing_but_what_a_conversion_of_this_set_writes(tmp_path):
    path = activitynet(tmp_path / "train.json", 3)
    words = ("activitynet_captions", "--input", path, "--out", tmp_path / "out")
    assert run(*words) == 0
    report = tmp_path / "out/activitynet_captions.train.report.json"
    said = json.loads(report.read_text())
    kept = [tmp_path / "precious", tmp_path / "out/precious", tmp_path / "out/coin.train.jsonl"]
    for one in kept:
        one.write_text("kept")
    said["files"] += ["../precious", "precious", "coin.train.jsonl", str(tmp_path / "precious"), "rejected/../precious"]
    report.write_text(json.dumps(said))
    assert run(*words, "--force") == 0
    assert all(one.read_text() == "kept" for one in kept)


def test_one_file_of_several_that_cannot_be_read_costs_itself(tmp_path, capsys):
    (tmp_path / "in").mkdir()
    said = {
        "info": {"video_path": "1.mp4", "fps": 25.0, "num_frame": 1000},
        "global": [{"question": "Is it night?", "answer": "No"}],
        "breakpoint": [],
    }
    for n in (1, 3):
        (tmp_path / f"in/{n}.json").write_text(json.dumps({**said, "info": {**said["info"], "video_path": f"{n}.mp4"}}))
    (tmp_path / "in/2.json").write_bytes(pickle.dumps({"a": 1}))
    assert run("moviechat", "--input", tmp_path / "in", "--out", tmp_path / "out") == 1
    told = capsys.readouterr()
    assert "2 samples" in told.out and "unreadable" in told.out and "2.json:0" in told.err


def test_what_is_dropped_of_a_group_is_told_with_its_own_line(tmp_path):
    questions = [("Where is it?", "here"), ("Who is there?", ""), ("What did l hold?", "a cup"), ("Why?", "None")]
    rows = [
        {
            "video_id": "clip",
            "sample_id": None,
            "question": question,
            "answer": answer,
            "start_sec": 3.0 * n,
            "end_sec": 3.0 * n + 2,
            "moment_start_frame": 90,
            "moment_end_frame": 150,
            "narrations": [],
        }
        for n, (question, answer) in enumerate(questions)
    ]
    (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "d.csv").write_text("video_id,duration_s\nclip,60\n")
    inputs = ("--input", tmp_path / "train.jsonl", "--input", f"durations={tmp_path / 'd.csv'}")
    assert run("egotimeqa", *inputs, "--out", tmp_path / "out") == 0
    left = [json.loads(line) for line in (tmp_path / "out/rejected/egotimeqa.train.jsonl").read_text().splitlines()]
    assert sorted((one["line"], one["record"], one["reason"]) for one in left) == [
        (2, 2, "empty_text"),
        (4, 4, "empty_text"),
    ]
    report = json.loads((tmp_path / "out/egotimeqa.train.report.json").read_text())
    assert report["records"] == {"read": 4, "converted": 4}


def test_a_record_of_a_hundred_thousand_spans_takes_no_square_of_time(tmp_path):
    spans = [[k / 10, k / 10 + 0.05] for k in range(100_000)]
    said = {"v_long": {"duration": 10_001, "timestamps": spans, "sentences": [f"event {k}" for k in range(100_000)]}}
    (tmp_path / "train.json").write_text(json.dumps(said))
    assert run("activitynet_captions", "--input", tmp_path / "train.json", "--out", tmp_path / "out") == 0


def resident_kb():
    return int(re.search(r"VmRSS:\s+(\d+)", Path("/proc/self/status").read_text())[1])


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs a system that tells a process's memory")
def test_a_table_of_many_ids_takes_no_memory_that_grows_with_it(tmp_path):
    path = tmp_path / "durations.csv"
    with path.open("w") as file:
        file.write("video,fps,duration_s\n")
        file.writelines(f"clip-of-some-length-{n:010d},30,{n % 50}.5\n" for n in range(300_000))
    before = resident_kb()
    table = tables.read([path], ("video_id", "duration_s"))
    assert len(table) == 300_000 and table.get("clip-of-some-length-0000000007", {}) == {"duration_s": "7.5"}
    assert "clip-of-some-length-0000299999" in table and "nothing" not in table and table.get("nothing", {}) == {}
    assert resident_kb() - before < 20_000


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("d.csv", "video_id,duration_s\na,1\na,2\n", "'a' is told twice, and not the same"),
        ("d.csv", "video_id,seconds\na,1\n", "no column 'duration_s'"),
        ("d.csv", "clip,duration_s\na,1\n", "no column 'video_id'"),
        ("d.csv", "video_id,duration_s\n", "is empty"),
        ("d.csv", 'video_id,duration_s\n"a,1\n', "d.csv:2: a quote"),
        ("d.json", "[1]", "expected a JSON mapping"),
        ("d.json", "{", "expected a JSON mapping"),
        ("d.json", '{"a": [1]}', "expected numbers"),
        ("d.json", '{"a": true}', "expected numbers"),
        ("d.json", "{}", "is empty"),
    ],
)
def test_a_broken_table_stops_the_run_with_its_place(tmp_path, name, text, expected):
    (tmp_path / name).write_text(text)
    with pytest.raises(BadInput, match=re.escape(expected)):
        tables.read([tmp_path / name], ("video_id", "duration_s"))


@pytest.mark.parametrize(
    "text", ['{"a": 5, "b": "7.5"}', '{"a": {"duration_s": 5, "fps": 3}, "b": {"duration_s": "7.5"}}']
)
def test_a_table_may_be_json(tmp_path, text):
    (tmp_path / "d.json").write_text(text)
    table = tables.read([tmp_path / "d.json"], ("video_id", "duration_s"))
    assert table.get("a", {}) == {"duration_s": "5"} and table.get("b", {}) == {"duration_s": "7.5"}


@pytest.mark.parametrize("place", ["report", "force"])
def test_a_damaged_report_is_told_and_can_be_done_again(tmp_path, capsys, place):
    path = activitynet(tmp_path / "train.json", 3)
    words = ("activitynet_captions", "--input", path, "--out", tmp_path / "out")
    assert run(*words) == 0
    (tmp_path / "out/activitynet_captions.train.report.json").write_text("")
    (tmp_path / "out/.activitynet_captions.train.progress").write_text("")
    assert run(*words) == 2
    assert "is damaged; type --force" in capsys.readouterr().err
    (tmp_path / "out/activitynet_captions.train.jsonl").unlink()
    assert run(*words, "--force") == 0


def test_a_report_is_not_put_in_the_place_of_a_device_or_a_missing_folder(tmp_path, capsys):
    path = activitynet(tmp_path / "train.json", 3)
    os.mkfifo(tmp_path / "pipe")
    for place, expected in ((tmp_path / "pipe", "is no file"), (tmp_path / "no/r.json", "there is no folder")):
        assert run("activitynet_captions", "--input", path, "--out", tmp_path / "out", "--report", place) == 2
        assert expected in capsys.readouterr().err
    assert not (tmp_path / "out").exists() and (tmp_path / "pipe").is_fifo()


def test_a_file_name_that_is_no_text_is_no_trouble(tmp_path):
    path = activitynet(tmp_path / os.fsdecode(b"bad\xff.json"), 3)
    assert run("activitynet_captions", "--input", path, "--out", tmp_path / "out") == 0
