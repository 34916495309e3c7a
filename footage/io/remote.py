"""Folders behind URLs: object stores, and every other file system that fsspec supports.

The fsspec packages retry failed requests with back-off. A failure that remains becomes one error
that names the URL; missing credentials and a missing package have their own messages.
"""

import contextlib
import errno
import functools
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from footage.errors import FootageError, OutputError, StoreError

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+(::[A-Za-z][A-Za-z0-9+.-]+)*://")
_EXTRA = frozenset(["http", "https", "s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl"])
"""Protocols whose packages `footage[remote]` installs."""
_STAMPS = (
    "generation", "ETag", "etag",
    "LastModified", "last_modified", "mtime", "updated", "modified", "created",
)  # fmt: skip
"""Keys of listings whose values change with the content, most reliable first.

In Google Cloud Storage, the etag also changes when only the metadata does.
"""
_CREDENTIALS = {
    "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, run `aws configure`, or use a machine"
    " whose role grants access to the bucket",
    "gs": "run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS",
    "az": "set AZURE_STORAGE_CONNECTION_STRING, or AZURE_STORAGE_ACCOUNT_NAME and"
    " AZURE_STORAGE_ACCOUNT_KEY",
}
_ALIASES = {"s3a": "s3", "gcs": "gs", "abfs": "az", "abfss": "az", "adl": "az"}
_NO_CREDENTIALS = frozenset(
    ["NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError",
     "TokenRetrievalError", "SSOTokenLoadError", "UnauthorizedSSOTokenError",
     "DefaultCredentialsError", "RefreshError", "ClientAuthenticationError"]
)  # fmt: skip
"""Exceptions of cloud packages by name, because the packages need not be installed."""

_OF_NETWORK = (
    "ConnectionError", "ConnectorError", "TimeoutError", "DisconnectedError", "SSLError",
    "PayloadError", "IncompleteRead", "IncompleteReadError",
)  # fmt: skip
"""Suffixes of the names of exceptions that web clients raise for network failures."""
_OF_SERVICE = (errno.EBUSY, errno.EIO, errno.EREMOTEIO, errno.ETIMEDOUT)
"""Error numbers that fsspec packages use for responses of an overloaded or failing service."""
_DENIED = (401, 403)
"""HTTP statuses of a request whose credentials are missing, invalid or insufficient."""
_OVERLOADED = (408, 425, 429, 500, 502, 503, 504)
"""HTTP statuses of an overloaded or failing service."""


class RemoteFile(NamedTuple):
    """One file in a listing."""

    name: str
    """Path relative to the folder."""
    num_bytes: int
    stamp: str
    """Etag or modification time, which changes with the content; empty if there is neither."""


def is_url(location: object) -> bool:
    """Return whether a location is a URL, including `file://`."""
    return isinstance(location, str) and _URL.match(location) is not None


def local_path(url: str) -> str:
    """Return the path of a `file://` URL, and "" for other URLs."""
    return url.removeprefix("file://") if url.startswith("file:///") else ""


def stamp_of(info: dict[str, Any]) -> str:
    """Return size and etag or modification time of a remote file; empty if it has neither."""
    for key in _STAMPS:
        if info.get(key):
            return f"{info.get('size')} bytes, {key} {info[key]}"
    return ""


@contextlib.contextmanager
def remote_errors(url: str, kind: type[FootageError], verb: str) -> Iterator[None]:
    """Turn any exception of a file system into an error that names the URL.

    Args:
        url: The file or folder.
        kind: The class of the error.
        verb: What failed: "read", "listed", "written" or "removed".
    """
    try:
        yield
    except FootageError:
        raise
    except Exception as error:
        raise kind(*explained(url, error, verb)) from error


def explained(url: str, error: Exception, verb: str = "read") -> tuple[str, str]:
    """Return message and hint for an exception that a file system raised."""
    protocol = url.partition("://")[0].rpartition("::")[2]
    if isinstance(error, ImportError):
        return (
            f"{protocol}:// URLs need a package that is not installed ({error})",
            "pip install 'footage[remote]'"
            if protocol in _EXTRA
            else "install the package named above",
        )
    if _lacks_credentials(error):
        return (
            f"{url!r} cannot be {verb}: no valid credentials for {protocol}:// were found",
            _CREDENTIALS.get(_service(protocol), "configure the credentials of this service"),
        )
    if _is_denied(error):
        return (
            f"{url!r} cannot be {verb}: access is denied ({_summary(error)})",
            "check that your credentials are valid and grant access",
        )
    if _has_no_reason(error):
        return (
            f"{url!r} cannot be {verb}: the service answered 'Bad Request'",
            "the credentials have probably expired: renew them, then rerun the same command",
        )
    if isinstance(error, FileNotFoundError) and not is_temporary(error):
        if _lacks_bucket(url):
            if _service(protocol) == "az":
                what = f"the container of {url!r} does not exist"
                return what, "check the URL or create the container"
            return f"the bucket of {url!r} does not exist", "check the URL or create the bucket"
        return f"{url!r} does not exist", "check the URL"
    return (
        f"{url!r} cannot be {verb}: {type(error).__name__}: {_summary(error)}",
        "check the URL and the network, then rerun the same command",
    )


