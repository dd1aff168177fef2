"""`streambridge data validate | stats | card | leakage | augment | labels | world | probe`, as a person types them."""

import csv
import json
from pathlib import Path

import pytest
import yaml

from clips import clip
from streambridge import cli, recipe, streamit
from streambridge.data import invariants, source_set
from streambridge.data.joining import join
from streambridge.data.policy import Policy
from streambridge.types import Media, Question, Reference, Timeline

HERE = Path(__file__).parent / "stream_it"


def run(*words) -> int:
    return cli.main(["data", *map(str, words)])


@pytest.fixture
def streams(tmp_path):
    """A folder as `data convert` leaves it."""
    out = tmp_path / "streams"
    assert run("convert", "youcook2", "--input", HERE / "youcook2" / "trainval.json", "--out", out) == 0 or out.exists()
    assert list(out.glob("*.jsonl"))
    return out


THINGS = ("a heron", "three lamps", "the tall ladder", "green paint", "an anchor", "wet gravel", "a kite", "old coins")


def joined(n: int) -> Timeline:
    """A sample of StreamingQA: a question right after each clip."""
    made = join((Media(f"webvid:{n}-{k}", 0.0, 12.4), "") for k in range(len(THINGS)))
    turns = []
    for k, thing in enumerate(THINGS):
        end, thing = made.span(k)[1], thing.replace(" ", f"{n}")
        turns += [Question(f"q{k}", end, f"Where is {thing} with brand{n}?", "now", "question")]
        turns += [Reference(f"a{k}", end, f"Beside gate {k}.", f"q{k}", (made.span(k),))]
    meta = {"task": "realtime_qa", "order": "multi_turn", "split": "train", "source": {}, "quirks": list(made.quirks)}
    return Timeline(f"streamingqa/train/{n}#0", made.media, made.duration_s, tuple(turns), {**meta, "policy": {}})


@pytest.fixture
def qa(tmp_path):
    path = tmp_path / "qa.jsonl"
    streamit.write(path, (joined(n) for n in range(150)))
    assert run("validate", path) == 0
    return path


def test_what_convert_wrote_is_valid_and_a_broken_line_is_found_with_its_place(streams, capsys):
    capsys.readouterr()
    assert run("validate", streams) == 0
    assert ", 0 findings" in capsys.readouterr().out
    path = next(streams.glob("*.jsonl"))
    lines = path.read_text().splitlines()
    lines[1] = lines[1].replace('"t_ms":0', '"t_ms":9999999', 1)
    path.write_text("\n".join(lines) + "\n")
    assert run("validate", streams) == 1
    told = capsys.readouterr().out
    assert f"{path.name}:2: turns[" in told and "1 findings" in told
    assert run("validate", streams, "--json") == 1
    assert json.loads(capsys.readouterr().out)["line"] == 2


