"""Promises of the page, the table and the plots of `bench latency`: they tell what the records tell. No model here."""

import copy
import json
import re
import sys
import xml.etree.ElementTree as ET

import pytest

from streambridge.bench.performance import page, table
from streambridge.bench.plots import LOOKS, draw
from streambridge.bench.records import sorted_out
from streambridge.errors import BadInput, Missing, RunFailed

ABOUT = {
    "scenario": "about", "device": "cpu", "threads": 1, "cpu": "EPYC", "date": "2026-11-21", "seconds": 123.4,
    "command": "streambridge bench latency --quick", "versions": {"python": "3.11.9", "torch": "2.13.0"},
}  # fmt: skip
PAPER, PREFIX, OURS, SHADOW = "paper", "paper+prefix-cache", "round_decay", "round_decay+shadow"


def oracle(variant, **given):
    return {
        "scenario": "oracle", "variant": variant, "size": "1M", "dtype": "float32", "streams": 20, "answers": 141,
        "max_abs_logit_diff": 2.9e-6, "noise": None, "same_tokens": 1.0, "passed": True, **given,
    }  # fmt: skip


def first_token(variant, context, ms):
    return {
        "scenario": "first-token", "variant": variant, "size": "110M", "dtype": "bfloat16", "frame_tokens": 16,
        "context": context, "ttft_ms": ms, "ttft_all_ms": [ms - 1, ms, ms + 1], "frame_ms": 5.5,
        "unread_frame_ttft_ms": None if variant == PAPER else 77.0, "answer_ms": ms + 600,
    }  # fmt: skip


def long_stream(variant, ms):
    return {
        "scenario": "long-stream", "variant": variant, "size": "16M", "dtype": "float32", "max_len": 2048,
        "frame_tokens": 16, "minutes": 61.0, "every_s": 31.0, "answers": 3, "t": [30.0, 60.0, 90.0],
        "ttft_all_ms": [ms, ms + 1, ms + 2], "queued_all_ms": [ms + 5] * 3, "p50_ms": ms, "p99_ms": ms * 1.5,
        "queued_p50_ms": ms + 7, "queued_p99_ms": ms + 9, "prefilled": 237_001 if variant == PAPER else 93_400,
        "rebuilds": 70, "stalls": 2, "cpu_s": {"frames": 11.5, "answers": 22.5, "idle": 33.5}, "kv_mib": 12.5,
        "max_abs_logit_diff": 2.4e-6,
    }  # fmt: skip


def replay(variant, ms, flop):
    return {
        "scenario": "replay", "variant": variant, "machine": "H200", "model": "7B", "max_len": 4096,
        "frame_tokens": 16, "hours": 1.0, "every_s": 30.0, "answers": 2, "p50_ms": ms, "p99_ms": ms + 1,
        "max_ms": ms + 2, "t": [30.0, 61.0], "ttft_all_ms": [ms, ms + 1], "prefilled": 5000, "largest": 4090,
        "flop": flop, "stalls": 0, "kv_gib": 0.42,
    }  # fmt: skip


def rival(variant, ms, error):
    return {
        "scenario": "rivals", "variant": variant, "size": "16M", "max_len": 2048, "minutes": 10.0, "p50_ms": ms,
        "p99_ms": ms + 1, "max_abs_logit_diff": error, "relative_l2": 0.3125, "kl": 0.0545, "top1": 0.875,
    }  # fmt: skip


def rare(variant, every_s, flop, paper):
    return {
        "scenario": "rare", "variant": variant, "every_s": every_s, "max_len": 16384, "frame_tokens": 64,
        "flop": flop, "prefilled": 6000, "p50_ms": 5.6, "p99_ms": 5.7, "stalls": 0, "ratio": paper / flop,
    }  # fmt: skip


def burst(variant, what, ms):
    return {"scenario": "burst", "variant": variant, "what": what, "size": "16M", "max_len": 1024,
            "ttft_all_ms": [ms, ms, ms + 3], "max_abs_logit_diff": 1.5e-6}  # fmt: skip


def gate(variant, seconds, ms):
    return {"scenario": "proactive", "variant": variant, "size": "16M", "frame_tokens": 16, "seconds": seconds,
            "step_ms": ms, "max_abs_diff": 2.25e-6}  # fmt: skip


def gpu(variant, ms):
    return {"scenario": "gpu", "variant": variant, "size": "7B", "dtype": "bfloat16", "context": 16384,
            "ttft_p50_ms": ms, "ttft_p99_ms": ms + 3, "decode_ms_per_token": 5.25, "graphs": True}  # fmt: skip


