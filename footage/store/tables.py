"""The two tables of a frame store: their columns, and the check that they fit each other.

A table is compared with the hash in `store.json` before it is parsed. The later checks detect what
a hash cannot: a table that was written incorrectly.
"""

import math
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from footage.store.description import (
    SHOTS,
    VIDEOS,
    Description,
    FileEntry,
    Totals,
    damaged,
    verified_bytes,
)

FRAMES_PER_GROUP = 64
"""A longer shot continues in the next row groups, so that reading a few frames stays cheap."""
STATUSES = ("ok", "partial", "quarantined")

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
    ]
)
SHOTS_SCHEMA = pa.schema(
    [
        ("video", pa.string()),
        ("shot", pa.int32()),
        ("start_seconds", pa.float64()),
        ("end_seconds", pa.float64()),
        ("score", pa.float64()),
        ("num_frames", pa.int32()),
        ("part", pa.int32()),
        ("row_group", pa.int32()),
    ]
)
_ADDED = {"mirrored": False}
"""Columns that early stores lack, with the value that applies to those stores."""
_MAY_BE_NULL = {"declared_seconds"}
_MAY_BE_NEGATIVE = {"start_seconds", "end_seconds", "rotation"}


def read_tables(path: Path, description: Description) -> tuple[pa.Table, pa.Table]:
    """Read and check the tables of videos and of shots.

    Raises:
        StoreError: A table is missing, is not what was written, or contradicts the rest.
    """
    videos = _read(path, VIDEOS, description, VIDEOS_SCHEMA)
    shots = _read(path, SHOTS, description, SHOTS_SCHEMA)
    for problem in _contradictions(videos, shots, description):
        raise damaged(path, problem)
    return videos, shots


def _read(path: Path, name: str, description: Description, schema: pa.Schema) -> pa.Table:
    data = verified_bytes(path, name, description.files[name])
    num_rows = description.totals.seen if name == VIDEOS else description.totals.shots
    try:
        with pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True) as file:
            if file.metadata.num_rows != num_rows:
                raise ValueError(f"{file.metadata.num_rows} rows instead of {num_rows}")
            table = file.read().combine_chunks()
        table.validate(full=True)
    except (OSError, ValueError, MemoryError, pa.ArrowException) as error:
        raise damaged(path, f"{name} cannot be read: {error}") from error
    for column, value in _ADDED.items():
        if column in schema.names and column not in table.schema.names:
            place = schema.get_field_index(column)
            table = table.add_column(place, column, [pa.repeat(value, table.num_rows)])
    if not table.schema.equals(schema):
        raise damaged(path, f"{name} does not have the columns of this version")
    for column in schema.names:
        if problem := _bad_values(table[column], column):
            raise damaged(path, f"column {column!r} of {name} contains {problem}")
    return table


def _bad_values(values: pa.ChunkedArray, column: str) -> str:
    """Return the invalid content of a column; empty if it is valid."""
    if values.null_count and column not in _MAY_BE_NULL:
        return "missing values"
    if pa.types.is_floating(values.type) and not _all(pc.is_finite(values)):
        return "values that are not finite"
    has_sign = pa.types.is_integer(values.type) or pa.types.is_floating(values.type)
    if has_sign and column not in _MAY_BE_NEGATIVE and not _all(pc.greater_equal(values, 0)):
        return "negative numbers"
    return ""


def _all(values: pa.ChunkedArray) -> bool:
    return bool(pc.all(values, min_count=0).as_py())


def _contradictions(videos: pa.Table, shots: pa.Table, description: Description) -> Iterator[str]:
    names = videos["video"]
    if not _all(pc.less(names[:-1], names[1:])):
        yield f"{VIDEOS} is not sorted by video, or lists one twice"
    if not _all(pc.is_in(videos["status"], pa.array(STATUSES))):
        yield f"{VIDEOS} contains an unknown status"
    yield from _bad_numbering(videos, shots)
    yield from _bad_places(shots, description)
    if not _same(totals(videos, description.files), description.totals):
        yield "the totals in store.json are not those of its tables"


def _bad_numbering(videos: pa.Table, shots: pa.Table) -> Iterator[str]:
    """Check that shots are sorted by video, numbered from 0, and match the table of videos."""
    groups = shots.group_by("video", use_threads=False).aggregate(
        [("shot", "count"), ("num_frames", "sum")]
    )
    groups = groups.sort_by("video")  # groups are unordered
    listed = videos.filter(pc.greater(videos["num_shots"], 0))
    expected = {"video": "video", "num_shots": "shot_count", "num_frames": "num_frames_sum"}
    for ours, theirs in expected.items():
        if not listed[ours].cast(groups[theirs].type).equals(groups[theirs]):
            yield f"{SHOTS} and {VIDEOS} do not list the same shots and frames"
            return
    counts = groups["shot_count"].to_numpy()
    numbers = np.arange(shots.num_rows) - np.repeat(np.cumsum(counts) - counts, counts)
    group = pa.array(np.repeat(np.arange(len(counts)), counts))
    is_sorted = shots["video"].equals(groups["video"].take(group))
    if not is_sorted or not np.array_equal(shots["shot"].to_numpy(), numbers):
        yield f"{SHOTS} is not sorted by video and shot"


def _bad_places(shots: pa.Table, description: Description) -> Iterator[str]:
    """Check that each shot has its own row groups, in a part that exists."""
    kept = shots.filter(pc.greater(shots["num_frames"], 0))
    part, first, length = (
        kept[name].to_numpy().astype(np.int64) for name in ("part", "row_group", "num_frames")
    )
    if not np.isin(part, description.parts()).all():
        yield f"{SHOTS} names a part that does not exist"
    end = first + -(-length // FRAMES_PER_GROUP)
    order = np.lexsort((first, part))
    same_part = part[order][1:] == part[order][:-1]
    if (same_part & (first[order][1:] < end[order][:-1])).any():
        yield f"{SHOTS} gives two shots the same frames"


def totals(videos: pa.Table, entries: dict[str, FileEntry]) -> Totals:
    """Compute the accounting of videos and files: ok + partial + quarantined = seen."""
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
    return Totals(
        seen=videos.num_rows,
        **{status: statuses.get(status, 0) for status in STATUSES},
        **sums,
        seconds=math.fsum(videos["decoded_seconds"].to_numpy()),
        store_bytes=sum(entry.num_bytes for entry in entries.values()),
    )


def group_lengths(num_frames: int) -> list[int]:
    """Return the number of frames in each row group of a shot."""
    starts = range(0, num_frames, FRAMES_PER_GROUP)
    return [min(FRAMES_PER_GROUP, num_frames - start) for start in starts]


def _same(found: Totals, expected: Totals) -> bool:
    """Return whether the totals agree; earlier versions summed seconds in another order."""
    plain = msgspec.structs.replace(found, seconds=expected.seconds)
    return plain == expected and math.isclose(found.seconds, expected.seconds, rel_tol=1e-9)
