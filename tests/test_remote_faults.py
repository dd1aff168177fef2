"""A model on a server: whatever the server does ends in words or in one line, and the key is shown to nobody."""

import contextlib
import json
import re
import socket
import ssl
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remote_faults import BROKEN, CASES, HALF, KEY, PASSING, UNTAKEN, Case
from remote_server import (
    EARLY,
    Server,
    closed_port,
    refusal,
    stream,
)
from remote_talk import CALM, FINE, NO_SILENCE, NO_TIME, at, conversation, of, picture, said
from streambridge import cli, wire
from streambridge.backbones import chat, connection, remote
from streambridge.backbones.connection import Patience
from streambridge.backbones.remote import Remote
from streambridge.backbones.sse import Trouble, chunk_of
from streambridge.backbones.sse import events as events_of
from streambridge.errors import RunFailed
from streambridge.types import (
    Answered,
    Delta,
    Failed,
    Interrupted,
    Started,
)


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STREAMBRIDGE_API_KEY", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


# ---------------------------------------------------------------------------------------------- whatever it does


def patience_for(one: Case) -> Patience:
    """In a hurry only where that is what the case is about: a busy machine makes any server slow."""
    told = one.told or ""
    return NO_SILENCE if "nothing for" in told else NO_TIME if "longer" in told else CALM


@pytest.mark.parametrize("one", CASES, ids=[one.name for one in CASES])
def test_whatever_a_server_does_ends_in_words_or_in_one_line_and_the_next_answer_comes(
    one: Case, capfd: pytest.CaptureFixture[str]
) -> None:
    with Server(*one.scripts, FINE) as server:
        began, model = time.monotonic(), at(server, patience=patience_for(one))
        session, events = conversation(model, "What is it?")
        assert time.monotonic() - began < 1.5  # a third of a second, and the rest for a busy machine
        assert len(server.asked) == len(one.scripts)
        assert "".join(event.text for event in of(Delta, events)) == one.heard
        assert said(session) == [one.heard] * bool(one.heard)
        if one.told is None:
            assert [event.text for event in of(Answered, events)] == [one.heard]
            assert not of(Failed, events) and not of(Interrupted, events)
        else:
            (failed,) = of(Failed, events)
            assert re.search(one.told, failed.error), failed.error
            assert failed.error.startswith("a0 broke off: ") and not re.search("[\n\r]", failed.error)
            assert failed.error.isprintable() and len(failed.error) < 500 and failed.what_next
            assert len(of(Interrupted, events)) == 1 and not of(Answered, events)
        model._chat.patience = CALM
        events = [*session.see(picture(9)), *session.ask("And now?", when="now"), *session.end(), *events]
        assert [event.text for event in of(Answered, events)][0] == "Fine."
        assert server.asked[-1].headers["authorization"] == f"Bearer {KEY}"  # which it was all the time
    told = "\n".join([*(wire.to_json(event) for event in events), *capfd.readouterr()])
    assert KEY not in told and KEY[8:] not in told and "secret" not in told


NAMES = ["choices", "delta", "message", "content", "text", "finish_reason", "usage", "prompt_tokens", "error", "code"]
NAMES += ["logprobs", "top_logprobs", "token", "object", "detail"]
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["", "stop", "error", "Hi\ud800"])
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(NAMES), inner), max_leaves=30
)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(ANYTHING)
def test_whatever_json_comes_is_a_chunk_or_trouble(said: Any) -> None:
    with contextlib.suppress(Trouble):
        chunk = chunk_of(json.dumps(said))
        assert isinstance(chunk.text, str) and isinstance(chunk.likely, tuple)
        assert chunk.finish is None or chunk.finish
        assert chunk.read is None or chunk.read > 0


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(st.binary(max_size=20) | st.sampled_from([b"data:", b"data: {", b"\n", b"\r\n", b": x", b"[DONE]"])))
def test_whatever_bytes_come_are_events_or_trouble(parts: list[bytes]) -> None:
    with contextlib.suppress(Trouble):
        for data in events_of(iter(b"".join(parts).splitlines(keepends=True))):
            assert isinstance(data, str)
            chunk_of(data)


@pytest.mark.parametrize("name", ["error", "content", "detail", "message"])
def test_what_is_nested_as_deep_as_json_goes_is_a_chunk_or_trouble(name: str) -> None:
    for depth in (10, 500, *range(800, 1000, 3)):
        deep = f'{{"{name}": ' * depth + "1" + "}" * depth
        for text in (deep, f'{{"error": {deep}}}', f'{{"choices": [{{"delta": {deep}}}]}}'):
            with contextlib.suppress(Trouble):
                assert chunk_of(text).text == ""


def test_there_are_cases_enough() -> None:
    assert len(BROKEN) + len(HALF) + len(PASSING) >= 30 and len({one.name for one in CASES}) == len(CASES)


