"""Promises of `streambridge bench latency`: the oracle first, records that the page takes, right sums, one clear line.

Everything runs here on tiny models and streams of seconds: no promise is about milliseconds.
"""

import inspect
import json
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
import torch

from fakes_memory import KINDS, count, play, random_stream
from streambridge import cli
from streambridge.bench import equality, extent, latency, roofline
from streambridge.bench.extent import IN_PLACE, OURS, PAPER, PREFIX, Extent
from streambridge.bench.held import Held
from streambridge.bench.performance import page, table
from streambridge.bench.random_model import SIZES
from streambridge.bench.records import FIELDS, sorted_out
from streambridge.bench.roofline import Stream, break_even, replay
from streambridge.errors import UnknownName, WrongUse
from streambridge.memory.paper import Paper

TINY = Extent(
    streams=1, contexts=((128, 1),), long_minutes=1.0, frames_minutes=0.5, gate_s=(2, 4), round_minutes=1.0,
    soak_hours=0.02, replays=((512, 16, 0.05),), rare_s=(10.0, 30.0), rare_hours=0.03, rivals_minutes=0.5,
    gpu_context=128, gpu_answers=3,
)  # fmt: skip
SMALL = {"size": "1M", "gate": "1M", "max_len": 512, "frame_tokens": 16}
RUNS_ON = {"eager": OURS, "budgeted": OURS, "lazy": IN_PLACE}  # what the rows of `rare` are measured on
SUMMED = {"max_abs_logit_diff", "ttft_ratio_2k", "ttft_ratio_4k", "ttft_ratio_8k", "p99_over_p50_replay",
          "prefill_ratio_4k_16", "prefill_ratio_16k_64", "gate_ratio_60s", "gate_ratio_300s"}  # fmt: skip


def small(part):
    """A part of a scenario on the smallest model."""
    return partial(part, **{name: value for name, value in SMALL.items() if name in inspect.signature(part).parameters})


def shrink(patch):
    """Every scenario on the smallest model and in this process."""
    parts = {name: tuple(map(small, parts)) for name, parts in latency.SCENARIOS.items()}
    patch.setattr(latency, "SCENARIOS", parts)
    patch.setattr(latency, "APART", ())


def told(*failed):
    """A check that only says who failed."""

    def check(variant, streams, dtype=torch.float32, device="cpu", tick=None, seed=0):
        return {
            "scenario": "oracle", "variant": variant, "size": "1M", "dtype": str(dtype).removeprefix("torch."),
            "streams": streams, "answers": 3, "max_abs_logit_diff": 1e-6, "noise": None, "same_tokens": 1.0,
            "passed": variant not in failed or dtype == torch.float32,
        }  # fmt: skip

    return check


def all_of(names=tuple(latency.SCENARIOS), begin=lambda name: None, tick=lambda: None):
    return list(latency.run(TINY, names, "cpu", "streambridge bench latency", begin, tick))


# --------------------------------------------------------------------------------------------- the whole, once


@pytest.fixture(scope="module")
def whole():
    """All scenarios, through the real code: the records, the names of the parts as they began, how often it ticked."""
    begun, ticks = [], []
    with pytest.MonkeyPatch.context() as patch:
        shrink(patch)
        records = all_of(begin=begun.append, tick=lambda: ticks.append(1))
    return records, begun, len(ticks)


def test_the_page_and_the_table_take_every_record_and_miss_no_scenario(whole):
    records = whole[0]
    assert set(sorted_out(records)) == set(FIELDS)
    text, short = page(records, {}), table(records)
    assert "Not in this run" not in text and "not in this run" not in short
    again = [json.loads(line) for line in map(json.dumps, records)]
    assert page(again, {}) == text and table(again) == short


@pytest.mark.parametrize("name", latency.SCENARIOS)
def test_each_scenario_alone_is_taken_too(name, whole):
    records = [record for record in whole[0] if record["scenario"] in {name, "oracle", "about"}]
    assert page(records, {}) and table(records)


