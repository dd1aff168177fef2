"""Promises of `streambridge doctor`: figures are the model's own, no weights read, no key shown, one clear line."""

import json
import os
import re
import subprocess
import sys
import threading
import tomllib
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch

import fakes_checkpoints as checkpoints
from streambridge import doctor, installed, loading
from streambridge.backbones.checkpoint import Placing
from streambridge.backbones.opening import open_model
from streambridge.backbones.sketch import SIZES, Sketch
from streambridge.cli import main
from streambridge.errors import RunFailed
from streambridge.session import Session
from streambridge.types import Frame

HOUSE = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("checkpoints")
    return {family: checkpoints.save(root / family, family, 1) for family in checkpoints.FAMILIES}


def told(capsys, *words):
    code = main(["doctor", *words, "--json"])
    return code, json.loads(capsys.readouterr().out)


def pictures():
    rng = np.random.default_rng(0)
    for height, width in SIZES:
        coarse = rng.integers(0, 256, (height // 40, width // 40, 3), dtype=np.uint8)
        yield Frame(np.kron(coarse, np.ones((40, 40, 1), dtype=np.uint8)), 0.0)


# --------------------------------------------------------------------------------------------------- this machine


def test_versions_device_and_extras_are_told(capsys):
    code, found = told(capsys)
    assert found["versions"]["torch"] == torch.__version__ and None not in found["versions"].values()
    assert found["device"]["cores"] == os.cpu_count() and found["device"]["memory_bytes"] > 2**28
    assert code == 0 and found["troubles"] == [] and "model" not in found


def test_every_extra_of_the_package_is_told_with_what_it_brings():
    wanted = tomllib.loads((HOUSE / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    known = {one.name: set(one.modules) for one in doctor.EXTRAS}
    for name, packages in wanted.items():
        if name != "dev":
            assert known[name] <= {re.split("[<>=[]", package)[0] for package in packages}, name


def test_a_missing_extra_is_told_with_the_line_to_type(capsys, monkeypatch):
    find = doctor.find_spec
    monkeypatch.setattr(doctor, "find_spec", lambda name: None if name == "accelerate" else find("json"))
    assert main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.split()[:2] == ["plots", "there"] and "type" not in line]
    for name in ("spread", "quantize"):
        (line,) = [line for line in lines if line.split()[:2] == [name, "missing"]]
        assert line.endswith(f"type: pip install 'streambridge[{name}]'")


# --------------------------------------------------------------------------------------------------- torchvision


@pytest.fixture
def broken(tmp_path):
    """A torchvision that is installed and breaks, as a build for another torch does."""
    (tmp_path / "torchvision").mkdir()
    raises = 'raise RuntimeError("operator torchvision::nms does not exist")\n'
    (tmp_path / "torchvision" / "__init__.py").write_text(raises)
    about = tmp_path / "torchvision-0.28.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: torchvision\nVersion: 0.28.0\n")
    return tmp_path


def with_broken(broken, *words):
    env = {**os.environ, "PYTHONPATH": str(broken)}
    line = [sys.executable, "-m", "streambridge", *words]
    return subprocess.run(line, capture_output=True, text=True, env=env, timeout=120, cwd=broken)


def test_a_broken_torchvision_is_told_with_what_mends_it(broken):
    done = with_broken(broken, "doctor", "--model", "tiny")
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("! ")]
    assert done.returncode == 1 and not done.stderr.strip()
    for part in ("torchvision 0.28.0", "nms does not exist", "pip uninstall torchvision", f"torch {torch.__version__}"):
        assert part in line


def test_a_broken_torchvision_is_one_line_when_a_model_is_loaded(broken, folders):
    gate = "immediately"  # it needs no library, so that the model is what meets it
    words = ["--model", str(folders["smolvlm"]), "--activation", gate]
    done = with_broken(broken, "watch", "world:7", "--end", "2", *words)
    told = done.stderr.strip().splitlines()
    assert done.returncode == 1 and len(told) == 1
    assert "torchvision 0.28.0" in told[0] and "pip uninstall torchvision" in told[0]


def test_a_broken_torchvision_is_one_line_when_something_is_loaded_by_name(broken):
    done = with_broken(broken, "watch", "world:7", "--end", "2")
    assert done.returncode == 1 and len(done.stderr.strip().splitlines()) == 1
    assert "pip uninstall torchvision" in done.stderr


def test_where_no_torchvision_is_nothing_is_wrong(monkeypatch):
    monkeypatch.setattr(installed, "version", lambda package: None)
    assert installed.broken_torchvision() is None
    installed.expect_library()


def test_a_torchvision_that_is_well_is_no_trouble(monkeypatch):
    monkeypatch.setattr(installed, "version", lambda package: "0.28.0")
    monkeypatch.setitem(sys.modules, "torchvision", sys)
    assert installed.broken_torchvision() is None


def test_what_else_breaks_in_a_file_keeps_its_own_words(monkeypatch):
    def breaks(name):
        raise RunFailed("the disk is on fire") if name.endswith("tiny") else RuntimeError("no engine")

    monkeypatch.setattr(loading.importlib, "import_module", breaks)
    with pytest.raises(RunFailed, match="^the disk is on fire$"):
        loading.offer("backbones", "tiny")
    with pytest.raises(RunFailed, match="memory/recent.py does not load: no engine"):
        loading.offer("memory", "recent")


# --------------------------------------------------------------------------------------------------- a local model


@pytest.mark.parametrize("family", checkpoints.FAMILIES)
@pytest.mark.parametrize("budget", ["native", "paper", 5, 3])
def test_what_is_told_of_a_frame_is_what_the_model_makes_of_it(folders, family, budget):
    sketch, model = Sketch(folders[family]), open_model(folders[family], tokens_per_frame=budget)
    most = sketch.budget(budget)
    for frame in pictures():
        height, width, _ = frame.pixels.shape
        made = model.encode(frame)
        assert sketch.tokens(height, width, most) == made.tokens
        assert sketch.features(height, width, most) == len(made.bundle["embeds"])
        assert sketch.frame_bytes(height, width, most) == sum(one.nbytes for one in made.bundle.values())


@pytest.mark.parametrize("family", checkpoints.FAMILIES)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_what_is_told_of_memory_is_what_the_model_takes(folders, family, dtype):
    placing = Placing(dtype=dtype)
    sketch, model = Sketch(folders[family], placing), open_model(folders[family], placing)
    reader = model.reader(512)
    plan = model.render([model.encode(next(pictures())), model.turn("user", "Now?", 0.0, "question", "q")])
    reader.finish(plan)
    assert reader.nbytes == 512 * sketch.kv_bytes
    assert sketch.weights_bytes == sum(one.nbytes for one in model.model.state_dict().values())
    assert sketch.overhead == model.overhead() and sketch.caps == model.caps
    assert sketch.library_class == type(model.model).__name__ and sketch.dtype == getattr(torch, dtype)


def test_the_sum_of_memory_counts_the_cache_twice(capsys, folders):
    code, found = told(capsys, "--model", str(folders["qwen3_vl"]), "--max-len", "1000")
    model, memory = found["model"], found["model"]["memory"]
    frame = next(one for one in model["frames"] if one["budget"] == "paper")
    assert code == 0 and model["max_len"] == 1000 and model["levels"] == 4
    assert memory["kv"] == memory["kv_while_rebuilding"] == 1000 * model["kv_bytes_per_token"]
    assert memory["frames"] == pytest.approx(1000 * frame["bytes"] / frame["tokens"], rel=1e-3)
    assert memory["in_all"] == sum(size for name, size in memory.items() if name != "in_all")


def test_no_weight_is_read(folders, monkeypatch, capsys):
    from streambridge.backbones import local

    monkeypatch.setattr(local, "read_model", lambda *_: pytest.fail("the weights were read"))
    assert told(capsys, "--model", str(folders["llava_onevision"]))[0] == 0


def test_frames_are_told_as_native_as_in_the_paper_and_as_asked_for(capsys, folders):
    _, found = told(capsys, "--model", str(folders["qwen2_vl"]), "--tokens-per-frame", "4")
    frames = found["model"]["frames"]
    assert [one["budget"] for one in frames] == ["native"] * 3 + ["paper"] * 3 + ["4"] * 3
    assert [(one["height"], one["width"]) for one in frames[:3]] == list(SIZES)
    assert all(one["tokens"] <= 4 + 2 for one in frames[6:]) and found["model"]["told_for"] == "4"


def test_what_cannot_fit_is_told_and_is_the_exit_code(capsys, folders, monkeypatch):
    from streambridge.backbones import checkpoint

    monkeypatch.setattr(checkpoint, "memory_bytes", lambda device: 2**20)
    assert main(["doctor", "--model", str(folders["qwen2_vl"])]) == 1
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("! ")]
    assert "are needed and cpu has 0.0 GiB" in line and "--max-len" in line


