"""Result rows: one number each, with everything it depends on, and the files that contain them.

    photos-DIGEST.json    a model and its baselines on labelled images or held-out videos
    results.jsonl         a model on the tasks of a suite; results.parquet has the same rows

Rows of different kinds are never averaged here; each carries its own identity, see `averages`.
"""

import datetime
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from footage.errors import CheckpointError
from footage.evaluation import earlier
from footage.evaluation.differences import Difference
from footage.evaluation.fields import (
    Bits,
    Count,
    DescribedModel,
    Environment,
    Hash,
    Pixels,
    Positive,
    Record,
    Seed,
    Share,
    Text,
)
from footage.evaluation.hits import unpacked
from footage.evaluation.leakage import Leakage, sentences
from footage.io import files
from footage.io.documents import Document
from footage.metrics.bootstrap import fraction
from footage.metrics.intervals import Interval, few_images, wilson
from footage.runs import layout, origin
from footage.runs.environment import environment

SCHEMA_VERSION: Final = 4
"""Version of the JSON file."""

LINES: Final = "results.jsonl"
PARQUET: Final = "results.parquet"

MODEL: Final = "model"
"""Role of a model under test."""

NEAREST: Final = "nearest frame"
"""The protocol of retrieval in held-out videos, which needs no labels."""

PROPAGATION: Final = "propagation"
"""The protocol of masks that are propagated through clips."""

ON_VIDEOS: Final = frozenset({NEAREST, PROPAGATION})
"""Protocols without labelled images, whose test images are not searched for in training data."""

DRAWN: Final = "draws of labelled images"
"""End of the seed rule of few-shot protocols."""

GENERATION: Final = "v2"
"""VTAB protocol with settings selected on 200 of the 1000 images. v1 has no such part."""


class ClipValue(Record, frozen=True):
    """The result of one clip: means over its objects."""

    name: Text
    objects: Count
    value: Share
    """The metric of the row."""
    parts: Mapping[Text, Share]
    """The values that the metric is the mean of, such as J and F."""


class ResultRow(Record, frozen=True):
    """The accuracy of one model on the test part of one task, under one protocol."""

    suite: Text
    """Name of the suite; empty for labelled images and held-out videos."""
    task: Text
    group: Text
    model: Text
    """The name of the model or baseline."""
    baseline: Text
    """One of `models.BASELINES`; empty for a model under test."""
    protocol: Text
    metric: Text
    value: Share
    """Fraction in [0, 1]."""
    standard_error: Share
    """Standard error of one run by the number of test images; 0 at the extremes, see `interval`."""
    seed_values: tuple[Share, ...]
    """The value of each seed, in the order of the rule."""
    chance: Share
    """Accuracy of always predicting the most common class of the training and validation part."""
    validation: Share
    """The same metric on the validation part, by which the setting was selected."""
    selected: Mapping[str, float | Text]
    """The selected setting."""
    num_classes: Count
    num_train: Count
    num_val: Count
    num_test: Count
    split: Text
    """Description of how the three parts were made."""
    deviations: tuple[Text, ...]
    """Differences from the exact task."""
    missing: Mapping[Text, Text]
    """Tasks of the suite without a row here, and their groups."""
    sweep_size: Count
    """Settings that were tried on the validation part."""
    seed_rule: Text
    """Rule that reduces several runs to one number."""
    generation: Text
    seed: Seed
    """Seed of random weights."""
    architecture: Text
    weights_origin: Text
    """Origin of the weights."""
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
    hits: tuple[Bits, ...] = ()
    """For each seed, which test images were answered correctly, see `hits`; empty in results of
    earlier versions."""
    clips: tuple[ClipValue, ...] = ()
    """The values of single clips, for metrics without answers that are right or wrong."""
    recipe: Hash = ""
    """Digest of a run's training except its seed; runs that share it differ only by chance."""
    interval: tuple[Share, Share] = (0.0, 1.0)
    """95 % interval of one run: Wilson, from value and number of test images, or a bootstrap over
    clips."""

    def __post_init__(self) -> None:
        for text in self.hits:
            unpacked(text, self.num_test)
        found = over_clips(self.clips) if self.clips else wilson(self.value, self.num_test)
        msgspec.structs.force_setattr(self, "interval", tuple(found))

    @property
    def has_answers(self) -> bool:
        """Whether it can be compared with another row answer by answer, or clip by clip."""
        return bool(self.hits or self.clips)

    @property
    def parts(self) -> dict[str, float]:
        """The values that the metric is the mean of, over the objects of all clips."""
        total = sum(clip.objects for clip in self.clips)
        names = self.clips[0].parts if self.clips else ()
        return {
            name: sum(clip.objects * clip.parts[name] for clip in self.clips) / total
            for name in names
        }

    @property
    def has_draws(self) -> bool:
        """Whether its seeds are draws of labelled images, the same for all models."""
        return self.seed_rule.endswith(DRAWN)

    @property
    def role(self) -> str:
        """The baseline, or `MODEL`."""
        return self.baseline or MODEL


