"""A checkpoint that is missing, cut, damaged or of another kind is told in one line, whatever the library raises."""

import json
import shutil

import pytest
import torch

import fakes_checkpoints as checkpoints
from streambridge.backbones import checkpoint
from streambridge.backbones.checkpoint import Placing, weights_bytes
from streambridge.backbones.opening import open_model
from streambridge.cli import main
from streambridge.errors import BadInput, Missing, RunFailed, WrongUse
from streambridge.world.film import film
from streambridge.world.script import World


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return checkpoints.save(tmp_path_factory.mktemp("whole") / "model", "smolvlm", 1)


@pytest.fixture
def folder(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "model")


def edit(name, **changes):
    def change(folder):
        path = folder / name
        held = json.loads(path.read_text())
        for key, value in changes.items():
            held.pop(key, None) if value is None else held.update({key: value})
        path.write_text(json.dumps(held))

    return change


def drop(*names):
    def change(folder):
        for name in names:
            (folder / name).unlink()

    return change


def write(name, content):
    def change(folder):
        (folder / name).write_bytes(content)

    return change


def cut(name, keep):
    def change(folder):
        held = (folder / name).read_bytes()
        (folder / name).write_bytes(held[: int(keep * len(held))])

    return change


def lose_a_weight(folder):
    from safetensors.torch import load_file, save_file

    held = load_file(folder / "model.safetensors")
    del held["model.text_model.layers.1.mlp.up_proj.weight"]
    save_file(held, folder / "model.safetensors", metadata={"format": "pt"})


def lose_a_shard(folder):
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    shards = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))


def index(content):
    def change(folder):
        (folder / "model.safetensors").unlink()
        (folder / "model.safetensors.index.json").write_bytes(content)

    return change


def other_words(folder):
    import transformers

    tokenizer = checkpoints.tokenizer_of("qwen2_vl")
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(folder)


def too_many_words(folder):
    path = folder / "tokenizer.json"
    held = json.loads(path.read_text())
    extra = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": False}
    held["added_tokens"].append({"id": 261, "content": "<tool>", **extra})
    path.write_text(json.dumps(held))


def other_positions(folder):
    path = folder / "config.json"
    held = json.loads(path.read_text())
    held["text_config"]["rope_parameters"] = {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}
    path.write_text(json.dumps(held))


def think(folder):
    path = folder / "chat_template.jinja"
    path.write_text(path.read_text().replace("Assistant:{% endif", "Assistant:<think>\n{% endif"))


