"""Promises of `streambridge bench backbones`: it sees a fault where there is one, and its page tells what it found."""

import json
import re
from pathlib import Path

import pytest
import torch

from streambridge.backbones.opening import families, open_model
from streambridge.backbones.sketch import SIZES, Sketch
from streambridge.bench import backbones, checkpoints
from streambridge.bench.backbones_page import REAL, page, table
from streambridge.bench.reference import read_reference
from streambridge.cli import main

HOUSE = Path(__file__).parents[1]
KIND = "qwen3_vl"  # the family with most that can go wrong: positions of three rows, and DeepStack


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return checkpoints.save(tmp_path_factory.mktemp("made") / KIND, KIND, backbones.SEED)


@pytest.fixture(scope="module")
def record(folder):
    return backbones.record(folder, plans=2)


def changed(monkeypatch, name, change):
    """A family whose method gives something else."""
    from streambridge.backbones.qwen3_vl import Qwen3VL

    whole = getattr(Qwen3VL, name)
    monkeypatch.setattr(Qwen3VL, name, lambda self, *given: change(whole(self, *given)))


def test_a_family_that_agrees_passes_and_proves_something(record):
    assert record["passed"] and record["same"] == record["tokens"] > 0 and record["distinct"] > 1
    assert record["answers"] > 4 and record["compressed"] > 0 and record["levels"] == 4


GOOD = {"plans": 1, "logits": 1e-6, "same": 9, "tokens": 9, "distinct": 5}
STREAM = {"oracle": 1e-6, "oracle_same": 1.0, "answers": 5, "compressed": 2, "failed": []}


@pytest.mark.parametrize(
    ("what", "value"),
    [
        ("features", 2e-5),
        ("logits", 2e-4),
        ("oracle", 2e-4),
        ("same", 8),
        ("oracle_same", 0.9),
        ("failed", ["an answer broke off"]),
        ("distinct", 1),
        ("answers", 0),
        ("compressed", 0),
        (None, None),
    ],
)
def test_what_does_not_agree_or_proves_nothing_does_not_pass(folder, monkeypatch, what, value):
    def one(made):
        return made | ({what: value} if what in made else {})

    monkeypatch.setattr(backbones, "features_apart", lambda *_: one({"features": 1e-6})["features"])
    monkeypatch.setattr(backbones, "words_apart", lambda *_: one(GOOD))
    monkeypatch.setattr(backbones, "stream_apart", lambda *_: one(STREAM))
    assert backbones.record(folder)["passed"] == (what is None)


def test_features_that_differ_are_seen(folder, monkeypatch):
    changed(monkeypatch, "_bundle", lambda bundle: {**bundle, "embeds": bundle["embeds"] + 1e-3})
    found = backbones.record(folder, plans=1)
    assert found["features"] == pytest.approx(1e-3, rel=1e-2) and not found["passed"]


@pytest.mark.parametrize("level", ["deep0", "deep2"])
def test_a_level_that_differs_is_seen(folder, monkeypatch, level):
    changed(monkeypatch, "_bundle", lambda bundle: {**bundle, level: bundle[level] + 1e-3})
    model, reference = open_model(folder, tokens_per_frame="native"), read_reference(folder)
    assert backbones.features_apart(model, reference) == pytest.approx(1e-3, rel=1e-2)


def test_positions_that_differ_are_seen(folder, monkeypatch):
    changed(monkeypatch, "_places", lambda places: places[[0, 2, 1]])
    found = backbones.words_apart(open_model(folder, tokens_per_frame="native"), read_reference(folder), 1)
    assert found["logits"] > 1e-3


def test_a_token_that_differs_is_seen(folder, monkeypatch):
    changed(monkeypatch, "answer", lambda pieces: iter(list(pieces)[:-1]))
    found = backbones.words_apart(open_model(folder, tokens_per_frame="native"), read_reference(folder), 1)
    assert found["same"] == found["tokens"] - 1


def test_a_stream_that_is_not_the_recompute_is_seen(folder, monkeypatch):
    from streambridge.engine import oracle

    whole = oracle.recompute
    monkeypatch.setattr(oracle, "recompute", lambda *given: whole(*given) + 0.1)
    found = backbones.stream_apart(open_model(folder, tokens_per_frame="native"))
    assert found["oracle"] > 1e-3


