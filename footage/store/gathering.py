"""Assemble the tables of the next manifest from those of a store and the records of units.

Everything is Arrow columns and NumPy arrays: no Python object per row.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Int

from footage.store.columns import column, last_of_equals, one_chunk, values
from footage.store.parts import SCHEMA as PARTS_SCHEMA
from footage.store.parts import PartList, part_name
from footage.store.reader import Store
from footage.store.records import UnitRecord
from footage.store.tables import SHOTS_SCHEMA, VIDEOS_SCHEMA, Tables

_MOST_TABLES = 500
_PLAIN_SHOTS = SHOTS_SCHEMA.set(0, pa.field("video", pa.int32()))


class MissingVideosError(Exception):
    """Finished units were damaged before a manifest listed them; they must be ingested again."""


class Gathered:
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

    def require(self, videos: pa.ChunkedArray) -> None:
        """Raise `MissingVideosError` unless all these videos, large strings, are among the rows."""
        ids = pa.concat_tables(self._videos)["video"].cast(pa.large_string())
        if not pc.all(pc.is_in(videos, value_set=ids), min_count=0).as_py():
            raise MissingVideosError

    def tables(self) -> tuple[Tables, int]:
        """Return the tables of the next manifest, and the number of new or changed videos.

        The rows are released while their sorted copies are made, so this can be called once.
        """
        videos = pa.concat_tables(self._videos)
        self._videos.clear()
        chosen, num_new = _chosen(videos, self._num_old)
        rank = np.full(videos.num_rows, -1, dtype=np.int32)
        rank[chosen] = np.arange(len(chosen), dtype=np.int32)
        videos = _with_status_of_originals(videos.take(pa.array(chosen)).combine_chunks())
        parts, number = _used_parts(pa.concat_tables(self._parts), self._used(rank))
        columns = {name: pa.concat_tables(self._shots)[name] for name in _PLAIN_SHOTS.names}
        self._shots.clear()
        shots = _sorted_shots(columns, rank, number, one_chunk(videos["video"]))
        return Tables(videos, shots, PartList(parts)), num_new

    def _used(self, rank: Int[np.ndarray, " N"]) -> Bool[np.ndarray, " P"]:
        """Which parts contain a frame of a video that is kept."""
        used = np.zeros(self._num_parts, dtype=bool)
        for shots in self._shots:
            has_frames = column(shots, "num_frames") > 0
            kept = rank[column(shots, "video")] >= 0
            used[column(shots, "part")[has_frames & kept]] = True
        return used


def _plain(shots: pa.Table, rows: Int[np.ndarray, " N"], parts: Int[np.ndarray, " N"]) -> pa.Table:
    columns = {name: shots[name] for name in _PLAIN_SHOTS.names if name not in ("video", "part")}
    columns |= {"video": pa.array(rows), "part": pa.array(parts)}
    return pa.table([columns[name] for name in _PLAIN_SHOTS.names], schema=_PLAIN_SHOTS)


def _used_parts(
    parts: pa.Table, used: Bool[np.ndarray, " P"]
) -> tuple[pa.Table, Int[np.ndarray, " P"]]:
    """Return the used parts, each once and sorted by name, and the number of each given one."""
    names = one_chunk(parts["name"])
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
    kept = last_of_equals(videos, "video")
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
    found = pc.index_in(videos["duplicate_of"], value_set=one_chunk(videos["video"]))
    place = pc.coalesce(found, pa.array(np.arange(videos.num_rows, dtype=np.int32)))
    for name in ("status", "reason"):
        values = pc.if_else(is_copy, videos[name].take(place), videos[name])
        videos = videos.set_column(videos.schema.get_field_index(name), name, values)
    return videos.cast(VIDEOS_SCHEMA).combine_chunks()


def _sorted_shots(
    shots: dict[str, pa.ChunkedArray],
    rank: Int[np.ndarray, " N"],
    part_number: Int[np.ndarray, " P"],
    ids: pa.Array,
) -> pa.Table:
    """Return the shots of the kept videos: those with frames first, sorted by video and time.

    Each column is removed from `shots` when its copy is made.
    """
    codes = rank[values(shots.pop("video"))]
    is_empty = values(shots["num_frames"]) == 0
    order = _order(codes, values(shots["shot"]), is_empty)
    part = values(shots.pop("part"))[order]
    if len(part_number):
        part = part_number[np.minimum(part, len(part_number) - 1)].astype(np.int32)
    columns = {
        "video": pa.DictionaryArray.from_arrays(pa.array(codes[order]), ids),
        "part": pa.array(np.where(is_empty[order], np.int32(0), part).astype(np.int32)),
    }
    places = pa.array(order)
    for name in list(shots):
        columns[name] = shots.pop(name).take(places).combine_chunks()
    return pa.table([columns[name] for name in SHOTS_SCHEMA.names], schema=SHOTS_SCHEMA)


def _order(
    codes: Int[np.ndarray, " N"], shot: Int[np.ndarray, " N"], is_empty: Bool[np.ndarray, " N"]
) -> Int[np.ndarray, " K"]:
    """Return the rows of the kept videos, those with frames first, sorted by video and shot."""
    key = (is_empty.astype(np.int64) << 62) + (codes.astype(np.int64) << 21)
    key += shot
    order = np.argsort(key, kind="stable")
    kept: Int[np.ndarray, " K"] = order[codes[order] >= 0]
    return kept
