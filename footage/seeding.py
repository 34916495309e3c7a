"""Counter-based randomness: every draw is a pure function of what it is for.

    generator("augment", seed, step, video, shot, frame, view)  ->  the draws of that one view

Nothing is carried from one draw to the next, so a resumed run, any number of loading workers and
any number of ranks see the same numbers, and there is no generator state to save.
"""

import hashlib
from collections.abc import Sequence
from operator import index
from typing import SupportsIndex

import numpy as np
from jaxtyping import Int


def generator(purpose: str, *key: SupportsIndex) -> np.random.Generator:
    """The random numbers that belong to one purpose and one key.

    Philox (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3") keyed by a 128-bit
    hash of the arguments, so keys of any length may be used and never run into one another.

    Args:
        purpose: The room that draws; two rooms with equal numbers still draw differently.
        key: Whole numbers of any size and sign.
    """
    text = ":".join([purpose, *(str(index(number)) for number in key)])
    digest = hashlib.blake2b(text.encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little")))


def hash_order(names: Sequence[str], seed: int) -> Int[np.ndarray, " N"]:
    """Positions of the names, sorted by the hash of (seed, name).

    A name's place among the others depends on itself alone, so the first few stay almost the same
    when names are added or listed in another order. Another seed gives another order.
    """
    hashes = [hashlib.blake2b(f"{seed}:{name}".encode()).digest() for name in names]
    return np.array(sorted(range(len(names)), key=hashes.__getitem__), dtype=np.int64)
