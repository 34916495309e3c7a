"""One Parquet file."""

import contextlib
import itertools
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from footage.embedding.formats.base import (
    BATCH_ROWS,
    INPUT,
    STAMP,
    Contents,
    Format,
    batches_of,
    grouped,
)
from footage.errors import ConfigError
from footage.io import files


class Parquet(Format):
    """Features and rows in one file, which is replaced as a whole."""

    suffix = ".parquet"

    @property
    def copied_bytes(self) -> int:
        """An append rewrites the file."""
        return self.path.stat().st_size

    def contents(self) -> Contents:
        """Read inputs and metadata of the file."""
        return read(self.path)

    def write(self, groups: Iterator[pa.Table], schema: pa.Schema, *, append: bool) -> None:
        """Write the file under a temporary name, and move it into place."""
        with files.atomic_write(self.path) as temporary, contextlib.ExitStack() as stack:
            writer = stack.enter_context(new_file(temporary, schema))
            if append:
                old = stack.enter_context(pq.ParquetFile(self.path))
                rows = old.iter_batches(batch_size=BATCH_ROWS)
                groups = grouped(itertools.chain(rows, batches_of(groups)), schema)
            for group in groups:
                writer.write_table(group)

    def usage(self) -> str:
        """An Arrow table."""
        return f"import pyarrow.parquet as pq; print(pq.read_table({str(self.path)!r}))"


def new_file(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    """Open a new file whose pages have checksums."""
    return pq.ParquetWriter(path, schema, compression="zstd", write_page_checksum=True)


def read(path: Path) -> Contents:
    """Read inputs and metadata of a Parquet file.

    Raises:
        ConfigError: It cannot be read.
    """
    try:
        with pq.ParquetFile(path) as file:
            stamps: dict[str, str] = {}
            if {INPUT, STAMP} <= set(file.schema_arrow.names):
                for batch in file.iter_batches(columns=[INPUT, STAMP]):
                    columns = (batch[INPUT].to_pylist(), batch[STAMP].to_pylist())
                    stamps.update(zip(*columns, strict=True))
            return Contents(dict(file.schema_arrow.metadata or {}), stamps)
    except (OSError, pa.ArrowException) as error:
        raise ConfigError(
            f"{str(path)!r} cannot be read as a Parquet file: {error}",
            "choose another --out, or add --overwrite to replace it",
        ) from error
