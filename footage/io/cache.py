"""The local cache: byte ranges of remote files, and copies of remote folders.

    CACHE/ranges/ab/<key>/    ranges of a remote file, one per local file, each after its CRC-32
    CACHE/copies/<key>/       the local copy of a remote folder; see `footage.io.copies`

`--cache DIR` or the environment variable FOOTAGE_CACHE sets the folder, `--cache-bytes N` or
FOOTAGE_CACHE_BYTES the maximum size of `ranges`. Several processes share the cache. When `ranges`
is full, the least recently used files are removed.
"""

import contextlib
import hashlib
import logging
import os
import threading
import time
import zlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final

from footage.errors import ConfigError, OutputError, UsageError
from footage.io import files

FOLDER_VARIABLE: Final = "FOOTAGE_CACHE"
BYTES_VARIABLE: Final = "FOOTAGE_CACHE_BYTES"
DEFAULT_BYTES: Final = 20 * 10**9
"""Default maximum size of the cached ranges [ours]."""
MOST_WAITING: Final = 1024
"""Number of prefetch requests that may wait for a thread, per process; more are dropped [ours]."""
THREADS: Final = 16
"""Number of concurrent requests per process [ours]."""
_SCAN_FRACTION: Final = 0.02
"""The cache is measured again after this fraction of its maximum size was written."""
_KEPT_FRACTION: Final = 0.9
"""A full cache is reduced to this fraction of its maximum size."""
_TOUCH_SECONDS: Final = 60.0
"""Resolution of the time of last use."""

log = logging.getLogger(__name__)


def folder() -> Path:
    """Return the folder of the cache; it need not exist."""
    given = os.environ.get(FOLDER_VARIABLE)
    if given:
        return Path(given).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "footage"


def most_bytes() -> int:
    """Return the maximum size of the cached ranges in bytes.

    Raises:
        ConfigError: The environment variable is not a number.
    """
    given = os.environ.get(BYTES_VARIABLE, "")
    if not given:
        return DEFAULT_BYTES
    try:
        number = int(float(given))
    except (ValueError, OverflowError):
        number = -1
    if number < 0:
        raise ConfigError(
            f"the size of the cache must be a number of bytes, got {given!r}",
            "pass a number such as --cache-bytes 50e9 (50 GB)",
        )
    return number


def choose(*, folder: str = "", size: str = "") -> None:
    """Set folder and maximum size of the cache for this process and its children.

    Args:
        folder: The folder; empty keeps the current one.
        size: Number of bytes, such as "50e9"; empty keeps the current one.

    Raises:
        UsageError: A value looks like an option.
        ConfigError: The size is not a number.
    """
    for option, value in (("--cache", folder), ("--cache-bytes", size)):
        if value.startswith("-"):
            raise UsageError(f"{option} needs a value", "use --cache DIR or --cache-bytes 50e9")
    if folder:
        os.environ[FOLDER_VARIABLE] = str(Path(folder).absolute())
    if size:
        os.environ[BYTES_VARIABLE] = size
        most_bytes()


