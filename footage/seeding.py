"""Counter-based randomness: every draw is a pure function of its purpose and key.

    generator("augment", seed, step, video, shot, frame, view)  ->  the draws of that one view

Draws share no state, so resumed runs and any number of workers or ranks see the same numbers, and
there is no generator state to save.
"""

import hashlib
from collections.abc import Sequence
from operator import index
from typing import SupportsIndex

import numpy as np
from jaxtyping import Int


def generator(purpose: str, *key: SupportsIndex) -> np.random.Generator:
    """Return the random generator of one purpose and one key.

    Philox (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3") keyed by a 128-bit
    hash of the arguments, so keys of any length may be used without collisions.

    Args:
        purpose: What the draws are for; different purposes with equal keys draw different numbers.
        key: Whole numbers of any size and sign.
    """
    text = ":".join([purpose, *(str(index(number)) for number in key)])
    digest = hashlib.blake2b(text.encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little")))


def hash_order(names: Sequence[str], seed: int) -> Int[np.ndarray, " N"]:
    """Return the positions of the names, sorted by the hash of (seed, name).

    The order of the names does not matter, and adding names hardly changes which come first.
    """
    hashes = [hashlib.blake2b(f"{seed}:{name}".encode()).digest() for name in names]
    return np.array(sorted(range(len(names)), key=hashes.__getitem__), dtype=np.int64)
