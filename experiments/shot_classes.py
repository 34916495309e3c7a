"""A level that classifies shots with a linear head: one class per shot of the store."""

from dataclasses import dataclass
from math import log

from torch import nn

from footage import distributed
from footage.errors import ConfigError
from footage.objectives.inputs import LevelInput, Shape
from footage.objectives.levels.base import LevelConfig, register_level
from footage.objectives.losses.classification import classification
from footage.shapes import Scalar


class ShotClassesLevel(nn.Module):
    """Predict which shot of the store each view comes from.

    The exemplar loss only compares the shots of a batch. Dosovitskiy et al. 2014 used classes, too.
    """

    name = "shot/classes"

    def __init__(self, feature_dim: int, num_classes: int) -> None:
        super().__init__()
        self.classify = nn.Linear(feature_dim, num_classes)

    def forward(self, batch: LevelInput) -> Scalar:
        """Compute the loss, before weighting."""
        rows = batch.rows.to(batch.features.device)
        if int(rows.max()) >= self.classify.out_features:
            raise ConfigError(
                f"the store has more than {self.classify.out_features} shots",
                "set objective.extra_levels.shot_classes.num_classes to the number of shots",
            )
        logits = distributed.gather(self.classify(batch.features))
        shots = rows[:, :, None, None].expand(logits.shape[:4])
        return classification(logits.flatten(0, 3), shots.flatten())

    def chance(self, shape: Shape) -> float:  # noqa: ARG002  (the same for every batch)
        """Return the cross-entropy of a uniform guess."""
        return log(self.classify.out_features)


@dataclass(frozen=True, kw_only=True, slots=True)
class ShotClassesConfig(LevelConfig):
    """Classify the shots of the store."""

    num_classes: int = 2048
    """Number of classes; at least the number of shots in the store."""

    def build(self, feature_dim: int, shots_per_video: int) -> ShotClassesLevel:  # noqa: ARG002
        """Build the level."""
        return ShotClassesLevel(feature_dim, self.num_classes)


def register() -> None:
    """Register the level."""
    register_level("shot_classes", title="Shot classes")(ShotClassesConfig)
