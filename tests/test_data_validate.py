"""Promises of the validator: each rule is told where it is broken, once; what is good passes; garbage is a finding."""

import copy
import json
import os
import pickle

import pytest

from streambridge import streamit
from streambridge.data import texts, validate
from streambridge.data.invariants import check
from streambridge.data.rules import NUMBERS, RULES, Fault
from streambridge.errors import RunFailed
from streambridge.types import Media, Reference, Timeline
from streambridge.world.script import World
from streambridge.world.timelines import random_timeline


def sample(key, order, turns, clips=(20_000,), task="dense_caption", quirks=(), **policy):
    """A good sample of the schema as a mapping: one video, or clips laid end to end."""
    media, at = [], 0
    for i, length in enumerate(clips):
        media.append({"uri": f"made:{key}_{i}x", "in_ms": 500, "out_ms": 500 + length, "at_ms": at})
        at += length
    return {
        "schema": "streamit/1", "id": f"made_set/train/{key}#0", "task": task, "order": order, "split": "train",
        "source": {"dataset": "made_set", "version": "1", "key": key, "licence": "CC0", "converter": "made_set@1"},
        "media": media, "duration_ms": at, "turns": turns, "quirks": list(quirks),
        "policy": {"tick_ms": 1000, **policy},
    }  # fmt: skip


def asked(name, t, text="What is going on?", **more):
    return {"id": name, "role": "user", "t_ms": t, "kind": "question", "text": text, **more}


def told(name, t, to, evidence, text="A girl waters a plant.", learn=True, **more):
    own = {"reply_to": to, "evidence": evidence, "learn": learn}
    return {"id": name, "role": "assistant", "t_ms": t, "text": text, **own, **more}


CHOICE = {"options": ["A hen", "A fox"], "answer_index": 1}


def proactive(key="pro"):
    """An instruction at 0; answers at ticks, one of two spans, and one at the very end of a video of 19.4 s."""
    q = asked("q0", 0, "Tell me what happens.")
    q["kind"] = "instruction"
    spans = [[[400, 3960]], [[2000, 9000], [4000, 8100]], [[9500, 19_400]]]
    answers = [told(f"a{i}", t, "q0", spans[i]) for i, t in enumerate((4000, 9000, 19_400))]
    return sample(key, "proactive", [q, *answers], (19_400,), quirks=["overlap", "dropped_duplicate", "merged"])


def multi_turn(key="mul"):
    """Questions about now, one with options; one was shifted to the start of its evidence."""
    early = asked("q1", 6000, when="watch", once=True)
    turns = [
        asked("q0", 5000), told("a0", 5000, "q0", [[1000, 4500]], "A fox", qa_type="OP", **CHOICE),
        early, told("a1", 9000, "q1", [[6000, 8200]]),
        asked("q2", 12_000), told("a2", 12_000, "q2", [[9000, 12_000]], learn=False),
    ]  # fmt: skip
    return sample(key, "multi_turn", turns, quirks=["question_shifted"])


def realtime(key="rea"):
    """Three clips of 8, 5 and 7 s; the second question was shifted to the start of its clip."""
    turns = [
        asked("q0", 8000, qa_type="AR"), told("a0", 8000, "q0", [[0, 8000]]),
        asked("q1", 8000, when="watch", once=True), told("a1", 13_000, "q1", [[8000, 13_000]]),
        asked("q2", 20_000, **CHOICE), told("a2", 20_000, "q2", [[13_000, 20_000]], "A fox"),
    ]  # fmt: skip
    return sample(key, "mixed", turns, (8000, 5000, 7000), "realtime_qa", ["question_shifted", "trimmed_to_tick"])


def line(said):
    return json.dumps(said, ensure_ascii=False, separators=(",", ":")) + "\n"


def findings(path, *lines):
    """What is found in a file of these lines (text, bytes, or samples), as (line, field, rule)."""
    raw = [one if isinstance(one, bytes) else (one if isinstance(one, str) else line(one)).encode() for one in lines]
    path.write_bytes(b"".join(raw))
    return [(found.line, found.fault.field, found.fault.rule) for found in validate.validate([path])]


MAKE = {"pro": proactive, "mul": multi_turn, "rea": realtime}
GONE = object()

