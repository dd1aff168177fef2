"""A model on a server: what memory holds and sends, and that whatever the server does ends in words or in one line."""

import io
import itertools
import json
import math
import random
import re
import subprocess
import sys
import time
import traceback
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from remote_faults import KEY
from remote_server import (
    END,
    HANG,
    Endless,
    Server,
    delta,
    event,
    head,
    refusal,
    stream,
    usage,
    whole,
    words,
)
from remote_talk import FINE, at, conversation, of, picture, said
from streambridge.activation.immediately import Immediately
from streambridge.activation.scripted import Scripted
from streambridge.backbones import estimates, remote
from streambridge.backbones.dialogue import NOTHING, messages
from streambridge.backbones.remote import Remote, Usage, from_name
from streambridge.errors import RunFailed, WrongUse
from streambridge.loading import load
from streambridge.session import Session
from streambridge.types import (
    Answered,
    Backbone,
    Compressed,
    Delta,
    Event,
    Failed,
    Frame,
    FrameTokens,
    Interrupted,
    OverBudget,
    Piece,
    Plan,
    Shape,
    Weighs,
)


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STREAMBRIDGE_API_KEY", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


# ---------------------------------------------------------------------------------------------- what is sent


def test_a_request_is_what_the_protocol_wants() -> None:
    with Server(FINE) as server:
        session, events = conversation(at(server, "qwen2.5vl:7b"), "What is it?")
        (asked,) = server.asked
    assert asked.line == "POST /v1/chat/completions HTTP/1.1"
    assert asked.headers["content-type"] == "application/json" and asked.headers["host"] == server.url[7:-3]
    body = asked.body
    assert (body["model"], body["temperature"], body["max_tokens"]) == ("qwen2.5vl:7b", 0, 64)
    assert body["stream"] is True and body["stream_options"] == {"include_usage": True}
    (user,) = body["messages"]
    kinds = [part.get("text", "picture") for part in user["content"]]
    assert user["role"] == "user" and kinds == ["[0.0 s]", "picture", "[1.0 s]", "picture", "What is it?"]
    assert of(Answered, events)[0].tokens == session.memory.tokens - estimates.words("Fine.") + estimates.HEADER


def test_without_a_key_none_is_sent_and_the_first_of_the_environment_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = []
    for ours, theirs in ((None, None), ("ours", "theirs"), (None, "theirs\n"), ("", "theirs"), ("ours", None)):
        for name, value in (("STREAMBRIDGE_API_KEY", ours), ("OPENAI_API_KEY", theirs)):
            monkeypatch.setenv(name, value) if value is not None else monkeypatch.delenv(name, raising=False)
        with Server(FINE) as server:
            conversation(at(server), "What?")
            sent.append(server.asked[0].headers.get("authorization"))
    assert sent == [None, "Bearer ours", "Bearer theirs", "Bearer theirs", "Bearer ours"]


def test_without_a_key_a_server_that_wants_one_is_told_with_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    with Server([refusal("401 Unauthorized", "who are you")]) as server:
        _, events = conversation(at(server), "What?")
    assert "it wants a key; set OPENAI_API_KEY (or STREAMBRIDGE_API_KEY" in of(Failed, events)[0].error


