"""Result rows: one number each, with all that it depends on, in JSON files.

Rows of different tasks, protocols or splits are never averaged here; each carries its own identity.
"""

import datetime
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from footage.errors import CheckpointError
from footage.evaluation.fields import (
    Count,
    DescribedModel,
    Environment,
    Hash,
    Pixels,
    Record,
    Seed,
    Share,
    Text,
)
from footage.evaluation.leakage import Leakage, sentences
from footage.io.documents import Document
from footage.metrics.intervals import few_images, wilson
from footage.runs.environment import environment

SCHEMA_VERSION: Final = 2

COLUMNS: Final = ("chance", "pixels", "untrained", "model")
"""What stands side by side for every task, weakest first."""

MAJORITY: Final = "majority"
"""The protocol of the column `chance` on labelled images."""

NEAREST: Final = "nearest frame"
"""The protocol of retrieval in held-out videos, which needs no labels."""


class ResultRow(Record, frozen=True):
    """One number and all that it depends on."""

    model: Text
    """The MODEL argument, or the baseline in words."""
    column: Text
    """One of `COLUMNS`."""
    task: Text
    protocol: Text
    metric: Text
    value: Share
    """Fraction in [0, 1]."""
    standard_error: Share
    """Of the value, from the number of test images alone; 0 at the extremes, see `interval`."""
    validation: Share
    """The same metric on the validation part, by which the setting was selected."""
    selected: Mapping[str, float]
    """The selected setting."""
    num_classes: Count
    num_train: Count
    num_val: Count
    num_test: Count
    split: Text
    """How the three parts came about, in words."""
    seed: Seed
    architecture: Text
    start: Text
    """Where the weights come from, in words."""
    size: Pixels
    """Input height and width in pixels."""
    images: Hash = ""
    """Digest of the task's images and labels; empty in files of version 1."""
    weights: Hash = ""
    """Digest of the network's weights; empty without a network and in files of version 1."""
    leakage: Leakage | None = None
    """Test images that were seen before; None in files of version 1, where none was looked for."""
    interval: tuple[Share, Share] = (0.0, 1.0)
    """95 % interval of the value (Wilson); follows from it and the number of test images."""

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "interval", tuple(wilson(self.value, self.num_test)))


class ResultFile(Record, frozen=True):
    """Content of one file."""

    schema_version: Count
    model: DescribedModel
    environment: Environment
    rows: list[ResultRow]
    evaluations: tuple[Hash, ...] = ()
    """For each task what its rows depend on, as a digest; empty in files of version 1."""
    warnings: tuple[Text, ...] = ()
    """What a reader must know, in sentences; see `warnings`."""
    written: Text = ""
    """Date and time in UTC; empty in files of version 1."""


RESULTS: Final = Document[ResultFile](
    schema=ResultFile,
    name="evaluation results",
    error=CheckpointError,
    hint="remove it and run `footage evaluate` again",
    version_key="schema_version",
    versions=(1, SCHEMA_VERSION),
)


def write_rows(
    path: Path, model: Mapping[str, Any], rows: Sequence[ResultRow], evaluations: Sequence[str] = ()
) -> Path:
    """Write result rows to a JSON file, complete or not at all.

    Args:
        path: The JSON file.
        model: What `model.describe` returns for the evaluated model.
        rows: The results.
        evaluations: What the rows of each task depend on, as digests.

    Raises:
        OutputError: The file cannot be written.
    """
    content = {
        "schema_version": SCHEMA_VERSION,
        "model": dict(model),
        "environment": environment(),
        "rows": list(rows),
        "evaluations": list(evaluations),
        "warnings": warnings(rows),
        "written": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
    RESULTS.write(path, content)
    return path


def read_rows(path: str | Path) -> list[ResultRow]:
    """The result rows of a file that `evaluate` wrote.

    Raises:
        CheckpointError: The file is missing, damaged or of another version.
    """
    return RESULTS.read(Path(path)).rows


def is_untrained(cells: Mapping[str, ResultRow]) -> bool:
    """Whether the columns `model` and `untrained` are the same random network."""
    model, untrained = cells["model"], cells["untrained"]
    if model.weights:
        return model.weights == untrained.weights
    return model.start == untrained.start


def warnings(rows: Sequence[ResultRow]) -> list[str]:
    """What a reader must know of these rows: few images, images seen before, random weights."""
    models = [row for row in rows if row.column == "model"]
    found = [few_images((row.task, row.num_test) for row in models)]
    # Held-out videos were left out of training by their ids, which are digests of their content.
    for row in {row.task: row for row in models if row.protocol != NEAREST}.values():
        found += sentences(row.task, row.leakage, row.num_test)
    for row in models:
        cells = {each.column: each for each in rows if each.task == row.task}
        if "untrained" in cells and is_untrained(cells | {"model": row}):
            found.append(
                f"{row.model} has random weights: the columns model and untrained are the same"
                " network. Evaluate a run, or a timm name with its tag, such as resnet18.a1_in1k."
            )
    return [sentence for sentence in dict.fromkeys(found) if sentence]
