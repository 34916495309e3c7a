"""Write a manifest: the tables of all finished units, so that a kill at any moment loses nothing.

    STORE/.work/manifest-<random>/   the next manifest, being written
    STORE/manifests/000002/          a manifest: its tables and its `store.json`; never changed
    STORE/store.json                 a copy of the newest `store.json`, written last

The tables are assembled from the records of the units alone, as Arrow columns; no frame is read.
A manifest gets its number by a rename that fails if the number is taken, so of several writers only
one can succeed, even where file locks do not work.
"""

import errno
import logging
import shutil
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from footage.errors import BusyError, StoreError
from footage.io import files
from footage.store.description import (
    DOCUMENT,
    EARLIER_TABLES,
    MANIFESTS,
    NAME,
    SCHEMA_VERSION,
    TABLES,
    Description,
    content_hash,
    file_entry,
    manifest_name,
)
from footage.store.gathering import Gathered
from footage.store.places import COPIES, WORK, Place, place_of
from footage.store.reader import Store
from footage.store.records import finished_units
from footage.store.sources import newest_stamps, read_stamps, write_stamps
from footage.store.tables import Tables, totals, write_table
from footage.store.units import SCRATCH

log = logging.getLogger(__name__)


class Settings(NamedTuple):
    """The part of `store.json` that describes how the frames were made."""

    settings: dict[str, Any]
    """Settings that determine which frames are kept; a later ingest must use the same."""
    limits: dict[str, Any]
    """Limits per video; a later ingest with other limits retries quarantined videos."""
    versions: dict[str, str]
    """Versions of the packages that determine pixels."""


def prepare(store: Path | Place, *, clean: bool = True) -> None:
    """Finish what a killed run left; call it, with the lock, before reading or adding to a store.

    Args:
        store: The store.
        clean: Whether to remove the files of unfinished units; other shards may be writing them.

    Raises:
        OutputError: The store cannot be written.
        StoreError: The manifest that a killed run wrote is damaged.
    """
    place = place_of(store)
    path = place.path
    with files.output_errors(path):
        for unfinished in [path / SCRATCH, *(path / WORK).glob("manifest-*")] if clean else ():
            files.remove(unfinished)
    newest = newest_manifest(path)
    if newest and _is_behind(path, newest):
        DOCUMENT.read(path / MANIFESTS / manifest_name(newest) / NAME)
        with files.output_errors(path):
            _publish(path, newest)
        place.push_manifest()


def newest_manifest(store: Path) -> int:
    """Return the number of the newest manifest; 0 if there is none."""
    folders = (store / MANIFESTS).glob("[0-9]*")
    return max((int(one.name) for one in folders if (one / NAME).exists()), default=0)


def _is_behind(store: Path, newest: int) -> bool:
    """Whether a killed run did not publish the newest manifest, or not completely.

    A damaged `store.json` is not replaced here: opening the store will report it.
    """
    if not (store / NAME).exists():
        return True
    try:
        current = DOCUMENT.read(store / NAME).manifest
    except StoreError:
        return False
    return current < newest or (store / EARLIER_TABLES[0]).exists()


def commit(
    store: Path | Place,
    about: Settings,
    required: pa.ChunkedArray | None = None,
    *,
    even_if_repeated: bool = False,
) -> int:
    """List the finished units in a new manifest; return the number of new or changed files.

    Args:
        store: The store folder.
        about: The settings for `store.json`.
        required: Ids of videos that the manifest must list, as large strings.
        even_if_repeated: Write a manifest even if the units contain nothing new.

    Raises:
        MissingVideosError: A required video is neither stored nor recorded; nothing was written.
        BusyError: Another process wrote the next manifest at the same time.
        OutputError: The store cannot be written.
    """
    place = place_of(store)
    place.pull_units()
    existing = Store.open(place) if (place.path / NAME).exists() else None
    gathered = Gathered(existing)
    for unit in finished_units(place):
        gathered.add(unit)
    if required is not None:
        gathered.require(required)
    old = read_stamps(place.path)
    stamps = newest_stamps(pa.concat_tables([old, *gathered.stamps]))
    tables, num_new = gathered.tables()
    if num_new or even_if_repeated:
        write_manifest(place.path, existing, tables, about, stamps)
        place.push_manifest()
    elif existing and existing.description.manifest and not stamps.equals(old):
        write_stamps(existing.description.folder(place.path), stamps)
        place.push_stamps()
    return num_new


def write_manifest(
    store: Path, existing: Store | None, tables: Tables, about: Settings, stamps: pa.Table
) -> Description:
    """Write the next manifest, and make it the current one.

    Raises:
        BusyError: Another process wrote it at the same time.
        OutputError: The store cannot be written.
    """
    number = newest_manifest(store) + 1
    files.make_folder(store / WORK)
    with files.output_errors(store):
        folder = Path(tempfile.mkdtemp(prefix="manifest-", dir=store / WORK))
        folder.chmod(0o777 & ~files.umask())
    try:
        for name, table in zip(
            TABLES, (tables.videos, tables.shots, tables.parts.table), strict=True
        ):
            write_table(folder / name, table)
        entries = {name: file_entry(folder / name) for name in sorted(TABLES)}
        description = Description(
            schema_version=SCHEMA_VERSION,
            settings=about.settings,
            limits=about.limits,
            versions=about.versions,
            totals=totals(tables, entries),
            files=entries,
            content_hash=content_hash(about.settings, entries),
            manifest=number,
        )
        DOCUMENT.write(folder / NAME, description)
        write_stamps(folder, stamps)
        if existing is not None and existing.description.schema_version < 3:
            _keep_earlier(store)  # before the rename, after which a rerun removes them
        _rename(folder, store, number)
    finally:
        files.remove(folder)
    with files.output_errors(store):
        _publish(store, number)
    return description


def _rename(folder: Path, store: Path, number: int) -> None:
    """Give a manifest its number, unless another process was faster."""
    target = store / MANIFESTS / manifest_name(number)
    files.make_folder(target.parent)
    with files.output_errors(target):
        files.sync(folder)
        try:
            folder.rename(target)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            raise BusyError(
                f"another process changed the store at {str(store)!r} at the same time",
                "rerun to resume",
            ) from error
        files.sync(target.parent)


def _keep_earlier(store: Path) -> None:
    """Keep the tables of an earlier version as manifest 0, for runs that were trained on them."""
    with (
        files.output_errors(store),
        files.atomic_folder(store / MANIFESTS / manifest_name(0)) as to,
    ):
        for name in (NAME, *EARLIER_TABLES):
            shutil.copyfile(store / name, to / name)


def _publish(store: Path, number: int) -> None:
    """Copy a manifest's `store.json` and tables to where readers look; safe to repeat."""
    folder = store / MANIFESTS / manifest_name(number)
    (store / COPIES).mkdir(exist_ok=True)
    for name in (*TABLES, NAME):
        _copy(folder / name, store / COPIES / name)
    _copy(folder / NAME, store / NAME)
    for name in EARLIER_TABLES:
        files.remove(store / name)
        files.remove(store / COPIES / name)


def _copy(source: Path, target: Path) -> None:
    with files.atomic_write(target) as temporary:
        shutil.copyfile(source, temporary)