def test_stats_tell_counts_as_text_json_and_a_page(streams, tmp_path, capsys):
    capsys.readouterr()
    assert run("stats", streams, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["samples"] == sum(len(path.read_text().splitlines()) for path in streams.glob("*.jsonl"))
    assert run("stats", streams, "--page", tmp_path / "page.html") == 0
    assert "answers a sample" in capsys.readouterr().out
    page = (tmp_path / "page.html").read_text()
    assert page.startswith("<!doctype html>") or page.lower().startswith("<!doctype html>")
    assert "http://" not in page.replace("http://www.w3.org", "") and "<svg" in page


def test_a_card_tells_sources_and_leakage(streams, tmp_path, capsys):
    annotations = tmp_path / "bench.json"
    first = streamit.from_line(next(streams.glob("*.jsonl")).read_text().splitlines()[0])
    name = first.media[0].uri.partition(":")[2]
    annotations.write_text(json.dumps([{"id": 0, "task": "EPM", "video": f"youcook2/{name}.mp4"}]))
    capsys.readouterr()
    assert run("leakage", streams, "--against", annotations, "--json") == 1
    (tmp_path / "leaks.json").write_text(capsys.readouterr().out)
    assert run("card", streams, "--out", tmp_path / "card.md", "--leakage", tmp_path / "leaks.json") == 0
    card = (tmp_path / "card.md").read_text()
    assert "YouCook2" in card or "youcook2" in card
    assert "1 of 5 samples" in card
    words = ("leakage", streams, "--against", annotations, "--without")
    assert run(*words, tmp_path / "clean") == 0
    assert run("leakage", tmp_path / "clean", "--against", annotations) == 0
    assert run(*words, tmp_path / "clean") == 2 and run(*words, streams) == 2
    assert "is where the samples are read from" in capsys.readouterr().err
    assert run("card", tmp_path / "clean", "--out", tmp_path / "card.md") == 0
    assert "They were left out of this corpus" in (tmp_path / "card.md").read_text()
    assert "## Sources and licences" in (tmp_path / "card.md").read_text()
    assert run("card", streams, "--out", tmp_path / "card.md", "--leakage", annotations) == 2
    assert "is not what `streambridge data leakage --json` prints" in capsys.readouterr().err


def test_augment_drops_and_moves_questions_and_stays_valid(qa, tmp_path, capsys):
    capsys.readouterr()
    assert run("augment", qa, "--out", tmp_path / "varied.jsonl", "--hallucination", "0.05") == 0
    told = capsys.readouterr().out
    assert "150 samples, 150 varied; of 1,200 questions 6" in told and " added that nothing answers" in told
    assert run("augment", qa, "--out", tmp_path / "varied.jsonl") == 2
    assert "stands there already" in capsys.readouterr().err
    assert run("validate", tmp_path / "varied.jsonl") == 0
    varied = list(streamit.read(tmp_path / "varied.jsonl"))
    kept = sum(not one.id.endswith(".na") for sample in varied for one in sample.questions) / (150 * 8)
    assert abs(kept - 0.45) < 0.06
    assert [one.id for one in varied] == [f"streamingqa/train/{n}#0" for n in range(150)]
    assert run("augment", qa, "--out", tmp_path / "same.jsonl", "--hallucination", "0.05") == 0
    assert (tmp_path / "same.jsonl").read_bytes() == (tmp_path / "varied.jsonl").read_bytes()
    assert run("augment", qa, "--out", tmp_path / "next.jsonl", "--epoch", "1") == 0
    assert (tmp_path / "next.jsonl").read_bytes() != (tmp_path / "varied.jsonl").read_bytes()


def test_augment_leaves_other_tasks_and_zero_rates_as_they_are(qa, streams, tmp_path):
    path = next(streams.glob("*.jsonl"))
    assert run("augment", path, "--out", tmp_path / "same.jsonl") == 0
    assert (tmp_path / "same.jsonl").read_bytes() == path.read_bytes()
    assert run("augment", qa, "--out", tmp_path / "none.jsonl", "--drop", 0, "--shift", 0, "--hallucination", 0) == 0
    assert (tmp_path / "none.jsonl").read_bytes() == qa.read_bytes()


def test_augment_says_when_nothing_was_varied_or_a_task_is_unknown(streams, tmp_path, capsys):
    path = next(streams.glob("*.jsonl"))
    assert run("augment", path, "--out", tmp_path / "same.jsonl") == 0
    assert "none is of the task realtime_qa" in capsys.readouterr().out
    assert run("augment", path, "--out", tmp_path / "x.jsonl", "--tasks", "relatime_qa") == 2
    assert "did you mean 'realtime_qa'?" in capsys.readouterr().err
    assert run("augment", streams, "--out", tmp_path / "x.jsonl") == 2
    assert "augment takes one file" in capsys.readouterr().err


def test_labels_of_samples_that_nobody_waits_in_are_told_to_be_none(qa, capsys):
    capsys.readouterr()
    assert run("labels", qa) == 0
    told = capsys.readouterr()
    assert told.out == "" and "no question here waits" in told.err


def test_a_broken_file_leaves_no_half_of_an_augmented_one(qa, tmp_path, capsys):
    qa.write_text(qa.read_text() + "{broken\n")
    assert run("augment", qa, "--out", tmp_path / "out.jsonl") == 2
    told = capsys.readouterr().err
    assert "qa.jsonl:151" in told and told.count("\n") == 1
    assert not list(tmp_path.glob("*out.jsonl*"))


def test_labels_are_one_line_a_watch(streams, capsys):
    capsys.readouterr()
    assert run("labels", streams) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    samples = {one.id: one for path in streams.glob("*.jsonl") for one in streamit.read(path)}
    assert {one["id"] for one in told} == set(samples)
    for one in told:
        assert len(one["labels"]) == int(samples[one["id"]].duration_s) and 1 in one["labels"]
    assert run("labels", streams, "--widths", "nothing") == 2
    assert "events, paper" in capsys.readouterr().err


def test_worlds_become_samples_that_are_valid(tmp_path, capsys):
    assert run("world", "--out", tmp_path / "world.jsonl", "--streams", 3, "--minutes", 0.5) == 0
    assert run("validate", tmp_path / "world.jsonl") == 0
    assert run("world", "--out", tmp_path / "world.jsonl", "--split", "exam") == 2
    assert "['train', 'dev', 'test']" in capsys.readouterr().err
    assert run("world", "--out", tmp_path / "nowhere/world.jsonl") == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_probe_writes_lengths_and_tells_what_it_cannot_read(tmp_path, capsys):
    (tmp_path / "videos/deep").mkdir(parents=True)
    clip(tmp_path / "videos/deep/one.mp4")
    (tmp_path / "videos/two.mp4").write_bytes(b"no video")
    assert run("probe", tmp_path / "videos", "--out", tmp_path / "table.csv") == 0
    told = capsys.readouterr()
    assert "two.mp4 cannot be read as a video" in told.err and "1 videos, 1 that cannot be read" in told.out
    with (tmp_path / "table.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert row["video"] == "one" and float(row["duration_s"]) > 0 and float(row["fps"]) > 0


@pytest.mark.parametrize(("words", "expected"), [
    (("validate", "nowhere"), "is no file of samples"), (("stats", "EMPTY"), "is no file of samples"),
    (("stats", "TEXT"), "text.jsonl:1"), (("card", "EMPTY"), "is no file of samples"),
    (("leakage", "TEXT", "--against", "nowhere.json"), "nowhere.json"),
    (("probe", "EMPTY", "--out", "x.csv"), "no video"),
    (("augment", "nowhere.jsonl", "--out", "x"), "cannot read nowhere.jsonl"), (("labels", "TEXT"), "text.jsonl:1"),
    (("augment", "TEXT", "--out", "x", "--drop", "2"), "--drop"), (("validate",), "files"), (("vary",), "vary"),
])  # fmt: skip
def test_wrong_use_is_one_line(tmp_path, capsys, monkeypatch, words, expected):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "EMPTY").mkdir()
    (tmp_path / "text.jsonl").write_text("hello\n")
    assert run(*[word.replace("TEXT", "text.jsonl") for word in words]) in (1, 2)
    told = capsys.readouterr().err
    assert expected in told and told.count("\n") == 1 and not (tmp_path / "x").exists()


def fenced(kind: str) -> str:
    paper = (Path(__file__).parents[1] / "docs" / "stream-it.md").read_text(encoding="utf-8")
    return paper.partition(f"```{kind}\n")[2].partition("```")[0]


def test_the_sample_and_the_policy_that_the_paper_shows_are_real():
    line = "".join(part.strip() for part in fenced("json").splitlines())
    sample = streamit.from_line(line)
    assert invariants.check(sample) == [] and streamit.to_line(sample) == line
    shown = yaml.safe_load(fenced("yaml"))
    own = recipe.fill(shown.pop("options"), source_set.find("egotimeqa").options, "options")
    assert recipe.fill(shown, Policy, "policy") == Policy() and own.per == "question"


def test_the_paper_names_every_set():
    paper = (Path(__file__).parents[1] / "docs" / "stream-it.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in paper for name in source_set.names())
    assert f"files that {len(source_set.names())} public sets" in (Path(__file__).parents[1] / "README.md").read_text()
