"""Promises of the leakage check: videos are found under every spelling, strangers are not, a copy is clean."""

import json

import pytest

from streambridge import streamit
from streambridge.data import annotations, leakage
from streambridge.data.annotations import videos_of_annotations
from streambridge.data.video_names import name, shape
from streambridge.errors import BadInput, RunFailed
from streambridge.types import Media, Question, Reference, Timeline

YT = "aB3_x-9ZqLm"  # composed: eleven characters, as YouTube's
UID = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"


def sample(number, *uris):
    turns = (Question("q", 0.0, "What?", "watch"), Reference("a", 5.0, "A hen.", "q", ((0.0, 5.0),)))
    media = tuple(Media(uri, 0.0, 5.0, 5.0 * k) for k, uri in enumerate(uris))
    return Timeline(f"made/train/{number}#0", media, 5.0 * len(uris), turns, {"order": "proactive", "split": "train"})


def files(tmp_path, uris, videos):
    """A training file with one sample a video, and a plain list of a benchmark's videos."""
    streamit.write(tmp_path / "train.jsonl", [sample(k, uri) for k, uri in enumerate(uris)])
    (tmp_path / "bench.txt").write_text("".join(f"{video}\n" for video in videos))
    return leakage.check([tmp_path / "train.jsonl"], [tmp_path / "bench.txt"])


@pytest.mark.parametrize(("uri", "video", "how"), [
    (f"activitynet:v_{YT}", f"ActivityNet/v_{YT}.mp4", "exact"),
    (f"activitynet:v_{YT}", f"{YT}.mkv", "exact"), (f"youcook2:{YT}", f"v_{YT}", "exact"),
    (f"made:{YT}", f"./videos/{YT}.webm", "exact"), (f"made:{YT}", f"videos\\{YT}.mp4", "exact"),
    (f"made:{YT}", f"https://www.youtube.com/watch?v={YT}", "exact"), (f"made:{YT}", f"https://youtu.be/{YT}", "exact"),
    (f"hdvila:{YT}.19", f"{YT}.mp4", "cut"), (f"hdvila:{YT}.19", f"hdvila/{YT}.19.mp4", "exact"),
    (f"made:{YT}", f"qvhighlights/{YT}_60.0_210.0.mp4", "cut"), (f"made:{YT}_60_210", f"{YT}", "cut"),
    (f"made:{YT}_0_10", f"{YT}_20_30", "cut"), (f"made:v_{YT}_3", f"{YT}.mp4", "cut"),
    (f"made:{YT}_0_10", f"x/{YT}_0_10.mp4", "exact"), (f"ego4d:{UID}", f"Ego4D/{UID}.mp4", "exact"),
    (f"ego4d:{UID}", f"Ego4D/{UID}_12_88.mp4", "cut"), ("shot2story:Qx7.3_0_74", "Qx7.3.mp4", "cut"),
    ("charades:AB12C", "charades_sta/AB12C.mp4", "exact"), ("webvid:1029384756", "1029384756.mp4", "exact"),
    ("moviechat:7", "MovieChat/7.mp4", "exact"), ("made:_a-_b-_c-_d", "_a-_b-_c-_d.mp4", "exact"),
    # strangers
    (f"made:{YT}", YT.lower(), None), (f"made:{YT}", YT[:-1], None),
    ("perception:video_10016", "video_10017.mp4", None),
    ("moviechat:7", "MovieNet/7.mp4", None), ("moviechat:7", "7.mp4", None), ("made:clip_1_2", "clip_3_4", None),
    ("made:aB3_x-9Zq_1", "aB3_x-9Zq.mp4", None), (f"made:{YT}", "sample_12_real.mp4", None),
    ("made:sample_1_real", "sample_2_real", None), (f"made:{YT}_30_10", f"{YT}_x", None),
    (f"made:{YT}_30_10", YT, None), (f"made:v_{YT}q", f"{YT}q", None), ("ucf:v_PushUps_g1", "PushUps_g1", None),
    ("made:12345_1", "12345_2", None),
])  # fmt: skip
def test_one_video_is_known_under_its_spellings_and_no_other_is(uri, video, how, tmp_path):
    result = files(tmp_path, [uri], [video, "another_videos_name"])
    expected = [(uri, video, how)] if how else []
    assert [(leak.uri, leak.matched, leak.how) for leak in result.leaks] == expected
    assert result.share == len(expected)


