"""Where a store is: a local folder, or a folder behind a URL with a local copy of its tables.

The local copy of a remote store has the layout of a local store, without `frames/`. Commands read
and write `store.json`, tables and records in it; a `Place` downloads and uploads them. For a local
store it transfers nothing. Parts are transferred by the code that reads or writes them.

    URL/.lock           the process that changes the store; rewritten every 20 seconds
    URL/manifests/..    a manifest exists once its `store.json` does; only one process can write it
"""

import contextlib
import logging
import os
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from footage.errors import BusyError
from footage.io import cache, copies, files
from footage.io.remote import RemoteFolder, is_url, local_path
from footage.io.remote_lock import RemoteLock
from footage.store.description import (
    MANIFESTS,
    NAME,
    Description,
    FileEntry,
    difference,
    read_description,
)
from footage.store.frames import read_footer
from footage.store.parts import part_name

WORK = ".work"
"""Folder of the files of an unfinished ingest."""
RECORDS = f"{WORK}/records"
LOCK = ".lock"
"""Lock file of the process that changes a store; see `footage.io.files.exclusive`."""
STAMPS_FILE = "sources.arrow"
"""File in the folder of a manifest; see `footage.store.sources`."""
COPIES = "copies"
"""Folder of the second copies of `store.json` and of the tables."""

log = logging.getLogger(__name__)


