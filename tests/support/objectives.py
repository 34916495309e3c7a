"""Small objectives with every choice of every level, and what they are shown."""

import dataclasses

import torch

from footage import distributed
from footage.objectives.config import (
    FrameConfig,
    FrameShotConfig,
    FutureConfig,
    ObjectiveConfig,
    OrderConfig,
    SupervisedConfig,
    TeacherConfig,
)
from footage.objectives.inputs import LabelledInput, ObjectiveInput
from footage.objectives.losses.distillation import DistillationConfig
from footage.objectives.losses.exemplar import ExemplarConfig
from footage.objectives.losses.nce import NCEConfig
from footage.objectives.losses.rotation import RotationConfig
from footage.objectives.losses.vicreg import VICRegConfig
from footage.objectives.objective import Objective

V, S, F, A, D = 4, 4, 2, 2, 10
SHAPE = (V, S, F, A)
CLASSES, IMAGES = 3, 8
TEACHER_D = 7
SMALL = ObjectiveConfig(
    frame_shot=FrameShotConfig(embedding_dim=8, weight=1.0),
    future=FutureConfig(embedding_dim=6, hidden_dim=5, weight=0.5),
    order=OrderConfig(hidden_dim=5, weight=0.25),
)


def _small(**frame_shot):
    return dataclasses.replace(SMALL, frame_shot=FrameShotConfig(embedding_dim=8, **frame_shot))


MODERN = ObjectiveConfig(
    frame_shot=FrameShotConfig(loss=NCEConfig(), projection="mlp", embedding_dim=8),
    future=FutureConfig(critic="inner_product", embedding_dim=6, hidden_dim=5, weight=0.5),
    order=OrderConfig(predictor="lstm", hidden_dim=5, weight=0.25),
    pooling="attention",
)
CONFIGS = {
    "paper": SMALL,
    "modern": MODERN,
    "frame beside shot": dataclasses.replace(SMALL, frame=FrameConfig(weight=0.5)),
    "hardness": _small(loss=ExemplarConfig(mining="hardness-sampled")),
    "other frames": _small(loss=NCEConfig(), positives="other_frames"),
    "vicreg": _small(loss=VICRegConfig(), projection="mlp"),
    "rotation": _small(loss=RotationConfig()),
    "distillation": _small(loss=DistillationConfig()),
    "transformer": dataclasses.replace(
        SMALL,
        future=FutureConfig(predictor="transformer", embedding_dim=6, hidden_dim=8, weight=0.5),
    ),
    "regression": dataclasses.replace(
        SMALL, future=FutureConfig(loss="mse", embedding_dim=6, hidden_dim=5, weight=0.5)
    ),
    "teacher": dataclasses.replace(SMALL, teacher=TeacherConfig(weight=0.5)),
    "teacher, regression": dataclasses.replace(
        SMALL, teacher=TeacherConfig(weight=0.5, loss="smooth_l1", projection="linear")
    ),
    "co-training": dataclasses.replace(SMALL, supervised=SupervisedConfig(weight=2.0)),
}
"""Every choice of every level, at least once."""


def objective(config=SMALL, dtype=torch.float32, seed=7):
    return Objective(D, config, S, num_classes=CLASSES, teacher_dim=TEACHER_D, seed=seed).to(dtype)


def features(dtype=torch.float32, videos=V, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(videos, S, F, A, D, generator=generator, dtype=dtype)


ROWS = torch.arange(V * S).view(V, S)
"""Every shot of the batch is another."""


def inputs(whole, values=None, rows=ROWS, step=3):
    """What `whole` needs to see of a batch, whichever levels it has; of this rank's videos."""
    values = features() if values is None else values
    rank, world = distributed.rank(), distributed.world_size()
    rotations = whole.rotations((len(values) * world, *values.shape[1:4]), step)
    of_teacher = features(values.dtype, seed=2)[rank::world]
    of_frozen = features(values.dtype, seed=4)[rank::world, ..., :TEACHER_D]
    images = features(values.dtype, seed=3).flatten(0, 3)[:IMAGES]
    labels = torch.arange(IMAGES) % CLASSES
    return ObjectiveInput(
        features=values,
        rows=rows,
        teacher=of_teacher if whole.config.has_teacher else None,
        frozen_teacher=of_frozen if whole.config.teacher.weight else None,
        rotations=rotations if whole.config.rotates_views else None,
        labelled=LabelledInput(images[rank::world], labels[rank::world]),
    )


def answer(whole, values=None, rows=ROWS, step=3):
    """The total and the levels' values."""
    return whole(inputs(whole, values, rows, step), step)


def with_weights(frame_shot, future, order, supervised=0.0):
    return ObjectiveConfig(
        frame_shot=FrameShotConfig(embedding_dim=8, weight=frame_shot),
        future=FutureConfig(embedding_dim=6, hidden_dim=5, weight=future),
        order=OrderConfig(hidden_dim=5, weight=order),
        supervised=SupervisedConfig(weight=supervised),
    )