def over_clips(clips: Sequence[ClipValue]) -> Interval:
    """The interval of the mean over the objects of all clips, by a bootstrap over clips."""
    objects = np.asarray([clip.objects for clip in clips], float)
    values = np.asarray([clip.value for clip in clips], float)
    found = fraction(objects * values, objects, seed=0)
    return Interval(min(found.low, found.value), min(1.0, max(found.high, found.value)))


class ResultFile(Record, frozen=True):
    """Content of a JSON file."""

    schema_version: Count
    model: DescribedModel | None
    """The model under test; None in a comparison of several."""
    environment: Environment
    rows: list[ResultRow]
    evaluations: tuple[Hash, ...] = ()
    """For each task a digest of what its rows depend on; empty in files of version 1."""
    warnings: tuple[Text, ...] = ()
    """Warnings for the reader, in sentences; see `warnings`."""
    written: Text = ""
    """Date and time in UTC; empty in files of version 1."""
    verdict: Text = ""
    """The first model compared with the others, or with its untrained network, in a sentence."""
    differences: tuple[Difference, ...] = ()
    """The differences behind the verdict, under each protocol."""


RESULTS: Final = Document[ResultFile](
    schema=ResultFile,
    name="evaluation results",
    error=CheckpointError,
    hint="remove it and run `footage evaluate` again",
    version_key="schema_version",
    versions=(1, 2, 3, SCHEMA_VERSION),
    migrate=earlier.result_file,
)

ROWS: Final = Document[ResultRow](
    schema=ResultRow,
    name="a row of evaluation results",
    error=CheckpointError,
    hint="remove it and run `footage evaluate` again",
    migrate=earlier.suite_row,
)


