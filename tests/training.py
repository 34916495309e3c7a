"""The smallest real training: a real network and store, a few steps."""

import dataclasses

from footage.augment import AugmentConfig
from footage.backbone import BackboneConfig
from footage.recipes import recipe
from footage.sampling import SamplingConfig
from footage.train_config import ComputeConfig, TrainConfig


def smallest(**changes) -> TrainConfig:
    """`vivi-ex4-tiny` with timm's test network at 32 px on three videos, in this very process."""
    small = {
        "backbone": BackboneConfig(architecture="test_resnet"),
        "sampling": SamplingConfig(videos_per_batch=3, shots_per_video=4, frames_per_shot=2),
        "augment": AugmentConfig(size=32),
        "held_out_share": 0.3,
        "compute": ComputeConfig(workers=0, threads=1),
        "steps": 6,
        "probe_every": 3,
        "checkpoint_every": 2,
    }
    return dataclasses.replace(recipe("vivi-ex4-tiny"), **{**small, **changes})


AS_OPTIONS = [
    "--backbone.architecture", "test_resnet", "--sampling.videos-per-batch", "3",
    "--sampling.frames-per-shot", "2", "--augment.size", "32", "--held-out-share", "0.3",
    "--compute.workers", "1", "--compute.threads", "1",
]  # fmt: skip
"""The same on the command line, but with a worker process."""
