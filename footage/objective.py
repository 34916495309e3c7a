"""The objective: levels, each a head, a loss and a weight; their weighted sum is what is trained.

    L = L_frame/shot + lambda * L_video          VIVI, section 3 [paper]

    level        axis        contrasts                                config
    frame/shot   A, or A F   views of a frame, or frames of a shot    FrameShotConfig
    video        S           a shot to come, against other videos     FutureConfig
    video        S           forward against backward                 OrderConfig

A level of weight 0 is off: it has no parameters and is not computed. Heads and losses run in single
precision even under autocast. With several processes each level sees the embeddings of all of them.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import log
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Int
from torch import Tensor, nn

from footage import distributed
from footage.errors import ConfigError
from footage.heads import FutureShotPredictor, OrderPredictor, Projection, ShotPooling
from footage.losses import (
    Hinge,
    Mining,
    Positives,
    exemplar,
    future_shot_nce,
    multi_positive_nce,
    shot_order,
)
from footage.randomness import generator
from footage.shapes import Embeddings, Scalar, ShotEmbeddings, ShotRows


@dataclass(frozen=True, kw_only=True, slots=True)
class FrameShotConfig:
    """What the views of one frame, or the frames of one shot, have in common."""

    weight: float = 1.0
    """How much the level counts; 0 switches it off."""

    loss: Literal["exemplar", "nce"] = "exemplar"
    """exemplar: triplets with semi-hard negatives [paper]. nce: multi-positive InfoNCE [ours]."""

    positives: Positives = "shot"
    """What is one identity: all views of a frame (baseline), or all frames of a shot (VIVI)."""

    projection: Literal["linear", "mlp"] = "linear"
    """Head: linear as in the same lab's exemplar code [paper], mlp as is usual for nce [ours]."""

    embedding_dim: int = 1000
    """Width of the embedding that is compared [paper: same lab's exemplar code]."""

    margin: float = 0.5
    """exemplar: by how much a negative must be farther, in squared distance [paper: same code]."""

    mining: Mining = "semi-hard"
    """exemplar: which triplets; semi-hard as in the same code, batch-hard as in s4l [paper]."""

    hinge: Hinge = "margin"
    """exemplar: cut a triplet's cost off at the margin, or softly without a margin, as in s4l."""

    temperature: float = 0.1
    """nce: what the cosine is divided by [ours; as in SimCLR and SupCon]."""

    def __post_init__(self) -> None:
        """Refuse values that cannot be trained with."""
        _check(self, where="frame_shot", above_0=("embedding_dim", "margin", "temperature"))


