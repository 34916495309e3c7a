"""Evaluate models on tasks: run all jobs, see `execution`, and collect their results.

A job whose result is recorded is not repeated, so the same call resumes after a kill and returns
the same rows. Each entry, a model under one protocol, has a folder of records:

    RECORDS/evaluation.json    the model, the protocol and the suite; others are refused
    RECORDS/select/ test/      the records of the jobs, see `jobs`
    RECORDS/results.jsonl      one row per task, and results.parquet the same
"""

import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
import torch

from footage import configuration
from footage.errors import ConfigError
from footage.evaluation import models
from footage.evaluation.dataset import OTHER, Task
from footage.evaluation.digests import TaskImages, task_images
from footage.evaluation.execution import (
    SILENT,
    Entry,
    Evaluation,
    Progress,
    do_rounds,
    is_done,
    rounds_of,
    unit_of,
    units_of,
)
from footage.evaluation.leakage import Compared, Leakage, leakage
from footage.evaluation.models import EvaluatedModel
from footage.evaluation.records import EVALUATION, publish, read
from footage.evaluation.results import GENERATION, LINES, ResultRow, read_rows, write_lines
from footage.evaluation.test_set import Score, TestSet
from footage.io import files
from footage.processes import shards
from footage.processes.shards import Shard
from footage.runs.environment import environment

IDENTITY: Final = "evaluation.json"
SCHEMA_VERSION: Final = 1


def run(
    evaluation: Evaluation,
    progress: Progress = SILENT,
    images: Mapping[str, TaskImages] | None = None,
) -> list[ResultRow]:
    """Run all remaining jobs, write the rows of each entry to its records, and return them.

    Args:
        evaluation: Models, protocols and tasks.
        progress: Progress callbacks.
        images: Image files of the tasks by name, if they have been read already.

    Raises:
        ConfigError: The records belong to a different evaluation, a model cannot be evaluated under
            a protocol, images cannot be read, or shards are missing.
        BusyError: Another process is writing to the same folder.
    """
    entries = evaluation.entries
    _check_functions(evaluation)
    described = identify(evaluation)
    evaluation, seen = _with_images(evaluation, images)
    with files.exclusive(evaluation.out / ".lock", evaluation.out):
        rounds = rounds_of(evaluation)
        if evaluation.is_merge:
            units = units_of(evaluation)
            left = [job for jobs in rounds for job in jobs if not is_done(evaluation, job)]
            missing = sorted({units[unit_of(evaluation, job)] for job in left})
            shards.check_none_missing(evaluation.out, missing, len(units))
        do_rounds(evaluation, rounds, progress)
        shards.forget_counts(evaluation.out)
        rows = []
        for each in entries:
            found = _collect(evaluation, each, described[each.model], seen[each.model.name])
            write_lines(each.records, found)
            rows += found
    return rows


def run_shard(evaluation: Evaluation, shard: Shard, progress: Progress = SILENT) -> int:
    """Run the remaining jobs of a shard; another process may run the same ones.

    A shard has every Nth pair of a task and a protocol; all frozen protocols of a task are one.

    Returns:
        The number of its pairs.

    Raises:
        ConfigError: As in `run`.
    """
    _check_functions(evaluation)
    identify(evaluation)
    mine = {unit for unit, number in units_of(evaluation).items() if shard.takes(number)}
    names = {task for task, _ in mine}
    tasks = tuple(task for task in evaluation.tasks if task.name in names)
    evaluation = _digested(dataclasses.replace(evaluation, tasks=tasks), _images_of(tasks))
    shards.note_count(evaluation.out, shard.count)
    rounds = [
        [job for job in jobs if unit_of(evaluation, job) in mine] for jobs in rounds_of(evaluation)
    ]
    do_rounds(evaluation, rounds, progress)
    return len(mine)


def _check_functions(evaluation: Evaluation) -> None:
    if not evaluation.is_here and any(callable(each.model.model) for each in evaluation.entries):
        raise ConfigError(
            "a Python function cannot be evaluated with multiple workers", "use workers=1"
        )


def _images_of(tasks: Sequence[Task]) -> dict[str, TaskImages]:
    return {
        task.name: task_images(task.num_classes, task.train, task.val, task.test) for task in tasks
    }


def _digested(evaluation: Evaluation, images: Mapping[str, TaskImages]) -> Evaluation:
    """The evaluation with digests of images."""
    tasks = tuple(
        dataclasses.replace(
            task,
            images=images[task.name].digest,
            fitted_images=images[task.name].fitted_digest,
        )
        for task in evaluation.tasks
    )
    return dataclasses.replace(evaluation, tasks=tasks)


