"""Our own layers = the library's, for every family they take over; and they give way as soon as they might differ."""

import gc

import pytest
import torch
from torch import nn

from streambridge.engine import attention, layers
from streambridge.engine.cache import KV
from streambridge.engine.layers import Layers, is_plain

COMMON = {
    "vocab_size": 50,
    "hidden_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 192,
    "initializer_range": 0.3,
}
MROPE = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 3, 3]}


def bodies():
    import transformers as t

    def vl(kind):
        return {**COMMON, "rope_parameters": MROPE, **({"head_dim": 16} if kind == "3" else {})}

    return {
        "llama": (t.LlamaModel, t.LlamaConfig(**COMMON)),
        "qwen2": (t.Qwen2Model, t.Qwen2Config(**COMMON)),
        "qwen2 with a window": (
            t.Qwen2Model,
            t.Qwen2Config(**COMMON, use_sliding_window=True, sliding_window=7, max_window_layers=1),
        ),
        "qwen3": (t.Qwen3Model, t.Qwen3Config(**COMMON, head_dim=16)),
        "qwen2_vl": (t.Qwen2VLTextModel, t.Qwen2VLTextConfig(**vl("2"))),
        "qwen2_5_vl": (t.Qwen2_5_VLTextModel, t.Qwen2_5_VLTextConfig(**vl("2"))),
        "qwen3_vl": (t.Qwen3VLTextModel, t.Qwen3VLTextConfig(**vl("3"))),
    }


def body_of(name, frozen=True, dtype=torch.float32):
    torch.manual_seed(0)
    make, config = bodies()[name]
    config._attn_implementation = "sdpa"
    body = make(config).eval()
    for part in body.modules():  # else all norms weigh 1 and all biases 0: nothing would be seen of them
        if "Norm" in type(part).__name__:
            nn.init.uniform_(part.weight, 0.5, 1.5)
        if isinstance(part, nn.Linear) and part.bias is not None:
            nn.init.normal_(part.bias)
    return body.to(dtype).requires_grad_(not frozen)