@pytest.mark.parametrize("one", [*BROKEN, *HALF], ids=[one.name for one in [*BROKEN, *HALF]])
def test_no_error_bears_the_key_nor_hangs_on_to_one_that_does(one: Case) -> None:
    with Server(*one.scripts) as server:
        model = at(server, patience=patience_for(one))
        with pytest.raises(RunFailed) as caught:
            list(model.answer(model.render([]), 64))
    assert caught.value.__cause__ is None and caught.value.__context__ is None
    assert KEY not in "".join(traceback.format_exception(caught.value)) + repr(caught.value)


@pytest.mark.parametrize("short", ["k3y", "12345678", "123456789", "a.b*c(d[e"])
def test_a_key_of_any_length_is_masked(short: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", short)
    with Server([refusal("403 Forbidden", f"no entry for {short}!")]) as server:
        model = at(server)
        with pytest.raises(RunFailed) as caught:
            list(model.answer(model.render([]), 8))
    assert short not in str(caught.value) and "no entry for [key]" in str(caught.value)


def test_nothing_that_can_be_printed_of_a_model_bears_the_key() -> None:
    model = Remote("m", "https://example.org/v1")
    shown = [repr(model), str(model), model.name, repr(model._chat), repr(model.settings()), repr(model.caps)]
    assert KEY not in "".join(shown)
    assert model._chat._key == KEY  # it is there all the same


# ---------------------------------------------------------------------------------------------- waiting and trying


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that were waited for between tries; nobody waits."""
    waited: list[float] = []
    clock = SimpleNamespace(monotonic=time.monotonic, time=lambda: 1445412470.0, sleep=waited.append)
    monkeypatch.setattr(chat, "time", clock)
    return waited


PATIENT = Patience(tries=4, wait_s=0.5, longest_wait_s=20.0)


@pytest.mark.parametrize(
    ("asked", "waited"),
    [
        (None, [0.5, 1.0, 2.0]),
        ("3", [3.0, 3.0, 3.0]),
        ("1.5", [1.5, 1.5, 1.5]),
        ("0", [0.0, 0.0, 0.0]),
        ("3600", [20.0, 20.0, 20.0]),
        ("Wed, 21 Oct 2015 07:28:00 GMT", [10.0, 10.0, 10.0]),
        ("Wed, 21 Oct 2015 07:27:00 GMT", [0.0, 0.0, 0.0]),
        ("-5", [0.5, 1.0, 2.0]),
        ("nan", [0.5, 1.0, 2.0]),
        ("1.2.3", [0.5, 1.0, 2.0]),
        ("later", [0.5, 1.0, 2.0]),
        ("", [0.5, 1.0, 2.0]),
    ],
)
def test_each_wait_is_twice_the_last_or_what_the_server_asks_up_to_a_limit(
    asked: str | None, waited: list[float], waits: list[float]
) -> None:
    headers = {} if asked is None else {"Retry_After": asked}
    with Server([refusal("429 Too Many Requests", **headers)]) as server, pytest.raises(RunFailed, match="tried 4"):
        list(at(server, patience=PATIENT)._chat.chunks({}))
    assert waits == waited


def test_what_would_wait_longer_than_there_is_time_fails_at_once(waits: list[float]) -> None:
    patience = replace(PATIENT, whole_s=5.0)
    with Server([refusal("503 Service Unavailable", Retry_After="6")]) as server, pytest.raises(RunFailed, match="503"):
        list(at(server, patience=patience)._chat.chunks({}))
    assert waits == [] and len(server.asked) == 1


def test_a_server_that_is_not_there_is_tried_again_and_may_come(
    monkeypatch: pytest.MonkeyPatch, waits: list[float]
) -> None:
    port = closed_port()
    model = Remote("m", f"http://127.0.0.1:{port}/v1", patience=PATIENT)
    with pytest.raises(RunFailed, match="connection was refused. Is it started.*tried 4 times"):
        list(model.answer(model.render([]), 8))
    assert waits == [0.5, 1.0, 2.0]
    servers = []

    def start(_: float) -> None:
        servers.append(Server(FINE, port=port).__enter__())

    monkeypatch.setattr(chat.time, "sleep", start)
    assert "".join(piece.text for piece in model.answer(model.render([]), 8)) == "Fine."
    servers[0].__exit__()


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (socket.gaierror(-2, "Name or service not known"), "is not known by that name; check the URL"),
        (TimeoutError("timed out"), "did not take the connection within 5 s"),
        (ssl.SSLCertVerificationError(1, "certificate verify failed"), "shows a certificate that is not trusted here"),
        (ssl.SSLError(1, "handshake failure"), "broke the connection off: handshake failure"),
        (OSError(113, "No route to host"), "broke the connection off: No route to host"),
    ],
    ids=lambda one: type(one).__name__ if isinstance(one, OSError) else "",
)
def test_a_server_that_cannot_be_reached_is_one_line(
    error: OSError, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: connection.HTTPSConnection) -> None:
        raise error

    monkeypatch.setattr(connection.HTTPSConnection, "connect", fail)
    model = Remote("m", "https://nowhere.invalid/v1", patience=CALM)
    with pytest.raises(RunFailed) as caught:
        list(model.answer(model.render([]), 8))
    assert str(caught.value).startswith(f"the server at https://nowhere.invalid/v1 {told}")
    assert caught.value.__context__ is None


def test_a_server_that_speaks_no_tls_is_one_line() -> None:
    with Server([EARLY, b"HTTP/1.1 400 Bad Request\r\n\r\n", 0.05]) as server:
        model = Remote("m", server.url.replace("http:", "https:"), patience=CALM)
        with pytest.raises(RunFailed, match="does not speak https; does the URL begin with http://"):
            list(model.answer(model.render([]), 8))


def test_a_reply_that_comes_before_all_was_sent_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    def cut(self: connection.HTTPConnection, *said: Any) -> None:
        real(self, *said)
        raise BrokenPipeError("nobody listens any more")

    real = connection.HTTPConnection.request
    monkeypatch.setattr(connection.HTTPConnection, "request", cut)
    with Server([refusal("413 Payload Too Large")]) as server:
        model = at(server)
        with pytest.raises(RunFailed, match="said 413"):
            list(model.answer(model.render([]), 8))


def test_what_a_server_does_not_take_is_not_sent_to_it_again() -> None:
    no = [[refusal("400 Bad Request", UNTAKEN.format("max_tokens", "max_completion_tokens"))]]
    no += [[refusal("422 Unprocessable Entity", "temperature and stream_options are not supported")]]
    with Server(*no, FINE) as server:
        conversation(at(server), "What?", "And?")
        bodies = [asked.body for asked in server.asked]
    assert len(bodies) == 4  # the second question needs no other try
    assert bodies[0]["max_tokens"] == 64 and bodies[0]["temperature"] == 0
    for body in bodies[2:]:
        assert body["max_completion_tokens"] == 64 and body["stream"] is True
        assert not body.keys() & {"max_tokens", "temperature", "stream_options"}


# ---------------------------------------------------------------------------------------------- the program


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """`streambridge watch` over the made-up world, in this process; its code, stdout and stderr."""
    monkeypatch.setattr(remote, "Patience", lambda: CALM)
    monkeypatch.setattr(sys, "stdin", None)

    def run(model: str, *words: str) -> tuple[int, str, str]:
        world = ["watch", "world:7", "--end", "6", "--activation", "periodic", "--model", model]
        code = cli.main([*world, *words])
        return code, *capsys.readouterr()

    return run


def test_the_program_answers_through_a_server(run: Callable[..., tuple[int, str, str]], tmp_path: Any) -> None:
    log = tmp_path / "events.jsonl"
    with Server([stream("A red ", "circle.")]) as server:
        name = f"openai:qwen2.5vl:7b@{server.url}"
        code, out, err = run(name, "--ask", "What is it?@3", "--events", str(log), "--json")
    events = [wire.from_json(line) for line in log.read_text(encoding="utf-8").splitlines()]
    assert (code, err) == (0, "") and out == log.read_text(encoding="utf-8")
    assert isinstance(events[0], Started) and events[0].settings["backbone"] == name
    assert events[0].settings["frames"]["merge"] == "dropped"
    assert [event.text for event in of(Answered, events)] == ["A red circle."]
    assert len(server.asked[0].pictures) == 4 and KEY not in out


# Those of silence take as long as the program's own patience; they run through a Session above.
SHOWN = [one for one in [*BROKEN, *HALF] if not re.search("silence|drips|without end", one.name)]


@pytest.mark.parametrize("one", SHOWN, ids=[one.name for one in SHOWN])
def test_the_program_tells_a_fault_in_one_line_goes_on_and_never_shows_the_key(
    one: Case, run: Callable[..., tuple[int, str, str]], tmp_path: Any
) -> None:
    log = tmp_path / "events.jsonl"
    with Server(*one.scripts, FINE) as server:
        words = ["--ask", "What is it?@2", "--ask", "And now?@4", "--events", str(log)]
        code, out, err = run(f"openai:m@{server.url}", *words)
    events = [wire.from_json(line) for line in log.read_text(encoding="utf-8").splitlines()]
    assert code == 0 and err == "" and "Fine." in out and "Traceback" not in out
    (failed,) = of(Failed, events)
    assert re.search(one.told or "", failed.error) and out.count("broke off:") == 1
    assert KEY not in out + err + log.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["openai:", "openai:gpt-4o", "openai:m@ftp://x", "openai:m@https://user:secret@x/v1"])
def test_the_program_refuses_a_name_that_is_none_with_exit_code_2(
    name: str, run: Callable[..., tuple[int, str, str]]
) -> None:
    code, out, err = run(name, "--ask", "What?")
    assert (code, out) == (2, "") and err.startswith("streambridge: ") and err.count("\n") == 1
    assert "secret" not in err
