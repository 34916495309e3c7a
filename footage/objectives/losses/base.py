"""The interface of frame/shot-level losses: settings, function and value at chance."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Final, TypeVar

from footage.configuration import Variant, require_settings
from footage.errors import PluginError
from footage.objectives.inputs import LevelInput, Shape
from footage.objectives.positives import PairPositives
from footage.registry import Registry, is_plugin
from footage.shapes import Embeddings, Scalar


@dataclass(frozen=True, kw_only=True, slots=True)
class LossConfig(Variant):
    """Settings of a frame/shot-level loss; the type selects the loss."""

    title: ClassVar[str] = ""
    """Name of the loss in reports."""
    allowed_positives: ClassVar[tuple[PairPositives, ...]] = ("frame", "shot", "other_frames")
    """Values of `positives` that the loss supports."""
    needs_pairs: ClassVar[bool] = True
    """Whether a batch without positive pairs is an error."""
    rotates_views: ClassVar[bool] = False
    """Whether views are rotated before the backbone."""
    needs_teacher: ClassVar[bool] = False
    """Whether a teacher backbone (an average of the weights) is needed."""

    @staticmethod
    def variants() -> Mapping[str, type["LossConfig"]]:
        """Return all registered losses by name."""
        return LOSSES

    def chance(self, shape: Shape, positives: PairPositives) -> float:
        """Return the loss value for uninformative features.

        Args:
            shape: V, S, F and A of the global batch.
            positives: Which embeddings are positive pairs.
        """
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True, slots=True)
class EmbeddingLossConfig(LossConfig):
    """Settings of a loss over the projected embeddings of a batch."""

    def loss(self, embeddings: Embeddings, batch: LevelInput, positives: PairPositives) -> Scalar:
        """Compute the loss.

        Args:
            embeddings: Output of the projection head for the global batch.
            batch: Shot rows, step and seed of the batch.
            positives: Which embeddings are positive pairs.
        """
        raise NotImplementedError


LOSSES: Final = Registry[type[LossConfig]]("loss", "footage.objectives.losses")
"""Losses that the frame/shot level can use, by name."""

Class = TypeVar("Class", bound=type[LossConfig])


def register_loss(name: str, *, title: str) -> Callable[[Class], Class]:
    """Register a loss for `--objective.frame-shot.loss NAME`.

    Args:
        name: Name on the command line and in files, such as "vicreg".
        title: Name in reports, such as "VICReg".

    Raises:
        ConfigError: Another loss has this name.
        PluginError: The class is not one of settings, or lacks a method.
    """

    def register(config: Class) -> Class:
        if is_plugin(config):
            _require_loss(name, config)
        config.name, config.title = name, title
        LOSSES.register(name, config)
        return config

    return register


def _require_loss(name: str, config: type) -> None:
    """Check the class of a plugin's loss."""
    example = "see the example in docs/extending/loss.md"
    if not issubclass(config, EmbeddingLossConfig):
        raise PluginError(f"loss {name!r} is not a subclass of EmbeddingLossConfig", example)
    require_settings(f"loss {name!r}", config)
    for method in ("loss", "chance"):
        if getattr(config, method) is getattr(EmbeddingLossConfig, method):
            raise PluginError(f"loss {name!r} has no method {method!r}", example)
