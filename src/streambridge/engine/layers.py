"""The layers of a plain decoder in few calls: products that read the same input are one. Knows no plan and no cache.

For short passes on a CPU a sixth of the time went into calls between the library's modules, and a third of the rest
into products of three where one would do. The weights stay the library's own: its parameters become views of the joined
ones, so nothing is held twice, training, saving and the oracle go on as before. What is computed is the library's
`forward` line by line (transformers, `modeling_qwen2.py` and its kin); layers that differ from it are left to it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeAlias, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

# Layers whose forward is: norm, attention with rotary positions, norm, gated feed-forward. Qwen3's norm queries and
# keys as well. Others (sandwich norms, soft caps, experts) are not on this list.
PLAIN: Final = frozenset(
    {
        "LlamaDecoderLayer",
        "Qwen2DecoderLayer",
        "Qwen2VLDecoderLayer",
        "Qwen2_5_VLDecoderLayer",
        "Qwen3DecoderLayer",
        "Qwen3VLTextDecoderLayer",
    }
)
PRODUCTS: Final = (
    *(f"self_attn.{name}_proj" for name in "qkvo"),
    *(f"mlp.{name}_proj" for name in ("gate", "up", "down")),
)
GAP: Final = 16  # floats between rows of joined weights: a whole number of pages apart, they crowd one another out
BLOCK: Final = 384  # columns, at the most, of a block of weights that a short pass reads in one go
SHORT: Final = 128  # rows of a pass that gains by blocks
SPARE: Final = 1 << 26  # bytes of a model's weights in blocks: they are held twice, so only small models have them

class Deep(NamedTuple):
    """What is added to some rows behind each of the first layers (DeepStack of Qwen3-VL).

    Attributes:
        rows: bool [N], which.
        levels: of each layer, [V, D].
    """

    rows: Tensor
    levels: tuple[Tensor, ...]

    def level(self, number: int, like: Tensor) -> Tensor:
        """[N, D]: a level as wide as the pass."""
        wide = like.new_zeros(len(self.rows), like.shape[1])
        wide[self.rows] = self.levels[number].to(like)
        return wide


def by_name(deep: Deep | None) -> dict[str, Any]:
    """The same, as the library's models take it."""
    if deep is None:
        return {}
    return {"visual_pos_masks": deep.rows[None], "deepstack_visual_embeds": list(deep.levels)}


# number of the layer, queries [N, H, d], keys and values [N, G, d], window, scale -> [N, H, d]
Attend: TypeAlias = Callable[[int, Tensor, Tensor, Tensor, int | None, float], Tensor]


class Joined:
    """Linear layers that read the same input, as one product; their weights become views of its own.

    Args:
        linears: in the order of their columns.
    """

    def __init__(self, linears: Sequence[nn.Linear]) -> None:
        weights = [layer.weight for layer in linears]
        outs = [len(weight) for weight in weights]
        # On a CPU a product of few rows in 32 bit is up to a quarter quicker when each input's weights lie together.
        self.by_columns = weights[0].device.type == "cpu" and weights[0].dtype == torch.float32
        with torch.inference_mode(weights[0].is_inference()):  # else they could never be trained again
            if self.by_columns:
                self.weight = weights[0].new_zeros(weights[0].shape[1], sum(outs) + GAP)[:, : sum(outs)]  # [in, out]
                views = [part.t() for part in torch.split(self.weight, outs, dim=1)]
            else:
                self.weight = weights[0].new_empty(sum(outs), weights[0].shape[1])  # [out, in]
                views = list(torch.split(self.weight, outs))
            for weight, view in zip(weights, views, strict=True):
                view.copy_(weight.data)
                weight.data = view
        self.parts = [(layer, "weight", view) for layer, view in zip(linears, views, strict=True)]
        for layer in linears:
            if _whole not in layer._state_dict_hooks.values():
                cast(Any, layer).register_state_dict_post_hook(_whole)
        self.bias = self._bias(linears)

    def _bias(self, linears: Sequence[nn.Linear]) -> Tensor | None:
        if linears[0].bias is None:
            return None
        biases = [cast(Tensor, layer.bias) for layer in linears]
        with torch.inference_mode(biases[0].is_inference()):
            whole = torch.cat([bias.data for bias in biases])
            parts = torch.split(whole, [len(bias) for bias in biases])
            for layer, bias, view in zip(linears, biases, parts, strict=True):
                bias.data = view
                self.parts.append((layer, "bias", view))
        return whole

    @property
    def holds(self) -> bool:
        """The library's parameters are still views of these: nothing was moved, cast or replaced."""
        return all(cast(Tensor, getattr(layer, name)).data_ptr() == view.data_ptr() for layer, name, view in self.parts)

    def __call__(self, rows: Tensor) -> Tensor:
        """[n, out] of [n, in]."""
        if not self.by_columns:
            return functional.linear(rows, self.weight, self.bias)
        return torch.mm(rows, self.weight) if self.bias is None else torch.addmm(self.bias, rows, self.weight)

    def onto(self, rest: Tensor, rows: Tensor) -> Tensor:
        """The product added to what stands already: rest [n, out] + product of rows [n, in]."""
        if self.by_columns and self.bias is None:
            return torch.addmm(rest, rows, self.weight)
        return rest + self(rows)


