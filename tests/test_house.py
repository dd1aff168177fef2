"""The house itself: a light front door, public names, the import contract, and papers that tell the truth."""

import ast
import json
import re
import shlex
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
import typer

import streambridge
from streambridge import cli, errors, loading, types

HOUSE = Path(__file__).parents[1]
ROOMS = HOUSE / "src" / "streambridge"
HEAVY = {"torch", "transformers", "av"}
PAPERS = ["README.md", "CONTRIBUTING.md", "docs/paper-to-code.md"]


def loaded_by(code: str) -> set[str]:
    """What a fresh interpreter has loaded, top names only, after running the code."""
    tell = "\nimport json, sys; print(json.dumps([name.split('.')[0] for name in sys.modules]), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code + tell], capture_output=True, text=True, check=True, timeout=60)
    return set(json.loads(done.stderr.splitlines()[-1]))


def helped(words: list[str]) -> str:
    return f"from streambridge.cli import main\nassert main({[*words, '--help']!r}) == 0"


def test_importing_streambridge_loads_nothing_heavy() -> None:
    assert not loaded_by("import streambridge") & (HEAVY | {"numpy", "typer", "rich"})


def test_help_loads_nothing_heavy() -> None:
    assert not loaded_by(helped([])) & HEAVY


@pytest.mark.parametrize("verb", loading.names("cli"))
def test_help_of_a_verb_loads_nothing_heavy_and_no_other_verb(verb: str) -> None:
    others = [f"'streambridge.cli.{other}'" for other in loading.names("cli") if other != verb]
    also = f"\nimport sys; assert not set(sys.modules) & {{{', '.join(others) or 'None'}}}"
    assert not loaded_by(helped([verb]) + also) & HEAVY


def test_help_names_every_verb_with_its_first_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    for verb in loading.names("cli"):
        assert re.search(rf"\b{verb} +{re.escape(cli._first_line(verb)[:30])}", shown)


def test_public_names_are_sorted_and_each_one_opens() -> None:
    assert streambridge.__all__ == sorted(streambridge.__all__)
    for name in streambridge.__all__:
        assert getattr(streambridge, name) is not None


def test_every_event_and_every_error_is_public() -> None:
    kinds = [kind for home in (types, errors) for kind in vars(home).values() if isinstance(kind, type)]
    assert {kind.__name__ for kind in kinds if issubclass(kind, types.Event | Exception)} <= set(streambridge.__all__)


def test_public_names_for_readers_of_types_are_the_same_as_those_at_run_time() -> None:
    door = ast.parse((ROOMS / "__init__.py").read_text(encoding="utf-8"))
    told = {a.name for node in ast.walk(door) if isinstance(node, ast.ImportFrom) for a in node.names}
    assert told >= set(streambridge.__all__) - {"__version__"}


def test_replay_stays_the_function_whoever_imports_the_file_first() -> None:
    code = "import streambridge.replay, streambridge\nassert callable(streambridge.replay)"
    loaded_by(code + "\nfrom streambridge import replay\nassert callable(replay)")


def test_an_unknown_public_name_is_told_with_what_there_is() -> None:
    with pytest.raises(AttributeError, match="no 'Sesion'; it has: .*Session"):
        streambridge.Sesion  # noqa: B018


def test_the_contract_covers_every_room_and_every_file_of_the_house() -> None:
    contract = tomllib.loads((HOUSE / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]
    assert contract["exhaustive"] and contract["containers"] == ["streambridge"]
    named = set(re.findall(r"\w+", " ".join(contract["layers"])))
    there = {path.parent.name for path in ROOMS.glob("*/__init__.py")} | {path.stem for path in ROOMS.glob("*.py")}
    assert there - {"__init__"} <= named


def test_every_file_says_first_what_it_is() -> None:
    for path in [*ROOMS.rglob("*.py"), *HOUSE.glob("tests/*.py"), *HOUSE.glob("examples/*.py")]:
        assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), f"{path} has no docstring"


def test_every_room_folder_is_a_package() -> None:
    for path in ROOMS.rglob("*.py"):
        assert (path.parent / "__init__.py").exists(), path