def test_the_counts_are_those_of_samples_and_of_the_benchmarks_videos(tmp_path):
    uris = [f"one:{YT}", f"one:{YT}", "one:zzzzzzzzzzz", f"two:{UID}", f"one:{YT}_1_9"]
    samples = [sample(9, f"one:{YT}", "one:yyyyyyyyyyy", f"two:{UID}"), *(sample(k, uri) for k, uri in enumerate(uris))]
    streamit.write(tmp_path / "train", samples)
    (tmp_path / "a").write_text(f"{YT}\n{UID}_0_5\nwwwwwwwwwww\n")
    (tmp_path / "b").write_text("yyyyyyyyyyy\n")
    result = leakage.check([tmp_path / "train"], [tmp_path / "a", tmp_path / "b"])
    assert result.samples == 6 and len(result.leaking) == 5 and result.share == pytest.approx(5 / 6)
    assert result.datasets == {
        "one": {"samples": 5, "leaking": 4, "exact": 3, "cut": 1},
        "two": {"samples": 2, "leaking": 2, "exact": 0, "cut": 2},
    }  # fmt: skip
    assert result.benchmarks == {
        str(tmp_path / "a"): {"videos": 3, "exact": 1, "cut": 1},
        str(tmp_path / "b"): {"videos": 1, "exact": 1, "cut": 0},
    }  # fmt: skip
    assert len(result.leaks) == 7 and result.leaks[0].sample == "made/train/9#0"
    assert json.loads(json.dumps(result.said()))["leaking"] == 5
    assert result.told()[0] == "5 of 6 samples (83.33%) show a video of a benchmark"


def test_ids_of_other_kinds_are_said_to_be_not_comparable(tmp_path):
    unlike = ["./videos/sample_1_real.mp4", "./videos/sample_22_real.mp4"]
    result = files(tmp_path, [f"yt:{YT}", f"ego4d:{UID}"], unlike)
    assert not result.leaks and len(result.notes) == 2
    assert "yt with" in result.notes[1] and "YouTube id" in result.notes[1] and "a_9_a" in result.notes[1]
    other = files(tmp_path, [f"ego4d:{UID}"], [UID.replace("0f", "1f"), YT])
    assert not other.leaks and "uuids; one of a clip never equals that of its video" in other.notes[0]
    assert files(tmp_path, [f"yt:{YT}"], ["abcdefghijk"]).notes == ()
    assert other.told()[-1].startswith("not comparable: ego4d")


def test_kinds_of_ids_are_told_apart():
    told = {raw: shape(name(raw)) for raw in (f"v_{YT}.mp4", f"{YT}_1_2", UID, "video_10016", "1234567", "AB12C")}
    assert list(told.values()) == ["YouTube id", "YouTube id", "uuid", "a_9", "number", "a9a"]


OVO = [{"id": 1, "task": "EPM", "video": f"COIN/{YT}.mp4", "realtime": 7}, {"id": 2, "video": "Ego4D/x.mp4", "gt": 0}]
STREAMING = [
    [{"time": "[0:00:00 - 0:00:10]", "video_path": "./videos/sample_1_real.mp4", "questions": [{"answer": "A"}]}],
    [{"video_path": "./videos/sample_2_real.mp4"}],
]
ET = [{"version": 1, "task": "tvg", "source": "charades_sta", "video": "charades_sta/AB12C.mp4", "tgt": [1, 2]}]


@pytest.mark.parametrize(("file", "text", "videos"), [
    ("ovo.json", json.dumps(OVO), {f"COIN/{YT}.mp4", "Ego4D/x.mp4"}),
    ("streaming.json", json.dumps(STREAMING), {"./videos/sample_1_real.mp4", "./videos/sample_2_real.mp4"}),
    ("et.json", json.dumps(ET, indent=2), {"charades_sta/AB12C.mp4"}),
    ("lines.jsonl", "".join(json.dumps(one) + "\n" for one in OVO), {f"COIN/{YT}.mp4", "Ego4D/x.mp4"}),
    ("lines.json", "".join(json.dumps(one) + "\n\n" for one in OVO), {f"COIN/{YT}.mp4", "Ego4D/x.mp4"}),
    ("list.json", '["a.mp4", "b.mp4"]', {"a.mp4", "b.mp4"}),
    ("anet.json", json.dumps({"v_x": {"duration": 3, "timestamps": []}, "v_y": {"duration": 4}}), {"v_x", "v_y"}),
    ("coin.json", json.dumps({"database": {"x": {"subset": "testing", "annotation": []}}}), {"x"}),
    ("t.csv", 'question_id,video_id,question\n1,a,"x, ""y"""\n2,b,z\n', {"a", "b"}),
    ("t.tsv", "video\tq\na.mp4\tx\nb.mp4\ty\n", {"a.mp4", "b.mp4"}),
    ("plain.txt", "\ufeffa.mp4\r\n\r\nmy video.mp4\n", {"a.mp4", "my video.mp4"}),
    ("charades.txt", "AB12C 24.3 30.4##a person opens a door.\n", {"AB12C"}),
])  # fmt: skip
def test_annotations_of_every_form_name_their_videos(file, text, videos, tmp_path):
    (tmp_path / file).write_text(text, encoding="utf-8")
    assert videos_of_annotations(tmp_path / file) == videos