def _with_images(
    evaluation: Evaluation, images: Mapping[str, TaskImages] | None
) -> tuple[Evaluation, dict[str, dict[str, Leakage]]]:
    """The evaluation with digests of images, and the test images that each model saw before."""
    images = images or _images_of(evaluation.tasks)
    evaluation = _digested(evaluation, images)
    compared = {task.name: Compared(task.test, images[task.name]) for task in evaluation.tasks}
    by_name = {each.model.name: each.model for each in evaluation.entries}
    seen = {name: leakage(compared, model.training_data) for name, model in by_name.items()}
    return evaluation, seen


def _collect(
    evaluation: Evaluation,
    entry: Entry,
    described: Mapping[str, Any],
    seen: Mapping[str, Leakage],
) -> list[ResultRow]:
    """Return a row per task whose runs are all recorded, including tasks of earlier calls."""
    known = read_rows(entry.records) if (entry.records / LINES).exists() else []
    rows = {row.task: row for row in known}
    for task in evaluation.tasks:
        test = TestSet(task, entry.records)
        scores = [test.recorded(seed) for seed in entry.protocol.seeds]
        whole = [score for score in scores if score is not None]
        if len(whole) == len(scores):
            rows[task.name] = _row(evaluation.suite, task, entry, whole, described, seen[task.name])
    table = evaluation.table
    missing = {name: group for name, group in table.items() if name not in rows}
    order = [name for name in table if name in rows] + sorted(rows.keys() - table.keys())
    return [
        msgspec.structs.replace(rows[name], missing=missing, group=table.get(name, OTHER))
        for name in order
    ]


def _row(
    suite: str,
    task: Task,
    entry: Entry,
    scores: Sequence[Score],
    described: Mapping[str, Any],
    seen: Leakage,
) -> ResultRow:
    protocol = entry.protocol
    values = [score.accuracy for score in scores]
    value = float(
        statistics.median(values) if protocol.aggregate == "median" else statistics.fmean(values)
    )
    num_test = len(task.test.paths)
    return ResultRow(
        suite=suite,
        task=task.name,
        group=task.group,
        model=described["model"],
        baseline=entry.model.baseline,
        protocol=protocol.name,
        metric="top-1",
        value=value,
        standard_error=(value * (1 - value) / num_test) ** 0.5,
        seed_values=tuple(values),
        chance=scores[0].chance,
        validation=scores[0].selection.validation,
        selected=scores[0].selection.selected,
        num_classes=task.num_classes,
        num_train=len(task.train.paths),
        num_val=len(task.val.paths),
        num_test=num_test,
        split=task.split,
        deviations=task.deviations,
        missing={},
        sweep_size=protocol.sweep_size,
        seed_rule=protocol.seed_rule,
        generation=GENERATION,
        seed=entry.model.seed,
        resize=protocol.resize,
        precision="bfloat16" if torch.cuda.is_available() and not protocol.frozen else "float32",
        images=task.images,
        leakage=seen,
        **fields_of_model(described),
    )


def fields_of_model(described: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a row that describe its network."""
    return {
        "architecture": described["architecture"],
        "weights_origin": described["weights_origin"],
        "size": described["size"],
        "mean": tuple(described["mean"]),
        "std": tuple(described["std"]),
        "weights": described.get("weights", ""),
    }


# --- the records -------------------------------------------------------------------------------


def identify(
    evaluation: Evaluation, *, is_dry: bool = False
) -> dict[EvaluatedModel, dict[str, Any]]:
    """Describe the models, and compare them with those whose records exist.

    Args:
        evaluation: Models, protocols and tasks.
        is_dry: Write nothing.

    Raises:
        ConfigError: The records belong to a different evaluation.
    """
    for model, protocol, _ in evaluation.entries:
        if not protocol.frozen and not model.has_backbone:
            models.load(model, seed=0)  # raises an error with the reason
    by_model = dict.fromkeys(each.model for each in evaluation.entries)
    described = {model: models.describe(model) for model in by_model}
    here = environment()
    for model, protocol, records in evaluation.entries:
        wanted = {
            "schema_version": SCHEMA_VERSION,
            "suite": evaluation.suite,
            "model": described[model],
            "protocol": configuration.to_dict(protocol),
        }
        path = records / IDENTITY
        if is_dry:
            found = read(EVALUATION, path)
        else:
            found = publish(EVALUATION, path, {"identity": wanted, "environment": here})
        if found is None:
            continue
        different = list(configuration.differences(wanted, found.identity))
        if different:
            raise ConfigError(
                f"{records} contains results for a different model or configuration: "
                f"{'; '.join(different[:3])}",
                "choose another --out",
            )
    return described
