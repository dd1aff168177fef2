"""A folder of a transformers checkpoint, or a hub id in the cache, as parts: config, tokenizer, template, weights.

Knows no family. Everything comes from the checkpoint's own files, and nothing is fetched. Whatever is missing, cut or
of another kind is told in one line, before or instead of the many that the library would raise.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, cast

import torch
from tokenizers import Tokenizer

from streambridge.backbones.template import Message
from streambridge.errors import BadInput, Missing, RunFailed, WrongUse, one_line

DTYPES: Final = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
Quantize: TypeAlias = Literal["8bit", "4bit"]
HUB_ID: Final = re.compile(r"[\w.-]+/[\w.-]+")
TEMPLATES: Final = ("chat_template.jinja", "chat_template.json", "tokenizer_config.json", "processor_config.json")
INDEX: Final = "model.safetensors.index.json"


@dataclass(frozen=True, slots=True)
class Placing:
    """Where weights go and what they become.

    Attributes:
        device: `cpu`, `cuda`, `cuda:1`, `mps`; None: the best there is.
        dtype: a name of DTYPES; None: the checkpoint's own on an accelerator, float32 on a CPU.
        device_map: how accelerate spreads a model over devices, e.g. `auto`.
        quantize: `8bit` or `4bit`, by bitsandbytes.

    Raises:
        WrongUse: on names that do not exist or do not go together.
    """

    device: str | None = None
    dtype: str | None = None
    device_map: str | None = None
    quantize: Quantize | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if self.dtype is not None and self.dtype not in DTYPES:
            raise WrongUse(f"dtype is one of {', '.join(DTYPES)}; this one is {self.dtype!r:.80}")
        if self.quantize not in (None, "8bit", "4bit"):
            raise WrongUse(f"quantize is 8bit or 4bit; this one is {self.quantize!r:.80}")
        if self.device is not None and self.device_map is not None:
            raise WrongUse("name a device or a device_map, not both")
        if self.device is not None:
            _expect_device(self.device)

    @property
    def where(self) -> str:
        """The device."""
        if self.device is not None:
            return self.device
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"

    @property
    def kind(self) -> Any:
        """The dtype as the library takes it."""
        if self.dtype is not None:
            return DTYPES[self.dtype]
        return torch.float32 if self.where == "cpu" and self.device_map is None else "auto"


def _expect_device(name: str) -> None:
    try:
        kind = torch.device(name).type
    except RuntimeError as err:
        raise WrongUse(f"no device {name!r:.80}; there are cpu, cuda, cuda:1 ..., mps") from err
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there.get(kind, False):
        has = ", ".join(kind for kind, is_there in there.items() if is_there)
        raise WrongUse(f"device {name!r:.80} is not there; this machine has: {has}")


def find(name: str | Path) -> Path:
    """The folder of that name, or of that hub id in the cache.

    Raises:
        BadInput: when there is neither.
    """
    try:
        folder = Path(name).expanduser()
    except RuntimeError as err:  # ~somebody who has no home here
        raise BadInput(f"there is no folder {name}; expected a checkpoint's") from err
    if folder.is_dir():
        return folder
    if folder.exists():
        raise BadInput(f"{name} is a file; expected the folder of a checkpoint")
    if str(name).startswith((".", "~", "/")) or not HUB_ID.fullmatch(str(name)):
        raise BadInput(f"there is no folder {name}; expected a checkpoint's, or a hub id: Qwen/Qwen2-VL-2B-Instruct")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(str(name), local_files_only=True))
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError, ValueError) as err:
        raise BadInput(f"{name} is no folder here and not in the hub's cache; type: hf download {name}") from err


def read_json(path: Path) -> dict[str, Any]:
    """An object of a JSON file.

    Raises:
        BadInput: when there is none, or it is no object.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as err:
        raise BadInput(f"{path.parent} holds no {path.name}; expected the folder of a transformers checkpoint") from err
    except (OSError, ValueError, RecursionError) as err:  # no JSON, no UTF-8, or too deep
        raise BadInput(one_line(f"{path} cannot be read as JSON", err)) from err
    if not isinstance(found, dict):
        raise BadInput(f"{path} holds {type(found).__name__}; expected an object")
    return found