def test_the_oracle_comes_before_everything_and_the_summary_last(whole):
    records, begun, ticks = whole
    first = [(record["variant"], record["dtype"]) for record in records[: 2 * len(roofline.VARIANTS)]]
    assert first == [(name, dtype) for name in roofline.VARIANTS for dtype in ("float32", "bfloat16")]
    kinds = [record["scenario"] for record in records]
    assert set(kinds[: len(first)]) == {"oracle"} and "oracle" not in kinds[len(first) :]
    assert kinds[-2:] == ["about", "summary"] and kinds.count("summary") == kinds.count("about") == 1
    assert begun == ["oracle", *latency.SCENARIOS] and ticks > 100


def test_every_variant_is_exact_in_the_check_and_on_the_way(whole):
    oracle = [record for record in whole[0] if record["scenario"] == "oracle"]
    assert all(record["passed"] and record["answers"] for record in oracle)
    assert all(record["noise"] > 0 for record in oracle if record["dtype"] == "bfloat16")
    timed = [record for record in whole[0] if record["scenario"] in {"long-stream", "burst"}]
    assert timed and all(0 <= record["max_abs_logit_diff"] <= equality.TOLERANCE for record in timed)
    steps = [record["max_abs_diff"] for record in whole[0] if "max_abs_diff" in record]
    assert len(steps) == 4 * len(TINY.gate_s) and max(steps) <= 1e-5


def test_what_is_counted_on_the_way_is_consistent(whole):
    (soaked,) = (record for record in whole[0] if record["scenario"] == "soak")
    assert soaked["max_tokens"] + soaked["reserve"] <= soaked["max_len"]
    for record in whole[0]:
        if "ttft_all_ms" in record and "p50_ms" in record:
            assert record["answers"] == len(record["ttft_all_ms"]) > 0, record
            assert record["p50_ms"] == pytest.approx(np.median(record["ttft_all_ms"]), abs=0.01)


def test_about_names_the_machine_and_what_was_typed(whole):
    (about,) = (record for record in whole[0] if record["scenario"] == "about")
    assert about["device"] == "cpu" and about["threads"] == torch.get_num_threads() and about["seconds"] > 0
    assert {"python", "torch", "transformers", "streambridge"} <= set(about["versions"])
    assert about["command"] == "streambridge bench latency"


def test_the_summary_is_that_of_the_records(whole):
    *before, summary = whole[0]
    assert summary == latency.summary(before) and set(summary) >= SUMMED
    assert summary["max_abs_logit_diff"] <= equality.TOLERANCE
    measured = {name for name in summary if summary[name] is not None} - {"scenario", "variant"}
    assert {"p50_ratio_long_stream", "p99_over_p50_replay", "stalls_replay"} <= measured
    assert not measured & {name for name in SUMMED if name.startswith(("ttft", "prefill", "gate"))}  # other settings


def test_a_process_of_its_own_gives_the_records_of_first_token(monkeypatch):
    monkeypatch.setattr(equality, "check", told())
    records = all_of(["first-token"])
    assert [record["variant"] for record in records if record["scenario"] == "first-token"] == [PAPER, IN_PLACE]
    assert page(records, {}) and table(records)


# ------------------------------------------------------------------------------------------ who failed, is not timed


@pytest.mark.parametrize("failed", [(PAPER,), (IN_PLACE,), (OURS,), (PREFIX,), tuple(roofline.VARIANTS)], ids=" ".join)
def test_a_variant_that_failed_has_no_row_of_any_scenario_of_speed(failed, monkeypatch):
    shrink(monkeypatch)
    monkeypatch.setitem(SIZES, "1M", (1, 16, 2, 1, 32, 512))
    monkeypatch.setattr(equality, "check", told(*failed))
    records = all_of()
    rows = [record for record in records if record["scenario"] != "oracle"]
    names = {(row["scenario"], RUNS_ON.get(row["variant"], row["variant"])) for row in rows}
    assert not {(scenario, name) for scenario, name in names if name in failed}
    others = {row["variant"] for row in rows if row["scenario"] == "long-stream"}
    assert others == set(roofline.VARIANTS) - {*failed}  # the rest is measured all the same
    text, short = page(records, {}), table(records)
    assert all(f"`{name}` failed" in text and "FAILED" in short for name in failed)


