"""Sources as Arrow columns, so that millions of them need no Python object each."""

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, overload

import numpy as np
import pyarrow as pa
from jaxtyping import Int

from footage.store.columns import column, one_chunk

_ROWS = 2**14
"""Number of sources that are Python objects at a time."""


class Source(NamedTuple):
    """One file to work on.

    `name` is unique in a run and the same on every machine: the path relative to the given
    folder. `url` is empty for a local file; otherwise `location` lies in its file system.
    Both may carry passwords or signatures; `name` never does. `stamp` changes when the content
    does: size and modification time, or the etag of an object store. It is empty if nothing
    identifies the content, as with some web servers.
    """

    name: str
    location: str
    url: str
    num_bytes: int
    stamp: str = ""


SCHEMA = pa.schema(
    [
        ("name", pa.large_string()),
        ("location", pa.large_binary()),  # names of files need not be UTF-8
        ("url", pa.large_string()),
        ("num_bytes", pa.int64()),
        ("stamp", pa.large_string()),
    ]
)


class SourceTable(Sequence[Source]):
    """A sequence of sources, each of which is made when it is read.

    Args:
        table: Columns as in `SCHEMA`.
    """

    def __init__(self, table: pa.Table) -> None:
        self.table = table.combine_chunks()

    @classmethod
    def of(cls, sources: Iterable[Source]) -> "SourceTable":
        """Return a table of sources, in their order."""
        return cls(pa.Table.from_batches(record_batches(sources), SCHEMA))

    @property
    def names(self) -> pa.Array:
        """The column `name`."""
        return one_chunk(self.table["name"])

    @property
    def num_bytes(self) -> Int[np.ndarray, " N"]:
        """The column `num_bytes`."""
        return column(self.table, "num_bytes")

    @property
    def total_bytes(self) -> int:
        """Size of all sources."""
        return int(self.num_bytes.sum())

    def take(self, rows: Int[np.ndarray, " K"]) -> "SourceTable":
        """Return some of the sources."""
        return SourceTable(self.table.take(pa.array(rows)))

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @overload
    def __getitem__(self, place: int) -> Source: ...

    @overload
    def __getitem__(self, place: slice) -> "SourceTable": ...

    def __getitem__(self, place: int | slice) -> "Source | SourceTable":
        if isinstance(place, slice):
            return self.take(np.arange(len(self))[place])
        (source,) = _sources(self.table.slice(range(len(self))[place], 1))
        return source

    def __iter__(self) -> Iterator[Source]:
        for first in range(0, len(self), _ROWS):
            yield from _sources(self.table.slice(first, _ROWS))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SourceTable) and bool(self.table.equals(other.table))

    __hash__ = None  # type: ignore[assignment]


def record_batches(sources: Iterable[Source]) -> Iterator[pa.RecordBatch]:
    """Yield the columns of sources, so that few of them are Python objects at the same time."""
    waiting: list[Source] = []
    for source in sources:
        waiting.append(source)
        if len(waiting) == _ROWS:
            yield _batch(waiting)
            waiting.clear()
    if waiting:
        yield _batch(waiting)


def _batch(sources: Sequence[Source]) -> pa.RecordBatch:
    columns: dict[str, Sequence[object]] = dict(
        zip(Source._fields, zip(*sources, strict=True), strict=True)
    )
    columns["location"] = [os.fsencode(source.location) for source in sources]
    arrays = [pa.array(columns[field.name], field.type) for field in SCHEMA]
    return pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)


def _sources(table: pa.Table) -> Iterator[Source]:
    columns = {name: table[name].to_pylist() for name in SCHEMA.names}
    columns["location"] = [os.fsdecode(location) for location in columns["location"]]
    return map(Source, *(columns[name] for name in Source._fields))
