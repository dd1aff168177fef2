"""Numbers drawn by name: the same words give the same number, whatever was drawn before. Knows no sample."""

import hashlib


def u(seed: int, *words: object) -> float:
    """A number in [0, 1) that only depends on the seed and the words: no order, no shard and no state.

    Args:
        seed: of the whole run.
        words: what the draw is for, e.g. the sample's id, the question's id and `"drop"`.
    """
    said = "\x1f".join(str(word) for word in (seed, *words))
    digest = hashlib.sha256(said.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:7], "big") / 2**56


def pick(count: int, seed: int, *words: object) -> int:
    """A whole number in [0, count), drawn as `u` draws."""
    return min(int(u(seed, *words) * count), count - 1)
