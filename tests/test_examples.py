"""Every example runs as a person would run it, with the embedded pair, and says what is true."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from streambridge.scoring.moments import match
from streambridge.world.script import World
from streambridge.world.truth import QUESTIONS, WATCHES

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))


def test_there_are_examples() -> None:
    assert EXAMPLES


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs_and_says_something_at_a_time(example: Path, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, str(example)], capture_output=True, text=True, cwd=tmp_path, timeout=240)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "" and " s  " in done.stdout


def test_the_fifteen_lines_tell_nearly_every_step_of_three_minutes_and_the_sign_at_their_end() -> None:
    fifteen = next(path for path in EXAMPLES if path.stem == "fifteen_lines")
    done = subprocess.run([sys.executable, str(fifteen)], capture_output=True, text=True, timeout=240)
    said = [(float(t), text) for t, text in re.findall(r"^ *([\d.]+) s  (.*)$", done.stdout, re.MULTILINE)]
    world = World(7, 180.0)
    due = [(t, text) for t, text in WATCHES["each_step"].happens(world, "") if t < 179]
    pairs = match([t for t, _ in due], [t for t, _ in said[:-1]], 1.0)
    right = sum(due[i][1] == said[j][1] for i, j in pairs)
    assert right >= 0.9 * len(due) and len(said) - 1 - right <= 0.1 * len(due)
    assert said[-1][1] == QUESTIONS["sign"].answer(world, 179.0, "")