def read_words(folder: Path) -> tuple[Tokenizer, Writer]:
    """The tokenizer as the library would load it, and what writes conversations with it.

    Some checkpoints hold special words only beside tokenizer.json, so it is the library that loads it, once.

    Raises:
        BadInput: when the folder holds no quick tokenizer, or no template.
    """
    if not (folder / "tokenizer.json").is_file():
        raise BadInput(f"{folder} holds no tokenizer.json; expected a checkpoint with its tokenizer")
    from transformers import AutoTokenizer

    try:
        library: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        tokenizer = cast(Tokenizer, library.backend_tokenizer)
        tokenizer.no_truncation()  # what a training run left behind would cut and pad every piece
        tokenizer.no_padding()
    except Exception as err:  # many kinds; the user needs one line
        raise BadInput(f"{one_line(f'{folder}: its tokenizer cannot be read', err):.400}") from err
    return tokenizer, Writer(folder, library)


class Writer:
    """Writes conversations with the checkpoint's chat template.

    Args:
        folder: of the checkpoint.
        tokenizer: of the library.

    Raises:
        BadInput: when no file of it holds a template, or it breaks.
    """

    def __init__(self, folder: Path, tokenizer: Any) -> None:
        self._folder, self._tokenizer = folder, tokenizer
        self._template = _template_of(folder)

    def __call__(self, messages: Sequence[Message], header: bool) -> str:
        """The text of a conversation; with the answer's header."""
        try:
            written: str = self._tokenizer.apply_chat_template(
                list(messages), chat_template=self._template, tokenize=False, add_generation_prompt=header
            )
            return written
        except Exception as err:  # a template is a program: anything may come of it
            raise BadInput(f"{one_line(f'{self._folder}: its chat template breaks', err):.400}") from err


def _template_of(folder: Path) -> str:
    for name in TEMPLATES:
        path = folder / name
        if path.is_file():
            whole = path.suffix == ".jinja"
            found: Any = path.read_text(encoding="utf-8") if whole else read_json(path).get("chat_template")
            if isinstance(found, list):  # several, by name
                found = {one.get("name"): one.get("template") for one in found if isinstance(one, dict)}
            found = found.get("default") if isinstance(found, dict) else found
            if isinstance(found, str) and found.strip():
                return found
    raise BadInput(f"{folder} holds no chat template; expected one in {', '.join(TEMPLATES)}")


def stops(folder: Path, config: Any, extra: int | None) -> frozenset[int]:
    """Ids that end an answer: of the generation config, of the config, and the one that closes a turn."""
    path = folder / "generation_config.json"
    said = read_json(path).get("eos_token_id") if path.is_file() else None
    text = config.get_text_config()
    found = [said, getattr(text, "eos_token_id", None), extra]
    ids = [one for some in found for one in (some if isinstance(some, list) else [some])]
    return frozenset(one for one in ids if isinstance(one, int) and not isinstance(one, bool))


def read_model(folder: Path, kind: str, placing: Placing) -> Any:
    """The weights, as a class of the library.

    Args:
        folder: of the checkpoint.
        kind: name of the class.
        placing: where they go.

    Raises:
        BadInput: when files are missing, cut or of another model.
        RunFailed: when there is not enough memory.
        Missing: when an extra is needed.
    """
    import transformers

    expect_weights(folder)
    _expect_memory(folder, placing)
    given = _given(placing)
    try:
        read: Any = getattr(transformers, kind).from_pretrained
        with _quiet():
            model, told = read(folder, local_files_only=True, output_loading_info=True, **given)
    except (MemoryError, torch.OutOfMemoryError) as err:
        raise RunFailed(_too_little(folder, placing)) from err
    except Exception as err:  # the library raises many kinds for a damaged file
        raise BadInput(f"{one_line(f'{folder} cannot be read as a checkpoint', err):.400}") from err
    if lost := sorted(told["missing_keys"]):  # the library would fill them with chance
        more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
        raise BadInput(f"{folder}: its weights lack {lost[0]}{more}; expected a whole {kind}")
    if placing.device_map is None and placing.quantize is None:
        model = _moved(model, folder, placing)
    return model.eval().requires_grad_(False)