def test_a_variant_that_failed_in_one_precision_only_is_not_exact():
    check = told(OURS)
    records = [check(name, 1, dtype) for name in roofline.VARIANTS for dtype in (torch.float32, torch.bfloat16)]
    assert latency.exact(records) == set(roofline.VARIANTS) - {OURS}


def test_an_answer_that_is_not_the_recompute_fails_the_check(monkeypatch):
    true = equality.oracle.logits
    monkeypatch.setattr(equality.oracle, "logits", lambda *given, **how: true(*given, **how) + 2 * equality.TOLERANCE)
    record = equality.check(OURS, 1)
    assert record["answers"] and not record["passed"] and record["max_abs_logit_diff"] > equality.TOLERANCE


# -------------------------------------------------------------------------------------------------- the summary


def composed():
    """Records with round figures: of each pair the first is divided by the second."""
    pairs = [
        *(({"scenario": "first-token", "context": n}, "ttft_ms", PAPER, IN_PLACE, ratio)
          for n, ratio in ((2048, 40.0), (4096, 85.0), (8192, 170.0), (1024, 7.0))),
        *(({"scenario": "proactive", "seconds": n}, "step_ms", "re-run", "cached", ratio)
          for n, ratio in ((60, 25.0), (300, 116.0), (30, 9.0))),
    ]  # fmt: skip
    for given, key, above, below, ratio in pairs:
        yield {**given, "variant": below, key: 2.0}
        yield {**given, "variant": above, key: 2.0 * ratio}
    for name, p50, p99, read in ((PAPER, 960.0, 1000.0, 3000), (PREFIX, 7.0, 7.0, 7), (OURS, 20.0, 40.0, 1000)):
        yield {"scenario": "long-stream", "variant": name, "p50_ms": p50, "p99_ms": p99, "prefilled": read}
    for max_len, frame, p99, paper in ((4096, 16, 6.0, 8.0), (16384, 64, 7.0, 10.0), (16384, 196, 6.5, 99.0)):
        given = {"scenario": "replay", "max_len": max_len, "frame_tokens": frame, "p50_ms": 5.0}
        yield {**given, "variant": PAPER, "flop": paper, "p99_ms": 500.0, "stalls": 7}
        yield {**given, "variant": OURS, "flop": 2.0, "p99_ms": p99, "stalls": 1}
    yield {"scenario": "oracle", "variant": PAPER, "dtype": "float32", "max_abs_logit_diff": 2e-6}
    yield {"scenario": "oracle", "variant": OURS, "dtype": "float32", "max_abs_logit_diff": 3e-6}
    yield {"scenario": "oracle", "variant": OURS, "dtype": "bfloat16", "max_abs_logit_diff": 0.5}
    yield {"scenario": "break-even", "variant": "eager", "every_s": 48.5}


RIGHT = {
    "max_abs_logit_diff": 3e-6, "ttft_ratio_2k": 40.0, "ttft_ratio_4k": 85.0, "ttft_ratio_8k": 170.0,
    "p50_ratio_long_stream": 48.0, "p99_ratio_long_stream": 25.0, "prefill_ratio_long_stream": 3.0,
    "p99_over_p50_replay": 1.4, "stalls_replay": 3, "prefill_ratio_4k_16": 4.0, "prefill_ratio_16k_64": 5.0,
    "gate_ratio_60s": 25.0, "gate_ratio_300s": 116.0, "break_even_s": 48.5,
}  # fmt: skip
NEEDS = {
    "first-token": {"ttft_ratio_2k", "ttft_ratio_4k", "ttft_ratio_8k"},
    "proactive": {"gate_ratio_60s", "gate_ratio_300s"},
    "long-stream": {"p50_ratio_long_stream", "p99_ratio_long_stream", "prefill_ratio_long_stream"},
    "replay": {"p99_over_p50_replay", "stalls_replay", "prefill_ratio_4k_16", "prefill_ratio_16k_64"},
    "oracle": {"max_abs_logit_diff"}, "break-even": {"break_even_s"},
}  # fmt: skip


