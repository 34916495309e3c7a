"""Formats of a table of features, chosen by the suffix of the output."""

from pathlib import Path
from typing import Final

from footage.embedding.formats.array import Array
from footage.embedding.formats.base import Contents as Contents
from footage.embedding.formats.base import Format as Format
from footage.embedding.formats.lance import Lance
from footage.embedding.formats.parquet import Parquet
from footage.errors import ConfigError

FORMATS: Final[tuple[type[Format], ...]] = (Parquet, Array, Lance)


def format_of(path: Path) -> Format:
    """Return the format for the suffix of an output.

    Raises:
        ConfigError: The suffix is not supported.
    """
    for kind in FORMATS:
        if path.suffix.lower() == kind.suffix:
            return kind(path)
    raise ConfigError(
        f"--out must end in .parquet, .npy or .lance, but is {path.name!r}",
        f"use {path.with_suffix(Parquet.suffix).name}; DuckDB, Polars and pandas read it",
    )