def everything():
    """Records of all scenarios; round figures, so that a person can see them on the page."""
    silence = {"scenario": "giant-round", "size": "16M", "max_len": 1024, "minutes": 60.0, "max_tokens": 1010}
    decided = {"scenario": "proactive", "what": "decision to first token", "size": "16M", "n": 17}
    return [
        dict(ABOUT),
        *(oracle(name) for name in (PAPER, PREFIX, OURS, SHADOW)),
        oracle(SHADOW, dtype="bfloat16", noise=0.055, max_abs_logit_diff=0.0625, same_tokens=0.99),
        first_token(PAPER, 2048, 2600.0), first_token(OURS, 2048, 65.0),
        first_token(PAPER, 8192, 24480.0), first_token(OURS, 8192, 144.0),
        long_stream(PAPER, 960.0), long_stream(PREFIX, 800.0), long_stream(OURS, 24.0), long_stream(SHADOW, 20.0),
        *({"scenario": "frames", "variant": name, "size": "16M", "max_len": n, "frame": [20, 40, 60],
           "ttft_ms": [ms, ms + 1, ms + 2]}
          for n in (1024, 2048) for name, ms in ((PAPER, n / 4), (SHADOW, 19.0))),
        gate("cached", 60, 20.0), gate("re-run", 60, 500.0), gate("cached", 300, 25.0), gate("re-run", 300, 2900.0),
        {**decided, "variant": PAPER, "p50_ms": 951.0, "p99_ms": 1151.0},
        {**decided, "variant": SHADOW, "p50_ms": 21.5, "p99_ms": 29.5},
        burst(PAPER, "question while memory is rebuilt", 300.0),
        burst(SHADOW, "question while memory is rebuilt", 15.0),
        {**silence, "variant": PAPER, "ttft_ms": 401.0, "prefilled": 1010, "rebuilds": 0},
        {**silence, "variant": SHADOW, "ttft_ms": 12.25, "prefilled": 98_000, "rebuilds": 141},
        *(rare(name, every, flop, paper) for every, paper in ((10, 6e17), (60, 1e17))
          for name, flop in ((PAPER, paper), ("eager", 1.5e17), ("budgeted", 1.45e17), ("lazy", 0.9e17))),
        {"scenario": "break-even", "variant": "eager", "max_len": 16384, "frame_tokens": 64, "every_s": 48.5},
        {"scenario": "soak", "variant": SHADOW, "size": "1M", "hours": 8.0, "max_tokens": 1019, "max_len": 1024,
         "kv_bytes": [1_572_864] * 4, "rss_mib": [411, 412, 413, 414], "p99_ms": [6.5, 6.25, 6.75, 6.125], "stalls": 3},
        replay(PAPER, 97.0, 8.2e16), replay(SHADOW, 5.5, 2e16),
        rival("sink+window", 11.0, 0.55), rival("kv-pool", 12.0, 0.81), rival(SHADOW, 18.0, 2.5e-6),
        rival(PAPER, 900.0, 0.0),
        gpu(PAPER, 451.0), gpu(SHADOW, 9.5),
        {"scenario": "gpu", "variant": "gate", "size": "0.5B", "step_ms": 1.75},
        {"scenario": "summary", "max_abs_logit_diff": 2.85e-6, "ttft_ratio_2k": 40.5, "ttft_ratio_8k": 170.5,
         "p50_ratio_1h": None, "gate_ratio_60s": 25.25},
    ]  # fmt: skip


SCENARIOS = sorted({record["scenario"] for record in everything()})
PLOTS = {"long-stream", "frames", "gate", "rivals", "rare", "replay"}
DRAWN = {name: f"performance/{name}.svg" for name in PLOTS}


def without(scenario):
    return [record for record in everything() if record["scenario"] != scenario]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """The plots of everything, drawn once: name -> file."""
    home = tmp_path_factory.mktemp("page")
    return {name: home / address for name, address in draw(everything(), home / "plots").items()}


def text_of(svg):
    """The words of an SVG, which must be XML."""
    return " ".join("".join(node.itertext()) for node in ET.parse(svg).iter() if node.tag.endswith("}text"))


def figures():
    """Where every single figure of the records stands: number of the record, path to it."""
    for number, record in enumerate(everything()):
        for field, value in record.items():
            inner = value.items() if isinstance(value, dict) else [(None, value)]
            for key, figure in inner:
                if isinstance(figure, int | float):
                    yield number, field, key


