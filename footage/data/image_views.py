"""Augment labelled images: random crop, optional flip, and an optional policy.

    image -> crop -> scale -> flip -> policy                            uint8 in, uint8 out

The crop uses the same random numbers as that of a frame (`views.draw`). The policy's random numbers
come after them, so changing the policy does not change any crop.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import UInt8

from footage.data.policies import auto_augment, rand_augment
from footage.data.views import AugmentConfig, augment_encoded
from footage.errors import ConfigError
from footage.images.decode import Encoded


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelledViewConfig:
    """Augmentation settings for labelled images."""

    crop_scale_min: float = 0.05
    """Smallest crop, as a fraction of the image's area. Recalled: 5 % in the code of the paper's
    lab; Szegedy et al. 2015 used 8 %."""
    flip_probability: float = 0.5
    """Probability of a horizontal flip."""
    policy: Literal["none", "randaugment", "autoaugment"] = "none"
    """Additional augmentation: RandAugment, or AutoAugment's policy for ImageNet."""
    operations: int = 2
    """Number of RandAugment operations per view. Recalled: 2 for ResNet-50 in its paper."""
    magnitude: int = 9
    """Strength of RandAugment's operations in tenths of AutoAugment's ranges, 0 to 10. Recalled: 9
    for ResNet-50 in its paper; torchvision would call it 27 of 30."""

    def __post_init__(self) -> None:
        if self.policy not in ("none", "randaugment", "autoaugment"):
            raise ConfigError(
                f"policy must be 'none', 'randaugment' or 'autoaugment', got {self.policy!r}"
            )
        if self.operations < 1:
            raise ConfigError(f"operations must be at least 1, got {self.operations}")
        if not 0 <= self.magnitude <= 10:
            raise ConfigError(f"magnitude must be from 0 to 10, got {self.magnitude}")
        self.crops(1)

    def crops(self, size: int) -> AugmentConfig:
        """Return the crop and the flip as an augmentation without colour jitter and blur.

        Args:
            size: Height and width of a view, in pixels.
        """
        return AugmentConfig(
            size=size,
            crop_scale_min=self.crop_scale_min,
            flip_probability=self.flip_probability,
            colour_probability=0.0,
            grey_probability=0.0,
            blur_probability=0.0,
        )


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
