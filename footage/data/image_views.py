"""Augment labelled images: random crop, optional flip, and an optional policy.

    image -> crop -> scale -> flip -> policy                            uint8 in, uint8 out

The crop uses the same random numbers as that of a frame (`views.draw`). The policy's random numbers
come after them, so changing the policy does not change any crop.
"""

import numpy as np
from jaxtyping import UInt8

from footage.data.config import LabelledViewConfig
from footage.data.policies import auto_augment, rand_augment
from footage.data.views import augment_encoded
from footage.images.decode import Encoded


def labelled_view_of(
    image: Encoded, random: np.random.Generator, config: LabelledViewConfig, size: int
) -> UInt8[np.ndarray, "H W 3"]:
    """Make one random view of an encoded image, decoded no larger than the crop needs.

    Args:
        image: The encoded image.
        random: Source of all draws; their number depends only on the configuration.
        config: Augmentation settings.
        size: Height and width of the view, in pixels.

    Raises:
        ImageError: The bytes are not a complete image.
    """
    (view,) = augment_encoded(image, [random], config.crops(size))
    if config.policy == "randaugment":
        return rand_augment(view, random, config.operations, config.magnitude)
    return auto_augment(view, random) if config.policy == "autoaugment" else view
