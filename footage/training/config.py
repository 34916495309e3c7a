"""All settings that affect the result of training. Recipes are named values of `TrainConfig`."""

import math
from dataclasses import dataclass, field
from typing import Literal

from footage.data.config import AugmentConfig, LabelledViewConfig, SamplingConfig
from footage.errors import ConfigError
from footage.models.config import AdaptConfig, BackboneConfig
from footage.objectives.config import ObjectiveConfig
from footage.optim.config import OptimizerConfig
from footage.optim.schedules import ScheduleConfig

Statistics = Literal["separate", "joint"]
"""Batch norm statistics: separate for views and labelled images, or joint."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelledConfig:
    """Combination of labelled images with the videos."""

    images_per_batch: int = 256
    """B: labelled images per batch, over all processes together."""

    statistics: Statistics = "separate"
    """Batch norm statistics: separate for views and labelled images, or joint. Not stated in the
    paper [ours]."""

    view: LabelledViewConfig = field(default_factory=LabelledViewConfig)
    """Augmentation of labelled images; the image size is that of the video views."""

    def __post_init__(self) -> None:
        """Reject an empty batch."""
        if self.images_per_batch < 1:
            raise ConfigError(
                f"labelled.images_per_batch must be at least 1, got {self.images_per_batch}",
                "to train without labels, set objective.supervised.weight to 0",
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class ComputeConfig:
    """Hardware settings; they do not affect results beyond rounding."""

    workers: int = 0
    """Data-loading processes per training process; 0 chooses the number from the cores that this
    process may use. Batches are the same for any number."""

    threads: int = 0
    """Number of torch threads on a CPU; 0 chooses it by measured speed and adjusts it when steps
    become slow. Bit-exact resume requires a fixed number."""

    accumulate: int = 1
    """Micro-batches per step of each process: less memory, more time. Losses and gradients are
    those of the whole batch, except that batch norm takes its statistics from each micro-batch."""

    checkpointing: bool = False
    """Keep fewer activations of the backbone and compute the others again: less memory, more time.
    Not all architectures support it."""

    compile: bool = False
    """Compile the backbone with torch.compile. The first step takes minutes; requires a C++
    compiler, and Triton for a GPU."""

    fetch_every: int = 0
    """Copy losses from the device every N steps, without waiting for it in between; 0 means every
    step on a CPU and every 50 steps on a GPU. A loss that is not finite never reaches the weights.
    """

    stall_seconds: float = 600.0
    """With several processes: end the run if no step finishes within this many seconds, which
    means that a process hangs. Must exceed the time to save a checkpoint or to compute online
    metrics.
    """

    loggers: tuple[str, ...] = field(default=("tensorboard",), metadata={"option": "--log"})
    """Metric loggers in addition to metrics.jsonl: tensorboard, wandb, mlflow, trackio, jsonl, and
    those of plugins. On the command line: --log NAME."""

    def __post_init__(self) -> None:
        """Reject a negative number, and a timeout that would end every run."""
        if self.workers < 0:
            raise ConfigError(
                f"compute.workers must be at least 0, got {self.workers}",
                "leave it at 0 to choose it automatically",
            )
        if self.accumulate < 1:
            raise ConfigError(
                f"compute.accumulate must be at least 1, got {self.accumulate}",
                "give the number of micro-batches of a step; 1 does not split the batch",
            )
        if self.fetch_every < 0:
            raise ConfigError(
                f"compute.fetch_every must be at least 0, got {self.fetch_every}",
                "leave it at 0 to choose it automatically",
            )
        if not 0 < self.stall_seconds < math.inf:
            raise ConfigError(
                f"compute.stall_seconds must be above 0 and finite, got {self.stall_seconds}",
                "give a number of seconds, such as 600",
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig:
    """All settings that affect the result of training."""

    steps: int = 100_000
    """Number of optimiser steps."""

    seed: int = 0
    """Seed of weights, batches, augmentation and held-out videos."""

    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    """Backbone network."""

    init: str = ""
    """Initialise from a run (matching heads are loaded too), a .safetensors file, a tagged timm
    model such as resnet50.a1_in1k, or a folder or hf-hub:OWNER/NAME in timm or transformers
    format. An architecture specified by the weights replaces the recipe's. Default:
    random."""

    adapt: AdaptConfig = field(default_factory=AdaptConfig)
    """What training may change in the weights that a run starts from."""

    unlabelled_source: Literal["videos", "images"] = "videos"
    """Source for the self-supervised losses: stored videos, or the images without their labels."""

    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    """Selection of videos, shots and frames for a batch."""

    augment: AugmentConfig = field(default_factory=AugmentConfig)
    """Augmentation of frames."""

    labelled: LabelledConfig = field(default_factory=LabelledConfig)
    """Combination of labelled images with the videos."""

    label_fraction: float = 1.0
    """Fraction of labels to use, stratified by class. The selection is saved with the run."""

    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    """Training objective: levels and losses."""

    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    """Optimiser settings."""

    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    """Learning rate schedule."""

    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """bf16 runs the backbone under autocast; heads and losses stay in fp32. auto selects bf16 where
    the device supports it, else fp32; the run records the choice.
    """

    channels_last: bool = True
    """Use the channels-last memory format: faster for convolutions, no effect for ViT."""

    gradient_clip: float = 1.0
    """Maximum gradient norm; 0 disables clipping."""

    ema_decay: float = 0.0
    """EMA decay per step for averaged weights; 0 disables EMA."""

    held_out_fraction: float = 0.1
    """Fraction of videos held out for online metrics."""

    metrics_frames: int = 512
    """Number of held-out frames for online metrics."""

    metrics_every: int = 1000
    """Compute online metrics every N steps (also before training and at the end)."""

    patience: int = 0
    """Early stopping: stop after this many online metrics in a row without better retrieval in the
    held-out videos, and use the weights that were best, which may be the initial ones; 0 disables
    it."""

    checkpoint_every: int = 1000
    """Save a checkpoint every N steps."""

    keep_checkpoints: int = 2
    """Number of checkpoints to keep; older ones are removed."""

    compute: ComputeConfig = field(default_factory=ComputeConfig)
    """Hardware settings."""

    def __post_init__(self) -> None:
        """Reject invalid values."""
        for name in (
            "steps",
            "metrics_frames",
            "metrics_every",
            "checkpoint_every",
            "keep_checkpoints",
        ):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.patience < 0:
            raise ConfigError(
                f"patience must be at least 0, got {self.patience}", "use 0 to disable it"
            )
        if not 0 <= self.ema_decay < 1:
            raise ConfigError(f"ema_decay must lie in [0, 1), got {self.ema_decay}")
        if self.gradient_clip < 0:
            raise ConfigError(f"gradient_clip must be at least 0, got {self.gradient_clip}")
        if not 0 < self.label_fraction <= 1:
            raise ConfigError(
                f"label_fraction must be above 0 and at most 1, got {self.label_fraction}",
                "give 0.1 for a tenth of the labels",
            )
        for name in ("shots_per_video", "frames_per_shot"):
            number = getattr(self.sampling, name)
            if self.unlabelled_source == "images" and number != 1:
                raise ConfigError(
                    "unlabelled_source = images has one frame per image, but "
                    f"sampling.{name} is {number}",
                    "set sampling.frames_per_shot and sampling.shots_per_video to 1",
                )
        self.objective.check(
            videos_per_batch=self.sampling.videos_per_batch,
            shots_per_video=self.sampling.shots_per_video,
            frames_per_shot=self.sampling.frames_per_shot,
            views_per_frame=self.sampling.views_per_frame,
        )

    @property
    def learns_from_videos(self) -> bool:
        """Whether any level uses the videos of a store."""
        return self.objective.has_unlabelled_level and self.unlabelled_source == "videos"

    @property
    def views_shape(self) -> tuple[int, int, int, int]:
        """Return V, S, F and A of a batch."""
        sampling = self.sampling
        return (
            sampling.videos_per_batch,
            sampling.shots_per_video,
            sampling.frames_per_shot,
            sampling.views_per_frame,
        )

    @property
    def images_per_step(self) -> int:
        """Return the number of views and labelled images per step."""
        views = self.sampling.images_per_batch if self.objective.has_unlabelled_level else 0
        labelled = self.labelled.images_per_batch if self.objective.supervised.weight else 0
        return views + labelled
