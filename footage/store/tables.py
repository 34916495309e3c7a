"""The tables of a frame store: their columns, their files, and the check that they fit together.

A table is an Arrow IPC file with one record batch, so it is memory-mapped: opening it copies
nothing, and the processes of a machine share its pages. Its bytes are compared with the hash in
`store.json`. The later checks detect what a hash cannot: a table that was written incorrectly.

In `shots.arrow` the shots with frames come first, sorted by video and time, then those without.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from footage.io import files
from footage.store import parts as part_lists
from footage.store.columns import column
from footage.store.description import (
    PARTS,
    SHOTS,
    VIDEOS,
    Description,
    FileEntry,
    Totals,
    damaged,
    verify_file,
)
from footage.store.earlier import read_earlier_tables
from footage.store.parts import PartList

FRAMES_PER_GROUP = 64
"""A longer shot continues in the next row groups, so that reading a few frames stays cheap."""
STATUSES = ("ok", "partial", "quarantined")
_ROWS = 2**20
"""Number of rows that are checked at a time, which bounds the memory for it."""

VIDEOS_SCHEMA = pa.schema(
    [
        ("video", pa.string()),
        ("path", pa.string()),
        ("content_hash", pa.string()),
        ("num_bytes", pa.int64()),
        ("container", pa.string()),
        ("codec", pa.string()),
        ("pixel_format", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("fps", pa.float64()),
        ("declared_seconds", pa.float64()),
        ("decoded_seconds", pa.float64()),
        ("decoded_frames", pa.int64()),
        ("decode_errors", pa.int32()),
        ("rotation", pa.int32()),
        ("mirrored", pa.bool_()),
        ("num_shots", pa.int32()),
        ("num_frames", pa.int32()),
        ("black_frames", pa.int32()),
        ("static_frames", pa.int32()),
        ("status", pa.string()),
        ("reason", pa.string()),
        ("duplicate_of", pa.string()),
    ]
)
SHOTS_SCHEMA = pa.schema(
    [
        ("video", pa.dictionary(pa.int32(), pa.string())),
        ("shot", pa.int32()),
        ("start_seconds", pa.float64()),
        ("end_seconds", pa.float64()),
        ("score", pa.float64()),
        ("num_frames", pa.int32()),
        ("part", pa.int32()),
        ("row_group", pa.int32()),
    ]
)
_MAY_BE_NULL = {"declared_seconds", "footer_crc32"}
_MAY_BE_NEGATIVE = {"start_seconds", "end_seconds", "rotation"}


class Tables(NamedTuple):
    """The tables of one manifest."""

    videos: pa.Table
    """One row per input file, sorted by id."""
    shots: pa.Table
    """One row per shot; `video` is a dictionary with the ids in `videos`."""
    parts: PartList


# --- files ---------------------------------------------------------------------------------------


def write_table(path: Path, table: pa.Table) -> None:
    """Write a table as an Arrow file of one record batch, and force it to disk.

    Raises:
        OutputError: The file cannot be written.
    """
    batches = table.combine_chunks().to_batches()
    with files.output_errors(path), pa.ipc.new_file(path, table.schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
    with files.output_errors(path):
        files.sync(path)


def map_table(path: Path, schema: pa.Schema) -> pa.Table:
    """Memory-map a table that `write_table` wrote.

    Raises:
        ValueError: The file has other columns or more than one record batch.
        OSError: It cannot be read.
    """
    reader = pa.ipc.open_file(pa.memory_map(str(path)))
    if not reader.schema.equals(schema):
        raise ValueError("it does not have the columns of this version")
    if reader.num_record_batches > 1:
        raise ValueError("it has more than one record batch")
    return reader.read_all()


def read_tables(path: Path, description: Description, *, folder: Path | None = None) -> Tables:
    """Read and check the tables of a manifest.

    Args:
        path: The store folder.
        description: The description of the manifest.
        folder: Folder of the tables, if it is not that of the manifest.

    Raises:
        StoreError: A table is missing, is not what was written, or contradicts the rest.
    """
    folder = folder or description.folder(path)
    if description.schema_version < 3:
        tables = Tables(*read_earlier_tables(folder, description, VIDEOS_SCHEMA, SHOTS_SCHEMA))
    else:
        for name in description.tables:
            verify_file(folder, name, description.files[name])
        tables = map_tables(path, description, folder=folder)
    for name, table in _by_name(tables).items():
        try:
            table.validate(full=True)
        except (ValueError, pa.ArrowException) as error:
            raise damaged(path, f"{name} cannot be read: {error}") from error
        for one in table.column_names:
            if problem := _bad_values(table[one], one):
                raise damaged(path, f"column {one!r} of {name} contains {problem}")
    for problem in _contradictions(tables, description):
        raise damaged(path, problem)
    return tables


def map_tables(path: Path, description: Description, *, folder: Path | None = None) -> Tables:
    """Memory-map the tables of a manifest of version 3 without checking their content.

    Args:
        path: The store folder.
        description: The description of the manifest.
        folder: Folder of the tables, if it is not that of the manifest.

    Raises:
        StoreError: A table is missing or is not an Arrow file with the right columns.
    """
    folder = folder or description.folder(path)
    found = []
    totals = description.totals
    for name, schema, rows in (
        (VIDEOS, VIDEOS_SCHEMA, totals.seen),
        (SHOTS, SHOTS_SCHEMA, totals.shots),
        (PARTS, part_lists.SCHEMA, None),
    ):
        try:
            table = map_table(folder / name, schema)
            if rows not in (None, table.num_rows):
                raise ValueError(f"{table.num_rows} rows instead of {rows}")
        except (OSError, ValueError, MemoryError, pa.ArrowException) as error:
            raise damaged(path, f"{name} cannot be read: {error}") from error
        found.append(table)
    videos, shots, parts = found
    return Tables(videos, shots, PartList(parts))


def _by_name(tables: Tables) -> dict[str, pa.Table]:
    return {VIDEOS: tables.videos, SHOTS: tables.shots, PARTS: tables.parts.table}


# --- checks --------------------------------------------------------------------------------------


def _bad_values(values: pa.ChunkedArray, name: str) -> str:
    """Return the invalid content of a column; empty if it is valid."""
    if values.null_count and name not in _MAY_BE_NULL:
        return "missing values"
    if pa.types.is_floating(values.type) and not _all(pc.is_finite(values)):
        return "values that are not finite"
    has_sign = pa.types.is_integer(values.type) or pa.types.is_floating(values.type)
    if has_sign and name not in _MAY_BE_NEGATIVE and not _all(pc.greater_equal(values, 0)):
        return "negative numbers"
    return ""


def _all(values: pa.ChunkedArray) -> bool:
    return bool(pc.all(values, min_count=0).as_py())


def _contradictions(tables: Tables, description: Description) -> Iterator[str]:
    videos, shots, parts = tables
    names = videos["video"]
    if not _all(pc.less(names[:-1], names[1:])):
        yield "the table of videos is not sorted by video, or lists one twice"
    if not _all(pc.is_in(videos["status"], pa.array(STATUSES))):
        yield "the table of videos contains an unknown status"
    if problem := parts.problem():
        yield problem
    if not _has_dictionary(shots, names):
        yield "the table of shots names other videos than the table of videos"
        return
    yield from _bad_numbering(videos, shots)
    yield from _bad_places(shots, parts)
    if not _same(totals(tables, description.files), description.totals):
        yield "the totals in store.json are not those of its tables"


def _has_dictionary(shots: pa.Table, names: pa.ChunkedArray) -> bool:
    """Whether the dictionary of the shots is the column of ids of the videos."""
    return all(
        pa.chunked_array([chunk.dictionary], pa.string()).equals(names)
        for chunk in shots["video"].chunks
    )


def _bad_numbering(videos: pa.Table, shots: pa.Table) -> Iterator[str]:
    """Check that shots are sorted and numbered from 0, and match the table of videos."""
    num_shots = column(videos, "num_shots").astype(np.int64)
    total = int(num_shots.sum())
    mismatch = "the tables of shots and of videos do not list the same shots and frames"
    if total != shots.num_rows:
        yield mismatch
        return
    codes, numbers = column(shots, "video"), column(shots, "shot")
    frames = column(shots, "num_frames")
    first = np.cumsum(num_shots) - num_shots
    seen = np.zeros(total, dtype=bool)
    sums = np.zeros(len(num_shots), dtype=np.int64)
    last = -1
    for start in range(0, total, _ROWS):
        rows = slice(start, start + _ROWS)
        code = codes[rows].astype(np.int64)
        if (numbers[rows] >= num_shots[code]).any():
            yield mismatch
            return
        place = first[code] + numbers[rows]
        seen[place] = True
        sums += np.bincount(code, frames[rows], len(num_shots)).astype(np.int64)
        # Shots without frames come last, so (is empty, place) rises.
        rank = (frames[rows] == 0) * np.int64(total) + place
        if rank[0] <= last or (np.diff(rank) <= 0).any():
            yield "the table of shots is not sorted by video and shot"
            return
        last = int(rank[-1])
    if not seen.all() or not np.array_equal(sums, column(videos, "num_frames")):
        yield mismatch


def _bad_places(shots: pa.Table, parts: PartList) -> Iterator[str]:
    """Check that each shot has its own row groups, in a part that exists."""
    kept = num_kept(shots)
    part, first, length = (
        column(shots, name)[:kept] for name in ("part", "row_group", "num_frames")
    )
    if kept and int(part.max()) >= len(parts):
        yield "the table of shots names a part that does not exist"
        return
    order = np.argsort((part.astype(np.int64) << 32) + first)
    for start in range(0, kept, _ROWS):
        rows = order[start : start + _ROWS + 1]
        end = first[rows].astype(np.int64) + -(-length[rows] // FRAMES_PER_GROUP)
        same_part = part[rows][1:] == part[rows][:-1]
        if (same_part & (first[rows][1:] < end[:-1])).any():
            yield "the table of shots gives two shots the same frames"
            return


def num_kept(shots: pa.Table) -> int:
    """Number of shots with frames, which come first."""
    return int(np.count_nonzero(column(shots, "num_frames")))


def totals(tables: Tables, entries: dict[str, FileEntry]) -> Totals:
    """Compute the accounting of videos and files: ok + partial + quarantined = seen."""
    videos = tables.videos
    counted = pc.value_counts(videos["status"])
    statuses = {one["values"].as_py(): one["counts"].as_py() for one in counted}
    columns = {
        "shots": "num_shots",
        "frames": "num_frames",
        "black_frames": "black_frames",
        "static_frames": "static_frames",
        "source_bytes": "num_bytes",
    }
    sums = {
        name: int(pc.sum(videos[column].cast(pa.int64()), min_count=0).as_py())
        for name, column in columns.items()
    }
    of_tables = sum(entry.num_bytes for name, entry in entries.items() if "part-" not in name)
    return Totals(
        seen=videos.num_rows,
        **{status: statuses.get(status, 0) for status in STATUSES},
        **sums,
        seconds=math.fsum(column(videos, "decoded_seconds")),
        store_bytes=of_tables + tables.parts.num_bytes,
    )


def group_lengths(num_frames: int) -> list[int]:
    """Return the number of frames in each row group of a shot."""
    starts = range(0, num_frames, FRAMES_PER_GROUP)
    return [min(FRAMES_PER_GROUP, num_frames - start) for start in starts]


def _same(found: Totals, expected: Totals) -> bool:
    """Return whether the totals agree; earlier versions summed seconds in another order."""
    plain = msgspec.structs.replace(found, seconds=expected.seconds)
    return plain == expected and math.isclose(found.seconds, expected.seconds, rel_tol=1e-9)
