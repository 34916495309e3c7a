"""Turn listings of several paths into one table of sources: each file once, with a unique name."""

import os

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Int

from footage.ingestion.source_table import SCHEMA, SourceTable
from footage.io.walk import text
from footage.store.columns import one_chunk
from footage.text import redacted

_ROOT = "root"


def with_root(batch: pa.RecordBatch, number: int) -> pa.RecordBatch:
    """Add the number of the path below which the sources of a batch were found."""
    return batch.append_column(_ROOT, pa.repeat(pa.scalar(number, pa.int32()), batch.num_rows))


def sorted_sources(table: pa.Table) -> SourceTable:
    """Return each file once, with a unique name, sorted by name.

    A file that several paths lead to belongs to the first of them. Equal names below different
    paths are replaced by full paths, except for the first one.

    Args:
        table: Columns as in `SCHEMA`, and the number of the path; see `with_root`.
    """
    if pc.count_distinct(table[_ROOT]).as_py() > 1:
        table = table.take(pa.array(_first_rows(table, ["url", "location"])))
    if pc.count_distinct(table["name"]).as_py() < table.num_rows:
        table = _with_unique_names(table)
    keys = [(name, "ascending") for name in ("name", "location", "url")]
    order = pc.sort_indices(table, sort_keys=keys)
    return SourceTable(table.select(SCHEMA.names).take(order))


def _first_rows(table: pa.Table, names: list[str]) -> Int[np.ndarray, " K"]:
    """Return the first row of each combination of values, in order."""
    rows = table.select(names).append_column("row", pa.array(np.arange(table.num_rows)))
    firsts = rows.group_by(names).aggregate([("row", "min")])["row_min"]
    found: Int[np.ndarray, " K"] = np.sort(firsts.to_numpy())
    return found


def _with_unique_names(table: pa.Table) -> pa.Table:
    """Replace every name that an earlier source has, in order of their paths and locations."""
    order = pc.sort_indices(table, sort_keys=[(_ROOT, "ascending"), ("location", "ascending")])
    table = table.take(order).combine_chunks()
    names = one_chunk(table["name"])
    replaced = np.ones(table.num_rows, dtype=bool)
    replaced[_first_rows(table, ["name"])] = False
    while True:
        rows = np.flatnonzero(replaced)
        locations = table["location"].take(pa.array(rows)).to_pylist()
        full = pa.array(map(_full_name, locations), names.type)
        clashes = _clashes(names, full, rows) & ~replaced
        if not clashes.any():
            renamed = pc.replace_with_mask(names, pa.array(replaced), full)
            return table.set_column(table.column_names.index("name"), "name", renamed)
        replaced |= clashes


def _full_name(location: bytes) -> str:
    return text(redacted(os.fsdecode(location).lstrip("/")))


def _clashes(
    names: pa.Array, full: pa.Array, rows: Int[np.ndarray, " K"]
) -> Bool[np.ndarray, " N"]:
    """Which names are the full name that an earlier row was given."""
    place = pc.fill_null(pc.index_in(names, value_set=full), -1).to_numpy()
    found: Bool[np.ndarray, " N"] = (place >= 0) & (rows[place] < np.arange(len(names)))
    return found
