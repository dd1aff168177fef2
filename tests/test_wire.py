"""Promises of the event log and the captions. Knows the events by looking for them, so a new one is tested at once."""

import dataclasses
import errno
import inspect
import json
import math
import os
from pathlib import Path
from typing import Literal, get_args, get_origin, get_type_hints

import numpy as np
import pytest

from streambridge import types, wire
from streambridge.errors import BadInput, RunFailed
from streambridge.types import Answered, Asked, Delta, Ended, Event, Interrupted, Notice, Scored, Started

KINDS = [kind for kind in vars(types).values() if inspect.isclass(kind) and issubclass(kind, Event) and kind != Event]
WORDS = [
    "",
    "plain",
    'quo"te \\ back',
    "line\nend\r\n",
    "tab\t\0\x7f\x85",
    "\u2028\u2029",
    "火 \U0001f525",
    "\ud800 lone",
]
TIMES = [0.0, -1.5, 0.1, 1 / 3, 1e-300, 5e-324, 1e22, math.pi, 86_400.000_001, float(2**53)]
SCORED = {"type": "scored", "t": 1.0, "watch": "q0", "score": 0.5, "fire": True}


def whatever(hint, rng):
    """Some value of that type, drawn from the nasty ones."""
    if get_origin(hint) is Literal:
        return str(rng.choice(get_args(hint)))
    inner = {"a": 1, "": None, "é": [True, 2.5, {"x": "y"}], "n": -(2**70)}
    return {
        str: lambda: WORDS[rng.integers(len(WORDS))],
        float: lambda: TIMES[rng.integers(len(TIMES))],
        int: lambda: int(rng.integers(-(10**9), 10**9)),
        bool: lambda: bool(rng.integers(2)),
        types.Mapping[str, float]: lambda: {"encode": TIMES[rng.integers(len(TIMES))], "answer": 0.25},
        types.Mapping[str, types.Any]: lambda: inner,
    }[hint]()


def some(kind, rng):
    hints = get_type_hints(kind)
    return kind(**{field.name: whatever(hints[field.name], rng) for field in dataclasses.fields(kind)})


def same(one, other):
    """Equal in every field, `ms` too, which `==` leaves out, and of the same types."""
    return repr(one) == repr(other) and dataclasses.asdict(one) == dataclasses.asdict(other)


def test_every_event_of_the_design_is_found():
    designed = (
        "started scored asked watching unwatched delta answered interrupted compressed forgot over_budget dropped "
        "stalled counted notice failed ended"
    )
    assert {kind.type for kind in KINDS} >= set(designed.split())
    assert {kind.__name__ for kind in Event.__subclasses__()} == {kind.__name__ for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.type)
def test_every_event_comes_back_as_it_was_on_one_line_with_type_and_time_first(kind):
    rng = np.random.default_rng(11)
    for _ in range(50):
        event = some(kind, rng)
        line = wire.to_json(event)
        assert len(line.splitlines()) == 1 and line.encode("utf-8")
        assert list(json.loads(line))[:2] == ["type", "t"]
        assert same(wire.from_json(line), event)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.type)
def test_each_field_of_each_event_is_refused_by_name_when_missing_or_of_a_wrong_type(kind):
    whole = json.loads(wire.to_json(some(kind, np.random.default_rng(5))))
    for field in dataclasses.fields(kind):
        with pytest.raises(BadInput, match=rf"{kind.type}\.{field.name}: expected .*; got \[\]"):
            wire.from_json(json.dumps({**whole, field.name: []}))
        if field.name != "ms":  # durations may be absent
            with pytest.raises(BadInput, match=rf"{kind.type}\.{field.name}: this field is missing"):
                wire.from_json(json.dumps({name: value for name, value in whole.items() if name != field.name}))