def figures_of(records):
    return {name: value for name, value in latency.summary(records).items() if name not in {"scenario", "variant"}}


def test_the_summary_divides_what_it_says_in_whatever_order_the_records_come():
    assert figures_of(list(composed())) == pytest.approx(RIGHT)
    assert figures_of(list(composed())[::-1]) == pytest.approx(RIGHT)
    assert set(RIGHT) >= SUMMED


@pytest.mark.parametrize("scenario", NEEDS)
def test_what_was_not_measured_is_none_in_the_summary_and_nothing_else_changes(scenario):
    rest = [record for record in composed() if record["scenario"] != scenario]
    assert figures_of(rest) == pytest.approx({**RIGHT, **dict.fromkeys(NEEDS[scenario])})
    assert set(figures_of([]).values()) == {None} and set(figures_of([])) == set(RIGHT)


def test_a_ratio_with_one_side_only_is_none():
    without_paper = figures_of([record for record in composed() if record["variant"] != PAPER])
    ratios = {name for name in RIGHT if "ratio" in name and not name.startswith("gate")}
    assert {name for name, value in without_paper.items() if value is None} == ratios


# ----------------------------------------------------------------------------------------- token-exact replays


@pytest.fixture(scope="module")
def half_an_hour():
    stream = Stream(4096, 16, hours=0.5)
    return {name: replay(stream, name, "H200") for name in (PAPER, OURS)}


def test_the_shadow_reads_a_third_at_most_never_stalls_and_is_never_late(half_an_hour):
    paper, ours = half_an_hour[PAPER], half_an_hour[OURS]
    assert paper["answers"] == ours["answers"] > 50 and paper["t"] == ours["t"]
    assert paper["flop"] >= 3 * ours["flop"] and paper["prefilled"] > ours["prefilled"]
    assert ours["stalls"] == 0 and ours["p99_ms"] <= 1.5 * ours["p50_ms"] and ours["p50_ms"] < paper["p50_ms"]


@pytest.mark.parametrize("variant", roofline.VARIANTS)
def test_a_replay_gives_the_same_record_each_time_and_another_seed_another(variant):
    stream = Stream(512, 16, hours=0.05, every_s=10.0)
    one = replay(stream, variant, "H200")
    assert one == replay(stream, variant, "H200") and one["answers"] > 10
    assert replay(Stream(512, 16, 0.05, 10.0, seed=1), variant, "H200")["t"] != one["t"]
    slower = replay(stream, variant, "A100")
    assert slower["flop"] == one["flop"] and slower["p50_ms"] > one["p50_ms"]


@pytest.mark.parametrize("variant", [IN_PLACE, OURS])
@pytest.mark.parametrize(("max_len", "frame"), [(256, 8), (512, 16), (1024, 64), (2048, 196)])
@pytest.mark.parametrize(("prefill", "lend"), [("eager", None), ("budgeted", 32), ("lazy", 0)])
def test_the_model_never_holds_more_than_max_len_with_round_decay(variant, max_len, frame, prefill, lend):
    for every_s in (7.0, 60.0):
        record = replay(Stream(max_len, frame, 0.1, every_s, prefill=prefill, lend=lend), variant, "H200")
        assert max_len // 4 < record["largest"] <= max_len
        assert record["kv_gib"] * 2**30 <= 2 * max_len * roofline.KV_BYTES  # the shadow's as well