def is_temporary(error: Exception) -> bool:
    """Return whether an error is due to the network, the service or the credentials."""
    if _is_denied(error) or _lacks_credentials(error) or _status(error) in _OVERLOADED:
        return True
    return any(
        isinstance(one, ConnectionError | TimeoutError)
        or _has_no_reason(one)
        or type(one).__name__.endswith(_OF_NETWORK)
        or getattr(one, "errno", None) in _OF_SERVICE
        for one in _chain(error)
    )


def _summary(error: Exception) -> str:
    """Return the text of an exception on one line, without the response that Azure appends."""
    return " ".join(re.split(r"\n(?:RequestId|ErrorCode):", str(error))[0].split())


def _lacks_credentials(error: Exception) -> bool:
    return any(
        type(one).__name__ in _NO_CREDENTIALS
        or (isinstance(one, ValueError) and "unable to connect to account" in str(one))  # adlfs
        for one in _chain(error)
    )


def _is_denied(error: Exception) -> bool:
    return _status(error) in _DENIED or any(
        isinstance(one, PermissionError)
        or (isinstance(one, OSError) and str(one).startswith("Forbidden: "))  # gcsfs
        for one in _chain(error)
    )


def _status(error: Exception) -> int:
    """Return the HTTP status of the last response that an exception is due to, or 0."""
    for one in _chain(error):
        for name in ("status_code", "status", "code"):
            if str(found := getattr(one, name, "")).isdecimal():
                return int(found)
    return 0


def _service(protocol: str) -> str:
    return _ALIASES.get(protocol, protocol)


def _lacks_bucket(url: str) -> bool:
    """Return whether the bucket of a URL does not exist.

    The service is asked, because clients report a missing bucket like a missing file.
    """
    protocol, _, path = url.partition("://")
    if _service(protocol) not in _CREDENTIALS:
        return False
    try:
        system, bucket = _system(f"{protocol}://{path.partition('/')[0]}", os.getpid())
        system.invalidate_cache()
        system.info(bucket)
    except FileNotFoundError:
        return True
    except Exception:
        return False  # not everybody who may read a file may also ask for its bucket
    return False


