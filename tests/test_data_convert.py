"""`streambridge data convert`: the program, kill -9, memory on large files, and what a person is told."""

import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from streambridge import cli
from streambridge.data import converting, source_set
from streambridge.data.draws import u
from streambridge.data.job import Job

WORDS = "a person in a green coat carries a crate of apples over the wet yard and puts it down by the gate"


def activitynet(path: Path, videos: int) -> Path:
    times = [[0, 20.5], [18, 41]]
    said = {
        f"v_{n:011d}": {"duration": 60.0 + n % 7, "timestamps": times, "sentences": [WORDS, f"{WORDS} {n}"]}
        for n in range(videos)
    }
    path.write_text(json.dumps(said), encoding="utf-8")
    return path


def run(*words: str | Path) -> int:
    return cli.main(["data", "convert", *map(str, words)])


def test_list_names_every_set_one_a_line(capsys):
    assert run("--list") == 0
    told = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in told] == source_set.names()
    assert all(len(line.split()) > 1 for line in told)


@pytest.mark.parametrize("name", source_set.names())
def test_list_of_one_set_tells_its_files_and_rules(capsys, name):
    assert run(name, "--list") == 0
    told = capsys.readouterr().out
    assert all(f"--input {one.name}=" in told for one in source_set.find(name).inputs)


def test_a_conversion_writes_samples_a_report_and_what_was_rejected(tmp_path, capsys):
    path = activitynet(tmp_path / "train.json", 20)
    held = json.loads(path.read_text())
    held["v_broken"] = {"duration": 10, "timestamps": [[0, 3]], "sentences": []}
    path.write_text(json.dumps(held))
    assert run("activitynet_captions", "--input", path, "--out", tmp_path / "out", "--report", tmp_path / "r.json") == 0
    told = capsys.readouterr()
    assert "20 samples" in told.out and "length_mismatch" in told.out
    assert "the full set has 10,009 videos, found 21" in told.out
    assert told.err == ""
    report = json.loads((tmp_path / "r.json").read_text())
    assert report == json.loads((tmp_path / "out/activitynet_captions.train.report.json").read_text())
    assert report["produced"]["samples"] == 20 and report["rejected"] == {"length_mismatch": 1}
    assert report["differences"][0] == {"what": "videos", "expected": 10_009, "found": 21}
    rejected = (tmp_path / "out/rejected/activitynet_captions.train.jsonl").read_text().splitlines()
    assert [json.loads(line)["key"] for line in rejected] == ["v_broken"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "activitynet_captions.train.jsonl", "activitynet_captions.train.report.json", "rejected",
    ]  # fmt: skip


def test_json_prints_the_report_and_nothing_else(tmp_path, capsys):
    path = activitynet(tmp_path / "train.json", 3)
    assert run("activitynet_captions", "--input", f"annotations={path}", "--out", tmp_path / "out", "--json") == 0
    assert json.loads(capsys.readouterr().out)["produced"]["samples"] == 3


def test_strict_fails_where_the_counts_are_not_the_full_sets(tmp_path, capsys):
    path = activitynet(tmp_path / "train.json", 3)
    assert run("activitynet_captions", "--input", path, "--out", tmp_path / "out", "--strict") == 1


def test_a_policy_file_is_followed_and_told_in_each_sample(tmp_path, capsys):
    path, policy = activitynet(tmp_path / "train.json", 40), tmp_path / "policy.yaml"
    policy.write_text("proactive_share: 1.0\ntick_ms: 500\nseed: 3\n")
    assert run("activitynet_captions", "--input", path, "--out", tmp_path / "out", "--policy", policy) == 0
    written = (tmp_path / "out/activitynet_captions.train.jsonl").read_text()
    samples = [json.loads(line) for line in written.splitlines()]
    assert {sample["order"] for sample in samples} == {"proactive"} and len(samples) == 40
    assert samples[0]["policy"] == {"tick_ms": 500, "clamp_ms": 2000, "proactive_share": 1.0, "seed": 3}
    assert samples[0]["turns"][1]["t_ms"] == 20_500


def test_a_fifth_of_the_videos_is_proactive():
    draws = [u(0, f"activitynet_captions/train/v_{n}#0", "order") < 0.2 for n in range(10_009)]
    assert abs(sum(draws) / len(draws) - 0.2) < 0.012  # three standard deviations