def line(name, n, rng):
    at = torch.arange(n)
    if "vl" not in name:
        return at[None]
    return torch.stack([at, at + torch.randint(0, 5, (n,), generator=rng), at // 2])  # [3, n]


def library(body, embeds, at):
    """[n, D]: one pass of the library with its own attention."""
    before, body.config._attn_implementation = body.config._attn_implementation, "sdpa"
    rows = at[:, None] if len(at) > 1 else at
    mask = None
    if len(at) > 1:  # a mask of our own: the library takes jumps in positions for borders of packed sequences
        n = len(embeds)
        mask = torch.full((n, n), torch.finfo(embeds.dtype).min, dtype=embeds.dtype).triu(1)[None, None]
    with torch.no_grad():
        out = body(inputs_embeds=embeds[None], position_ids=rows, attention_mask=mask, use_cache=False)
    body.config._attn_implementation = before
    return out.last_hidden_state[0]


def ours(body, embeds, at, cuts):
    """[passes, D]: in passes that end at these rows, and at the last one."""
    kv, out = KV(), []
    with torch.inference_mode():
        for start, end in zip((0, *cuts), (*cuts, len(embeds)), strict=True):
            out.append(attention.run(body, embeds[start:end], at[:, start:end], [(kv, end - start)]))
    return torch.cat(out)


def library_at(body, embeds, at, cuts):
    return library(body, embeds, at)[[*(cut - 1 for cut in cuts), -1]]


@pytest.mark.parametrize("frozen", [True, False])
@pytest.mark.parametrize("name", bodies())
def test_our_layers_are_the_librarys(name, frozen):
    rng = torch.Generator().manual_seed(1)
    body = body_of(name, frozen)
    embeds, at = torch.randn(60, 64, generator=rng), line(name, 60, rng)
    cuts = (1, 2, 17, 18, 19, 40)
    wanted = library_at(body, embeds, at, cuts)
    seen = ours(body, embeds, at, cuts)
    assert body in attention.PLAINLY
    assert (attention.PLAINLY[body].layers[0].up.blocks is not None) == frozen
    assert (seen - wanted).abs().max() < 2e-5
    assert (library_at(body, embeds, at, cuts) - wanted).abs().max() < 2e-5, "the library runs on the joined weights"


@pytest.mark.parametrize("name", bodies())
@torch.inference_mode()
def test_several_sequences_in_one_pass_are_each_alone(name):
    rng = torch.Generator().manual_seed(2)
    body = body_of(name)
    lines = [(torch.randn(n, 64, generator=rng), line(name, n, rng)) for n in (30, 25, 44)]
    caches = [KV() for _ in lines]
    for start, sizes in ((0, (9, 1, 20)), (20, (5, 5, 5))):
        spans = [slice(start, start + n) if start else slice(0, n) for n in sizes]
        if start:  # what lies between is read alone
            for kv, (embeds, at), n in zip(caches, lines, (9, 1, 20), strict=True):
                if n < 20:
                    attention.run(body, embeds[n:20], at[:, n:20], [(kv, 20 - n)])
        seen = attention.run(
            body,
            torch.cat([embeds[span] for (embeds, _), span in zip(lines, spans, strict=True)]),
            torch.cat([at[:, span] for (_, at), span in zip(lines, spans, strict=True)], dim=1),
            list(zip(caches, sizes, strict=True)),
        )
        for row, (embeds, at), span in zip(seen, lines, spans, strict=True):
            assert (row - library(body, embeds, at)[span.stop - 1]).abs().max() < 2e-5


@pytest.mark.parametrize("name", ["qwen3", "qwen3_vl"])
def test_in_sixteen_bit_they_differ_as_much_as_the_library_from_itself(name):
    rng = torch.Generator().manual_seed(1)
    body, exact = body_of(name, dtype=torch.bfloat16), body_of(name)
    embeds, at = torch.randn(60, 64, generator=rng).bfloat16(), line(name, 60, rng)
    cuts = tuple(range(5, 60, 5))
    wanted = library_at(exact, embeds.float(), at, cuts)
    noise = (library_at(body, embeds, at, cuts).float() - wanted).abs().mean()
    assert (ours(body, embeds, at, cuts).float() - wanted).abs().mean() < 1.5 * noise


def changes():
    def scale(body):
        with torch.no_grad():
            body.layers[1].mlp.up_proj.weight.mul_(0.5)

    def load(body):
        body.load_state_dict({name: value * 0.9 for name, value in body.state_dict().items()})

    def replace(body):
        body.layers[2].self_attn.k_proj.weight = nn.Parameter(torch.randn(32, 64), requires_grad=False)

    def swap(body):
        body.layers[0].mlp.down_proj = nn.Linear(192, 64, bias=False).requires_grad_(False)

    def write(body):
        for weight in body.parameters():
            weight.data.mul_(0.8)

    cast = nn.Module.double
    doings = {"scaled": scale, "loaded anew": load, "replaced": replace, "a layer swapped": swap}
    return {**doings, "cast": cast, "data written": write}


@pytest.mark.parametrize("change", changes())
@pytest.mark.parametrize("frozen", [True, False])
def test_weights_that_change_afterwards_are_seen(change, frozen):
    body = body_of("qwen2", frozen)
    embeds, at = torch.randn(30, 64), torch.arange(30)[None]
    before = ours(body, embeds, at, (9,))
    changes()[change](body)
    embeds = embeds.to(body.norm.weight.dtype)
    seen = ours(body, embeds, at, (9,))
    assert (seen - library_at(body, embeds, at, (9,))).abs().max() < 2e-5
    assert change == "cast" or (seen - before).abs().max() > 1e-2


class Adapter(nn.Linear):
    """A Linear that does more than its product."""

    def forward(self, rows):
        return super().forward(rows) + 1


def doings():
    def adapt(body):
        old = body.layers[1].mlp.gate_proj
        body.layers[1].mlp.gate_proj = Adapter(64, 192, bias=False).requires_grad_(False)
        body.layers[1].mlp.gate_proj.weight = old.weight

    def hook(body):
        body.layers[1].register_forward_hook(lambda module, args, out: 2 * out)

    def patch(body):
        body.layers[1].mlp.forward = lambda rows: 0 * rows

    return {"adapter": adapt, "hook": hook, "patched forward": patch}


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize("doing", doings())
def test_what_others_do_to_a_layer_is_done(doing, later):
    body = body_of("qwen2")
    embeds, at = torch.randn(30, 64), torch.arange(30)[None]
    if later:
        ours(body, embeds, at, (9,))
    doings()[doing](body)
    wanted = library_at(body, embeds, at, (9,))
    assert (ours(body, embeds, at, (9,)) - wanted).abs().max() < 1e-4 * max(1, float(wanted.abs().max()))
    assert not is_plain(body)


def test_threads_that_meet_a_model_first_take_one_way():
    from concurrent.futures import ThreadPoolExecutor

    for _ in range(10):
        body = body_of("qwen2")
        embeds, at = torch.randn(30, 64), torch.arange(30)[None]
        with ThreadPoolExecutor(6) as pool:
            seen = list(pool.map(lambda _, body=body, embeds=embeds, at=at: ours(body, embeds, at, (9,)), range(6)))
        assert all(torch.equal(one, seen[0]) for one in seen)


def test_large_models_hold_nothing_twice(monkeypatch):
    monkeypatch.setattr(layers, "SPARE", 1000)
    assert all(one.up.blocks is None for one in Layers(body_of("llama")).layers)


def test_layers_go_with_their_model():
    body = body_of("llama")
    ours(body, torch.randn(3, 64), torch.arange(3)[None], ())
    count = len(attention.PLAINLY)
    del body
    gc.collect()
    assert len(attention.PLAINLY) < count


@pytest.mark.parametrize("frozen", [True, False])
def test_weights_can_be_trained_and_saved_afterwards(frozen, tmp_path):
    from safetensors.torch import save_file

    body = body_of("qwen2", frozen=False)
    body.save_pretrained(tmp_path / "before")
    body.requires_grad_(not frozen)
    for _ in range(2):
        ours(body, torch.randn(3, 64), torch.arange(3)[None], ())
    body.save_pretrained(tmp_path / "after")
    save_file(body.state_dict(), tmp_path / "plain.safetensors")
    assert (tmp_path / "before/model.safetensors").read_bytes() == (tmp_path / "after/model.safetensors").read_bytes()
    body.requires_grad_(True)
    optimizer = torch.optim.AdamW(body.parameters(), lr=0.1)
    embeds, at = torch.randn(20, 64), torch.arange(20)[None]
    body.config._attn_implementation = "sdpa"
    body(inputs_embeds=embeds[None], use_cache=False).last_hidden_state.square().sum().backward()
    optimizer.step()
    assert (ours(body, embeds, at, (7,)) - library_at(body, embeds, at, (7,))).abs().max() < 2e-5