def test_a_max_len_beyond_the_context_is_told(capsys, folders):
    code, found = told(capsys, "--model", str(folders["smolvlm"]), "--max-len", "5000")
    assert code == 1 and "beyond the model's context of 4096" in found["model"]["troubles"][0]


def test_gates_that_are_told_are_gates_that_work(folders):
    from streambridge.cli.choosing import gate_for

    for model in (open_model(folders["smolvlm"]), loading.load("backbones", "tiny")):
        fits = doctor.gates(model)
        for name in fits:
            Session(model, gate_for(name, model, None, None), max_len=600)
        assert "scripted" not in fits and "scene_change" in fits
    assert "score_head" in fits and "score_head" not in doctor.gates(open_model(folders["smolvlm"]))


def test_the_embedded_model_is_told_as_it_is(capsys):
    code, found = told(capsys, "--model", "tiny")
    tiny = loading.load("backbones", "tiny")
    made = tiny.encode(next(pictures()))
    reader = tiny.reader(256)
    reader.finish(tiny.render([made]))
    model = found["model"]
    assert code == 0 and model["frames"][0]["tokens"] == made.tokens
    assert model["frames"][0]["bytes"] == sum(one.nbytes for one in made.bundle.values())
    assert model["kv_bytes_per_token"] * 256 == reader.nbytes and "made-up world" in model["knows"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--model", "qwen"], "no model 'qwen'; there are: tiny"),
        (["--model", "no/where/at/all"], "there is no folder no/where/at/all"),
        (["--model", "owner/model-nobody-has"], "hf download owner/model-nobody-has"),
        (["--model", "openai:x"], "is no openai:MODEL@URL"),
        (["--model", "tiny", "--dtype", "float32"], "tiny takes no --dtype"),
        (["--model", "openai:m@http://h/v1", "--tokens-per-frame", "9"], "takes no --tokens-per-frame"),
        (["--model", "tiny", "--ask-server"], "--ask-server is for openai:MODEL@URL"),
        (["--max-len", "100"], "--max-len is about a model"),
        (["--ask-server"], "--ask-server is about a model"),
        (["--model", "tiny", "--max-len", "0"], "max-len"),
        (["extra"], "extra"),
    ],
)
def test_wrong_words_are_told_in_one_line(words, said, capsys):
    assert main(["doctor", *words]) == 2
    line = capsys.readouterr().err.strip()
    assert len(line.splitlines()) == 1 and said in line


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda folder: (folder / "config.json").write_text("{"), "config.json cannot be read"),
        (lambda folder: (folder / "model.safetensors").unlink(), "holds no model.safetensors"),
        (lambda folder: (folder / "chat_template.jinja").unlink(), "holds no chat template"),
        (lambda folder: (folder / "preprocessor_config.json").write_text("[]"), "preprocessor_config.json"),
        (lambda folder: (folder / "tokenizer.json").write_text("no"), "tokenizer"),
    ],
)
def test_a_broken_checkpoint_is_told_in_one_line(tmp_path, change, said, capsys):
    folder = checkpoints.save(tmp_path / "model", "qwen2_vl", 1)
    change(folder)
    assert main(["doctor", "--model", str(folder)]) == 2
    line = capsys.readouterr().err.strip()
    assert len(line.splitlines()) == 1 and said in line


