"""Self-distillation from a moving-average teacher (DINO)."""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float

from footage.errors import ConfigError
from footage.lazy import torch
from footage.objectives.losses.base import LossConfig, register_loss
from footage.objectives.losses.numerics import full_precision
from footage.objectives.positives import PairPositives, num_positives, pairs, sum_over_positives
from footage.shapes import Embeddings, Scalar, ShotRows, Tensor


@register_loss("distillation", title="self-distillation")
@dataclass(frozen=True, kw_only=True, slots=True)
class DistillationConfig(LossConfig):
    """Self-distillation as in DINO; `embedding_dim` is the number of prototypes [ours].

    `levels.distillation` contains the head and the value at chance.
    """

    needs_teacher: ClassVar[bool] = True

    temperature: float = 0.1
    """Temperature of the student, as in DINO."""

    teacher_temperature: float = 0.04
    """Temperature of the teacher; lower than the student's, for sharper targets."""

    teacher_decay: float = 0.996
    """EMA decay of the teacher per step; it increases to 1 on a cosine schedule."""

    centre_decay: float = 0.9
    """EMA decay of the centre of the teacher's outputs per step."""

    def __post_init__(self) -> None:
        """Reject invalid values."""
        for name in ("temperature", "teacher_temperature"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} must be > 0, got {getattr(self, name)}")
        for name in ("teacher_decay", "centre_decay"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"{name} must lie in [0, 1), got {getattr(self, name)}")


def self_distillation(
    students: Embeddings,
    teachers: Embeddings,
    shots: ShotRows,
    centre: Float[Tensor, " D"],
    positives: PairPositives = "shot",
    student_temperature: float = 0.1,
    teacher_temperature: float = 0.04,
) -> Scalar:
    """Self-distillation: predict the teacher's output for another view of the same shot.

    `P` is the softmax over the D dimensions. The mean is over all ordered positive pairs of views
    (t, s), each embedded by teacher and student; no view is its own positive. The teachers and the
    centre are detached. There are no negatives: only `centre`, the running mean of the teachers'
    outputs that the caller maintains, and the lower teacher temperature prevent collapse.
    Uninformative students, with every dimension equally likely, score log D whatever the teachers.
    Collapse onto one dimension scores 0, so a low value alone proves nothing.

    Formula: `-mean over (t, s) of sum over d of P((teacher(t) - centre) / teacher_temperature)_d
        log P(student(s) / student_temperature)_d`
    Source: DINO, Caron et al. 2021, equations 1 to 3 and algorithm 1. Not part of VIVI [ours].

    Raises:
        ConfigError: No two embeddings are a positive pair.
    """
    frames, views = students.shape[2:4]
    found = pairs(shots, frames, views, positives)
    log_student = (full_precision(students).flatten(0, 3) / student_temperature).log_softmax(dim=1)
    with torch.no_grad():
        logits = full_precision(teachers).flatten(0, 3) - centre
        wanted = sum_over_positives((logits / teacher_temperature).softmax(dim=1), found)
    return -(wanted * log_student).sum() / num_positives(wanted, found).sum()
