"""`streambridge watch`: watch a stream, answer questions, and speak up when what was asked for happens.

Puts together what the other files of this room make, and sees to it that all ends in order. Knows no model.
"""

import os
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from streambridge.cli.answering import OnAnswer
from streambridge.cli.asking import Asking, TypedLines, asking
from streambridge.cli.captions import Captions
from streambridge.cli.choosing import FORMS, Weights, model_for, session_for
from streambridge.cli.keyboard import Keyboard, on_a_terminal
from streambridge.cli.pacing import Clocked, Flow, Stop, Stopped
from streambridge.cli.screens import JsonLines, Plain, Screen, Terminal, View
from streambridge.errors import RunFailed, WrongUse
from streambridge.loading import names
from streambridge.replay import LEND, replay
from streambridge.session import Session
from streambridge.sources import Source, open_source
from streambridge.types import Dropped, Event, Question
from streambridge.wire import Journal

FPS = 1.0  # frames per second of stream: what the paper and the embedded pair were trained at
SPARE = 256  # tokens that the model reads at a time while the next frame is waited for
Listener = Callable[[Event], None]
_AT = '"Q"[@SECONDS]'


Texts = list[str] | None


def watch(
    source: Annotated[str, typer.Argument(help="A video file, a folder of pictures, or world:SEED (e.g. world:7).")],
    ask: Annotated[Texts, typer.Option(metavar=_AT, help="Ask this; without @SECONDS, after the last frame.")] = None,
    watch_for: Annotated[Texts, typer.Option(metavar=_AT, help="Speak up each time this happens.")] = None,
    wait_for: Annotated[Texts, typer.Option(metavar=_AT, help="Speak up the first time this happens.")] = None,
    auto: Annotated[bool, typer.Option("--auto", help="Let the gate say when to answer plain questions too.")] = False,
    model: Annotated[str | None, typer.Option(help=f"Who answers: tiny (for the made-up world), {FORMS}.")] = None,
    device: Annotated[str | None, typer.Option(help="Where a model goes: cpu, cuda, mps; default: the best.")] = None,
    dtype: Annotated[
        str | None, typer.Option(help="Its weights: float32, bfloat16 or float16; default: float32 on a CPU.")
    ] = None,
    device_map: Annotated[str | None, typer.Option(help="Spread it over devices: auto (needs accelerate).")] = None,
    quantize: Annotated[str | None, typer.Option(help="Its weights in 8bit or 4bit (needs bitsandbytes).")] = None,
    tokens_per_frame: Annotated[
        str | None, typer.Option(help="native, paper (the preset of StreamBridge) or at most so many; default: paper.")
    ] = None,
    activation: Annotated[
        str | None,
        typer.Option(
            help="The gate: score_head (trained), zero_shot (asks the model), scene_change, periodic or immediately; "
            "FIRST+SECOND asks the second only where the first sees something. Default: score_head for tiny, zero_shot "
            "for other models, scene_change+zero_shot for a server."
        ),
    ] = None,
    pair: Annotated[
        str | None,
        typer.Option(help="Qwen: a lone frame fills its patch of two twice (duplicate), may wait, or upgrade later."),
    ] = None,
    memory: Annotated[
        str, typer.Option(help="What to merge and forget: " + ", ".join(names("memory")) + ".")
    ] = "round_decay",
    max_len: Annotated[
        int | None,
        typer.Option(min=1, help="Tokens of memory and answer together; default: the model's context, 16384 at most."),
    ] = None,
    prefill: Annotated[
        str,
        typer.Option(
            help="When the model reads what is new: eager, as it comes; budgeted, in spare time; lazy, only to answer."
        ),
    ] = "eager",
    fps: Annotated[float, typer.Option(help="Frames to look at per second of the stream.")] = FPS,
    threshold: Annotated[
        float | None, typer.Option(help="Speak up above this score, 0 to 1; default: the gate's own.")
    ] = None,
    rest: Annotated[
        float | None, typer.Option(help="Seconds of silence after speaking up; default: the gate's own.")
    ] = None,
    events: Annotated[Path | None, typer.Option(help="Write every event to this file, as JSON Lines.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print every event as JSON Lines, and nothing else.")] = False,
    vtt: Annotated[Path | None, typer.Option(help="Write the answers to this file, as WebVTT captions.")] = None,
    on_answer: Annotated[
        str | None, typer.Option(metavar="CMD", help="Run this for each answer, which it gets as JSON on stdin.")
    ] = None,
    start: Annotated[
        float | None, typer.Option(help="Begin at this second of the file; it is 0.0 s of the stream.")
    ] = None,
    end: Annotated[float | None, typer.Option(help="End at this second of the file.")] = None,
    realtime: Annotated[bool, typer.Option("--realtime", help="By the clock, not as fast as it goes.")] = False,
) -> int:
    """Watch a stream, answer questions about it, and speak up when what was asked for happens.

    Lines typed on stdin are questions about now; without --realtime, lines piped in are all put at once. Ctrl-C ends
    in order, a second one at once. Exit codes: 0 done, 1 the run failed, 2 wrong use.
    """
    asked = asking(ask or (), watch_for or (), wait_for or (), auto)
    _expect_apart(source, events, vtt)
    with ExitStack() as stack:
        stop = stack.enter_context(Stop())
        frames = stack.enter_context(open_source(source, fps, start_s=start, end_s=end))
        named = model_for(source, model)
        # Files are opened before the model is read: what cannot be written is told at once.
        runner = None if on_answer is None else stack.enter_context(OnAnswer(on_answer))
        captions = None if vtt is None else stack.enter_context(Captions(vtt))
        journal = None if events is None else stack.enter_context(Journal(events))
        weights = Weights(device, dtype, device_map, quantize, tokens_per_frame, pair)
        session = session_for(named, activation, memory, max_len, threshold, rest, prefill, weights)
        keyboard = None if json or not on_a_terminal() else stack.enter_context(Keyboard(sys.stdin.fileno()))
        screen = _screen(stack, named, json, keyboard)
        listeners = [journal.write if journal else None, screen.show, captions, runner]
        told = [listener for listener in listeners if listener is not None]
        typed = keyboard or TypedLines()
        return Stream(session, frames, asked, typed, auto, screen, told, runner, stop, realtime).run()