@pytest.mark.parametrize("bad", ["two words", "line\nend", "naïve", "tab\tbed"])
def test_a_key_that_cannot_be_one_is_refused_and_not_shown(bad: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", bad)
    with pytest.raises(WrongUse, match="OPENAI_API_KEY") as caught:
        Remote("m", "http://x/v1")
    assert bad not in str(caught.value) and "\n" not in str(caught.value)


def bare(said: Any) -> str:
    """JSON up to its closing brackets."""
    return (said.decode() if isinstance(said, bytes) else json.dumps(said)).rstrip("]}")


def some_items(model: Remote, rng: random.Random, count: int) -> list[Any]:
    items: list[Any] = [model.turn("system", "Be brief.", 0.0, "system", "system")] * rng.randint(0, 1)
    for number in range(count):
        kind = rng.choice(["frame", "frame", "user", "assistant"])
        text = rng.choice(["yes", 'a "b" ]}', "三 é", "[1.0 s]", "\ud800 \\"])
        frame = kind == "frame"
        items.append(model.encode(picture(number, 4, 4)) if frame else model.turn(kind, text, 1.0, "question", "q"))  # type: ignore[arg-type]
    return items


@pytest.mark.parametrize("seed", range(20))
def test_what_is_appended_changes_nothing_before_it(seed: int) -> None:
    model, rng = Remote("m", "http://x"), random.Random(seed)
    items = some_items(model, rng, 12)
    for count in range(1, len(items)):
        before, after = messages(items[:count]), messages(items[: count + 1])
        if before[-1] == {"role": "user", "content": [{"type": "text", "text": NOTHING}]}:
            before = before[:-1]  # memory ends with an answer: this stands where the next item will
        assert bare(after).startswith(bare(before))
        first, second = model.render(items[:count]), model.render(items[: count + 1])
        for one, other in zip(first.segments[:-1], second.segments, strict=False):
            assert one.ids == other.ids and one.frame is other.frame and (one.positions == other.positions).all()


@pytest.mark.parametrize("seed", range(20))
def test_users_and_model_take_turns_and_the_user_has_the_last_word(seed: int) -> None:
    model, rng = Remote("m", "http://x"), random.Random(100 + seed)
    said = messages(some_items(model, rng, 10))
    roles = [one["role"] for one in said if one["role"] != "system"]
    assert roles == ["user", "assistant"] * (len(roles) // 2) + ["user"]
    assert all(one["content"] for one in said)


def test_one_request_begins_with_the_other_byte_for_byte() -> None:
    with Server(FINE) as server:
        conversation(at(server), "What is it?", "And now?", 'What about "this" ]}?')
        raw = [bare(asked.raw) for asked in server.asked]
    assert len(raw) == 3 and raw[1].startswith(raw[0]) and raw[2].startswith(raw[1])
    assert raw[0] != raw[1] != raw[2] and '"assistant"' in raw[1]


def test_an_answer_is_remembered_to_the_letter_and_sent_back_so() -> None:
    with Server([stream(" Grün", '  "so"\n', "三 ")], FINE) as server:
        session, events = conversation(at(server), "What?", "And?")
        roles = {one["role"]: one["content"] for one in server.asked[1].body["messages"]}
    assert said(session)[0] == roles["assistant"] == of(Answered, events)[0].text == ' Grün  "so"\n三 '


def test_system_words_are_the_systems_and_half_a_letter_is_sent_as_a_mark() -> None:
    with Server(FINE) as server:
        session = Session(at(server), Immediately(), system="Be brief.")
        list(session.ask("What\ud800?", when="now"))
        body = server.asked[0].body
    assert body["messages"][0] == {"role": "system", "content": "Be brief."}
    assert body["messages"][1]["content"] == [{"type": "text", "text": "What??"}]


# ---------------------------------------------------------------------------------------------- words as they come


def test_nothing_is_sent_before_the_first_piece_is_asked_for() -> None:
    with Server(FINE) as server:
        model = at(server)
        pieces = model.answer(model.render([]), 8)
        time.sleep(0.02)
        assert server.asked == []
        assert next(pieces) == Piece(None, "Fine.")
        assert len(server.asked) == 1
        assert list(pieces) == []


def test_words_come_while_the_server_still_speaks() -> None:
    with Server([head() + words("One ") + b": and now\n", HANG]) as server:
        model = at(server)
        pieces = model.answer(model.render([]), 8)
        began = time.monotonic()
        assert next(pieces).text == "One " and time.monotonic() - began < 1
        pieces.close()  # type: ignore[attr-defined]


def test_closing_midway_hangs_up_and_what_was_heard_is_kept() -> None:
    with Server([head(), Endless(words("on and "))], FINE) as server:
        session = Session(at(server), Immediately())
        list(session.see(picture(0)))
        with session.ask("What?", when="now") as reply:
            heard = [event.text for event in itertools.islice(reply, 4) if isinstance(event, Delta)]
        assert server.hung_up.wait(2)
        assert len(heard) >= 2 and said(session) == ["".join(heard)]
        events = list(session.ask("And?", when="now"))
    assert [event.tokens for event in of(Interrupted, events)] == [len(heard)]
    assert [event.text for event in of(Answered, events)] == ["Fine."]


def test_frames_are_seen_while_an_answer_is_spoken() -> None:
    with Server([stream("One ", "two ", "three.")], FINE) as server:
        session = Session(at(server), Scripted({"Each?": [1.0]}))
        list(session.ask("Each?", 0.0, when="watch"))
        list(session.see(picture(0)))
        reply = session.see(picture(1))
        first = next(event for event in reply if isinstance(event, Delta))
        assert not of(Answered, list(session.see(picture(2))))
        rest = list(reply)
    assert [first.text, *(event.text for event in of(Delta, rest))] == ["One ", "two ", "three."]
    assert len(server.asked[0].pictures) == 2  # the frame that came meanwhile was not shown
    assert [item.t for item in session.memory.items() if isinstance(item, FrameTokens)] == [0.0, 1.0, 2.0]


def test_a_gate_that_fires_twice_without_a_frame_between_asks_as_a_user() -> None:
    with Server(FINE) as server:
        session = Session(at(server), Scripted({"a": [1.0], "b": [1.0]}), cue=False)
        for question in ("a", "b"):
            list(session.ask(question, 0.0, when="watch"))
        list(session.see(picture(1)))
        last = server.asked[1].body["messages"]
    assert [one["role"] for one in last] == ["user", "assistant", "user"]
    assert last[-1]["content"] == [{"type": "text", "text": NOTHING}]


def test_what_the_server_counted_comes_last_and_without_words() -> None:
    with Server([stream("One ", "two.", read=1234)]) as server:
        model = at(server)
        pieces = list(model.answer(model.render([model.encode(picture(0))]), 64))
    assert pieces == [Piece(None, "One "), Piece(None, "two."), Usage(None, "", 1234)]
    assert model.spoken(pieces, 1.0, "a0").text == "One two."


@pytest.mark.parametrize("read", ["12", 0, -1, 1.5, True, None, [7]])
def test_a_count_that_is_none_is_not_told(read: Any) -> None:
    with Server([head() + words("One.") + delta("stop") + usage(read) + b"data: [DONE]\n\n"]) as server:
        model = at(server)
        assert list(model.answer(model.render([]), 64)) == [Piece(None, "One.")]


def test_an_answer_without_words_is_none_and_leaves_no_trace() -> None:
    with Server([stream(read=99)], FINE) as server:
        session, events = conversation(at(server), "What?")
    assert of(Answered, events)[0].text == "" and said(session) == []


def test_the_plan_of_another_backbone_is_refused() -> None:
    with pytest.raises(WrongUse, match="plans that it rendered itself; this is Plan"):
        Remote("m", "http://x").answer(Plan((), 0), 8)


# ---------------------------------------------------------------------------------------------- memory


def test_it_is_a_backbone_that_weighs_and_says_what_is_true_of_it() -> None:
    model = Remote("gpt-4o", "https://api.openai.com/v1/")
    assert isinstance(model, Backbone) and isinstance(model, Weighs)
    assert model.name == "openai:gpt-4o@https://api.openai.com/v1" and model.reader(100) is None
    caps = model.caps
    assert not caps.embeds and not caps.exact_count and not caps.can_crop and caps.atomic_frame
    assert caps.positions == "none" and caps.max_context == remote.CONTEXT
    kept = {"merge": "dropped", "longest": 512, "quality": 80, "counted": "tiles 85+170"}
    assert model.settings() == kept and json.dumps(kept)


def test_a_model_on_a_server_loads_no_library_of_models() -> None:
    code = "from streambridge.backbones.remote import from_name; from_name('openai:m@http://x'); import sys; "
    tell = "print(*{'torch', 'transformers', 'av'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code + tell], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize(
    ("height", "width", "size"),
    [(1080, 1920, (512, 288)), (1920, 1080, (288, 512)), (36, 64, (64, 36)), (2, 2, (2, 2)), (1, 4000, (512, 1))],
)
def test_a_frame_becomes_a_jpeg_no_larger_than_the_limit(height: int, width: int, size: tuple[int, int]) -> None:
    model = Remote("m", "http://x")
    seen = model.encode(Frame(np.full((height, width, 3), (200, 30, 60), np.uint8), 2.5))
    assert set(seen.bundle) == {"jpeg", "size"} and seen.bundle["size"] == size
    shown = Image.open(io.BytesIO(seen.bundle["jpeg"]))
    assert (shown.format, shown.mode, shown.size) == ("JPEG", "RGB", size)
    assert np.abs(np.asarray(shown, np.int64)[0, 0] - (200, 30, 60)).max() <= 4
    assert (seen.t, seen.span, seen.frames) == (2.5, (2.5, 2.5), 1)
    assert seen.tokens == estimates.rule_for("m")[1](*size) + estimates.TIME


def test_a_view_of_pixels_that_may_not_be_written_is_seen_too() -> None:
    pixels = np.arange(40 * 60 * 3, dtype=np.uint8).reshape(40, 60, 3)[::2, ::-1]
    pixels.flags.writeable = False
    model = Remote("m", "http://x")
    again = Frame(np.ascontiguousarray(pixels), 0.0)
    assert model.encode(Frame(pixels, 0.0)).bundle["jpeg"] == model.encode(again).bundle["jpeg"]


def test_a_merge_keeps_the_middle_picture_and_stands_for_all() -> None:
    model = Remote("m", "http://x")
    seen = [model.encode(picture(number)) for number in range(5)]
    three = model.merge(seen[:3])
    assert three.bundle is seen[1].bundle and (three.t, three.span, three.frames) == (1.0, (0.0, 2.0), 3)
    both = model.merge([three, seen[3]])
    assert both.bundle is seen[1].bundle and (both.t, both.span, both.frames) == (1.5, (0.0, 3.0), 4)
    assert model.merge([seen[0], replace(seen[1], frames=9), *seen[2:]]).bundle is seen[1].bundle
    assert model.merge([seen[4]]).bundle is seen[4].bundle
    assert model.merge([replace(seen[0], frames=3), seen[1]]).t == pytest.approx(0.25)


def test_a_merge_costs_what_was_counted_before_it_also_where_sizes_differ() -> None:
    model = Remote("m", "http://x")
    parts = [model.encode(picture(number, *size)) for number, size in enumerate([(36, 64), (400, 400), (64, 36)])]
    for some in (parts, parts[:2], parts[1:], parts[::-1]):
        assert model.merge(some).tokens == model.count([Shape("frame", part.tokens, part.frames) for part in some])


def test_a_plan_is_as_long_as_its_items_say() -> None:
    model = Remote("m", "http://x")
    items = [model.encode(picture(0)), model.turn("user", "What?", 0.0, "question", "q0"), model.encode(picture(1))]
    for header in (False, True):
        plan = model.render(items, header)
        assert plan.tokens == sum(item.tokens for item in items) + header * estimates.HEADER
        assert [len(segment.ids) for segment in plan.segments][:3] == [item.tokens for item in items]
        assert [segment.frame for segment in plan.segments][:3] == [items[0], None, items[2]]
        positions = np.concatenate([segment.positions for segment in plan.segments], axis=1)
        assert positions.dtype == np.int64 and positions.tolist() == [list(range(plan.tokens))]
    assert model.overhead() >= estimates.HEADER and model.render([], False).tokens == 0


@pytest.mark.parametrize("answer", ["Fine.", "word " * 300])  # the latter is cut, and still longer than its reserve
@pytest.mark.parametrize("policy", ["round_decay", "recent", "uniform", "truncate"])
def test_a_long_stream_stays_in_its_budget_by_dropping_pictures(policy: str, answer: str) -> None:
    with Server([stream(answer)]) as server:
        model = at(server, "gpt-4o")
        session = Session(model, Immediately(), compression=load("memory", policy), max_len=3000)
        events: list[Event] = []
        pictures = set()
        for number in range(120):
            frame = picture(number, 9, 16) if number < 90 else picture(number, 16, 9)
            pictures.add(model.encode(frame).bundle["jpeg"])
            events += session.see(frame)
            assert session.memory.tokens <= 3000 - 64 - model.overhead()
            if number % 25 == 24:
                events += session.ask(f"What is it at {number}?", when="now")
                assert session.memory.tokens <= 3000 - 64 - model.overhead()
        held = [item for item in session.memory.items() if isinstance(item, FrameTokens)]
        assert all(len(asked.pictures) <= 3000 // (85 + 170 + estimates.TIME) for asked in server.asked)
        assert 4 < len(server.asked[-1].pictures) and len(server.asked) == 4
    assert of(Compressed, events) and not of(OverBudget, events) and not of(Failed, events)
    assert all(answer.tokens + 64 <= 3000 for answer in of(Answered, events))
    assert {item.bundle["jpeg"] for item in held} <= pictures  # dropped, never blended
    if policy == "round_decay":
        assert sum(item.frames for item in held) == 120 and max(item.frames for item in held) > 1


# ---------------------------------------------------------------------------------------------- estimates


@pytest.mark.parametrize(
    ("model", "size", "tokens"),
    [
        ("gpt-4o", (512, 288), 85 + 170),
        ("gpt-4o-2024-08-06", (1024, 1024), 85 + 4 * 170),  # as the vendor's guide works it out
        ("openai/gpt-4.1", (2048, 4096), 85 + 6 * 170),  # likewise
        ("gpt-4o-mini", (512, 512), 2833 + 5667),
        ("gpt-4.1-mini", (1024, 1024), math.ceil(1024 * 1.62)),
        ("gpt-5.2-nano", (512, 288), math.ceil(16 * 9 * 2.46)),
        ("gpt-5", (512, 288), 70 + 140),
        ("o3", (512, 288), 75 + 150),
        ("gemini-2.5-flash", (512, 288), 258),
        ("gemini-2.5-flash", (1024, 288), 2 * 258),
        ("gemma3:12b", (512, 288), 260),
        ("claude-sonnet-4-5", (512, 288), math.ceil(512 * 288 / 750)),
        ("qwen2.5vl:7b", (504, 280), 18 * 10 + 2),
        ("Qwen/Qwen2.5-VL-7B-Instruct", (512, 288), 19 * 11 + 2),
        ("Qwen/Qwen3-VL-8B-Instruct", (512, 288), 16 * 9 + 2),
        ("qwen3.5-vl", (2, 2), 4 + 2),
        ("some-model", (504, 280), 18 * 10 + 2),
        ("demo3-model", (504, 280), 18 * 10 + 2),
    ],
)
def test_a_picture_costs_what_its_model_counts(model: str, size: tuple[int, int], tokens: int) -> None:
    assert estimates.rule_for(model)[1](*size) == tokens


@pytest.mark.parametrize("title, rule", [(title, rule) for _, title, rule in estimates.RULES] + [estimates.USUAL])
def test_every_rule_gives_whole_numbers_above_0_for_every_size(title: str, rule: estimates.Rule) -> None:
    for w, h in itertools.product([1, 2, 31, 32, 33, 511, 512, 513, 4096], repeat=2):
        assert isinstance(rule(w, h), int) and rule(w, h) > 0, (title, w, h)


@pytest.mark.parametrize("text", ["", "a", "four", "三二一", "\ud800", "word " * 100])
def test_words_cost_a_token_for_three_bytes_and_their_message(text: str) -> None:
    size = len(text.encode("utf-8", "replace"))
    assert estimates.words(text) == estimates.HEADER + math.ceil(size / 3) + estimates.END
    turn = Remote("m", "http://x").turn("user", text, 1.0, "question", "q0")
    assert turn.tokens == estimates.words(text) and turn.ids == () and turn.text == text


# ---------------------------------------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("name", "model", "url"),
    [
        ("openai:gpt-4o@https://api.openai.com/v1", "gpt-4o", "https://api.openai.com/v1"),
        ("openai:qwen2.5vl:7b@http://localhost:11434/v1", "qwen2.5vl:7b", "http://localhost:11434/v1"),
        ("openai:@cf/meta/llama@https://a.b/c/v1/", "@cf/meta/llama", "https://a.b/c/v1"),
        ("openai:claude@20240620@https://x", "claude@20240620", "https://x"),
        ("openai:Qwen/Qwen3-VL-8B@http://[::1]:8000/v1", "Qwen/Qwen3-VL-8B", "http://[::1]:8000/v1"),
        ("openai:m@http://x/v1/chat/completions", "m", "http://x/v1"),
    ],
)
def test_a_name_is_a_model_and_a_server(name: str, model: str, url: str) -> None:
    found = from_name(name)
    assert (found.model, found._chat.url, found.name) == (model, url, f"openai:{model}@{url}")
    assert from_name(found.name).name == found.name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "openai:",
        "openai:gpt-4o",
        "openai:gpt-4o@",
        "openai:@https://api.openai.com/v1",
        "openai:https://api.openai.com/v1",
        "openai:gpt-4o@api.openai.com/v1",
        "openai:gpt-4o@ftp://api.openai.com/v1",
        "openai:gpt-4o@HTTPX://api.openai.com/v1",
        "openai:gpt-4o@https://",
        "openai:gpt-4o@https:///v1",
        "openai:gpt-4o@https://:443/v1",
        "openai:gpt-4o@https://host:port/v1",
        "openai:gpt-4o@https://host:99999/v1",
        "openai:gpt-4o@https://[::1/v1",
        "openai:gpt-4o@https://a..b/v1",
        "openai:gpt-4o@https://" + "a" * 64 + ".org/v1",
        "openai:gpt-4o@https://api openai.com/v1",
        "openai:gpt-4o@https://api.openai.com/v1\n",
        "openai:gpt-4o@https://höst/v1",
        "openai:gpt 4o@https://api.openai.com/v1",
        "openai:gpt\n4o@https://api.openai.com/v1",
        "openai: @https://api.openai.com/v1",
        "openai:" + "m" * 201 + "@https://api.openai.com/v1",
        "openai:gpt-4o@https://api.openai.com/v1?api-key=secret",
        "openai:gpt-4o@https://api.openai.com/v1#secret",
        "openai:gpt-4o@https://secret@api.openai.com/v1",
        "openai:gpt-4o@https://user:secret@api.openai.com/v1",
        "openai:gpt-4o@http://user:secret@http://api.openai.com/v1",
        "openai:https://user:secret@api.openai.com/v1",
        "openai:gpt-4o@user:secret@api.openai.com/v1",
        "openai:gpt-4o@ftp://user:secret@api.openai.com/v1",
    ],
)
def test_a_name_that_is_none_is_one_line_with_what_to_type(name: str) -> None:
    with pytest.raises(WrongUse) as caught:
        from_name(name)
    told = str(caught.value)
    assert told.isprintable() and "secret" not in told and len(told) < 400
    example = re.search(r"openai:gpt-4o@https://\S+", told)
    assert "API_KEY" in told or (example and from_name(example[0]).model == "gpt-4o")
    shown = "".join(traceback.format_exception(caught.value, chain=True))
    assert "secret" not in shown.replace(f'"{name}"', "") or "from_name(name)" in shown


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("longest", 0),
        ("longest", True),
        ("longest", 5000),
        ("longest", "512"),
        ("quality", 0),
        ("quality", 96),
        ("quality", 8.5),
        ("max_context", 0),
    ],
)
def test_numbers_that_make_no_sense_are_refused(name: str, value: Any) -> None:
    with pytest.raises(WrongUse, match=f"{name} is a whole number from"):
        Remote("m", "http://x", **{name: value})