def test_the_command_prints_records_writes_the_page_and_tells_by_its_code(tmp_path, capsys, monkeypatch):
    out = tmp_path / "backbones.md"
    assert main(["bench", "backbones", "--only", "smolvlm", "--json", "--out", str(out)]) == 0
    (found,) = json.loads(capsys.readouterr().out)["records"]
    written = out.read_text()
    assert found["model_type"] == "smolvlm" and f"{found['logits']:.1e}" in written
    assert f"streambridge bench backbones --only smolvlm --out {out}" in written
    monkeypatch.setattr(backbones, "record", lambda *_: {**found, "passed": False})
    assert main(["bench", "backbones", "--only", "smolvlm"]) == 1
    assert capsys.readouterr().out.splitlines()[-1].endswith("NO")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--only", "gpt2"], "no model type called 'gpt2'"),
        (["--only", "qwen2_5_v"], "did you mean 'qwen2_5_vl'"),
        (["--out", "/no/such/folder/page.md"], "there is no folder /no/such/folder"),
        (["--out", "."], "cannot be written"),
    ],
)
def test_wrong_words_are_told_in_one_line(words, said, capsys, monkeypatch):
    monkeypatch.setattr(backbones, "record", lambda *_: pytest.fail("it ran"))
    monkeypatch.setattr(backbones, "families", lambda: {} if words[0] == "--out" else families())
    assert main(["bench", "backbones", *words]) == 2
    line = capsys.readouterr().err.strip()
    assert len(line.splitlines()) == 1 and said in line


def test_every_family_that_is_read_can_be_made_and_is_on_the_page(record):
    kinds = set(families())
    assert kinds == set(checkpoints.FAMILIES) == set(REAL)
    shown = page([{**record, "model_type": kind, "family": families()[kind]} for kind in sorted(kinds)], "a command")
    for kind in kinds:
        assert shown.count(f"| `{kind}` |") == 3
    assert all(len(line) <= 120 or line.startswith("|") for line in shown.splitlines())


def test_the_page_tells_a_failure(record):
    bad = {**record, "passed": False, "logits": 0.25}
    assert "| 2.5e-01 |" in page([bad], "a command") and "| NO |" in page([bad], "a command")
    assert "NO" not in table([record]) and table([bad]).endswith("NO")


@pytest.mark.parametrize("kind", ["qwen2_vl", "llava_onevision", "smolvlm"])
def test_what_the_page_says_of_a_frame_is_what_such_a_checkpoint_makes_of_it(tmp_path, kind, record, monkeypatch):
    sketch = Sketch(checkpoints.save(tmp_path / kind, kind))
    sketch.model.eyes = REAL[kind].eyes
    native = " / ".join(str(sketch.features(*size, None)) for size in SIZES)
    paper = " / ".join(str(sketch.features(*size, sketch.budget("paper"))) for size in SIZES)
    shown = page([{**record, "model_type": kind, "paper": sketch.model.PAPER}], "a command")
    assert f"| {native} | {paper} |" in shown


def test_settings_said_to_be_the_librarys_are_the_librarys():
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil as Library

    eyes = REAL["qwen2_vl"].eyes
    assert (eyes.patch, eyes.merge, eyes.temporal) == (
        Library.patch_size,
        Library.merge_size,
        Library.temporal_patch_size,
    )
    for kind in ("qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_vl_moe"):
        eyes = REAL[kind].eyes
        assert (eyes.min_pixels, eyes.max_pixels) == (Library.size["shortest_edge"], Library.size["longest_edge"])


def test_the_page_in_docs_is_of_every_family_and_all_passed():
    written = (HOUSE / "docs" / "backbones.md").read_text(encoding="utf-8")
    held = written.split("## Held against the library")[1]
    rows = re.findall(r"^\| `(\w+)` .* \| (\w+) \|$", held, re.MULTILINE)
    assert {kind for kind, _ in rows} == set(families()) and {passed for _, passed in rows} == {"yes"}


def test_a_made_checkpoint_is_the_same_each_time(tmp_path, folder):
    again = open_model(checkpoints.save(tmp_path / KIND, KIND, backbones.SEED)).model.state_dict()
    first = open_model(folder).model.state_dict()
    assert all(torch.equal(weight, again[name]) for name, weight in first.items())
    other = open_model(checkpoints.save(tmp_path / "other", KIND, 9)).model.state_dict()
    assert not all(torch.equal(weight, other[name]) for name, weight in first.items())
