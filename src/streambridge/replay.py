"""Frames and questions through a Session, in order of time: the only loop that the program, benches and demos run.

Knows no file and no clock: a driver that paces, prints or saves does so around it.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence

from streambridge.errors import BadInput, RunFailed, WrongUse
from streambridge.session import Session
from streambridge.types import Event, Failed, Frame, Question
from streambridge.watching import expect_question

Typed = Callable[[], Sequence[str | Question]]
LEND = 4096  # tokens of background work between two frames: half of the usual memory is then read within the grace


def replay(
    session: Session,
    frames: Iterable[Frame],
    questions: Iterable[Question] = (),
    *,
    end: bool = True,
    typed: Typed | None = None,
    lend: int = LEND,
) -> Iterator[Event]:
    """Drive a session over a stream and yield every event; answers are read to their end before the next frame.

    A frame at t comes before a question at t. When `frames` has a method `events()`, what it tells (frames it had to
    drop, a file that broke) is taken in where it happened. A source that breaks ends the stream in order, with a
    `failed`. Closing the iterator midway cuts the answer being spoken; the session is left open for the caller.

    Args:
        session: where it all happens.
        frames: the frames, in order of time.
        questions: what is asked, and when; put in order of time, at one time in the order given.
        end: end the session after the last frame and question.
        typed: asked after each frame for what has just been typed: lines are put for `now`, Questions as they say;
            both at the newest time. A line that is no question is told as `failed`.
        lend: tokens of background work after each frame. Answers do not depend on it, only how soon they come.

    Raises:
        WrongUse: before anything happens, when a scripted question makes no sense.
    """
    script = sorted((_expect(question) for question in questions), key=lambda question: question.t)
    return _run(session, frames, deque(script), end, typed, lend)


def _run(
    session: Session, frames: Iterable[Frame], script: deque[Question], end: bool, typed: Typed | None, lend: int
) -> Iterator[Event]:
    for item in _guarded(session, frames):
        while isinstance(item, Frame) and script and script[0].t < item.t:
            yield from _put(session, script.popleft())
        yield from session.see(item) if isinstance(item, Frame) else session.tell(item)
        for line in typed() if typed and isinstance(item, Frame) else ():
            yield from _put_typed(session, line)
        yield from session.idle(lend)
    while script:
        yield from _put(session, script.popleft())
    if end:
        yield from session.end()


def _guarded(session: Session, frames: Iterable[Frame]) -> Iterator[Frame | Event]:
    """The frames, with what the source tells between them; a source that breaks ends with a `failed`."""
    told: Callable[[], Iterable[Event]] = getattr(frames, "events", tuple)
    stream = iter(frames)
    while True:
        try:
            frame = next(stream, None)
        except (BadInput, RunFailed) as err:
            yield from told()
            yield Failed(t=max(session.now, 0.0), error=f"the source broke: {err}", what_next="the stream ends here")
            return
        yield from told()
        if frame is None:
            return
        yield frame


def _put(session: Session, question: Question) -> Iterator[Event]:
    return session.ask(question.text, question.t, question.when, question.once, question.expires_s)


def _put_typed(session: Session, line: str | Question) -> Iterator[Event]:
    try:
        if isinstance(line, Question):
            return session.ask(line.text, None, line.when, line.once, line.expires_s)
        return session.ask(line, when="now")
    except WrongUse as err:
        return session.tell(Failed(t=session.now, error=str(err), what_next="type a question"))


def _expect(question: Question) -> Question:
    if not isinstance(question, Question):
        raise WrongUse(f"a script holds Questions; this is {question!r:.80}")
    expect_question(question.text, question.t, question.when, question.once, question.expires_s)
    return question