def test_a_pass_takes_the_longer_of_its_work_and_its_bytes():
    one = roofline.MACHINES["H200"]
    least = 1e3 * roofline.WEIGHTS_BYTES / one.bandwidth + one.launch_ms
    assert least < one.pass_ms(1, 0) < 1.01 * least  # the weights are read, however short the pass
    work = 1e3 * roofline.pass_flop(4096, 0) / one.flops + one.launch_ms
    assert one.pass_ms(4096, 0) == pytest.approx(work)
    halves = roofline.pass_flop(2048, 0) + roofline.pass_flop(2048, 2048)
    assert halves == pytest.approx(roofline.pass_flop(4096, 0))


@pytest.mark.parametrize(("ratios", "every_s"), [
    ({10.0: 2.0, 40.0: 0.5}, 20.0), ({40.0: 0.5, 10.0: 2.0}, 20.0), ({10.0: 4.0, 30.0: 1.0, 90.0: 0.3}, 30.0),
    ({10.0: 9.0, 30.0: 3.0, 270.0: 1 / 3}, 90.0), ({10.0: 1.0, 30.0: 0.5}, 10.0), ({10.0: 4.0, 30.0: 1.5}, None),
    ({10.0: 0.9, 30.0: 0.2}, None), ({10.0: 4.0}, None), ({}, None),
])  # fmt: skip
def test_the_break_even_lies_where_the_ratio_falls_through_one(ratios, every_s):
    record = break_even(4096, 16, ratios)
    assert record["every_s"] == (None if every_s is None else pytest.approx(every_s))
    assert page([record], {}) and (record["max_len"], record["frame_tokens"]) == (4096, 16)


# ------------------------------------------------------------------------------- the published rule, held to its limit


def cost_of(layout, rounds):
    shapes = [shape for round_ in rounds for shape in round_]
    return sum(shapes[group[0]].tokens for round_ in layout for group in round_)


@pytest.mark.parametrize("streams", [30, pytest.param(500, marks=pytest.mark.slow)])
def test_held_keeps_the_budget_and_is_the_published_rule_while_that_does(streams):
    rng, equal, beyond = np.random.default_rng(5), 0, 0
    for number in range(streams):
        stream = random_stream(rng, list(KINDS)[number % len(KINDS)])
        room = stream.budget - (stream.system.tokens if stream.system else 0)
        for _, before, _ in play(stream, Paper()):
            if not before:
                continue
            held, paper = Held()(before, room, count), Paper()(before, room, count)
            assert held is not None and cost_of(held, before) <= room
            if paper is not None and cost_of(paper, before) <= room:
                assert held == paper
                equal += 1
            else:
                beyond += 1
    assert equal > streams and beyond > streams


def test_held_lets_the_oldest_go_and_no_pinned_question():
    rng, dropped = np.random.default_rng(6), 0
    for number in range(30):
        stream = random_stream(rng, list(KINDS)[number % len(KINDS)])
        for buffer, before, done in play(stream, Held()):  # the buffer refuses a layout that loses a pinned question
            assert buffer.tokens <= stream.budget
            dropped += done is not None and (done.turns_forgotten or done.frames_dropped) > 0
            shapes = [shape for round_ in before for shape in round_]
            layout = Held()(before, stream.budget, count) if before else None
            kept = {n for round_ in layout or () for group in round_ for n in group}
            lost = [n for n in range(len(shapes)) if layout and n not in kept]
            assert all(shapes[n].pinned for n in kept if lost and n < lost[-1])
    assert dropped > 100


def test_held_changes_nothing_within_the_budget():
    stream = random_stream(np.random.default_rng(7), "mixed")
    for buffer, _, _ in play(stream, Held()):
        assert Held()(buffer.shapes(), buffer.tokens + 1, count) is None


# ---------------------------------------------------------------------------------------------- the command line


@pytest.fixture
def typed(monkeypatch, capsys):
    """Run the program in this process, tiny and with a check that only says yes; its code, stdout and stderr."""
    monkeypatch.setattr(extent, "QUICK", TINY)
    monkeypatch.setattr(equality, "check", told())

    def typed(*words):
        return cli.main(["bench", "latency", *map(str, words)]), *capsys.readouterr()

    return typed


