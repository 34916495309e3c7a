"""The objective: levels, each a head, a loss and a weight; their weighted sum is what is trained.

    L = L_frame/shot + lambda * L_video + gamma * L_supervised          VIVI, section 3 [paper]

    level        axis        contrasts                                config
    frame/shot   A, or A F   views of a frame, or frames of a shot    FrameShotConfig
    frame        A           views of a frame, beside a shot level    FrameConfig
    video        S           a shot to come, against other videos     FutureConfig
    video        S           forward against backward                 OrderConfig
    supervised   B           the classes of labelled images           SupervisedConfig

A level of weight 0 is off: it has no parameters and is not computed. Each level's first weights are
drawn by its own name, so switching one off leaves the others as they were. Heads and losses run in
single precision even under autocast. With several processes each level sees the embeddings of all.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor, nn

from footage import distributed
from footage.errors import ConfigError
from footage.models.heads import ShotPooling
from footage.objectives.levels.base import LabelledInput, LevelInput, Shape
from footage.objectives.levels.frame_shot import (
    EMBEDDING_LOSSES,
    NUM_TURNS,
    DistillationLevel,
    FrameConfig,
    FrameShotConfig,
    FrameShotLevel,
    frame_shot_level,
)
from footage.objectives.levels.supervised import SupervisedConfig, SupervisedLevel
from footage.objectives.levels.video import FutureConfig, FutureLevel, OrderConfig, OrderLevel
from footage.seeding import generator
from footage.shapes import Embeddings, Scalar, ShotRows


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectiveConfig:
    """The levels and their weights."""

    frame_shot: FrameShotConfig = field(default_factory=FrameShotConfig)
    """Frame or shot level."""

    frame: FrameConfig = field(default_factory=FrameConfig)
    """Frame level, in addition to the shot level."""

    future: FutureConfig = field(default_factory=FutureConfig)
    """Video level: future shots."""

    order: OrderConfig = field(default_factory=OrderConfig)
    """Video level: order of shots."""

    supervised: SupervisedConfig = field(default_factory=SupervisedConfig)
    """Supervised level: labelled images in addition to the videos."""

    pooling: Literal["mean", "attention"] = "mean"
    """Video level: pooling of frames into a shot embedding. Recalled: mean is the default [.7]."""

    def __post_init__(self) -> None:
        """Refuse an objective without any level."""
        if not self.has_unlabelled_level and not self.supervised.weight:
            raise ConfigError(
                "every level of the objective has weight 0",
                "set the weight of objective.frame_shot, .future, .order or .supervised",
            )
        if self.frame.weight and not (
            self.frame_shot.loss in EMBEDDING_LOSSES and self.frame_shot.positives != "frame"
        ):
            raise ConfigError(
                f"objective.frame requires a shot level with embeddings, but frame_shot has "
                f"loss = {self.frame_shot.loss} and positives = {self.frame_shot.positives}",
                f"Set frame_shot.loss to one of {', '.join(EMBEDDING_LOSSES)} and its positives to "
                "shot, or frame.weight to 0.",
            )

    @property
    def has_video_level(self) -> bool:
        """Whether any level looks at whole shots."""
        return self.future.weight > 0 or self.order.weight > 0

    @property
    def has_unlabelled_level(self) -> bool:
        """Whether any level looks at views without labels."""
        return self.frame_shot.weight > 0 or self.frame.weight > 0 or self.has_video_level

    @property
    def has_teacher(self) -> bool:
        """Whether a second, slowly moving backbone is needed."""
        return self.frame_shot.weight > 0 and self.frame_shot.loss == "distillation"

    @property
    def turns_views(self) -> bool:
        """Whether views are rotated before the backbone sees them."""
        return self.frame_shot.weight > 0 and self.frame_shot.loss == "rotation"

    @property
    def least_videos(self) -> int:
        """Minimum number of videos per batch, so that each level has something to compare."""
        return 2 if self.future.weight > 0 and self.future.loss == "nce" else 1

    def check(
        self,
        *,
        videos_per_batch: int,
        shots_per_video: int,
        frames_per_shot: int,
        views_per_frame: int,
    ) -> None:
        """Refuse batches from which an active level cannot learn.

        Raises:
            ConfigError: Naming the level's field and the sampling field that contradict each other.
        """
        if self.frame.weight > 0 and views_per_frame < 2:
            raise ConfigError(
                f"objective.frame.weight = {self.frame.weight}, but with {views_per_frame} view "
                "per frame there are no positive pairs",
                "set sampling.views_per_frame to 2 or more, or objective.frame.weight to 0",
            )
        level = self.frame_shot
        if level.weight > 0 and not level.positives_of_a_view(frames_per_shot, views_per_frame):
            raise ConfigError(
                f"objective.frame_shot.positives = {level.positives} finds no pair in "
                f"{frames_per_shot} frames per shot and {views_per_frame} views per frame",
                "raise sampling.views_per_frame, or sampling.frames_per_shot for shot positives",
            )
        if videos_per_batch < self.least_videos:
            raise ConfigError(
                f"objective.future.loss = nce compares videos, but a batch has {videos_per_batch}",
                f"set sampling.videos_per_batch to {self.least_videos} or more, or"
                " objective.future.weight to 0",
            )
        self.check_shots(shots_per_video)

    def check_shots(self, shots_per_video: int) -> None:
        """Refuse videos with too few shots for a video level that is on.

        Raises:
            ConfigError: Naming the field.
        """
        if self.future.weight > 0 and self.future.steps >= shots_per_video:
            raise ConfigError(
                f"objective.future.steps = {self.future.steps} needs at least "
                f"{self.future.steps + 1} shots per video, got {shots_per_video}",
                f"set sampling.shots_per_video to {self.future.steps + 1} or more, or lower steps",
            )
        if self.order.weight > 0 and shots_per_video < 2:
            raise ConfigError(
                f"objective.order.weight = {self.order.weight}, but {shots_per_video} shot per "
                "video has no order",
                "set sampling.shots_per_video to 2 or more, or objective.order.weight to 0",
            )


class Seen(NamedTuple):
    """What the backbone made of this rank's part of a batch; absent parts are not looked at."""

    features: Embeddings | None
    """Of the views of videos."""

    rows: ShotRows | None
    """Of the same videos: which shot of the store each shot is, or is a part of."""

    teacher: Embeddings | None = None
    """The teacher's features of the same views."""

    turns: Int[Tensor, "V S F A"] | None = None
    """The quarter turns that `Objective.turns` asked for."""

    labelled: LabelledInput | None = None
    """Features and classes of labelled images."""


