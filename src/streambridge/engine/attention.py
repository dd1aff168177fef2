"""Attention of new tokens to all before them, for sequences of different lengths in one pass. Knows no model family.

Registered with transformers under a name of its own, so every family of its models runs on it. Where no `Parts` come in
(training, other masks) the library's own attention does the work.
"""

from __future__ import annotations

from functools import partial
from threading import Lock
from typing import Any, Final, cast
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, sdpa_mask
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from streambridge.engine.cache import KV, Parts, Rows
from streambridge.engine.graphs import StaticParts, short_pass
from streambridge.engine.layers import Deep, Layers, by_name, is_plain

NAME: Final = "streambridge"
PREPARING: Final = Lock()
PLAINLY: Final[WeakKeyDictionary[nn.Module, Layers]] = WeakKeyDictionary()  # models that run on our own layers
FEW: Final = 24  # rows of a pass up to which, in fp32 on a CPU, plain products are quicker than the fused kernel


def run(
    body: nn.Module, embeds: Tensor, positions: Tensor, parts: list[tuple[KV, int]], deep: Deep | None = None
) -> Tensor:
    """One pass over embeddings [N, D] at positions [R, N]; each cache grows by its rows.

    Args:
        body: a language model of transformers, whose attention is ours from here on.
        embeds: of all sequences, one after another.
        positions: likewise.
        parts: each sequence's cache and its number of rows.
        deep: what is added to some rows behind the first layers.

    Returns:
        Hidden states [W, D] of each sequence's last row: nothing else is ever asked for, so in the last layer nothing
        else is worked out.
    """
    if cast(Any, body).config._attn_implementation != NAME:
        prepare(body)
    if len(parts) == 1 and deep is None:  # a graph has no place for what is added: it varies in shape
        hidden = short_pass(parts[0][0], embeds, positions, body, partial(_forward, body))
        if hidden is not None:
            return hidden[-1:]
    cache = Parts(parts)
    ends = torch.tensor([n for _, n in parts]).cumsum(0) - 1  # [W]
    hidden = _forward(body, cache, embeds, positions, ends.to(embeds.device), deep)
    cache.advance()
    return hidden


def _forward(
    body: nn.Module,
    cache: Any,
    embeds: Tensor,
    positions: Tensor,
    ends: Tensor | None = None,
    deep: Deep | None = None,
) -> Tensor:
    """Hidden states of some rows, or of all: of our own layers where they are plain, else of the library's model."""
    rows = positions[:, None] if positions.shape[0] > 1 else positions
    layers = PLAINLY.get(body)
    if layers is not None and not layers.holds(body):
        layers = prepare(body)  # the model was moved, cast or written to since
    if layers is not None:
        return layers(embeds, rows, partial(_look, cache), ends, deep)
    hidden = _library(body, cache, embeds, rows, deep)
    return hidden if ends is None else hidden[ends]


def _library(body: nn.Module, cache: Any, embeds: Tensor, rows: Tensor, deep: Deep | None) -> Tensor:
    """The library's model, told everything that it would otherwise work out itself."""
    made = embeds.new_zeros(1, 1, 1, 1)  # four dimensions say that the mask is made; `attend` knows better than it
    out = body(
        inputs_embeds=embeds[None],
        position_ids=rows,
        attention_mask=made,
        past_key_values=cache,
        use_cache=True,
        **by_name(deep),
    )
    hidden: Tensor = out.last_hidden_state[0]
    return hidden


def prepare(body: nn.Module) -> Layers | None:
    """Let a language model run on our attention, and on our layers if its own are plain."""
    with PREPARING:  # two threads that meet a model first must not take two ways
        made = PLAINLY.get(body)
        if made is None or not made.holds(body):
            PLAINLY.pop(body, None)
            if is_plain(body):
                PLAINLY[body] = Layers(body)
        cast(Any, body).config._attn_implementation = NAME
    return PLAINLY.get(body)


def _look(
    cache: Any, layer: int, query: Tensor, key: Tensor, value: Tensor, window: int | None, scale: float
) -> Tensor:
    """What our layers ask: queries [N, H, d], keys and values [N, G, d]; out [N, H, d]."""
    keys, values = cache.update(key.transpose(0, 1)[None], value.transpose(0, 1)[None], layer)
    return _seen(query.transpose(0, 1)[None], keys, values, window, scale)[0]


def attend(
    module: nn.Module, query: Tensor, key: Any, value: Any, attention_mask: Tensor | None = None, **settings: Any
) -> tuple[Tensor, Tensor | None]:
    """The library's call: queries [1, H, N, D] of all sequences; out [1, N, H, D]."""
    if not isinstance(key, Rows):
        plain: Any = sdpa_attention_forward(module, query, key, value, attention_mask, **settings)
        return cast(tuple[Tensor, Tensor | None], plain)
    return _seen(query, key, value, settings.get("sliding_window"), settings.get("scaling")), None


