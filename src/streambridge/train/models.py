"""The embedded pair before it has learned anything: sizes, and a tokenizer built from the world's own words.

Knows no stage of training. The backbone is transformers' Qwen2-VL, the gate's decoder transformers' Qwen2: the classes
of the real ones, small.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, cast

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration
from transformers.utils import logging

SPECIALS: Final = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>")
INIT_STD: Final = 0.07  # about 1 / sqrt(width): the library's 0.02 is far too small for a width of 192


def new_tokenizer(corpus: Iterable[str], vocab: int = 700) -> Tokenizer:
    """A byte-level BPE: any text has ids, and each word of the corpus has one of its own.

    Args:
        corpus: sentences as they will be said.
        vocab: the most ids there may be.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab,
        show_progress=False,
        special_tokens=list(SPECIALS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(corpus, trainer)
    return tokenizer


def new_backbone(tokenizer: Tokenizer, seed: int) -> Qwen2VLForConditionalGeneration:
    """A Qwen2-VL of 2.6 M parameters for frames of 84 x 84 pixels: 9 tokens each."""
    torch.manual_seed(seed)
    ids: dict[str, Any] = {word: tokenizer.token_to_id(word) for word in SPECIALS}
    text: dict[str, Any] = {
        "vocab_size": tokenizer.get_vocab_size(),
        "hidden_size": 192,
        "intermediate_size": 512,
        "num_hidden_layers": 4,
        "num_attention_heads": 6,
        "num_key_value_heads": 2,
        "max_position_embeddings": 1280,
        "tie_word_embeddings": True,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [4, 6, 6]},
        "bos_token_id": None,
        "eos_token_id": ids["<|im_end|>"],
        "pad_token_id": ids["<|endoftext|>"],
        "initializer_range": INIT_STD,
    }
    vision = {
        "depth": 3,
        "embed_dim": 128,
        "hidden_size": 192,
        "num_heads": 4,
        "mlp_ratio": 2,
        "patch_size": 14,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
        "initializer_range": 0.05,
    }
    config = Qwen2VLConfig(
        text_config=text,
        vision_config=vision,
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|endoftext|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
        tie_word_embeddings=True,
    )
    return Qwen2VLForConditionalGeneration(config)


def save_backbone(model: Any, tokenizer: Tokenizer, folder: Path, size: int) -> None:
    """Write it as a checkpoint folder of the usual layout, in 16 bit."""
    cast(Any, logging).disable_progress_bar()  # so small a model is written in no time
    model.to(torch.float16).save_pretrained(folder)
    model.float()
    tokenizer.save(str(folder / "tokenizer.json"))
    half = [0.5, 0.5, 0.5]
    seen = {"size": {"height": size, "width": size}, "image_mean": half, "image_std": half, "do_resize": True}
    (folder / "preprocessor_config.json").write_text(json.dumps(seen, indent=1) + "\n", encoding="utf-8")
