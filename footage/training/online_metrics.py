"""Online metrics: label-free measurements on held-out videos during training.

A fixed set of frames of held-out videos is embedded at regular intervals. From their features:

    embedding_std      spread of the normalised features, 1 when isotropic, 0 when collapsed
    rankme             effective number of dimensions: exp(entropy of the singular values)
    same_shot_hit      nearest other frame is from the same shot
    same_video_hit     nearest frame of any other shot is from the same video

Each retrieval metric comes with its chance level. `advice` describes problems in sentences.
"""

import math
from collections.abc import Mapping

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from footage.evaluation.held_out_frames import HeldOutFrames
from footage.metrics.representation import embedding_std, rankme, retrieval
from footage.models.backbone import Backbone
from footage.models.preprocessing import normalise
from footage.training.loggers.base import Picture
from footage.training.pictures import neighbours_picture

COLLAPSED_STD = 0.1
"""Below this spread, features are practically constant [ours]."""

NARROW_STD = 0.5
"""Below this spread, features may be collapsing [ours]."""

FEW_VIDEOS = 32
"""With fewer training videos, the video level has few negatives [ours]."""

CHANCE_MARGIN = 0.02
"""Relative distance from its chance value within which a level has learned nothing yet [ours]."""


def compute(backbone: Backbone, frames: HeldOutFrames, device: torch.device) -> dict[str, float]:
    """Compute the metrics of the module's docstring, in evaluation mode and float32.

    A retrieval metric without queries (held-out videos of a single shot) is omitted.
    """
    if len(frames.images) < 2:
        return {}
    return of_features(embed(backbone, frames.images, device), frames)


def of_features(features: Float[Tensor, "N D"], frames: HeldOutFrames) -> dict[str, float]:
    """Compute the metrics of the module's docstring from the features of at least two frames."""
    values = {"embedding_std": embedding_std(features), "rankme": rankme(features)}
    same_shot = frames.shots[:, None] == frames.shots
    same_video = frames.videos[:, None] == frames.videos
    itself = torch.eye(len(features), dtype=torch.bool)
    for name, right, allowed in (
        ("same_shot", same_shot & ~itself, ~itself),
        ("same_video", same_video & ~same_shot, ~same_shot),
    ):
        found = retrieval(features, right, allowed)
        if found.queries:
            values |= {f"{name}_hit": found.hit, f"{name}_chance": found.chance}
    return values


class OnlineMetrics:
    """Metrics of a fixed set of held-out frames, computed at intervals during training.

    Args:
        frames: Frames of the held-out videos.
        chance: Value of each level's loss for uninformative features, by name.
    """

    def __init__(self, frames: HeldOutFrames, chance: Mapping[str, float]) -> None:
        self.frames = frames
        self.chance = chance
        self._features = torch.zeros((0, 0))

    def compute(
        self, backbone: Backbone, levels: Mapping[str, float]
    ) -> tuple[dict[str, float], list[str]]:
        """Return the metrics, and advice that follows from them and from the recent losses."""
        metrics: dict[str, float] = {}
        if len(self.frames.images) > 1:
            device = next(backbone.parameters()).device
            self._features = embed(backbone, self.frames.images, device)
            metrics = of_features(self._features, self.frames)
        return metrics, advice(metrics, levels, self.chance)

    def neighbours(self) -> dict[str, Picture]:
        """Return the picture "neighbours" of the last features; empty without two shots."""
        if len(self._features) == 0 or len(set(self.frames.shots.tolist())) < 2:
            return {}
        return {"neighbours": neighbours_picture(self.frames, self._features)}


def embed(
    backbone: Backbone, images: UInt8[Tensor, "N H W 3"], device: torch.device, batch: int = 128
) -> Float[Tensor, "N D"]:
    """Compute features in evaluation mode and float32, on the CPU; then restore the mode."""
    was_training = backbone.training
    backbone.eval()
    mean, std = backbone.preprocessing.mean, backbone.preprocessing.std
    with torch.inference_mode():
        parts = [
            backbone(normalise(part, mean, std, device)).float().cpu()
            for part in torch.split(images, batch)
        ]
    backbone.train(was_training)
    return torch.cat(parts).clone()


def advice(
    metrics: Mapping[str, float], levels: Mapping[str, float], chance: Mapping[str, float]
) -> list[str]:
    """Describe problems in sentences; empty if there are none.

    Args:
        metrics: Output of `compute`.
        levels: Recent mean of each level's loss.
        chance: Value of each level's loss for uninformative features.
    """
    found = []
    spread = metrics.get("embedding_std", 1.0)
    if spread < COLLAPSED_STD:
        found.append(
            f"the features have collapsed: they are nearly the same for every image (spread "
            f"{spread:.3f}); lower the learning rate, or raise the weight of a level with negatives"
        )
    elif spread < NARROW_STD and metrics.get("rankme", 2.0) < 2.0:
        found.append(
            f"the features vary along little more than one direction "
            f"(RankMe {metrics['rankme']:.1f}, spread {spread:.2f}): they may be collapsing"
        )
    for name, value in levels.items():
        if math.isclose(value, chance[name], rel_tol=CHANCE_MARGIN, abs_tol=CHANCE_MARGIN):
            found.append(
                f"level {name} is at chance ({value:.3f}, chance {chance[name]:.3f}): it has "
                "learned nothing yet; more steps, a lower learning rate, more weight or more "
                "varied videos may help"
            )
    return found


def advice_on_data(num_videos: int, num_split: int, batches_per_epoch: int) -> list[str]:
    """Describe problems of the training videos in sentences, before the first step.

    Args:
        num_videos: Number of training videos.
        num_split: Number of training videos with too few shots, which are split into parts.
        batches_per_epoch: Number of batches per epoch.
    """
    found = []
    if num_videos < FEW_VIDEOS:
        found.append(
            f"only {num_videos} videos to train on: the video level has few negatives and the "
            "backbone will overfit these videos; ingest more"
        )
    if num_split > num_videos / 2:
        found.append(
            f"{num_split} of {num_videos} videos have too few shots and are split into parts: the "
            "video level then learns from one continuous shot; it learns more from videos with cuts"
        )
    if batches_per_epoch < 2:
        found.append(
            "every batch contains nearly all videos: the negatives never change; "
            "lower videos_per_batch or ingest more"
        )
    return found