def _has_no_reason(error: BaseException) -> bool:
    """Return whether S3 refused a HEAD request, whose responses never contain a reason."""
    return (
        isinstance(error, OSError) and error.errno == errno.EINVAL and "Bad Request" in str(error)
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


@functools.lru_cache(maxsize=64)
def _system(url: str, _process: int) -> tuple[Any, str]:
    import fsspec

    system, root = fsspec.core.url_to_fs(url)
    return system, str(root).rstrip("/")


@dataclass(frozen=True)
class RemoteFolder:
    """A folder behind a URL, such as s3://bucket/stores/cats; safe to use from several threads.

    Object stores do not show a file before its upload is complete. Listings and contents are not
    cached, so changes by other machines are visible.
    """

    url: str
    """The URL, without a slash at the end."""

    def url_of(self, name: str) -> str:
        """Return the URL of a file."""
        return f"{self.url}/{name}" if name else self.url

    def _located(self, name: str) -> tuple[Any, str]:
        system, root = _system(self.url, os.getpid())
        system.invalidate_cache()
        return system, f"{root}/{name}" if name else root

    def files(self, below: str = "") -> Iterator[RemoteFile]:
        """Yield all files below a folder, one folder at a time; none if it does not exist.

        Raises:
            StoreError: The folder cannot be listed.
        """
        with remote_errors(self.url_of(below), StoreError, "listed"):
            root = self._located("")[1]
            system, start = self._located(below)
            for info in walked(system, start, self.url):
                name = str(info["name"]).removeprefix(root).lstrip("/")
                yield RemoteFile(name, int(info.get("size") or 0), stamp_of(info))

    def names(self, below: str = "") -> list[str]:
        """Return the names of the files and folders directly in a folder, sorted.

        Raises:
            StoreError: The folder cannot be listed.
        """
        with remote_errors(self.url_of(below), StoreError, "listed"):
            system, start = self._located(below)
            found = [info["name"] for info in _listed(system, start, self.url)]
            last = {str(path).rstrip("/").rpartition("/")[2] for path in found if path != start}
            return sorted(last)

    def exists(self, name: str) -> bool:
        """Return whether a file exists.

        Raises:
            StoreError: The service does not answer, or denies access.
        """
        with remote_errors(self.url_of(name), StoreError, "read"):
            system, path = self._located(name)
            try:
                system.info(path)
            except FileNotFoundError:
                if _lacks_bucket(self.url):
                    raise
                return False
            return True

    def read_if_exists(self, name: str) -> bytes | None:
        """Return the bytes of a file; None if it does not exist.

        Raises:
            StoreError: The file cannot be read.
        """
        try:
            return self.read(name)
        except StoreError as error:
            cause = error.__cause__
            if isinstance(cause, FileNotFoundError) and not _lacks_bucket(self.url):
                return None
            raise

    def stamp(self, name: str) -> str:
        """Return the stamp of a file.

        Raises:
            StoreError: It does not exist or cannot be read.
        """
        with remote_errors(self.url_of(name), StoreError, "read"):
            system, path = self._located(name)
            return stamp_of(system.info(path))

    def read(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        """Return the bytes of a file, or `length` of them from `start`.

        Raises:
            StoreError: The file does not exist, cannot be read, or has fewer bytes.
        """
        with remote_errors(self.url_of(name), StoreError, "read"):
            system, path = self._located(name)
            if length is None:
                return bytes(system.cat_file(path))
            data = bytes(system.cat_file(path, start=start, end=start + length))
            if len(data) != length:
                raise OSError(f"{len(data)} bytes instead of {length} from byte {start} on")
            return data

    def download(self, name: str, target: Path) -> None:
        """Copy a file to a local path, whose folder must exist.

        Raises:
            StoreError: The file cannot be read.
        """
        with remote_errors(self.url_of(name), StoreError, "read"):
            system, path = self._located(name)
            system.get_file(path, str(target))

    def upload(self, source: Path, name: str, *, replace: bool = True) -> bool:
        """Copy a local file to this folder; return False if it exists and may not be replaced.

        Without `replace`, exactly one of several writers succeeds if the service supports
        conditional writes.

        Raises:
            OutputError: The file cannot be written.
        """
        with remote_errors(self.url_of(name), OutputError, "written"):
            system, path = self._located(name)
            if not getattr(system, "async_impl", False):  # object stores have no folders
                system.makedirs(path.rpartition("/")[0], exist_ok=True)
            try:
                system.put_file(str(source), path, mode="overwrite" if replace else "create")
            except FileExistsError:
                return False
            return True

    def remove(self, name: str) -> None:
        """Remove a file or a folder with all its files; do nothing if it does not exist.

        Raises:
            OutputError: It cannot be removed.
        """
        with remote_errors(self.url_of(name), OutputError, "removed"):
            system, path = self._located(name)
            with contextlib.suppress(FileNotFoundError):
                system.rm(path, recursive=True)


def walked(system: Any, start: str, url: str) -> Iterator[dict[str, Any]]:  # noqa: ANN401
    """Yield the description of each file below a folder, one folder at a time, sorted by name.

    The `walk` of fsspec hides errors in subfolders, so files could be missing unnoticed.
    """
    folders = [start]
    while folders:
        folder = folders.pop()
        below = []
        for info in sorted(_listed(system, folder, url), key=lambda info: str(info["name"])):
            path = str(info["name"]).rstrip("/")
            if path == folder.rstrip("/"):
                continue  # some services list a folder as an empty file
            if info["type"] == "directory":
                below.append(path)
            else:
                yield info
        system.invalidate_cache(folder)  # it would keep the listings of all folders
        folders += reversed(below)


def _listed(system: Any, folder: str, url: str) -> list[dict[str, Any]]:  # noqa: ANN401
    """Return what is directly in a folder; nothing if it does not exist, but its bucket does."""
    try:
        found: list[dict[str, Any]] = system.ls(folder, detail=True)
    except FileNotFoundError:
        if _lacks_bucket(url):
            raise
        return []
    return found
