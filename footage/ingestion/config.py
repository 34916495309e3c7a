"""Settings of `footage ingest`. No decoder is imported, so that `--help` is fast."""

import dataclasses
import os
from typing import TYPE_CHECKING, Any

from footage.configuration import check_ranges
from footage.processes.shards import check_options
from footage.video.sandbox import Limits

if TYPE_CHECKING:
    from footage.video.extract import Extraction


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class IngestConfig:
    """Ingest settings."""

    frames_per_second: float = 2.0
    """Frames to store per second of video."""
    short_side: int = 256
    """Shorter side of stored frames in pixels; smaller videos keep their size."""
    jpeg_quality: int = 90
    """JPEG quality of stored frames, 1 to 100."""
    detector: str = "adaptive"
    """Cut detector: adaptive is fast, transnet finds more dissolves but is much slower. Plugins add
    others."""
    minimum_shot_seconds: float = 0.5
    """Minimum shot length, in seconds; closer cuts are merged."""
    boundary_margin_seconds: float = 0.25
    """Discard frames within this many seconds of a cut."""
    workers: int = dataclasses.field(default_factory=lambda: len(os.sched_getaffinity(0)))
    """Number of worker processes."""
    executor: str = "local"
    """Executor: local decodes videos in processes on this machine, ray on a Ray cluster; plugins
    add others."""
    ray_address: str = ""
    """Address of a Ray cluster. Default: RAY_ADDRESS, or a cluster that is started for this run."""
    shard: str = ""
    """Process one share of the videos, I/N with I from 0 to N - 1, or auto in a job array; then run
    --merge."""
    merge: bool = False
    """List the videos of all shards in the store, after every shard has finished."""
    max_quarantined_fraction: float = 0.2
    """Fraction of quarantined files, 0 to 1, above which the command ends with an error."""
    retry_quarantined: bool = False
    """Decode videos again that the store lists as quarantined."""
    require_sandbox: bool = False
    """Stop with an error unless every layer of the decoder sandbox is available."""
    limits: Limits = dataclasses.field(default_factory=Limits)
    """Per-video resource limits."""

    def __post_init__(self) -> None:
        check_options(self.shard, is_merge=self.merge)
        check_ranges(
            self,
            "ingest",
            frames_per_second=0 < self.frames_per_second <= 1000,
            short_side=16 <= self.short_side <= 8192,
            jpeg_quality=1 <= self.jpeg_quality <= 100,
            minimum_shot_seconds=0 <= self.minimum_shot_seconds < 3600,
            boundary_margin_seconds=0 <= self.boundary_margin_seconds < 3600,
            workers=1 <= self.workers <= 4096,
            max_quarantined_fraction=0 <= self.max_quarantined_fraction <= 1,
        )

    @property
    def extraction(self) -> "Extraction":
        """Settings that determine which frames are kept."""
        from footage.video.extract import Extraction  # needs OpenCV, which `--help` does not

        names = [field.name for field in dataclasses.fields(Extraction)]
        return Extraction(**{name: getattr(self, name) for name in names})

    @property
    def store_settings(self) -> dict[str, Any]:
        """Return the settings that determine the content of a store."""
        return dataclasses.asdict(self.extraction) | {"detector": self.detector}