class RangeCache:
    """Reads byte ranges of remote files through the cache; safe to use from several threads.

    Args:
        url: The remote folder, which is part of every key.
        fetch: Reads bytes of a file in the folder, given its name, the start and the length.
    """

    def __init__(self, url: str, fetch: Callable[[str, int, int], bytes]) -> None:
        self._url = url
        self._fetch = fetch
        self._folder = folder() / "ranges"
        self._most_bytes = most_bytes()
        self._unscanned = float("inf")
        self._lock = threading.Lock()
        self._in_flight: dict[Path, Future[bytes]] = {}
        self._pool: ThreadPoolExecutor | None = None
        self._num_waiting = 0
        self._has_warned = False

    def read(self, name: str, start: int, length: int) -> bytes:
        """Return bytes of a file from the cache or, if they are missing, from the remote folder."""
        path = self._path(name, start, length)
        while True:
            with self._lock:
                future = self._in_flight.get(path)
                is_ours = future is None
                if future is None:
                    future = self._in_flight[path] = Future()
            if not is_ours:
                with contextlib.suppress(Exception):  # this call retries
                    return future.result()
                continue
            try:
                data = self._cached(path, length)
                if data is None:
                    data = self._fetch(name, start, length)
                    self._keep(path, data)
            except BaseException as error:
                self._done(path).set_exception(error)
                raise
            self._done(path).set_result(data)
            return data

    def _done(self, path: Path) -> "Future[bytes]":
        with self._lock:
            return self._in_flight.pop(path)

    def prefetch(self, work: Callable[[], object]) -> None:
        """Call a function that reads ranges in another thread, and ignore its errors.

        A later `read` of the same bytes retries and raises the error.
        """
        if self._pool is None:
            self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="footage-prefetch")
        with self._lock:
            if self._num_waiting == MOST_WAITING:
                return
            self._num_waiting += 1

        def attempt() -> None:
            with self._lock:
                self._num_waiting -= 1
            with contextlib.suppress(Exception):
                work()

        self._pool.submit(attempt)

    def forget(self, name: str) -> None:
        """Remove all cached ranges of a file, because some are damaged."""
        for path in self._folder_of(name).glob("*"):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)

    def _folder_of(self, name: str) -> Path:
        key = hashlib.sha256(f"{self._url}\n{name}".encode()).hexdigest()[:32]
        return self._folder / key[:2] / key

    def _path(self, name: str, start: int, length: int) -> Path:
        return self._folder_of(name) / f"{start}-{length}"

    def _cached(self, path: Path, length: int) -> bytes | None:
        try:
            content = path.read_bytes()
            if time.time() - path.stat().st_mtime > _TOUCH_SECONDS:
                os.utime(path)
        except OSError:
            return None
        checksum, data = content[:4], content[4:]
        if len(data) != length or zlib.crc32(data).to_bytes(4, "little") != checksum:
            return None
        return data

    def _keep(self, path: Path, data: bytes) -> None:
        if not self._most_bytes:
            return
        temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(zlib.crc32(data).to_bytes(4, "little") + data)
            temporary.replace(path)
        except OSError as error:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            self._warn(error)
            return
        with self._lock:
            self._unscanned += len(data)
            is_due = self._unscanned > _SCAN_FRACTION * self._most_bytes
            if is_due:
                self._unscanned = 0.0
        if is_due:
            shrink(self._folder, self._most_bytes)

    def _warn(self, error: OSError) -> None:
        if not self._has_warned:
            self._has_warned = True
            log.warning(
                "the cache %s cannot be written (%s), so data is downloaded each time; choose"
                " another folder with --cache DIR", self._folder, error.strerror,
            )  # fmt: skip


def shrink(ranges: Path, most: int) -> None:
    """Remove the least recently used files if all together exceed `most` bytes."""
    found: list[tuple[float, int, str]] = []
    for place, folders, names in os.walk(ranges, topdown=False):
        for name in names:
            with contextlib.suppress(OSError):
                path = os.path.join(place, name)
                status = os.stat(path)
                found.append((status.st_mtime, status.st_size, path))
        if not folders and not names:
            with contextlib.suppress(OSError):
                os.rmdir(place)
    total = sum(size for _, size, _ in found)
    if total <= most:
        return
    for _, size, path in sorted(found):
        with contextlib.suppress(OSError):
            os.unlink(path)
        total -= size
        if total <= _KEPT_FRACTION * most:
            return


def make_folder(path: Path) -> None:
    """Create a folder in the cache.

    Raises:
        OutputError: It cannot be created.
    """
    try:
        files.make_folder(path)
    except OutputError as error:
        raise OutputError(
            f"the cache {error.message}", "choose another folder with --cache DIR"
        ) from error