@pytest.mark.parametrize(("change", "expected"), [
    ({"score": math.nan}, "scored.score: expected a finite number; got nan"),
    ({"score": math.inf}, "scored.score: expected a finite number; got inf"),
    ({"score": "0.5"}, "scored.score: expected a finite number; got '0.5'"),
    ({"score": True}, "scored.score: expected a finite number; got True"),
    ({"score": 10**400}, "scored.score: expected a finite number; got 1000"),
    ({"fire": 1}, "scored.fire: expected true or false; got 1"),
    ({"watch": 0}, "scored.watch: expected a text; got 0"),
    ({"t": None}, "scored.t: expected a finite number; got None"),
    ({"scor": 1}, "scored.scor: no such field; did you mean 'score'? There are: fire, score, t, watch"),
    ({"type": "score"}, "type: no event called 'score'; did you mean 'scored'?"),
    ({"type": 7}, "type: no event called 7"),
])  # fmt: skip
def test_a_wrong_line_is_refused_with_the_field_and_what_was_expected(change, expected):
    with pytest.raises(BadInput) as said:
        wire.from_json(json.dumps({**SCORED, **change}))
    assert expected in str(said.value) and "\n" not in str(said.value)


@pytest.mark.parametrize("line", [
    "", "{", "null", "[]", "3", '"ended"', "{}", '{"t": 1}', "\0", "{'type': 'ended'}", "[" * 100_000,
    '{"type": "ended", "t": 1, "t": 2}', '{"type": "ended", "t": 1} x', '{"type": "ended", "t": 1e999}',
    '{"type": "ended", "t": ' + "9" * 5000 + "}", '{"type": ["ended"], "t": 1}',
])  # fmt: skip
def test_what_is_no_event_is_refused_in_one_line(line):
    with pytest.raises(BadInput) as said:
        wire.from_json(line)
    assert "\n" not in str(said.value) and len(str(said.value)) < 500


@pytest.mark.parametrize("event", [
    Ended(t=math.nan), Ended(t=math.inf), Ended(t="1"), Scored(t=0, watch="q0", score=math.nan, fire=True),
    Started(t=0, schema="s", settings={"x": math.inf}), Started(t=0, schema="s", settings={"x": {1: 2}}),
    Started(t=0, schema="s", settings={"x": object()}), Started(t=0, schema="s", settings={"x": {1, 2}}),
    Answered(t=0, answer="a", asked="q", text="", t_asked=0, t_fired=0, tokens=1, ms={"x": math.nan}),
    Asked(t=0, id="q0", text="", when="later"), Asked(t=0, id="q0", text=b"", when="now"), None, Event(t=0),
])  # fmt: skip
def test_what_json_cannot_say_is_not_written(event):
    with pytest.raises(BadInput):
        wire.to_json(event)


def test_numbers_of_numpy_are_written_as_plain_numbers():
    event = Scored(t=np.float64(1.5), watch="q0", score=np.float32(0.25), fire=True)
    assert wire.from_json(wire.to_json(event)) == Scored(t=1.5, watch="q0", score=0.25, fire=True)
    started = Started(t=0.0, schema="s", settings={"n": np.int64(3), "span": (1, 2)})
    assert wire.from_json(wire.to_json(started)).settings == {"n": 3, "span": [1, 2]}


# ---------------------------------------------------------------------------------------------- files


@pytest.fixture
def events():
    rng = np.random.default_rng(2)
    return [some(kind, rng) for kind in KINDS] + [Notice(t=9.0, text="last")]


def test_a_journal_is_on_disk_line_by_line_and_reads_back(tmp_path, events):
    path = tmp_path / "events.jsonl"
    with wire.Journal(path) as journal:
        for count, event in enumerate(events, start=1):
            journal.write(event)
            assert len(path.read_bytes().splitlines()) == count  # while it is still open
    assert all(same(*pair) for pair in zip(wire.read(path), events, strict=True))


