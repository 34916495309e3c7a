"""The videos that are stored or recorded already, joined with the sources of an ingest.

Both are Arrow tables with a row per video or source; a row is never a Python object.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Int

from footage.ingestion.source_table import SourceTable
from footage.store.columns import column, one_chunk, values

SCHEMA = pa.schema(
    [
        ("name", pa.large_string()),
        ("video", pa.large_string()),
        ("num_bytes", pa.int64()),
        ("content_hash", pa.string()),
        ("stamp", pa.large_string()),
    ]
)
"""Name of the source, id of the video, and the stamp of the source at that time if it is known."""

_MOST_TABLES = 500


def known_videos(videos: pa.Table, stamps: pa.Table, *, retry_quarantined: bool) -> pa.Table:
    """Return the videos that need not be ingested again while their sources are unchanged.

    Args:
        videos: Rows of `videos.arrow`. Files that could not be read are left out.
        stamps: Stamps of the sources, with the columns `name`, `stamp` and `video`.
        retry_quarantined: Whether to leave quarantined videos out, as after a change of limits.
    """
    keep = pc.not_equal(videos["content_hash"], "")
    if retry_quarantined:
        keep = pc.and_(keep, pc.not_equal(videos["status"], "quarantined"))
    kept = videos.select(["video", "num_bytes", "content_hash"]).filter(keep)
    place = pc.index_in(kept["video"], value_set=one_chunk(stamps["video"]))
    found = {
        "name": pc.replace_substring_regex(kept["video"], "#[^#]*$", ""),
        "stamp": pc.fill_null(stamps["stamp"].take(place), ""),
    }
    columns = {name: kept[name] for name in kept.column_names} | found
    return pa.table({name: columns[name] for name in SCHEMA.names}).cast(SCHEMA)


def joined(tables: Iterable[pa.Table]) -> pa.Table:
    """Return the rows of many small tables; a few are joined at a time, to free their buffers."""
    waiting = [SCHEMA.empty_table()]
    for table in tables:
        waiting.append(table)
        if len(waiting) > _MOST_TABLES:
            waiting = [pa.concat_tables(waiting).combine_chunks()]
    return pa.concat_tables(waiting).combine_chunks()


class Unchanged(NamedTuple):
    """The sources whose videos are known."""

    is_unchanged: Bool[np.ndarray, " N"]
    """Per source."""
    videos: pa.Array
    """Ids of their videos."""


class Matches:
    """The known videos of each source.

    A source contains a known video if their stamps are equal. A remote file without a stamp is
    recognised by its size; a local one has to be hashed.

    Args:
        sources: The sources.
        stored: Videos in the store, as in `SCHEMA`.
        finished: Videos of finished units, as in `SCHEMA`.
    """

    def __init__(self, sources: SourceTable, stored: pa.Table, finished: pa.Table) -> None:
        known = pa.concat_tables([stored, finished]).combine_chunks()
        place = pc.fill_null(pc.index_in(known["name"], value_set=sources.names), -1)
        source = values(place)
        rows = np.flatnonzero(source >= 0)
        order = rows[np.argsort(source[rows], kind="stable")]
        self._num_sources = len(sources)
        self._source = source[order]
        """The source of each match, ascending."""
        self._videos = known["video"].take(pa.array(order)).combine_chunks()
        self._is_stored = order < stored.num_rows
        self._is_same = _is_same(sources, self._source, known, order)

    def stored(self) -> Unchanged:
        """Return the sources that still contain a video of the store."""
        return self._unchanged(self._is_same & self._is_stored)

    def finished(self) -> Unchanged:
        """Return the other sources that still contain a video of a finished unit."""
        is_old = self.stored().is_unchanged[self._source]
        return self._unchanged(self._is_same & ~self._is_stored & ~is_old)

    def _unchanged(self, chosen: Bool[np.ndarray, " M"]) -> Unchanged:
        is_unchanged = np.zeros(self._num_sources, dtype=bool)
        is_unchanged[self._source[chosen]] = True
        matches = np.flatnonzero(chosen)
        _, first = np.unique(self._source[matches], return_index=True)
        return Unchanged(is_unchanged, self._videos.take(pa.array(matches[first])))

    def has_any(self, rows: Int[np.ndarray, " K"]) -> Bool[np.ndarray, " K"]:
        """Which of some sources have known videos."""
        ends = np.searchsorted(self._source, rows, side="right")
        found: Bool[np.ndarray, " K"] = ends > np.searchsorted(self._source, rows)
        return found

    def ids(self, rows: Int[np.ndarray, " K"]) -> list[tuple[str, ...]]:
        """Return the ids of all known videos of some sources: first those of the store."""
        firsts = np.searchsorted(self._source, rows).tolist()
        ends = np.searchsorted(self._source, rows, side="right").tolist()
        return [
            tuple(self._videos.slice(first, end - first).to_pylist()) if end > first else ()
            for first, end in zip(firsts, ends, strict=True)
        ]


def _is_same(
    sources: SourceTable,
    source: Int[np.ndarray, " M"],
    known: pa.Table,
    rows: Int[np.ndarray, " M"],
) -> Bool[np.ndarray, " M"]:
    """Which sources contain the known video that they were matched with."""
    ours, theirs = pa.array(source), pa.array(rows)
    stamp, known_stamp = sources.table["stamp"].take(ours), known["stamp"].take(theirs)
    has_stamps = pc.and_(pc.not_equal(stamp, ""), pc.not_equal(known_stamp, ""))
    is_remote = pc.not_equal(sources.table["url"].take(ours), "")
    is_equal = sources.num_bytes[source] == column(known, "num_bytes")[rows]
    by_size = pc.and_(is_remote, pa.array(is_equal))
    return values(pc.if_else(has_stamps, pc.equal(stamp, known_stamp), by_size))
