"""The frame/shot level: compare the views of a frame, or the frames of a shot."""

from torch import nn

from footage import distributed
from footage.models.heads import Projection
from footage.objectives.config import FrameShotConfig
from footage.objectives.inputs import LevelInput, Shape
from footage.objectives.levels.distillation import DistillationLevel
from footage.objectives.levels.rotation import RotationLevel
from footage.objectives.losses.base import EmbeddingLossConfig
from footage.objectives.plugin_checks import checked_chance, checked_value
from footage.shapes import Scalar


class EmbeddingLevel(nn.Module):
    """Projection head, followed by a loss over the embeddings of the whole batch."""

    def __init__(self, feature_dim: int, config: FrameShotConfig) -> None:
        super().__init__()
        assert isinstance(config.loss, EmbeddingLossConfig)
        self.config = config
        self.loss = config.loss
        self.name = f"{config.positives}/{config.loss.name}"
        self.projection = Projection(feature_dim, config.embedding_dim, config.projection)

    def forward(self, batch: LevelInput) -> Scalar:
        """Compute the loss, before weighting."""
        embeddings = distributed.gather(self.projection(batch.features))
        return checked_value(
            f"loss {self.loss.name!r}",
            self.loss,
            lambda: self.loss.loss(embeddings, batch, self.config.positives),
        )

    def chance(self, shape: Shape) -> float:
        """Return the loss value for uninformative embeddings."""
        name, positives = f"loss {self.loss.name!r}", self.config.positives
        return checked_chance(name, self.loss, self.loss.chance, shape, positives)


FrameShotLevel = EmbeddingLevel | RotationLevel | DistillationLevel

_OWN_HEADS: dict[str, type[RotationLevel] | type[DistillationLevel]] = {
    "rotation": RotationLevel,
    "distillation": DistillationLevel,
}


def frame_shot_level(feature_dim: int, config: FrameShotConfig) -> FrameShotLevel:
    """Build the level with the configured loss."""
    level = _OWN_HEADS.get(config.loss.name, EmbeddingLevel)
    return level(feature_dim, config)
