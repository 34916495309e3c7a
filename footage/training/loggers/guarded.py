"""Loggers that cannot end training: a logger that fails to write is switched off."""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from footage.training.loggers.base import LOGGERS, MetricsLogger

log = logging.getLogger(__name__)


class GuardedLoggers:
    """Combine several loggers into one.

    Args:
        names: Names of the loggers.
        run: The run folder.
        first_step: Number of steps already taken.

    Raises:
        UnknownNameError: There is no such logger.
    """

    def __init__(self, names: Sequence[str], run: Path, first_step: int) -> None:
        factories = {name: LOGGERS.find(name) for name in names}
        self._loggers: dict[str, MetricsLogger] = {}
        for name, factory in factories.items():
            try:
                self._loggers[name] = factory(run, first_step)
            except OSError as error:
                _warn(name, error)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Pass values of one step to every logger."""
        self._each(lambda logger: logger.log(step, values))

    def flush(self) -> None:
        """Flush every logger."""
        self._each(lambda logger: logger.flush())

    def close(self) -> None:
        """Close every logger."""
        self._each(lambda logger: logger.close())

    def _each(self, action: Callable[[MetricsLogger], None]) -> None:
        for name, logger in list(self._loggers.items()):
            try:
                action(logger)
            except OSError as error:
                _warn(name, error)
                del self._loggers[name]


def _warn(name: str, error: OSError) -> None:
    log.warning(
        "the logger %s cannot write: %s; training continues without it",
        name, error.strerror or error,
    )  # fmt: skip
