"""The command line `pocket-suite`, which has the errors and exit codes of footage."""

import dataclasses
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from footage import cli
from footage.cli import parsing
from footage.cli.options import required
from footage.errors import ConfigError
from pocket_suite.build import Built, build
from pocket_suite.gameplay import render_gameplay

log = logging.getLogger(__name__)

USAGE = """\
pocket-suite: build small image classification tasks in the layout of VTAB-1k

  pocket-suite build --out DIR                         the pocket suite; rerun to resume
  pocket-suite build --suite pocket-video --out DIR    tasks where videos should help
  pocket-suite gameplay --out DIR                      videos of the world of its in-domain tasks

Then evaluate models on it: footage evaluate MODEL --suite SUITE --data DIR
Run `pocket-suite COMMAND --help` for options. Add --debug for a full traceback."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class PocketConfig:
    """Settings of a build."""

    suite: str = "pocket"
    """The suite: pocket (transfer to images) or pocket-video (tasks where videos should help)."""
    tasks: tuple[str, ...] = ()
    """Names of the tasks to build. Default: all tasks except those dropped from the suite."""
    seed: int = 0
    """Seed of all random draws; the same seed gives the same bytes."""
    workers: int = dataclasses.field(default_factory=lambda: len(os.sched_getaffinity(0)))
    """Number of worker processes."""
    executor: str = "local"
    """Executor: local draws in processes on this machine, ray on a Ray cluster whose nodes share
    the folder. Plugins add others."""
    ray_address: str = ""
    """Address of a Ray cluster, HOST:6379. Default: RAY_ADDRESS, or a local cluster."""
    packages: str = ""
    """Folder of Debian packages. Missing packages are downloaded with `apt-get download`."""

    def __post_init__(self) -> None:
        """Refuse values that leave nothing to do."""
        if not 1 <= self.workers <= 4096:
            raise ConfigError(f"workers must be from 1 to 4096, got {self.workers}")


def build_pocket(out: str | Path, config: PocketConfig | None = None) -> Built:
    """Build the tasks that do not exist yet; rerun to resume, or to add missing tasks.

    Args:
        out: The suite's folder, which `footage evaluate --suite SUITE --data` reads.
        config: What to build.

    Raises:
        ConfigError: A task is unknown, the folder contains something else, or packages are missing.
        BusyError: Another process is building in the folder.
        FootageError: A package is damaged.
    """
    config = config or PocketConfig()
    if config.packages and not Path(config.packages).is_dir():
        raise ConfigError(
            f"folder {config.packages!r} does not exist", "pass the folder of the .deb files"
        )
    return build(
        out,
        suite=config.suite,
        tasks=config.tasks,
        seed=config.seed,
        workers=config.workers,
        packages=config.packages,
        executor=config.executor,
        ray_address=config.ray_address,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: The arguments after the program's name; None uses `sys.argv`.

    Returns:
        The exit code; see `footage --help`.
    """
    return cli.run_program({"build": _build, "gameplay": _gameplay}, USAGE, arguments)


def _build(words: Sequence[str]) -> None:
    default = PocketConfig()

    def command(
        *,
        out: Annotated[str, required("DIR", "Folder of the suite.")],
        config: Annotated[PocketConfig, arg(name="")] = default,
    ) -> None:
        """Build a suite from packages and renderers. Rerun to resume or add tasks."""
        built = build_pocket(out, config)
        for name in built.tasks:
            sys.stdout.write(f"{built.path / name}\n")
        for name, reason in built.missing.items():
            log.warning("missing: %s (%s)", name, reason)

    parsing.run(command, words, "pocket-suite build")


def _gameplay(words: Sequence[str]) -> None:
    def command(
        *,
        out: Annotated[str, required("DIR", "Folder of the videos.")],
        episodes: Annotated[int, arg(help="Number of videos, of 45 seconds on average.")] = 160,
        seed: Annotated[int, arg(help="Seed of all random draws.")] = 0,
    ) -> None:
        """Render videos of a scripted player in the world of the in-domain tasks."""
        render_gameplay(out, num_episodes=episodes, seed=seed)
        sys.stdout.write(f"{out}\n")

    parsing.run(command, words, "pocket-suite gameplay")
