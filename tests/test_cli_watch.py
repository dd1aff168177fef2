"""`streambridge watch`: what it shows and writes, what it refuses, and that it ends in order whatever comes."""

import contextlib
import io
import json
import os
import pty
import select
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from PIL import Image

import program_with_fakes
from streambridge import cli, wire
from streambridge.cli import choosing
from streambridge.cli.screens import JsonLines, Plain, Terminal, View
from streambridge.errors import RunFailed
from streambridge.types import (
    Answered,
    Asked,
    Compressed,
    Delta,
    Dropped,
    Ended,
    Event,
    Failed,
    Interrupted,
    Notice,
    Scored,
    Started,
    Unwatched,
)

WORLD = ["watch", "world:7", "--end", "12", "--activation", "periodic"]
PROGRAM = [sys.executable, str(Path(__file__).parent / "program_with_fakes.py")]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run the program in this process with the fake model; its code, stdout and stderr."""
    monkeypatch.setattr(choosing, "backbone_for", lambda *named: program_with_fakes.Slow())
    monkeypatch.setattr(sys, "stdin", None)  # nobody types

    def run(*words: str) -> tuple[int, str, str]:
        code = cli.main(list(words))
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def start() -> Callable[..., subprocess.Popen[str]]:
    """Start the program in a process of its own, with the fake model."""
    running: list[subprocess.Popen[str]] = []

    def start(*words: str, first: Sequence[str] = (), **how: object) -> subprocess.Popen[str]:
        env = {**os.environ, "PYTHONUNBUFFERED": "", **{name: how.pop(name) for name in list(how) if name.isupper()}}
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **how}
        argv = [*first, *PROGRAM, *words]
        running.append(subprocess.Popen(argv, text=True, env=env, **pipes))  # type: ignore[call-overload]
        return running[-1]

    yield start  # type: ignore[misc]
    for process in running:
        process.kill()
        process.communicate()


def events_of(text: str) -> list[Event]:
    return [wire.from_json(line) for line in text.splitlines()]


def of(kind: type, events: Sequence[Event]) -> list:  # type: ignore[type-arg]
    return [event for event in events if isinstance(event, kind)]


def is_one_line(text: str) -> bool:
    return text.startswith("streambridge: ") and text.count("\n") == 1 and "Traceback" not in text


# ---------------------------------------------------------------------------------------------- what is shown


def test_a_pipe_gets_finished_sentences_one_a_line(run: Callable[..., tuple[int, str, str]]) -> None:
    code, out, err = run(*WORLD, "--watch-for", "Each step@0", "--ask", "What is it?@5", "--rest", "0")
    assert (code, out) == (2, "")  # periodic knows no rest
    code, out, err = run(*WORLD, "--watch-for", "Each step@0", "--ask", "What is it?@5")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].split() == ["0.0", "s", "you", "Each", "step", "[q0,", "watch]"]
    assert lines[1].split() == ["5.0", "s", "you", "What", "is", "it?", "[q1]"]
    assert lines[2].startswith("     5.0 s  tiny    w") and lines[2].endswith("[q1]")
    assert lines[3].startswith("    10.0 s  tiny    w") and lines[3].endswith("[q0]")
    assert len(lines) == 4


def test_json_prints_every_event_and_nothing_else_and_the_file_holds_the_same(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    log = tmp_path / "events.jsonl"
    code, out, err = run(*WORLD, "--watch-for", "Each step", "--ask", "What?@5", "--json", "--events", str(log))
    assert (code, err) == (0, "")
    events = events_of(out)
    assert log.read_text(encoding="utf-8") == out
    assert isinstance(events[0], Started) and isinstance(events[-1], Ended)
    assert len(of(Scored, events)) == 12 and len(of(Answered, events)) == 2
    assert events[0].settings["activation"]["every_s"] == 10.0  # type: ignore[attr-defined]
    assert [event.t for event in events] == sorted(event.t for event in events)


def test_the_same_command_gives_the_same_events(run: Callable[..., tuple[int, str, str]]) -> None:
    words = [*WORLD, "--watch-for", "Each step@3", "--ask", "What?@5", "--ask", "And now?", "--json"]
    assert events_of(run(*words)[1]) == events_of(run(*words)[1])  # durations stand under `ms`, which never counts


def test_a_question_with_a_time_is_put_then_and_one_without_after_the_last_frame(
    run: Callable[..., tuple[int, str, str]],
) -> None:
    events = events_of(run(*WORLD, "--ask", "last", "--ask", "early@4.5", "--json")[1])
    assert [(event.text, event.t, event.when) for event in of(Asked, events)] == [
        ("early", 4.5, "now"),
        ("last", 11.0, "now"),
    ]
    assert [event.t_fired for event in of(Answered, events)] == [4.5, 11.0]
    assert not of(Notice, events)


def test_wait_for_speaks_once_and_watch_for_each_time(run: Callable[..., tuple[int, str, str]]) -> None:
    words = ["watch", "world:7", "--end", "35", "--activation", "periodic", "--json"]
    events = events_of(run(*words, "--wait-for", "once", "--watch-for", "each")[1])
    asked = {event.id: event.text for event in of(Asked, events)}
    said = [(asked[event.asked], event.t_fired) for event in of(Answered, events)]
    assert said == [("each", 10.0), ("once", 10.0), ("each", 20.0), ("each", 30.0)]
    ends = {asked[event.watch]: event.why for event in of(Unwatched, events)}
    assert ends == {"once": "answered", "each": "ended"}


def test_with_auto_the_gate_says_when_plain_questions_are_answered(run: Callable[..., tuple[int, str, str]]) -> None:
    events = events_of(run(*WORLD, "--auto", "--ask", "What?", "--json")[1])
    assert [event.when for event in of(Asked, events)] == ["auto"]
    assert [event.t_fired for event in of(Answered, events)] == [10.0]


def test_a_small_budget_is_kept_and_told(run: Callable[..., tuple[int, str, str]]) -> None:
    words = ["watch", "world:7", "--end", "60", "--activation", "periodic", "--ask", "What?", "--json"]
    events = events_of(run(*words, "--max-len", "140")[1])
    assert of(Compressed, events) and all(event.tokens <= 140 for event in of(Answered, events))
    assert events[0].settings["max_len"] == 140  # type: ignore[attr-defined]
    events = events_of(run(*words, "--max-len", "140", "--memory", "keep_all")[1])
    assert events[0].settings["compression"]["name"] == "keep_all"  # type: ignore[attr-defined]


def test_captions_hold_the_answers(run: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    code, out, _ = run(*WORLD, "--watch-for", "Each step", "--vtt", str(tmp_path / "a.vtt"), "--json")
    (answer,) = of(Answered, events_of(out))
    text = (tmp_path / "a.vtt").read_text(encoding="utf-8")
    assert code == 0 and text.startswith("WEBVTT\n") and answer.text.strip() in text and "00:00:10.000 -->" in text


def test_by_the_clock_twelve_frames_at_forty_a_second_take_their_time(run: Callable[..., tuple[int, str, str]]) -> None:
    began = time.monotonic()
    words = ["watch", "world:7", "--end", "0.5", "--fps", "20", "--activation", "periodic", "--realtime", "--json"]
    events = events_of(run(*words, "--watch-for", "x")[1])
    assert time.monotonic() - began >= 0.45
    dropped = sum(event.frames for event in of(Dropped, events))
    assert len(of(Scored, events)) + dropped == 10


def test_by_the_clock_a_slow_model_drops_frames_and_says_so(
    run: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program_with_fakes.Slow, "pause_s", 0.1)
    words = ["watch", "world:7", "--end", "1", "--fps", "40", "--activation", "periodic", "--realtime", "--json"]
    events = events_of(run(*words, "--watch-for", "x")[1])
    dropped = of(Dropped, events)
    assert dropped and {event.reason for event in dropped} == {"behind"}
    assert len(of(Scored, events)) + sum(event.frames for event in dropped) == 40


# ---------------------------------------------------------------------------------------------- what is refused


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "my pictures"
    folder.mkdir()
    for number in range(3):
        Image.new("RGB", (8, 8), (0, number, 0)).save(folder / f"{number}.png")
    return folder


def test_on_anything_but_the_world_the_line_that_works_is_told_and_works(
    run: Callable[..., tuple[int, str, str]], pictures: Path
) -> None:
    code, out, err = run("watch", str(pictures))
    assert (code, out) == (2, "") and is_one_line(err) and "knows only the made-up world" in err
    told = shlex.split(err.split("type: ")[1])
    assert told == ["streambridge", "watch", str(pictures), "--model", "tiny"]
    code, out, err = run(*told[1:], "--activation", "periodic", "--ask", "What?")
    assert (code, err) == (0, "") and "[q0]" in out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["watch"], "'source'"),
        (["watch", ""], "source"),
        (["watch", "absent.mp4", "--model", "tiny"], "absent.mp4"),
        (["watch", "world:"], "seed"),
        (["watch", "world:x"], "seed"),
        (["watch", "webcam:0"], "webcam"),
        (["watch", "world:7", "--model", "gpt"], "no model 'gpt'; there are: tiny, a checkpoint's folder"),
        (["watch", "world:7", "--model", "openai:gpt@ftp://x"], "openai:MODEL@URL"),
        (["watch", "world:7", "--activation", "scripted"], "only code can give"),
        (["watch", "world:7", "--activation", "scorehead"], "score_head"),
        (["watch", "world:7", "--memory", "round_decoy"], "did you mean 'round_decay'"),
        (["watch", "world:7", "--activation", "periodic", "--threshold", "0.5"], "--threshold"),
        (["watch", "world:7", "--fps", "0"], "fps"),
        (["watch", "world:7", "--fps", "nan"], "fps"),
        (["watch", "world:7", "--fps", "fast"], "--fps"),
        (["watch", "world:7", "--max-len", "0"], "--max-len"),
        (["watch", "world:7", "--max-len", "3", "--activation", "periodic"], "max_len"),
        (["watch", "world:7", "--start", "5", "--end", "5"], "end"),
        (["watch", "world:7", "--start", "-1"], "start"),
        (["watch", "world:7", "--ask", "@3"], "--ask"),
        (["watch", "world:7", "--watch-for", "x@-3"], "--watch-for"),
        (["watch", "world:7", "--on-answer", ""], "--on-answer"),
        (["watch", "world:7", "--on-answer", "no-such-program-here x"], "no-such-program-here"),
        (["watch", "world:7", "--on-answer", "sh -c 'x"], "quotes"),
        (["watch", "world:7", "--asks", "x"], "--asks"),
        (["watch", "world:7", "extra"], "extra"),
        (["wacht"], "watch"),
    ],
)
def test_wrong_use_is_one_line_that_says_what_came_and_exit_code_2(
    words: list[str], told: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if "--model" not in words:
        monkeypatch.setattr(choosing, "backbone_for", lambda *named: program_with_fakes.Slow())
    code = cli.main(words)
    out, err = capsys.readouterr()
    assert (code, out) == (2, "") and is_one_line(err) and told in err


def test_what_is_read_is_never_written_over(run: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"precious")
    link = tmp_path / "link"
    link.symlink_to(clip)
    for words in (["--events", str(clip)], ["--vtt", str(link)]):
        code, _, err = run("watch", str(clip), "--model", "tiny", *words)
        assert code == 2 and is_one_line(err) and clip.read_bytes() == b"precious"
    code, _, err = run(*WORLD, "--events", str(tmp_path / "x"), "--vtt", str(tmp_path / "x"))
    assert code == 2 and is_one_line(err)


# ---------------------------------------------------------------------------------------------- when the disk says no


@pytest.mark.parametrize("option", ["--events", "--vtt"])
@pytest.mark.parametrize("where", ["absent/x", "file/x", "/proc/x", "/dev/full", "."])
def test_what_cannot_be_written_is_one_line_and_exit_code_1(
    option: str, where: str, run: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    code, out, err = run(*WORLD, "--ask", "What?@2", option, str(tmp_path / where))
    assert code == 1 and is_one_line(err) and "cannot write" in err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_one_line_and_exit_code_1(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    tmp_path.chmod(0o500)
    code, out, err = run(*WORLD, "--events", str(tmp_path / "x"))
    assert (code, out) == (1, "") and is_one_line(err)


def test_a_disk_that_fills_up_leaves_whole_lines_on_it_and_all_that_was_said_on_the_terminal(
    start: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    log = tmp_path / "events.jsonl"
    asks = [word for t in range(1, 60) for word in ("--ask", f"What {t}?@{t}")]
    program = start("watch", "world:7", "--activation", "periodic", *asks, "--events", str(log), FILE_LIMIT="3000")
    out, err = program.communicate(timeout=120)
    assert program.returncode == 1 and is_one_line(err) and "large" in err
    written = events_of(log.read_text(encoding="utf-8"))
    assert 1500 < log.stat().st_size <= 3000 and isinstance(written[0], Started)
    shown = out.splitlines()
    for event in of(Answered, written):
        assert any(line.endswith(f"{event.text.strip()}  [{event.asked}]") for line in shown)
    assert len(shown) < 2 * 59  # it ended there, and not an hour later


def test_a_full_disk_behind_stdout_is_one_line_and_the_log_is_whole(
    start: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    log = tmp_path / "events.jsonl"
    with open("/dev/full", "w") as full:
        program = start(*WORLD, "--ask", "What?@3", "--events", str(log), stdout=full)
        _, err = program.communicate(timeout=120)
    assert program.returncode == 1 and is_one_line(err) and "standard output" in err
    assert isinstance(events_of(log.read_text(encoding="utf-8"))[-1], Ended)


@pytest.mark.parametrize("more", [["--json"], []])
def test_a_reader_that_goes_ends_it_quietly_and_in_order(
    more: list[str], start: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    log = tmp_path / "events.jsonl"
    words = ["watch", "world:7", "--end", "3000", "--activation", "periodic", "--watch-for", "x", "--events", str(log)]
    program = start(*words, *more)
    assert program.stdout and program.stdout.readline()
    program.stdout.close()
    assert program.wait(timeout=120) == 0
    assert program.stderr and program.stderr.read() == ""
    events = events_of(log.read_text(encoding="utf-8"))
    assert isinstance(events[-1], Ended) and events[-1].t < 2990


def test_closed_from_the_first_line_on_it_is_quiet_too(start: Callable[..., subprocess.Popen[str]]) -> None:
    program = start(*WORLD, "--json")
    assert program.stdout
    program.stdout.close()
    assert program.wait(timeout=120) == 0
    assert program.stderr and program.stderr.read() == ""


# ---------------------------------------------------------------------------------------------- Ctrl-C


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_in_order_with_everything_said_on_disk(
    number: signal.Signals, start: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    log, vtt = tmp_path / "events.jsonl", tmp_path / "a.vtt"
    words = ["watch", "world:7", "--activation", "immediately", "--realtime", "--ask", "later@100", "--ask", "last"]
    program = start(*words, "--watch-for", "x", "--events", str(log), "--vtt", str(vtt))
    assert program.stdout and "x" in program.stdout.readline() and "tiny" in program.stdout.readline()
    time.sleep(0.3)
    program.send_signal(number)
    out, err = program.communicate(timeout=120)
    assert (program.returncode, out, err) == (128 + number, "", "")
    events = events_of(log.read_text(encoding="utf-8"))
    assert [type(event) for event in events[-2:]] == [Unwatched, Ended]
    assert [event.text for event in of(Asked, events)] == ["x"]  # what is scripted for later is not asked now
    (answer,) = of(Answered, events)
    assert answer.text.strip() in vtt.read_text(encoding="utf-8")


def test_ctrl_c_while_an_answer_is_spoken_keeps_what_was_heard(
    start: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    log = tmp_path / "events.jsonl"
    words = ["watch", "world:7", "--activation", "periodic", "--ask", "What?@1", "--json", "--events", str(log)]
    program = start(*words, PAUSE_S="0.3")
    assert program.stdout
    for line in program.stdout:
        if '"delta"' in line:
            break
    program.send_signal(signal.SIGINT)
    out, err = program.communicate(timeout=120)
    assert (program.returncode, err) == (130, "")
    events = events_of(log.read_text(encoding="utf-8"))
    assert isinstance(events[-1], Ended)
    ends = len(of(Answered, events)) + len(of(Interrupted, events))
    assert ends == 1 and len(of(Asked, events)) == 1


def test_ctrl_c_before_the_stream_begins_is_quiet(start: Callable[..., subprocess.Popen[str]]) -> None:
    program = start("watch", "world:7", "--end", "3000")
    program.send_signal(signal.SIGINT)  # while python itself still starts: nothing of ours is there to be quiet
    program.wait(timeout=120)
    assert program.returncode in (130, 1, -signal.SIGINT)


# ---------------------------------------------------------------------------------------------- typed lines


def test_lines_from_a_pipe_are_questions_about_now(start: Callable[..., subprocess.Popen[str]]) -> None:
    program = start(*WORLD, "--json", stdin=subprocess.PIPE)
    out, err = program.communicate("What is it?\n\nAnd this", timeout=120)
    assert (program.returncode, err) == (0, "")
    events = events_of(out)
    assert [(event.text, event.when) for event in of(Asked, events)] == [("What is it?", "now"), ("And this", "now")]
    assert len(of(Answered, events)) == 2


def test_an_open_pipe_in_which_nothing_comes_is_not_waited_for(start: Callable[..., subprocess.Popen[str]]) -> None:
    program = start(*WORLD, stdin=subprocess.PIPE)
    assert program.wait(timeout=120) == 0


def test_with_auto_typed_lines_wait_for_the_gate_too(start: Callable[..., subprocess.Popen[str]]) -> None:
    program = start(*WORLD, "--auto", "--json", stdin=subprocess.PIPE)
    out, _ = program.communicate("What is it?\n", timeout=120)
    assert [event.when for event in of(Asked, events_of(out))] == ["auto"]


def test_a_question_too_long_for_memory_is_told_and_the_stream_goes_on(
    start: Callable[..., subprocess.Popen[str]],
) -> None:
    program = start(*WORLD, "--json", stdin=subprocess.PIPE)
    out, err = program.communicate("word " * 5000, timeout=120)
    events = events_of(out)
    assert (program.returncode, err) == (0, "") and of(Failed, events) and not of(Answered, events)


def test_without_any_stdin_it_runs(start: Callable[..., subprocess.Popen[str]]) -> None:
    program = start(*WORLD, "--ask", "What?@1", first=["sh", "-c", 'exec "$@" <&-', "sh"])
    out, err = program.communicate(timeout=120)
    assert (program.returncode, err) == (0, "") and "[q0]" in out


# ---------------------------------------------------------------------------------------------- on-answer


def test_a_command_gets_each_answer_as_json_and_in_its_environment(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    got = tmp_path / "got"
    script = tmp_path / "on answer.sh"
    script.write_text(f'cat >> "{got}"; echo "$STREAMBRIDGE_T $STREAMBRIDGE_ASKED$STREAMBRIDGE_TEXT" >> "{got}"')
    code, out, err = run(*WORLD, "--ask", "What?@5", "--on-answer", f"sh {shlex.quote(str(script))}", "--json")
    assert (code, err) == (0, "")
    (answer,) = of(Answered, events_of(out))
    line, environment = got.read_text(encoding="utf-8").splitlines()
    assert wire.from_json(line) == answer
    assert environment == f"5.000 q0{answer.text}"


def test_there_is_no_shell_between(run: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    code, _, _ = run(*WORLD, "--ask", "What?@5", "--on-answer", f"echo x ; touch {tmp_path}/y > {tmp_path}/z")
    assert code == 0 and not list(tmp_path.iterdir())


def test_a_command_that_fails_is_an_event_before_the_end_and_no_failure_of_the_run(
    run: Callable[..., tuple[int, str, str]],
) -> None:
    command = "sh -c 'echo no luck >&2; exit 3'"
    code, out, err = run(*WORLD, "--ask", "What?@5", "--on-answer", command, "--json")
    events = events_of(out)
    (failed,) = of(Failed, events)
    assert (code, err) == (0, "") and "exit code 3 no luck" in failed.error and isinstance(events[-1], Ended)


def test_commands_that_hang_never_hold_up_the_stream_and_are_told(
    run: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from streambridge.cli import answering

    monkeypatch.setattr(answering.OnAnswer.finish, "__defaults__", (0.3,))
    monkeypatch.setattr(answering, "WAITING", 3)
    asks = [word for t in range(1, 11) for word in ("--ask", f"What {t}?@{t}")]
    began = time.monotonic()
    code, out, _ = run(*WORLD, *asks, "--on-answer", "sleep 60", "--json")
    assert code == 0 and time.monotonic() - began < 20
    events = events_of(out)
    failed = [event.error for event in of(Failed, events)]
    assert len(of(Answered, events)) == 10
    refused = sum("was not run" in error for error in failed)
    (left,) = [error for error in failed if "not finished" in error]
    assert refused >= 5 and f" {10 - refused} runs" in left
    assert isinstance(events[-1], Ended)


def test_a_command_that_takes_too_long_is_ended_with_all_it_started_and_told() -> None:
    from streambridge.cli.answering import OnAnswer

    answer = Answered(t=1.0, answer="a0", asked="q0", text=" w", t_asked=0.0, t_fired=1.0, tokens=3)
    with OnAnswer("sh -c 'sleep 60; sleep 60'", longest_s=0.1) as run_it:
        run_it(answer)
        (failed,) = run_it.finish(10.0)
    assert "longer than 0.1 s" in failed.error


# ---------------------------------------------------------------------------------------------- the terminal


def drawn(events: Sequence[Event], typing: Callable[[], str] | None = None, view: View | None = None) -> str:
    """What the terminal shows at the end."""
    from rich.console import Console

    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=100, color_system=None, markup=False, highlight=False)
    with Terminal("tiny", typing, console) as screen:
        for event in events:
            screen.show(event)
        if view is not None:
            screen.tick(view)
    return out.getvalue()


def answered(text: str) -> Answered:
    return Answered(t=3.0, answer="a0", asked="q0", text=text, t_asked=1.0, t_fired=3.0, tokens=9)


def test_the_terminal_shows_who_spoke_when_and_words_as_they_are_spoken() -> None:
    asked = Asked(t=1.0, id="q0", text="What?", when="now")
    half = drawn([asked, Delta(t=3.0, answer="a0", text="OP")])
    assert "1.0 s" in half and "you" in half and "What?" in half and "OP" in half and "OPEN" not in half
    whole = drawn([asked, Delta(t=3.0, answer="a0", text="OP"), answered("OPEN")])
    assert "3.0 s" in whole and "tiny" in whole and "OPEN" in whole


def test_the_live_line_shows_score_tokens_and_frames_behind_and_what_is_typed() -> None:
    view = View(t=12.0, duration_s=30.0, tokens=345, max_len=2048, behind=2, dropped=7)
    shown = drawn([Scored(t=12.0, watch="q0", score=0.623, fire=False)], lambda: "half a quest", view)
    assert "12.0 of 30.0 s" in shown and "q0 0.62" in shown and "345 of 2048 tokens held" in shown
    assert "2 frames behind, 7 dropped" in shown and "ask > half a quest" in shown
    scored = Scored(t=1.0, watch="q0", score=0.5, fire=False)
    closed = drawn([scored, Unwatched(t=1.0, watch="q0", why="asked")], view=view)
    assert "score" not in closed.splitlines()[-1]


NASTY = "\x1b[2J\x1b]0;title\x07red\r\n[bold]x[/bold]\u202e\x9b2J"


@pytest.mark.parametrize("event", [answered(NASTY), Notice(t=1.0, text=NASTY), Delta(t=1.0, answer="a", text=NASTY)])
def test_words_never_steer_the_terminal(event: Event) -> None:
    shown = drawn([event])
    assert "\x1b[2J\x1b]" not in shown and "\x07" not in shown and "\u202e" not in shown and "\x9b" not in shown
    out = io.StringIO()
    Plain(out, "tiny").show(event)
    assert not any(char in out.getvalue() for char in "\x1b\x07\r\u202e\x9b") and out.getvalue().count("\n") <= 1


@pytest.mark.parametrize("event", [Interrupted(t=2.0, answer="a0", tokens=1), Ended(t=2.0)])
def test_a_cut_answer_is_shown_as_far_as_it_was_heard(event: Event) -> None:
    out = io.StringIO()
    screen = Plain(out, "tiny")
    screen.show(Delta(t=1.0, answer="a0", text=" half"))
    screen.show(event)
    assert ("half … (cut)" in out.getvalue()) == isinstance(event, Interrupted)


@pytest.mark.parametrize("make", [JsonLines, lambda out: Plain(out, "tiny")])
def test_a_closed_stdout_is_told_in_words(make: Callable[[io.StringIO], Plain]) -> None:
    out = io.StringIO()
    screen = make(out)
    out.close()
    with pytest.raises(RunFailed, match="cannot write to standard output: .*closed"):
        screen.show(Notice(t=1.0, text="x"))


def test_letters_that_stdout_cannot_say_do_not_stop_it() -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    Plain(out, "tiny").show(Notice(t=1.0, text="é…"))
    assert b"note" in out.buffer.getvalue()  # type: ignore[attr-defined]
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    JsonLines(out).show(Notice(t=1.0, text="é…"))
    assert json.loads(out.buffer.getvalue())["text"] == "é…"  # type: ignore[attr-defined]


def read_all(fd: int, until: str, program: subprocess.Popen[str], seconds: float = 120.0) -> str:
    """What comes on a terminal until it has shown this, or the program has ended."""
    shown, ends = b"", time.monotonic() + seconds
    while until not in shown.decode(errors="replace") and time.monotonic() < ends:
        if select.select([fd], [], [], 0.1)[0]:
            try:
                shown += os.read(fd, 65_536)
            except OSError:  # the other end is closed
                break
        elif program.poll() is not None:
            break
    return shown.decode(errors="replace")


@pytest.mark.parametrize("last", ["\x04", "\x03"])
def test_on_a_real_terminal_a_typed_line_is_asked_and_the_terminal_is_left_as_it_was(
    last: str, start: Callable[..., subprocess.Popen[str]]
) -> None:
    import termios

    ours, theirs = pty.openpty()
    before = termios.tcgetattr(theirs)
    words = ["watch", "world:7", "--end", "4", "--fps", "5", "--activation", "periodic", "--realtime"]
    program = start(*words, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True, TERMINAL="yes")
    assert "ask >" in read_all(ours, "ask >", program)
    os.write(ours, b"What is itt\x7f?\r")
    shown = read_all(ours, "[q0]", program)
    assert "What is it?" in shown and "tokens held" in shown
    os.write(ours, last.encode())
    shown += read_all(ours, "never shown", program)
    assert program.wait(timeout=120) == (130 if last == "\x03" else 0)
    assert "Traceback" not in shown
    assert termios.tcgetattr(theirs)[3] == before[3]
    for end in (ours, theirs):
        with contextlib.suppress(OSError):
            os.close(end)
