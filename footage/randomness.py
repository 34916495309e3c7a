"""Counter-based randomness: every draw is a pure function of what it is for.

    generator("augment", seed, step, video, shot, frame, view)  ->  the draws of that one view

Nothing is carried from one draw to the next, so a resumed run, any number of loading workers and
any number of ranks see the same numbers, and there is no generator state to save.
"""

import hashlib
from operator import index
from typing import SupportsIndex

import numpy as np


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
