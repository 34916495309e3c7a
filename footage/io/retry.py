"""Retry reads after an input/output error: disks and network file systems recover from many."""

import errno
import logging
import time
from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")

TRIES = 5
"""Attempts at one read before its error is raised."""
FIRST_PAUSE_SECONDS = 0.5
"""Pause after the first failure; each later pause is twice as long."""
MOST_SECONDS = 60.0
"""No new attempt begins this many seconds after the first, even if few were made."""
_MAY_PASS = (errno.EIO, errno.ETIMEDOUT, errno.ESTALE)

log = logging.getLogger(__name__)


def retried(
    read: Callable[[], Value], what: str, forget: Callable[[], None] | None = None
) -> Value:
    """Call `read` until it succeeds, at most `TRIES` times; only errors of the disk are retried.

    Args:
        read: Reads something and has no other effect.
        what: Name of what is read, for the log.
        forget: Called before each new attempt, to close what the last one had opened.

    Raises:
        OSError: The last error, if none of the attempts succeeded.
    """
    began = time.monotonic()
    pause = FIRST_PAUSE_SECONDS
    for attempt in range(1, TRIES + 1):
        try:
            return read()
        except OSError as error:
            is_late = time.monotonic() + pause - began > MOST_SECONDS
            if error.errno not in _MAY_PASS or attempt == TRIES or is_late:
                raise
            log.warning("%s: %s; attempt %d of %d failed", what, error.strerror, attempt, TRIES)
        time.sleep(pause)
        pause *= 2
        if forget is not None:
            forget()
    raise AssertionError("unreachable")
