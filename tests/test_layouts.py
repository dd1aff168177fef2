"""Presets, pooled and merged frames read as they read when they were checked: tests/golden/layouts.json."""

import json
from pathlib import Path

import pytest

import layouts

GOLDEN = json.loads((Path(__file__).parent / "golden" / "layouts.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("layouts")


@pytest.mark.parametrize("name", layouts.NAMES)
def test_a_layout_is_what_it_was(name, root):
    found, wanted = layouts.told(name, root), GOLDEN[name]
    assert found["ids"] == wanted["ids"] and found["positions"] == wanted["positions"]
    for key in ("features", "logits"):
        assert found[key] == pytest.approx(wanted[key], rel=1e-3, abs=1e-3)
    assert len(found["deep"]) == len(wanted["deep"])
    for one, other in zip(found["deep"], wanted["deep"], strict=True):
        assert one == pytest.approx(other, rel=1e-3, abs=1e-3)
    assert found["answer"] == wanted["answer"]


def test_layouts_differ_from_one_another():
    for family in {name.split(", ")[0] for name in layouts.NAMES}:
        of_family = [json.dumps(GOLDEN[name]) for name in layouts.NAMES if name.startswith(f"{family}, ")]
        assert len(set(of_family)) >= len(of_family) - (family == "smolvlm")  # four tokens are its own size here
