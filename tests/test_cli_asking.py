"""Questions on the command line and on stdin: times, typed lines, and garbage."""

import os
import re

import pytest

from streambridge.cli.asking import TypedLines, asking, split_time
from streambridge.cli.keyboard import Keyboard
from streambridge.errors import WrongUse


@pytest.mark.parametrize(
    ("said", "text", "t"),
    [
        ("What is it?@20", "What is it?", 20.0),
        ("What is it? @ 20", "What is it? @ 20", None),
        ("What is it? @20", "What is it?", 20.0),
        ("What is it?@2.5", "What is it?", 2.5),
        ("What is it?@.5", "What is it?", 0.5),
        ("What is it?@0", "What is it?", 0.0),
        ("What is it?@+3", "What is it?", 3.0),
        ("What is it?", "What is it?", None),
        ("two@3@4", "two@3", 4.0),
        ("mail bob@example.com", "mail bob@example.com", None),
        ("mail bob@3com.com", "mail bob@3com.com", None),
        ("bob@", "bob@", None),
        ("@", "@", None),
        ("@x", "@x", None),
        ("What?@20s", "What?@20s", None),
        ("What?@nan", "What?@nan", None),
        ("What?@inf", "What?@inf", None),
        ("What?@1e3", "What?@1e3", None),
        ("What?@1,5", "What?@1,5", None),
        ("two\nlines@7\n", "two\nlines", 7.0),
        ("¿Qué?@7", "¿Qué?", 7.0),
    ],
)
def test_only_a_number_after_the_last_at_is_a_time(said: str, text: str, t: float | None) -> None:
    assert split_time(said, "--ask") == (text, t)


@pytest.mark.parametrize("said", ["", " ", "@5", " @5", "@-1", "What?@-1", "What?@-0.5", "What?@" + "9" * 400, "\n"])
def test_a_question_without_words_or_before_the_stream_is_refused_in_one_line(said: str) -> None:
    with pytest.raises(WrongUse, match=r"^--wait-for got .*(type: --wait-for|expected seconds)") as told:
        split_time(said, "--wait-for")
    assert repr(said) in str(told.value) and "\n" not in str(told.value)


def test_questions_come_in_order_of_time_and_plain_ones_without_a_time_last() -> None:
    asked = asking(["b@9", "end", "a@1"], ["w", "v@5"], ["o@3"], auto=False)
    assert [(q.t, q.text, q.when, q.once) for q in asked.timed] == [
        (0.0, "w", "watch", False),
        (1.0, "a", "now", False),
        (3.0, "o", "watch", True),
        (5.0, "v", "watch", False),
        (9.0, "b", "now", False),
    ]
    assert [question.text for question in asked.last] == ["end"]


def test_with_auto_plain_questions_wait_for_the_gate_from_the_beginning() -> None:
    asked = asking(["a", "b@2"], [], [], auto=True)
    assert [(q.t, q.text, q.when) for q in asked.timed] == [(0.0, "a", "auto"), (2.0, "b", "auto")]
    assert not asked.last


@pytest.fixture
def pipe() -> "os._wrap_close":
    ends = os.pipe()
    yield ends  # type: ignore[misc]
    for end in ends:
        try:
            os.close(end)
        except OSError:
            pass


def test_an_empty_pipe_is_not_waited_for_and_lines_arrive_when_they_are_whole(pipe: tuple[int, int]) -> None:
    typed = TypedLines(pipe[0])
    assert typed() == []
    os.write(pipe[1], b"one\n\n  \ntw")
    assert typed() == ["one"]
    os.write(pipe[1], b"o\r\nthree")
    assert typed() == ["two"]
    os.close(pipe[1])
    assert typed() == ["three"]  # the last line needs no line end
    assert typed() == []


def test_bytes_that_are_no_text_are_a_question_all_the_same(pipe: tuple[int, int]) -> None:
    os.write(pipe[1], b"\xff\xfewhat\x00?\n")
    (line,) = TypedLines(pipe[0])()
    assert "what" in line


def test_a_line_without_end_does_not_pile_up(pipe: tuple[int, int]) -> None:
    typed = TypedLines(pipe[0])
    got = ""
    for _ in range(20):
        os.write(pipe[1], b"x" * 8_000)
        got += "".join(typed())
    assert len(got) >= 20 * 8_000 - 2 * 65_536


def test_a_closed_stdin_asks_nothing(pipe: tuple[int, int]) -> None:
    os.close(pipe[0])
    assert TypedLines(pipe[0])() == []


def test_keys_make_lines_and_arrows_mean_nothing(pipe: tuple[int, int]) -> None:
    keys = Keyboard(pipe[0])
    os.write(pipe[1], "wha\x1b[Dx\x7ft ïs".encode())
    assert keys.poll() == "what ïs"
    os.write(pipe[1], b"\x17was\rnext")
    assert keys() == ["what was"]
    os.write(pipe[1], b"\x15\n\n\x1b")
    assert keys() == [] and keys.line == ""


def test_a_letter_of_several_bytes_may_arrive_in_pieces(pipe: tuple[int, int]) -> None:
    keys = Keyboard(pipe[0])
    for byte in "é\n".encode():
        os.write(pipe[1], bytes([byte]))
        keys.poll()
    assert keys() == ["é"]


def test_the_option_is_named_in_the_message() -> None:
    with pytest.raises(WrongUse, match=re.escape("--watch-for got ''")):
        asking([], [""], [], auto=False)