# ---------------------------------------------------------------------------------------------- weighing


def token(text: object, chance: float | None = None, **others: object) -> dict[str, object]:
    return {"token": text, **({} if chance is None else {"logprob": math.log(chance)}), **others}


def weighed(first: object) -> bytes:
    choice = {"message": {"content": "Yes"}, "finish_reason": "length", "logprobs": {"content": [first]}}
    return whole({"choices": [choice]})


CHANCES = {"Yes": 0.4, " yes": 0.2, "▁YES": 0.1, "No": 0.15, "Ġno": 0.05, "Yesterday": 0.02}
LIKELY = [token(text, chance) for text, chance in CHANCES.items()]


def test_a_choice_weighs_what_its_words_do_whatever_their_case_and_spaces() -> None:
    with Server([weighed(token("Yes", 0.4, top_logprobs=LIKELY))]) as server:
        model = at(server)
        items = [model.encode(picture(0)), model.turn("user", "Is it?", 0.0, "question", "q0")]
        yes, no, both, nothing = model.weigh(items, [["yes", "YES"], [" No"], ["yes", "no"], ["maybe"]])
        body = server.asked[0].body
    assert (yes, no, both, nothing) == pytest.approx((0.7, 0.2, 0.9, 0.0))
    assert (body["max_tokens"], body["logprobs"], body["top_logprobs"], body["stream"]) == (1, True, 20, False)
    assert body["temperature"] == 0 and len(server.asked[0].pictures) == 1


