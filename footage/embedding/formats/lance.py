"""A Lance data set, whose vectors LanceDB can index.

Lance publishes every change with a single manifest, so a kill leaves the old or the new version.
"""

import datetime
import importlib
import importlib.util
import warnings
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from footage.embedding.config import EmbedConfig
from footage.embedding.formats.base import INPUT, STAMP, Contents, Format, batches_of
from footage.errors import ConfigError
from footage.io import files


class Lance(Format):
    """Features and rows in a folder; appending does not copy existing rows."""

    suffix = ".lance"

    def check(self, config: EmbedConfig) -> None:  # noqa: ARG002 (formats differ in what they check)
        """Check that the package is installed, without importing it."""
        if importlib.util.find_spec("lance") is None:
            raise ConfigError(
                f"--out {self.path.name} needs pylance, which is not installed",
                "pip install 'footage[lance]'",
            )

    def exists(self) -> bool:
        """Whether there is a file or a folder that is not empty."""
        return self.path.exists() and not (self.path.is_dir() and not any(self.path.iterdir()))

    def contents(self) -> Contents:
        """Read inputs and metadata of the newest version."""
        found = self._opened()
        stamps: dict[str, str] = {}
        if {INPUT, STAMP} <= set(found.schema.names):
            for batch in found.to_batches(columns=[INPUT, STAMP]):
                columns = (batch[INPUT].to_pylist(), batch[STAMP].to_pylist())
                stamps.update(zip(*columns, strict=True))
        return Contents(dict(found.schema.metadata or {}), stamps)

    def write(self, groups: Iterator[pa.Table], schema: pa.Schema, *, append: bool) -> None:
        """Add a version to an existing data set, or create one under a temporary name."""
        if not self.exists():
            with files.atomic_folder(self.path) as temporary:
                _write(str(temporary), groups, schema, "create")
            return
        self._opened()
        with files.output_errors(self.path):
            written = _write(str(self.path), groups, schema, "append" if append else "overwrite")
            if not append:
                written.cleanup_old_versions(datetime.timedelta(0))

    def usage(self) -> str:
        """The data set's columns."""
        return f"import lance; print(lance.dataset({str(self.path)!r}).schema)"

    def _opened(self) -> Any:  # noqa: ANN401 (lance has no types for all of it)
        try:
            return _lance().dataset(str(self.path))
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"{str(self.path)!r} exists and is not a Lance data set",
                "choose another --out, or remove it",
            ) from error


def _write(uri: str, groups: Iterator[pa.Table], schema: pa.Schema, mode: str) -> Any:  # noqa: ANN401
    """Write groups as they arrive; an error while computing them is raised unchanged."""
    failures: list[BaseException] = []

    def batches() -> Iterator[pa.RecordBatch]:
        try:
            yield from batches_of(groups)
        except BaseException as error:
            failures.append(error)  # Lance would keep only its text
            raise

    reader = pa.RecordBatchReader.from_batches(schema, batches())
    try:
        return _lance().write_dataset(reader, uri, mode=mode)
    except Exception:
        if failures:
            raise failures[0] from None
        raise


def _lance() -> Any:  # noqa: ANN401
    """Import Lance without its warning at every later fork: forked decoders do not use Lance."""
    warnings.filterwarnings("ignore", "lance is not fork-safe", UserWarning)
    return importlib.import_module("lance")