class Place:
    """A store in a local folder.

    Args:
        path: The folder.
    """

    remote: RemoteFolder | None = None

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def location(self) -> str:
        """The path or URL as a user would write it."""
        return str(self.path)

    def names(self) -> list[str]:
        """Return the names of the files and folders in the store folder."""
        return sorted(entry.name for entry in self.path.iterdir()) if self.path.is_dir() else []

    def fetch_description(self, content_hash: str = "") -> None:
        """Download `store.json`, and those of all manifests if it does not have this hash."""

    def fetch_tables(self, description: Description, folder: Path) -> None:
        """Download the tables of a manifest."""

    def pull(self) -> None:
        """Download everything that a process needs to change the store."""

    def pull_units(self) -> None:
        """Download the records of the units that other processes finished."""

    def write_work(self, name: str, content: bytes) -> None:
        """Write a file in `.work`, unless it exists.

        Raises:
            OutputError: It cannot be written.
        """
        with files.atomic_write(self.path / name, replace=False) as temporary:
            temporary.write_bytes(content)

    def remove_record(self, path: Path) -> None:
        """Remove a record file."""
        with files.output_errors(path):
            files.remove(path)

    def push_work(self, pattern: str) -> None:
        """Publish the files in `.work` whose names match a pattern."""

    def push_manifest(self) -> None:
        """Publish the newest manifest.

        Raises:
            BusyError: Another process published one with the same number.
        """

    def push_stamps(self) -> None:
        """Publish the stamps of the newest manifest."""

    def remove_work(self) -> None:
        """Remove the files of an unfinished ingest."""
        files.remove(self.path / WORK)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from changing the store.

        Raises:
            BusyError: Another process is changing it.
        """
        is_new = not self.path.exists()
        try:
            with files.exclusive(self.path / LOCK, self.path):
                yield
        finally:
            if is_new:
                with contextlib.suppress(OSError):
                    self.path.rmdir()  # only if nothing was written into it

    def publish(self, path: Path, name: str) -> None:
        """Move a finished file to its place; an existing file of this name has the same content.

        Raises:
            OutputError: The file cannot be moved.
        """
        target = self.path / name
        files.make_folder(target.parent)
        with files.output_errors(target):
            path.replace(target)
            files.sync(target.parent)

    def problem_of_part(self, entry: FileEntry) -> str:
        """Describe how size or footer of a part differ from its entry; empty if they do not.

        Each frame has its own checksum.
        """
        path = self.path / part_name(entry.sha256)
        try:
            found = (path.stat().st_size, zlib.crc32(read_footer(path)))
        except (OSError, ValueError) as error:
            return str(error)
        is_same = found == (entry.num_bytes, entry.footer_crc32)
        return "" if is_same else f"the size or footer of {path} is not what was written"


class RemotePlace(Place):
    """A store behind a URL.

    Args:
        url: The folder.
    """

    def __init__(self, url: str) -> None:
        super().__init__(copies.folder_of(url))
        self.remote: RemoteFolder = RemoteFolder(url.rstrip("/"))
        self._sizes: dict[str, int] = {}

    @property
    def location(self) -> str:
        """The URL."""
        return self.remote.url

    def names(self) -> list[str]:
        """Return the names of the files and folders in the store folder."""
        return self.remote.names()

    def _download(self, name: str) -> None:
        cache.make_folder((self.path / name).parent)
        with files.atomic_write(self.path / name) as temporary:
            self.remote.download(name, temporary)

    def _upload_bytes(self, content: bytes, name: str, *, replace: bool) -> bool:
        with tempfile.NamedTemporaryFile() as file:
            file.write(content)
            file.flush()
            return self.remote.upload(Path(file.name), name, replace=replace)

    def fetch_description(self, content_hash: str = "") -> None:
        """Download `store.json`, and those of all manifests if it does not have this hash."""
        content = self.remote.read_if_exists(NAME)
        if content is None:
            files.remove(self.path / NAME)
            self._fetch_manifests()
            return
        cache.make_folder(self.path)
        with files.atomic_write(self.path / NAME) as temporary:
            temporary.write_bytes(content)
        if content_hash and read_description(self.path).content_hash != content_hash:
            self._fetch_manifests()

    def _fetch_manifests(self) -> None:
        known = set(self.remote.names(MANIFESTS))
        for folder in (self.path / MANIFESTS).glob("[0-9]*"):
            if folder.name not in known:
                files.remove(folder)
        for name in sorted(known):
            document = f"{MANIFESTS}/{name}/{NAME}"
            if not (self.path / document).exists() and self.remote.exists(document):
                self._download(document)

    def fetch_tables(self, description: Description, folder: Path) -> None:
        """Download the tables of a manifest that are missing locally."""
        for table in description.tables:
            if difference(folder / table, description.files[table]):
                self._download((folder / table).relative_to(self.path).as_posix())

    def pull(self) -> None:
        """Download everything that a process needs to change the store."""
        cache.make_folder(self.path)
        self.fetch_description()
        self._fetch_manifests()
        newest = max((self.path / MANIFESTS).glob(f"[0-9]*/{NAME}"), default=None)
        if newest is not None:
            folder = newest.parent.relative_to(self.path).as_posix()
            for one in self.remote.files(folder):
                path = self.path / one.name
                if not path.exists() or path.stat().st_size != one.num_bytes:
                    self._download(one.name)
        self.pull_units()

    def pull_units(self) -> None:
        """Download the records of the units that other processes finished."""
        found = {one.name for one in self.remote.files(WORK)}
        for path in [*(self.path / RECORDS).glob("??/*"), *(self.path / WORK).glob("*")]:
            name = path.relative_to(self.path).as_posix()
            if path.is_file() and name not in found:
                files.remove(path)
        for name in sorted(found):
            if not (self.path / name).exists():
                self._download(name)
        if found:
            self._sizes = {one.name: one.num_bytes for one in self.remote.files("frames")}

    def write_work(self, name: str, content: bytes) -> None:
        """Write a file in `.work`, unless it exists; `pull_units` downloads it.

        Raises:
            OutputError: It cannot be written.
        """
        self._upload_bytes(content, name, replace=False)

    def remove_record(self, path: Path) -> None:
        """Remove a record file locally and remotely."""
        super().remove_record(path)
        self.remote.remove(path.relative_to(self.path).as_posix())

    def push_work(self, pattern: str) -> None:
        """Publish the files in `.work` whose names match a pattern."""
        for path in sorted((self.path / WORK).glob(pattern)):
            self.remote.upload(path, path.relative_to(self.path).as_posix())

    def push_manifest(self) -> None:
        """Publish the newest manifest: its tables, then its `store.json`, and the copies."""
        description = read_description(self.path)
        folder = description.folder(self.path)
        relative = folder.relative_to(self.path).as_posix()
        document = f"{relative}/{NAME}"
        if self.remote.read_if_exists(document) is None:
            for path in sorted(folder.iterdir()):
                if path.name != NAME:
                    self.remote.upload(path, f"{relative}/{path.name}")
            self.remote.upload(folder / NAME, document, replace=False)
        if self.remote.read_if_exists(document) != (folder / NAME).read_bytes():
            files.remove(folder)
            raise BusyError(
                f"another process changed the store at {self.location!r} at the same time",
                "rerun to resume",
            )
        for path in sorted((self.path / COPIES).glob("*")):
            self.remote.upload(path, f"{COPIES}/{path.name}")
        self.remote.upload(self.path / NAME, NAME)

    def push_stamps(self) -> None:
        """Publish the stamps of the newest manifest."""
        path = read_description(self.path).folder(self.path) / STAMPS_FILE
        self.remote.upload(path, path.relative_to(self.path).as_posix())

    def remove_work(self) -> None:
        """Remove the files of an unfinished ingest."""
        super().remove_work()
        self.remote.remove(WORK)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from changing the store.

        Raises:
            BusyError: Another process is changing it.
        """
        with copies.naming_urls(), super().locked(), RemoteLock(self.remote).held():
            yield

    def publish(self, path: Path, name: str) -> None:
        """Upload a finished file, unless it exists.

        Raises:
            OutputError: The file cannot be written.
        """
        self.remote.upload(path, name, replace=False)

    def problem_of_part(self, entry: FileEntry) -> str:
        """Describe how the size of a part differs; object stores only show complete files."""
        name = part_name(entry.sha256)
        found = self._sizes.get(name)
        if found is None:
            return f"{self.remote.url_of(name)} is missing"
        return "" if found == entry.num_bytes else f"{self.remote.url_of(name)} has the wrong size"


def place_of(location: "str | os.PathLike[str] | Place") -> Place:
    """Return the place for a path or URL."""
    if isinstance(location, Place):
        return location
    if not isinstance(location, str) or not is_url(location):
        return Place(Path(location))
    path = local_path(location)
    return Place(Path(path)) if path else RemotePlace(location)
