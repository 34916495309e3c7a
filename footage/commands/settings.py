"""Settings of small commands. This module does not import torch, so that --help is fast."""

from dataclasses import dataclass

from footage.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class EmbedConfig:
    """Settings for extracting features."""

    frames_per_second: float = 1.0
    """Frames to sample per second of video."""

    patches: bool = False
    """Also write the last feature map: one vector per cell of the network's grid."""

    size: int = 0
    """Input height and width in pixels; 0 uses the model's own."""

    batch_size: int = 64
    """Images per forward pass."""

    overwrite: bool = False
    """Replace the output file if it exists."""

    def __post_init__(self) -> None:
        checks = {
            "frames_per_second": 0 < self.frames_per_second <= 1000,
            "batch_size": 1 <= self.batch_size <= 65536,
            "size": self.size == 0 or 8 <= self.size <= 4096,
        }
        for name, is_fine in checks.items():
            if not is_fine:
                raise ConfigError(
                    f"{name} is out of range, got {getattr(self, name)}",
                    "see footage embed --help",
                )


@dataclass(frozen=True, kw_only=True, slots=True)
class DemoConfig:
    """Settings of the demo."""

    train_seconds: float = 300.0
    """Approximate training time in seconds; sets the number of steps."""

    most_steps: int = 4000
    """Maximum number of steps."""

    num_rendered: int = 80
    """Number of rendered videos to add to the real clips; ignored with your own videos."""

    labelled_scale: float = 1.0
    """Factor for the number of labelled images that are rendered for the evaluation."""

    download: bool = True
    """Download real clips; otherwise use only rendered videos."""

    seed: int = 0
    """Seed of all random draws."""

    def __post_init__(self) -> None:
        """Refuse values that are not positive."""
        for name in ("train_seconds", "labelled_scale"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} must be > 0, got {getattr(self, name)}")
        for name in ("most_steps", "num_rendered"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}")