def test_a_log_cut_anywhere_in_its_last_line_yields_what_is_whole_and_says_so(tmp_path):
    path, whole = tmp_path / "cut.jsonl", [Notice(t=1.0, text="one"), Notice(t=2.0, text="火 two")]
    lines = [wire.to_json(event).encode() + b"\n" for event in whole]
    for cut in range(1, len(lines[1]) - 1):
        path.write_bytes(lines[0] + lines[1][:cut])
        first, second = wire.read(path)
        assert first == whole[0]
        assert isinstance(second, Notice) and second.t == 1.0 and f"{path}:2: the last line was cut" in second.text
    path.write_bytes(lines[0] + lines[1][:-1])  # only the line end is gone: nothing is lost
    assert list(wire.read(path)) == whole


def test_reading_streams_and_a_wrong_line_is_named_by_file_and_line(tmp_path):
    path = tmp_path / "bad.jsonl"
    path.write_text(wire.to_json(Ended(t=1.0)) + "\n\n" + '{"type": "ended"}\n' + wire.to_json(Ended(t=2.0)) + "\n")
    log = wire.read(path)
    assert next(log) == Ended(t=1.0)
    with pytest.raises(BadInput, match=r"bad\.jsonl:3: ended\.t: this field is missing"):
        next(log)


@pytest.mark.parametrize("content", [b"\xff\xfe\n", b"\x00" * 1000 + b"\n", b"RIFF\x00AVI \n", b"a,b,c\n1,2,3\n"])
def test_a_file_that_is_no_log_is_refused_at_its_first_line(tmp_path, content):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(BadInput, match="x:1: "):
        list(wire.read(tmp_path / "x"))


def test_an_endless_line_is_refused_without_reading_it_all(tmp_path, monkeypatch):
    monkeypatch.setattr(wire, "MOST_BYTES", 1000)
    (tmp_path / "x").write_bytes(b" " * 5000)
    with pytest.raises(BadInput, match="x:1: a line of more than 1000 bytes"):
        list(wire.read(tmp_path / "x"))


def test_an_empty_log_holds_nothing_and_an_absent_one_is_refused(tmp_path):
    (tmp_path / "empty").touch()
    assert list(wire.read(tmp_path / "empty")) == []
    for path in (tmp_path / "absent", tmp_path):
        with pytest.raises(BadInput, match="cannot read the log"):
            list(wire.read(path))


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_is_told_once_and_counted_afterwards():
    with wire.Journal("/dev/full") as journal:
        with pytest.raises(RunFailed, match="cannot write the events to /dev/full: No space left on device"):
            journal.write(Ended(t=1.0))
        journal.write(Ended(t=2.0))
        assert journal.unwritten == 2


def test_a_line_that_the_disk_took_half_of_is_taken_back(tmp_path):
    path = tmp_path / "events.jsonl"
    journal = wire.Journal(path)
    journal.write(Notice(t=1.0, text="whole"))
    journal._file = HalfFull(journal._file)
    with pytest.raises(RunFailed, match="No space left on device; what was written before is whole"):
        journal.write(Notice(t=2.0, text="half"))
    journal.write(Ended(t=3.0))
    assert path.read_bytes() == wire.to_json(Notice(t=1.0, text="whole")).encode() + b"\n"
    assert journal.unwritten == 2


class HalfFull:
    """A file on a disk that has room for ten more bytes."""

    def __init__(self, file):
        self._file, self._room = file, 10

    def write(self, data):
        if not self._room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        took, self._room = self._file.write(data[: self._room]), 0
        return took

    def __getattr__(self, name):
        return getattr(self._file, name)


def test_writing_to_a_closed_journal_is_told_once(tmp_path):
    journal = wire.Journal(tmp_path / "events.jsonl")
    journal.write(Ended(t=1.0))
    journal.close()
    journal.close()
    with pytest.raises(RunFailed, match="closed"):
        journal.write(Ended(t=2.0))
    journal.write(Ended(t=3.0))
    assert list(wire.read(journal.path)) == [Ended(t=1.0)]


