"""The objective: a weighted sum of levels, each with a head and a loss.

`config.py` lists the levels. Each level's initial weights depend on its own name, so that
switching one off does not change the others. Heads and losses run in single precision even
under autocast. With several processes, each level sees the embeddings of all of them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import torch
from jaxtyping import Int
from torch import Tensor, nn

from footage import distributed
from footage.errors import PluginError
from footage.models.heads import ShotPooling
from footage.objectives.config import (
    AnyLevelConfig,
    FrameShotConfig,
    FutureConfig,
    ObjectiveConfig,
    OrderConfig,
    TeacherConfig,
)
from footage.objectives.inputs import LevelInput, ObjectiveInput, Shape
from footage.objectives.levels.base import Level, LevelConfig
from footage.objectives.levels.distillation import DistillationLevel
from footage.objectives.levels.frame_shot import frame_shot_level
from footage.objectives.levels.supervised import SupervisedLevel
from footage.objectives.levels.teacher import TeacherLevel
from footage.objectives.levels.video import FutureLevel, OrderLevel
from footage.objectives.losses.rotation import NUM_ROTATIONS
from footage.objectives.plugin_checks import checked_chance, checked_value
from footage.registry import plugin_errors
from footage.seeding import generator
from footage.shapes import Scalar


class Objective(nn.Module):
    """All active levels and their weighted sum.

    Args:
        feature_dim: Width of the backbone's features.
        config: The levels and their weights.
        shots_per_video: S of the batches to come.
        num_classes: Classes of the labelled images; only the supervised level needs it.
        teacher_dim: Width of the frozen teacher's features; only the teacher level needs it.
        seed: Seed of the run, for the heads' initial weights and the levels' draws at each step.

    Raises:
        ConfigError: The videos of a batch have too few shots for an active level.
    """

    def __init__(
        self,
        feature_dim: int,
        config: ObjectiveConfig,
        shots_per_video: int,
        *,
        num_classes: int = 0,
        teacher_dim: int = 0,
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
        for name, level in config.unlabelled_levels().items():
            if level.weight > 0:
                with _own_draws(name, seed):
                    self.levels[name] = _built(level, feature_dim, shots_per_video, teacher_dim)
        self.supervised: SupervisedLevel | None = None
        if config.supervised.weight > 0:
            with _own_draws("supervised", seed):
                self.supervised = SupervisedLevel(feature_dim, config.supervised, num_classes)

    def forward(self, inputs: ObjectiveInput, step: int) -> tuple[Scalar, dict[str, Tensor]]:
        """Return the weighted sum, and the detached value of each level by name.

        Args:
            inputs: Features of this rank's part of the batch.
            step: Index of the batch; together with the seed it determines the levels' draws.
        """
        values, weighted = {}, []
        device = next(self.parameters()).device.type
        with torch.autocast(device, enabled=False):
            if len(self.levels):
                batch = self._level_input(inputs, step)
                for level, weight in self._levels():
                    values[level.name] = _value(level, batch)
                    weighted.append(weight * values[level.name])
            if self.supervised is not None:
                assert inputs.labelled is not None
                labelled = inputs.labelled._replace(
                    features=_full_precision(inputs.labelled.features)
                )
                values["supervised"] = self.supervised(labelled)
                weighted.append(self.config.supervised.weight * values["supervised"])
            total = torch.stack(weighted).sum()
        return total, {name: value.detach() for name, value in values.items()}

    def rotations(self, shape: Shape, step: int) -> Int[Tensor, "V S F A"]:
        """Draw the number of quarter rotations for each view of this rank.

        The views of a shot are spread evenly over the four rotations, in a random order, so that
        with four or more views each rotation has equal weight in the pooled shot [ours].

        Args:
            shape: V, S, F and A of the global batch.
            step: Index of the batch.
        """
        videos, shots, frames, views = shape
        draws = generator("rotation", self.seed, step).random((videos, shots, frames * views))
        first = generator("first rotation", self.seed, step).integers(
            NUM_ROTATIONS, size=(videos, shots, 1)
        )
        rotations = torch.from_numpy((draws.argsort(axis=-1) + first) % NUM_ROTATIONS)
        return rotations.view(shape)[distributed.rank() :: distributed.world_size()]

    def chance(self, shape: Shape) -> dict[str, float]:
        """Return each level's loss for uninformative features, by name.

        This is also the best that a collapsed backbone can reach, whatever its heads do.

        Args:
            shape: V, S, F and A of the global batch.
        """
        values = {
            level.name: checked_chance(f"level {level.name!r}", level, level.chance, shape)
            for level, _ in self._levels()
        }
        return values | ({"supervised": self.supervised.chance()} if self.supervised else {})

    def teaching(self) -> tuple[nn.Module, nn.Module] | None:
        """Return the student's head and the teacher's, its average; None without a teacher."""
        level = dict(self.levels.items()).get("frame_shot")
        return (level.student, level.teacher) if isinstance(level, DistillationLevel) else None

    def _level_input(self, inputs: ObjectiveInput, step: int) -> LevelInput:
        assert inputs.features is not None
        assert inputs.rows is not None
        features = _full_precision(inputs.features)
        return LevelInput(
            features=features,
            rows=inputs.rows.cpu(),
            step=step,
            seed=self.seed,
            shots=self.pooling(features) if self.config.has_video_level else None,
            teacher=None if inputs.teacher is None else _full_precision(inputs.teacher),
            frozen_teacher=(
                None if inputs.frozen_teacher is None else _full_precision(inputs.frozen_teacher)
            ),
            rotations=inputs.rotations,
        )

    def _levels(self) -> Iterator[tuple[Level, float]]:
        """Iterate over the levels and their weights."""
        configs = self.config.unlabelled_levels()
        for name, level in self.levels.items():
            yield cast(Level, level), configs[name].weight


def _value(level: Level, batch: LevelInput) -> Scalar:
    return checked_value(f"level {level.name!r}", level, lambda: level(batch))


def _built(
    config: AnyLevelConfig, feature_dim: int, shots_per_video: int, teacher_dim: int
) -> nn.Module:
    """Build a level; check that of a plugin."""
    if not isinstance(config, LevelConfig):
        return _build(config, feature_dim, shots_per_video, teacher_dim)
    with plugin_errors(f"level {config.name!r} cannot be built", config):
        level = _build(config, feature_dim, shots_per_video, teacher_dim)
    is_level = isinstance(level, nn.Module) and isinstance(getattr(level, "name", None), str)
    if not is_level or not callable(getattr(level, "chance", None)):
        raise PluginError(
            f"level {config.name!r}: build must return a torch module with a name and a method"
            f" 'chance', got {type(level).__name__}",
            "see the example in docs/extending/level.md",
        )
    return level


def _build(
    config: AnyLevelConfig, feature_dim: int, shots_per_video: int, teacher_dim: int
) -> nn.Module:
    match config:
        case FrameShotConfig():
            return frame_shot_level(feature_dim, config)
        case FutureConfig():
            return FutureLevel(feature_dim, config, shots_per_video)
        case OrderConfig():
            return OrderLevel(feature_dim, config, shots_per_video)
        case TeacherConfig():
            return TeacherLevel(feature_dim, config, teacher_dim)
        case _:
            return config.build(feature_dim, shots_per_video)


@contextmanager
def _own_draws(name: str, seed: int) -> Iterator[None]:
    """Draw weights from (seed, name) inside this context; the global generator is unchanged."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(generator(f"weights of {name}", seed).integers(2**63 - 1)))
        yield


def _full_precision(features: Tensor) -> Tensor:
    """Convert to at least single precision."""
    return features.float() if features.dtype in (torch.float16, torch.bfloat16) else features