def test_the_token_that_was_said_counts_where_it_is_not_among_the_likeliest() -> None:
    with Server([weighed(token("Yes", 0.5, top_logprobs=[token("No", 0.25)]))]) as server:
        assert at(server).weigh([], [["yes"], ["no"]]) == pytest.approx([0.5, 0.25])


def test_probabilities_that_are_none_count_for_nothing_and_a_sum_is_never_above_1() -> None:
    bad: list[Any] = [None, 3, {"token": 7, "logprob": -1}, {"token": "no"}, {"token": "no", "logprob": "-0.1"}]
    bad += [{"token": "no", "logprob": none} for none in (math.nan, math.inf, -math.inf, 5.0, 1e9, -9999.0)]
    bad += [{"token": "no", "logprob": none} for none in (10**400, -(10**400))]
    bad += [{"token": "yes", "logprob": 1e-6}, {"token": "YES", "logprob": -0.1}]
    with Server([weighed(token("Yes", top_logprobs=bad))]) as server:
        assert at(server).weigh([], [["yes"], ["no"]]) == [1.0, 0.0]


def test_weighing_a_reply_that_is_streamed_all_the_same() -> None:
    choice = {"delta": {"content": "Yes"}, "logprobs": {"content": [token("Yes", 0.5, top_logprobs=[])]}}
    with Server([head() + delta(role="assistant") + event({"choices": [choice]}) + END]) as server:
        assert at(server).weigh([], [["yes"]]) == pytest.approx([0.5])


@pytest.mark.parametrize(
    "reply",
    [
        stream("Yes"),
        whole({"choices": [{"message": {"content": "Yes"}, "logprobs": None}]}),
        whole({"choices": [{"message": {"content": "Yes"}, "logprobs": {"content": None}}]}),
        whole({"choices": [{"message": {"content": "Yes"}, "logprobs": {"content": []}}]}),
        whole({"choices": [{"message": {"content": "Yes"}, "logprobs": {"content": [{"token": "Yes"}]}}]}),
        whole({"choices": []}),
    ],
)
def test_a_server_that_tells_no_probabilities_is_one_line(reply: bytes) -> None:
    with Server([reply]) as server, pytest.raises(RunFailed, match="tells no probabilities .* of some-model") as caught:
        at(server).weigh([], [["yes"]])
    assert "\n" not in str(caught.value)


def test_weighing_is_tried_again_like_an_answer() -> None:
    with Server([refusal("503 Service Unavailable")], [weighed(token("Yes", 0.5))]) as server:
        assert at(server).weigh([], [["yes"]]) == pytest.approx([0.5])
    assert len(server.asked) == 2