def test_every_figure_of_the_records_is_on_the_page():
    before, unseen = page(everything(), DRAWN), []
    for number, field, key in figures():
        records = copy.deepcopy(everything())
        home, name = (records[number][field], key) if key else (records[number], field)
        home[name] = not home[name] if isinstance(home[name], bool) else home[name] * 2 + 1
        if page(records, DRAWN) == before:
            unseen.append((records[number]["scenario"], records[number].get("variant"), field, key))
    assert not unseen


def test_figures_are_printed_as_they_are_and_ratios_are_those_of_the_same_setting():
    text = page(everything(), DRAWN)
    for said in ("2.9e-06", "24,480", "93,400", "0.0625", "48.5 s", "33.5", "123 s", "1.75", "0.0545"):
        assert said in text, said
    assert "`paper` takes 40 to 170 times as long to the first token as `round_decay`." in text  # 2600/65, 24480/144
    assert "`re-run` takes 25 to 116 times as long for a frame as `cached`." in text  # 500/20, 2900/25
    assert "| round_decay | 2,048 | 65 | 40 |" in text and "| round_decay | 8,192 | 144 | 170 |" in text


def test_the_oracle_comes_before_every_figure_of_speed():
    headings = re.findall(r"^## (.*)", page(everything(), DRAWN), re.MULTILINE)
    assert headings[0] == "Exact or not" and headings[-1] == "Limits"
    rows = table(everything()).splitlines()[2:]
    assert [row.split()[1] for row in rows[:5]] == ["oracle"] * 5 and "first-token" in rows[5]


def test_a_variant_that_failed_is_named_and_stands_in_no_table_of_speed():
    records = [*everything(), oracle(PREFIX, dtype="bfloat16", noise=0.01, max_abs_logit_diff=0.5, passed=False)]
    text = page(records, {})
    assert f"`{PREFIX}` failed" in text and "no row" in text
    assert f"| {PREFIX} |" not in text.split("## At a glance")[1]
    timed = [row for kind, rows in sorted_out(records).items() if kind != "oracle" for row in rows]
    assert timed and all(row.get("variant") != PREFIX for row in timed)
    short = [line for line in table(records).splitlines() if PREFIX in line]
    assert any("FAILED: 0.5" in line for line in short) and all(line.startswith("| oracle") for line in short)


def test_a_variant_that_nobody_checked_is_named():
    records = [record for record in everything() if record["scenario"] != "oracle" or record["variant"] != OURS]
    assert f"`{OURS}` was not checked" in page(records, {})
    assert "No oracle check" in page(without("oracle"), {})


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_missing_scenario_is_named_and_breaks_nothing(scenario, tmp_path):
    records = without(scenario)
    text, short = page(records, DRAWN), table(records)
    kinds = {"proactive": ["gate", "decision"], "gpu": ["gpu", "gpu-gate"]}.get(scenario, [scenario])
    missing = short.splitlines()[-1]
    assert missing == f"not in this run: {', '.join(kinds)}"
    assert all(f"- missing: `{kind}`" in text for kind in kinds) and text.count("- missing:") == len(kinds)
    if PLOTS & set(kinds) or scenario == "break-even":
        assert set(draw(records, tmp_path / "plots")) == PLOTS - set(kinds)


def test_only_about_makes_a_page_that_claims_nothing(tmp_path):
    text = page([ABOUT], {})
    assert "streambridge bench latency --device cuda" in text and "No GPU was at hand" in text
    assert "2.13.0" in text and "EPYC" in text and "--quick" in text
    assert not [line for line in text.splitlines() if line.startswith("|")]
    assert draw([ABOUT], tmp_path / "plots") == {} and not (tmp_path / "plots").exists()
    assert "first-token" in table([ABOUT]).splitlines()[-1]


def test_no_records_at_all_break_nothing(tmp_path):
    assert "`about` is missing" in page([], {}) and "about" in table([]) and draw([], tmp_path) == {}


def test_a_gpu_is_not_denied_where_there_was_one():
    assert "No GPU" not in page(everything(), {})
    named = page([{**ABOUT, "device": "NVIDIA H100"}], {})
    assert "No GPU" not in named and "NVIDIA H100" in named and "--device cuda" in named


