"""Settings of `footage search`, importable without torch so that the help is quick."""

from dataclasses import dataclass

from footage.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchConfig:
    """Settings of a search."""

    top: int = 20
    """Number of shots to show per query."""

    frames_per_second: float = 1.0
    """Frames to sample per second of a query video."""

    size: int = 0
    """Input height and width in pixels; 0 uses the model's own."""

    batch_size: int = 64
    """Images per forward pass."""

    def __post_init__(self) -> None:
        checks = {
            "top": 1 <= self.top <= 10_000,
            "frames_per_second": 0 < self.frames_per_second <= 1000,
            "size": self.size == 0 or 8 <= self.size <= 4096,
            "batch_size": 1 <= self.batch_size <= 65536,
        }
        for name, is_fine in checks.items():
            if not is_fine:
                raise ConfigError(
                    f"{name} is out of range, got {getattr(self, name)}",
                    "see footage search --help",
                )
