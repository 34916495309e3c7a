"""Which files an ingest looks at, and how those that lie elsewhere are brought here."""

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import fsspec

from footage.errors import FootageError, VideoError
from footage.videos.video import SUFFIXES

_CHUNK = 4 * 2**20


class Source(NamedTuple):
    """One file to ingest.

    `name` is unique in a run and stays the same on every machine: the path below the folder that
    was asked for. `url` is empty for a local file; otherwise `location` lies in its file system.
    """

    name: str
    location: str
    url: str
    num_bytes: int


def find(paths: Sequence[str]) -> list[Source]:
    """All files to ingest below some paths or fsspec URLs, sorted by name.

    In folders only files with the suffix of a video count, and names that begin with a dot do not;
    a file that is named itself always does.

    Raises:
        FootageError: A path does not exist, or nothing was found at all.
    """
    by_location: dict[tuple[str, str], Source] = {}
    for path in paths:
        for source in _find_local(path) if os.path.lexists(path) else _find_remote(path):
            by_location.setdefault((source.url, source.location), source)
    if not by_location:
        raise FootageError(
            f"no video was found in {', '.join(paths)}",
            f"name a folder with files such as {', '.join(sorted(SUFFIXES)[:4])}",
        )
    return sorted(_with_unique_names(by_location.values()))


def _find_local(path: str) -> Iterator[Source]:
    root = Path(path)
    if not root.is_dir():
        yield _local(root, root.name)
        return
    for folder, folders, files in os.walk(root, onerror=None):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in files:
            file = Path(folder, name)
            if is_video_name(name):
                yield _local(file, str(file.relative_to(root)))


def is_video_name(name: str) -> bool:
    """Whether a file found in a folder is tried."""
    return not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES


def _local(file: Path, name: str) -> Source:
    try:
        num_bytes = file.stat().st_size
    except OSError:  # what is wrong with it is found out, and noted, when it is its turn
        num_bytes = 0
    return Source(_text(name), os.path.abspath(file), "", num_bytes)


def _text(name: str) -> str:
    """A file's name as text; bytes that are not UTF-8 are written as escapes."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _find_remote(url: str) -> Iterator[Source]:
    if "://" not in url:
        raise FootageError(f"there is no file or folder {url}", "check the path")
    try:
        system, root = fsspec.core.url_to_fs(url)
        if not system.exists(root):
            raise FootageError(f"there is nothing at {url}", "check the URL")
        is_folder = system.isdir(root)
        listing = system.find(root, detail=True) if is_folder else {root: system.info(root)}
    except (OSError, ValueError, ImportError) as error:
        raise FootageError(f"{url} cannot be read: {error}", "check the URL") from error
    for location, info in listing.items():
        name = location[len(root) :].lstrip("/") if is_folder else location.rsplit("/", 1)[-1]
        parts = name.split("/")
        if is_folder and not (is_video_name(parts[-1]) and not any(p[:1] == "." for p in parts)):
            continue
        yield Source(name, location, url, int(info.get("size") or 0))


def _with_unique_names(sources: Iterable[Source]) -> Iterator[Source]:
    """Of files with equal names below different roots all but the first get full paths."""
    taken: set[str] = set()
    for source in sources:
        name = source.name if source.name not in taken else _text(source.location.lstrip("/"))
        taken.add(name)
        yield source._replace(name=name)


def fetch(source: Source, target: Path, max_bytes: int) -> None:
    """Copy a remote file to a local one.

    Raises:
        VideoError: It cannot be read or is larger than allowed.
    """
    try:
        system, _ = fsspec.core.url_to_fs(source.url)
        with system.open(source.location, "rb") as remote, target.open("wb") as local:
            while chunk := remote.read(_CHUNK):
                if local.tell() + len(chunk) > max_bytes:
                    raise VideoError(f"it is larger than {max_bytes} bytes")
                local.write(chunk)
    except (OSError, ValueError) as error:
        raise VideoError(f"it cannot be fetched: {type(error).__name__}: {error}") from error


def check_local(path: Path, max_bytes: int) -> int:
    """The size of a local file in bytes.

    Raises:
        VideoError: It is no regular file, cannot be read, is empty, or is larger than allowed.
    """
    try:
        found = path.stat()
    except OSError as error:
        raise VideoError(f"it cannot be read: {error.strerror}") from error
    if not stat.S_ISREG(found.st_mode):
        raise VideoError("it is not a regular file")
    if not os.access(path, os.R_OK):
        raise VideoError("it cannot be read: Permission denied")
    if found.st_size == 0:
        raise VideoError("it is empty")
    if found.st_size > max_bytes:
        raise VideoError(f"it is larger than {max_bytes} bytes")
    return found.st_size
