"""Check that the frames of an ingest fit on the disk, before it starts and while it runs."""

import logging
import shutil
from pathlib import Path

from footage.errors import OutputError
from footage.io import files
from footage.store.description import NAME
from footage.store.reader import Store

LEAST_RATIO = 0.01
"""Low estimate of bytes of frames per byte of video, at 256 px and 2 frames per second."""
_PROJECT_AFTER = 0.1
"""Fraction of the bytes of video after which the measured ratio is used."""
_TOLERANCE = 1.5
"""An ingest stops only if the shortage exceeds the estimate by this margin."""

log = logging.getLogger(__name__)


def check_before(store: Path, existing: Store | None, num_bytes: int) -> None:
    """Check that the frames of new videos can fit, by the ratio of the store or a low one.

    Args:
        store: The store folder.
        existing: The existing store.
        num_bytes: Size of the new videos.

    Raises:
        OutputError: The disk is certainly too small.
    """
    ratio = LEAST_RATIO
    if existing is not None and existing.totals["source_bytes"]:
        ratio = existing.totals["store_bytes"] / existing.totals["source_bytes"] / _TOLERANCE
    files.require_space(store / NAME, int(ratio * num_bytes), "the store")


class SpaceWatch:
    """Projects the size of a store from the videos that are finished."""

    def __init__(self, store: Path, num_bytes: int) -> None:
        self._store = store
        self._ahead = num_bytes
        self._done = 0
        self._written = 0
        self._has_warned = False

    def finished(self, num_bytes: int, stored_bytes: int) -> None:
        """Count a finished unit by the size of its videos and of its part.

        Raises:
            OutputError: The remaining videos will not fit, by a wide margin.
        """
        self._ahead -= num_bytes
        if not stored_bytes:
            return
        self._done += max(num_bytes, 1)
        self._written += stored_bytes
        if self._ahead <= 0 or self._done < _PROJECT_AFTER * (self._done + self._ahead):
            return
        need = self._written * self._ahead / self._done
        free = shutil.disk_usage(self._store).free
        if need > _TOLERANCE * free:
            raise OutputError(
                f"the store at {str(self._store)!r} needs about {need / 1e6:,.1f} MB more, but only"
                f" {free / 1e6:,.1f} MB are free",
                "free some space, then rerun to resume",
            )
        if need > free and not self._has_warned:
            self._has_warned = True
            log.warning(
                "%s may not fit: it needs about %.1f MB more, and %.1f MB are free",
                self._store, need / 1e6, free / 1e6,
            )  # fmt: skip