def test_a_pipe_that_nobody_reads_any_more_is_told_in_one_line():
    reads, writes = os.pipe()
    journal = wire.Journal(f"/proc/self/fd/{writes}" if Path("/proc/self/fd").exists() else f"/dev/fd/{writes}")
    os.close(reads)
    os.close(writes)
    with pytest.raises(RunFailed, match="Broken pipe"):
        journal.write(Ended(t=1.0))


def test_an_event_that_cannot_be_said_leaves_the_journal_usable(tmp_path):
    with wire.Journal(tmp_path / "events.jsonl") as journal:
        with pytest.raises(BadInput):
            journal.write(Ended(t=math.nan))
        journal.write(Ended(t=1.0))
    assert list(wire.read(journal.path)) == [Ended(t=1.0)]


def test_a_place_that_cannot_be_written_is_one_clear_line(tmp_path):
    for path in (tmp_path, tmp_path / "absent" / "events.jsonl"):
        with pytest.raises(RunFailed, match="cannot write the events to "):
            wire.Journal(path)


# ---------------------------------------------------------------------------------------------- captions


def answered(text, fired, asked="q0", answer="a0"):
    return Answered(t=fired + 1, answer=answer, asked=asked, text=text, t_asked=0.0, t_fired=fired, tokens=9)


def test_captions_last_until_the_next_answer_and_at_most_four_seconds():
    vtt = wire.to_vtt([
        Asked(t=0.0, id="q0", text="Tell me\neach step.", when="watch"),
        answered("One.", 1.0), answered("Two.", 3.5), answered("Three.", 3723.0004),
    ])  # fmt: skip
    assert vtt == (
        "WEBVTT\n\n"
        "NOTE q0 at 0 s: Tell me each step.\n\n"
        "00:00:01.000 --> 00:00:03.500\nOne.\n\n"
        "00:00:03.500 --> 00:00:07.500\nTwo.\n\n"
        "01:02:03.000 --> 01:02:07.000\nThree.\n"
    )


def test_no_words_can_break_out_of_their_caption():
    vtt = wire.to_vtt([
        Asked(t=0.0, id="q0", text="--> \n\n <b>", when="now"),
        answered("a < b & c\n\n00:00:01.000 --> 00:00:09.000\nforged\r\n\u2028x", 1.0),
    ])  # fmt: skip
    assert vtt.count("-->") == 1 and "<" not in vtt
    assert vtt.split("\n\n")[1:] == [
        "NOTE q0 at 0 s: --&gt; &lt;b&gt;",
        "00:00:01.000 --> 00:00:05.000\na &lt; b &amp; c\n00:00:01.000 --&gt; 00:00:09.000\nforged\nx\n",
    ]


def test_answers_of_one_instant_are_both_shown_and_every_caption_has_a_length():
    vtt = wire.to_vtt([answered("A.", 1.0), answered("B.", 1.0), answered("C.", 1.0001), answered("  ", 1.5)])
    assert "00:00:01.000 --> 00:00:01.001\nA." in vtt and "00:00:01.000 --> 00:00:01.001\nB." in vtt
    assert "00:00:01.000 --> 00:00:01.500\nC." in vtt and vtt.count("-->") == 3


def test_an_interrupted_answer_is_shown_as_far_as_it_was_heard_and_a_whole_one_once():
    vtt = wire.to_vtt([
        Delta(t=2.0, answer="a0", text="It is "), Delta(t=2.0, answer="a0", text="ra"),
        Interrupted(t=2.0, answer="a0", tokens=2),
        Delta(t=8.0, answer="a1", text="Yes."), answered("Yes.", 8.0, answer="a1"),
        Interrupted(t=9.0, answer="a2", tokens=0),
    ])  # fmt: skip
    assert vtt.count("-->") == 2
    assert "00:00:02.000 --> 00:00:06.000\nIt is ra …" in vtt and "00:00:08.000 --> 00:00:12.000\nYes." in vtt


def test_a_stream_without_answers_has_captions_that_are_still_a_file():
    assert wire.to_vtt([]) == "WEBVTT\n"
