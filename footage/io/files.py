"""Write, lock and hash files: everything footage saves goes through here.

A file or folder appears under its name only when it is complete, with the mode that the umask
specifies. A full disk, a quota, a read-only folder or a lock held by another process raises one
`OutputError`, and leaves nothing behind.
"""

import contextlib
import errno
import fcntl
import hashlib
import logging
import os
import re
import resource
import shutil
import socket
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from footage.errors import BusyError, OutputError
from footage.text import redacted

log = logging.getLogger(__name__)

TEMPORARY = re.compile(r"\.(?P<name>.+)\.(?P<pid>\d+)(?:@(?P<host>[^@/]*))?\.partial")
"""Name of a file or folder that is being written, next to its final place.

The host is a part of it because containers that share a folder often have the same process number.
"""


@contextlib.contextmanager
def atomic_write(path: Path, *, replace: bool = True) -> Iterator[Path]:
    """Yield a temporary path next to `path`; move it into place at the end, or remove it on error.

    The file is synced to disk first, so that a power cut leaves the old file or the new one.

    Args:
        path: The file.
        replace: Whether to replace an existing file. Otherwise the first of several writers
            wins, and the files of the others are dropped.

    Raises:
        OutputError: The file cannot be written.
    """
    with _temporary(path) as temporary:
        yield temporary
        if temporary.exists():
            os.chmod(temporary, 0o666 & ~umask())
            sync(temporary)
            if replace:
                os.replace(temporary, path)
            else:
                with contextlib.suppress(FileExistsError):
                    os.link(temporary, path)
            sync(path.parent)


@contextlib.contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield an empty temporary folder next to `path`; move it into place at the end.

    An existing folder is replaced; it stays untouched until the new one is complete.

    Raises:
        OutputError: The folder cannot be written.
    """
    with _temporary(path) as temporary:
        temporary.mkdir()
        yield temporary
        for child in [*temporary.rglob("*"), temporary]:
            if child.is_file():
                os.chmod(child, 0o666 & ~umask())
            sync(child)
        if path.is_dir():
            replaced = path.with_name(f".{path.name}.old.{os.getpid()}.partial")
            path.rename(replaced)
            temporary.rename(path)
            shutil.rmtree(replaced)
        else:
            temporary.rename(path)
        sync(path.parent)


@contextlib.contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    temporary = path.with_name(f".{path.name}.{os.getpid()}@{_host()}.partial")
    with output_errors(path):
        make_folder(path.parent)
        _remove_abandoned(path)
        try:
            yield temporary
        finally:
            with contextlib.suppress(OSError):
                remove(temporary)


def write_text(path: Path, text: str, errors: str = "strict", *, replace: bool = True) -> None:
    """Write a UTF-8 text file as a whole; see `atomic_write`.

    Raises:
        OutputError: The file cannot be written.
    """
    with atomic_write(path, replace=replace) as temporary:
        temporary.write_text(text, "utf-8", errors=errors)


def make_folder(path: Path) -> None:
    """Create a folder and its parents if they do not exist.

    Raises:
        OutputError: It cannot be created, or something else has its name.
    """
    with output_errors(path):
        path.mkdir(parents=True, exist_ok=True)


def remove(path: Path) -> None:
    """Remove a file, a link or a folder with its contents; do nothing if it is absent."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _remove_abandoned(path: Path) -> None:
    """Remove what killed writers of the same file, on this host, left behind next to it."""
    for entry in path.parent.glob(f".{_escaped(path.name)}.*.partial"):
        found = TEMPORARY.fullmatch(entry.name)
        is_here = found and found["host"] in (None, _host())
        if found and is_here and not is_alive(int(found["pid"])):
            with contextlib.suppress(OSError):
                remove(entry)


def _host() -> str:
    return re.sub(r"[@/]", "-", socket.gethostname())[:32]


def _escaped(name: str) -> str:
    return re.sub(r"([*?[])", r"[\1]", name)


def is_alive(pid: int) -> bool:
    """Return whether a process of this machine is running."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def umask() -> int:
    """Return the umask of this process; `os.umask` would change it for all threads."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("Umask:"):
            return int(line.split()[1], 8)
    return 0o022


def sync(path: Path) -> None:
    """Sync a file or a folder's entries to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some file systems cannot sync a folder
            raise
    finally:
        os.close(descriptor)


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes as hexadecimal digits.

    Raises:
        OSError: It cannot be read, or is not a regular file.
    """
    with open(path, "rb", opener=without_waiting) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        return hashlib.file_digest(file, "sha256").hexdigest()


def without_waiting(path: str, flags: int) -> int:
    """Open a file without waiting for the writer of a pipe; use as `open(..., opener=...)`."""
    return os.open(path, flags | os.O_NONBLOCK)


# --- errors ------------------------------------------------------------------------------------

_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_OS_ERROR = re.compile(r"os error (\d+)|errno[ :=]+(\d+)", re.IGNORECASE)


@contextlib.contextmanager
def output_errors(path: Path) -> Iterator[None]:
    """Turn any failure to write `path` into one `OutputError`; use it around writing only.

    Libraries report a full disk in their own classes: safetensors, Arrow and torch are known.
    """
    try:
        yield
    except OutputError:
        raise
    except OSError as error:
        number = error.errno or _number_in(error)
        raise cannot_write(path, number or 0, str(error)) from error
    except Exception as error:
        number = _number_in(error)
        if number is None:
            raise
        raise cannot_write(path, number, str(error)) from error


