"""Columns of Arrow tables as arrays."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int, Shaped


def one_chunk(values: pa.ChunkedArray) -> pa.Array:
    """Return a column as one array, without copying it if it is one already."""
    return values.chunk(0) if values.num_chunks == 1 else values.combine_chunks()


def column(table: pa.Table, name: str) -> Shaped[np.ndarray, " N"]:
    """Return a numeric column without copying it; of a dictionary column, its codes."""
    return values(table[name])


def values(chunked: pa.ChunkedArray) -> Shaped[np.ndarray, " N"]:
    """Return numeric values without copying those of one chunk; of a dictionary, its codes."""
    chunk = one_chunk(chunked)
    if isinstance(chunk, pa.DictionaryArray):
        chunk = chunk.indices
    array: np.ndarray = chunk.to_numpy(zero_copy_only=False)
    return array


def last_of_equals(table: pa.Table, name: str) -> Int[np.ndarray, " N"]:
    """Return the rows sorted by a column; of several with the same value, only the last one."""
    # sort_indices is stable, so rows with the same value keep their order.
    indices = pc.sort_indices(table, sort_keys=[(name, "ascending")])
    order: np.ndarray = indices.to_numpy().astype(np.int64)
    found = table[name].take(pa.array(order)).combine_chunks()
    is_last = np.ones(len(order), dtype=bool)
    if len(order) > 1:
        is_last[:-1] = pc.not_equal(found[:-1], found[1:]).to_numpy(zero_copy_only=False)
    return order[is_last]
