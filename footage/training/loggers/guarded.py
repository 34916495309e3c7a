"""Loggers whose failures are handled: a logger that cannot write is disabled.

Any other exception of a logger ends training with an error and a hint on how to resume.
"""

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from footage.errors import PluginError
from footage.registry import plugin_errors
from footage.runs import checkpoint, layout
from footage.training.loggers.base import LOGGERS, MetricsLogger

log = logging.getLogger(__name__)

METHODS = ("log", "flush", "close")


def require_loggers(names: Sequence[str]) -> None:
    """Check the names of loggers.

    Raises:
        UnknownNameError: A logger does not exist.
    """
    for name in names:
        LOGGERS.find(name)


class GuardedLoggers:
    """Combine several loggers into one.

    Args:
        names: Names of the loggers.
        run: The run folder.
        first_step: Number of steps already taken.

    Raises:
        UnknownNameError: A logger does not exist.
        PluginError: A logger raised an exception other than `OSError`, or lacks a method.
    """

    def __init__(self, names: Sequence[str], run: Path, first_step: int) -> None:
        factories = {name: LOGGERS.find(name) for name in names}
        self._run = run
        self._step = first_step
        self._loggers: dict[str, MetricsLogger] = {}
        with contextlib.ExitStack() as opened:
            opened.callback(self.close)
            for name, factory in factories.items():
                with self._guarded(name, factory, "cannot be created"):
                    logger = factory(run, first_step)
                    _require_methods(name, logger)
                    self._loggers[name] = logger
            opened.pop_all()

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Pass values of one step to every logger."""
        self._step = step
        self._each(lambda logger: logger.log(step, values))

    def flush(self) -> None:
        """Flush every logger."""
        self._each(lambda logger: logger.flush())

    def close(self) -> None:
        """Close every logger; training is over, so an exception is only a warning."""
        for name, logger in list(self._loggers.items()):
            try:
                with self._guarded(name, logger, f"failed at step {self._step}"):
                    logger.close()
            except PluginError as error:
                log.warning("%s", error.message)

    def _each(self, action: Callable[[MetricsLogger], None]) -> None:
        for name, logger in list(self._loggers.items()):
            with self._guarded(name, logger, f"failed at step {self._step}"):
                action(logger)

    @contextlib.contextmanager
    def _guarded(self, name: str, code: object, failure: str) -> Iterator[None]:
        """Drop a logger that raises an exception."""
        try:
            with plugin_errors(f"logger {name!r} {failure}", code):
                yield
        except Exception as error:
            self._loggers.pop(name, None)
            cause = error.__cause__ or error
            if isinstance(cause, OSError):
                _warn(name, cause)
            elif isinstance(error, PluginError):
                raise PluginError(error.message, self._hint(name)) from cause
            else:
                raise

    def _hint(self, name: str) -> str:
        saved = checkpoint.steps(self._run / layout.CHECKPOINTS)
        resume = f"rerun to resume from step {saved[-1]}" if saved else "correct it and rerun"
        return f"{resume}, or remove {name} from --compute.loggers"


def _require_methods(name: str, logger: object) -> None:
    for method in METHODS:
        if not callable(getattr(logger, method, None)):
            raise PluginError(f"logger {name!r} has no method {method!r}")


def _warn(name: str, error: OSError) -> None:
    log.warning(
        "the logger %s cannot write: %s; training continues without it",
        name, error.strerror or error,
    )  # fmt: skip