def _whole(linear: nn.Module, state: dict[str, Any], prefix: str, _: Any) -> None:
    """What is saved lies in memory of its own, by rows: files know no views of joined weights."""
    for name in ("weight", "bias"):
        if (held := state.get(prefix + name)) is not None:
            state[prefix + name] = held.clone(memory_format=torch.contiguous_format)


class Gated:
    """The feed-forward's first half: act(gate) * up.

    Args:
        mlp: of the library.
        blocks: hold a copy of the weights in blocks, which for few rows saves a fifth of the time.
    """

    def __init__(self, mlp: Any, blocks: bool) -> None:
        self.both, self.act = Joined([mlp.gate_proj, mlp.up_proj]), mlp.act_fn
        width = len(mlp.gate_proj.weight)
        fits = next((c for c in range(BLOCK, 0, -GAP) if width % c == 0), None)
        self.blocks: Tensor | None = None
        self._written, self._probe = _versions(self.both), self.both.weight[0].clone()
        if blocks and fits and self.both.by_columns and self.both.bias is None:
            self.blocks = torch.stack(torch.split(self.both.weight, fits, dim=1))  # [2 B, in, c]

    @property
    def holds(self) -> bool:
        """The weights are still the library's, and what is copied of them was not written to."""
        if self.blocks is None:
            return self.both.holds
        # Versions do not count what is written through `.data` or in inference mode; whole updates touch the first row.
        same = self._written == _versions(self.both) and torch.equal(self._probe, self.both.weight[0])
        return same and self.both.holds

    def __call__(self, rows: Tensor) -> Tensor:
        """[n, F] of [n, D]."""
        if self.blocks is None or not 1 < len(rows) <= SHORT:
            gate, up = self.both(rows).chunk(2, dim=-1)
            return cast(Tensor, self.act(gate)).mul_(up)
        gate, up = torch.bmm(rows.expand(len(self.blocks), -1, -1), self.blocks).chunk(2)  # [B, n, c] each
        return cast(Tensor, self.act(gate)).mul_(up).transpose(0, 1).reshape(len(rows), -1)


def _versions(joined: Joined) -> list[int]:
    weights = [cast(Tensor, getattr(layer, name)) for layer, name, _ in joined.parts]
    return [0 if weight.is_inference() else weight._version for weight in weights]


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer: its products, and what lies between them."""

    before: Any
    qkv: Joined
    query_norm: Any
    key_norm: Any
    out: Joined
    between: Any
    up: Gated
    down: Joined
    scale: float
    window: int | None

    @property
    def holds(self) -> bool:
        """The weights are still the library's."""
        return self.qkv.holds and self.out.holds and self.up.holds and self.down.holds


