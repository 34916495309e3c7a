"""The lock of a remote store: a file that its holder rewrites, because nothing else releases it.

It keeps two processes from doing the same work. Data are safe without it: a manifest is published
by a write that fails if the manifest exists.
"""

import contextlib
import logging
import os
import socket
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from footage.errors import BusyError, StoreError
from footage.io import files
from footage.io.remote import RemoteFolder

NAME: Final = ".lock"
REFRESH_SECONDS: Final = 60.0
"""The holder rewrites the lock this often [ours]."""
ABANDONED_SECONDS = 600.0
"""A lock that has not been rewritten for this long belongs to a process that died [ours]."""
SETTLE_SECONDS: Final = 1.0
"""Time in which another process that found the same abandoned lock may replace ours [ours]."""

log = logging.getLogger(__name__)


class Holder(msgspec.Struct, frozen=True):
    """The process that holds the lock."""

    pid: int
    host: str
    token: str
    """Distinguishes holders; chosen at random."""
    written: float
    """Seconds since 1970, by the clock of the holder."""

    @property
    def is_gone(self) -> bool:
        """Whether the holder has died, or seems to have."""
        is_here = self.host == socket.gethostname()
        is_dead = is_here and not files.is_alive(self.pid)
        return is_dead or time.time() - self.written >= ABANDONED_SECONDS


class RemoteLock:
    """The lock of one remote store.

    Args:
        remote: The store folder.
    """

    def __init__(self, remote: RemoteFolder) -> None:
        self._remote = remote
        self._token = uuid.uuid4().hex

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock.

        Raises:
            BusyError: Another process holds it.
            OutputError: The lock cannot be written.
        """
        self._take()
        ended = threading.Event()
        refreshing = threading.Thread(target=self._refresh, args=(ended,), daemon=True)
        refreshing.start()
        try:
            yield
        finally:
            ended.set()
            refreshing.join()
            if self._is_ours():
                with contextlib.suppress(Exception):  # it expires
                    self._remote.remove(NAME)

    def _take(self) -> None:
        if self._write(replace=False):
            return
        holder = self.holder()
        if holder is None or holder.is_gone:
            self._remote.remove(NAME)
            if self._write(replace=False):
                time.sleep(SETTLE_SECONDS)
                if self._is_ours():
                    return
            holder = self.holder()
        who = f"process {holder.pid} on {holder.host}" if holder else "another process"
        raise BusyError(
            f"{self._remote.url!r} is being written by {who}",
            "wait until it has finished; if it was killed, rerun in"
            f" {ABANDONED_SECONDS / 60:.0f} minutes",
        )

    def holder(self) -> Holder | None:
        """Return the holder as the file names it; None if there is none, or it cannot be read."""
        try:
            return msgspec.json.decode(self._remote.read(NAME), type=Holder)
        except (StoreError, ValueError):
            return None

    def _is_ours(self) -> bool:
        holder = self.holder()
        return holder is not None and holder.token == self._token

    def _write(self, *, replace: bool) -> bool:
        holder = Holder(os.getpid(), socket.gethostname(), self._token, time.time())
        with tempfile.NamedTemporaryFile() as file:
            file.write(msgspec.json.encode(holder))
            file.flush()
            return self._remote.upload(Path(file.name), NAME, replace=replace)

    def _refresh(self, ended: threading.Event) -> None:
        while not ended.wait(REFRESH_SECONDS):
            holder = self.holder()
            if holder is not None and holder.token != self._token:
                log.warning("%s: process %d on %s has taken over the lock of this process",
                            self._remote.url, holder.pid, holder.host)  # fmt: skip
                return
            try:
                self._write(replace=True)
            except Exception as error:
                log.warning("the lock of %s cannot be renewed: %s", self._remote.url, error)
