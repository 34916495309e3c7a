"""Result rows: one number each, with all that it depends on; as JSON files and as a table.

Rows of different tasks, protocols or splits are never averaged here; each carries its own identity.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from rich.table import Table

from footage import runs
from footage.errors import CheckpointError

SCHEMA_VERSION: Final = 1

COLUMNS: Final = ("chance", "pixels", "untrained", "model")
"""What stands side by side for every task, weakest first."""

MAJORITY: Final = "majority"
"""The protocol of the column `chance`."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ResultRow:
    """One number and all that it depends on."""

    model: str
    """The MODEL argument, or the baseline in words."""
    column: str
    """One of `COLUMNS`."""
    task: str
    protocol: str
    metric: str
    value: float
    """Share in [0, 1]."""
    standard_error: float
    """Of the value, from the number of test images alone."""
    validation: float
    """The same metric on the validation part, by which the setting was selected."""
    selected: Mapping[str, float]
    """The selected setting."""
    num_classes: int
    num_train: int
    num_val: int
    num_test: int
    split: str
    """How the three parts came about, in words."""
    seed: int
    architecture: str
    start: str
    """Where the weights come from, in words."""
    size: int
    """Input height and width in pixels."""


def write_rows(path: Path, model: Mapping[str, Any], rows: Sequence[ResultRow]) -> Path:
    """Write result rows by rename, so that the file is whole or absent.

    Args:
        path: The JSON file.
        model: What `model.describe` says of the judged model.
        rows: The results.
    """
    content = {
        "schema_version": SCHEMA_VERSION,
        "model": dict(model),
        "environment": runs.environment(),
        "rows": [dataclasses.asdict(row) for row in rows],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.partial")
    aside.write_text(json.dumps(content, indent=1) + "\n")
    aside.replace(path)
    return path


def read_rows(path: str | Path) -> list[ResultRow]:
    """The result rows of a file that `evaluate` wrote.

    Raises:
        CheckpointError: The file is missing, damaged or of another version.
    """
    try:
        content = json.loads(Path(path).read_text())
        if content["schema_version"] != SCHEMA_VERSION:
            raise ValueError(f"version {content['schema_version']}, expected {SCHEMA_VERSION}")
        return [ResultRow(**row) for row in content["rows"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"evaluation {path} cannot be read: {error}", "run `footage evaluate` again"
        ) from error


def table(rows: Sequence[ResultRow]) -> Table:
    """Results as a terminal table: one line per task and protocol, one column per `COLUMNS`."""
    view = Table(title="top-1 accuracy on the test part, percent ± standard error")
    view.add_column("task")
    view.add_column("protocol")
    for column in COLUMNS:
        view.add_column(column, justify="right")
    view.add_column("model - untrained", justify="right")
    view.add_column("test images", justify="right")
    for task, protocol in dict.fromkeys(
        (row.task, row.protocol) for row in rows if row.protocol != MAJORITY
    ):
        cells = {
            row.column: row
            for row in rows
            if row.task == task and row.protocol in (protocol, MAJORITY)
        }
        gain = 100 * (cells["model"].value - cells["untrained"].value)
        view.add_row(
            task,
            protocol,
            *(
                f"{100 * cells[name].value:.1f} ± {100 * cells[name].standard_error:.1f}"
                for name in COLUMNS
            ),
            f"{gain:+.1f}",
            str(cells["model"].num_test),
        )
    return view
