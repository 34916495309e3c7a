"""Evaluate models on tasks: run all jobs, see `execution`, and collect their results.

A job whose result is recorded is not repeated, so the same call resumes after a kill and returns
the same rows. Each entry, a model under one protocol, has a folder of records:

    RECORDS/evaluation.json    the model, the protocol and the suite; others are refused
    RECORDS/select/ test/      the records of the jobs, see `jobs`
    RECORDS/results.jsonl      one row per task, and results.parquet the same
"""

import dataclasses
import hashlib
import json
import logging
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import torch

from footage import configuration
from footage.errors import ConfigError
from footage.evaluation import models, protocols, result_cache
from footage.evaluation.dataset import OTHER, Task
from footage.evaluation.digests import DIGITS, TaskImages, task_images
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
from footage.evaluation.hits import packed
from footage.evaluation.leakage import Compared, Leakage, leakage
from footage.evaluation.models import EvaluatedModel
from footage.evaluation.near_duplicates import describe_task
from footage.evaluation.records import EVALUATION, publish, read
from footage.evaluation.results import GENERATION, LINES, ResultRow, read_rows, write_lines
from footage.evaluation.run_seeds import recipe_digest
from footage.evaluation.test_set import Score, TestSet
from footage.io import files
from footage.processes import shards
from footage.processes.shards import Shard
from footage.runs.environment import environment

log = logging.getLogger(__name__)

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
        if not evaluation.is_fresh:
            result_cache.restore(evaluation, described)
        rounds = rounds_of(evaluation)
        if evaluation.is_merge:
            units = units_of(evaluation)
            left = [job for jobs in rounds for job in jobs if not is_done(evaluation, job)]
            missing = sorted({units[unit_of(evaluation, job)] for job in left})
            shards.check_none_missing(evaluation.out, missing, len(units))
        do_rounds(evaluation, rounds, progress)
        shards.forget_counts(evaluation.out)
        result_cache.keep(evaluation, described)
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
    described = identify(evaluation)
    mine = {unit for unit, number in units_of(evaluation).items() if shard.takes(number)}
    names = {task for task, _ in mine}
    tasks = tuple(task for task in evaluation.tasks if task.name in names)
    evaluation = with_digests(dataclasses.replace(evaluation, tasks=tasks))
    shards.note_count(evaluation.out, shard.count)
    result_cache.restore(evaluation, described)
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


def with_digests(evaluation: Evaluation) -> Evaluation:
    """The evaluation with digests of all images, which are read."""
    return _digested(evaluation, _images_of(evaluation.tasks))


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
    described = {task.name: describe_task(task) for task in evaluation.tasks}
    seen = {
        name: leakage(compared, model.training_data, described) for name, model in by_name.items()
    }
    return evaluation, seen


def _collect(
    evaluation: Evaluation,
    entry: Entry,
    described: Mapping[str, Any],
    seen: Mapping[str, Leakage],
) -> list[ResultRow]:
    """Return a row per task whose runs are all recorded, including tasks of earlier calls."""
    known = read_rows(entry.records) if (entry.records / LINES).exists() else []
    rows = {row.task: msgspec.structs.replace(row, model=described["model"]) for row in known}
    for task in evaluation.tasks:
        test = TestSet(task, entry.records)
        scores = [test.recorded(seed) for seed in entry.protocol.seeds]
        whole = [score for score in scores if score is not None]
        if len(whole) == len(scores):
            hits = tuple(packed(test.hits(seed)) for seed in entry.protocol.seeds)
            made = _row(evaluation.suite, task, entry, whole, described, seen[task.name])
            rows[task.name] = msgspec.structs.replace(made, hits=hits)
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
        recipe=recipe_digest(entry.model.run)
        if entry.model.run and not entry.model.baseline
        else "",
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


def identify(evaluation: Evaluation) -> dict[EvaluatedModel, dict[str, Any]]:
    """Describe the models, and compare them with those whose records exist.

    Raises:
        ConfigError: The records belong to a different evaluation.
    """
    described = _described(evaluation)
    here = environment()
    for each in evaluation.entries:
        wanted = _identity(evaluation, each, described)
        record = {"identity": wanted, "environment": here}
        found = publish(EVALUATION, each.records / IDENTITY, record)
        different = _different(evaluation, each, wanted, found.identity) if found else []
        if found and different:
            _set_aside(each.records, found.identity, different)
            publish(EVALUATION, each.records / IDENTITY, record)
    return described


def preview(evaluation: Evaluation) -> tuple[Evaluation, dict[EvaluatedModel, dict[str, Any]]]:
    """Describe the models as `identify` does, without changing any file.

    Returns:
        The evaluation without the records that it would move aside, and the descriptions.

    Raises:
        ConfigError: As in `identify`.
    """
    described = _described(evaluation)
    entries = []
    for each in evaluation.entries:
        found = read(EVALUATION, each.records / IDENTITY)
        wanted = _identity(evaluation, each, described)
        is_replaced = found and _different(evaluation, each, wanted, found.identity)
        entries.append(each._replace(records=each.records / "new") if is_replaced else each)
    return dataclasses.replace(evaluation, entries=tuple(entries)), described


def _described(evaluation: Evaluation) -> dict[EvaluatedModel, dict[str, Any]]:
    """Describe each model once, after checking that the protocols can be applied to it."""
    for model, protocol, _ in evaluation.entries:
        if not protocol.frozen and not model.has_backbone:
            models.load(model, seed=0)  # raises an error with the reason
    by_model = dict.fromkeys(each.model for each in evaluation.entries)
    return {model: models.describe(model) for model in by_model}


def _identity(
    evaluation: Evaluation,
    entry: Entry,
    described: Mapping[EvaluatedModel, Mapping[str, Any]],
) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "suite": evaluation.suite,
        "model": described[entry.model],
        "protocol": protocols.described(entry.protocol),
    }


def _different(
    evaluation: Evaluation, entry: Entry, wanted: Mapping[str, Any], found: Mapping[str, Any]
) -> list[str]:
    """The differences of existing records; an error unless the evaluation replaces them."""
    different = list(configuration.differences(_without_names(wanted), _without_names(found)))
    if different and not evaluation.replaces:
        raise ConfigError(
            f"{entry.records} contains results for a different model or configuration: "
            f"{'; '.join(different[:3])}",
            "choose another --out",
        )
    return different


def _without_names(identity: Mapping[str, Any]) -> dict[str, Any]:
    """An identity without the name of its model if that has weights, which identify it."""
    model = dict(identity["model"])
    if model.get("weights"):
        model = {key: model[key] for key in model.keys() - {"model", "weights_origin"}}
    return {**identity, "model": model}


def _set_aside(records: Path, identity: Mapping[str, Any], different: Sequence[str]) -> None:
    """Move the records of other weights or settings to a folder next to the results."""
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:DIGITS]
    aside = records.parent / "earlier" / digest / records.name
    aside.parent.mkdir(parents=True, exist_ok=True)
    records.rename(aside)
    log.info("moved the results for %s to %s", different[0], aside)
