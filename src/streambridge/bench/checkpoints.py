"""Tiny random checkpoints of every family that is read, saved as the library saves them. Knows no test and no page.

Weights are scaled up (`loud`); tokenizers spell all text out in bytes; chat templates and processor files are in the
forms of the real ones. Nothing here was trained: such a checkpoint shows that two ways of computing agree, and no more.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, cast

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

CHATML: Final = (
    "{% for m in messages %}{% if loop.first and m['role'] != 'system' %}<|im_start|>system\nBe kind.<|im_end|>\n"
    "{% endif %}<|im_start|>{{ m['role'] }}\n{% if m['content'] is string %}{{ m['content'] }}{% else %}"
    "{% for c in m['content'] %}{% if c['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% else %}{{ c['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
LLAVA: Final = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }} {% for c in m['content'] if c['type'] == 'video' %}<video>"
    "{% endfor %}{% for c in m['content'] if c['type'] == 'text' %}\n{{ c['text'] }}{% endfor %}<|im_end|>{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SMOL: Final = (
    "<|im_start|>{% for m in messages %}{{ m['role'] | capitalize }}{% if m['content'][0]['type'] == 'image' %}:"
    "{% else %}: {% endif %}{% for c in m['content'] %}{% if c['type'] == 'text' %}{{ c['text'] }}{% else %}<image>"
    "{% endif %}{% endfor %}<end_of_utterance>\n{% endfor %}{% if add_generation_prompt %}Assistant:{% endif %}"
)
QWEN: Final = ["<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
SPECIALS: Final = {
    "llava_onevision": ["<|im_start|>", "<|im_end|>", "<image>", "<video>"],
    "smolvlm": ["<|im_start|>", "<end_of_utterance>", "<fake_token_around_image>", "<global-img>", "<image>"],
}
TEXT: Final[dict[str, Any]] = {
    "hidden_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 96,
    "max_position_embeddings": 4096,
    "tie_word_embeddings": False,
}
MROPE: Final = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [2, 3, 3]}
CLIP: Final = {
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
}
HALF: Final = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
CLASSES: Final = {
    "qwen2_vl": "Qwen2VLForConditionalGeneration",
    "qwen2_5_vl": "Qwen2_5_VLForConditionalGeneration",
    "qwen3_vl": "Qwen3VLForConditionalGeneration",
    "qwen3_vl_moe": "Qwen3VLMoeForConditionalGeneration",
    "llava_onevision": "LlavaOnevisionForConditionalGeneration",
    "smolvlm": "SmolVLMForConditionalGeneration",
}
FAMILIES: Final = list(CLASSES)


def save(folder: Path, family: str, seed: int = 0) -> Path:
    """Make a checkpoint folder with everything in it.

    Args:
        folder: made if it is not there.
        family: one of `FAMILIES`, a `model_type`.
        seed: of the weights.
    """
    import transformers as t
    from transformers.utils import logging

    cast(Any, logging).disable_progress_bar()
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = tokenizer_of(family)
    ids = {word: cast(int, tokenizer.token_to_id(word)) for word in SPECIALS.get(family, QWEN)}
    torch.manual_seed(seed)
    model = getattr(t, CLASSES[family])(config_of(family, ids)).eval()
    loud(model, 9.0).save_pretrained(folder)
    end = "<end_of_utterance>" if family == "smolvlm" else "<|im_end|>"
    wrap: Any = t.PreTrainedTokenizerFast
    wrap(tokenizer_object=tokenizer, eos_token=end).save_pretrained(folder)
    template = {"llava_onevision": LLAVA, "smolvlm": SMOL}.get(family, CHATML)
    (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
    (folder / "preprocessor_config.json").write_text(json.dumps(pictures_of(family)), encoding="utf-8")
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": ids[end]}), encoding="utf-8")
    return folder


def tokenizer_of(family: str) -> Tokenizer:
    """Bytes and the family's special words; no merges, so any text is spelled out."""
    specials = SPECIALS.get(family, QWEN)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({letter: number for number, letter in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(word, special=True, normalized=False) for word in specials])
    return tokenizer


def loud(model: Any, factor: float) -> Any:
    """Scale the weights up: as they come, greedy decoding says one token for ever and a test of it proves nothing."""
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim >= 2:
                weight.mul_(factor)
            elif "norm" not in name:
                weight.normal_(std=0.3)
    return model


