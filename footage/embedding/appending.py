"""Append to a table: find missing files, and check that model and settings are the same."""

import json
import logging
from typing import Any, Final

import numpy as np
import pyarrow as pa

from footage import configuration
from footage.embedding import rows
from footage.embedding.config import EmbedConfig
from footage.embedding.formats import Contents, Format
from footage.errors import ConfigError
from footage.ingestion.source_table import SourceTable
from footage.ingestion.sources import shown_name
from footage.models import load as models

log = logging.getLogger(__name__)

SETTINGS: Final = b"footage.settings"
"""Metadata key of everything that the features of a table depend on besides the files."""


def table_schema(model: models.Model, weights: str, config: EmbedConfig) -> pa.Schema:
    """The columns of a table, with the model's description and the settings as metadata.

    Args:
        model: The model.
        weights: Digest of its weights.
        config: Frame rate, sizes and patch features.
    """
    schema = rows.schema(model, config)
    settings = {
        "weights": weights,
        "preprocessing": configuration.to_dict(model.preprocessing),
        "frames_per_second": config.frames_per_second,
        "patches": config.patches,
    }
    return schema.with_metadata({**schema.metadata, SETTINGS: json.dumps(settings)})


def check_alike(contents: Contents, schema: pa.Schema, table: Format) -> None:
    """Check that a table was written with the same model and settings.

    Raises:
        ConfigError: It was not, or not by `footage embed`.
    """
    if not {SETTINGS, rows.MODEL} <= contents.metadata.keys():
        raise ConfigError(
            f"{str(table.path)!r} was not written by this version of footage embed",
            "choose another --out, or add --overwrite to replace it",
        )
    before, now = _described(contents.metadata), _described(schema.metadata)
    if before == now:
        return
    changed = [
        f"{name} {_shown(contents.metadata, name)} (now {_shown(schema.metadata, name)})"
        for name in dict.fromkeys([*before, *now])
        if before.get(name) != now.get(name)
    ]
    raise ConfigError(
        f"{str(table.path)!r} was written with different settings: {', '.join(changed)}",
        "use the same model and settings, or choose another --out",
    )


def _described(metadata: dict[bytes, bytes]) -> dict[str, Any]:
    """Return the settings of a table as a flat dictionary; equal weights mean the same model."""
    settings = json.loads(metadata[SETTINGS])
    weights, preprocessing = settings.pop("weights"), settings.pop("preprocessing")
    return {"weights": weights, **preprocessing, **settings}


def _shown(metadata: dict[bytes, bytes], name: str) -> str:
    value = str(_described(metadata).get(name))
    return f"{value} of {json.loads(metadata[rows.MODEL])['name']!r}" * (name == "weights") or value


def missing(found: SourceTable, contents: Contents, table: Format) -> SourceTable:
    """Return the sources that a table does not contain, and log those that have changed."""
    left, changed = [], []
    for number, source in enumerate(found):
        name = shown_name(source)
        if name not in contents.stamps:
            left.append(number)
        elif contents.stamps[name] != source.stamp:
            changed.append(name)
    if changed:
        log.warning(
            "%d files have changed since they were embedded and keep their rows in %s, such as %s;"
            " --overwrite computes them again",
            len(changed), table.path, changed[0],
        )  # fmt: skip
    return found.take(np.array(left, dtype=np.int64))
