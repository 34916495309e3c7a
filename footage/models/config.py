"""Settings of backbones and their preprocessing. This module does not import torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from footage.errors import ConfigError
from footage.models.options import NAME, Option, check_options
from footage.runs.records import LEAST_STD, MOST_MEAN, MOST_PIXELS

ATTENTION_HEADS = 4
"""Number of attention heads in the predictors [ours]."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BackboneConfig:
    """Backbone network."""

    architecture: str = "resnetv2_50"
    """Any timm image model, or a backbone of a plugin. Paper: resnetv2_50; "Big" is the same with
    option width_factor 3.
    """

    options: Mapping[str, Option] = field(default_factory=dict)
    """Options of the timm network, such as width_factor 3. `footage.models.options` lists them."""

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.architecture):
            raise ConfigError(
                f"timm has no model {self.architecture[:200]!r}",
                "set backbone.architecture to a name such as resnet50",
            )
        check_options(self.architecture, self.options)


@dataclass(frozen=True, kw_only=True, slots=True)
class Preprocessing:
    """Preprocessing of pixels: a square resize, then (x / 255 - mean) / std."""

    size: int
    """Height and width of the input, in pixels."""

    mean: tuple[float, float, float]
    """Mean of red, green and blue, on the scale 0 to 1."""

    std: tuple[float, float, float]
    """Standard deviation of red, green and blue, on the scale 0 to 1."""

    def __post_init__(self) -> None:
        if not 0 <= self.size <= MOST_PIXELS:
            raise ConfigError(
                f"the image size must be from 1 to {MOST_PIXELS} pixels, got {self.size}",
                "choose a size such as 224",
            )
        for name, values, least in (("mean", self.mean, -MOST_MEAN), ("std", self.std, LEAST_STD)):
            if len(values) != 3 or not all(least <= value <= MOST_MEAN for value in values):
                raise ConfigError(
                    f"{name} must be three numbers from {least} to {MOST_MEAN}, got {values}",
                    "give one number for each of red, green and blue, on the scale 0 to 1",
                )
