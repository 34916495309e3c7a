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
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Int

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
from footage.store.parts import SCHEMA as PARTS_SCHEMA
from footage.store.parts import PartList, part_name
from footage.store.reader import Store
from footage.store.records import WORK, UnitRecord, finished_units
from footage.store.sources import newest_stamps, read_stamps, write_stamps
from footage.store.tables import (
    SHOTS_SCHEMA,
    VIDEOS_SCHEMA,
    Tables,
    column,
    totals,
    write_table,
)
from footage.store.units import SCRATCH

LOCK = ".lock"
"""Lock file of the process that changes a store; see `footage.io.files.exclusive`."""
COPIES = "copies"
"""Folder of the second copies of `store.json` and of the tables."""

log = logging.getLogger(__name__)


class Settings(NamedTuple):
    """What `store.json` says about how the frames were made."""

    settings: dict[str, Any]
    """Settings that determine which frames are kept; a later ingest must use the same."""
    limits: dict[str, Any]
    """Limits per video; a later ingest with other limits retries quarantined videos."""
    versions: dict[str, str]
    """Versions of the packages that determine pixels."""


class MissingVideosError(Exception):
    """Finished units were damaged before a manifest listed them; they must be ingested again."""


def prepare(store: Path, *, clean: bool = True) -> None:
    """Finish what a killed run left; call it, with the lock, before reading or adding to a store.

    Args:
        store: The store folder.
        clean: Whether to remove the files of unfinished units; other shards may be writing them.

    Raises:
        OutputError: The store cannot be written.
        StoreError: The manifest that a killed run wrote is damaged.
    """
    with files.output_errors(store):
        for unfinished in [store / SCRATCH, *(store / WORK).glob("manifest-*")] if clean else ():
            files.remove(unfinished)
    newest = newest_manifest(store)
    if newest and _is_behind(store, newest):
        DOCUMENT.read(store / MANIFESTS / manifest_name(newest) / NAME)
        with files.output_errors(store):
            _publish(store, newest)


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
    store: Path,
    about: Settings,
    required: Sequence[str] = (),
    *,
    even_if_repeated: bool = False,
) -> int:
    """List the finished units in a new manifest; return the number of new or changed files.

    Args:
        store: The store folder.
        about: The settings for `store.json`.
        required: Ids of videos that the manifest must list.
        even_if_repeated: Write a manifest even if the units contain nothing new.

    Raises:
        MissingVideosError: A required video is neither stored nor recorded; nothing was written.
        BusyError: Another process wrote the next manifest at the same time.
        OutputError: The store cannot be written.
    """
    existing = Store.open(store) if (store / NAME).exists() else None
    gathered = _Gathered(existing)
    for unit in finished_units(store):
        gathered.add(unit)
    gathered.require(required)
    old = read_stamps(store)
    stamps = newest_stamps(pa.concat_tables([old, *gathered.stamps]))
    tables, num_new = gathered.tables()
    if num_new or even_if_repeated:
        write_manifest(store, existing, tables, about, stamps)
    elif existing and existing.description.manifest and not stamps.equals(old):
        write_stamps(existing.description.folder(store), stamps)
    return num_new


# --- tables --------------------------------------------------------------------------------------