# One mistake each: the sample, where it is made, what is put there, and the field and rule that must be told.
PLANTED = [
    ("pro", "schema", "streamit/2", "schema", "form"),
    ("pro", "turnz", [], "turnz", "form"),
    ("pro", "duration_ms", "19400", "duration_ms", "duration"),
    ("pro", "turns.1.learn", 1, "turns[1].learn", "form"),
    ("pro", "turns.1.t_ms", GONE, "turns[1].t_ms", "form"),
    ("pro", "turns.1.role", "system", "turns[1].role", "form"),
    ("mul", "turns.1.shiftable", "no", "turns[1].shiftable", "form"),
    ("pro", "task", "captioning", "task", "known"),
    ("pro", "task", GONE, "task", "known"),
    ("pro", "order", "sorted", "order", "known"),
    ("mul", "order", GONE, "order", "known"),
    ("pro", "split", GONE, "split", "known"),
    ("pro", "id", "made\u0000set", "id", "known"),
    ("mul", "turns.1.qa_type", "XY", "turns[1].qa_type", "known"),
    ("mul", "turns.1.qa_type", ["OP"], "turns[1].qa_type", "known"),
    ("pro", "policy.tick_ms", 0, "policy.tick_ms", "known"),
    ("pro", "policy.tick_ms", True, "policy.tick_ms", "known"),
    ("pro", "turns.2.id", "a0", "turns[2].id", "known"),
    ("pro", "duration_ms", 0, "duration_ms", "duration"),
    ("pro", "duration_ms", 25_000, "duration_ms", "duration"),
    ("rea", "duration_ms", 20_001, "duration_ms", "duration"),
    ("pro", "media", [], "media", "media"),
    ("pro", "media.0.at_ms", 1000, "media[0].at_ms", "media"),
    ("rea", "media.1.at_ms", 9000, "media[1].at_ms", "media"),
    ("rea", "media.1.at_ms", 7000, "media[1].at_ms", "media"),
    ("rea", "media.0.in_ms", -1, "media[0].in_ms", "media"),
    ("rea", "media.2.out_ms", 500, "media[2].out_ms", "media"),
    ("pro", "turns.2.t_ms", 3000, "turns[2].t_ms", "time"),
    ("pro", "turns.3.t_ms", 19_401, "turns[3].t_ms", "time"),
    ("pro", "turns.1.t_ms", -5, "turns[1].t_ms", "time"),
    ("pro", "turns.1.reply_to", "q9", "turns[1].reply_to", "reply"),
    ("mul", "turns.1.reply_to", "q2", "turns[1].reply_to", "reply"),
    ("mul", "turns.1.reply_to", "a0", "turns[1].reply_to", "reply"),
    ("pro", "turns.1.text", "  ", "turns[1].text", "words"),
    ("pro", "turns.1.text", "None", "turns[1].text", "words"),
    ("pro", "turns.1.text", " nan ", "turns[1].text", "words"),
    ("pro", "turns.0.text", "Look\nhere", "turns[0].text", "words"),
    ("pro", "turns.1.text", "A bell\u0007", "turns[1].text", "words"),
    ("pro", "turns.1.text", "Two\u2028lines", "turns[1].text", "words"),
    ("pro", "turns.0.text", "<image>\tWhat?".replace("\t", " "), "turns[0].text", "words"),
    ("pro", "turns.1.text", "From <T1> to </T1>.", "turns[1].text", "words"),
    ("pro", "turns.1.text", "At <12.5s> he runs.", "turns[1].text", "words"),
    ("pro", "turns.1.text", "He runs.<|im_end|>", "turns[1].text", "words"),
    ("mul", "turns.1.options", ["<video>", "A fox"], "turns[1].options[0]", "words"),
    ("pro", "turns.1.evidence", [[3960, 400]], "turns[1].evidence[0]", "evidence"),
    ("pro", "turns.1.evidence", [[3960, 3960]], "turns[1].evidence[0]", "evidence"),
    ("pro", "turns.2.evidence.1", [4000, 19_500], "turns[2].evidence[1]", "evidence"),
    ("rea", "turns.1.evidence", [[0, 0]], "turns[1].evidence[0]", "evidence"),
    ("pro", "turns.1.evidence", [[400, 4001]], "turns[1].t_ms", "instant"),
    ("pro", "turns.1.evidence", [[400, 3000]], "turns[1].t_ms", "instant"),
    ("pro", "turns.1.evidence", [], "turns[1].evidence", "instant"),
    ("pro", "turns.1.t_ms", 3959, "turns[1].t_ms", "instant"),
    ("pro", "turns.1.t_ms", 4960, "turns[1].t_ms", "instant"),
    ("pro", "turns.1.t_ms", 9000, "turns[1].t_ms", "instant"),
    ("pro", "turns.2.evidence.0", [2000, 9100], "turns[2].t_ms", "instant"),
    ("mul", "turns.1.evidence", [[1000, 5001]], "turns[1].t_ms", "instant"),
    ("mul", "turns.3.t_ms", 10_000, "turns[3].t_ms", "instant"),
    ("mul", "turns.0.t_ms", 4999, "turns[1].t_ms", "at_once"),
    ("mul", "turns.5.t_ms", 13_000, "turns[5].t_ms", "at_once"),
    ("mul", "turns.2.once", GONE, "turns[3].t_ms", "at_once"),
    ("pro", "turns.3", told("a9", 9000, "q0", [[8000, 8500]]), "turns[3].t_ms", "once"),
    ("pro", "turns.0", told("a9", 0, "q0", []), "turns[0]", "asked_first"),
    ("mul", "turns.1.options", ["A fox"], "turns[1].options", "options"),
    ("mul", "turns.1.options", [*"abcdef", "A fox"], "turns[1].options", "options"),
    ("mul", "turns.1.options", ["A fox", "A fox "], "turns[1].options", "options"),
    ("mul", "turns.1.options", ["", "A fox"], "turns[1].options", "options"),
    ("mul", "turns.1.options", [1, 2], "turns[1].options", "options"),
    ("mul", "turns.1.options", GONE, "turns[1].options", "options"),
    ("mul", "turns.1.answer_index", 0, "turns[1].answer_index", "options"),
    ("mul", "turns.1.answer_index", 2, "turns[1].answer_index", "options"),
    ("mul", "turns.1.answer_index", True, "turns[1].answer_index", "options"),
    ("mul", "turns.1.answer_index", GONE, "turns[1].answer_index", "options"),
    ("rea", "turns.4.answer_index", 0, "turns[4].answer_index", "options"),
    ("pro", "turns", [], "turns", "learnable"),
    ("pro", "turns", [asked("q0", 0)], "turns", "learnable"),
    ("pro", "turns", [asked("q0", 0), told("a0", 1000, "q0", [[0, 900]], learn=False)], "turns", "learnable"),
    ("rea", "turns", [asked("q0", 7000), told("a0", 7000, "q0", [[0, 6000]])], "turns[1].t_ms", "one_clip"),
    ("rea", "turns.1.evidence", [[0, 8500]], "turns[1].evidence", "one_clip"),
    ("rea", "turns.1.evidence", [], "turns[1].evidence", "one_clip"),
    ("rea", "turns.3.t_ms", 14_000, "turns[3].t_ms", "one_clip"),
    ("rea", "turns.5.t_ms", 19_000, "turns[5].t_ms", "time"),
    ("rea", "turns.4.t_ms", 13_000, None, None),
    ("rea", "turns.5.evidence", [[14_000, 15_000]], None, None),
    ("rea", "turns.4.t_ms", 12_000, "turns[4].t_ms", "time"),
    ("pro", "quirks", GONE, "quirks", "quirks"),
    ("pro", "quirks.0", "mended", "quirks[0]", "quirks"),
    ("pro", "quirks.0", 7, "quirks[0]", "quirks"),
    ("pro", "quirks.0", "dropped_it", "quirks[0]", "quirks"),
    ("pro", "quirks.2", "overlap", "quirks[2]", "quirks"),
    ("mul", "quirks", [], "quirks", "quirks"),
    ("rea", "quirks", [], "quirks", "quirks"),
    ("pro", "media.0.uri", "made:/home/me/x.mp4", "media[0].uri", "private"),
    ("pro", "media.0.uri", "/home/me/x.mp4", "media[0].uri", "private"),
    ("pro", "media.0.uri", "C:\\clips\\x.mp4", "media[0].uri", "private"),
    ("pro", "media.0.uri", "made:../x", "media[0].uri", "private"),
    ("pro", "media.0.uri", "made:a/%2e%2e/x", "media[0].uri", "private"),
    ("pro", "media.0.uri", "file:x.mp4", "media[0].uri", "private"),
    ("pro", "media.0.uri", "https://me:pw@host/x.mp4", "media[0].uri", "private"),
    ("pro", "media.0.uri", "https://token@host/x.mp4", "media[0].uri", "private"),
    ("pro", "media.0.uri", "data:video/mp4;base64,AAAA", "media[0].uri", "private"),
    ("pro", "media.0.uri", "x.mp4", "media[0].uri", "private"),
    ("pro", "media.0.uri", "made:" + "x" * 2000, "media[0].uri", "private"),
    ("pro", "turns.1.text", "word " * 5000, "turns[1].text", "private"),
    ("pro", "turns.1.text", "See data:image/png;base64,iVBOR", "turns[1].text", "private"),
    ("mul", "turns.1.options", ["rtsp://me:pw@cam/1", "A fox"], "turns[1].options[0]", "private"),
    ("pro", "source.file", "/home/me/train.json", "source.file", "private"),
    ("pro", "policy.table", "https://me:pw@host/fps.csv", "policy.table", "private"),
    ("mul", "turns.1.gen", {"model": {"path": "~/weights"}}, "turns[1].gen.model.path", "private"),
]  # fmt: skip


