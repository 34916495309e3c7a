"""Find the files that a command works on, locally or behind a URL, and fetch remote ones."""

import contextlib
import logging
import os
import stat
import tempfile
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import fsspec
from fsspec.implementations.local import LocalFileSystem

from footage.errors import FootageError, MachineError, OutputError, VideoError
from footage.io.files import output_errors
from footage.io.remote import explained, is_temporary, stamp_of, walked
from footage.io.walk import Walk, suffixes, text, walk
from footage.text import redacted
from footage.video.decode import SUFFIXES

log = logging.getLogger(__name__)

_CHUNK = 4 * 2**20


class Source(NamedTuple):
    """One file to work on.

    `name` is unique in a run and the same on every machine: the path relative to the given
    folder. `url` is empty for a local file; otherwise `location` lies in its file system.
    Both may carry passwords or signatures; `name` never does. `stamp` changes when the content
    does: size and modification time, or the etag of an object store. It is empty if nothing
    identifies the content, as with some web servers.
    """

    name: str
    location: str
    url: str
    num_bytes: int
    stamp: str = ""


def batches(sources: Iterable[Source], most_files: int, most_bytes: int) -> Iterator[list[Source]]:
    """Divide sources into batches, which depend on the sources alone.

    Args:
        sources: The sources, in order.
        most_files: Largest number of files in a batch.
        most_bytes: A batch ends with the file that reaches this size; a file of at least this size
            is a batch of its own.
    """
    batch: list[Source] = []
    num_bytes = 0
    for source in sources:
        if source.num_bytes >= most_bytes:
            yield [source]
            continue
        batch.append(source)
        num_bytes += source.num_bytes
        if len(batch) == most_files or num_bytes >= most_bytes:
            yield batch
            batch, num_bytes = [], 0
    if batch:
        yield batch


@contextlib.contextmanager
def opened(source: Source) -> Iterator[BinaryIO]:
    """Open a source for reading bytes; file systems raise their own errors."""
    if not source.url:
        with open(source.location, "rb") as file:
            yield file
        return
    # An archive closes its files when nothing refers to it any more, so `system` must stay.
    system, _ = fsspec.core.url_to_fs(source.url)
    with system.open(source.location, "rb") as file:
        yield file


def is_video_name(name: str) -> bool:
    """Return whether a file found in a folder counts as a video."""
    return not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES


def find(
    paths: Sequence[str],
    is_wanted: Callable[[str], bool] = is_video_name,
    what: str = "video",
) -> list[Source]:
    """Find all files to work on below some paths or fsspec URLs, sorted by name.

    In folders, only files with a wanted name count; a file that is passed directly always counts.
    Skipped files are logged.

    Args:
        paths: Files, folders (searched recursively) or URLs.
        is_wanted: Whether a file found in a folder counts, by its name.
        what: Singular noun for messages.

    Raises:
        FootageError: A path does not exist, or nothing was found at all.
    """
    by_location: dict[tuple[str, str], Source] = {}
    others: Counter[str] = Counter()
    for path in paths:
        sources, skipped = _find(path, is_wanted)
        if skipped.skipped():
            words = redacted(path), len(sources), skipped.skipped()
            log.info("%s: %d files found; skipped: %s", *words)
        others += skipped.other_suffixes
        for source in sources:
            by_location.setdefault((source.url, source.location), source)
    if not by_location:
        plural = " or ".join(f"{noun}s" for noun in what.split(" or "))
        seen = f"; files seen: {suffixes(others)}" if others else ""
        raise FootageError(
            f"no {plural} found in {', '.join(map(repr, paths)) or 'an empty list'}{seen}",
            "in folders, files are selected by suffix and hidden files are skipped; pass a file"
            " directly to try it with any suffix",
        )
    return sorted(_with_unique_names(by_location.values()))


def _find(path: str, is_wanted: Callable[[str], bool]) -> tuple[list[Source], Walk]:
    if os.path.lexists(path):
        return _find_local(Path(path), is_wanted)
    if "://" not in path:
        raise FootageError(f"file or folder not found: {path!r}", "check the path")
    try:
        system, root = fsspec.core.url_to_fs(path)
        system.invalidate_cache()
        if isinstance(system, LocalFileSystem):
            return _find(root, is_wanted)
        return _find_remote(path, system, root, is_wanted)
    except FootageError:
        raise
    except Exception as error:  # file systems raise their own errors
        raise FootageError(*explained(path, error)) from error


def _find_local(root: Path, is_wanted: Callable[[str], bool]) -> tuple[list[Source], Walk]:
    if not root.is_dir():
        return [_local(root, root.name)], Walk([root], 0, Counter(), [])
    found = walk(root, is_wanted)
    return [_local(file, str(file.relative_to(root))) for file in found.files], found


