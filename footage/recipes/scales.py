"""The scales of the recipes: network, views, batch, length, optimiser and machine.

A scale is a configuration to which a method adds its objective; `methods.py` joins the two. That
module explains the marks in the docstrings.
"""

import dataclasses
from collections.abc import Callable

from footage.data.config import EXEMPLAR, AugmentConfig, SamplingConfig
from footage.models.config import BackboneConfig
from footage.objectives.config import FutureConfig, ObjectiveConfig
from footage.optim.config import OptimizerConfig
from footage.optim.schedules import ScheduleConfig
from footage.training.config import LabelledConfig, TrainConfig


def paper() -> TrainConfig:
    """Paper scale: pre-activation ResNet-50 at 224 px, 120k steps of 128 videos.

    Command: torchrun --nproc-per-node 8 -m footage train RECIPE DATA --out RUN
    Cost: not measured; in the paper, a slice of a TPU pod.
    Views: crop, flip, colour noise and grey as in google/revisiting-self-supervised [paper].
    Recalled: 1 frame per second, 4 to 8 shots and frames, SGD with momentum, 5k of 120k steps of
    warm-up, step-wise decay, hundreds of videos and, with co-training, 2048 labelled images per
    batch.
    Deviation: the learning rate is BiT's 0.03 for 256 images, scaled to the batch size.
    """
    sampling = SamplingConfig(videos_per_batch=128, shots_per_video=4, frames_per_shot=4)
    return TrainConfig(
        steps=120_000,
        backbone=BackboneConfig(architecture="resnetv2_50"),
        sampling=sampling,
        augment=dataclasses.replace(EXEMPLAR, size=224),
        labelled=LabelledConfig(images_per_batch=2048),
        optimizer=OptimizerConfig(
            name="sgd", learning_rate=0.03 * sampling.images_per_batch / 256, weight_decay=1e-4
        ),
        schedule=ScheduleConfig(name="steps", warmup_fraction=5 / 120),
    )


def gpu() -> TrainConfig:
    """GPU scale: pre-activation ResNet-50 at 128 px, 12k steps of 32 videos, 6.1 million views.

    Command: footage train RECIPE DATA --out RUN
    Cost: 0.051 s per step of vivi-ex4 on an NVIDIA H200, ten minutes in all, if 16 cores decode as
    fast (benchmarks/recipe_costs.py --scale gpu); no complete run was made.
    Deviation: image size, batch size, number of steps and a cosine schedule instead of step-wise
    decay [ours]; nothing was tuned.
    """
    sampling = SamplingConfig(videos_per_batch=32, shots_per_video=4, frames_per_shot=4)
    return dataclasses.replace(
        paper(),
        steps=12_000,
        sampling=sampling,
        augment=dataclasses.replace(EXEMPLAR, size=128, crop_scale_min=0.2),
        labelled=LabelledConfig(images_per_batch=256),
        optimizer=OptimizerConfig(
            name="sgd", learning_rate=0.03 * sampling.images_per_batch / 256, weight_decay=1e-4
        ),
        schedule=ScheduleConfig(name="cosine", warmup_fraction=0.05),
    )


def tiny() -> TrainConfig:
    """Tiny scale: ResNet-18 at 64 px, 1000 steps of 32 videos, 128,000 views.

    Command: footage train RECIPE DATA --out RUN
    Cost: about ten minutes for vivi-ex4 on two CPU cores (experiments/notebook.md).
    Deviation: network, image size, optimiser and views [ours]. The small batch (2 shots of 2
    frames) and weaker crops are ours, too: more videos help more than more frames per video (same
    page).
    """
    return dataclasses.replace(
        paper(),
        steps=1000,
        backbone=BackboneConfig(architecture="resnet18"),
        sampling=SamplingConfig(videos_per_batch=32, shots_per_video=2, frames_per_shot=2),
        augment=AugmentConfig(size=64, crop_scale_min=0.5, blur_probability=0.2),
        objective=ObjectiveConfig(future=FutureConfig(steps=1)),
        labelled=LabelledConfig(images_per_batch=64),
        optimizer=OptimizerConfig(name="adamw", learning_rate=1e-3, weight_decay=1e-4),
        schedule=ScheduleConfig(name="cosine", warmup_fraction=0.05),
        metrics_every=200,
        checkpoint_every=100,
    )


SCALES: dict[str, Callable[[], TrainConfig]] = {"paper": paper, "gpu": gpu, "tiny": tiny}
"""All scales by name; the name of the paper scale is empty."""