class Layers:
    """A language model of the library as a list of layers.

    Args:
        body: whose layers are all plain (`is_plain`).
    """

    def __init__(self, body: Any) -> None:
        first = body.layers[0].self_attn
        self.width: int = first.head_dim
        self.heads, self.groups = (len(one.weight) // self.width for one in (first.q_proj, first.k_proj))
        self.rotary, self.norm = body.rotary_emb, body.norm
        # Of the model itself only its children are held: who holds it is not for this one to say.
        self.children = list(body._modules.items())
        self.tree = [(part, list(part._modules.items())) for part in body.modules() if part is not body]
        wide = [one.mlp.gate_proj.weight for one in body.layers]
        still = not any(weight.requires_grad for weight in wide)  # what is being trained has no copies
        small = 2 * sum(weight.nbytes for weight in wide) <= SPARE
        self.layers = [_layer(one, still and small) for one in body.layers]

    def holds(self, body: nn.Module) -> bool:
        """Nobody moved, wrote, replaced or listened to anything of the model since: a walk of some 10 us a layer."""
        same = _silent(body) and list(body._modules.items()) == self.children
        same = same and all(_silent(part) and list(part._modules.items()) == parts for part, parts in self.tree)
        return same and all(layer.holds for layer in self.layers)

    def __call__(
        self, embeds: Tensor, positions: Tensor, attend: Attend, ends: Tensor | None = None, deep: Deep | None = None
    ) -> Tensor:
        """Hidden states of embeddings [N, D] at positions [1, N] or [R, 1, N].

        Args:
            embeds: of all rows.
            positions: likewise.
            attend: looks at what stands before, and remembers keys and values.
            ends: rows [W] that are asked for: the last layer works on no others. None: all.
            deep: what is added behind the first layers.

        Returns:
            [W, D], or [N, D].
        """
        cos, sin = self.rotary(embeds[None], positions)  # [1, N, d]
        half = self.width // 2
        turn = cos[0][:, None], torch.cat((-sin[0, :, :half], sin[0, :, half:]), dim=-1)[:, None]  # [N, 1, d]
        rows = embeds
        for number, layer in enumerate(self.layers):
            query, key, value = self._heads(layer, rows, turn)
            last = ends is not None and number == len(self.layers) - 1
            if last:
                query, rows = query[ends], rows[ends]
            seen = attend(number, query, key, value, layer.window, layer.scale)  # [N, H, d]
            rows = layer.out.onto(rows, seen.reshape(len(rows), -1))
            rows = layer.down.onto(rows, layer.up(_norm(layer.between, rows)))
            if deep is not None and number < len(deep.levels):
                level = deep.level(number, rows)  # [N, D]
                rows = rows + (level[ends] if last else level)
        return _norm(self.norm, rows)

    def _heads(self, layer: Layer, rows: Tensor, turn: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Queries [N, H, d], keys and values [N, G, d]: queries and keys are turned in one go."""
        heads, half = self.heads, self.width // 2
        joined = layer.qkv(_norm(layer.before, rows)).view(len(rows), -1, self.width)  # [N, H + 2 G, d]
        turned, value = joined[:, : -self.groups], joined[:, -self.groups :]
        if layer.query_norm is not None:
            normed = _norm(layer.query_norm, turned[:, :heads]), _norm(layer.key_norm, turned[:, heads:])
            turned = torch.cat(normed, dim=1)
        swapped = torch.cat((turned[..., half:], turned[..., :half]), dim=-1)
        turned = torch.addcmul(turned * turn[0], swapped, turn[1])
        return turned[:, :heads], turned[:, heads:], value


def is_plain(body: nn.Module) -> bool:
    """Every layer is one that is known here, its weights lie in memory as they are, and nobody listens to it."""
    layers = list(getattr(body, "layers", ()))
    known = bool(layers) and all(type(one).__name__ in PLAIN for one in layers)
    # Quantised weights and adapters are Linear layers of other types.
    plain = known and all(type(one.get_submodule(name)) is nn.Linear for one in layers for name in PRODUCTS)
    return plain and all(_silent(part) for part in body.modules())


def _silent(part: nn.Module) -> bool:
    """No hook, and no forward put over the class's own (as offloading does)."""
    return not (part._forward_hooks or part._forward_pre_hooks or "forward" in part.__dict__)


def _norm(norm: Any, rows: Tensor) -> Tensor:
    """RMS norm; in 32 bit in half the calls, in 16 bit with the library's own roundings."""
    if rows.dtype != torch.float32:
        return cast(Tensor, norm(rows))
    scale = rows.square().mean(-1, keepdim=True).add_(norm.variance_epsilon).rsqrt_()
    return (rows * scale).mul_(norm.weight)


def _layer(one: Any, blocks: bool) -> Layer:
    mix, mlp = one.self_attn, one.mlp
    return Layer(
        one.input_layernorm,
        Joined([mix.q_proj, mix.k_proj, mix.v_proj]),
        getattr(mix, "q_norm", None),
        getattr(mix, "k_norm", None),
        Joined([mix.o_proj]),
        one.post_attention_layernorm,
        Gated(mlp, blocks),
        Joined([mlp.down_proj]),
        mix.scaling,
        getattr(mix, "sliding_window", None),
    )
