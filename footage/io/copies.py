"""Local copies of remote folders: commands work on a copy, and their changes are uploaded.

    CACHE/copies/<key>/<name>/    the copy, named like the remote folder
    CACHE/copies/<key>/.url       the URL of the folder that contains the remote folder
    CACHE/copies/<key>/.index     the transferred files, so that only changes are transferred

Each URL has one copy per cache, which the processes of a machine share. Messages contain the URL
instead of the path of the copy: see `with_urls`.
"""

import contextlib
import functools
import hashlib
import inspect
import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, ParamSpec, TypeVar

import msgspec

from footage.errors import FootageError, OutputError, StoreError
from footage.io import cache, files
from footage.io.remote import RemoteFile, RemoteFolder, is_url, local_path
from footage.io.remote_lock import NAME as LOCK
from footage.io.remote_lock import RemoteLock

Parameters = ParamSpec("Parameters")
Returned = TypeVar("Returned")

log = logging.getLogger(__name__)

_IGNORED = (LOCK, ".partial")
"""Suffixes of files that are never uploaded, nor downloaded."""
_COPIES = "copies"
_URL = ".url"
_FILE_SUFFIXES = frozenset(
    [".html", ".json", ".jsonl", ".npy", ".npz", ".onnx", ".parquet", ".pt2", ".safetensors",
     ".tar", ".txt", ".csv"]
)  # fmt: skip
"""A URL with one of these suffixes is a file; every other URL is a folder."""
_COMPANIONS = {".npy": ".rows.parquet"}
"""Suffixes of files that belong to another file of the same name."""


class Entry(NamedTuple):
    """A file whose local and remote contents are the same."""

    stamp: str
    """Stamp of the remote file."""
    num_bytes: int
    modified: int
    """Modification time of the local file, in nanoseconds."""


def with_urls(text: str) -> str:
    """Replace the paths of local copies in a text by their URLs."""
    start = f"{cache.folder() / _COPIES}/"
    if start not in text:
        return text
    pattern = re.compile(re.escape(start) + r"(?P<key>[0-9a-f]{20})/")
    return pattern.sub(lambda found: _parent_of(Path(found[0])) or found[0], text)


def _parent_of(folder: Path) -> str:
    """Return the URL of the folder that contains the remote folder, with a slash at the end."""
    try:
        return (folder / _URL).read_text("utf-8")
    except OSError:
        return ""


@contextlib.contextmanager
def naming_urls() -> Iterator[None]:
    """Replace the paths of local copies in errors by their URLs."""
    try:
        yield
    except FootageError as error:
        error.message, error.hint = with_urls(error.message), with_urls(error.hint)
        error.args = (error.message,)
        raise


def folder_of(url: str) -> Path:
    """Return the folder of the local copy of a remote folder, and create its parent.

    Raises:
        OutputError: The cache cannot be written.
    """
    parent, _, name = url.rstrip("/").rpartition("/")
    key = hashlib.sha256(f"{parent}/{name}".encode()).hexdigest()[:20]
    folder = cache.folder() / _COPIES / key
    if not (folder / _URL).exists():
        cache.make_folder(folder)
        files.write_text(folder / _URL, f"{parent}/")
    return folder / (name or "files")


def push(path: Path) -> None:
    """Upload the changes in a folder if it is the local copy of a remote one.

    Raises:
        OutputError: A file cannot be written.
    """
    parent = _parent_of(path.parent)
    if parent and path.is_relative_to(cache.folder() / _COPIES):
        LocalCopy(parent + path.name).push()


def pulled(location: str) -> str:
    """Download a location and return the path of its local copy; return local paths unchanged.

    Raises:
        StoreError: The remote folder cannot be read.
    """
    opened: dict[str, LocalCopy] = {}
    path: str = _with_copies(location, opened)
    for copy in opened.values():
        copy.pull()
    return path


def on_local_copies(
    *names: str, locks: str = ""
) -> Callable[[Callable[Parameters, Returned]], Callable[Parameters, Returned]]:
    """Replace URLs in the arguments of a function by local copies.

    Changes are uploaded when the function returns or fails. In distributed training, only the
    first process uploads.

    Args:
        names: The parameters, each of which may be a location or several.
        locks: The parameter whose remote folder no other process may write meanwhile.

    Raises:
        BusyError: Another process writes the folder that is to be locked.
    """

    def decorate(function: Callable[Parameters, Returned]) -> Callable[Parameters, Returned]:
        signature = inspect.signature(function)

        @functools.wraps(function)
        def wrapper(*values: Any, **options: Any) -> Returned:  # noqa: ANN401
            given = signature.bind(*values, **options)
            opened: dict[str, LocalCopy] = {}
            locked: dict[str, LocalCopy] = {}
            for name in given.arguments.keys() & set(names):
                own = locked if name == locks else opened
                given.arguments[name] = _with_copies(given.arguments[name], own)
            every = [*locked.values(), *opened.values()]
            with naming_urls(), _locked(locked.values()), _kept_equal(every):
                return function(*given.args, **given.kwargs)

        return wrapper

    return decorate


def _with_copies(value: Any, opened: dict[str, "LocalCopy"]) -> Any:  # noqa: ANN401
    """Return an argument with its URLs replaced by the paths of local copies."""
    if isinstance(value, list | tuple):
        return [_with_copies(each, opened) for each in value]
    if not is_url(value):
        return value
    if path := local_path(value):
        return path
    is_file = Path(value).suffix.lower() in _FILE_SUFFIXES
    copy = opened.setdefault(value.rstrip("/"), LocalCopy(value, is_file=is_file))
    return str(copy.path)


