"""`--on-answer CMD`: a command run for each answer, beside the stream. Knows no session.

The command is run without a shell. It gets the `answered` event as one line of JSON on stdin, and in its environment
STREAMBRIDGE_TEXT, STREAMBRIDGE_T (seconds), STREAMBRIDGE_ASKED (the question's id). What it prints is not shown.
"""

import os
import queue
import shlex
import shutil
import signal
import subprocess
import threading
import time
from contextlib import suppress
from types import TracebackType
from typing import Self

from streambridge import wire
from streambridge.errors import WrongUse
from streambridge.types import Answered, Event, Failed

WORKERS = 2  # commands that run at one time
WAITING = 32  # answers that wait for a worker; the stream never does
LONGEST_S = 60.0  # one command; then it is ended, and told
LAST_S = 10.0  # at the end of the stream: how long we wait for what still runs


class OnAnswer:
    """Runs a command for each answer.

    Args:
        command: as typed after `--on-answer`.
        longest_s: seconds after which one run is ended.

    Raises:
        WrongUse: when it is no command that can be run.
    """

    def __init__(self, command: str, longest_s: float = LONGEST_S) -> None:
        self._argv, self._longest_s = _parsed(command), longest_s
        self._answers: queue.Queue[Answered] = queue.Queue(WAITING)
        self._failed: queue.SimpleQueue[Failed] = queue.SimpleQueue()
        self._running: set[subprocess.Popen[bytes]] = set()
        for _ in range(WORKERS):
            threading.Thread(target=self._work, daemon=True).start()

    def __call__(self, event: Event) -> None:
        """Take note of an event; answers are passed on, and nothing waits."""
        if isinstance(event, Answered):
            try:
                self._answers.put_nowait(event)
            except queue.Full:
                self._fail(event, f"was not run for {event.answer}: {WAITING} answers are waiting for it")

    def failures(self) -> list[Failed]:
        """What went wrong since the last call."""
        return [self._failed.get() for _ in range(self._failed.qsize())]

    def finish(self, wait_s: float = LAST_S) -> list[Failed]:
        """Wait for what still runs, a while, and say what went wrong since the last call."""
        until = time.monotonic() + wait_s
        while self._answers.unfinished_tasks and time.monotonic() < until:
            time.sleep(0.01)
        failed = self.failures()
        if left := self._answers.unfinished_tasks:
            failed.append(Failed(t=0.0, error=f"--on-answer: {left} runs not finished at the end", what_next=_NEXT))
        return failed

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, err: BaseException | None, at: TracebackType | None) -> None:
        for process in tuple(self._running):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

    def _work(self) -> None:
        while True:
            answer = self._answers.get()
            try:
                self._run(answer)
            except Exception as err:  # whatever it is, the stream goes on and the next answer is passed on
                self._fail(answer, f"could not be run: {err}")
            finally:
                self._answers.task_done()

    def _run(self, answer: Answered) -> None:
        pipe = subprocess.PIPE
        process = subprocess.Popen(  # a session of its own: Ctrl-C is for the stream, commands may finish
            self._argv, stdin=pipe, stdout=subprocess.DEVNULL, stderr=pipe, env=_env(answer), start_new_session=True
        )
        self._running.add(process)
        try:
            _, said = process.communicate(wire.to_json(answer).encode() + b"\n", timeout=self._longest_s)
        except subprocess.TimeoutExpired:
            self._fail(answer, f"ran longer than {self._longest_s:g} s and was ended")
            return
        finally:
            _end(process)
            self._running.discard(process)
        if process.returncode:
            last = said.decode("utf-8", errors="replace").strip().splitlines()[-1:]
            self._fail(answer, f"ended with exit code {process.returncode} {' '.join(last)}".strip())

    def _fail(self, answer: Answered, what: str) -> None:
        self._failed.put(Failed(t=answer.t, error=f"--on-answer {self._argv[0]} {what}", what_next=_NEXT))


_NEXT = "the stream goes on; try the command by hand with an answered line of --events on its stdin"


def _parsed(command: str) -> list[str]:
    try:
        argv = shlex.split(command)
    except ValueError as err:
        raise WrongUse(f"--on-answer got {command!r}, which is no command ({err}); check its quotes") from err
    if not argv or shutil.which(argv[0]) is None:
        what = f"no program {argv[0]!r} was found" if argv else "it is empty"
        raise WrongUse(f"--on-answer got {command!r}: {what}; type e.g. --on-answer 'tee -a answers.jsonl'")
    return argv


def _env(answer: Answered) -> dict[str, str]:
    said = {"TEXT": answer.text.replace("\0", ""), "T": f"{answer.t:.3f}", "ASKED": answer.asked}
    return {**os.environ, **{f"STREAMBRIDGE_{name}": value for name, value in said.items()}}


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # with all that it started
        process.wait()
    for pipe in (process.stdin, process.stderr):
        if pipe is not None and not pipe.closed:
            with suppress(OSError):
                pipe.close()