class _Gathered:
    """The rows of a store and of more units, as columns.

    Shots name their video by its row here, and their part by its number here.
    """

    def __init__(self, existing: Store | None) -> None:
        self._videos = [existing.videos if existing else VIDEOS_SCHEMA.empty_table()]
        self._num_old = self._num_videos = self._videos[0].num_rows
        self._parts = [existing.parts.table if existing else PARTS_SCHEMA.empty_table()]
        self._num_parts = self._parts[0].num_rows
        self._shots = [_PLAIN_SHOTS.empty_table()]
        if existing:
            shots = existing.every_shot
            self._shots.append(_plain(shots, column(shots, "video"), column(shots, "part")))
        self.stamps: list[pa.Table] = []

    def add(self, unit: UnitRecord) -> None:
        """Add the rows of one unit."""
        rows = column(unit.shots, "video").astype(np.int32) + np.int32(self._num_videos)
        part = np.full(len(rows), self._num_parts, dtype=np.int32)
        self._shots.append(_plain(unit.shots, rows, part))
        self._videos.append(unit.videos)
        self._num_videos += unit.videos.num_rows
        if unit.unit.part is not None:
            entry = unit.unit.part
            self._parts.append(PartList.of({part_name(entry.sha256): entry}).table)
            self._num_parts += 1
        self.stamps.append(unit.stamps)
        for tables in (self._videos, self._shots, self._parts, self.stamps):
            if len(tables) > _MOST_TABLES:  # many small tables take more memory than their rows
                tables[:] = [pa.concat_tables(tables).combine_chunks()]

    def require(self, videos: Sequence[str]) -> None:
        """Raise `MissingVideosError` unless all these videos are among the rows."""
        ids = pa.concat_tables(self._videos)["video"]
        if not pc.all(pc.is_in(pa.array(videos, pa.string()), ids), min_count=0).as_py():
            raise MissingVideosError

    def tables(self) -> tuple[Tables, int]:
        """Return the tables of the next manifest, and the number of new or changed videos."""
        videos = pa.concat_tables(self._videos)
        chosen, num_new = _chosen(videos, self._num_old)
        rank = np.full(videos.num_rows, -1, dtype=np.int32)
        rank[chosen] = np.arange(len(chosen), dtype=np.int32)
        videos = _with_status_of_originals(videos.take(pa.array(chosen)).combine_chunks())
        parts, number = _used_parts(pa.concat_tables(self._parts), self._used(rank))
        shots = _sorted_shots(pa.concat_tables(self._shots), rank, number, _one(videos["video"]))
        return Tables(videos, shots, PartList(parts)), num_new

    def _used(self, rank: Int[np.ndarray, " N"]) -> Bool[np.ndarray, " P"]:
        """Which parts contain a frame of a video that is kept."""
        used = np.zeros(self._num_parts, dtype=bool)
        for shots in self._shots:
            has_frames = column(shots, "num_frames") > 0
            kept = rank[column(shots, "video")] >= 0
            used[column(shots, "part")[has_frames & kept]] = True
        return used


_MOST_TABLES = 500
_PLAIN_SHOTS = SHOTS_SCHEMA.set(0, pa.field("video", pa.int32()))


def _plain(shots: pa.Table, rows: Int[np.ndarray, " N"], parts: Int[np.ndarray, " N"]) -> pa.Table:
    columns = {name: shots[name] for name in _PLAIN_SHOTS.names if name not in ("video", "part")}
    columns |= {"video": pa.array(rows), "part": pa.array(parts)}
    return pa.table([columns[name] for name in _PLAIN_SHOTS.names], schema=_PLAIN_SHOTS)


def _one(values: pa.ChunkedArray) -> pa.Array:
    return values.chunk(0) if values.num_chunks == 1 else values.combine_chunks()


def _used_parts(
    parts: pa.Table, used: Bool[np.ndarray, " P"]
) -> tuple[pa.Table, Int[np.ndarray, " P"]]:
    """Return the used parts, each once and sorted by name, and the number of each given one."""
    names = _one(parts["name"])
    unique = pc.unique(names.filter(pa.array(used)))
    unique = unique.take(pc.sort_indices(unique))
    number = pc.fill_null(pc.index_in(names, value_set=unique), 0)
    table = parts.take(pc.index_in(unique, value_set=names)).combine_chunks()
    return table, number.to_numpy(zero_copy_only=False)