BROKEN = {
    "a word without a row": (too_many_words, "its tokenizer goes up to id 261, its weights to 260"),
    "positions that change": (other_positions, r"positions \(dynamic\) change with length"),
    "a model that thinks": (think, "thinks before it speaks"),
    "no config": (drop("config.json"), "holds no config.json"),
    "config no JSON": (write("config.json", b"{'a': 1"), "config.json cannot be read as JSON"),
    "config no object": (write("config.json", b"[1, 2]"), "holds list; expected an object"),
    "config no text": (write("config.json", b"\xff\xfe\x00"), "config.json cannot be read as JSON"),
    "config too deep": (write("config.json", b"[" * 100_000), "config.json cannot be read as JSON"),
    "no model type": (edit("config.json", model_type=None), "names no model_type"),
    "model type a number": (edit("config.json", model_type=7), "names no model_type"),
    "another architecture": (edit("config.json", model_type="gpt2"), "is a 'gpt2'; this version reads"),
    "sizes of another model": (edit("config.json", scale_factor=1), "one|cannot be read|lack"),
    "no weights": (drop("model.safetensors"), "holds no model.safetensors"),
    "weights cut": (cut("model.safetensors", 0.6), "model.safetensors is cut or damaged"),
    "weights empty": (write("model.safetensors", b""), "model.safetensors is cut or damaged"),
    "weights noise": (write("model.safetensors", bytes(range(256)) * 40), "model.safetensors is cut or damaged"),
    "a weight lost": (lose_a_weight, "its weights lack model.text_model.layers.1.mlp.up_proj.weight; expected a whole"),
    "a shard lost": (lose_a_shard, "holds no model-00002-of-00002.safetensors"),
    "index no object": (index(b'{"weight_map": []}'), "names no files"),
    "index of lists": (index(b'{"weight_map": {"a": ["b"]}}'), "names no files"),
    "index out of the folder": (index(b'{"weight_map": {"a": "../b.safetensors"}}'), "names no files of its folder"),
    "no tokenizer": (drop("tokenizer.json"), "holds no tokenizer.json"),
    "tokenizer cut": (cut("tokenizer.json", 0.5), "its tokenizer cannot be read"),
    "tokenizer of another model": (other_words, "its tokenizer (has no <fake_token|goes up to id 261)"),
    "no template": (drop("chat_template.jinja"), "holds no chat template"),
    "template broken": (write("chat_template.jinja", b"{% for m in %}"), "its chat template breaks"),
    "template refuses": (write("chat_template.jinja", b"{{ raise_exception('no') }}"), "its chat template breaks"),
    "template without words": (write("chat_template.jinja", b"hello"), "chat template writes 'Qaskedmark' 0 times"),
    "no pictures' file": (drop("preprocessor_config.json"), "preprocessor_config.json"),
    "pictures' file broken": (write("preprocessor_config.json", b"{"), "preprocessor_config.json"),
    "mean of two colours": (edit("preprocessor_config.json", image_mean=[0.5, 0.5]), "image_mean"),
    "generation config broken": (write("generation_config.json", b"nonsense"), "generation_config.json"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_checkpoint_is_told_in_one_line(folder, what):
    change, said = BROKEN[what]
    change(folder)
    with pytest.raises((BadInput, WrongUse), match=said) as caught:
        open_model(folder)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


@pytest.mark.parametrize("what", ["no weights", "a weight lost", "weights cut", "no tokenizer", "another architecture"])
def test_the_program_says_it_in_one_line_too(folder, what, capsys, tmp_path):
    BROKEN[what][0](folder)
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    code = main(["watch", "world:7", "--model", str(folder), "--end", "2"])
    told = capsys.readouterr().err.strip()
    assert code == 2 and len(told.splitlines()) == 1 and "Traceback" not in told


@pytest.mark.parametrize("name", ["nowhere", "./nowhere", "no/where/at/all", "owner/model-nobody-has"])
def test_a_model_that_is_not_there_is_told_with_what_to_type(name, capsys):
    assert main(["watch", "world:7", "--model", name]) == 2
    told = capsys.readouterr().err.strip()
    assert len(told.splitlines()) == 1 and name in told
    assert "hf download" in told if name.startswith("owner") else "folder" in told


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    with pytest.raises(BadInput, match="is a file; expected the folder"):
        open_model(tmp_path / "model.gguf")


def test_a_hub_id_in_the_cache_is_found(whole, tmp_path, monkeypatch):
    from huggingface_hub import constants

    snapshot = tmp_path / "models--someone--tiny" / "snapshots" / ("a" * 40)
    shutil.copytree(whole, snapshot)
    (tmp_path / "models--someone--tiny" / "refs").mkdir()
    (tmp_path / "models--someone--tiny" / "refs" / "main").write_text("a" * 40)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    assert checkpoint.find("someone/tiny") == snapshot


def test_weights_in_several_files_are_read(whole, tmp_path):
    import transformers

    model = transformers.AutoModelForImageTextToText.from_pretrained(whole)
    folder = shutil.copytree(whole, tmp_path / "model")
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="100KB")
    assert len(list(folder.glob("model-*.safetensors"))) > 1
    read = open_model(folder).model.state_dict()
    assert all(torch.equal(weight, read[name]) for name, weight in model.state_dict().items())
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [1, 2]}))
    assert {1, 2} < open_model(folder).stop


def test_an_index_beside_whole_weights_is_an_old_one(folder):
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": "model-00001-of-00001.safetensors"}}')
    assert open_model(folder).model is not None


def test_what_a_training_run_left_in_the_tokenizer_cuts_no_words(folder):
    path = folder / "tokenizer.json"
    held = json.loads(path.read_text())
    held["truncation"] = {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0}
    held["padding"] = {"strategy": {"Fixed": 8}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 3,
                       "pad_type_id": 0, "pad_token": "!"}  # fmt: skip
    path.write_text(json.dumps(held))
    model = open_model(folder)
    assert len(model.turn("user", "What is there?", 0.0, "question", "q").ids) == 14
    assert 3 not in model.stop


@pytest.mark.parametrize("form", ["list", "object"])
def test_of_several_templates_the_default_is_taken(folder, form):
    path = folder / "chat_template.jinja"
    text = path.read_text()
    path.unlink()
    named = [{"name": "rag", "template": "{{ no }}"}, {"name": "default", "template": text}]
    found = named if form == "list" else {one["name"]: one["template"] for one in named}
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": found}))
    assert open_model(folder).template.opening == "<|im_start|>User:"


