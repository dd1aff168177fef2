"""Tiny random checkpoints of every family, for the tests: the ones that `bench backbones` makes."""

from streambridge.bench.checkpoints import CLASSES, FAMILIES, QWEN, SPECIALS, config_of, loud, save, tokenizer_of

__all__ = ["CLASSES", "FAMILIES", "QWEN", "SPECIALS", "config_of", "loud", "save", "tokenizer_of"]