def test_where_ours_is_not_better_the_page_says_so():
    text = page(everything(), {})
    assert "- `round_decay+shadow`, TTFT p50, ms: 18 against 11 of `sink+window`; 18 against 12 of `kv-pool`" in text
    assert "- `eager`, compute, PFLOP: 150 against 100 of `paper` (an answer every 60 s)" in text
    assert "- `round_decay+shadow`, CPU s in all: 67.5 against 67.5 of `paper`" in text
    assert "- `round_decay+shadow`, tokens read: 98,000 against 1,010 of `paper`" in text
    alone = page([first_token(PAPER, 2048, 2600.0), first_token(OURS, 2048, 65.0)], {})
    assert "not better" not in alone
    lost = page([first_token(PAPER, 2048, 60.0), first_token(OURS, 2048, 65.0)], {})
    assert "Where ours is not better:" in lost and "- `round_decay`, TTFT, ms: 65 against 60 of `paper`" in lost


def test_rows_that_tell_less_of_their_setting_are_still_compared_and_stand_in_one_table():
    records = [{**rival("kv-pool", 10.0, 0.5), "every_s": 30.0}, rival(PAPER, 900.0, 0.0), rival(SHADOW, 18.0, 2e-6)]
    text = page(records, {})
    assert "| kv-pool | 10 | 11 | 90 | 81.9 |" in text and "18 against 10 of `kv-pool`" in text
    assert text.count("| variant |") == 1
    apart = page([{**records[1], "max_len": 4096}, records[2]], {})
    assert "takes" not in apart and apart.count("| variant |") == 2


def test_a_soak_that_went_above_its_budget_is_told():
    assert "never above MaxLen 1,024" in page(everything(), {})
    above = [{**record, "max_tokens": 1030} if record["scenario"] == "soak" else record for record in everything()]
    assert "ABOVE MaxLen 1,024" in page(above, {})


def test_no_break_even_is_told_and_drawn_without_one(drawn, tmp_path):
    records = [{**record, "every_s": None} if record["scenario"] == "break-even" else record for record in everything()]
    assert "No break-even found" in page(records, {})
    rare_only = [record for record in records if record["scenario"] in {"rare", "break-even"}]
    assert "break-even" not in text_of(tmp_path / draw(rare_only, tmp_path / "p")["rare"])
    assert "break-even: 48.5 s" in text_of(drawn["rare"])


def test_the_formula_and_constants_of_the_roofline_are_given():
    text = " ".join(page(everything(), {}).split())
    assert "max(FLOP / rate, bytes / bandwidth) + launch" in text and "1.305e+10 S" in text
    assert "593.4 TFLOP/s" in text and "4.08 TB/s" in text and "2 ms of launch" in text


def test_plots_are_shown_where_they_belong_and_only_those_that_were_drawn():
    text = page(everything(), DRAWN)
    assert all(text.count(f"]({address})") == 1 for address in DRAWN.values())
    order = [text.index(f"performance/{name}.svg") for name in ("long-stream", "gate", "rivals", "rare", "replay")]
    assert order == sorted(order)
    assert "![" not in page(everything(), {})


def test_each_plot_is_one_svg_with_units_and_its_variants(drawn):
    assert set(drawn) == PLOTS == {path.stem for path in drawn["gate"].parent.iterdir()}
    units = {"long-stream": "TTFT, ms", "frames": "response latency, ms", "gate": "step, ms", "rivals": "TTFT p99, ms",
             "rare": "compute, PFLOP", "replay": "TTFT, ms (calculated)"}  # fmt: skip
    lines = {"long-stream": [PAPER, PREFIX, SHADOW], "frames": ["paper, MaxLen 1024", f"{SHADOW}, MaxLen 2048"],
             "gate": ["cached", "re-run"], "rivals": ["kv-pool", SHADOW, "exact"], "rare": ["eager", "lazy"],
             "replay": [PAPER, SHADOW, "H200"]}  # fmt: skip
    for name, svg in drawn.items():
        words = text_of(svg)
        assert units[name] in words and all(line in words for line in lines[name]), (name, words)


def test_a_variant_has_the_same_colour_in_every_plot(drawn):
    shown = {"long-stream": [PAPER, SHADOW], "replay": [PAPER, SHADOW], "rivals": [PAPER, "kv-pool"]}
    for name, variants in shown.items():
        svg = drawn[name].read_text(encoding="utf-8").lower()
        assert all(LOOKS[variant][0].lower() in svg for variant in variants)


def test_the_same_records_give_the_same_bytes_and_other_records_others(drawn, tmp_path):
    again = draw(everything(), tmp_path / "plots")
    for name in PLOTS:
        assert drawn[name].read_bytes() == (tmp_path / again[name]).read_bytes(), name
    other = draw([long_stream(PAPER, 777.0)], tmp_path / "other")
    assert drawn["long-stream"].read_bytes() != (tmp_path / other["long-stream"]).read_bytes()


