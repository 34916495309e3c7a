"""Settings of search and near-duplicates, importable without torch so that the help is quick."""

from dataclasses import dataclass
from typing import Final, Literal

from footage.configuration import check_ranges

Method = Literal["auto", "exact", "approximate"]
EXACT_FRAMES: Final = 1_000_000
"""Up to this number of frames, `auto` is exact."""


def is_approximate(method: Method, num_frames: int) -> bool:
    """Return whether a store is searched with an index."""
    return method == "approximate" or (method == "auto" and num_frames > EXACT_FRAMES)


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchConfig:
    """Settings of a search."""

    top: int = 20
    """Number of shots to show per query."""

    method: Method = "auto"
    """exact compares every frame; approximate builds an index once and compares the most promising
    frames (needs footage[search]); auto is exact up to a million frames."""

    frames_per_second: float = 1.0
    """Frames to sample per second of a query video."""

    size: int = 0
    """Input height and width in pixels; 0 uses the model's own."""

    batch_size: int = 64
    """Images per forward pass."""

    def __post_init__(self) -> None:
        check_ranges(
            self,
            "search",
            top=1 <= self.top <= 10_000,
            frames_per_second=0 < self.frames_per_second <= 1000,
            size=self.size == 0 or 8 <= self.size <= 4096,
            batch_size=1 <= self.batch_size <= 65536,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class DuplicatesConfig:
    """Settings of a search for near-duplicates."""

    threshold: float = 0.0
    """Minimum cosine similarity of near-duplicate frames. Required with --model; otherwise, 0
    selects 0.93, a measured value."""

    method: Method = "auto"
    """exact compares every frame with every other; approximate builds an index once and compares
    the most promising pairs (needs footage[search]); auto is exact up to a million frames."""

    within_videos: bool = False
    """Also report shots of the same video as near-duplicates of each other."""

    top: int = 20
    """Number of groups in the table and on the page; JSON lists all."""

    size: int = 0
    """Input height and width of the model in pixels; 0 uses its own."""

    batch_size: int = 64
    """Images per forward pass."""

    def __post_init__(self) -> None:
        check_ranges(
            self,
            "duplicates",
            threshold=self.threshold == 0 or 0 < self.threshold <= 1,
            top=1 <= self.top <= 10_000,
            size=self.size == 0 or 8 <= self.size <= 4096,
            batch_size=1 <= self.batch_size <= 65536,
        )
