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
import pyarrow as pa
from fsspec.implementations.local import LocalFileSystem

from footage.errors import FootageError, MachineError, OutputError, VideoError
from footage.ingestion.listing import sorted_sources, with_root
from footage.ingestion.source_table import Source, SourceTable, record_batches
from footage.io.files import output_errors
from footage.io.remote import explained, is_temporary, stamp_of
from footage.io.remote import walked as remote_files
from footage.io.walk import Skipped, suffixes, text, walked
from footage.text import redacted
from footage.video.decode import SUFFIXES

log = logging.getLogger(__name__)

_CHUNK = 4 * 2**20


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
) -> SourceTable:
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
    found: list[pa.RecordBatch] = []
    others: Counter[str] = Counter()
    for number, path in enumerate(paths):
        skipped = Skipped()
        own = list(record_batches(_found(path, is_wanted, skipped)))
        if str(skipped):
            num_files = sum(batch.num_rows for batch in own)
            log.info("%s: %d files found; skipped: %s", redacted(path), num_files, skipped)
        others += skipped.other_suffixes
        found += [with_root(batch, number) for batch in own]
    if not found:
        plural = " or ".join(f"{noun}s" for noun in what.split(" or "))
        seen = f"; files seen: {suffixes(others)}" if others else ""
        raise FootageError(
            f"no {plural} found in {', '.join(map(repr, paths)) or 'an empty list'}{seen}",
            "in folders, files are selected by suffix and hidden files are skipped; pass a file"
            " directly to try it with any suffix",
        )
    return sorted_sources(pa.Table.from_batches(found))


def _found(path: str, is_wanted: Callable[[str], bool], skipped: Skipped) -> Iterator[Source]:
    if os.path.lexists(path):
        yield from _found_locally(Path(path), is_wanted, skipped)
        return
    if "://" not in path:
        raise FootageError(f"file or folder not found: {path!r}", "check the path")
    try:
        system, root = fsspec.core.url_to_fs(path)
        system.invalidate_cache()
        if isinstance(system, LocalFileSystem):
            yield from _found(root, is_wanted, skipped)
        else:
            yield from _found_remotely(path, system, root, is_wanted, skipped)
    except FootageError:
        raise
    except Exception as error:  # file systems raise their own errors
        raise FootageError(*explained(path, error)) from error


def _found_locally(
    root: Path, is_wanted: Callable[[str], bool], skipped: Skipped
) -> Iterator[Source]:
    if not root.is_dir():
        yield _local(str(root), root.name)
        return
    start = len(os.path.join(root, ""))
    for file in walked(root, is_wanted, skipped):
        yield _local(file, file[start:])


def _local(file: str, name: str) -> Source:
    try:
        found = os.stat(file)
        num_bytes, stamp = found.st_size, f"{found.st_size} bytes of {found.st_mtime_ns} ns"
    except OSError:  # the reason is recorded when the file is processed
        num_bytes, stamp = 0, ""
    return Source(text(name), os.path.abspath(file), "", num_bytes, stamp)


def _found_remotely(
    url: str,
    system: Any,  # noqa: ANN401 (fsspec has no types)
    root: str,
    is_wanted: Callable[[str], bool],
    skipped: Skipped,
) -> Iterator[Source]:
    if not _is_folder(system, root, is_wanted):
        info = system.info(root)
        size = int(info.get("size") or 0)
        yield Source(_last_name(root), root, url, size, stamp_of(info))
        return
    for info in remote_files(system, root, url):
        location = str(info["name"])
        name = location[len(root) :].lstrip("/")
        if any(part.startswith(".") for part in name.split("/")):
            skipped.num_hidden += 1
        elif is_wanted(_last_name(name)):
            size = int(info.get("size") or 0)
            yield Source(text(redacted(name)), location, url, size, stamp_of(info))
        else:
            skipped.other_suffixes[Path(name).suffix.lower()] += 1


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
        return shown_name(self.source)


def shown_name(source: Source) -> str:
    """Return the full path or location of a source, as text and without secrets."""
    return text(redacted(source.location) if source.url else source.location)


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