def write_file(
    path: Path,
    model: Mapping[str, Any] | None,
    rows: Sequence[ResultRow],
    evaluations: Sequence[str] = (),
    *,
    verdict: str = "",
    differences: Sequence[Difference] = (),
) -> Path:
    """Write rows to a JSON file, complete or not at all.

    Args:
        path: The JSON file.
        model: Description of the model under test, see `DescribedModel`; None for several.
        rows: The results.
        evaluations: Digests of everything that the rows of each task depend on.
        verdict: The verdict in a sentence.
        differences: The differences behind it.

    Raises:
        OutputError: The file cannot be written.
    """
    content = {
        "schema_version": SCHEMA_VERSION,
        "model": dict(model) if model is not None else None,
        "environment": environment(),
        "rows": list(rows),
        "evaluations": list(evaluations),
        "warnings": warnings(rows),
        "verdict": verdict,
        "differences": list(differences),
        "written": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
    RESULTS.write(path, content)
    return path


def write_lines(folder: Path, rows: Sequence[ResultRow]) -> list[Path]:
    """Write rows as JSON lines and as Parquet; the same rows give the same bytes.

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


def read_rows(path: str | Path) -> list[ResultRow]:
    """The rows of a JSON file, of a results.jsonl, or of the folder that contains one.

    Raises:
        CheckpointError: The file is missing, damaged or of a later version.
    """
    path = Path(path)
    if path.is_dir():
        path /= LINES
    if path.suffix == ".jsonl":
        return _corrected(ROWS.read_lines(path, appended=False), path)
    return read_file(path).rows


def read_file(path: Path) -> ResultFile:
    """The content of a JSON file.

    Raises:
        CheckpointError: The file is missing, damaged or of a later version.
    """
    found = RESULTS.read(path)
    if found.model is None:  # a comparison, also of models that are not in this folder
        return found
    return msgspec.structs.replace(found, rows=_corrected(found.rows, path))


def _corrected(rows: list[ResultRow], path: Path) -> list[ResultRow]:
    """Correct the origin of a run's weights in its own results, if an earlier version wrote it."""
    folders = [folder for folder in path.absolute().parents if folder.name == layout.EVALUATIONS]
    run = folders[0].parent if folders else path
    if not (run / layout.RUN).is_file():
        return rows
    stopping = layout.read_record(run)["stopping"]
    return [
        msgspec.structs.replace(row, weights_origin=origin.corrected(row.weights_origin, stopping))
        for row in rows
    ]


def is_untrained(cells: Mapping[str, ResultRow]) -> bool:
    """Whether the roles `model` and `untrained` are the same random network."""
    model, untrained = cells[MODEL], cells["untrained"]
    if model.weights:
        return model.weights == untrained.weights
    return model.weights_origin == untrained.weights_origin


def warnings(rows: Sequence[ResultRow]) -> list[str]:
    """Warnings about these rows: few images, images seen before, random weights.

    The same sentence about several tasks is given once. Sentences about one of several models start
    with its name.
    """
    evaluated = [row for row in rows if not row.baseline] or list(rows)
    found = [
        few_images((row.task, row.num_test) for row in evaluated if not row.clips),
        _different_sizes(evaluated),
    ]
    models = dict.fromkeys(row.model for row in evaluated)
    for model in models:
        own = [row for row in evaluated if row.model == model]
        prefix = f"{model}: " if len(models) > 1 else ""
        found += [prefix + sentence for sentence in _seen_before(own)]
        for row in own:
            if row.leakage and row.leakage.labels:
                found.append(f"{model} was trained with {row.leakage.labels:,} labels.")
            cells = {each.role: each for each in rows if each.task == row.task}
            if len(models) == 1 and "untrained" in cells and is_untrained(cells | {MODEL: row}):
                found.append(
                    f"{model} has random weights: the columns model and untrained are the same"
                    " network. Evaluate a run, or a timm name with its tag, such as"
                    " resnet18.a1_in1k."
                )
    return [sentence for sentence in dict.fromkeys(found) if sentence]


def _different_sizes(rows: Sequence[ResultRow]) -> str:
    """A sentence if several models were compared with different input sizes; else empty."""
    for protocol in dict.fromkeys(row.protocol for row in rows if row.protocol != NEAREST):
        models: dict[int, dict[str, None]] = {}
        for row in rows:
            if row.protocol == protocol:
                models.setdefault(row.size, {})[row.model] = None
        if len(models) > 1:
            listed = "; ".join(f"{', '.join(names)}: {size}" for size, names in models.items())
            return (
                f"The models have different input sizes in pixels ({listed}), which changes"
                f" accuracy; --size {min(models)} evaluates all of them at the same size."
            )
    return ""


def _seen_before(rows: Sequence[ResultRow]) -> list[str]:
    """Sentences about the test images that one model saw before, with the names of tasks."""
    # Held-out videos were excluded from training by their ids, which are digests of their content.
    by_task = {row.task: row for row in rows if row.protocol not in ON_VIDEOS}
    reasons: dict[str, list[str]] = {}
    for task, row in by_task.items():
        for sentence in sentences("", row.leakage, row.num_test):
            reasons.setdefault(sentence, []).append(task)
    return [
        ("all tasks" if len(tasks) == len(by_task) > 1 else ", ".join(tasks)) + sentence
        for sentence, tasks in reasons.items()
    ]
