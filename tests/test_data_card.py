"""Promises of the data card and of the page: they say what was counted, whatever the texts in the files try."""

import json
import re
from html.parser import HTMLParser

import pytest

from streambridge import streamit
from streambridge.data import card, leakage, limits, page, stats
from streambridge.data.drawing import MOST_TURNS, clock, draw
from streambridge.data.reasons import QUIRKS, REASONS
from streambridge.errors import BadInput
from streambridge.types import Media, Question, Reference, Timeline

HOSTILE = '<script>alert("x")</script><img src=x onerror=alert(1)>\' onload="x'


def timeline(n=0, text="A hen walks.", turns=2, **own):
    asked = Question("q", 0.0, f"What about {text}?", "watch", "question")
    said = [Reference(f"a{k}", k + 1.0, text, "q", ((0.0, k + 1.0),), k != 1) for k in range(turns)]
    meta = {"task": "step", "order": "proactive", "split": "train", "source": {"dataset": "vitt"}, "quirks": ["merged"]}
    media = (Media("vitt:x", 0.0, 100.0), Media("vitt:y", 5.0, 105.0, 100.0))
    return Timeline(f"vitt/train/{n}#0", media, 200.0, (asked, *said), {**meta, **own})


def counted(*timelines):
    one = stats.Stats()
    for sample in timelines:
        one.add(sample)
    return one.said()


REPORT = {
    "source": "vitt", "version": "1", "licence": "free with acknowledgement", "split": "train", "task": "step",
    "inputs": {"annotations": ["/home/me/ViTT-train.json"], "ids": ["my map.csv"]},
    "policy": {"tick_ms": 1000, "proactive_share": 0.2}, "read": {"videos": 12_000, "segments": 7},
    "produced": {"samples": 5, "answers": 34, "by_split": {"train": 5}}, "rejected": {"missing_duration": 3},
    "dropped": {"empty_text": 2}, "repaired": {"end_inferred": 5, "dropped_empty_text": 1},
    "expected": {"train": {"videos": 8169}, "val": {"videos": 9}},
    "differences": [{"what": "videos", "expected": 8169, "found": 12_000}],
}  # fmt: skip


def test_a_card_says_sources_counts_meanings_policy_commands_and_limits():
    told = card.card(counted(timeline()), [REPORT, {**REPORT, "source": "webvid", "split": "val"}], "Ours")
    for part in (
        "# Ours\n", "1 samples of streaming video", "made from 2 sources",
        "| vitt | 1 | free with acknowledgement |",
        "| vitt | train | step | videos 12,000, segments 7 | 5 | 34 | 3 | train: videos 8,169 |",
        "- vitt train: videos: 12,000 found, 8,169 expected", f"| `end_inferred` | 10 | {QUIRKS['end_inferred']} |",
        f"| `missing_duration` | 6 | {REASONS['missing_duration']} |",
        f"| `empty_text` | 4 | {REASONS['empty_text']} |",
        f"| `dropped_empty_text` | 2 | part of the sample was left out: {REASONS['empty_text']} |",
        "| vitt, webvid | proactive_share = 0.2, tick_ms = 1,000 |", "Not checked: whether benchmarks show",
        "convert vitt --input annotations=ViTT-train.json --input 'ids=my map.csv' --split train --out OUT\n",
        f"- **vitt**: {limits.OF_SOURCE['vitt']}", "Withdrawn by its owner", *limits.ALWAYS,
    ):  # fmt: skip
        assert part in told, part
    assert "/home/me" not in told and told.endswith("\n")


def test_a_card_needs_no_report_and_takes_one_that_says_almost_nothing():
    assert "made from" not in card.card(counted())
    assert "end of a step" not in card.card(counted(timeline())) and QUIRKS["merged"] in card.card(counted(timeline()))
    broken = {"source": "x", "read": [3], "rejected": {"a": "b"}, "expected": 7, "differences": "no", "policy": None}
    for report in ({}, broken, {"inputs": ["one.json"], "source": "y"}, {"produced": 3, "inputs": {"a": "b.json"}}):
        assert card.card(counted(timeline()), [report]).startswith(f"# {card.TITLE}")


def test_words_in_a_report_cannot_leave_their_cell():
    evil = f"a | b\n## No {HOSTILE} [x](javascript:y) ```"
    report = {**REPORT, "licence": evil, "source": evil, "repaired": {evil: 3}, "differences": [evil], "inputs": [evil]}
    told = card.card(counted(timeline(split=evil)), [report], evil)
    outside, fenced, after = told.split("```")  # nothing in a fenced block is taken for HTML, and nothing ends it
    assert "<" not in outside and "javascript:y)" in outside and "](" not in outside and not after.strip()
    assert len(fenced.strip().splitlines()) == 2
    assert [line for line in told.splitlines() if line.startswith("##")] == [
        line for line in card.card(counted(timeline()), [REPORT]).splitlines() if line.startswith("##")
    ]
    for line in told.splitlines():
        assert not line.startswith("| a") or line.count("|") <= 9


