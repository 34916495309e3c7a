"""The supervised level: labelled images have classes. Co-training adds it to the video levels."""

from dataclasses import dataclass
from math import log

from torch import nn

from footage import distributed
from footage.errors import ConfigError
from footage.objectives.levels.base import LabelledInput, check
from footage.objectives.losses import classification
from footage.shapes import Scalar


@dataclass(frozen=True, kw_only=True, slots=True)
class SupervisedConfig:
    """Classify labelled images."""

    weight: float = 0.0
    """How much the level counts (gamma); 0 switches it off. Recalled: about 1 [.2]: tune it."""

    label_smoothing: float = 0.0
    """Label smoothing: probability mass spread evenly over all classes [ours]."""

    def __post_init__(self) -> None:
        """Refuse values that cannot be trained with."""
        check(self, where="supervised", above_0=())
        if not 0 <= self.label_smoothing < 1:
            raise ConfigError(
                "objective.supervised.label_smoothing must lie in [0, 1), "
                f"got {self.label_smoothing}"
            )


class SupervisedLevel(nn.Module):
    """A linear layer and cross-entropy on the features of labelled images [paper]."""

    name = "supervised"

    def __init__(self, feature_dim: int, config: SupervisedConfig, num_classes: int) -> None:
        super().__init__()
        self.config = config
        self.classify = nn.Linear(feature_dim, num_classes)

    def forward(self, batch: LabelledInput) -> Scalar:
        """The loss of the level, before its weight."""
        logits = distributed.gather(self.classify(batch.features))
        labels = distributed.gather(batch.labels)
        return classification(logits, labels, self.config.label_smoothing)

    def chance(self) -> float:
        """All classes alike; less where classes are not equally common."""
        return log(self.classify.out_features)
