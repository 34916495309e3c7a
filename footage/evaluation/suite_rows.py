"""One row for a task of a suite: a number and all that it depends on; as JSON lines and Parquet."""

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from footage import configuration
from footage.errors import CheckpointError, ConfigError

LINES: Final = "results.jsonl"
PARQUET: Final = "results.parquet"

GENERATION: Final = "v2"
"""Of the VTAB protocol: settings are selected on 200 of the 1000 images. v1 knew no such part."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class SuiteRow:
    """Top-1 accuracy of one model on the test part of one task, under one protocol."""

    suite: str
    task: str
    group: str
    model: str
    protocol: str
    sweep_size: int
    """Settings that were tried on the validation part."""
    seed_rule: str
    """How several runs became the one number."""
    generation: str
    value: float
    """Share in [0, 1]."""
    standard_error: float
    """Of one run, from the number of test images alone."""
    seed_values: tuple[float, ...]
    """Of each seed, in the order of the rule."""
    chance: float
    """Accuracy of answering the commonest class of training and validation part."""
    validation: float
    """Accuracy on the validation part, by which the setting was selected."""
    selected: Mapping[str, float | str]
    """The selected setting."""
    num_classes: int
    num_train: int
    num_val: int
    num_test: int
    marks: tuple[str, ...]
    """What differs from the exact task."""
    missing: Mapping[str, str]
    """Tasks of the suite without a row here, and their groups."""
    architecture: str
    start: str
    """Where the weights come from, in words."""
    size: int
    """Input height and width in pixels."""
    mean: tuple[float, ...]
    std: tuple[float, ...]
    resize: str
    precision: str


def write_rows(folder: Path, rows: Sequence[SuiteRow]) -> list[Path]:
    """Write both files by rename; the same rows give the same bytes."""
    plain = [configuration.to_dict(row) for row in rows]
    lines, parquet = folder / LINES, folder / PARQUET
    text = "".join(json.dumps(row) + "\n" for row in plain)
    _replace(lines, lambda aside: aside.write_text(text))
    flat = [
        {k: json.dumps(v) if isinstance(v, dict) else v for k, v in row.items()} for row in plain
    ]
    _replace(parquet, lambda aside: pq.write_table(pa.Table.from_pylist(flat), aside))
    return [lines, parquet]


def read_rows(path: str | Path) -> list[SuiteRow]:
    """The rows of a results.jsonl, or of the folder that holds it.

    Raises:
        CheckpointError: The file is missing or damaged.
    """
    path = Path(path)
    path = path / LINES if path.is_dir() else path
    try:
        lines = path.read_text().splitlines()
        return [configuration.from_dict(SuiteRow, json.loads(line)) for line in lines]
    except (OSError, ValueError, TypeError, ConfigError) as error:
        raise CheckpointError(
            f"results {path} cannot be read: {error}", "run `footage evaluate` again"
        ) from error


def _replace(path: Path, write: Any) -> None:  # noqa: ANN401 (what it returns does not matter)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    write(aside)
    aside.replace(path)