def _chosen(videos: pa.Table, num_old: int) -> tuple[Int[np.ndarray, " N"], int]:
    """Return the rows to keep, sorted by video, and the number of new or changed ones.

    Of several rows with one id, the newest is kept. An earlier row of a file that could not be
    read is outdated once the file has been read.
    """
    order = pc.sort_indices(videos, sort_keys=[("video", "ascending")]).to_numpy().astype(np.int64)
    ids = videos["video"].take(pa.array(order)).combine_chunks()
    last = np.ones(len(order), dtype=bool)
    if len(order) > 1:
        last[:-1] = pc.not_equal(ids[:-1], ids[1:]).to_numpy(zero_copy_only=False)
    kept = order[last]  # sort_indices is stable, so the last one of equals is the newest
    kept = kept[~_outdated(videos, kept, num_old)]
    return kept, int((kept >= num_old).sum()) - _num_repeated(videos, kept, num_old)


def _outdated(
    videos: pa.Table, kept: Int[np.ndarray, " N"], num_old: int
) -> Bool[np.ndarray, " N"]:
    """Which rows are of files that could not be read then, and have been read since."""
    unread = pc.equal(videos["content_hash"], "").to_numpy()[kept]
    candidates = np.flatnonzero(unread & (kept < num_old))
    gone = np.zeros(len(kept), dtype=bool)
    if len(candidates):
        read = videos.take(pa.array(kept[(kept >= num_old) & ~unread]))["video"].to_pylist()
        names = {video.rsplit("#", 1)[0] for video in read}
        for place in candidates.tolist():
            video = videos["video"][int(kept[place])].as_py()
            gone[place] = video.rsplit("#", 1)[0] in names
    return gone


def _num_repeated(videos: pa.Table, kept: Int[np.ndarray, " N"], num_old: int) -> int:
    """Return how many rows of units are the same as rows that the store had before."""
    rows = kept[kept >= num_old]
    before = pc.index_in(
        videos["video"].take(pa.array(rows)), value_set=videos["video"].slice(0, num_old)
    ).to_numpy(zero_copy_only=False)
    known = np.flatnonzero(~np.isnan(before.astype(float)))
    pairs = zip(rows[known].tolist(), before[known].astype(int).tolist(), strict=True)
    return sum(videos.slice(new, 1).equals(videos.slice(old, 1)) for new, old in pairs)


def _with_status_of_originals(videos: pa.Table) -> pa.Table:
    """Give duplicates the status of the video whose frames they share."""
    is_copy = pc.not_equal(videos["duplicate_of"], "")
    if not pc.any(is_copy, min_count=0).as_py():
        return videos
    found = pc.index_in(videos["duplicate_of"], value_set=_one(videos["video"]))
    place = pc.coalesce(found, pa.array(np.arange(videos.num_rows, dtype=np.int32)))
    for name in ("status", "reason"):
        values = pc.if_else(is_copy, videos[name].take(place), videos[name])
        videos = videos.set_column(videos.schema.get_field_index(name), name, values)
    return videos.cast(VIDEOS_SCHEMA).combine_chunks()


def _sorted_shots(
    shots: pa.Table,
    rank: Int[np.ndarray, " N"],
    part_number: Int[np.ndarray, " P"],
    ids: pa.Array,
) -> pa.Table:
    """Return the shots of the kept videos: those with frames first, sorted by video and time."""
    codes = rank[column(shots, "video")]
    is_empty = column(shots, "num_frames") == 0
    key = (is_empty.astype(np.int64) << 62) + (codes.astype(np.int64) << 21)
    key += column(shots, "shot")
    order = np.argsort(key, kind="stable")
    order = order[codes[order] >= 0]
    part = column(shots, "part")[order]
    if len(part_number):
        part = part_number[np.minimum(part, len(part_number) - 1)].astype(np.int32)
    columns = {name: shots[name].take(pa.array(order)) for name in SHOTS_SCHEMA.names[1:]}
    columns["video"] = pa.DictionaryArray.from_arrays(pa.array(codes[order]), ids)
    columns["part"] = pa.array(np.where(is_empty[order], np.int32(0), part).astype(np.int32))
    return pa.table([columns[name] for name in SHOTS_SCHEMA.names], schema=SHOTS_SCHEMA)


# --- files ---------------------------------------------------------------------------------------


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
                f"another process has changed the store at {str(store)!r} at the same time",
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