def planted(said, place, value):
    """The sample with one field changed, added or taken away."""
    said = copy.deepcopy(said)
    *way, last = [int(step) if step.isdigit() else step for step in place.split(".")]
    inner = said
    for step in way:
        inner = inner[step]
    if value is GONE:
        del inner[last]
    else:
        inner[last] = value
    return said


def canonical(said):
    """Fields in the order of the schema, where the sample can be read at all."""
    try:
        return streamit.to_line(streamit.from_line(line(said))) + "\n"
    except ValueError:
        return line(said)


@pytest.mark.parametrize("kind", MAKE)
def test_good_samples_have_nothing_wrong(kind, tmp_path):
    assert check(streamit.from_line(line(MAKE[kind]()))) == []
    assert findings(tmp_path / "x", *(make() for make in MAKE.values())) == []


@pytest.mark.parametrize(("kind", "place", "value", "field", "rule"), PLANTED)
def test_one_mistake_is_told_once_with_its_field_and_rule(kind, place, value, field, rule, tmp_path):
    wrong = canonical(planted(MAKE[kind](), place, value))
    others = [make() for name, make in MAKE.items() if name != kind]
    expected = [(2, field, rule)] if rule else []
    assert findings(tmp_path / "x", others[0], wrong, others[1]) == expected