@pytest.fixture
def nothing_runs(monkeypatch):
    def run(*given):
        raise AssertionError("something was measured")
        yield

    monkeypatch.setattr(latency, "run", run)


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def is_one_line(text):
    return text.startswith("streambridge: ") and text.count("\n") == 1 and "Traceback" not in text


def strict(text):
    """JSON as others read it: what is no number has no place in it."""

    def refuse(name):
        raise AssertionError(f"{name} is no JSON")

    return json.loads(text, parse_constant=refuse)


def test_one_json_object_holds_the_summary_and_the_records(typed):
    code, out, err = typed("--scenario", "replay", "--quick", "--json")
    assert (code, err) == (0, "")
    found = strict(out)
    assert set(found) == {"summary", "records"} and set(found["summary"]) >= SUMMED
    assert found["summary"] == found["records"][-1] and found["summary"]["stalls_replay"] == 0
    kinds = [record["scenario"] for record in found["records"]]
    assert kinds == ["oracle"] * 8 + ["replay"] * 4 + ["about", "summary"]


def test_a_scenario_may_be_given_again_and_the_table_names_what_is_missing(typed, monkeypatch):
    shrink(monkeypatch)
    code, out, err = typed("--scenario", "rare", "--scenario", "replay", "--quick")
    assert (code, err) == (0, "")
    shown, _, missing = out.partition("not in this run: ")
    assert {line.split()[1] for line in shown.splitlines()[2:-1]} == {"oracle", "rare", "replay"}
    assert {"long-stream", "gpu"} <= set(missing.strip().split(", ")) and "rare" not in missing


def test_records_written_to_a_file_are_read_again_as_they_were(typed, tmp_path):
    code, first, _ = typed("--scenario", "replay", "--quick", "--out", tmp_path / "r.jsonl")
    lines = (tmp_path / "r.jsonl").read_text(encoding="utf-8").splitlines()
    assert code == 0 and len(lines) == 14 and all("scenario" in strict(line) for line in lines)
    assert typed("--records", tmp_path / "r.jsonl") == (0, first, "")


@pytest.mark.parametrize(("scenario", "plots"), [("replay", ["replay.svg"]), ("oracle", [])])
def test_a_page_and_its_plots_are_written_into_a_folder_that_is_made_for_them(scenario, plots, typed, tmp_path, whole):
    records, written = tmp_path / "r.jsonl", tmp_path / "new" / "p.md"
    records.write_text("\n".join(json.dumps(record) for record in whole[0] if record["scenario"] == scenario))
    assert typed("--records", records, "--page", written)[::2] == (0, "")
    assert [path.name for path in (tmp_path / "new").glob("p/*")] == plots
    assert written.read_text(encoding="utf-8").count("](p/") == len(plots)


def test_records_are_written_as_they_come_and_a_run_that_is_stopped_keeps_them(typed, tmp_path, monkeypatch):
    out, seen = tmp_path / "r.jsonl", []

    def run(*given):
        for number in range(3):
            yield {"scenario": "about", "number": number}
            seen.append(out.read_text(encoding="utf-8").count("\n"))
        raise KeyboardInterrupt

    monkeypatch.setattr(latency, "run", run)
    assert typed("--quick", "--out", out) == (130, "", "")
    assert seen == [1, 2, 3]
    assert [json.loads(line)["number"] for line in out.read_text(encoding="utf-8").splitlines()] == [0, 1, 2]


WRONG = [
    (("--scenario", "replays"), "did you mean 'replay'"), (("--scenario", ""), "no scenario called"),
    (("--scenario", "rare", "--scenario", "nothing"), "no scenario called 'nothing'"),
    (("--device", "cuda"), "torch sees no GPU"), (("--device", "cuda:1"), "torch sees no GPU"),
    (("--device", "banana"), "banana"), (("--device", ""), "--device"), (("--device", "mps"), "mps"),
    (("--threads", "0"), "threads"), (("--threads", "many"), "threads"), (("--fast",), "--fast"),
    (("--out", "{}/none/r.jsonl"), "cannot be written"), (("--out", "{}"), "cannot be written"),
    (("--records", "{}/none.jsonl"), "cannot be read"), (("--records", "{}"), "cannot be read"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "said"), WRONG, ids=[" ".join(words) for words, _ in WRONG])