def _local(file: Path, name: str) -> Source:
    try:
        found = file.stat()
        num_bytes, stamp = found.st_size, f"{found.st_size} bytes of {found.st_mtime_ns} ns"
    except OSError:  # the reason is recorded when the file is processed
        num_bytes, stamp = 0, ""
    return Source(text(name), os.path.abspath(file), "", num_bytes, stamp)


def _find_remote(
    url: str,
    system: Any,  # noqa: ANN401 (fsspec has no types)
    root: str,
    is_wanted: Callable[[str], bool],
) -> tuple[list[Source], Walk]:
    if not _is_folder(system, root, is_wanted):
        info = system.info(root)
        size = int(info.get("size") or 0)
        source = Source(_last_name(root), root, url, size, stamp_of(info))
        return [source], Walk([], 0, Counter(), [])
    sources, hidden, others = [], 0, Counter[str]()
    for info in walked(system, root):
        location = str(info["name"])
        name = location[len(root) :].lstrip("/")
        if any(part.startswith(".") for part in name.split("/")):
            hidden += 1
        elif is_wanted(_last_name(name)):
            size = int(info.get("size") or 0)
            sources.append(Source(text(redacted(name)), location, url, size, stamp_of(info)))
        else:
            others[Path(name).suffix.lower()] += 1
    return sources, Walk([], hidden, others, [])


def _is_folder(system: Any, root: str, is_wanted: Callable[[str], bool]) -> bool:  # noqa: ANN401
    """Return whether to look for files below a remote path.

    A web server would send a whole video to determine whether it is a page with links, so for a
    path with the suffix of a wanted file only the size is requested.
    """
    if is_wanted(_last_name(root)) and not root.endswith("/"):
        return bool(system.info(root).get("type") == "directory")
    return bool(system.isdir(root))


def _last_name(location: str) -> str:
    return text(location.partition("?")[0].rstrip("/").rpartition("/")[2])


def _with_unique_names(sources: Iterable[Source]) -> Iterator[Source]:
    """Replace repeated names by full paths, for equal names below different roots."""
    taken: set[str] = set()
    for source in sources:
        name = (
            source.name if source.name not in taken else text(redacted(source.location.lstrip("/")))
        )
        taken.add(name)
        yield source._replace(name=name)


def fetch(source: Source, target: Path, max_bytes: int) -> None:
    """Copy a remote file to a local one.

    Raises:
        VideoError: It cannot be read or is larger than allowed.
        OutputError: The local copy cannot be written, which is not the video's fault.
        MachineError: The network, the service or the credentials failed.
    """
    try:
        with opened(source) as remote, target.open("wb") as local:
            while chunk := remote.read(_CHUNK):
                if local.tell() + len(chunk) > max_bytes:
                    raise VideoError(f"it is larger than {max_bytes} bytes")
                with output_errors(target):
                    local.write(chunk)
                    local.flush()
    except (VideoError, OutputError):
        raise
    except Exception as error:  # file systems raise their own errors
        if is_temporary(error):
            raise MachineError(*explained(f"{source.url}::{source.location}", error)) from error
        raise VideoError(f"it cannot be fetched: {type(error).__name__}: {error}") from error


class LocalFile(NamedTuple):
    """A source as a file on this machine; `failure` is set if it could not be fetched."""

    source: Source
    path: Path
    failure: str

    @property
    def name(self) -> str:
        """The full path or location, as text and without secrets."""
        location = self.source.location
        return text(redacted(location) if self.source.url else location)


def local_copies(sources: Iterable[Source], max_bytes: int, keep: int) -> Iterator[LocalFile]:
    """Yield each source in order, fetched into a temporary folder if it is remote.

    Args:
        sources: Local files are not copied.
        max_bytes: A larger remote file is a failure.
        keep: A copy is removed when this many more have been made.
    """
    copies: deque[Path] = deque()
    with tempfile.TemporaryDirectory(prefix="footage-") as folder:
        for number, source in enumerate(sources):
            path, failure = Path(source.location), ""
            if source.url:
                path = Path(folder, f"{number}{Path(source.name).suffix}")
                copies.append(path)
                try:
                    fetch(source, path, max_bytes)
                except VideoError as error:
                    failure = error.message
            if len(copies) > keep:
                copies.popleft().unlink(missing_ok=True)
            yield LocalFile(source, path, failure)


def check_local(path: Path, max_bytes: int) -> int:
    """Return the size of a local file in bytes.

    Raises:
        VideoError: It is not a regular file, cannot be read, is empty, or is larger than allowed.
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
