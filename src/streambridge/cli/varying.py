"""`streambridge data augment | labels | world | probe`: samples made and varied. Knows files and options only."""

import csv
import json as json_
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, cast

import typer

from streambridge.cli import bars
from streambridge.cli.checking import FILES, files_of
from streambridge.errors import UnknownName, WrongUse

if TYPE_CHECKING:
    from streambridge.types import Timeline

_TASK: Final = "realtime_qa"  # what the paper varies: StreamingQA (arXiv 2505.05467)


def augment(
    file: Annotated[Path, typer.Argument(help="A file of streamit/1.")],
    out: Annotated[Path, typer.Option(help="The file to write; it must not stand there yet.")],
    drop: Annotated[float, typer.Option(min=0, max=1, help="Chance that a question and its answer go.")] = 0.55,
    shift: Annotated[float, typer.Option(min=0, max=1, help="Chance that a question is asked before its clip.")] = 0.1,
    hallucination: Annotated[
        float, typer.Option(min=0, max=1, help="Chance of a question, after another, that nothing there answers.")
    ] = 0.0001,
    tasks: Annotated[str, typer.Option(help="Tasks to vary, with commas; `all` for all. Others stay.")] = _TASK,
    keep_min: Annotated[int, typer.Option(min=0, help="Questions a sample keeps at least; 0 is the paper.")] = 1,
    seed: Annotated[int, typer.Option(help="Of the draws.")] = 0,
    epoch: Annotated[int, typer.Option(min=0, help="Other draws for each epoch; 0 is fixed data.")] = 0,
) -> None:
    """Vary StreamingQA as the paper does: drop questions, ask some before their clip, add some that nothing answers.

    streambridge data augment streams/streamingqa_release.train.jsonl --out varied.jsonl
    """
    from streambridge import streamit
    from streambridge.data import augment as room
    from streambridge.data.hallucination import Pool, add

    chosen = _tasks(tasks)
    if out.exists():
        raise WrongUse(f"--out {out} stands there already; remove it, or name another file")
    if file.is_dir():
        raise WrongUse(f"{file} is a folder; augment takes one file")
    counts: Counter[str] = Counter()

    def varied() -> Iterator["Timeline"]:
        pool = Pool((one for one in streamit.read(file) if one.meta.get("task") in chosen), seed)
        for before in streamit.read(file):
            counts["samples"] += 1
            if before.meta.get("task") not in chosen:
                yield before
                continue
            after = room.shift(room.drop(before, drop, seed, epoch, keep_min), shift, seed, epoch)
            after = add(after, pool, hallucination, seed, epoch)
            _count(counts, before, after)
            if after.references:
                yield after

    _write(out, varied())
    for line in _varied(out, counts, chosen, hallucination):
        typer.echo(line)


def _tasks(named: str) -> frozenset[str]:
    from streambridge.data.invariants import TASKS

    chosen = TASKS if named == "all" else tuple(named.split(","))
    for task in chosen:
        if task not in TASKS:
            raise UnknownName("task", task, TASKS)
    return frozenset(chosen)


def _count(counts: Counter[str], before: "Timeline", after: "Timeline") -> None:
    kept = {one.id: one for one in after.questions}
    there = [one for one in before.questions if one.when == "now"]
    counts["varied"] += 1
    counts["questions"] += len(there)
    counts["dropped"] += sum(one.id not in kept for one in there)
    counts["moved"] += sum(one.id in kept and kept[one.id] != one for one in there)
    counts["added"] += len(kept) - sum(one.id in kept for one in before.questions)
    counts["empty"] += not after.references


def _varied(out: Path, counts: Counter[str], chosen: frozenset[str], ratio: float) -> Iterator[str]:
    yield (
        f"{out}: {counts['samples']:,} samples, {counts['varied']:,} varied; of {counts['questions']:,} questions "
        f"{counts['dropped']:,} dropped, {counts['moved']:,} moved before their clip, {counts['added']:,} added that "
        "nothing answers"
    )
    if not counts["varied"]:
        yield f"  none is of the task {', '.join(sorted(chosen))}: all passed as they are; --tasks names others"
    if ratio >= 0.01 and not counts["added"]:
        yield "  none was added: no question of another sample is about something else entirely"
    if counts["empty"]:
        yield f"  {counts['empty']:,} samples were left without a question, and out"


