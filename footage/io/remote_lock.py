"""The lock of a remote folder: a file that its holder rewrites, because nothing else releases it.

It keeps two processes from doing the same work. A store is safe without it: a manifest is published
by a write that fails if the manifest exists.

A process that finds a lock waits until the lock is rewritten, so that its holder must be alive, or
has not been rewritten for a while, so that its holder must be gone. A job that is restarted on
another machine therefore resumes without help. The clocks of machines are not compared.
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
REFRESH_SECONDS = 20.0
"""The holder rewrites the lock this often [ours]."""
ABANDONED_SECONDS = 120.0
"""A lock that has not been rewritten for this long belongs to a process that died [ours]."""
POLL_SECONDS: Final = 1.0
"""A waiting process reads the lock this often [ours]."""
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
    def is_here(self) -> bool:
        """Whether the holder runs, or ran, on this machine."""
        return self.host == socket.gethostname()

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


class RemoteLock:
    """The lock of one remote folder.

    Args:
        remote: The folder.
    """

    def __init__(self, remote: RemoteFolder) -> None:
        self._remote = remote
        self._token = uuid.uuid4().hex

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock; wait for up to two minutes to find out whether its holder is alive.

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
        holder = self.holder()  # not every service has conditional writes
        if holder is None and (self._write(replace=False) or self._is_ours()):
            return  # a repeated request may find what an earlier one has written
        holder = holder or self.holder()
        if holder is None or self._is_gone(holder):
            self._remote.remove(NAME)
            if self._write(replace=False):
                time.sleep(SETTLE_SECONDS)
                if self._is_ours():
                    return
            holder = self.holder()
        raise BusyError(
            f"{self._remote.url!r} is being written by {holder or 'another process'}",
            "wait until it has finished",
        )

    def _is_gone(self, holder: Holder) -> bool:
        """Wait until the lock changes or is abandoned; the clock of the holder does not matter."""
        if holder.is_here:
            return not files.is_alive(holder.pid)
        log.info("%s is locked by %s; waiting up to %.0f s for a sign that it is alive",
                 self._remote.url, holder, ABANDONED_SECONDS)  # fmt: skip
        end = time.monotonic() + ABANDONED_SECONDS
        while time.monotonic() < end:
            time.sleep(POLL_SECONDS)
            found = self.holder()
            if found != holder:
                return found is None
        return True

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
                log.warning("%s: %s has taken over the lock of this process",
                            self._remote.url, holder)  # fmt: skip
                return
            try:
                self._write(replace=True)
            except Exception as error:
                log.warning("the lock of %s cannot be renewed: %s", self._remote.url, error)
