"""Everything that decides what a training run learns. Recipes are named values of `TrainConfig`."""

import math
from dataclasses import dataclass, field
from typing import Literal

from footage.augment import AugmentConfig
from footage.backbone import BackboneConfig
from footage.errors import ConfigError
from footage.images.views import LabelledViewConfig
from footage.learner import Statistics
from footage.objective import ObjectiveConfig
from footage.optim import OptimizerConfig
from footage.sampling import SamplingConfig
from footage.schedule import ScheduleConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelledConfig:
    """How labelled images stand beside the videos."""

    images_per_batch: int = 256
    """B: labelled images in a batch, over all processes together."""

    statistics: Statistics = "separate"
    """Batch norm: views and labelled images each by their own statistics, or both by common ones
    (joint). Unknown of the paper [ours]."""

    view: LabelledViewConfig = field(default_factory=LabelledViewConfig)
    """How a view is made of a labelled image; it has the size of the videos' views."""

    def __post_init__(self) -> None:
        """Refuse an empty batch."""
        if self.images_per_batch < 1:
            raise ConfigError(
                f"labelled.images_per_batch must be at least 1, got {self.images_per_batch}",
                "to train without labels, set objective.supervised.weight to 0",
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class ComputeConfig:
    """How the machine is used. Another choice leads to the same run, up to rounding."""

    workers: int = 8
    """Processes that read, decode and augment, for each training process."""

    threads: int = 0
    """Number of torch threads on a CPU; 0 chooses it by measured speed, again whenever steps become
    slow. Bit-exact resume needs a fixed number."""

    stall_seconds: float = 600.0
    """With several processes: end the run if no step finishes for this many seconds, because one of
    them hangs. It must be longer than a checkpoint or a computation of online metrics takes."""

    def __post_init__(self) -> None:
        """Refuse a time that ends every run."""
        if not 0 < self.stall_seconds < math.inf:
            raise ConfigError(
                f"compute.stall_seconds must be above 0 and finite, got {self.stall_seconds}",
                "give a number of seconds, such as 600",
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig:
    """Everything that decides what a run learns."""

    steps: int = 100_000
    """Optimiser steps of the whole run."""

    seed: int = 0
    """Seed of weights, batches, augmentation and held-out videos."""

    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    """The network."""

    init: str = ""
    """Continue from: a run, with its heads as far as they fit; a .safetensors file; a timm name
    with its tag, such as resnet50.a1_in1k. Its architecture replaces the recipe's. Empty: random
    weights."""

    learn_from: Literal["videos", "images"] = "videos"
    """What the levels without labels look at: the store's videos, or the pixels of the images."""

    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    """Which videos, shots and frames make a batch."""

    augment: AugmentConfig = field(default_factory=AugmentConfig)
    """How a frame becomes a view."""

    labelled: LabelledConfig = field(default_factory=LabelledConfig)
    """How labelled images stand beside the videos."""

    label_share: float = 1.0
    """Share of the labels that is used, the same of every class; the list is kept with the run."""

    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    """The levels of the loss."""

    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    """How gradients move the weights."""

    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    """How the learning rate moves."""

    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """bf16 runs the backbone under autocast; heads and losses stay in fp32. auto is bf16 where the
    device computes in it, else fp32, and the run keeps which."""

    channels_last: bool = True
    """Memory format of the backbone; faster for convolutions, needless for ViT."""

    gradient_clip: float = 1.0
    """Upper bound of the gradient's norm; 0 does not clip."""

    ema_decay: float = 0.0
    """Decay a step of an average of the weights that is kept beside them; 0 keeps none."""

    held_out_share: float = 0.1
    """Share of the videos that is never trained on and that the monitor watches."""

    probe_frames: int = 512
    """Frames of held-out videos that the monitor embeds."""

    probe_every: int = 1000
    """Steps between two looks of the monitor; there is one before the first and after the last."""

    checkpoint_every: int = 1000
    """Steps between two checkpoints: what a kill can cost at most."""

    keep_checkpoints: int = 2
    """How many checkpoints stay; older ones are removed."""

    compute: ComputeConfig = field(default_factory=ComputeConfig)
    """How the machine is used."""

    def __post_init__(self) -> None:
        """Refuse values that cannot be trained with."""
        for name in (
            "steps",
            "probe_frames",
            "probe_every",
            "checkpoint_every",
            "keep_checkpoints",
        ):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not 0 <= self.ema_decay < 1:
            raise ConfigError(f"ema_decay must lie in [0, 1), got {self.ema_decay}")
        if self.gradient_clip < 0:
            raise ConfigError(f"gradient_clip must be at least 0, got {self.gradient_clip}")
        if not 0 < self.label_share <= 1:
            raise ConfigError(
                f"label_share must be above 0 and at most 1, got {self.label_share}",
                "give 0.1 for a tenth of the labels",
            )
        for name in ("shots_per_video", "frames_per_shot"):
            number = getattr(self.sampling, name)
            if self.learn_from == "images" and number != 1:
                raise ConfigError(
                    f"learn_from = images has one frame an image, but sampling.{name} is {number}",
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
        """Whether some level looks at the videos of a store."""
        return self.objective.has_unlabelled_level and self.learn_from == "videos"

    @property
    def views_shape(self) -> tuple[int, int, int, int]:
        """V, S, F and A of a batch."""
        sampling = self.sampling
        return (
            sampling.videos_per_batch,
            sampling.shots_per_video,
            sampling.frames_per_shot,
            sampling.views_per_frame,
        )

    @property
    def images_per_step(self) -> int:
        """Views and labelled images that the backbone sees in one step."""
        views = self.sampling.images_per_batch if self.objective.has_unlabelled_level else 0
        labelled = self.labelled.images_per_batch if self.objective.supervised.weight else 0
        return views + labelled