def test_every_rule_about_one_sample_has_its_mistake_in_the_table():
    assert {rule for *_, rule in PLANTED if rule} == set(RULES) - {"canonical", "splits"}
    assert len(RULES) == 19 and NUMBERS["known"] == 1 and NUMBERS["splits"] == 18


def test_all_mistakes_of_one_corpus_are_found_and_nothing_else(tmp_path):
    lines, expected = [], []
    for number, (kind, place, value, field, rule) in enumerate(PLANTED, start=1):
        lines.append(canonical(planted(MAKE[kind](f"k{number}"), place, value)))
        expected += [(number, field, rule)] if rule else []
    assert findings(tmp_path / "x", *lines) == expected


def test_two_mistakes_in_one_sample_are_both_told(tmp_path):
    wrong = planted(planted(proactive(), "turns.1.text", "None"), "turns.3.evidence", [[1, 1]])
    assert findings(tmp_path / "x", wrong) == [(1, "turns[1].text", "words"), (1, "turns[3].evidence[0]", "evidence")]


@pytest.mark.parametrize("raw", [
    line(proactive()).replace('","task"', '", "task"'), line(proactive()).replace("\n", "\r\n"), line(proactive())[:-1],
    line(proactive()).replace('"quirks"', '"\\u0071uirks"'), json.dumps(dict(sorted(proactive().items()))) + "\n",
    line(planted(proactive(), "turns.0.once", False)), line(planted(proactive(), "turns.0.when", "watch")),
    line(proactive()).replace('"version":"1"', '"version":"\\ud800"'), line(proactive()).replace('"1"', "1e999"),
])  # fmt: skip
def test_a_line_that_would_not_be_written_like_this_is_told(raw, tmp_path):
    assert findings(tmp_path / "x", raw) == [(1, "line", "canonical")]


def test_an_id_that_stands_twice_is_told_with_both_places_even_in_another_file(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).write_text(line(proactive()) + line(multi_turn(name)))
    found = list(validate.validate([tmp_path / "one", tmp_path / "two"]))
    assert [(one.file, one.line, one.fault.field, one.fault.rule) for one in found] == [
        (str(tmp_path / "two"), 1, "id", "known")
    ]
    assert f"{tmp_path / 'one'}:1 too" in str(found[0])
    again = planted(proactive(), "split", "test")  # one mistake, not a leak of its video as well
    assert findings(tmp_path / "x", proactive(), again) == [(2, "id", "known")]


