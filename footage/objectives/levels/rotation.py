"""Rotation prediction at the frame level."""

from math import log

from torch import nn

from footage import distributed
from footage.objectives.config import FrameShotConfig
from footage.objectives.inputs import LevelInput, Shape
from footage.objectives.losses.classification import classification
from footage.objectives.losses.rotation import NUM_ROTATIONS
from footage.shapes import Scalar


class RotationLevel(nn.Module):
    """Predict by how many quarter rotations each view was rotated, with a linear head.

    VIVI-Rot [recalled .8]: shot invariance then comes only through pooling and the video levels.
    Gidaris et al. 2018, https://arxiv.org/abs/1803.07728, show every image in all four rotations.
    Deviation: here each view appears in one rotation; the views of a shot are spread evenly over
    the four.
    """

    name = "frame/rotation"

    def __init__(self, feature_dim: int, config: FrameShotConfig) -> None:
        super().__init__()
        self.config = config
        self.classify = nn.Linear(feature_dim, NUM_ROTATIONS)

    def forward(self, batch: LevelInput) -> Scalar:
        """Compute the loss, before weighting."""
        assert batch.rotations is not None
        logits = distributed.gather(self.classify(batch.features))
        rotations = distributed.gather(batch.rotations)
        return classification(logits.flatten(0, 3), rotations.flatten())

    def chance(self, shape: Shape) -> float:  # noqa: ARG002  (the same for every batch)
        """Return the cross-entropy of a uniform guess among four rotations."""
        return log(NUM_ROTATIONS)
