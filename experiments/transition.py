"""A level whose predictor is conditioned on how views differ, as in seq-JEPA (notebook, H5)."""

from dataclasses import dataclass
from math import log, prod
from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from footage import distributed
from footage.objectives.inputs import LevelInput, Shape
from footage.objectives.levels.base import LevelConfig, register_level
from footage.objectives.losses.relative_crop import relative_crops
from footage.shapes import Scalar

CONDITION_DIM: Final = 6
"""Numbers on which the predictor is conditioned: the relative crop and the distance in time."""
TEMPERATURE: Final = 0.1


class TransitionLevel(nn.Module):
    """Predict the embedding of a shot's next view, given its relative crop and distance in time.

    The prediction must be closer to that view than to all others, including those of its own shot,
    so features must keep what crop and time change. Ghaemi et al. 2025 used whole sequences.
    """

    name = "shot/transition"

    def __init__(self, feature_dim: int, config: "TransitionConfig") -> None:
        super().__init__()
        self.embed = nn.Linear(feature_dim, config.embedding_dim)
        self.predict = nn.Sequential(
            nn.Linear(config.embedding_dim + CONDITION_DIM, config.hidden_dim),
            nn.ReLU(),
            nn.Linear(config.hidden_dim, config.embedding_dim),
        )

    def forward(self, batch: LevelInput) -> Scalar:
        """Compute the loss, before weighting."""
        assert batch.crops is not None
        embeddings = self.embed(batch.features)
        conditions = differences(batch.crops.to(embeddings.dtype))
        predictions = self.predict(torch.cat([embeddings.flatten(2, 3), conditions], dim=-1))
        views = normalize(distributed.gather(embeddings).flatten(0, 3), dim=-1)
        guesses = normalize(distributed.gather(predictions).flatten(0, 2), dim=-1)
        per_shot = batch.features.shape[2] * batch.features.shape[3]
        numbers = torch.arange(len(views), device=views.device).view(-1, per_shot)
        logits = guesses @ views.T / TEMPERATURE
        logits = logits.masked_fill(torch.eye(len(views), device=views.device).bool(), -torch.inf)
        return cross_entropy(logits, numbers.roll(-1, dims=1).flatten())

    def chance(self, shape: Shape) -> float:
        """Return the cross-entropy of a uniform guess among all other views."""
        return log(prod(shape) - 1)


def differences(crops: Float[Tensor, "V S F A 5"]) -> Float[Tensor, "V S N 6"]:
    """Return how the next view of a shot differs from each view, and the first from the last.

    The distance in time is in sampled frames, divided by the number sampled from the shot.
    """
    frames, views = crops.shape[2:4]
    flat = crops.flatten(2, 3)
    times = torch.arange(frames, device=crops.device).repeat_interleave(views) / frames
    apart = (times.roll(-1) - times).to(crops.dtype).expand(flat.shape[:3])
    return torch.cat([relative_crops(flat, flat.roll(-1, dims=2)), apart[..., None]], dim=-1)


@dataclass(frozen=True, kw_only=True, slots=True)
class TransitionConfig(LevelConfig):
    """Predict the next view of a shot."""

    embedding_dim: int = 256
    """Width of the embedding."""

    hidden_dim: int = 512
    """Width of the predictor's hidden layer."""

    def build(self, feature_dim: int, shots_per_video: int) -> TransitionLevel:  # noqa: ARG002
        """Build the level."""
        return TransitionLevel(feature_dim, self)


def register() -> None:
    """Register the level."""
    register_level("transition", title="Transition")(TransitionConfig)