def _seen(query: Tensor, key: Rows, value: Any, window: int | None, scale: float | None) -> Tensor:
    """[1, N, H, D]: each sequence's rows look at that sequence."""
    if isinstance(key.parts, StaticParts):
        return _static(query, key[0], value[0], scale, key.parts.mask)
    parts = key.parts.parts
    sizes = [1 if query.shape[2] == len(parts) else n for _, n in parts]  # in the last layer, only each one's last row
    own = zip(torch.split(query, sizes, dim=2), key, value, parts, strict=True)
    out = [_attend(q, k, v, window, scale, key.parts, kv) for q, k, v, (kv, _) in own]
    return (out[0] if len(out) == 1 else torch.cat(out, dim=2)).transpose(1, 2)


def _attend(
    q: Tensor, k: Tensor, v: Tensor, window: int | None, scale: float | None, parts: Parts, kv: KV
) -> Tensor:
    """[1, H, n, D]: the last n tokens of L look at themselves and at what stands before them."""
    n, length, grouped = q.shape[2], k.shape[2], q.shape[1] > k.shape[1]
    reach = length if window is None else min(window, length)
    if n == 1:
        return _one(q, k[:, :, length - reach :], v[:, :, length - reach :], scale)
    if n == length == reach:
        return scaled_dot_product_attention(q, k, v, is_causal=True, scale=scale, enable_gqa=grouped)
    if q.is_cuda and reach == length:  # the fused kernel knows this mask by its shape
        from torch.nn.attention.bias import causal_lower_right

        mask: Any = causal_lower_right(n, length)
        return scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scale, enable_gqa=grouped)
    if reach == length and n <= FEW and q.dtype == torch.float32 and not q.is_cuda:
        return _few(q, k, v, scale, _mask(n, n, n, q, parts), kv)
    seen = _mask(n, length, reach, q, parts)
    return scaled_dot_product_attention(q, k, v, attn_mask=seen, scale=scale, enable_gqa=grouped)


def _one(q: Tensor, k: Tensor, v: Tensor, scale: float | None) -> Tensor:
    """One token sees all: the heads of a group become rows, so that keys and values are not copied for each head."""
    heads, groups = q.shape[1], k.shape[1]
    folded = q.reshape(1, groups, heads // groups, q.shape[3])  # [1, G, H / G, D]
    return scaled_dot_product_attention(folded, k, v, scale=scale).reshape(q.shape)


def _static(q: Tensor, k: Tensor, v: Tensor, scale: float | None, mask: Tensor) -> Tensor:
    """[1, n, H, D]: a bucket of rows over the whole buffer [1, G, room, D], heads of a group as rows."""
    heads, groups, n = q.shape[1], k.shape[1], q.shape[2]
    folded = q.reshape(1, groups, heads // groups * n, q.shape[3])
    rows = mask.repeat(heads // groups, 1)[None, None]  # [1, 1, H / G * n, room]
    out = scaled_dot_product_attention(folded, k, v, attn_mask=rows, scale=scale)
    return out.reshape(q.shape).transpose(1, 2)


def _few(q: Tensor, k: Tensor, v: Tensor, scale: float | None, tail: Tensor, kv: KV) -> Tensor:
    """A few rows after many: plain products, which for so few are a quarter quicker than the fused kernel."""
    groups, n, width = k.shape[1], q.shape[2], q.shape[3]
    rows = q.reshape(groups, -1, width) * (width**-0.5 if scale is None else scale)  # [G, H / G * n, D]
    scores = kv.scratch(groups * rows.shape[1], k.shape[2], rows).view(groups, rows.shape[1], -1)  # [G, H / G * n, L]
    torch.bmm(rows, k[0].transpose(1, 2), out=scores)
    ends = scores.view(groups, -1, n, k.shape[2])[..., k.shape[2] - n :]  # [G, H / G, n, n]
    ends += tail
    torch.softmax(scores, dim=-1, out=scores)
    return torch.bmm(scores, v[0]).reshape(q.shape)


def _mask(n: int, length: int, reach: int, q: Tensor, parts: Parts) -> Tensor:
    """[n, L] to be added: 0 where row i, token length - n + i, may look, -inf elsewhere."""
    mask = parts.masks.get((n, length, reach))
    if mask is None:
        old = length - n
        row = torch.arange(old, length, device=q.device)[:, None]
        column = torch.arange(length, device=q.device)[None]
        hidden = (column > row) | (column <= row - reach)
        mask = torch.zeros(n, length, dtype=q.dtype, device=q.device).masked_fill(hidden, float("-inf"))
        parts.masks[n, length, reach] = mask
    return mask


ALL_ATTENTION_FUNCTIONS.register(NAME, attend)
ALL_MASK_ATTENTION_FUNCTIONS.register(NAME, sdpa_mask)
