"""Settings of `footage embed`, importable without torch so that the help is quick."""

from dataclasses import dataclass

from footage.configuration import check_ranges
from footage.errors import ConfigError
from footage.processes import shards


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

    append: bool = False
    """Add the files that the output does not contain yet; create it if it does not exist."""

    overwrite: bool = False
    """Replace the output if it exists."""

    workers: int = 1
    """Number of worker processes, spread over the GPUs."""

    executor: str = "local"
    """Executor: local computes on this machine, ray on a Ray cluster whose nodes share the folder
    of the output. Plugins add others."""

    ray_address: str = ""
    """Address of a Ray cluster, HOST:6379. Default: RAY_ADDRESS, or a local cluster."""

    shard: str = ""
    """Compute one shard of the files: I/N with I from 0 to N - 1, or auto inside a Slurm array
    or an indexed Kubernetes Job. Afterwards, run --merge once."""

    merge: bool = False
    """Write the output from the shards, and list those that are missing."""

    def __post_init__(self) -> None:
        check_ranges(
            self,
            "embed",
            frames_per_second=0 < self.frames_per_second <= 1000,
            batch_size=1 <= self.batch_size <= 65536,
            size=self.size == 0 or 8 <= self.size <= 4096,
            workers=1 <= self.workers <= 4096,
        )
        if self.append and self.overwrite:
            raise ConfigError(
                "--append and --overwrite cannot be combined",
                "--append keeps the rows of the output, --overwrite replaces them",
            )
        shards.check_options(self.shard, is_merge=self.merge)
