"""The frame/shot level: what the views of a frame, or the frames of a shot, have in common.

    exemplar      triplets                                      VIVI-Ex [paper]
    rotation      which way is up                               VIVI-Rot [paper]
    nce           InfoNCE with several positives                [ours]
    vicreg        variance, invariance, covariance              [ours]
    distillation  a slow teacher is imitated across views       [ours]

To train with another loss of embeddings: write it in `losses.py`, then name it here, in
`FrameShotConfig.loss` and `EMBEDDING_LOSSES`.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import log, prod
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from footage import distributed
from footage.errors import ConfigError
from footage.models.heads import Projection, PrototypeHead
from footage.objectives.levels.base import LevelInput, Shape, check
from footage.objectives.losses import (
    Hinge,
    classification,
    exemplar,
    multi_positive_nce,
    self_distillation,
    vicreg,
)
from footage.objectives.mining import Mining
from footage.objectives.positives import PairPositives
from footage.seeding import generator
from footage.shapes import Embeddings, Scalar

NUM_TURNS = 4
"""A view is upright, or turned by one, two or three quarters."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FrameShotConfig:
    """Frame or shot level: what the views of one frame, or the frames of one shot, share."""

    weight: float = 1.0
    """How much the level counts; 0 switches it off."""

    loss: Literal["exemplar", "rotation", "nce", "vicreg", "distillation"] = "exemplar"
    """exemplar: triplets [paper]. rotation: name each view's quarter turns [paper]. nce:
    multi-positive InfoNCE. vicreg. distillation: imitate a slow teacher, as DINO does [ours]."""

    positives: PairPositives = "shot"
    """What is one identity: the views of a frame (baseline), all frames and views of a shot (VIVI),
    or, not for exemplar, other_frames: those of a shot without the views of the same frame."""

    projection: Literal["linear", "mlp"] = "linear"
    """Head: linear as in the same lab's exemplar code [paper], mlp as is usual for nce [ours]."""

    embedding_dim: int = 1000
    """Width of the embedding that is compared [paper: same lab's exemplar code]; for distillation
    the number of prototypes."""

    margin: float = 0.5
    """exemplar: margin of the triplet loss, in squared distance [paper: same code]."""

    mining: Mining = "semi-hard"
    """exemplar: triplet mining; semi-hard as in the same code, the others as in s4l [paper]."""

    hinge: Hinge = "margin"
    """exemplar: hinge at the margin, or the soft margin without a margin, as in s4l."""

    temperature: float = 0.1
    """nce: temperature of the cosine, as in SimCLR; distillation: of the student, as in DINO."""

    teacher_temperature: float = 0.04
    """distillation: temperature of the teacher; lower than the student's, for sharper targets."""

    teacher_decay: float = 0.996
    """distillation: EMA decay of the teacher per step; it rises to 1 along a cosine."""

    centre_decay: float = 0.9
    """distillation: EMA decay of the centre of the teacher's outputs per step."""

    invariance: float = 25.0
    """vicreg: weight of the invariance term (distance between positives)."""

    variance: float = 25.0
    """vicreg: weight of the variance term (spread of each dimension)."""

    covariance: float = 1.0
    """vicreg: weight of the covariance term (correlation between dimensions)."""

    def __post_init__(self) -> None:
        """Refuse values that cannot be trained with."""
        above_0 = ("embedding_dim", "margin", "temperature", "teacher_temperature")
        check(self, where="frame_shot", above_0=above_0)
        for name in ("teacher_decay", "centre_decay"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(
                    f"objective.frame_shot.{name} must lie in [0, 1), got {getattr(self, name)}"
                )
        if self.loss == "exemplar" and self.positives == "other_frames":
            raise ConfigError(
                "objective.frame_shot.positives = other_frames has no meaning for triplets",
                "take shot, or another loss",
            )

    def positives_of_a_view(self, frames: int, views: int) -> int:
        """How many other views count as the same as one, when every shot has its own identity."""
        if self.loss == "rotation":
            return 1  # it needs no pair
        views_alike = {"frame": views, "shot": frames * views}
        return (
            views_alike[self.positives] - 1
            if self.positives in views_alike
            else views * (frames - 1)
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class FrameConfig:
    """Views of one frame alike in a head of their own, where shots are alike in another [ours].

    What a shot has in common says nothing of how near, how many and which way round; two views of
    one frame do. Loss and head are those of `frame_shot`.
    """

    weight: float = 0.0
    """How much the level counts; 0 switches it off."""

    def __post_init__(self) -> None:
        """Refuse values that cannot be trained with."""
        check(self, where="frame", above_0=())

    def level(self, frame_shot: FrameShotConfig) -> FrameShotConfig:
        """The level as the settings of `frame_shot` make it."""
        return replace(frame_shot, weight=self.weight, positives="frame")


class EmbeddingLoss(NamedTuple):
    """How a loss of embeddings is called, and what it is when they say nothing."""

    value: Callable[[Embeddings, LevelInput, FrameShotConfig], Scalar]
    chance: Callable[[FrameShotConfig, Shape], float]


def _exemplar(embeddings: Embeddings, batch: LevelInput, config: FrameShotConfig) -> Scalar:
    assert config.positives != "other_frames"
    draws = None
    if config.mining == "hardness-sampled":
        num_embeddings = prod(embeddings.shape[:4])
        random = generator("mining", batch.seed, batch.step).random((num_embeddings, 2))
        draws = torch.from_numpy(random).to(embeddings)
    return exemplar(
        embeddings, batch.rows, config.positives, config.margin, config.mining, config.hinge, draws
    )


def _chance_of_exemplar(config: FrameShotConfig, shape: Shape) -> float:  # noqa: ARG001
    return log(2) if config.hinge == "soft" else config.margin


def _nce(embeddings: Embeddings, batch: LevelInput, config: FrameShotConfig) -> Scalar:
    return multi_positive_nce(embeddings, batch.rows, config.positives, config.temperature)


def _chance_of_nce(config: FrameShotConfig, shape: Shape) -> float:
    left_out = shape[3] if config.positives == "other_frames" else 1
    return log(prod(shape) - left_out)


def _vicreg(embeddings: Embeddings, batch: LevelInput, config: FrameShotConfig) -> Scalar:
    weights = (config.invariance, config.variance, config.covariance)
    return vicreg(embeddings, batch.rows, config.positives, *weights)


def _chance_of_vicreg(config: FrameShotConfig, shape: Shape) -> float:  # noqa: ARG001
    """Of embeddings at one point, whose spread is 0.01 instead of 1: see `losses.vicreg`."""
    return 2 * 0.99 * config.variance


EMBEDDING_LOSSES: dict[str, EmbeddingLoss] = {
    "exemplar": EmbeddingLoss(_exemplar, _chance_of_exemplar),
    "nce": EmbeddingLoss(_nce, _chance_of_nce),
    "vicreg": EmbeddingLoss(_vicreg, _chance_of_vicreg),
}
"""The losses that compare embeddings, by the name that `FrameShotConfig.loss` gives them."""


class EmbeddingLevel(nn.Module):
    """Projection, then a loss of the embeddings of the whole batch."""

    def __init__(self, feature_dim: int, config: FrameShotConfig) -> None:
        super().__init__()
        self.config = config
        self.name = f"{config.positives}/{config.loss}"
        self.loss = EMBEDDING_LOSSES[config.loss]
        self.projection = Projection(feature_dim, config.embedding_dim, config.projection)

    def forward(self, batch: LevelInput) -> Scalar:
        """The loss of the level, before its weight."""
        embeddings = distributed.gather(self.projection(batch.features))
        return self.loss.value(embeddings, batch, self.config)

    def chance(self, shape: Shape) -> float:
        """What the loss is when embeddings say nothing."""
        return self.loss.chance(self.config, shape)


class RotationLevel(nn.Module):
    """Each view was rotated by 0 to 3 quarter turns; a linear head says by how many.

    VIVI-Rot [recalled .8]: shot invariance then comes only through pooling and the video levels.
    Gidaris et al. 2018, https://arxiv.org/abs/1803.07728, show every image in all four rotations.
    Deviation: here a view is shown in one; those of a shot are spread evenly over the four.
    """

    name = "frame/rotation"

    def __init__(self, feature_dim: int, config: FrameShotConfig) -> None:
        super().__init__()
        self.config = config
        self.classify = nn.Linear(feature_dim, NUM_TURNS)

    def forward(self, batch: LevelInput) -> Scalar:
        """The loss of the level, before its weight."""
        assert batch.turns is not None
        logits = distributed.gather(self.classify(batch.features))
        turns = distributed.gather(batch.turns)
        return classification(logits.flatten(0, 3), turns.flatten())

    def chance(self, shape: Shape) -> float:  # noqa: ARG002  (the same for every batch)
        """A guess among four."""
        return log(NUM_TURNS)


class DistillationLevel(nn.Module):
    """Self-distillation: the student foretells what a slow teacher says of another view.

    Caron et al. 2021 (DINO), https://arxiv.org/abs/2104.14294, with the frames of a shot in the
    place of the crops of an image [ours]. The teacher is an average of the student's weights over
    the steps; its outputs are centred, which keeps them from favouring one prototype, and
    sharpened, which keeps them from favouring none.
    """

    centre: Tensor

    def __init__(self, feature_dim: int, config: FrameShotConfig) -> None:
        super().__init__()
        self.config = config
        self.name = f"{config.positives}/distillation"
        self.student = PrototypeHead(feature_dim, config.embedding_dim)
        self.teacher = copy.deepcopy(self.student).requires_grad_(False)
        self.register_buffer("centre", torch.zeros(config.embedding_dim))

    def forward(self, batch: LevelInput) -> Scalar:
        """The loss of the level, before its weight; in training the centre follows afterwards."""
        assert batch.teacher is not None
        config = self.config
        students = distributed.gather(self.student(batch.features))
        with torch.no_grad():
            teachers = distributed.gather(self.teacher(batch.teacher))
        loss = self_distillation(
            students,
            teachers,
            batch.rows,
            self.centre.clone(),
            config.positives,
            config.temperature,
            config.teacher_temperature,
        )
        if self.training:
            self.centre.lerp_(
                teachers.flatten(0, 3).mean(dim=0).to(self.centre), 1 - config.centre_decay
            )
        return loss

    def chance(self, shape: Shape) -> float:  # noqa: ARG002  (the same for every batch)
        """All prototypes alike."""
        return log(self.config.embedding_dim)


FrameShotLevel = EmbeddingLevel | RotationLevel | DistillationLevel


def frame_shot_level(feature_dim: int, config: FrameShotConfig) -> FrameShotLevel:
    """The level that a configuration names."""
    if config.loss == "rotation":
        return RotationLevel(feature_dim, config)
    if config.loss == "distillation":
        return DistillationLevel(feature_dim, config)
    return EmbeddingLevel(feature_dim, config)
