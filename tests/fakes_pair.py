"""A tiny random Qwen2-VL checkpoint and a tiny random gate, for tests. Knows no training and no file in the package.

Weights drawn as usual are too small: greedy decoding repeats one token and proves nothing. So they are scaled up.
"""

import itertools
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import Qwen2Config

from streambridge.activation.score_net import Reach, ScoreNet
from streambridge.train.models import new_backbone, new_tokenizer, save_backbone
from streambridge.types import Frame
from streambridge.world.script import WORDS
from streambridge.world.truth import QUESTIONS, WATCHES

SIZE = 84


def tokenizer() -> Tokenizer:
    """Learned from the world's questions and its words."""
    kinds = (*QUESTIONS.values(), *WATCHES.values())
    asked = [wording.format(arg=word) for kind in kinds for wording in kind.wording for word in WORDS]
    return new_tokenizer([*asked, *(f"The sign now says {word}." for word in WORDS)])


def checkpoint(folder: Path, seed: int = 3, scale: float = 3.0) -> Path:
    """A random backbone, saved the way training saves it."""
    words = tokenizer()
    model = new_backbone(words, seed)
    with torch.no_grad():
        for weights in model.parameters():
            if weights.dim() > 1:
                weights.mul_(scale)
    save_backbone(model, words, folder, SIZE)
    return folder


def random_net(vocab: int, reach: Reach, seed: int = 3, vision_width: int = 12) -> ScoreNet:
    """A gate whose logits vary from frame to frame."""
    torch.manual_seed(seed)
    config = Qwen2Config(
        vocab_size=vocab,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        rope_parameters={"rope_type": "default", "rope_theta": 1e4},
        initializer_range=0.4,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=None,
    )
    return ScoreNet(config, vision_width, reach).eval()


def pictures(seed: int = 0, height: int = SIZE, width: int = SIZE):
    """Random frames without end, one a second."""
    rng = np.random.default_rng(seed)
    for t in itertools.count():
        yield Frame(rng.integers(0, 256, (height, width, 3), dtype=np.uint8), float(t))


def named(text):
    """Which kind of question these words are, and what they ask about."""
    for kinds in (QUESTIONS, WATCHES):
        for kind, what in kinds.items():
            for wording in what.wording:
                head, arg, tail = wording.partition("{arg}")
                if text == wording or (arg and text.startswith(head) and text.endswith(tail)):
                    return kind, text[len(head) : len(text) - len(tail)] if arg else ""
    raise AssertionError(text)
