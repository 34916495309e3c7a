"""Settings of `footage profile`. This module does not import torch, so that --help is fast."""

from dataclasses import dataclass

from footage.errors import ConfigError, UnknownNameError
from footage.evaluation.config import FROZEN


@dataclass(frozen=True, kw_only=True, slots=True)
class ProfileConfig:
    """Profile settings."""

    store_videos: int = 64
    """Maximum number of stored videos; intervals are over videos. Memory grows with the square
    of this number."""

    shots_per_video: int = 4
    """Maximum number of shots per video."""

    frames_per_shot: int = 4
    """Maximum number of frames per shot."""

    scenes: int = 24
    """Number of rendered scenes in which one factor changes at a time; 0 skips this part."""

    reach: int = 10
    """Half-width, in frames, of the window around each anchor."""

    protocols: tuple[str, ...] = FROZEN
    """Classifiers for labelled videos: knn, linear."""

    seed: int = 0
    """Seed of the selection of videos, the views, the scenes, the split and untrained networks."""

    size: int = 0
    """Input height and width in pixels; 0 uses each model's own."""

    batch_size: int = 64
    """Images per forward pass."""

    def __post_init__(self) -> None:
        for name, least in (
            ("store_videos", 2), ("shots_per_video", 1), ("frames_per_shot", 1), ("scenes", 0),
            ("reach", 1), ("size", 0), ("batch_size", 1),
        ):  # fmt: skip
            if getattr(self, name) < least:
                raise ConfigError(f"{name} must be at least {least}, got {getattr(self, name)}")
        for name in self.protocols:
            if name not in FROZEN:
                raise UnknownNameError("protocol", name, FROZEN)
        if not self.protocols:
            raise ConfigError("no protocol was given", f"choose from {', '.join(FROZEN)}")
