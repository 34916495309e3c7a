"""`store.json`: the settings of a frame store, its totals, and the hashes of its tables."""

import errno
import hashlib
import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from footage.errors import StoreError
from footage.io import files
from footage.io.documents import Document, read_bytes
from footage.io.retry import retried

SCHEMA_VERSION: Literal[3] = 3
"""Version 1 had no checksums of frames, footers and `store.json` itself, and version 2 had Parquet
tables and listed its parts in `store.json`; both are still read."""
NAME = "store.json"
VIDEOS, SHOTS, PARTS = "videos.arrow", "shots.arrow", "parts.arrow"
TABLES = (VIDEOS, SHOTS, PARTS)
EARLIER_TABLES = ("videos.parquet", "shots.parquet")
MANIFESTS = "manifests"
"""Folder with one folder per version of the manifest: its tables and its `store.json`."""

_LARGEST = 2**62
Count = Annotated[int, msgspec.Meta(ge=0, le=_LARGEST)]
Checksum = Annotated[int, msgspec.Meta(ge=0, lt=2**32)]
Digest = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
Setting = Annotated[int, msgspec.Meta(ge=-_LARGEST, le=_LARGEST)] | float | str
FileName = Annotated[
    str,
    msgspec.Meta(
        pattern=r"\A((videos|shots|parts)\.arrow|(videos|shots)\.parquet"
        r"|frames/part-\d{5,9}\.parquet)\Z"
    ),
]


class FileEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One file as it was written."""

    num_bytes: Count
    sha256: Digest
    footer_crc32: Checksum | None = None
    """CRC-32 of a part's footer, which holds the checksums of its frames; None in version 1."""


