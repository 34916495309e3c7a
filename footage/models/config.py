"""Settings of backbones and their preprocessing. This module does not import torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

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
class AdaptConfig:
    """What training may change in the weights that a run starts from."""

    frozen_fraction: float = 0.0
    """Fraction of the network's stages, from the input, whose weights are frozen. A ResNet has five
    stages (stem and four), a ViT has its patch embedding and one per block."""

    layer_decay: float = 1.0
    """Layer-wise learning rate decay: factor by which the learning rate of each layer is smaller
    than that of the layer after it; 1 uses one learning rate."""

    batch_norm: Literal["update", "frozen"] = "update"
    """Batch norm statistics of the network: update them, or keep those of the initial weights
    (frozen). Those of frozen stages are always kept."""

    lora_rank: int = 0
    """Rank of LoRA: train low-rank updates of the linear layers of a ViT and freeze everything else
    in the network; 0 trains the weights themselves. Needs the extra `lora`."""

    def __post_init__(self) -> None:
        """Reject invalid values."""
        if not 0 <= self.frozen_fraction < 1:
            raise ConfigError(
                f"adapt.frozen_fraction must lie in [0, 1), got {self.frozen_fraction}",
                "use 0.4 to freeze the first two of five stages",
            )
        if not 0 < self.layer_decay <= 1:
            raise ConfigError(
                f"adapt.layer_decay must lie in (0, 1], got {self.layer_decay}",
                "use a factor such as 0.75, or 1 for one learning rate",
            )
        if self.lora_rank < 0:
            raise ConfigError(
                f"adapt.lora_rank must be at least 0, got {self.lora_rank}",
                "use a rank such as 8, or 0 to train the weights themselves",
            )

    @property
    def needs_weights(self) -> bool:
        """Whether these settings are meaningless for random initial weights."""
        return bool(self.frozen_fraction or self.lora_rank or self.batch_norm == "frozen")


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
