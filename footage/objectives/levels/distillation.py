"""Self-distillation at the frame or shot level."""

import copy
from math import log

import torch
from torch import Tensor, nn

from footage import distributed
from footage.models.heads import PrototypeHead
from footage.objectives.config import FrameShotConfig
from footage.objectives.inputs import LevelInput, Shape
from footage.objectives.losses.distillation import DistillationConfig, self_distillation
from footage.shapes import Scalar


class DistillationLevel(nn.Module):
    """Self-distillation: the student predicts the teacher's output for another view.

    Caron et al. 2021 (DINO), https://arxiv.org/abs/2104.14294, with the frames of a shot instead
    of the crops of an image [ours]. The teacher is a moving average of the student's weights. Its
    outputs are centred, so that no single prototype dominates, and sharpened, so that they do not
    become uniform.
    """

    centre: Tensor

    def __init__(self, feature_dim: int, config: FrameShotConfig) -> None:
        super().__init__()
        assert isinstance(config.loss, DistillationConfig)
        self.config = config
        self.loss = config.loss
        self.name = f"{config.positives}/distillation"
        self.student = PrototypeHead(feature_dim, config.embedding_dim)
        self.teacher = copy.deepcopy(self.student).requires_grad_(False)
        self.register_buffer("centre", torch.zeros(config.embedding_dim))

    def forward(self, batch: LevelInput) -> Scalar:
        """Compute the loss, before weighting; in training mode, then update the centre."""
        assert batch.teacher is not None
        config = self.loss
        students = distributed.gather(self.student(batch.features))
        with torch.no_grad():
            teachers = distributed.gather(self.teacher(batch.teacher))
        loss = self_distillation(
            students,
            teachers,
            batch.rows,
            self.centre.clone(),
            self.config.positives,
            config.temperature,
            config.teacher_temperature,
        )
        if self.training:
            self.centre.lerp_(
                teachers.flatten(0, 3).mean(dim=0).to(self.centre), 1 - config.centre_decay
            )
        return loss

    def chance(self, shape: Shape) -> float:  # noqa: ARG002  (the same for every batch)
        """Return the cross-entropy of a uniform prediction over the prototypes."""
        return log(self.config.embedding_dim)