class Totals(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The accounting: ok + partial + quarantined = seen."""

    seen: Count
    ok: Count
    partial: Count
    quarantined: Count
    shots: Count
    frames: Count
    black_frames: Count
    static_frames: Count
    source_bytes: Count
    seconds: Annotated[float, msgspec.Meta(ge=0, le=1e15)]
    store_bytes: Count


class Description(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Content of `store.json`."""

    schema_version: Literal[1, 2, 3]
    settings: Annotated[dict[Name, Setting], msgspec.Meta(max_length=1000)]
    """Settings that determine which frames are kept."""
    limits: Annotated[dict[Name, Setting], msgspec.Meta(max_length=1000)]
    """Resource limits per video."""
    versions: Annotated[dict[Name, str], msgspec.Meta(max_length=1000)]
    """Versions of the packages that determine pixels and cuts."""
    totals: Totals
    files: dict[FileName, FileEntry]
    """The tables; in versions 1 and 2 also the parts."""
    content_hash: Digest
    manifest: Annotated[int, msgspec.Meta(ge=0, lt=10**9)] = 0
    """Number of this manifest, from 1; 0 in versions 1 and 2."""

    @property
    def tables(self) -> tuple[str, ...]:
        """Names of the tables."""
        return TABLES if self.schema_version > 2 else EARLIER_TABLES

    def folder(self, store: Path) -> Path:
        """Return the folder of the tables."""
        return store / MANIFESTS / manifest_name(self.manifest) if self.manifest else store


DOCUMENT: Document[Description] = Document(
    schema=Description,
    name="the description of a frame store",
    error=StoreError,
    hint="restore it from a copy, or ingest the videos into a new folder",
    version_key="schema_version",
    versions=(1, 2, 3),
)


def manifest_name(number: int) -> str:
    """Name of the folder of a manifest."""
    return f"{number:06d}"


def content_hash(settings: Mapping[str, Any], entries: Mapping[str, FileEntry]) -> str:
    """Hash of settings and data: two stores with the same hash contain the same frames."""
    text = json.dumps([settings, msgspec.to_builtins(entries)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def read_description(path: Path) -> Description:
    """Read and check `store.json`.

    Raises:
        StoreError: There is no store, or it is damaged or of another version.
    """
    if not (path / NAME).exists():
        if (path / EARLIER_TABLES[0]).exists() or any((path / MANIFESTS).glob(f"*/{NAME}")):
            raise damaged(path, f"{NAME} is missing")
        if (path / ".work").is_dir():
            raise StoreError(
                f"the store at {str(path)!r} is not finished",
                "an ingest is still running or was interrupted: wait for it, or rerun it",
            )
        if path.is_dir() and any(path.iterdir()):
            raise StoreError(
                f"{str(path)!r} is not a frame store: it contains other files",
                "pass the folder that `footage ingest` wrote",
            )
        raise StoreError(
            f"frame store not found: {str(path)!r}",
            f"create one with: footage ingest VIDEOS --out {path}",
        )
    found = DOCUMENT.read(path / NAME)
    if found.content_hash != content_hash(found.settings, found.files):
        raise damaged(path, f"the content hash in {NAME} does not match its settings and files")
    if not set(found.tables) <= found.files.keys():
        raise damaged(path, f"{NAME} does not list all tables")
    if (found.schema_version > 2) != (found.manifest > 0):
        raise damaged(path, f"{NAME} does not name its manifest")
    return found


def description_of(store: Path, content_hash: str) -> tuple[Description, Path]:
    """Return the description with a content hash, and the folder of its tables.

    Args:
        store: The store folder.
        content_hash: The hash of the newest manifest or of an earlier one; empty for the newest.

    Raises:
        StoreError: The store or the manifest does not exist, or the description is damaged.
    """
    newest = read_description(store)
    if content_hash in ("", newest.content_hash):
        return newest, newest.folder(store)
    for folder in sorted((store / MANIFESTS).glob("[0-9]*")):
        if (folder / NAME).exists():
            found = DOCUMENT.read(folder / NAME)
            if found.content_hash == content_hash:
                return found, folder
    raise StoreError(
        f"the store at {str(store)!r} does not contain the version {content_hash[:16]}",
        "use the store that the run was trained on",
    )


def verified_bytes(path: Path, name: str, entry: FileEntry) -> bytes:
    """Content of one small file of a store, compared with its recorded hash.

    Raises:
        StoreError: The file is missing, cannot be read, or is not what was written.
    """
    try:
        data = retried(lambda: read_bytes(path / name, entry.num_bytes), str(path / name))
    except OSError as error:
        if error.errno != errno.EIO and (reason := wrong_size(path / name, entry)):
            raise damaged(path, f"{name}: {reason}") from error
        raise unreadable(path, name, error) from error
    if hashlib.sha256(data).hexdigest() != entry.sha256:
        raise damaged(path, f"{name} is not what was written")
    return data


def verify_file(path: Path, name: str, entry: FileEntry) -> None:
    """Compare a file of a store with its recorded size and hash, without keeping its content.

    Raises:
        StoreError: The file is missing, cannot be read, or is not what was written.
    """
    try:
        found = retried(lambda: files.sha256(path / name), str(path / name))
    except OSError as error:
        if error.errno != errno.EIO and (reason := wrong_size(path / name, entry)):
            raise damaged(path, f"{name}: {reason}") from error
        raise unreadable(path, name, error) from error
    if reason := wrong_size(path / name, entry):
        raise damaged(path, f"{name}: {reason}")
    if found != entry.sha256:
        raise damaged(path, f"{name} is not what was written")


def file_entry(path: Path) -> FileEntry:
    """Describe a file as it is now, without a checksum of its footer."""
    return FileEntry(path.stat().st_size, files.sha256(path))


def difference(path: Path, entry: FileEntry) -> str:
    """Describe how a file differs from what was written; empty if it does not."""
    if reason := wrong_size(path, entry):
        return reason
    try:
        found = retried(lambda: files.sha256(path), str(path))
    except OSError as error:
        return f"it cannot be read: {error.strerror}"
    return "" if found == entry.sha256 else "its content is not what was written"


def wrong_size(path: Path, entry: FileEntry) -> str:
    """Describe what is wrong with the size or type of a file; empty if nothing is."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return "it is missing"
    except OSError as error:
        return f"it cannot be read: {error.strerror}"
    if not stat.S_ISREG(found.st_mode):
        return "it is not a regular file"
    if found.st_size != entry.num_bytes:
        return f"{found.st_size:,} bytes instead of {entry.num_bytes:,}"
    return ""


def unreadable(path: Path, name: str, error: Exception) -> StoreError:
    """Make the error for a file of a store that cannot be read or parsed."""
    if isinstance(error, FileNotFoundError):
        return damaged(path, f"{name} is missing")
    if isinstance(error, OSError) and error.errno is not None and error.errno != errno.EIO:
        return StoreError(
            f"{str(path / name)!r} cannot be read: {os.strerror(error.errno)}",
            "check its permissions and the limits of this process",
        )
    reason = os.strerror(errno.EIO) if isinstance(error, OSError) and error.errno else str(error)
    return damaged(path, f"{name} cannot be read: {reason}")


def damaged(path: Path, what: str) -> StoreError:
    """Make the error for a store with missing or altered files."""
    return StoreError(
        f"the store at {str(path)!r} is damaged: {what}",
        f"run `footage store verify {path} --repair VIDEOS`, where VIDEOS are the files or folders"
        " that were ingested",
    )
