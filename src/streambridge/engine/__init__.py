"""A plan becomes words: prefill and decoding over a language model. Knows no memory policy."""