@contextlib.contextmanager
def _locked(opened: Iterable["LocalCopy"]) -> Iterator[None]:
    """Keep other processes from writing remote folders."""
    with contextlib.ExitStack() as stack:
        for copy in opened if is_first_process() else ():
            stack.enter_context(RemoteLock(copy.remote).held())
        yield


def is_first_process() -> bool:
    """Return whether this is the only process of a run, or the first that torchrun started."""
    return os.environ.get("RANK", "0") == "0"


@contextlib.contextmanager
def _kept_equal(opened: Sequence["LocalCopy"]) -> Iterator[None]:
    """Download local copies before a block, and upload their changes after it."""
    for copy in opened:
        copy.pull()
    uploaded = opened if is_first_process() else []
    try:
        yield
    except BaseException:
        for copy in uploaded:
            try:
                copy.push()
            except FootageError as error:
                log.warning("%s", error)
        raise
    for copy in uploaded:
        copy.push()


def remove(path: Path) -> None:
    """Remove a file, and at once the remote file if it is in the local copy of a remote folder.

    Raises:
        OutputError: The remote file cannot be removed.
    """
    files.remove(path)
    parent = _parent_of(path.parent.parent)
    if parent and path.is_relative_to(cache.folder() / _COPIES):
        RemoteFolder(parent + path.parent.name).remove(path.name)


def companion(path: Path) -> Path:
    """Return the file that belongs to another one, or the file itself if there is none."""
    return path.with_suffix(_COMPANIONS.get(path.suffix.lower(), path.suffix))


class LocalCopy:
    """The local copy of a remote folder.

    Args:
        url: The folder, or a file in it.
        is_file: Whether `url` is a file; then the copy is one of its folder, with only this file
            and the files that belong to it: hidden ones, and that of `companion`.
    """

    def __init__(self, url: str, *, is_file: bool = False) -> None:
        folder, _, name = url.rstrip("/").rpartition("/") if is_file else (url.rstrip("/"), "", "")
        self.remote = RemoteFolder(folder)
        self.folder = folder_of(folder)
        self._index_path = self.folder.with_name(f".index{'-' * bool(name)}{name}")
        self._name = name

    @property
    def path(self) -> Path:
        """The local folder, or the local file."""
        return self.folder / self._name if self._name else self.folder

    def pull(self) -> None:
        """Download new and changed remote files, and delete copies of removed ones.

        Files that exist only locally are kept: another process may be writing them.

        Raises:
            StoreError: The remote folder cannot be read.
            OutputError: The cache cannot be written.
        """
        cache.make_folder(self.folder)
        index = self._index()
        found = {one.name: one for one in self._remote_files() if self._is_ours(one.name)}
        for name, one in found.items():
            known = index.get(name)
            if known and known.stamp == one.stamp and (self.folder / name).exists():
                continue
            try:
                index[name] = self._download(one)
            except StoreError as error:
                if not isinstance(error.__cause__, FileNotFoundError):
                    raise  # otherwise, it was removed after the listing
        for name in index.keys() - found.keys():
            files.remove(self.folder / name)
            del index[name]
        self._write_index(index)

    def push(self) -> None:
        """Upload new and changed local files, and remove remote files that were deleted locally.

        Files are uploaded in the order in which they were written, so that a file that lists
        others follows them.

        Raises:
            OutputError: A file cannot be written.
        """
        index = self._index()
        local = {name: path for name, path in self._local_files() if self._is_ours(name)}
        changed = [
            name for name in local if name not in index or not self._is_unchanged(name, index[name])
        ]
        for name in sorted(changed, key=lambda name: (local[name].stat().st_mtime_ns, name)):
            found = local[name].stat()
            self.remote.upload(local[name], name)
            index[name] = Entry(self._stamp(name), found.st_size, found.st_mtime_ns)
        for name in index.keys() - local.keys():
            self.remote.remove(name)
            del index[name]
        self._write_index(index)

    def _stamp(self, name: str) -> str:
        try:
            return self.remote.stamp(name)
        except StoreError as error:
            raise OutputError(error.message, error.hint) from error

    def _is_ours(self, name: str) -> bool:
        if name.endswith(_IGNORED) or ".partial/" in name:
            return False
        return not self._name or self._is_named(name)

    def _is_named(self, name: str) -> bool:
        own = (self._name, companion(Path(self._name)).name)
        return name in own or name.startswith(f".{self._name}")

    def _remote_files(self) -> Iterator[RemoteFile]:
        if not self._name:
            yield from self.remote.files()
            return
        for name in self.remote.names():
            if self._is_named(name):
                found = list(self.remote.files(name))
                yield from found or [RemoteFile(name, 0, self.remote.stamp(name))]

    def _local_files(self) -> Iterator[tuple[str, Path]]:
        for path in sorted(self.folder.rglob("*")):
            if path.is_file() and not path.is_symlink():
                yield path.relative_to(self.folder).as_posix(), path

    def _is_unchanged(self, name: str, known: Entry) -> bool:
        try:
            found = (self.folder / name).stat()
        except OSError:
            return False
        return (found.st_size, found.st_mtime_ns) == (known.num_bytes, known.modified)

    def _download(self, one: RemoteFile) -> Entry:
        path = self.folder / one.name
        with files.atomic_write(path) as temporary:
            self.remote.download(one.name, temporary)
        found = path.stat()
        return Entry(one.stamp, found.st_size, found.st_mtime_ns)

    def _index(self) -> dict[str, Entry]:
        try:
            return msgspec.json.decode(self._index_path.read_bytes(), type=dict[str, Entry])
        except (OSError, ValueError):
            return {}

    def _write_index(self, index: dict[str, Entry]) -> None:
        cache.make_folder(self.folder)
        with files.atomic_write(self._index_path) as temporary:
            temporary.write_bytes(msgspec.json.encode(index))