@pytest.mark.parametrize(("file", "content"), [
    ("a.json", b""), ("b.json", b"{"), ("c.json", b"[" * 100_000), ("d.json", b'{"questions": []}'),
    ("e.json", b"[1, 2]"), ("f.txt", b"\xff\xfe\x00"), ("g.bin", b"abc\0def"),
    ("h.txt", b"x" * 600), ("i.txt", b"x" * 3_000_000),
    ("j.csv", b"video,q\n" + b'"' + b"x" * 200_000), ("k.jsonl", b'{"video": "a"}\n{"video"'),
    ("l.txt", "caf\u00e9".encode("latin-1")),
    ("m.json", b'{"video": 3}'), ("n.json", b"9" * 9000), ("o.jsonl", b"[" * 100_000),
])  # fmt: skip
def test_garbage_is_refused_in_one_line_that_names_the_file(file, content, tmp_path):
    (tmp_path / file).write_bytes(content)
    with pytest.raises(BadInput) as said:
        videos_of_annotations(tmp_path / file)
    assert file in str(said.value) and "\n" not in str(said.value) and len(str(said.value)) < 600


def test_what_cannot_be_read_is_one_clear_line(tmp_path, monkeypatch):
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(BadInput, match="a file of annotations is expected"):
            videos_of_annotations(path)
    (tmp_path / "big.json").write_text(json.dumps(OVO))
    monkeypatch.setattr(annotations, "MOST_BYTES", 20)
    with pytest.raises(BadInput, match="more than 20 bytes"):
        videos_of_annotations(tmp_path / "big.json")
    (tmp_path / "train").write_text("{}\n")
    (tmp_path / "bench").write_text(YT)
    with pytest.raises(BadInput, match="train:1: "):
        leakage.check([tmp_path / "train"], [tmp_path / "bench"])


def test_a_copy_leaves_out_the_leaking_samples_and_keeps_the_other_bytes(tmp_path):
    result = files(tmp_path, [f"one:{YT}", "one:zzzzzzzzzzz", f"two:{YT}_0_4", "one:yyyyyyyyyyy"], [YT])
    whole = (tmp_path / "train.jsonl").read_bytes().splitlines(keepends=True)
    whole[1] = whole[1].replace(b'"task"', b' "task"') + b"\n"  # not canonical, and a blank line: kept as they are
    whole[3] = whole[3].rstrip()
    (tmp_path / "train.jsonl").write_bytes(b"".join(whole))
    assert leakage.without(tmp_path / "train.jsonl", result.leaking, tmp_path / "clean.jsonl") == (2, 2)
    assert (tmp_path / "clean.jsonl").read_bytes() == whole[1] + whole[3]
    assert leakage.without(tmp_path / "train.jsonl", result.leaking, tmp_path / "train.jsonl") == (2, 2)
    assert (tmp_path / "train.jsonl").read_bytes() == whole[1] + whole[3]
    assert not leakage.check([tmp_path / "clean.jsonl"], [tmp_path / "bench.txt"]).leaks


def test_a_copy_that_fails_leaves_nothing_behind(tmp_path):
    files(tmp_path, [f"one:{YT}", "one:b"], [YT])
    with open(tmp_path / "train.jsonl", "ab") as file:
        file.write(b'{"no id": 1}\n')
    before = sorted(tmp_path.iterdir())
    with pytest.raises(BadInput, match=r"train\.jsonl:3: "):
        leakage.without(tmp_path / "train.jsonl", {"x"}, tmp_path / "out")
    with pytest.raises(BadInput, match="cannot read"):
        leakage.without(tmp_path / "absent", {"x"}, tmp_path / "out")
    with pytest.raises(RunFailed, match="cannot write"):
        leakage.without(tmp_path / "train.jsonl", {"x"}, tmp_path / "no folder" / "out")
    assert sorted(tmp_path.iterdir()) == before