def test_only_videos_that_are_there_are_converted_when_that_is_asked(tmp_path, capsys):
    path = activitynet(tmp_path / "train.json", 3)
    (tmp_path / "videos/deep").mkdir(parents=True)
    (tmp_path / "videos/deep/v_00000000001.mkv").touch()
    (tmp_path / "videos/00000000002.mp4").touch()
    assert run("activitynet_captions", "--input", path, "--out", tmp_path / "out", "--videos", tmp_path / "videos") == 0
    report = json.loads((tmp_path / "out/activitynet_captions.train.report.json").read_text())
    assert report["produced"]["samples"] == 2 and report["rejected"] == {"missing_video": 1}


@pytest.mark.parametrize(("words", "expected"), [
    ((), "type: streambridge data convert SOURCE --input FILE --out FOLDER"),
    (("activitynet", "--input", "GOOD", "--out", "OUT"), "did you mean 'activitynet_captions'?"),
    (("activitynet_captions", "--input", "nowhere.json", "--out", "OUT"), "there is no file nowhere.json"),
    (("activitynet_captions", "--input", "captions=GOOD", "--out", "OUT"), "has no input 'captions'"),
    (("shot2story", "--input", "GOOD", "--out", "OUT"), "type: --input fps=PATH"),
    (("activitynet_captions", "--input", "GOOD", "--out", "GOOD"), "cannot be made"),
    (("activitynet_captions", "--input", "GOOD", "--out", "OUT", "--policy", "nowhere.yaml"), "there is no file"),
    (("activitynet_captions", "--input", "GOOD", "--out", "OUT", "--policy", "POLICY"), "did you mean 'tick_ms'?"),
    (("activitynet_captions", "--input", "GOOD", "--out", "OUT", "--split", "../x"), "a split is train, val or test"),
    (("activitynet_captions", "--input", "GOOD", "--out", "OUT", "--split", "vla"), "a split is train, val or test"),
    (("activitynet_captions", "--input", "annotations=", "--out", "OUT"), "no file is named"),
    (("coin",), "streambridge data convert coin --list"),
    (("activitynet_captions", "--input", "GOOD", "--out", "OUT", "--policy", "SHARE"), "between 0 and 1; it is 20"),
    (("activitynet_captions", "--input", "GOOD", "--out", "OUT", "--policy", "VOID"), "is empty"),
    (("et_instruct", "--input", "GOOD", "--out", "OUT", "--policy", "OPTION"), "did you mean 'tasks'?"),
    (("activitynet_captions", "--input", "EMPTY", "--out", "OUT"), "holds no annotation file"),
    (("activitynet_captions", "--input", "GOOD", "--out", "OUT", "--videos", "nowhere"), "is no folder"),
    (("activitynet_captions", "--input", "TEXT", "--out", "OUT"), "is no JSON"),
    (("activitynet_captions", "--input", "LIST", "--out", "OUT"), "list.json:1: unknown_layout: missing: duration"),
])  # fmt: skip
def test_wrong_use_is_one_line_that_says_what_to_type(tmp_path, capsys, words, expected):
    there = {
        "GOOD": activitynet(tmp_path / "good.json", 2), "OUT": tmp_path / "out", "POLICY": tmp_path / "policy.yaml",
        "SHARE": tmp_path / "share.yaml", "VOID": tmp_path / "void.yaml", "OPTION": tmp_path / "option.yaml",
        "EMPTY": tmp_path / "empty", "TEXT": tmp_path / "text.json", "LIST": tmp_path / "list.json",
    }  # fmt: skip
    there["EMPTY"].mkdir()
    there["POLICY"].write_text("tick: 5\n")
    there["SHARE"].write_text("proactive_share: 20\n")
    there["VOID"].write_text("")
    there["OPTION"].write_text("options: {task: [tvg]}\n")
    there["TEXT"].write_text("hello")
    there["LIST"].write_text('[{"a": 1}]')
    words = [next((word.replace(key, str(path)) for key, path in there.items() if key in word), word) for word in words]
    assert run(*words) in (1, 2)
    told = capsys.readouterr().err
    assert expected in told and told.count("\n") == 1 and "Traceback" not in told
    left = [path for path in (tmp_path / "out").rglob("*") if path.is_file() and path.parent.name != "rejected"]
    assert left == [], "nothing stands in the way of another try"