def test_a_leakage_result_stands_in_the_card(tmp_path):
    streamit.write(tmp_path / "train", [timeline()])
    (tmp_path / "bench.txt").write_text("x.mp4\n")
    found = leakage.check([tmp_path / "train"], [tmp_path / "bench.txt"])
    told = card.card(counted(timeline()), leakage=json.loads(json.dumps(found.said())))
    assert "1 of 1 samples (100.00%)" in told and "bench.txt | 1 | 1 | 0 |" in told and "Not checked" not in told
    assert "0 of 0 samples" in card.card(counted(), leakage={})


# ---------------------------------------------------------------------------------------------- the page


class Tags(HTMLParser):
    """Which tags and attributes a page really has, and whether each is closed."""

    EMPTY = {"meta", "input", "line", "rect", "circle", "path"}

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.open = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += [name for name, _ in attributes]
        self.open += [tag] if tag not in self.EMPTY else []

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += [name for name, _ in attributes]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_a_page_is_one_whole_file_that_asks_for_nothing(tmp_path):
    streamit.write(tmp_path / "x", [timeline(n) for n in range(5)])
    told = page.page([tmp_path / "x"], "Ours & theirs")
    tags = Tags(told)
    assert not tags.open and tags.tags.count("article") == 5 and tags.tags.count("svg") == 5
    assert not re.search(r"https?:|src=|@import|url\(|<link", told)
    assert not {"src", "href"} & set(tags.attributes) and "default-src 'none'" in told
    assert "<title>Ours &amp; theirs</title>" in told and "5 of 5" in told


def test_what_texts_say_is_shown_and_never_run(tmp_path):
    evil = timeline(0, HOSTILE, quirks=[HOSTILE], split=HOSTILE, task=HOSTILE, source={"dataset": HOSTILE})
    evil = Timeline(evil.id + HOSTILE, (Media("a:" + HOSTILE, 0.0, 200.0),), 200.0, evil.turns, evil.meta)
    streamit.write(tmp_path / "x", [evil, timeline(1, "\u202eback\x07")])
    told = page.page([tmp_path / "x"], HOSTILE)
    tags = Tags(told)
    assert not tags.open and tags.tags.count("script") == 1 and "img" not in tags.tags
    assert not [name for name in tags.attributes if name.startswith("on")]
    assert "&lt;script&gt;alert" in told and "\u202e" not in told.split("<main>")[1].split("<ol>")[-1]


def test_the_sampled_samples_do_not_depend_on_their_order_or_files(tmp_path):
    samples = [timeline(n) for n in range(40)]
    streamit.write(tmp_path / "all", samples)
    streamit.write(tmp_path / "one", samples[25:][::-1])
    streamit.write(tmp_path / "two", samples[:25])
    first = page.page([tmp_path / "all"], shown=6)
    assert first == page.page([tmp_path / "one", tmp_path / "two"], shown=6) and "6 of 40" in first
    assert first.count("<article") == 6 and first != page.page([tmp_path / "all"], shown=6, seed=1)
    assert page.page([tmp_path / "all"], shown=0).count("<article") == 0


def test_everything_of_a_sample_stands_at_its_place():
    drawn = draw(timeline())
    bars = [(float(x), float(w)) for x, w in re.findall(r'<rect x="([\d.]+)" y="\d+" width="([\d.]+)"', drawn)]
    assert bars == [(0.0, 499.0), (500.0, 499.0), (0.0, 5.0), (0.0, 10.0)]  # 200 s are 1000 units
    assert re.findall(r'<circle cx="([\d.]+)"', drawn) == ["5.0", "10.0"] and drawn.count('class="ask"') == 1
    assert drawn.count("<title>") == 7 and "say c1 mute" in drawn
    assert len(set(re.findall(r'y="(\d+)" width="(?:5|10)\.0"', drawn))) == 2  # spans that overlap lie in two lanes


def test_a_sample_with_hundreds_of_turns_is_cut_and_says_so(tmp_path):
    long = timeline(turns=600)
    long = Timeline("long", (Media("a:b", 0.0, 700.0),), 700.0, long.turns, long.meta)
    streamit.write(tmp_path / "x", [long])
    told = page.page([tmp_path / "x"])
    assert told.count("<li ") == MOST_TURNS and f"and {601 - MOST_TURNS} more turns" in told and len(told) < 200_000


def test_clocks_and_extremes_can_be_drawn():
    assert [clock(t) for t in (0, 59.96, 61.5, 3600)] == ["0:00", "1:00", "1:01.5", "60:00"]
    for duration in (0.001, 1.0, 1e9):
        tiny = Timeline("t", (Media("a:b", 0.0, duration),), duration, (), {})
        assert 'x="0.0"' in draw(tiny) and draw(tiny).count("<line") < 20 and "nan" not in draw(tiny)
    assert "0 of 0" in page.told(counted(), [])


@pytest.mark.parametrize("garbage", [b"{\n", b"\xff\xfe", b"\0" * 99])
def test_a_page_of_garbage_is_refused_with_file_and_line(garbage, tmp_path):
    (tmp_path / "x").write_bytes(garbage)
    with pytest.raises(BadInput, match="x:1: "):
        page.page([tmp_path / "x"])
