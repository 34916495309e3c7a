"""The verb that builds the pocket suite: small transfer tasks out of packages and renderers."""

import dataclasses
import os
from pathlib import Path

from footage.errors import ConfigError
from footage.pocket.build import Built, build


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class PocketConfig:
    """What is built, and out of what."""

    tasks: tuple[str, ...] = ()
    """Names of tasks; without any, all but those that were dropped from the suite."""
    seed: int = 0
    """Seed of everything that is drawn; the same seed gives the same bytes."""
    workers: int = dataclasses.field(default_factory=lambda: len(os.sched_getaffinity(0)))
    """Processes that draw."""
    packages: str = ""
    """Folder of Debian packages; without one, or for what it lacks, `apt-get download` is asked."""

    def __post_init__(self) -> None:
        """Refuse values that leave nothing to do."""
        if not 1 <= self.workers <= 4096:
            raise ConfigError(f"workers must be from 1 to 4096, got {self.workers}")


def build_pocket(out: str | Path, config: PocketConfig | None = None) -> Built:
    """Build the tasks that are not there yet; run it again to go on, or to add what was missing.

    Args:
        out: The suite's folder, which `footage evaluate --suite pocket --data` reads.
        config: What to build.

    Raises:
        ConfigError: A task is unknown, the folder holds something else, or there are no packages.
        FootageError: A package is damaged.
    """
    config = config or PocketConfig()
    if config.packages and not Path(config.packages).is_dir():
        raise ConfigError(
            f"there is no folder {config.packages}", "give the folder of the .deb files"
        )
    return build(
        out,
        tasks=config.tasks,
        seed=config.seed,
        workers=config.workers,
        packages=config.packages,
    )