def _number_in(error: Exception) -> int | None:
    """Return the system's error number that a library put into its message."""
    text = str(error)
    found = _OS_ERROR.search(text)
    if found:
        return int(found[1] or found[2])
    is_torch = isinstance(error, RuntimeError) and "inline_container" in text
    return errno.ENOSPC if is_torch or os.strerror(errno.ENOSPC) in text else None


def cannot_write(path: Path, number: int, otherwise: str = "") -> OutputError:
    """Return the error for a path that cannot be written, from the system's error number."""
    reason = os.strerror(number) if number else otherwise
    if number in (errno.EEXIST, errno.ENOTDIR):
        return OutputError(
            f"{str(path)!r} cannot be written: {reason}",
            "a file exists where a folder is needed; choose another path",
        )
    if number in _SPACE:
        return OutputError(
            f"{str(path)!r} cannot be written: {reason}",
            f"{_megabytes(free_bytes(path))} are free there; free some space, raise the quota or"
            " file size limit, or choose another path, then rerun the same command",
        )
    return OutputError(
        f"{str(path)!r} cannot be written: {reason}",
        "check the path and its permissions, or choose another path",
    )


def require_space(path: Path, num_bytes: int, what: str, *, copies: int = 1) -> None:
    """Check that `num_bytes` can be written at `path` before long work starts.

    Space is reserved briefly and released, which also detects quotas and file size limits.

    Args:
        path: The file or folder that will be written.
        num_bytes: Number of bytes that will be written.
        what: Subject of the error message, such as "a checkpoint".
        copies: Number of outputs of this size that must fit at the same time.

    Raises:
        OutputError: There is not enough space, or nothing can be written there.
    """
    make_folder(path.parent)
    probe = path.parent / f".{path.name}.space.{os.getpid()}.partial"
    with output_errors(path):
        _remove_abandoned(path.with_name(f"{path.name}.space"))
        free, limit = free_bytes(path), resource.getrlimit(resource.RLIMIT_FSIZE)[0]
        try:
            if copies * num_bytes <= free:
                with probe.open("wb") as file:
                    os.posix_fallocate(file.fileno(), 0, max(num_bytes, 1))
                return
        except OSError as error:
            if error.errno not in _SPACE:
                raise
        finally:
            probe.unlink(missing_ok=True)
    most = f"; files are limited to {_megabytes(limit)}" if 0 <= limit < num_bytes else ""
    raise OutputError(
        f"{what} at {str(path)!r} needs {_megabytes(copies * num_bytes)}, but only"
        f" {_megabytes(free)} are free{most}",
        "free some space, raise the quota or file size limit, or choose another path",
    )


def free_bytes(path: Path) -> int:
    """Return the free bytes of the disk on which a path lies or would lie."""
    existing = next(
        (parent for parent in [path, *path.absolute().parents] if parent.exists()), None
    )
    return shutil.disk_usage(existing or "/").free


def _megabytes(num_bytes: int) -> str:
    return f"{num_bytes / 1e6:,.1f} MB"


# --- locks -------------------------------------------------------------------------------------


_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
"""Error numbers of `flock` on network file systems without locks."""


class _Holder(msgspec.Struct, frozen=True):
    """The process that holds a lock, as recorded in the lock file."""

    pid: int
    host: str
    command: str


@contextlib.contextmanager
def exclusive(lock: Path, output: Path) -> Iterator[None]:
    """Hold a lock file while one process writes `output`; remove it at the end.

    The system releases the lock when its holder dies for any reason. On a file system without
    locks, a warning is logged; manifests and checkpoints are published by renames that are safe
    without one.

    Args:
        lock: The lock file; its folder is created.
        output: The output that is protected, named in the error.

    Raises:
        BusyError: Another process holds the lock; the message names it.
        OutputError: The lock file cannot be written.
    """
    make_folder(lock.parent)
    with output_errors(lock):
        descriptor = _acquire(lock, output)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            lock.unlink()
        os.close(descriptor)


def _acquire(lock: Path, output: Path) -> int:
    while True:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_same_file(descriptor, lock):  # else its last holder removed it in between
                os.ftruncate(descriptor, 0)
                os.write(descriptor, msgspec.json.encode(_myself()))
                return descriptor
        except BlockingIOError:
            holder = _words_for_holder(descriptor)
            os.close(descriptor)
            raise BusyError(
                f"{str(output)!r} is being written by {holder}",
                "wait until it is done, stop it, or choose another path",
            ) from None
        except OSError as error:
            if error.errno in _NO_LOCKS:
                log.warning(
                    "%s is not locked, because its file system has no locks (%s): make sure that no"
                    " other process writes there", output, error.strerror,
                )  # fmt: skip
                return descriptor
            os.close(descriptor)
            raise
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _is_same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _myself() -> _Holder:
    return _Holder(os.getpid(), socket.gethostname(), redacted(" ".join(sys.argv))[:200])


def _words_for_holder(descriptor: int) -> str:
    try:
        holder = msgspec.json.decode(os.pread(descriptor, 4096, 0), type=_Holder)
    except (OSError, ValueError):
        return "another process"
    place = "" if holder.host == socket.gethostname() else f" on {holder.host}"
    return f"process {holder.pid}{place} ({holder.command})"
