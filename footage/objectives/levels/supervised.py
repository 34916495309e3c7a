"""The supervised level: classify labelled images. Co-training adds it to the video levels."""

from math import log

from torch import nn

from footage import distributed
from footage.objectives.config import SupervisedConfig
from footage.objectives.inputs import LabelledInput
from footage.objectives.losses.classification import classification
from footage.shapes import Scalar


class SupervisedLevel(nn.Module):
    """Linear layer and cross-entropy on the features of labelled images [paper]."""

    name = "supervised"

    def __init__(self, feature_dim: int, config: SupervisedConfig, num_classes: int) -> None:
        super().__init__()
        self.config = config
        self.classify = nn.Linear(feature_dim, num_classes)

    def forward(self, batch: LabelledInput) -> Scalar:
        """Compute the loss, before weighting."""
        logits = distributed.gather(self.classify(batch.features))
        labels = distributed.gather(batch.labels)
        return classification(logits, labels, self.config.label_smoothing)

    def chance(self) -> float:
        """Return the cross-entropy of a uniform prediction; imbalanced classes allow less."""
        return log(self.classify.out_features)
