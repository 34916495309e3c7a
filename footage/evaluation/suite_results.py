"""One row per task of a suite: a score and all it depends on, as JSON lines and Parquet."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from footage.errors import CheckpointError
from footage.evaluation.fields import Count, Hash, Pixels, Positive, Record, Share, Text
from footage.evaluation.leakage import Leakage, sentences
from footage.io import files
from footage.io.documents import Document
from footage.metrics.intervals import few_images, wilson

LINES: Final = "results.jsonl"
PARQUET: Final = "results.parquet"

GENERATION: Final = "v2"
"""Of the VTAB protocol: settings are selected on 200 of the 1000 images. v1 knew no such part."""


class SuiteRow(Record, frozen=True):
    """Top-1 accuracy of one model on the test part of one task, under one protocol."""

    suite: Text
    task: Text
    group: Text
    model: Text
    protocol: Text
    sweep_size: Count
    """Settings that were tried on the validation part."""
    seed_rule: Text
    """How several runs became the one number."""
    generation: Text
    value: Share
    """Fraction in [0, 1]."""
    standard_error: Share
    """Standard error of one run by the number of test images; 0 at the extremes, see `interval`."""
    seed_values: tuple[Share, ...]
    """Of each seed, in the order of the rule."""
    chance: Share
    """Accuracy of answering the commonest class of training and validation part."""
    validation: Share
    """Accuracy on the validation part, by which the setting was selected."""
    selected: Mapping[str, float | Text]
    """The selected setting."""
    num_classes: Count
    num_train: Count
    num_val: Count
    num_test: Count
    marks: tuple[Text, ...]
    """What differs from the exact task."""
    missing: Mapping[Text, Text]
    """Tasks of the suite without a row here, and their groups."""
    architecture: Text
    start: Text
    """Where the weights come from, in words."""
    size: Pixels
    """Input height and width in pixels."""
    mean: tuple[float, float, float]
    std: tuple[Positive, Positive, Positive]
    resize: Text
    precision: Text
    images: Hash = ""
    """Digest of the task's images and labels; empty in results of earlier versions."""
    weights: Hash = ""
    """Digest of the network's weights; empty without a network."""
    leakage: Leakage | None = None
    """Test images that were seen before; None in results of earlier versions."""
    interval: tuple[Share, Share] = (0.0, 1.0)
    """95 % interval of one run (Wilson); follows from value and number of test images."""

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "interval", tuple(wilson(self.value, self.num_test)))


ROWS: Final = Document[SuiteRow](
    schema=SuiteRow,
    name="a row of evaluation results",
    error=CheckpointError,
    hint="remove it and run `footage evaluate` again",
)


def write_rows(folder: Path, rows: Sequence[SuiteRow]) -> list[Path]:
    """Write both files, each complete or not at all; the same rows give the same bytes.

    Raises:
        OutputError: A file cannot be written.
    """
    lines, parquet = folder / LINES, folder / PARQUET
    ROWS.write_lines(lines, rows)
    flat = [
        {
            key: msgspec.json.encode(value).decode() if isinstance(value, dict) else value
            for key, value in msgspec.to_builtins(row).items()
        }
        for row in rows
    ]
    with files.atomic_write(parquet) as temporary:
        pq.write_table(pa.Table.from_pylist(flat), temporary, write_page_checksum=True)
    return [lines, parquet]


def read_rows(path: str | Path) -> list[SuiteRow]:
    """The rows of a results.jsonl, or of the folder that holds it.

    Raises:
        CheckpointError: The file is missing or damaged.
    """
    path = Path(path)
    return ROWS.read_lines(path / LINES if path.is_dir() else path, appended=False)


def warnings(rows: Sequence[SuiteRow]) -> list[str]:
    """Warnings about one model's rows: small test sets, and images that were seen before.

    Data that could not be compared for the same reason in several tasks gives one sentence.
    """
    found = [few_images((row.task, row.num_test) for row in rows)]
    reasons: dict[str, list[str]] = {}
    for row in rows:
        for sentence in sentences("", row.leakage, row.num_test):
            reasons.setdefault(sentence, []).append(row.task)
    for sentence, tasks in reasons.items():
        named = "all tasks" if len(tasks) == len(rows) > 1 else ", ".join(dict.fromkeys(tasks))
        found.append(named + sentence)
    return [sentence for sentence in found if sentence]