def test_an_answer_ends_at_no_ordinary_word(folder):
    path = folder / "chat_template.jinja"
    path.write_text(path.read_text().replace("<end_of_utterance>", " END"))
    model = open_model(folder)
    assert model.encode_text(" ")[0] not in model.stop


# --------------------------------------------------------------------------------------------------- where they go


def test_what_can_never_fit_is_refused_before_it_is_read(whole, monkeypatch):
    monkeypatch.setattr(checkpoint, "memory_bytes", lambda device: 100_000)
    with pytest.raises(RunFailed, match="not enough memory for .* take .* GiB, and cpu has .*--dtype bfloat16"):
        open_model(whole)


def test_running_out_of_memory_on_the_way_is_told_in_one_line(whole, monkeypatch):
    import transformers

    def burst(*args, **settings):
        raise MemoryError

    monkeypatch.setattr(transformers.SmolVLMForConditionalGeneration, "from_pretrained", burst)
    with pytest.raises(RunFailed, match="not enough memory"):
        open_model(whole)


def test_bytes_are_those_of_the_weights(whole):
    model = open_model(whole).model
    held = sum(weight.numel() for weight in model.state_dict().values())
    assert weights_bytes(whole, Placing()) == 4 * held
    assert weights_bytes(whole, Placing(dtype="bfloat16")) == 2 * held
    assert weights_bytes(whole, Placing(dtype="bfloat16", quantize="4bit")) == held // 2


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"dtype": "int3"}, "float32, bfloat16, float16"),
        ({"device": "tpu9"}, "no device"),
        ({"device": "cuda"}, "not there; this machine has: .*cpu"),
        ({"quantize": "2bit"}, "8bit or 4bit"),
        ({"device": "cpu", "device_map": "auto"}, "not both"),
    ],
)
def test_places_that_are_not_there_are_refused(given, said):
    if given == {"device": "cuda"} and torch.cuda.is_available():
        pytest.skip("this machine has one")
    with pytest.raises(WrongUse, match=said):
        Placing(**given)


@pytest.mark.parametrize("package", ["accelerate", "bitsandbytes"])
def test_what_needs_an_extra_says_so(whole, package, monkeypatch):
    import importlib.util

    given = {"device_map": "auto"} if package == "accelerate" else {"quantize": "8bit"}
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == package else find(name, *more))
    with pytest.raises(Missing, match=f"needs {package}; type: pip install"):
        open_model(whole, Placing(**given))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_weights_become_what_was_asked_for(whole, dtype):
    model = open_model(whole, Placing(dtype=dtype))
    assert {str(weight.dtype) for weight in model.model.parameters()} == {f"torch.{dtype}"}


@pytest.mark.parametrize("option", ["--device=cpu", "--dtype=bfloat16", "--tokens-per-frame=9", "--quantize=4bit"])
def test_the_embedded_model_takes_no_such_options(option, capsys):
    assert main(["watch", "world:7", option]) == 2
    assert f"tiny takes no {option.split('=')[0]}" in capsys.readouterr().err


# --------------------------------------------------------------------------------------------------- end to end


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return film(World(7, 40.0), tmp_path_factory.mktemp("clip") / "clip.mp4")


@pytest.mark.parametrize("family", checkpoints.FAMILIES)
def test_every_family_watches_a_clip_to_its_end(tmp_path, family, capsys, clip):
    folder = checkpoints.save(tmp_path / family, family, 1)
    events = tmp_path / "events.jsonl"
    line = ["watch", str(clip), "--ask", "What is there?@20", "--watch-for", "Anything new?"]
    line += ["--model", str(folder), "--tokens-per-frame", "native", "--max-len", "480"]
    code = main([*line, "--activation", "zero_shot", "--events", str(events)])
    told = [json.loads(row) for row in events.read_text().splitlines()]
    kinds = [event["type"] for event in told]
    assert code == 0, capsys.readouterr().err
    assert kinds.count("scored") >= 40 and "compressed" in kinds and "failed" not in kinds and kinds[-1] == "ended"
    assert any(event["type"] == "answered" and event["asked"] == "q1" for event in told)


def test_a_memory_beyond_the_models_context_is_refused(whole, capsys):
    assert main(["watch", "world:7", "--model", str(whole), "--max-len", "5000", "--end", "2"]) == 2
    assert "--max-len 5000 is beyond the model's context of 4096 tokens" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["./nope", "/no/pe", "~nope/model", ""])
def test_what_looks_like_a_path_is_taken_for_one(name, capsys):
    assert main(["watch", "world:7", "--model", name, "--end", "2"]) == 2
    told = capsys.readouterr().err
    assert len(told.strip().splitlines()) == 1 and "hf download" not in told
