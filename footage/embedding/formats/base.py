"""The interface of a file format for tables of features."""

import abc
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import ClassVar, Final, NamedTuple

import pyarrow as pa

from footage.embedding.config import EmbedConfig

GROUP_BYTES: Final = 32 * 2**20
"""Rows are written when they reach this size, so that memory does not grow with the inputs."""
BATCH_ROWS: Final = 64
"""Number of rows that are read at once from an existing table."""

INPUT, STAMP, EMBEDDING = "input", "stamp", "embedding"
"""Names of the columns that formats use."""


class Contents(NamedTuple):
    """What an existing table contains."""

    metadata: dict[bytes, bytes]
    """Metadata of the table."""
    stamps: dict[str, str]
    """Each input, and its size and modification time when it was read."""


class Format(abc.ABC):
    """A table of features in one file format.

    Args:
        path: The output path that the user gave.
    """

    suffix: ClassVar[str]
    """Suffix of the output, which selects the format."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def check(self, config: EmbedConfig) -> None:  # noqa: B027 (most formats need no check)
        """Check that this format can be written with these settings.

        Raises:
            ConfigError: A package is missing, or the format does not support a setting.
        """

    def exists(self) -> bool:
        """Whether there is something at the path that must not be replaced silently."""
        return self.path.exists()

    @property
    def copied_bytes(self) -> int:
        """Number of bytes that an append rewrites."""
        return 0

    @abc.abstractmethod
    def contents(self) -> Contents:
        """Read what an existing table contains, without its features.

        Raises:
            ConfigError: It is not a table in this format.
        """

    @abc.abstractmethod
    def write(self, groups: Iterator[pa.Table], schema: pa.Schema, *, append: bool) -> None:
        """Write a table, or append to an existing one; a kill leaves the old table or the new one.

        Args:
            groups: Rows, in order.
            schema: Columns and metadata.
            append: Whether to keep the rows of the existing table, before the new ones.

        Raises:
            ConfigError: The path contains something else.
            OutputError: It cannot be written.
        """

    @abc.abstractmethod
    def usage(self) -> str:
        """Python code that opens the table."""


def grouped(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.Table]:
    """Yield rows in groups of about the same size."""
    waiting: list[pa.RecordBatch] = []
    num_bytes = 0
    for batch in batches:
        waiting.append(batch)
        num_bytes += batch.nbytes
        if num_bytes > GROUP_BYTES:
            yield _table(waiting, schema)
            waiting, num_bytes = [], 0
    if waiting:
        yield _table(waiting, schema)


def _table(batches: list[pa.RecordBatch], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_batches(batches).cast(schema).combine_chunks()


def batches_of(tables: Iterable[pa.Table]) -> Iterator[pa.RecordBatch]:
    """Yield the batches of tables."""
    for table in tables:
        yield from table.to_batches()
