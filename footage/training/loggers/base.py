"""The interface of metric loggers, and their registry."""

import importlib.util
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from jaxtyping import UInt8

from footage.errors import MachineError
from footage.io import files
from footage.registry import Registry
from footage.runs import layout

Picture = UInt8[np.ndarray, "H W 3"]

_ID = re.compile(r"[\w-]{1,128}")


class MetricsLogger(Protocol):
    """Receives the metrics of a training run; only the first process has one.

    Each logger runs in a thread of its own. A logger that raises an exception or does not respond
    is disabled with one warning, and training continues.
    """

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Record values of one step.

        Args:
            step: Number of optimiser steps taken.
            values: Values by name: "loss", "learning_rate", "images_per_second", ...,
                "level/NAME" for each level, "probe/NAME" for online metrics of held-out videos, and
                "system/NAME" for load and memory of the machine.
        """

    def flush(self) -> None:
        """Write everything so far; called before each checkpoint."""

    def close(self) -> None:
        """Close the logger at the end of the run."""


class OptionalMethods(Protocol):
    """Methods that a logger may have in addition; one that it lacks is not called."""

    def config(self, values: Mapping[str, Any]) -> None:
        """Record the configuration, before the first value; called again when a run is resumed.

        Args:
            values: The content of run.json, without lists of videos and classes.
        """

    def images(self, step: int, images: Mapping[str, Picture]) -> None:
        """Record pictures: "views" of a batch, and "neighbours" of held-out shots.

        Args:
            step: Number of optimiser steps taken.
            images: RGB pictures by name.
        """

    def summary(self, values: Mapping[str, float]) -> None:
        """Record the final results; called once, after the last step of a run."""


LoggerFactory = Callable[[Path, int], MetricsLogger]

LOGGERS: Final = Registry[LoggerFactory]("logger", "footage.training.loggers")
"""Functions of the run folder and the number of steps already taken, by name."""


def register_logger(name: str) -> Callable[[LoggerFactory], LoggerFactory]:
    """Register a logger for `footage train --log NAME`.

    Args:
        name: Name on the command line.

    Raises:
        ConfigError: Another logger has this name.
    """

    def register(factory: LoggerFactory) -> LoggerFactory:
        LOGGERS.register(name, factory)
        return factory

    return register


def require_package(package: str) -> None:
    """Check that the library of a logger is installed; the extra has the same name.

    Raises:
        MachineError: It is not.
    """
    if importlib.util.find_spec(package) is None:
        raise MachineError(
            f"the logger {package} needs the package {package}, which is not installed",
            f"pip install 'footage[{package}]'",
        )


def saved_id(run: Path, logger: str) -> str:
    """Return the id of this run in a logger's own database, or an empty string."""
    path = run / layout.LOGGER_IDS / logger
    text = path.read_text("utf-8").strip() if path.exists() else ""
    return text if _ID.fullmatch(text) else ""


def save_id(run: Path, logger: str, value: str) -> None:
    """Save the id of this run in a logger's own database, so that a resumed run continues it."""
    path = run / layout.LOGGER_IDS / logger
    files.make_folder(path.parent)
    files.write_text(path, value + "\n")


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested values with names such as `config.optimizer.learning_rate`."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        found |= flat(value, f"{name}.") if isinstance(value, Mapping) else {name: value}
    return found