@dataclass(frozen=True, kw_only=True, slots=True)
class FutureConfig:
    """Predict the embeddings of a video's next shots from those before (InfoNCE over videos)."""

    weight: float = 0.04
    """How much the level counts; 0 switches it off. Recalled: lambda about 0.04 [.2]: tune it."""

    steps: int = 3
    """How many shots ahead: each of 1 to this many, summed; needs more shots a video than this."""

    embedding_dim: int = 512
    """Width of the layer that maps a shot embedding. Recalled [.35]."""

    hidden_dim: int = 256
    """Width of the LSTM. Recalled [.35]."""

    critic: Literal["bilinear", "inner_product"] = "bilinear"
    """How a prediction is compared with a shot. Recalled: one of these two [.75]."""

    def __post_init__(self) -> None:
        """Refuse values that cannot be trained with."""
        _check(self, where="future", above_0=("steps", "embedding_dim", "hidden_dim"))


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderConfig:
    """Tell whether a video's shots come forward or backward."""

    weight: float = 0.04
    """How much the level counts; 0 switches it off. Recalled: lambda about 0.04 [.2]: tune it."""

    predictor: Literal["mlp", "lstm"] = "mlp"
    """What reads the sequence: an MLP over all shots at once, or an LSTM. Recalled: both [.6]."""

    hidden_dim: int = 256
    """Width of the hidden layer or of the LSTM [ours]."""

    def __post_init__(self) -> None:
        """Refuse values that cannot be trained with."""
        _check(self, where="order", above_0=("hidden_dim",))


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectiveConfig:
    """The levels and their weights."""

    frame_shot: FrameShotConfig = field(default_factory=FrameShotConfig)
    """Frame or shot level."""

    future: FutureConfig = field(default_factory=FutureConfig)
    """Video level: future shots."""

    order: OrderConfig = field(default_factory=OrderConfig)
    """Video level: order of shots."""

    pooling: Literal["mean", "attention"] = "mean"
    """Video level: how frames make a shot embedding. Recalled: the mean is the default [.7]."""

    def __post_init__(self) -> None:
        """Refuse an objective without any level."""
        if self.frame_shot.weight == self.future.weight == self.order.weight == 0:
            raise ConfigError(
                "every level of the objective has weight 0",
                "Give objective.frame_shot.weight, .future.weight or .order.weight a value.",
            )

    @property
    def has_video_level(self) -> bool:
        """Whether any level looks at whole shots."""
        return self.future.weight > 0 or self.order.weight > 0

    def check(self, *, shots_per_video: int, frames_per_shot: int, views_per_frame: int) -> None:
        """Refuse batches in which a level that is on finds nothing to learn from.

        Raises:
            ConfigError: Naming the level's field and the sampling field that contradict each other.
        """
        level = self.frame_shot
        positives = views_per_frame * (frames_per_shot if level.positives == "shot" else 1)
        if level.weight > 0 and positives < 2:
            raise ConfigError(
                f"objective.frame_shot.positives = {level.positives} finds no pair in "
                f"{frames_per_shot} frames a shot and {views_per_frame} views a frame",
                "Raise sampling.views_per_frame, or sampling.frames_per_shot for shot positives.",
            )
        self.check_shots(shots_per_video)

    def check_shots(self, shots_per_video: int) -> None:
        """Refuse videos with too few shots for a video level that is on.

        Raises:
            ConfigError: Naming the field.
        """
        if self.future.weight > 0 and self.future.steps >= shots_per_video:
            raise ConfigError(
                f"objective.future.steps = {self.future.steps} looks beyond the last of "
                f"{shots_per_video} shots a video",
                f"Set sampling.shots_per_video to {self.future.steps + 1} or more, or lower steps.",
            )
        if self.order.weight > 0 and shots_per_video < 2:
            raise ConfigError(
                f"objective.order.weight = {self.order.weight}, but {shots_per_video} shot a video "
                "has no order",
                "Set sampling.shots_per_video to 2 or more, or objective.order.weight to 0.",
            )


class LevelInput(NamedTuple):
    """What the levels see of a batch."""

    features: Embeddings
    """Of this rank's videos."""

    shots: ShotEmbeddings
    """The same, pooled over the frames and views of each shot."""

    rows: Int[Tensor, "W S"]
    """For each shot of the global batch: which shot of the store it is, or is a part of."""

    reversed: Bool[Tensor, " W"]
    """For each video of the global batch: is it shown backward?"""


class FrameShotLevel(nn.Module):
    """Projection, then the exemplar or InfoNCE loss over the embeddings of the whole batch."""

    def __init__(self, feature_dim: int, config: FrameShotConfig) -> None:
        super().__init__()
        self.config = config
        self.name = f"{config.positives}/{config.loss}"
        self.projection = Projection(feature_dim, config.embedding_dim, config.projection)

    def forward(self, batch: LevelInput) -> Scalar:
        """The loss of the level, before its weight."""
        config = self.config
        embeddings = distributed.gather(self.projection(batch.features))
        if config.loss == "exemplar":
            return exemplar(
                embeddings,
                batch.rows,
                config.positives,
                config.margin,
                config.mining,
                config.hinge,
            )
        return multi_positive_nce(embeddings, batch.rows, config.positives, config.temperature)

    def chance(self, num_embeddings: int) -> float:
        """What the loss is when embeddings say nothing."""
        if self.config.loss == "nce":
            return log(num_embeddings - 1)
        return log(2) if self.config.hinge == "soft" else self.config.margin


class FutureLevel(nn.Module):
    """Future-shot prediction: summed over steps ahead, averaged over the places that allow each.

    Recalled: a sum over steps [.75]. Ours: every place k from which k + m still lies in the video
    predicts, instead of one chosen k, so that no shot of a short video is wasted.
    """

    name = "video/future_nce"

    def __init__(self, feature_dim: int, config: FutureConfig) -> None:
        super().__init__()
        self.config = config
        self.predictor = FutureShotPredictor(
            feature_dim,
            steps=config.steps,
            embedding_dim=config.embedding_dim,
            hidden_dim=config.hidden_dim,
            critic=config.critic,
        )

    def forward(self, batch: LevelInput) -> Scalar:
        """The loss of the level, before its weight."""
        per_step = []
        for predictions, targets in self.predictor(batch.shots):
            places = zip(
                distributed.gather(predictions).unbind(1),
                distributed.gather(targets).unbind(1),
                strict=True,
            )
            per_step.append(torch.stack([future_shot_nce(*place) for place in places]).mean())
        return torch.stack(per_step).sum()

    def chance(self, num_embeddings: int) -> float:  # noqa: ARG002  (the same for every batch)
        """The 1/V of the formula makes a critic that knows nothing pay 0 at every step."""
        return 0.0


