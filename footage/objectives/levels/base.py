"""What the levels are given, and the checks that their settings share."""

import math
from typing import NamedTuple

from jaxtyping import Float, Int
from torch import Tensor

from footage.errors import ConfigError
from footage.shapes import Embeddings, ShotEmbeddings, ShotRows

Shape = tuple[int, int, int, int]
"""V, S, F and A of the global batch."""


class LevelInput(NamedTuple):
    """What the levels see of a batch."""

    features: Embeddings
    """Of this rank's videos."""

    rows: ShotRows
    """For each shot of the global batch: which shot of the store it is, or is a part of."""

    step: int
    """Number of the batch; with the seed it decides what a level draws."""

    seed: int
    """Seed of the run."""

    shots: ShotEmbeddings | None = None
    """The features, pooled over the frames and views of each shot; for the video levels."""

    teacher: Embeddings | None = None
    """The teacher's features of the same views, without gradient; for self-distillation."""

    turns: Int[Tensor, "V S F A"] | None = None
    """By how many quarter turns each view of this rank was rotated; for rotation."""


class LabelledInput(NamedTuple):
    """What the supervised level sees of a batch."""

    features: Float[Tensor, "B D"]
    """Of this rank's labelled images."""

    labels: Int[Tensor, " B"]
    """Their class numbers."""


def check(config: object, *, where: str, above_0: tuple[str, ...]) -> None:
    """Refuse a negative weight, and anything of `above_0` that is not positive.

    Raises:
        ConfigError: Naming the field.
    """
    for name in ("weight", *above_0):
        value = getattr(config, name)
        if not math.isfinite(value) or value < 0 or (name != "weight" and value == 0):
            least = ">= 0" if name == "weight" else "> 0"
            raise ConfigError(
                f"objective.{where}.{name} must be {least}, got {value}",
                "Set it to 0 to switch the level off." if name == "weight" else "Give it a size.",
            )
