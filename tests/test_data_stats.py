"""Promises of the counts over samples: worked numbers, quantiles, balance, bounds, and garbage told in one line."""

import json

import numpy as np
import pytest

from streambridge import streamit
from streambridge.data import stats
from streambridge.errors import BadInput
from streambridge.types import Media, Question, Reference, Timeline


def timeline(n=0, duration=20.0, answers=(("A fox.", 5.0), ("Yes, it is.", 9.0)), kind="question", **own):
    turns = [Question("q", 0.0, "What is going on?", "watch", kind)]
    turns += [Reference(f"a{k}", t, text, "q", ((0.0, t),), k == 0) for k, (text, t) in enumerate(answers)]
    meta = {"task": "step", "order": "proactive", "split": "train", "source": {"dataset": "made"}}
    meta |= {"quirks": ["overlap"]}
    extras = {"turns": {"a0": {"qa_type": "OP", "options": ["A hen.", "A fox."], "answer_index": 1}}}
    return Timeline(f"made/{n}", (Media("made:x", 0.0, duration),), duration, tuple(turns), {**meta, **extras, **own})


def counted(*timelines):
    one = stats.Stats()
    for sample in timelines:
        one.add(sample)
    return one.said()


def test_a_worked_case_is_counted_to_the_last_number():
    told = counted(timeline(), timeline(1, 40.0, (("No.", 7.0),), "", split="test", quirks=[], turns={}))
    assert told["samples"] == 2 and told["learnable"] == 2
    assert told["by"]["split"] == {
        "test": {"samples": 1, "answers": 1, "hours": 0.011}, "train": {"samples": 1, "answers": 2, "hours": 0.006},
    }  # fmt: skip
    assert set(told["by"]["task"]) == {"step"} and set(told["by"]["dataset"]) == {"made"}
    assert told["duration_s"] | {"histogram": 0} == {
        "count": 2, "sum": 60.0, "mean": 30.0, "least": 20.0, "most": 40.0, "p5": 20.0, "p25": 20.0,
        "p50": pytest.approx(20, rel=0.01), "p75": pytest.approx(40, rel=0.01), "p95": pytest.approx(40, rel=0.01),
        "histogram": 0,
    }  # fmt: skip
    assert told["duration_s"]["histogram"] == [[20, 1], [50, 1]]
    assert (told["gap_s"]["count"], told["gap_s"]["sum"]) == (1, 4.0)
    assert (told["turns"]["sum"], told["answers"]["sum"], told["media"]["sum"]) == (5, 3, 2)
    assert told["answer_words"]["sum"] == 6 and told["question_words"]["mean"] == 4
    assert told["questions"] == {"kinds": {"(none)": 1, "question": 1}, "when": {"watch": 2}}
    assert told["qa_types"] == {
        "(none)": {"answers": 2, "yes": 1, "no": 1, "options": {}, "index": {}},
        "OP": {"answers": 1, "yes": 0, "no": 0, "options": {"2": 1}, "index": {"1": 1}},
    }
    assert told["quirks"] == {"overlap": 1}
    assert json.loads(json.dumps(told, allow_nan=False)) == told


def test_quantiles_are_right_to_a_hundredth():
    rng = np.random.default_rng(3)
    for values in (rng.lognormal(3, 2, 5000), rng.uniform(0, 1e5, 3000), np.zeros(10), np.array([7.0])):
        spread = stats.Spread()
        for value in values:
            spread.add(float(value))
        for q in stats.QUANTILES:
            exact = np.quantile(values, q / 100, method="inverted_cdf")
            assert spread.said()[f"p{q}"] == pytest.approx(exact, rel=0.0101, abs=0.0006)
        assert sum(count for _, count in spread.said()["histogram"]) == len(values)


def test_a_million_different_names_do_not_fill_memory():
    one = stats.Stats()
    for n in range(3000):
        one.add(timeline(n, 1.0 + n, ((f"{n} words", 1.0),), f"kind{n}", split=f"s{n}", quirks=[f"q{n}"],
                         turns={"a0": {"qa_type": f"t{n}", "options": ["x"] * n, "answer_index": n}}))  # fmt: skip
    told = one.said()
    for counts in (told["by"]["split"], told["questions"]["kinds"], told["quirks"], told["qa_types"]):
        assert stats.MOST_WORDS <= len(counts) <= stats.MOST_WORDS + 1 and stats.OTHER in counts
    assert sum(own["samples"] for own in told["by"]["split"].values()) == 3000
    assert len(json.dumps(told)) < 400_000


def test_samples_that_say_little_are_counted_too():
    told = counted(Timeline("t", (Media("a:b", 0.0, 1.0),), 1.0, (), {"source": {"dataset": ["x"]}, "task": "world"}))
    assert told["by"]["split"] == {stats.NOTHING: {"samples": 1, "answers": 0, "hours": 0.0}}
    assert told["gap_s"] == {"count": 0} and stats.told(told)[0] == "1 samples, 0 answers to learn from"
    assert stats.told(counted())[0].startswith("0 samples")


def test_the_table_says_the_counts_and_a_hostile_name_stays_on_its_line():
    lines = stats.told(json.loads(json.dumps(counted(timeline(), timeline(1, split="a\nb\x1b[31m")))))
    text = "\n".join(lines)
    assert "2 samples, 2 answers" in lines[0] and "\x1b" not in text
    assert any(line.split() == ["train", "1", "2", "0.0"] for line in lines)
    assert any(line.startswith("seconds a sample") and line.split()[3] == "20.0" for line in lines)
    assert any(line.split() == ["OP", "2", "0", "0", "B:2"] for line in lines)


def test_files_are_counted_together_and_a_wrong_line_is_named(tmp_path):
    streamit.write(tmp_path / "one", [timeline(n) for n in range(3)])
    streamit.write(tmp_path / "two", [timeline(9)])
    assert stats.stats([tmp_path / "one", tmp_path / "two"]) == counted(*(timeline(n) for n in (0, 1, 2, 9)))
    for garbage in (b"{\n", b"\xff\xfe", b"\0" * 99, b"[]"):
        (tmp_path / "bad").write_bytes(garbage)
        with pytest.raises(BadInput, match="bad:1: "):
            stats.stats([tmp_path / "one", tmp_path / "bad"])
    with pytest.raises(BadInput, match="cannot read"):
        stats.stats([tmp_path])
