"""The teacher level: predict the features of a frozen network on the same views."""

import torch
from torch import nn

from footage import distributed
from footage.models.heads import Projection
from footage.objectives.config import TeacherConfig
from footage.objectives.inputs import LevelInput, Shape
from footage.objectives.losses.feature_distillation import feature_cosine, feature_smooth_l1
from footage.shapes import Scalar

LARGEST_CONSTANT_LOSS = 0.5
"""Smooth L1 loss of the prediction 0 for targets of variance 1, at most."""


class TeacherLevel(nn.Module):
    """A projection from the student's features to the teacher's, and a loss between the two.

    Distillation of features (Romero et al. 2015, FitNets, https://arxiv.org/abs/1412.6550). The
    teacher is any other network, and frozen; in self-distillation (`levels.distillation`) it is an
    average of the student.
    """

    def __init__(self, feature_dim: int, config: TeacherConfig, teacher_dim: int) -> None:
        super().__init__()
        self.config = config
        self.name = f"teacher/{config.loss}"
        self.projection = Projection(feature_dim, teacher_dim, config.projection)

    def forward(self, batch: LevelInput) -> Scalar:
        """Compute the loss, before weighting."""
        assert batch.frozen_teacher is not None
        students = distributed.gather(self.projection(batch.features))
        with torch.no_grad():
            teachers = distributed.gather(batch.frozen_teacher)
        loss = feature_cosine if self.config.loss == "cosine" else feature_smooth_l1
        return loss(students, teachers.to(students.dtype))

    def chance(self, shape: Shape) -> float:  # noqa: ARG002  (the same for every batch)
        """Return the loss of a constant prediction: about 1 for cosine, an upper bound else."""
        return 1.0 if self.config.loss == "cosine" else LARGEST_CONSTANT_LOSS