Level = FrameShotLevel | FutureLevel | OrderLevel
"""Those that look at views without labels."""


class Objective(nn.Module):
    """All levels that are on, and their weighted sum.

    Args:
        feature_dim: Width of the backbone's features.
        config: The levels and their weights.
        shots_per_video: S of the batches to come.
        num_classes: Classes of the labelled images; only the supervised level needs it.
        seed: Seed of the run: of the heads' first weights and of what levels draw at each step.

    Raises:
        ConfigError: If the videos of a batch are too short for a level that is on.
    """

    def __init__(
        self,
        feature_dim: int,
        config: ObjectiveConfig,
        shots_per_video: int,
        *,
        num_classes: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        config.check_shots(shots_per_video)
        self.config = config
        self.seed = seed
        with _own_draws("pooling", seed):
            pooling = config.pooling if config.has_video_level else "mean"
            self.pooling = ShotPooling(feature_dim, pooling)
        self.levels = nn.ModuleDict()
        if config.frame_shot.weight > 0:
            with _own_draws("frame_shot", seed):
                self.levels["frame_shot"] = frame_shot_level(feature_dim, config.frame_shot)
        if config.frame.weight > 0:
            level = config.frame.level(config.frame_shot)
            with _own_draws("frame", seed):
                self.levels["frame"] = frame_shot_level(feature_dim, level)
        if config.future.weight > 0:
            with _own_draws("future", seed):
                self.levels["future"] = FutureLevel(feature_dim, config.future, shots_per_video)
        if config.order.weight > 0:
            with _own_draws("order", seed):
                self.levels["order"] = OrderLevel(feature_dim, config.order, shots_per_video)
        self.supervised: SupervisedLevel | None = None
        if config.supervised.weight > 0:
            with _own_draws("supervised", seed):
                self.supervised = SupervisedLevel(feature_dim, config.supervised, num_classes)

    def forward(self, seen: Seen, step: int) -> tuple[Scalar, dict[str, Tensor]]:
        """The weighted sum, and each level's own value by name, detached.

        Args:
            seen: Features of this rank's part of the batch.
            step: Number of the batch; with the seed it decides what the levels draw.
        """
        values, weighted = {}, []
        device = next(self.parameters()).device.type
        with torch.autocast(device, enabled=False):
            if len(self.levels):
                batch = self._level_input(seen, step)
                for level in self._levels():
                    values[level.name] = level(batch)
                    weighted.append(level.config.weight * values[level.name])
            if self.supervised is not None:
                assert seen.labelled is not None
                labelled = seen.labelled._replace(features=_full_precision(seen.labelled.features))
                values["supervised"] = self.supervised(labelled)
                weighted.append(self.config.supervised.weight * values["supervised"])
            total = torch.stack(weighted).sum()
        return total, {name: value.detach() for name, value in values.items()}

    def turns(self, shape: Shape, step: int) -> Int[Tensor, "V S F A"]:
        """By how many quarter turns to rotate each view of this rank before the backbone.

        The views of a shot are spread evenly over the four rotations, in a random order, so that
        four or more of them weigh each rotation alike in the pooled shot [ours].

        Args:
            shape: V, S, F and A of the global batch.
            step: Number of the batch.
        """
        videos, shots, frames, views = shape
        draws = generator("rotation", self.seed, step).random((videos, shots, frames * views))
        first = generator("first rotation", self.seed, step).integers(
            NUM_TURNS, size=(videos, shots, 1)
        )
        turns = torch.from_numpy((draws.argsort(axis=-1) + first) % NUM_TURNS)
        return turns.view(shape)[distributed.rank() :: distributed.world_size()]

    def chance(self, shape: Shape) -> dict[str, float]:
        """What each level pays when the features say nothing, by name.

        A backbone that has collapsed to one point pays this at best, whatever its heads do.

        Args:
            shape: V, S, F and A of the global batch.
        """
        values = {level.name: level.chance(shape) for level in self._levels()}
        return values | ({"supervised": self.supervised.chance()} if self.supervised else {})

    def teaching(self) -> tuple[nn.Module, nn.Module] | None:
        """The head whose weights are averaged over the steps, and the average; None without one."""
        level = dict(self.levels.items()).get("frame_shot")
        return (level.student, level.teacher) if isinstance(level, DistillationLevel) else None

    def _level_input(self, seen: Seen, step: int) -> LevelInput:
        assert seen.features is not None
        assert seen.rows is not None
        features = _full_precision(seen.features)
        return LevelInput(
            features=features,
            rows=distributed.gather(seen.rows.to(features.device)),
            step=step,
            seed=self.seed,
            shots=self.pooling(features) if self.config.has_video_level else None,
            teacher=None if seen.teacher is None else _full_precision(seen.teacher),
            turns=seen.turns,
        )

    def _levels(self) -> Iterator[Level]:
        for level in self.levels.values():
            assert isinstance(level, Level)
            yield level


@contextmanager
def _own_draws(name: str, seed: int) -> Iterator[None]:
    """Inside, weights are drawn by (seed, name); the global generator stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(generator(f"weights of {name}", seed).integers(2**63 - 1)))
        yield


def _full_precision(features: Tensor) -> Tensor:
    """At least single precision."""
    return features.float() if features.dtype in (torch.float16, torch.bfloat16) else features