def test_what_stands_there_already_is_not_overwritten(tmp_path, capsys):
    path = activitynet(tmp_path / "train.json", 3)
    words = ("activitynet_captions", "--input", path, "--out", tmp_path / "out")
    assert run(*words) == 0
    before = (tmp_path / "out/activitynet_captions.train.jsonl").read_bytes()
    assert run(*words) == 2
    assert "is converted already" in capsys.readouterr().err
    (tmp_path / "out/activitynet_captions.train.report.json").rename(tmp_path / "report.json")
    assert run(*words) == 2
    assert "stands there already" in capsys.readouterr().err
    assert (tmp_path / "out/activitynet_captions.train.jsonl").read_bytes() == before
    (tmp_path / "report.json").rename(tmp_path / "out/activitynet_captions.train.report.json")
    activitynet(path, 5)
    assert run(*words, "--force") == 0
    assert (tmp_path / "out/activitynet_captions.train.jsonl").read_bytes().startswith(before)
    assert len((tmp_path / "out/activitynet_captions.train.jsonl").read_bytes().splitlines()) == 5


@pytest.mark.parametrize(("names", "split"), [
    (["train.json"], "train"), (["val_1.json"], "val_1"), (["annotations.val.json"], "val"), (["data.json"], "train"),
    (["captions_validation.json"], "val"), (["my_testing_set.json"], "test"), (["dev.json"], "val"),
    (["trainval.json"], "train"), (["latest.json"], "train"), (["train_1.json", "train_2.json"], "train"),
])  # fmt: skip
def test_the_split_is_that_which_the_files_are_named_by(tmp_path, names, split):
    paths = [activitynet(tmp_path / name, 2) for name in names]
    inputs = [word for path in paths for word in ("--input", path)]
    assert run("activitynet_captions", *inputs, "--out", tmp_path / "out") == 0
    assert (tmp_path / f"out/activitynet_captions.{split}.jsonl").is_file()


def test_files_of_several_splits_are_not_mixed_without_a_word(tmp_path, capsys):
    (tmp_path / "in").mkdir()
    activitynet(tmp_path / "in/train.json", 2), activitynet(tmp_path / "in/val_1.json", 2)
    words = ("activitynet_captions", "--input", tmp_path / "in", "--out", tmp_path / "out")
    assert run(*words) == 2
    assert "train.json, val_1.json are of several splits (train, val_1)" in capsys.readouterr().err
    assert run(*words, "--split", "train") == 0


def test_a_file_that_breaks_off_is_no_success(tmp_path, capsys):
    path = activitynet(tmp_path / "train.json", 20)
    path.write_bytes(path.read_bytes()[:1500])
    assert run("activitynet_captions", "--input", path, "--out", tmp_path / "out") == 1
    told = capsys.readouterr()
    assert "train.json:1: the file breaks off; what stands behind was not read" in told.err
    assert "5 samples" in told.out


def test_what_is_rejected_is_found_in_a_file_of_one_line(tmp_path):
    window = {"moment_start_frame": 30, "moment_end_frame": 90, "question": "Where is it?"}
    answers = ["here", "there", "under it", "", "behind"]
    rows = [{"video_id": f"clip{n}", "sample_id": f"s{n}", "answer": text, **window} for n, text in enumerate(answers)]
    (tmp_path / "train.json").write_text(json.dumps(rows))
    (tmp_path / "probe.csv").write_text("video,duration_s,fps\n" + "".join(f"clip{n},60,30\n" for n in range(5)))
    inputs = ("--input", tmp_path / "train.json", "--input", f"durations={tmp_path / 'probe.csv'}")
    assert run("qaego4d", *inputs, "--out", tmp_path / "out") == 0
    (line,) = (tmp_path / "out/rejected/qaego4d.train.jsonl").read_text().splitlines()
    assert {"line": 1, "record": 4, "key": "s3", "reason": "empty_text"}.items() <= json.loads(line).items()