def test_wrong_use_is_one_clear_line_before_anything_is_measured(words, said, typed, nothing_runs, no_gpu, tmp_path):
    code, out, err = typed("--quick", *(word.format(tmp_path) for word in words))
    assert (code, out) == (2, "") and is_one_line(err) and said in err


LINE = json.dumps({"scenario": "proactive", "variant": "cached", "seconds": 60, "frame_tokens": 16, "step_ms": 1.0})
GARBAGE = [
    (b"\xff\xfe\x00\x01", "cannot be read"), (b"{'scenario': 1}", "line 1: no JSON"), (b"hello", "line 1: no JSON"),
    (b'{"scenario": "about"', "line 1: no JSON"), (b"[1, 2]", "is no record"), (b"null", "is no record"),
    (b"7", "is no record"), (b'"scenario"', "is no record"), (b"{}", "is no record"), (b"[" * 100_000, "no JSON"),
    (LINE.encode() + b"\n\n", "line 2: no JSON"), (b'{"scenario": 7}', "record 1"), (b'{"scenario": null}', "record 1"),
    (LINE.encode(), "'max_abs_diff'"), (b'{"scenario": "about"}', "'device'"),
]  # fmt: skip


@pytest.mark.parametrize("drawn", [False, True], ids=["table", "page"])
@pytest.mark.parametrize(("text", "said"), GARBAGE, ids=lambda given: str(given)[:20])
def test_records_that_are_none_are_one_clear_line(text, said, drawn, typed, nothing_runs, tmp_path):
    (tmp_path / "r.jsonl").write_bytes(text)
    words = ("--page", tmp_path / "p.md") if drawn else ()
    code, out, err = typed("--records", tmp_path / "r.jsonl", *words)
    assert (code, out) == (2, "") and is_one_line(err) and said in err
    assert not (tmp_path / "p.md").exists()


def test_a_page_without_matplotlib_says_what_to_type_before_anything_is_measured(
    typed, nothing_runs, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    code, out, err = typed("--quick", "--page", tmp_path / "p.md")
    assert (code, out) == (1, "") and is_one_line(err) and "pip install 'streambridge[plots]'" in err
    assert not list(tmp_path.iterdir())


def test_a_page_that_cannot_be_written_is_one_clear_line(typed, tmp_path):
    (tmp_path / "r.jsonl").write_text("", encoding="utf-8")
    (tmp_path / "file").write_text("")
    for where in (tmp_path, tmp_path / "file" / "p.md"):
        code, out, err = typed("--records", tmp_path / "r.jsonl", "--page", where)
        assert (code, out) == (2, "") and is_one_line(err) and "cannot be written" in err


def test_what_is_chosen_without_a_name_is_all_that_the_device_can_do(no_gpu, monkeypatch):
    with pytest.raises(WrongUse, match="no GPU"):
        latency.chosen(None, "cuda:0")
    assert latency.chosen(None, "cpu") == [name for name in latency.SCENARIOS if name != "gpu"]
    assert latency.chosen(["rare"], "cpu") == ["rare"]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert latency.chosen([], "cuda") == list(latency.SCENARIOS)
    with pytest.raises(UnknownName):
        latency.chosen(["gate"], "cpu")


def test_help_names_every_scenario_and_loads_nothing_heavy():
    code = "from streambridge.cli import main\nassert main(['bench', 'latency', '--help']) == 0\n"
    tell = "import sys; print(sorted({name.split('.')[0] for name in sys.modules}), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code + tell], capture_output=True, text=True, check=True, timeout=60)
    loaded = done.stderr.splitlines()[-1]
    assert not [name for name in ("torch", "transformers", "matplotlib", "av") if f"'{name}'" in loaded]
    shown = " ".join(done.stdout.split())
    assert all(name in shown for name in latency.SCENARIOS)
