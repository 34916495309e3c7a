"""Settings of the recipes that adapt pretrained weights to the videos of a store."""

import dataclasses

from footage.models.config import AdaptConfig
from footage.optim.config import OptimizerConfig
from footage.optim.schedules import ScheduleConfig
from footage.training.config import TrainConfig

SHORTER = 5
"""Steps of a recipe from random weights, relative to those of the same one from pretrained weights
[ours]."""

METRICS = 10
"""Computations of the online metrics per run, for early stopping [ours]."""


def adapted(config: TrainConfig) -> TrainConfig:
    """Return a method's configuration for pretrained weights: short, cautious, stopped early."""
    steps = config.steps // SHORTER
    return dataclasses.replace(
        config,
        steps=steps,
        adapt=AdaptConfig(frozen_fraction=0.4, layer_decay=0.75, batch_norm="frozen"),
        optimizer=OptimizerConfig(name="adamw", learning_rate=1e-4, weight_decay=0.05),
        schedule=ScheduleConfig(name="cosine", warmup_fraction=0.1),
        patience=3,
        metrics_every=steps // METRICS,
        checkpoint_every=steps // METRICS,
    )