@contextmanager
def _quiet() -> Iterator[None]:
    """The library prints a table of what it misses; one line of ours tells it."""
    from transformers.utils import logging

    said: Any = logging
    before = said.get_verbosity()
    said.disable_progress_bar()
    said.set_verbosity(said.CRITICAL)
    try:
        yield
    finally:
        said.set_verbosity(before)


def _given(placing: Placing) -> dict[str, Any]:
    given: dict[str, Any] = {"dtype": placing.kind}
    if placing.device_map is not None:
        _need("accelerate", "spread", "a device map")
        given["device_map"] = placing.device_map
    if placing.quantize is not None:
        for package in ("bitsandbytes", "accelerate"):  # the library wants both
            _need(package, "quantize", f"weights in {placing.quantize}")
        from transformers import BitsAndBytesConfig

        asked: Any = BitsAndBytesConfig
        given["quantization_config"] = asked(**{f"load_in_{placing.quantize}": True})
    return given


def _need(package: str, extra: str, what_for: str) -> None:
    from importlib.util import find_spec

    if find_spec(package) is None:
        raise Missing(package, extra, what_for)


def _moved(model: Any, folder: Path, placing: Placing) -> Any:
    try:
        return model.to(placing.where)
    except (MemoryError, torch.OutOfMemoryError, RuntimeError) as err:
        raise RunFailed(_too_little(folder, placing)) from err


def expect_weights(folder: Path) -> list[Path]:
    """The files of the weights, each whole.

    Raises:
        BadInput: when one is missing or cut.
    """
    from safetensors import SafetensorError, safe_open

    whole = folder / "model.safetensors"  # the library takes it first; an index beside it is an old one
    files = [whole] if whole.is_file() or not (folder / INDEX).is_file() else _shards(folder)
    for file in files:
        if not file.is_file():
            raise BadInput(f"{folder} holds no {file.name}; expected weights as safetensors")
        try:
            with safe_open(file, "pt") as held:  # checks the header against the file's length
                held.keys()
        except (SafetensorError, OSError) as err:
            raise BadInput(one_line(f"{file} is cut or damaged; load it again", err)) from err
    return files


def _shards(folder: Path) -> list[Path]:
    held = read_json(folder / INDEX).get("weight_map")
    names = list(held.values()) if isinstance(held, dict) else []
    if not names or not all(isinstance(name, str) and Path(name).name == name for name in names):
        raise BadInput(f"{folder / INDEX} names no files of its folder; expected a weight_map")
    return [folder / name for name in sorted(set(names))]


def weights_bytes(folder: Path, placing: Placing) -> int:
    """Memory that the weights will take."""
    from safetensors import safe_open

    total, wanted = 0, placing.kind
    for file in expect_weights(folder):
        with safe_open(file, "pt") as held:
            for name in held.keys():  # noqa: SIM118  # it is no dict
                part = held.get_slice(name)
                n = 1
                for size in part.get_shape():
                    n *= size
                total += n * (wanted.itemsize if isinstance(wanted, torch.dtype) else _width(part.get_dtype()))
    return int(total / {None: 1, "8bit": 2, "4bit": 4}[placing.quantize])


def _width(kind: str) -> int:
    return {"F64": 8, "F32": 4, "BF16": 2, "F16": 2}.get(kind, 1)


def _expect_memory(folder: Path, placing: Placing) -> None:
    """Refuse before reading what can never fit: half read, it would only be killed without a word."""
    there = memory_bytes(placing.where)
    if placing.device_map is None and there is not None and weights_bytes(folder, placing) > there:
        raise RunFailed(_too_little(folder, placing))


def memory_bytes(device: str) -> int | None:
    """Memory of a device in all, where it can be told."""
    import os

    if device.startswith("cuda"):
        return int(torch.cuda.mem_get_info(device)[1])
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def _too_little(folder: Path, placing: Placing) -> str:
    need, there = weights_bytes(folder, placing) / 2**30, memory_bytes(placing.where)
    has = "" if there is None else f", and {placing.where} has {there / 2**30:.1f} GiB in all"
    return (
        f"not enough memory for {folder}: its weights take {need:.1f} GiB{has}; "
        "take a smaller model, --dtype bfloat16, --quantize 4bit, or a server (openai:MODEL@URL)"
    )