def test_a_video_in_two_splits_is_told_once_with_both_places(tmp_path):
    seen = planted(multi_turn("seen"), "split", "test")
    again = [planted(planted(seen, "id", f"again{i}"), "split", split) for i, split in enumerate(("train", "val"))]
    lines = [line(one) for one in (seen, *again, multi_turn("own"), planted(proactive(), "split", "test"))]
    (tmp_path / "x").write_text("".join(lines))
    (found,) = validate.validate([tmp_path / "x"])
    assert (found.line, found.fault.field, found.fault.rule) == (2, "media[0].uri", "splits")
    assert "made:seen_0x in train, and in test at " in str(found) and str(found).endswith("x:1")


def test_two_annotators_of_one_split_may_share_their_videos(tmp_path):
    one = planted(multi_turn(), "split", "val_1")
    two = planted(planted(one, "split", "val_2"), "id", "made_set/val_2/mul#0")
    assert findings(tmp_path / "x", one, two) == []


def test_worlds_pass_with_evidence_that_is_an_instant(tmp_path):
    worlds = [random_timeline(World(seed, 75.0, "train")) for seed in range(12)]
    worlds = [world for world in worlds if world.references]
    streamit.write(tmp_path / "x", worlds)
    assert list(validate.validate([tmp_path / "x"])) == [] and len(worlds) > 8
    assert any(answer.kind == "point" for world in worlds for answer in world.references)


@pytest.mark.parametrize("fps", [3, 7, 29.97])
def test_ticks_that_are_no_whole_milliseconds_are_taken_as_they_were_rounded(fps, tmp_path):
    tick, count = 1000 / fps, int(10 * fps)
    ends = [int(k * tick) + 1 for k in range(count)]  # just after a tick: the longest that an answer may wait
    turns = [asked("q0", 0)] + [told(f"a{k}", round((k + 1) * tick), "q0", [[0, end]]) for k, end in enumerate(ends)]
    assert findings(tmp_path / "x", sample("late", "proactive", turns, (11_000,), tick_ms=tick)) == []
    ticks = [round(k * tick) for k in range(1, count)]
    turns = [turn for k, t in enumerate(ticks) for turn in (asked(f"q{k}", t), told(f"a{k}", t + 1, f"q{k}", [[0, t]]))]
    assert findings(tmp_path / "x", sample("now", "multi_turn", turns, (11_000,), tick_ms=tick)) == []
    late = [asked("q0", ticks[0] - 1), told("a0", ticks[0], "q0", [[0, 9]])]
    wrong = sample("one", "multi_turn", late, (11_000,), tick_ms=tick)
    assert findings(tmp_path / "x", wrong) == [(1, "turns[1].t_ms", "at_once")]


def test_clips_that_are_joined_inside_a_tick_are_told(tmp_path):
    turns = [asked("q0", 8500), told("a0", 8500, "q0", [[0, 8500]])]
    wrong = sample("join", "multi_turn", turns, (8500, 5500), "realtime_qa")
    assert findings(tmp_path / "x", wrong) == [(1, "media[0].out_ms", "one_clip"), (1, "media[1].out_ms", "one_clip")]


def test_a_question_before_the_clip_of_its_answer_is_told(tmp_path):
    early = asked("q1", 7000, when="watch", once=True)
    turns = [early, asked("q0", 8000), told("a0", 8000, "q0", [[0, 8000]]), told("a1", 13_000, "q1", [[8000, 13_000]])]
    wrong = sample("early", "mixed", turns, (8000, 5000), "realtime_qa", ["question_shifted"])
    assert findings(tmp_path / "x", canonical(wrong)) == [(1, "turns[0].t_ms", "one_clip")]
    assert findings(tmp_path / "x", canonical(planted(wrong, "turns.0.t_ms", 8000))) == []


def test_a_frame_that_would_only_be_half_is_none(tmp_path):
    """Of 10.6 s there are ten frames: from 10 s to the end no new one comes."""
    turns = [asked("q0", 10_000), told("a0", 10_600, "q0", [[0, 10_600]])]
    assert findings(tmp_path / "x", sample("half", "multi_turn", turns, (10_600,))) == []


def test_a_timeline_that_cannot_even_be_written_has_one_fault():
    media = (Media("made:x", 0.0, 5.0),)
    assert check(Timeline("t", media, 5.0, (Reference("a", 1.0, "So.", "q"),))) == [
        Fault("turns[0]", "asked_first", "'q' (is the id of an earlier user turn)")
    ]
    assert [fault.rule for fault in check(Timeline("t", media, float("nan"), ()))] == ["form"]