def _write(out: Path, samples: Iterator["Timeline"]) -> None:
    """Write samples so that the file stands there wholly or not at all."""
    from streambridge import streamit
    from streambridge.data.outputs import expect_file

    expect_file(out)
    part = out.with_name(f".{out.name}.part")
    try:
        streamit.write(part, samples)
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)


def labels(
    files: FILES,
    widths: Annotated[
        str,
        typer.Option(
            help="paper: the last P % of a segment, P drawn in 0-50. events: one frame for a change of the made-up "
            "world, three for an alert or an action, the last 30 % of a step; other tasks as paper."
        ),
    ] = "paper",
    fps: Annotated[float, typer.Option(min=0.01, max=60, help="Frames per second.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Of P.")] = 0,
    epoch: Annotated[int, typer.Option(min=0, help="Another P for each epoch.")] = 0,
) -> None:
    """Print what a gate should say at each frame, a JSON object a watch: 1 fire, 0 keep silent, -1 not judged."""
    from streambridge import streamit
    from streambridge.data.labels import labels_of

    told = 0
    for path in files_of(files):
        for sample in streamit.read(path):
            for question in (one for one in sample.questions if one.when != "now"):
                found = labels_of(sample, question.id, widths, 1000 / fps, seed, epoch)
                typer.echo(json_.dumps({"id": sample.id, "question": question.id, "labels": found}))
                told += 1
    if not told:
        typer.echo("no question here waits for its answer: labels are those of proactive samples", err=True)


def world(
    out: Annotated[Path, typer.Option(help="The file to write.")],
    streams: Annotated[int, typer.Option(min=1, help="How many.")] = 20,
    minutes: Annotated[float, typer.Option(min=0.1, max=600, help="How long each, in minutes.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Of the first one.")] = 0,
    split: Annotated[str, typer.Option(help="train, dev or test.")] = "train",
) -> None:
    """Write streams of the made-up world as samples: every question and answer exact."""
    from streambridge.world.script import World
    from streambridge.world.timelines import random_timeline

    worlds = [World(seed + k, 60 * minutes, cast(Any, split)) for k in range(streams)]
    _write(out, (random_timeline(one) for one in worlds))
    typer.echo(f"{out}: {streams} streams of {minutes:g} minutes")


def probe(
    folder: Annotated[Path, typer.Argument(help="A folder of videos, looked through to its depths.")],
    out: Annotated[Path, typer.Option(help="The CSV file to write: video, duration_s, fps.")],
) -> int:
    """Write how long videos are and their frame rates: the table that several sets need beside their annotations."""
    from streambridge.data import probing

    paths = probing.videos(folder)
    if not paths:
        raise WrongUse(f"{folder} holds no video; expected files like {', '.join(sorted(probing.ENDINGS))}")
    troubles = 0
    try:
        with (
            out.open("w", encoding="utf-8", newline="") as file,
            bars.bar() as bar,
        ):
            table = csv.writer(file, lineterminator="\n")
            table.writerow(("video", "duration_s", "fps"))
            for one in probing.probe(bar.track(paths, description="videos")):
                troubles += bool(one.trouble)
                if one.trouble:
                    typer.echo(one.trouble, err=True)
                else:
                    table.writerow((one.video, f"{one.duration_s:.3f}", f"{one.fps:.6g}"))
    except OSError as err:
        raise WrongUse(f"--out {out} cannot be written: {err.strerror}; name a file in a folder that exists") from err
    typer.echo(f"{out}: {len(paths) - troubles} videos, {troubles} that cannot be read")
    return 0 if troubles < len(paths) else 1
