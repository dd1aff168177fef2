"""Promises of every source set of Stream-IT: found by its file alone, held to a table of counts made by hand.

Each set has a folder of composed files in `stream_it/`, with faults planted, and `expected.json`: what must come of it.
"""

import copy
import json
import random
from collections import Counter
from pathlib import Path

import pytest

from streambridge import streamit
from streambridge.data import converting, flatten, invariants, source_set
from streambridge.data.job import Job, layout
from streambridge.data.policy import Policy
from streambridge.data.reasons import QUIRKS, REASONS
from streambridge.data.rows import Row, rows
from streambridge.data.source_set import Given, Reject, Tally

FOLDER = Path(__file__).parent / "stream_it"
NAMES = source_set.names()
HOSTILE = [
    None, float("nan"), float("inf"), -1, 0, 10**30, True, "", " ", "\x00", "\ud800", "../../etc/passwd", "None",
    "<image>", "__import__('os').system('touch HACKED')", [], {}, [[]], [None], [1, 2, 3], [5, 1], {"a": {}},
    "x" * 20_000,
    [[0, 1e9]], "00:00:61.000", "PT", "9" * 400, "##", "https://user:pass@host/v.mp4", b"".decode(), [[[[[]]]]],
]  # fmt: skip


def expected(name):
    return json.loads((FOLDER / name / "expected.json").read_text(encoding="utf-8"))