@pytest.mark.parametrize("budget", ["0", "-1", "large"])
def test_a_budget_that_makes_no_frame_is_refused(folders, budget, capsys):
    assert main(["doctor", "--model", str(folders["smolvlm"]), f"--tokens-per-frame={budget}"]) == 2
    assert "native, paper, or a whole number" in capsys.readouterr().err


# --------------------------------------------------------------------------------------------------- a server

KEY = "sk-very-secret-0123456789"


@pytest.fixture
def server():
    """A server whose list of models, or refusal, a test sets; it notes what it was asked."""

    class Room(BaseHTTPRequestHandler):
        reply, asked = (200, b'{"data": [{"id": "qwen2.5vl:7b"}, {"id": "other"}]}'), []

        def do_GET(self):  # noqa: N802  # its name is the protocol's
            self.asked.append((self.path, self.headers.get("Authorization")))
            status, body = self.reply
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Room) as served:
        thread = threading.Thread(target=served.serve_forever, daemon=True)
        thread.start()
        Room.url = f"http://127.0.0.1:{served.server_port}/v1"
        yield Room
        served.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def no_key(monkeypatch):
    for name in ("STREAMBRIDGE_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)


def test_of_a_server_the_rule_is_told_and_nothing_is_asked(server, capsys):
    code, found = told(capsys, "--model", f"openai:qwen2.5vl:7b@{server.url}")
    model = found["model"]
    assert code == 0 and server.asked == [] and model["key"] is None
    assert model["rule"] == "patches 28" and {one["tokens"] for one in model["frames"]} == {19 * 11 + 2 + 8}
    assert "estimates" in model["exact"]["counts"] and "drops" in model["exact"]["compression"]


def test_a_key_is_told_by_its_name_and_never_shown(server, capsys, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    for words in (["--json"], [], ["--ask-server"]):
        assert main(["doctor", "--model", f"openai:other@{server.url}", *words]) == 0
        out = capsys.readouterr().out
        assert "OPENAI_API_KEY" in out and KEY not in out
    assert server.asked == [("/v1/models", f"Bearer {KEY}")]


def test_a_server_is_asked_for_its_models_only_when_told_to(server, capsys):
    code, found = told(capsys, "--model", f"openai:qwen2.5vl:7b@{server.url}", "--ask-server")
    assert code == 0 and found["model"]["server"] == {"models": ["qwen2.5vl:7b", "other"], "serves": True}
    assert server.asked == [("/v1/models", None)]


def test_a_model_that_the_server_lacks_is_told_with_what_it_has(server, capsys):
    assert main(["doctor", "--model", f"openai:gone@{server.url}", "--ask-server"]) == 1
    assert "lists no gone; it lists: qwen2.5vl:7b, other" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        ((401, b"{}"), "it wants a key; set OPENAI_API_KEY"),
        ((404, b'{"data": []}'), "said 404 when asked for"),
        ((200, b"<html>"), "told no list of models"),
        ((200, b'{"data": [1]}'), "told no list of models"),
        ((200, b'{"data": null}'), "told no list of models"),
        ((200, b"[" * 100_000), "told no list of models"),
    ],
)
def test_a_server_that_tells_no_list_is_told_in_one_line(server, reply, said, capsys):
    server.reply = reply
    assert main(["doctor", "--model", f"openai:other@{server.url}", "--ask-server"]) == 1
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("! ")]
    assert said in line


def test_a_server_that_is_not_there_is_told_in_one_line(capsys):
    assert main(["doctor", "--model", "openai:m@http://127.0.0.1:9/v1", "--ask-server"]) == 1
    assert "cannot be reached" in capsys.readouterr().out


def test_a_server_that_says_nothing_is_not_waited_for_for_ever():
    import socket

    from streambridge.backbones.listed import listed

    with socket.create_server(("127.0.0.1", 0)) as silent:
        with pytest.raises(RunFailed, match="said nothing for 0.2 s"):
            listed(f"http://127.0.0.1:{silent.getsockname()[1]}/v1", wait_s=0.2)
