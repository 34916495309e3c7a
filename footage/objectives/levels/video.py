"""The video levels: losses over the sequence of shots in a video."""

from math import log

import torch
from torch import nn

from footage import distributed
from footage.models.heads import FutureShotPredictor, OrderPredictor
from footage.objectives.config import FutureConfig, OrderConfig
from footage.objectives.inputs import LevelInput, Shape
from footage.objectives.losses.classification import shot_order
from footage.objectives.losses.future_shots import future_shot_mse, future_shot_nce
from footage.seeding import generator
from footage.shapes import Scalar


class FutureLevel(nn.Module):
    """Future-shot prediction: summed over steps ahead, averaged over valid start positions.

    Recalled: a sum over steps [.75]. Ours: every position k for which k + m still lies in the video
    predicts, instead of one chosen k, so that no shot of a short video is wasted. With mse the
    targets are detached; otherwise the loss could be minimised by making them constant.
    """

    def __init__(self, feature_dim: int, config: FutureConfig, shots_per_video: int) -> None:
        super().__init__()
        self.config = config
        self.name = f"video/future_{config.loss}"
        self.predictor = FutureShotPredictor(
            feature_dim,
            steps=config.steps,
            embedding_dim=config.embedding_dim,
            hidden_dim=config.hidden_dim,
            critic=config.critic,
            kind=config.predictor,
            shots_per_video=shots_per_video,
        )

    def forward(self, batch: LevelInput) -> Scalar:
        """Compute the loss, before weighting."""
        assert batch.shots is not None
        per_step = []
        for predictions, targets in self.predictor(batch.shots):
            wanted = targets if self.config.loss == "nce" else targets.detach()
            loss = future_shot_nce if self.config.loss == "nce" else future_shot_mse
            places = zip(
                distributed.gather(predictions).unbind(1),
                distributed.gather(wanted).unbind(1),
                strict=True,
            )
            per_step.append(torch.stack([loss(*place) for place in places]).mean())
        return torch.stack(per_step).sum()

    def chance(self, shape: Shape) -> float:  # noqa: ARG002  (the same for every batch)
        """Return 0 for nce, because of its 1/V, and 1 per step for mse, the loss of the mean."""
        return 0.0 if self.config.loss == "nce" else float(self.config.steps)


class OrderLevel(nn.Module):
    """Shot order: at each step, each video is reversed with probability 1/2 [paper]."""

    name = "video/order"

    def __init__(self, feature_dim: int, config: OrderConfig, shots_per_video: int) -> None:
        super().__init__()
        self.config = config
        self.predictor = OrderPredictor(
            feature_dim, shots_per_video, hidden_dim=config.hidden_dim, kind=config.predictor
        )

    def forward(self, batch: LevelInput) -> Scalar:
        """Compute the loss, before weighting; reversals depend on the index in the global batch."""
        assert batch.shots is not None
        draws = generator("shot order", batch.seed, batch.step).random(len(batch.rows))
        reversed = torch.from_numpy(draws < 0.5).to(batch.shots.device, non_blocking=True)
        own = reversed[distributed.rank() :: distributed.world_size()]
        logits = self.predictor(batch.shots, own)
        return shot_order(distributed.gather(logits), reversed)

    def chance(self, shape: Shape) -> float:  # noqa: ARG002  (the same for every batch)
        """Return log 2, the cross-entropy of a fair coin."""
        return log(2)