def job(name, out, policy=None):
    told = expected(name)
    given = {key: value if isinstance(value, list) else [value] for key, value in told["inputs"].items()}
    inputs = {key: tuple(FOLDER / name / file for file in files) for key, files in given.items()}
    rules = policy or Policy(**told.get("policy", {}))
    return Job(source_set.find(name), inputs, Path(out), rules, told.get("split", "train"))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Each set, converted once: its report and its folder."""
    held = {}

    def convert(name):
        if name not in held:
            out = tmp_path_factory.mktemp(name)
            held[name] = (converting.run(job(name, out)), out)
        return held[name]

    return convert


def lines(out):
    texts = [path.read_text(encoding="utf-8") for path in sorted(Path(out).glob("*.jsonl"))]
    return [line for text in texts for line in text.split("\n") if line]  # splitlines would cut at U+2028 too


def given_for(name):
    one = job(name, "nowhere")
    seen = set()

    def first(kind, word):
        new = (kind, word) not in seen
        seen.add((kind, word))
        return new

    options = one.options()
    return Given(one.source, one.policy, options, one.tables(), one.split, Tally(), first), one


def records(one):
    """The rows as the converter gets them, groups together."""
    found = [row for path in one.files for row in rows(path, *layout(path, one.source.inputs[0]))]
    good = [row for row in found if isinstance(row, Row)]
    if one.source.group is None:
        return good
    groups = {}
    for row in good:
        try:
            groups.setdefault(one.source.group(row), []).append(row)
        except Reject:
            continue
    return [
        Row(held[0].line, 0, held[0].key, [(row.key, row.value) for row in held], b"\n".join(row.raw for row in held))
        for held in groups.values()
    ]


def test_there_is_a_converter_for_every_set_of_the_paper():
    assert set(NAMES) >= {
        "activitynet_captions", "shot2story", "vitt", "youcook2", "coin", "howtostep", "moviechat", "egotimeqa",
        "qaego4d", "finevideo", "fineaction", "hacs", "charades_sta", "multihop_egoqa", "et_instruct",
        "streamingqa_release", "llava_video_178k", "vcg_plus", "sharegpt4video", "webvid", "panda70m", "internvid",
    }  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_the_composed_rows_give_the_table_that_was_reckoned_by_hand(made, name):
    found, _ = made(name)
    told = expected(name)
    for part in ("read", "rejected", "dropped", "repaired"):
        assert {key: n for key, n in found[part].items() if n} == {key: n for key, n in told[part].items() if n}, part
    assert {key: found["produced"][key] for key in told["produced"]} == told["produced"]
    assert told["why"], "a table says what was planted"


@pytest.mark.parametrize("name", NAMES)
def test_every_sample_keeps_the_rules_and_comes_back_byte_for_byte(made, name):
    _, out = made(name)
    written = lines(out)
    assert written
    for line in written:
        sample = streamit.from_line(line)
        assert invariants.check(sample) == []
        assert streamit.to_line(sample) == line


@pytest.mark.parametrize("name", NAMES)
def test_no_frame_after_the_evidence_comes_before_a_proactive_answer_and_none_after_the_question_of_another(made, name):
    _, out = made(name)
    for line in lines(out):
        sample = streamit.from_line(line)
        proof = {turn.id: turn.evidence for turn in sample.references}
        asked = {turn.id: turn for turn in sample.questions}
        seen, since = [], {}
        for item in flatten.flatten(sample):
            if hasattr(item, "available_ms"):
                seen.append(item)
            elif item.id in asked:
                since[item.id] = len(seen)
            elif asked[item.reply_to].when == "now":
                assert len(seen) == since[item.reply_to]
            else:
                end = max(streamit.to_ms(end) for _, end in proof[item.id])
                assert all(frame.start_ms < end for frame in seen)


@pytest.mark.parametrize("name", NAMES)
def test_what_was_rejected_is_listed_with_file_line_and_reason(made, name):
    found, out = made(name)
    told = [json.loads(line) for path in Path(out).glob("rejected/*.jsonl") for line in path.read_text().splitlines()]
    assert Counter(one["reason"] for one in told if not one.get("part")) == Counter(found["rejected"])
    assert Counter(one["reason"] for one in told if one.get("part")) == Counter(found["dropped"])
    assert all(one["line"] >= 1 and one["file"] and one["reason"] in REASONS for one in told)
    assert all(quirk in QUIRKS or quirk.removeprefix("dropped_") in REASONS for quirk in found["repaired"])


@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_the_records_and_what_stands_beside_them_change_no_sample(name):
    given, one = given_for(name)
    there = records(one)

    def samples(order):
        found = {}
        for row in order:
            try:
                for sample in one.source.convert(copy.deepcopy(row), given_for(name)[0]):
                    found.setdefault(sample.id, streamit.to_line(sample))
            except Reject:
                continue
        return found

    whole = samples(there)
    twice = {sample.id for row in there for sample in _all(one, row, name)}
    assert whole and twice == set(whole)
    for seed in range(3):
        order = random.Random(seed).sample(there, len(there))
        assert set(samples(order)) == set(whole)
    for sample, line in samples(there[::2]).items():
        assert whole[sample] == line or _told_twice(one, sample, name)


def _all(one, row, name):
    try:
        yield from one.source.convert(copy.deepcopy(row), given_for(name)[0])
    except Reject:
        return


def _told_twice(one, sample, name):
    """Whether two records claim the same sample, so that the first one wins."""
    return sum(made.id == sample for row in records(one) for made in _all(one, row, name)) > 1


def mutated(value, rng):
    """The value with one part of it replaced, taken away, doubled or put under another name."""
    if rng.random() < 0.25 or not isinstance(value, list | dict) or not value:
        return copy.deepcopy(rng.choice(HOSTILE))
    held = copy.deepcopy(value)
    key = rng.choice(list(held) if isinstance(held, dict) else list(range(len(held))))
    act = rng.random()
    if act < 0.15:
        del held[key]
    elif act < 0.25 and isinstance(held, dict):
        held[str(rng.choice(HOSTILE))[:50]] = held.pop(key)
    elif act < 0.3 and isinstance(held, list):
        held.append(held[key])
    else:
        held[key] = mutated(held[key], rng)
    return held


def garbage(one, rng):
    """A record of the set with something wrong in it, as the converter would get it. Raises what `group` raises."""
    found = [row for path in one.files for row in rows(path, *layout(path, one.source.inputs[0]))]
    row = rng.choice([row for row in found if isinstance(row, Row)])
    key = row.key if rng.random() < 0.9 else str(rng.choice(HOSTILE))[:300]
    row = Row(row.line, row.end, key, mutated(row.value, rng), row.raw)
    if one.source.group is None:
        return row
    one.source.group(row)
    return Row(row.line, row.end, row.key, [(row.key, row.value)], row.raw)


@pytest.mark.parametrize("name", NAMES)
def test_a_record_of_garbage_is_rejected_with_a_known_reason_and_nothing_is_ever_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng, (given, one) = random.Random(name), given_for(name)
    faults = Counter()
    for _ in range(400):
        try:
            for sample in one.source.convert(garbage(one, rng), given):
                assert invariants.check(streamit.from_line(streamit.to_line(sample))) == []
        except Reject as err:
            assert err.reason in REASONS
            faults[err.reason] += 1
    assert faults and not (tmp_path / "HACKED").exists()
    assert all(drop.reason in REASONS for drop in given.tally.drops)


class Killed(BaseException):
    """Stands for a kill: nothing below may catch it."""


@pytest.mark.parametrize("name", NAMES)
def test_a_conversion_stopped_anywhere_goes_on_to_the_same_bytes(made, name, tmp_path, monkeypatch):
    monkeypatch.setattr(converting, "KEEP_S", 0.0)
    found, whole = made(name)

    def bomb(left):
        def told(done, total):
            nonlocal left
            left -= 1
            if left < 0:
                raise Killed

        return told

    stops = 0
    for _ in range(100):
        try:
            again = converting.run(job(name, tmp_path), bomb(2))
            break
        except Killed:
            stops += 1
    assert again == found and (stops > 0 or found["records"]["read"] <= 2)
    files = {path.relative_to(whole): path.read_bytes() for path in whole.rglob("*") if path.is_file()}
    assert {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == files


@pytest.mark.parametrize("name", NAMES)
def test_a_set_says_what_it_is(name):
    source = source_set.find(name)
    assert source.name == name and source.title and source.version and source.licence and source.dataset
    assert source.task in invariants.TASKS
    assert source.inputs and source.inputs[0].needed and len({one.name for one in source.inputs}) == len(source.inputs)
    assert all(one.columns for one in source.inputs if one.layout == "table")