def commands_in(paper: str, program: str) -> list[list[str]]:
    """The commands of that program in the fenced blocks of a paper."""
    fences = re.findall(r"^```[a-z]*\n(.*?)^```", (HOUSE / paper).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    lines = [line for fence in fences for line in fence.splitlines() if line.startswith(program + " ")]
    return [shlex.split(line, comments=True)[1:] for line in lines]


def test_make_knows_every_target_that_the_papers_name() -> None:
    targets = set(re.findall(r"^([a-z]+):", (HOUSE / "Makefile").read_text(), re.MULTILINE))
    named = {words[0] for paper in PAPERS for words in commands_in(paper, "make")}
    assert {"demo", "test"} <= named <= targets
    assert {"check", "test", "demo", "soak", "docs"} <= targets


def test_every_command_in_the_readme_is_one_that_the_program_takes(capsys: pytest.CaptureFixture[str]) -> None:
    commands = commands_in("README.md", "streambridge")
    assert len(commands) >= 3
    for words in commands:
        verbs = words[: 2 if isinstance(loading.offer("cli", words[0]), typer.Typer) else 1]
        assert cli.main([*verbs, "--help"]) == 0, words
        shown = capsys.readouterr().out
        for option in re.findall(r"--[a-z-]+", " ".join(words)):
            assert option in shown, f"{words}: no option {option}"


def options_of(command: Any) -> set[str]:
    """Every option of a verb and of the verbs under it."""
    own = {option for one in command.params for option in one.opts if option.startswith("--")}
    return own.union(*(options_of(under) for under in getattr(command, "commands", {}).values()))


def test_the_list_of_verbs_and_options_in_docs_is_that_of_the_program() -> None:
    told = (HOUSE / "docs" / "program.md").read_text(encoding="utf-8")
    verbs = loading.names("cli")
    assert set(re.findall(r"^## `streambridge (\w+)`", told, re.MULTILINE)) == set(verbs), "type: make docs"
    there = options_of(typer.main.get_command(cli.program(verbs)))
    listed = set(re.findall(r"^\* `(?:-\w, )?(--[a-z-]+)", told, re.MULTILINE))
    assert listed - {"--help"} == there - {"--help"}, "type: make docs"


def test_the_map_in_the_readme_names_every_room() -> None:
    drawn = re.search(r"^## The map\n(.*?)^## ", (HOUSE / "README.md").read_text(), re.DOTALL | re.MULTILINE)
    assert drawn
    for room in {path.parent.name for path in ROOMS.glob("*/__init__.py")}:
        assert f"{room}/" in drawn[1], f"{room} is not on the map"


def test_the_fifteen_lines_of_the_readme_are_those_of_the_example() -> None:
    shown = re.search(r"^```python\n(.*?)^```", (HOUSE / "README.md").read_text(), re.DOTALL | re.MULTILINE)
    example = (HOUSE / "examples" / "fifteen_lines.py").read_text(encoding="utf-8")
    assert shown and shown[1].strip() == example.split('"""', 2)[2].strip()


def test_papers_link_only_to_files_that_exist() -> None:
    for paper in PAPERS:
        for named in re.findall(r"`((?:docs|examples|tests|src)/[\w./-]+\.\w+)`", (HOUSE / paper).read_text()):
            assert (HOUSE / named).exists(), f"{paper} names {named}"


def test_no_file_asks_for_torchvision() -> None:
    looks = ROOMS / "installed.py"  # it looks whether one that is there breaks the library
    for path in [*({*ROOMS.rglob("*.py")} - {looks}), HOUSE / "pyproject.toml"]:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"^\s*(import|from) torchvision|\"torchvision", text, re.MULTILINE), path


def test_a_wheel_builds_with_every_file_of_the_house_and_runs_alone(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=HOUSE, check=True, capture_output=True, timeout=120)
    wheel = next(tmp_path.glob("*.whl"))
    with zipfile.ZipFile(wheel) as packed:
        inside = set(packed.namelist())
        packed.extractall(tmp_path / "installed")
    kinds = {".py", ".typed", ".safetensors", ".json", ".yaml", ".txt"}
    wanted = {str(path.relative_to(HOUSE / "src")) for path in ROOMS.rglob("*") if path.suffix in kinds}
    assert wanted <= inside
    assert any(name.endswith("licenses/LICENSE") for name in inside)
    env = {"PYTHONPATH": str(tmp_path / "installed"), "PATH": ""}
    code = f"import streambridge\nassert {str(tmp_path)!r} in streambridge.__file__\n{helped([])}"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, env=env, cwd=tmp_path, timeout=60)
