"""`streambridge demo`: the main job in a few minutes on a made-up video, expected beside heard. Knows no model."""

import json as json_
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from streambridge.cli.choosing import GATE, TINY, session_for
from streambridge.cli.screens import Plain, Screen, Terminal, View
from streambridge.errors import WrongUse
from streambridge.replay import replay
from streambridge.scoring.answers import combine, pair_questions, score_stream
from streambridge.scoring.moments import match
from streambridge.session import Session
from streambridge.sources import open_source
from streambridge.types import Answered, Asked, Compressed, Event, Timeline
from streambridge.world.film import film
from streambridge.world.script import World
from streambridge.world.timelines import LAST_S, Script
from streambridge.world.truth import ABOUT

SEED = 7
MINUTES = 3.5
MAX_LEN = 760  # tokens: a quarter of what three minutes would need, so that memory is compressed several times
FPS = 1.0
TOLERANCE_S = 1.0
# When each question is put, in seconds: about now, and about what was seen a minute or more ago.
ASKED = (
    (14, "sign"), (31, "counter"), (47, "first_sign"), (62, "bowl"), (77, "step"), (90, "first_sign"), (104, "sign"),
    (121, "counter"), (139, "bowl"), (156, "step"), (171, "sign"), (187, "counter"), (199, "bowl"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that was expected, or heard, or both."""

    watch: str
    t_expected: float | None
    expected: str
    t_heard: float | None
    heard: str

    @property
    def t(self) -> float:
        """When it was due, or when it came if nothing was."""
        return self.t_expected if self.t_expected is not None else self.t_heard or 0.0

    @property
    def right(self) -> bool:
        """Expected and heard, in the same words."""
        return self.t_expected is not None and self.t_heard is not None and self.expected == self.heard


def demo(
    seed: Annotated[int, typer.Option(help="Which made-up video.")] = SEED,
    minutes: Annotated[float, typer.Option(min=0.5, max=60, help="How long it is.")] = MINUTES,
    max_len: Annotated[int, typer.Option(min=1, help="Tokens of memory and answer together.")] = MAX_LEN,
    keep: Annotated[Path | None, typer.Option(metavar="FILE", help="Keep the video, e.g. demo.mp4.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the score as one JSON object and nothing else.")] = False,
) -> int:
    """Render a video, watch it with two standing watches and questions, and hold what was heard against the truth.

    The video is a real H.264 file, and is watched as any other file would be. Nothing is downloaded.
    """
    world = World(seed, 60 * minutes)
    timeline = script(world)
    with ExitStack() as stack:
        path = keep or Path(stack.enter_context(tempfile.TemporaryDirectory())) / "demo.mp4"
        console = Console(stderr=json, highlight=False)
        _expect_film(path)
        _render(world, path, console)
        session = session_for(TINY, GATE, "round_decay", max_len, None, None)
        events = _watch(session, timeline, path, None if json else console)
    if json:
        typer.echo(json_.dumps(report(seed, timeline, events)))
    else:
        _tell(console, timeline, events, path if keep else None)
    return 0


def script(world: World) -> Timeline:
    """Two standing watches from the start, and questions about now and about earlier."""
    lines = Script(world)
    lines.watch("each_step", 0.0)
    lines.watch("new_sign", 0.0)
    for t, kind in ASKED:
        if t < world.duration_s - LAST_S:
            lines.ask(kind, float(t))
    return lines.timeline()


def report(seed: int, timeline: Timeline, events: list[Event]) -> dict[str, Any]:
    """The score of a demo, percentages 0-100."""
    score = combine([score_stream(timeline, events, TOLERANCE_S, ABOUT)])
    compressions = sum(isinstance(event, Compressed) for event in events)
    return {"seed": seed, "seconds": timeline.duration_s, "compressions": compressions, **score}


def _expect_film(path: Path) -> None:
    if path.suffix not in (".mp4", ".mkv") or not path.parent.is_dir():
        raise WrongUse(f"--keep {path} is no film; name a .mp4 or .mkv file in a folder that exists, e.g. demo.mp4")


def _render(world: World, path: Path, console: Console) -> None:
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("rendering the video", total=1.0)
        film(world, path, tell=lambda share: bar.update(task, completed=share))
    console.print(f"rendered {world.duration_s:.0f} s of a made-up desk: {path.stat().st_size / 1e6:.1f} MB of H.264")


def _watch(session: Session, timeline: Timeline, path: Path, console: Console | None) -> list[Event]:
    heard: list[Event] = []
    end = timeline.duration_s - LAST_S / 2
    with ExitStack() as stack:
        frames = stack.enter_context(open_source(path, FPS, end_s=end))
        screen: Screen | None = None
        if console is not None:
            screen = stack.enter_context(Terminal(TINY)) if console.is_terminal else Plain(sys.stdout, TINY)
        view = View(duration_s=frames.duration_s, max_len=session.max_len)
        for event in replay(session, frames, timeline.questions):
            heard.append(event)
            view.t, view.tokens = event.t, session.memory.tokens
            if screen is not None:
                screen.show(event)
                screen.tick(view)
    return heard


def rows(timeline: Timeline, events: list[Event]) -> Iterator[Row]:
    """Expected beside heard, question by question and in order of time."""
    names = pair_questions(timeline.questions, [event for event in events if isinstance(event, Asked)])
    for question in timeline.questions:
        due = [ref for ref in timeline.references if ref.reply_to == question.id]
        said = [e for e in events if isinstance(e, Answered) and e.asked == names.get(question.id)]
        pairs = match([ref.t for ref in due], [answer.t_fired for answer in said], TOLERANCE_S)
        found = [Row(question.text, due[i].t, due[i].text, said[j].t_fired, said[j].text) for i, j in pairs]
        met, told = {i for i, _ in pairs}, {j for _, j in pairs}
        found += [Row(question.text, ref.t, ref.text, None, "") for i, ref in enumerate(due) if i not in met]
        found += [Row(question.text, None, "", one.t_fired, one.text) for j, one in enumerate(said) if j not in told]
        yield from sorted(found, key=lambda row: row.t)


def _tell(console: Console, timeline: Timeline, events: list[Event], kept: Path | None) -> None:
    table = Table(title="expected beside heard", title_justify="left")
    for name in ("asked", "due", "expected", "heard at", "heard", ""):
        table.add_column(name, justify="right" if name in ("due", "heard at") else "left")
    last = ""
    for row in rows(timeline, events):
        asked, last = "" if row.watch == last else row.watch, row.watch
        times = ["-" if t is None else f"{t:.1f} s" for t in (row.t_expected, row.t_heard)]
        table.add_row(asked, times[0], row.expected, times[1], row.heard, "ok" if row.right else "MISS")
    console.print(table)
    _sum_up(console, report(0, timeline, events))
    console.print(_next(kept), markup=False, soft_wrap=True)


def _sum_up(console: Console, found: dict[str, Any]) -> None:
    spoke, n = found["proactive"], found["n"]
    asked = sum(row["n"] for row in found["questions"].values())
    right = sum(round(row["n"] * row["accuracy"] / 100) for row in found["questions"].values())
    names = ("precision", "recall", "text_exact")
    share = {name: "-" if spoke[name] is None else f"{spoke[name]:.0f} %" for name in names}
    console.print(
        f"spoke up {n['fires']} times, {n['references']} were due: recall {share['recall']}, precision "
        f"{share['precision']} within {TOLERANCE_S:g} s, exact words {share['text_exact']}. Questions right: {right} "
        f"of {asked}. Memory was compressed {found['compressions']} times."
    )


def _next(kept: Path | None) -> str:
    clip = str(kept) if kept else "demo.mp4"
    coming = World(SEED + 1, MINUTES * 60).sign.values[3]  # a sign that world really shows
    lines = [
        "What to try next:",
        f'  streambridge watch world:{SEED + 1} --watch-for "Tell me when the sign says {coming}."',
        f"  streambridge demo --seed {SEED + 1} --keep {clip}",
        f'  streambridge watch {clip} --model tiny --realtime --watch-for "Read every new sign."',
        "  streambridge bench world --streams 4",
        "  streambridge watch --help",
    ]
    return "\n".join(lines)


OFFER = demo
