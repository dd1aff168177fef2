"""`streambridge doctor`: what is installed, what devices there are, what a model would cost. Knows no arithmetic.

What is told stands in `streambridge.doctor`; this file puts it into lines.
"""

import json as json_
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer

from streambridge.cli.choosing import FORMS, SERVER, Weights, model_for
from streambridge.errors import RunFailed, WrongUse
from streambridge.loading import names

ANY = "world:0"  # a source that every model may be named for


def doctor(
    model: Annotated[
        str | None, typer.Option(help=f"Tell of this one too, without reading its weights: tiny, {FORMS}.")
    ] = None,
    max_len: Annotated[
        int | None, typer.Option(min=1, help="Tokens of memory and answer; default: as `watch` takes them.")
    ] = None,
    tokens_per_frame: Annotated[
        str | None, typer.Option(help="Tell of frames of at most so many tokens too, beside native and paper.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="Where the model would go, as in `watch`.")] = None,
    dtype: Annotated[str | None, typer.Option(help="What its weights would become, as in `watch`.")] = None,
    quantize: Annotated[str | None, typer.Option(help="Its weights in 8bit or 4bit, as in `watch`.")] = None,
    ask_server: Annotated[
        bool, typer.Option("--ask-server", help="Ask the server of openai:MODEL@URL which models it has.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> int:
    """Tell what is installed, what devices there are, and what a model would cost here.

    With --model: tokens and bytes of a frame, memory in all, what is exact, and which gates work with it, e.g.
    `streambridge doctor --model Qwen/Qwen2.5-VL-7B-Instruct --max-len 16384`. Nothing is fetched, no weight is read,
    no server is asked unless --ask-server says so, and no key is shown. Exit codes: 0 nothing stands in the way, 1
    something does (it stands in the lines that begin with !), 2 wrong use.
    """
    from streambridge import doctor as room

    weights = Weights(device=device, dtype=dtype, quantize=quantize, tokens_per_frame=tokens_per_frame)
    _expect_fitting(model, weights, max_len, ask_server)
    found: dict[str, Any] = room.here()
    if model is not None and not found["troubles"]:
        found["model"] = room.model(model, _budget(tokens_per_frame), max_len, _placing(weights))
    if ask_server and "model" in found:
        _ask(found["model"], room.serves)
    troubles = [*found["troubles"], *found.get("model", {}).get("troubles", [])]
    typer.echo(json_.dumps(found) if json else "\n".join([*lines(found), *(f"! {line}" for line in troubles)]))
    return 1 if troubles else 0


def _expect_fitting(model: str | None, weights: Weights, max_len: int | None, ask_server: bool) -> None:
    given = [*weights.given(), *(["max-len"] if max_len else [])]
    if model is None:
        if given or ask_server:
            raise WrongUse(f"--{'ask-server' if ask_server else given[0]} is about a model; name it with --model")
        return
    named = model_for(ANY, model)  # a slip of the hand is told before anything is read
    if ask_server and not named.startswith(SERVER):
        raise WrongUse(f"--ask-server is for openai:MODEL@URL; {model} is on no server")
    if weights.given() and (named in names("backbones") or named.startswith(SERVER)):
        raise WrongUse(f"{model} takes no --{next(iter(weights.given()))}; a checkpoint's folder or a hub id does")


def _budget(typed: str | None) -> Any:
    return int(typed) if typed is not None and typed.isdecimal() else typed


def _placing(weights: Weights) -> dict[str, Any]:
    return {"device": weights.device, "dtype": weights.dtype, "quantize": weights.quantize}


def _ask(found: dict[str, Any], serves: Any) -> None:
    try:
        found["server"] = serves(found)
    except RunFailed as err:
        found["troubles"].append(str(err))
        return
    if not found["server"]["serves"]:
        models = found["server"]["models"]
        known = ", ".join(models[:8]) + (f" and {len(models) - 8} more" if len(models) > 8 else "")
        found["troubles"].append(f"the server at {found['url']} lists no {found['model']}; it lists: {known or 'none'}")


# ---------------------------------------------------------------------------------------------- as a person reads it


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    """What was found, line by line."""
    yield "versions"
    yield "  " + ", ".join(f"{name} {version or 'missing'}" for name, version in found["versions"].items())
    yield "device"
    yield from _device(found["device"])
    yield "extras"
    for one in found["extras"]:
        state = "there  " if one["there"] else "missing"
        yield f"  {one['name']:<9} {state}  {one['gives']}" + ("" if one["there"] else f"; type: {one['type']}")
    if "model" in found:
        yield from _model(found["model"])


def _device(device: Mapping[str, Any]) -> Iterator[str]:
    memory = "" if device["memory_bytes"] is None else f", {gib(device['memory_bytes'])} of memory"
    yield f"  cpu: {device['cores']} cores, torch uses {device['threads']} threads{memory}"
    for number, card in enumerate(device["cuda"]):
        yield f"  cuda:{number}: {card['name']}, {gib(card['memory_bytes'])} of memory"
    there = [name for name in ("cuda", "mps") if device[name]]
    missing = " and ".join(name for name in ("cuda", "mps") if name not in there)
    if device["mps"]:
        yield "  mps: there"
    yield f"  no {missing}; models go to {device['default']}" if missing else f"  models go to {device['default']}"


def _model(model: Mapping[str, Any]) -> Iterator[str]:
    yield f"model {model['name']}"
    if model["family"] == "remote":
        yield from _server(model)
    else:
        yield f"  family {model['family']} ({model['model_type']}), {model['class']} of the library"
    if "knows" in model:
        yield f"  it knows {model['knows']}"
    assumed = " (assumed: a server does not say)" if model["family"] == "remote" else ""
    context = f"context {model['max_context']:,} tokens{assumed}"
    yield f"  positions: {model['positions']}; {context}; max_len {model['max_len']:,}"
    yield from _frames(model)
    if "memory" in model:
        yield from _memory(model)
    yield "  " + ", ".join(f"{name}: {'yes' if value else 'no'}" for name, value in model["caps"].items())
    for what, said in model["exact"].items():
        yield f"  {what} {said}" if what == "answers" else f"  {what}: {said}"
    yield f"  gates (--activation): {', '.join(model['gates'])}; also FIRST+SECOND"
    if model["family"] == "remote":
        yield "  zero_shot only where the server tells logprobs"


def _server(model: Mapping[str, Any]) -> Iterator[str]:
    yield f"  {model['model']} at {model['url']}"
    no_key = "no key is set (STREAMBRIDGE_API_KEY or OPENAI_API_KEY); none is sent"
    yield f"  a key is set in {model['key']}" if model["key"] else f"  {no_key}"
    yield f"  pictures go as JPEGs, at most {model['longest']} pixels a side; counted by the rule: {model['rule']}"
    if "server" in model:
        said = "among them is this one" if model["server"]["serves"] else "this one is not among them"
        yield f"  the server lists {len(model['server']['models'])} models; {said}"


def _frames(model: Mapping[str, Any]) -> Iterator[str]:
    frames = model["frames"]
    sizes = dict.fromkeys(f"{one['width']}x{one['height']}" for one in frames)
    yield f"  a frame, tokens in memory: {'':<8}" + "".join(f"{size:>22}" for size in sizes)
    for budget in dict.fromkeys(one["budget"] for one in frames):
        row = [_frame(one) for one in frames if one["budget"] == budget]
        yield f"    {budget:<32}" + "".join(f"{cell:>22}" for cell in row)


def _frame(one: Mapping[str, Any]) -> str:
    return str(one["tokens"]) if one["bytes"] is None else f"{one['tokens']} ({one['bytes'] / 2**20:.2f} MiB)"


def _memory(model: Mapping[str, Any]) -> Iterator[str]:
    parts = {name.replace("_", " "): gib(size) for name, size in model["memory"].items() if name != "in_all"}
    deep = f", {model['levels']} levels (DeepStack)" if model["levels"] > 1 else ""
    yield f"  in {model['dtype']}; a token's features are {model['width']} wide{deep}"
    yield f"  KV {model['kv_bytes_per_token']:,} bytes a token"
    yield f"  memory on {model['device']} at max_len {model['max_len']:,}, full of frames of `{model['told_for']}`:"
    yield "    " + ", ".join(f"{name} {size}" for name, size in parts.items())
    yield f"    in all {gib(model['memory']['in_all'])}, and what a pass needs while it runs"


def gib(size: int) -> str:
    """Bytes as GiB."""
    return f"{size / 2**30:.2f} GiB"


OFFER = doctor