# ---------------------------------------------------------------------------------------------- garbage

GARBAGE = {
    "empty": b"", "a picture": b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 50, "zeros": b"\0" * 4096,
    "a pickle": pickle.dumps({"a": [1, 2, 3]}), "latin-1": line(proactive("caf\u00e9")).encode("latin-1"),
    "a BOM": b"\xef\xbb\xbf" + line(proactive()).encode(), "utf-16": line(proactive()).encode("utf-16"),
    "nested": b"[" * 200_000 + b"\n", "nested well": b'{"source":' + b'{"a":' * 900 + b"1" + b"}" * 901 + b"\n",
    "a long number": b'{"id":' + b"9" * 10_000 + b"}\n", "text": b"once upon a time\n", "null": b"null\n",
    "half a line": line(proactive()).encode()[:200], "one list": b"[" + line(proactive()).encode()[:-1] + b"]\n",
    "deep source": line(proactive()).replace('"made_set@1"', "[" * 300 + '"x"' + "]" * 300).encode(),
}  # fmt: skip


@pytest.mark.parametrize("kind", GARBAGE)
def test_garbage_is_told_in_short_lines_and_what_follows_is_still_read(kind, tmp_path):
    (tmp_path / "bad").write_bytes(GARBAGE[kind])
    (tmp_path / "good").write_text(line(multi_turn()) + line(planted(realtime(), "task", "x")))
    found = list(validate.validate([tmp_path / "bad", tmp_path / "good"]))
    assert 1 <= len(found) <= validate.GIVE_UP + 3 and found[0].file.endswith("bad")
    assert [(one.line, one.fault.rule) for one in found if one.file.endswith("good")] == [(2, "known")]
    assert all(len(str(one)) < 600 and str(one).isprintable() for one in found)


def test_a_line_without_end_is_told_and_does_not_fill_memory(tmp_path):
    with open(tmp_path / "x", "wb") as file:
        file.truncate(70 * 2**20)  # more than a line may have, and not one line end
        file.seek(0, os.SEEK_END)
        file.write(b"\n" + line(planted(proactive(), "task", "x")).encode())
    found = list(validate.validate([tmp_path / "x"]))
    assert [(one.line, one.fault.field, one.fault.rule) for one in found] == [(1, "line", "form"), (2, "task", "known")]


def test_what_is_no_file_to_read_is_told_and_the_next_one_is_read(tmp_path, monkeypatch):
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "good").write_text(line(proactive()))
    paths = [tmp_path / "absent", tmp_path / "folder", tmp_path / "pipe", "a\0b", tmp_path / "good"]
    corpus = validate.Corpus()
    assert [(one.line, one.fault.field) for one in corpus.read(paths)] == [(0, "file")] * 4
    assert (corpus.files, corpus.samples, corpus.found, corpus.complete) == (5, 1, 4, True)

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    (found,) = validate.validate([tmp_path / "good"])
    assert str(found).endswith("good: file: rule 0, " + RULES["form"] + "; got a file that cannot be read: "
                               "Permission denied")  # fmt: skip


def test_reading_ends_after_so_many_findings_and_says_so(tmp_path):
    (tmp_path / "x").write_text("{}\n" * 50)
    corpus = validate.Corpus(most=7)
    assert len(list(corpus.read([tmp_path / "x"]))) == 7 and not corpus.complete
    assert len(list(validate.validate([tmp_path / "x"]))) == 50


def test_a_full_disk_is_told_as_what_it_is(tmp_path, monkeypatch):
    (tmp_path / "x").write_text(line(proactive()))
    corpus = validate.Corpus()
    corpus._known._base.close()  # as near to a disk that fails as a test comes
    with pytest.raises(RunFailed, match="temporary files"):
        list(corpus.read([tmp_path / "x"]))


def test_a_finding_says_file_line_field_rule_and_what_came(tmp_path):
    (tmp_path / "x").write_text(canonical(planted(proactive(), "turns.1.evidence", [[400, 4001]])))
    (found,) = validate.validate([tmp_path / "x"])
    got = f"rule 8, {RULES['instant']}; got 4000; the evidence ends at 4001"
    assert str(found) == f"{tmp_path / 'x'}:1: turns[1].t_ms: {got}"


@pytest.mark.parametrize("text", ["I <3 you", "a<b and c>d", "none of them", "</>", "5 < 6 > 4", "Null Bay", "<b>bold"])
def test_ordinary_words_with_angles_pass(text):
    assert texts.wordless(text) == ""
