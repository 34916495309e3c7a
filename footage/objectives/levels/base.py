"""The interface of levels, and the registry for those that plugins add."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final, Protocol, TypeVar, runtime_checkable

from footage.configuration import Variant, require_settings
from footage.errors import ConfigError, PluginError
from footage.objectives.inputs import LevelInput, Shape
from footage.registry import Registry
from footage.shapes import Scalar

if TYPE_CHECKING:
    from torch import nn


@runtime_checkable
class Level(Protocol):
    """A head and a loss: a torch module that maps a batch to one number."""

    name: str
    """Name of the level's loss in logs and reports, such as "video/order"."""

    def __call__(self, batch: LevelInput) -> Scalar:
        """Compute the loss, before weighting."""

    def chance(self, shape: Shape) -> float:
        """Return the loss value for uninformative features.

        Args:
            shape: V, S, F and A of the global batch.
        """


@dataclass(frozen=True, kw_only=True, slots=True)
class LevelConfig(Variant):
    """Settings of a level that a plugin adds; subclasses add fields and `build`."""

    title: ClassVar[str] = ""
    """Name of the level in reports."""
    uses_shots: ClassVar[bool] = False
    """Whether the level reads `LevelInput.shots`, the features pooled per shot."""

    weight: float = 0.0
    """Weight of the level; 0 disables it."""

    @staticmethod
    def variants() -> Mapping[str, type["LevelConfig"]]:
        """Return all registered levels by name."""
        return LEVELS

    def build(self, feature_dim: int, shots_per_video: int) -> "nn.Module":
        """Build the level, a torch module that satisfies `Level`.

        Args:
            feature_dim: Width of the backbone's features.
            shots_per_video: S of the batches to come.
        """
        raise NotImplementedError


LEVELS: Final = Registry[type[LevelConfig]]("level")
"""Levels that plugins add, by name; the built-in ones are fields of `ObjectiveConfig`."""

Class = TypeVar("Class", bound=type[LevelConfig])


def register_level(name: str, *, title: str) -> Callable[[Class], Class]:
    """Register a level for `--objective.extra-levels.NAME.weight W`.

    Args:
        name: Name on the command line and in files.
        title: Name in reports.

    Raises:
        ConfigError: Another level has this name.
        PluginError: The class is not one of settings, or lacks `build`.
    """

    def register(config: Class) -> Class:
        if not issubclass(config, LevelConfig) or config.build is LevelConfig.build:
            raise PluginError(
                f"level {name!r} must be a subclass of LevelConfig with a method 'build'",
                "see the example in docs/extending/level.md",
            )
        require_settings(f"level {name!r}", config)
        config.name, config.title = name, title
        LEVELS.register(name, config)
        return config

    return register


def plugin_levels() -> dict[str, LevelConfig]:
    """Return the levels of all plugins with their default settings, by name."""
    return {name: config() for name, config in LEVELS.items()}


def check(config: object, *, where: str, above_0: tuple[str, ...]) -> None:
    """Reject a negative weight, and any field in `above_0` that is not positive.

    Raises:
        ConfigError: A value is out of range; names the field.
    """
    for name in ("weight", *above_0):
        value = getattr(config, name)
        if not math.isfinite(value) or value < 0 or (name != "weight" and value == 0):
            least = ">= 0" if name == "weight" else "> 0"
            raise ConfigError(
                f"objective.{where}.{name} must be {least}, got {value}",
                "0 disables the level" if name == "weight" else "give a positive number",
            )