def test_ctrl_c_says_how_to_go_on_and_going_on_is_told(tmp_path, capsys, monkeypatch):
    path = activitynet(tmp_path / "train.json", 30)
    words = ("activitynet_captions", "--input", path, "--out", tmp_path / "out")
    real, calls = converting.rows, []

    def stopped(*given):
        for k, row in enumerate(real(*given)):
            if k == 10 and not calls:
                calls.append(k)
                raise KeyboardInterrupt
            yield row

    monkeypatch.setattr(converting, "rows", stopped)
    assert run(*words) == 130
    assert "stopped; type the same line to go on" in capsys.readouterr().err
    assert run(*words) == 0
    told = capsys.readouterr()
    assert "going on where an earlier run was stopped" in told.err and "30 samples" in told.out


def test_a_file_of_something_else_is_given_up_after_a_thousand_records(tmp_path, capsys):
    path = tmp_path / "other.json"
    path.write_text(json.dumps([{"caption": "x"}] * 5000))
    assert run("activitynet_captions", "--input", path, "--out", tmp_path / "out") == 2
    assert "none of the first 1000 records" in capsys.readouterr().err


def test_another_file_under_a_stopped_conversions_name_does_not_go_on(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(converting, "KEEP_S", 0.0)
    path = activitynet(tmp_path / "train.json", 30)

    class Killed(BaseException): ...

    def bomb(done, total):
        raise Killed

    job = Job(source_set.find("activitynet_captions"), {"annotations": (path,)}, tmp_path / "out")
    with pytest.raises(Killed):
        converting.run(job, bomb)
    activitynet(path, 31)
    assert run("activitynet_captions", "--input", path, "--out", tmp_path / "out") == 2
    assert "with another input" in capsys.readouterr().err


def test_two_conversions_do_not_write_to_one_place(tmp_path, capsys):
    path = activitynet(tmp_path / "train.json", 3)
    (tmp_path / "out").mkdir()
    progress = converting.Progress(tmp_path / "out/.activitynet_captions.train.progress", {})
    assert run("activitynet_captions", "--input", path, "--out", tmp_path / "out") == 2
    assert "another conversion is writing" in capsys.readouterr().err
    progress.close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_one_line_and_the_same_line_goes_on_later(tmp_path, capsys, monkeypatch):
    path = activitynet(tmp_path / "train.json", 3)
    (tmp_path / "out").mkdir()
    part = tmp_path / "out/.activitynet_captions.train.activitynet_captions.train.jsonl.part"
    plain = converting.Outputs._part
    monkeypatch.setattr(converting.Outputs, "_part", lambda self, name: Path("/dev/full"))
    assert run("activitynet_captions", "--input", path, "--out", tmp_path / "out") == 1
    told = capsys.readouterr().err
    assert "No space left on device" in told and "type the same line again" in told and told.count("\n") == 1
    monkeypatch.setattr(converting.Outputs, "_part", plain)
    assert run("activitynet_captions", "--input", path, "--out", tmp_path / "out") == 0
    assert not part.exists()


def program(path: Path, out: Path, name: str = "activitynet_captions") -> list[str]:
    return [sys.executable, "-m", "streambridge", "data", "convert", name, "--input", str(path), "--out", str(out)]


def killed_now_and_then(words: list[str], pause_s: float) -> int:
    """Run the program, killing it every now and then; how often it was killed before it came to its end."""
    for kills in range(50):
        try:
            subprocess.run(words, check=True, stdout=subprocess.DEVNULL, timeout=pause_s)  # a timeout is kill -9
            return kills
        except subprocess.TimeoutExpired:
            pause_s *= 1.2  # on a busy machine all of it may have been the start of the program
    raise AssertionError("it never came to its end")


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_killed_and_started_again_it_writes_the_same_bytes(tmp_path):
    path = activitynet(tmp_path / "train.json", 12_000)
    started = time.monotonic()
    subprocess.run(program(path, tmp_path / "whole"), check=True, stdout=subprocess.DEVNULL)
    pause = (time.monotonic() - started) / 4  # a machine that is suddenly less busy is killed in the midst, too
    assert killed_now_and_then(program(path, tmp_path / "killed"), pause) >= 1
    assert files(tmp_path / "killed") == files(tmp_path / "whole")


# ---------------------------------------------------------------------------------------------- a gigabyte


def grown_csv(path: Path, size: int) -> Path:
    """Panda-70M's layout, `size` bytes of it; here and there a fault."""
    with path.open("w", encoding="utf-8") as file:
        file.write("videoID,url,timestamp,caption,matching_score\n")
        n = 0
        while file.tell() < size if n % 1000 == 0 else True:
            spans = [[f"0:{k:02d}:{n % 60:02d}.500", f"0:{k:02d}:{n % 60:02d}.900"] for k in range(3)]
            spans = [[start, f"0:{k + 1:02d}:00.000"] for k, (start, _) in enumerate(spans)]
            captions = [f"{WORDS}, {n} {k}" * 4 for k in range(3)] if n % 997 else "__import__('os').system('x')"
            file.write(f'v{n:010d},https://example.invalid/{n},"{spans}","{captions}","[0.5, 0.6, 0.7]"\n')
            n += 1
    return path


def grown_jsonl(path: Path, size: int) -> Path:
    """InternVid's layout, `size` bytes of it."""
    with path.open("w", encoding="utf-8") as file:
        n = 0
        while file.tell() < size if n % 1000 == 0 else True:
            clip = {"YoutubeID": f"i{n:010d}", "Start_timestamp": "00:00:07.250", "End_timestamp": "00:00:21.500"}
            score = "NaN" if n % 991 == 0 else "0.5"
            said = json.dumps({**clip, "Caption": f"{WORDS}, {n} " * 6})
            file.write(f'{said[:-1]}, "Aesthetic_Score": 4.5, "UMT_Score": {score}}}\n')
            n += 1
    return path


GROWN = {"panda70m": ("csv", grown_csv), "internvid": ("jsonl", grown_jsonl)}
# ru_maxrss would do, but it counts what the parent held before the program began: a long run of tests, for one.
PEAK = """
import pathlib, re, resource, sys
from streambridge import cli
code = cli.main(sys.argv[1:])
status = pathlib.Path("/proc/self/status")
own = re.search(r"VmHWM:\\s+(\\d+)", status.read_text()) if status.exists() else None
peak = int(own[1]) if own else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print("peak", peak // 1024, file=sys.stderr)
sys.exit(code)
"""


def peak_mb(words: list[str]) -> int:
    """Most resident memory of the program, in MB."""
    done = subprocess.run([sys.executable, "-c", PEAK, *words[3:]], check=True, capture_output=True, text=True)
    return int(done.stderr.split("peak ")[1])


@pytest.mark.parametrize("name", GROWN)
def test_memory_does_not_grow_with_the_file(tmp_path, name):
    ending, grow = GROWN[name]
    small, large = grow(tmp_path / f"small.{ending}", 200_000), grow(tmp_path / f"large.{ending}", 12_000_000)
    peaks = [peak_mb(program(path, tmp_path / path.stem, name)) for path in (small, large)]
    assert peaks[1] < 500 and peaks[1] - peaks[0] < 60


@pytest.mark.slow
@pytest.mark.parametrize("name", GROWN)
def test_a_gigabyte_converts_under_500_mb_and_a_kill_changes_no_byte(tmp_path, name):
    ending, grow = GROWN[name]
    path = grow(tmp_path / f"large.{ending}", 2**30)
    assert path.stat().st_size >= 2**30
    started = time.monotonic()
    assert peak_mb(program(path, tmp_path / "whole", name)) < 500
    pause = (time.monotonic() - started) / 2.5
    assert killed_now_and_then(program(path, tmp_path / "killed", name), pause) >= 1
    assert files(tmp_path / "killed") == files(tmp_path / "whole")


def test_a_progress_bar_is_drawn_on_a_terminal_and_none_in_a_pipe(tmp_path):
    import pty

    path = activitynet(tmp_path / "train.json", 2000)
    host, guest = pty.openpty()
    words = program(path, tmp_path / "out")
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=guest, env={**os.environ, "TERM": "xterm"})
    os.close(guest)
    shown = b""
    with suppress(OSError):  # the other end has closed
        while piece := os.read(host, 4096):
            shown += piece
    os.close(host)
    assert process.wait() == 0 and b"activitynet_captions" in shown and b"%" in shown
    piped = subprocess.run(program(path, tmp_path / "piped"), capture_output=True, check=True)
    assert piped.stderr == b""


def test_memory_is_that_of_the_program_and_not_of_who_started_it():
    held = b"x" * 400_000_000
    assert 10 < peak_mb(["", "", "", "data", "convert", "--list"]) < 300 and held