class OrderLevel(nn.Module):
    """Shot order: each step, each video is shown backward with probability 1/2 [paper]."""

    name = "video/order"

    def __init__(self, feature_dim: int, config: OrderConfig, shots_per_video: int) -> None:
        super().__init__()
        self.config = config
        self.predictor = OrderPredictor(
            feature_dim, shots_per_video, hidden_dim=config.hidden_dim, kind=config.predictor
        )

    def forward(self, batch: LevelInput) -> Scalar:
        """The loss of the level, before its weight."""
        own = batch.reversed[distributed.rank() :: distributed.world_size()]
        logits = self.predictor(batch.shots, own)
        return shot_order(distributed.gather(logits), batch.reversed)

    def chance(self, num_embeddings: int) -> float:  # noqa: ARG002  (the same for every batch)
        """A coin pays log 2."""
        return log(2)


Level = FrameShotLevel | FutureLevel | OrderLevel


class Objective(nn.Module):
    """All levels that are on, and their weighted sum.

    Args:
        feature_dim: Width of the backbone's features.
        config: The levels and their weights.
        shots_per_video: S of the batches to come.

    Raises:
        ConfigError: If the videos of a batch are too short for a level that is on.
    """

    def __init__(self, feature_dim: int, config: ObjectiveConfig, shots_per_video: int) -> None:
        super().__init__()
        config.check_shots(shots_per_video)
        self.config = config
        pooling = config.pooling if config.has_video_level else "mean"
        self.pooling = ShotPooling(feature_dim, pooling)
        self.levels = nn.ModuleDict()
        if config.frame_shot.weight > 0:
            self.levels["frame_shot"] = FrameShotLevel(feature_dim, config.frame_shot)
        if config.future.weight > 0:
            self.levels["future"] = FutureLevel(feature_dim, config.future)
        if config.order.weight > 0:
            self.levels["order"] = OrderLevel(feature_dim, config.order, shots_per_video)

    def forward(
        self, features: Embeddings, rows: ShotRows, step: int, seed: int
    ) -> tuple[Scalar, dict[str, Tensor]]:
        """The weighted sum, and each level's own value by name, detached.

        Args:
            features: The backbone's features of this rank's videos.
            rows: Of the same videos: which shot of the store each shot is, or is a part of.
            step: Number of the batch.
            seed: Seed of the run; with the step it says which videos are shown backward.
        """
        with torch.autocast(features.device.type, enabled=False):
            batch = self._level_input(features, rows, step, seed)
            values = {level.name: level(batch) for level in self._levels()}
            weighted = [level.config.weight * values[level.name] for level in self._levels()]
            total = torch.stack(weighted).sum()
        return total, {name: value.detach() for name, value in values.items()}

    def chance(self, num_embeddings: int) -> dict[str, float]:
        """What each level pays when the features say nothing, by name.

        A backbone that has collapsed to one point pays this at best, whatever its heads do.

        Args:
            num_embeddings: V S F A of the global batch; only `nce` depends on it.
        """
        return {level.name: level.chance(num_embeddings) for level in self._levels()}

    def _level_input(self, features: Tensor, rows: Tensor, step: int, seed: int) -> LevelInput:
        """At least single precision; reversals drawn by (seed, step, place in the global batch)."""
        if features.dtype in (torch.float16, torch.bfloat16):
            features = features.float()
        draws = generator("shot order", seed, step)
        reversed = torch.from_numpy(draws.random(len(features) * distributed.world_size()) < 0.5)
        everywhere = distributed.gather(rows.to(features.device))
        pooled = self.pooling(features)
        return LevelInput(features, pooled, everywhere, reversed.to(features.device))

    def _levels(self) -> Iterator[Level]:
        for level in self.levels.values():
            assert isinstance(level, Level)
            yield level


def _check(config: object, *, where: str, above_0: tuple[str, ...]) -> None:
    """Refuse a negative weight, and anything of `above_0` that is not positive."""
    for name in ("weight", *above_0):
        value = getattr(config, name)
        if not math.isfinite(value) or value < 0 or (name != "weight" and value == 0):
            least = ">= 0" if name == "weight" else "> 0"
            raise ConfigError(
                f"objective.{where}.{name} must be {least}, got {value}",
                "A level is switched off by weight 0." if name == "weight" else "",
            )