class Stream:
    """One run of the program: a session over its frames, with everyone told, ended in order whatever comes."""

    def __init__(
        self,
        session: Session,
        frames: Source,
        asked: Asking,
        typed: Callable[[], Sequence[str]],
        auto: bool,
        screen: Screen,
        listeners: Sequence[Listener],
        runner: OnAnswer | None,
        stop: Stop,
        realtime: bool,
    ) -> None:
        self._session, self._asked, self._typed, self._auto = session, asked, typed, auto
        self._screen, self._runner, self._stop = screen, runner, stop
        self._listeners = list(listeners)
        self._lend, self._spare = (0, SPARE) if realtime else (LEND, 0)
        self._flow = (Clocked if realtime else Flow)(frames, stop, self._tick, runner.failures if runner else tuple)
        self._view = View(duration_s=frames.duration_s, max_len=session.max_len)
        self._trouble: Exception | None = None

    def run(self) -> int:
        """Run to the end, or as far as it goes; the exit code.

        Raises:
            RunFailed: when what was said could not be written, after everyone else was told all of it.
        """
        with suppress(Stopped), closing(self._events()) as events:
            for event in events:
                self._tell(event)
                if self._trouble or self._stop:
                    break
        for event in self._closing():
            self._tell(event)
        if isinstance(self._trouble, RunFailed):
            raise self._trouble
        return 128 + self._stop.signal if self._stop.signal else 0

    def _events(self) -> Generator[Event]:
        """All that happens, but for the end."""
        yield from replay(self._session, self._flow, self._asked.timed, end=False, typed=self._lines, lend=self._lend)
        last = [*self._asked.last, *self._lines()]
        now = max(self._session.now, 0.0)
        yield from replay(self._session, (), [replace(question, t=now) for question in last], end=False)

    def _closing(self) -> Iterator[Event]:
        for failed in self._runner.finish() if self._runner else ():
            yield from self._session.tell(replace(failed, t=self._session.now))
        yield from self._session.end()

    def _tell(self, event: Event) -> None:
        """Everyone is told, also when one of them cannot take it any more."""
        if isinstance(event, Dropped):
            self._view.dropped += event.frames
        for listener in tuple(self._listeners):
            try:
                listener(event)
            except (RunFailed, BrokenPipeError) as err:
                self._listeners.remove(listener)
                self._trouble = self._trouble or err

    def _lines(self) -> list[Question]:
        when: Any = "auto" if self._auto else "now"
        return [Question(f"typed{number}", 0.0, line, when) for number, line in enumerate(self._typed())]

    def _tick(self) -> None:
        view, flow = self._view, self._flow
        if self._spare and flow.t > 0:
            for event in self._session.idle(self._spare):
                self._tell(event)
        view.t, view.behind, view.tokens = flow.t, flow.behind, self._session.memory.tokens
        try:
            self._screen.tick(view)
        except (RunFailed, BrokenPipeError) as err:
            self._trouble = self._trouble or err


def _screen(stack: ExitStack, speaker: str, json: bool, keyboard: Keyboard | None) -> Screen:
    if json:
        return JsonLines(sys.stdout)
    if sys.stdout.isatty():
        return stack.enter_context(Terminal(speaker, keyboard.poll if keyboard else None))
    return Plain(sys.stdout, speaker)


def _expect_apart(source: str, *written: Path | None) -> None:
    """What is written must not be what is read, nor the same file twice."""
    paths = [Path(source), *(path for path in written if path is not None)]
    real = [os.path.realpath(path) for path in paths if str(path) not in ("/dev/null", "/dev/stdout", "/dev/stderr")]
    for number, path in enumerate(real):
        if path in real[:number] and not Path(path).is_char_device():
            what = f"{path} would be read and written, or written twice"
            raise WrongUse(f"{what}; give each of SOURCE, --events and --vtt a file of its own")


OFFER = watch
