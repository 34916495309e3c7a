"""The interface of metric loggers, and their registry."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Protocol

from footage.registry import Registry


class MetricsLogger(Protocol):
    """Receives the metrics of a training run; only the first process has one.

    A logger that raises an `OSError` is disabled with a warning; any other exception ends training.
    """

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Record values of one step.

        Args:
            step: Number of optimiser steps taken.
            values: Values by name: "loss", "learning_rate", "images_per_second", ...,
                "level/NAME" for each level, and "probe/NAME" for online metrics of held-out videos.
        """

    def flush(self) -> None:
        """Write everything so far; called before each checkpoint."""

    def close(self) -> None:
        """Close the logger at the end of the run."""


LoggerFactory = Callable[[Path, int], MetricsLogger]

LOGGERS: Final = Registry[LoggerFactory]("logger", "footage.training.loggers")
"""Functions of the run folder and the number of steps already taken, by name."""


def register_logger(name: str) -> Callable[[LoggerFactory], LoggerFactory]:
    """Register a logger for `footage train --compute.loggers NAME ...`.

    Args:
        name: Name on the command line.

    Raises:
        ConfigError: Another logger has this name.
    """

    def register(factory: LoggerFactory) -> LoggerFactory:
        LOGGERS.register(name, factory)
        return factory

    return register