def pictures_of(family: str) -> dict[str, Any]:
    """What the preprocessor's file says."""
    if family == "llava_onevision":
        return {**HALF, "size": {"height": 70, "width": 70}, "resample": 3}
    if family == "smolvlm":
        return {**HALF, "size": {"longest_edge": 128}, "max_image_size": {"longest_edge": 64}, "resample": 1}
    patch = 16 if family.startswith("qwen3") else 14
    area = (2 * patch) ** 2
    sides = {"patch_size": patch, "merge_size": 2, "temporal_patch_size": 2}
    colours = HALF if family.startswith("qwen3") else CLIP
    return {**colours, "min_pixels": 4 * area, "max_pixels": 12 * area, **sides}


# ---------------------------------------------------------------------------------------------- configs


def config_of(family: str, ids: Mapping[str, int]) -> Any:
    """The config of a small model of that family, of the library's class.

    Args:
        family: one of `FAMILIES`.
        ids: of its special words.
    """
    none = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": None}
    return _CONFIGS[family]({**TEXT, "vocab_size": 256 + len(ids), **none}, ids)


def _llava(text: dict[str, Any], ids: Mapping[str, int]) -> Any:
    from transformers import LlavaOnevisionConfig

    vision = {"model_type": "siglip_vision_model", "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
              "num_attention_heads": 4, "image_size": 70, "patch_size": 14, "vision_use_head": False}  # fmt: skip
    return cast(Any, LlavaOnevisionConfig)(
        vision_config=vision,
        text_config={"model_type": "qwen2", **text},
        image_token_index=ids["<image>"],
        video_token_index=ids["<video>"],
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
    )


def _smol(text: dict[str, Any], ids: Mapping[str, int]) -> Any:
    from transformers import SmolVLMConfig

    vision = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
              "image_size": 64, "patch_size": 16}  # fmt: skip
    return cast(Any, SmolVLMConfig)(
        vision_config=vision,
        text_config={"model_type": "llama", **text},
        scale_factor=2,
        image_token_id=ids["<image>"],
        pad_token_id=None,
        tie_word_embeddings=False,
    )


def _marks(ids: Mapping[str, int]) -> dict[str, int]:
    return {
        "image_token_id": ids["<|image_pad|>"],
        "video_token_id": ids["<|video_pad|>"],
        "vision_start_token_id": ids["<|vision_start|>"],
        "vision_end_token_id": ids["<|vision_end|>"],
    }


def _qwen2(text: dict[str, Any], ids: Mapping[str, int]) -> Any:
    from transformers import Qwen2VLConfig

    vision = {"depth": 2, "embed_dim": 32, "hidden_size": 64, "num_heads": 4, "mlp_ratio": 2, "patch_size": 14}
    return cast(Any, Qwen2VLConfig)(
        text_config={**text, "rope_parameters": MROPE}, vision_config=vision, **_marks(ids)
    )


def _qwen25(text: dict[str, Any], ids: Mapping[str, int]) -> Any:
    from transformers import Qwen2_5_VLConfig

    vision = {"depth": 2, "hidden_size": 32, "out_hidden_size": 64, "intermediate_size": 64, "num_heads": 4,
              "window_size": 56, "fullatt_block_indexes": [1], "patch_size": 14}  # fmt: skip
    return cast(Any, Qwen2_5_VLConfig)(
        text_config={**text, "rope_parameters": MROPE}, vision_config=vision, **_marks(ids)
    )


def _qwen3(text: dict[str, Any], ids: Mapping[str, int], kind: str = "Qwen3VLConfig") -> Any:
    import transformers

    vision = {"depth": 3, "hidden_size": 32, "out_hidden_size": 64, "intermediate_size": 64, "num_heads": 4,
              "num_position_embeddings": 16, "deepstack_visual_indexes": [0, 1, 2], "patch_size": 16}  # fmt: skip
    text = {**text, "head_dim": 16, "rope_parameters": {**MROPE, "mrope_interleaved": True}}
    return getattr(transformers, kind)(text_config=text, vision_config=vision, **_marks(ids))


def _qwen3_moe(text: dict[str, Any], ids: Mapping[str, int]) -> Any:
    experts = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 48, "decoder_sparse_step": 1}
    return _qwen3({**text, **experts}, ids, "Qwen3VLMoeConfig")


_CONFIGS: Final[Mapping[str, Callable[[dict[str, Any], Mapping[str, int]], Any]]] = {
    "qwen2_vl": _qwen2,
    "qwen2_5_vl": _qwen25,
    "qwen3_vl": _qwen3,
    "qwen3_vl_moe": _qwen3_moe,
    "llava_onevision": _llava,
    "smolvlm": _smol,
}
