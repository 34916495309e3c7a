"""Loggers in threads of their own: neither a failing nor a blocking logger stops a run."""

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from footage.errors import FootageError
from footage.registry import plugin_errors
from footage.text import one_line, redacted
from footage.training.loggers.base import LOGGERS, LoggerFactory, MetricsLogger, Picture

log = logging.getLogger(__name__)

REQUIRED: Final = ("log", "flush", "close")

PATIENCE_SECONDS = 120.0
"""Longest time for one call of a logger, and for which a checkpoint or the end of training waits
[ours].
"""

MOST_WAITING: Final = 10_000
"""Calls that may wait for a logger, as when it is slower than training [ours]."""


def require_loggers(names: Sequence[str]) -> None:
    """Check the names of loggers, and that their libraries are installed.

    Raises:
        UnknownNameError: A logger does not exist.
        MachineError: The library of a logger is not installed.
    """
    for name in names:
        require = getattr(LOGGERS.find(name), "require", None)
        if require is not None:
            require()


class GuardedLoggers:
    """Combine several loggers into one that returns immediately and never fails.

    Args:
        names: Names of the loggers.
        run: The run folder.
        first_step: Number of steps already taken.

    Raises:
        UnknownNameError: A logger does not exist.
    """

    def __init__(self, names: Sequence[str], run: Path, first_step: int) -> None:
        factories = {name: LOGGERS.find(name) for name in names}
        self._loggers = [
            _LoggerThread(name, factory, run, first_step) for name, factory in factories.items()
        ]

    def config(self, values: Mapping[str, Any]) -> None:
        """Pass the configuration to every logger that records it."""
        self._call("config", values)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Pass values of one step to every logger."""
        self._call("log", step, values)

    def images(self, step: int, images: Mapping[str, Picture]) -> None:
        """Pass pictures to every logger that records them."""
        self._call("images", step, images)

    def summary(self, values: Mapping[str, float]) -> None:
        """Pass the final results to every logger that records them."""
        self._call("summary", values)

    def flush(self) -> None:
        """Flush every logger; wait until they have written everything so far."""
        self._call("flush")
        self._wait()

    def close(self) -> None:
        """Close every logger, and wait for them."""
        self._call("close")
        self._wait()

    def _call(self, method: str, *arguments: Any) -> None:  # noqa: ANN401
        for logger in self._loggers:
            logger.call(method, *arguments)

    def _wait(self) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        for logger in self._loggers:
            logger.wait(deadline)


class _LoggerThread:
    """A logger that is created and called in a thread; calls return immediately.

    Args:
        name: Name of the logger.
        factory: Creates the logger.
        run: The run folder.
        first_step: Number of steps already taken.
    """

    def __init__(self, name: str, factory: LoggerFactory, run: Path, first_step: int) -> None:
        self._name = name
        self._calls: queue.SimpleQueue[tuple[str, tuple[Any, ...]]] = queue.SimpleQueue()
        self._idle = threading.Condition()
        self._waiting = 0
        self._call_start = time.monotonic()
        self._is_disabled = False
        self._factory = factory
        self._step = first_step
        self.call("create", run, first_step)
        # The interpreter does not wait for a daemon at its end, so a blocked logger cannot hold it.
        threading.Thread(target=self._work, name=f"logger {name}", daemon=True).start()

    def call(self, method: str, *arguments: Any) -> None:  # noqa: ANN401
        """Add a call to the queue, or disable the logger if it does not keep up."""
        with self._idle:
            if self._is_disabled:
                return
            if not self._waiting:
                self._call_start = time.monotonic()
            self._waiting += 1
            self._calls.put((method, arguments))
            too_many = self._waiting > MOST_WAITING
        if too_many:
            self._disable("is slower than training")
        elif time.monotonic() - self._call_start > PATIENCE_SECONDS:
            self._disable(f"has not responded for {PATIENCE_SECONDS:.0f} s")

    def wait(self, deadline: float) -> None:
        """Wait until all calls are done; disable the logger if they are not at the deadline.

        Args:
            deadline: A time of the monotonic clock.
        """
        with self._idle:
            is_done = self._idle.wait_for(
                lambda: not self._waiting or self._is_disabled, deadline - time.monotonic()
            )
        if not is_done:
            self._disable(f"has not finished within {PATIENCE_SECONDS:.0f} s")

    def _work(self) -> None:
        """Make the calls, one after the other, until the logger is closed or disabled."""
        logger: MetricsLogger | None = None
        method = ""
        while method != "close" and not self._is_disabled:
            method, arguments = self._calls.get()
            self._call_start = time.monotonic()
            if method == "log":
                self._step = arguments[0]
            try:
                with plugin_errors("", self._factory):
                    if logger is None:
                        logger = self._factory(*arguments)
                        _require_methods(logger)
                    else:
                        getattr(logger, method, _nothing)(*arguments)
            except BaseException as error:  # a library may also call sys.exit
                self._disable(_described(method, self._step, error))
                if logger is not None and method != "close":
                    with contextlib.suppress(BaseException):  # the failure has been reported
                        logger.close()
            with self._idle:
                self._waiting -= 1
                self._call_start = time.monotonic()
                self._idle.notify_all()

    def _disable(self, reason: str) -> None:
        """Report a failure, once; the thread ends after its current call."""
        with self._idle:
            if self._is_disabled:
                return
            self._is_disabled = True
            # before those who wait continue: the process may end then
            log.warning("logger %r %s; training continues without it", self._name, reason)
            self._idle.notify_all()


def _nothing(*_: object) -> None:
    """Replace an optional method that a logger lacks."""


def _require_methods(logger: object) -> None:
    for method in REQUIRED:
        if not callable(getattr(logger, method, None)):
            raise TypeError(f"it has no method {method!r}")


def _described(method: str, step: int, error: BaseException) -> str:
    """Describe an exception of a logger on one line, without secrets."""
    when = "cannot be created" if method == "create" else f"failed at step {step}"
    if isinstance(error, FootageError):
        text = error.message.removeprefix(": ") + f" ({error.hint})" * bool(error.hint)
    else:
        text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return one_line(redacted(f"{when}: {text}"))