def test_what_is_no_number_is_a_dash_and_draws_nothing(tmp_path):
    nothing = float("nan")
    records = [{**long_stream(PAPER, 9.0), "t": [], "ttft_all_ms": [], "queued_all_ms": [], "p50_ms": nothing}]
    assert "nan" not in page(records, {}) and "nan" not in table(records) and draw(records, tmp_path) == {}
    part = {**long_stream(PAPER, 9.0), "ttft_all_ms": [nothing, 0.0, 5.0]}
    assert set(draw([part], tmp_path / "p")) == {"long-stream"}


def test_records_are_read_from_json_lines_as_they_were_written():
    again = [json.loads(line) for line in map(json.dumps, everything())]
    assert page(again, DRAWN) == page(everything(), DRAWN) and table(again) == table(everything())


def test_a_scenario_that_is_not_known_is_named_and_not_shown(tmp_path):
    records = [*everything(), {"scenario": "sessions", "variant": OURS, "fps": 987.5}]
    text = page(records, {})
    assert "not shown, its form is not known here: `sessions`" in text and "987.5" not in text
    assert draw(records[-1:], tmp_path) == {}


GARBAGE = [
    ([7], "record 1 "), ([None], "record 1 "), ([{}], "record 1 "), ([ABOUT, {"scenario": 3}], "record 2 "),
    ([ABOUT, {"scenario": "long-stream", "variant": PAPER}], r"record 2 \(long-stream, paper\).*'size'"),
    ([{**gate("cached", 60, 1.0), "step_ms": "fast"}], r"record 1 \(proactive, cached\).*'fast'.*'step_ms'.*a number"),
    ([{**gate("cached", 60, 1.0), "step_ms": True}], "'step_ms'"),
    ([{**long_stream(OURS, 1.0), "t": "now"}], "'t', not a list of numbers"),
    ([{**long_stream(OURS, 1.0), "t": [1.0, "x", 2.0]}], "'t', not a list of numbers"),
    ([{**long_stream(OURS, 1.0), "t": [1.0]}], "unequal lengths"),
    ([{**oracle(OURS), "passed": "yes"}], "'passed', not true or false"),
    ([{**oracle(OURS), "variant": None}], "'variant', not words"),
    ([{**ABOUT, "versions": "2.13"}], "'versions', not an object"),
    ([{"scenario": "summary", "gate_ratio_60s": "many"}], "'gate_ratio_60s'"),
]  # fmt: skip


@pytest.mark.parametrize(("records", "said"), GARBAGE, ids=lambda given: str(given)[:40])
def test_a_record_that_cannot_be_read_gives_one_line_that_names_it(records, said, tmp_path):
    for use in (lambda: page(records, {}), lambda: table(records), lambda: draw(records, tmp_path)):
        with pytest.raises(BadInput, match=said) as told:
            use()
        assert "\n" not in str(told.value) and "streambridge bench latency" in str(told.value)


NEEDED = [
    (number, field)
    for number, record in enumerate(everything())
    for field in record
    if field not in {"scenario", "noise", "cpu", "what", "frame_ms", "unread_frame_ttft_ms", "reserve", "tokens"}
    and record["scenario"] != "summary"
]


def test_every_field_that_is_needed_is_missed_by_name():
    free = set()
    for number, field in NEEDED:
        records = everything()
        del records[number][field]
        try:
            page(records, {})
        except BadInput as err:
            known_as = "p50_ms" if records[number]["scenario"] == "burst" and field == "ttft_all_ms" else field
            assert f"'{known_as}'" in str(err) and f"record {number + 1} " in str(err)
        else:
            free.add((records[number]["scenario"], field))
    assert free == {
        ("first-token", "frame_tokens"), ("long-stream", "max_abs_logit_diff"), 
        ("rare", "p99_ms"), ("rare", "stalls"), ("break-even", "variant"), ("break-even", "every_s"),
        ("soak", "variant"), ("soak", "size"), ("replay", "every_s"), ("replay", "largest"), ("proactive", "size"),
        ("gpu", "graphs"),
    }  # fmt: skip


def test_without_matplotlib_one_line_says_what_to_type(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(Missing, match=r"matplotlib; type: pip install .streambridge\[plots\]"):
        draw([], tmp_path)


def test_a_folder_that_cannot_be_written_is_told_in_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFailed, match="cannot be written") as told:
        draw(everything(), tmp_path / "file" / "plots")
    assert "\n" not in str(told.value)
