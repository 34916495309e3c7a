"""Settings of small commands. This module does not import torch, so that --help is fast."""

from dataclasses import dataclass

from footage.errors import ConfigError


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
    """Random seed."""

    def __post_init__(self) -> None:
        """Refuse values that are not positive."""
        for name in ("train_seconds", "labelled_scale"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} must be > 0, got {getattr(self, name)}")
        for name in ("most_steps", "num_rendered"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}")
