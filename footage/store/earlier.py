"""Read the tables of stores of versions 1 and 2, which were Parquet files."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from footage.store.columns import one_chunk
from footage.store.description import EARLIER_TABLES, Description, damaged, verified_bytes
from footage.store.parts import PartList

_ADDED = {"mirrored": False, "duplicate_of": ""}
"""Columns that earlier tables lack, with the value that applies to them."""


def read_earlier_tables(
    path: Path, description: Description, videos_schema: pa.Schema, shots_schema: pa.Schema
) -> tuple[pa.Table, pa.Table, PartList]:
    """Read the tables of videos and shots, with the columns and the order of this version.

    Raises:
        StoreError: A table is missing, is not what was written, or contradicts the rest.
    """
    videos = _read(path, EARLIER_TABLES[0], description, videos_schema)
    plain = shots_schema.set(0, pa.field("video", pa.string()))
    shots = _read(path, EARLIER_TABLES[1], description, plain)
    parts = PartList.of({n: e for n, e in description.files.items() if n.startswith("frames/")})
    numbers = {number_of(name): place for place, name in enumerate(parts.names())}
    kept = shots["num_frames"].to_numpy() > 0
    number = shots["part"].to_numpy()
    known = np.isin(number, list(numbers))
    if not known[kept].all():
        raise damaged(path, f"{EARLIER_TABLES[1]} names a part that does not exist")
    place = np.array([numbers.get(one, 0) for one in number.tolist()], dtype=np.int32)
    shots = shots.set_column(6, shots_schema.field("part"), pa.array(place))
    ids = one_chunk(videos["video"])
    codes = one_chunk(pc.index_in(shots["video"], value_set=ids))
    if codes.null_count:
        raise damaged(path, "the tables of shots and of videos do not list the same shots")
    coded = pa.DictionaryArray.from_arrays(codes.cast(pa.int32()), ids)
    shots = shots.set_column(0, shots_schema.field("video"), coded)
    first = np.concatenate([np.flatnonzero(kept), np.flatnonzero(~kept)])
    return videos, shots.take(pa.array(first)).combine_chunks(), parts


def number_of(name: str) -> int:
    """Return the number of a part of an earlier store by its name."""
    return int(name.removeprefix("frames/part-").removesuffix(".parquet"))


def _read(path: Path, name: str, description: Description, schema: pa.Schema) -> pa.Table:
    data = verified_bytes(path, name, description.files[name])
    totals = description.totals
    num_rows = totals.seen if name == EARLIER_TABLES[0] else totals.shots
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
    return table
