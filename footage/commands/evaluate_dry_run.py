"""`footage evaluate --dry-run`: estimate the time, memory and disk space of an evaluation."""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import torch

from footage import arguments
from footage.arguments import Location, Locations
from footage.commands import evaluate
from footage.commands.evaluate import Evaluable
from footage.commands.evaluate_measures import Embedding, Tuning, embedding_of, tuning_of
from footage.commands.evaluate_suites import suite_evaluations
from footage.commands.requirements import Requirements, duration, size
from footage.errors import ConfigError
from footage.evaluation import execution, result_cache, runner
from footage.evaluation.config import EvaluateConfig
from footage.evaluation.execution import Entry, Evaluation, Job
from footage.evaluation.folders import evaluation_of, left_of
from footage.evaluation.models import UNKNOWN, EvaluatedModel
from footage.evaluation.protocols import protocols as named
from footage.io import files
from footage.io.copies import on_local_copies
from footage.models.config import Preprocessing
from footage.models.load import best_device
from footage.processes.shards import parse_shard
from footage.training.loader import free_memory
from footage.training.rehearsal import OVERHEAD

ANSWER_BYTES: Final = 8
"""Bytes per stored answer, including score and indentation [ours]."""
RECORD_BYTES: Final = 2000
"""Bytes of the remaining content of the records of a job [ours]."""


class Plan(NamedTuple):
    """The jobs of a model and its baselines."""

    evaluation: Evaluation
    every: list[Job]
    left: list[Job]
    entries: list[Entry]
    """Models under frozen protocols that are left on some task."""

    @property
    def frozen(self) -> list[Job]:
        """Jobs left that evaluate frozen features."""
        return [job for job in self.left if job.kind == "frozen"]

    @property
    def tuned(self) -> list[Job]:
        """Jobs left that train."""
        return [job for job in self.left if job.kind != "frozen"]

    @property
    def num_images(self) -> int:
        """Images to decode: all of a task for features, the test part after fine-tuning."""
        tasks = [(job.kind, self.evaluation.tasks[job.task]) for job in self.left]
        return sum(
            task.num_images if kind == "frozen" else len(task.test.paths)
            for kind, task in tasks
            if kind != "select"
        )


class Measured(NamedTuple):
    """What the remaining jobs of a plan need."""

    embedding: Embedding | None
    tuning: Tuning | None
    seconds: float
    memory: int
    disk: int


@on_local_copies("model", "out", "data", "labels")
def dry_run(  # noqa: PLR0913
    model: Evaluable | Sequence[Evaluable],
    *,
    labels: Locations = (),
    suite: str = "",
    data: Location = "",
    masks: Location = "",
    out: Location = "",
    config: EvaluateConfig | None = None,
    preprocessing: Preprocessing = UNKNOWN,
    overwrite: bool = False,
) -> Requirements:
    """Count the remaining jobs and measure a batch of images; nothing is written.

    Jobs whose results are recorded or cached do not remain. The arguments are those of
    `footage.commands.evaluate.evaluate`.

    Raises:
        CheckpointError: A model cannot be read.
        ConfigError: As in `evaluate`, or the configuration has no dry run.
    """
    config = arguments.settings(config, EvaluateConfig)
    data, out = arguments.location(data, "data"), arguments.location(out, "out")
    paths = arguments.locations(labels, "labels")
    if masks or config.held_out or config.merge:
        option = "--masks" if masks else "--held-out" if config.held_out else "--merge"
        raise ConfigError(f"{option} has no dry run", f"remove {option} or --dry-run")
    several = evaluate.several(model)
    tested = [evaluate.checked(each, paths, suite, config, preprocessing) for each in several]
    if suite:
        found = suite_evaluations(tested, suite, data, out, config)
        evaluations = [(evaluation, set[str]()) for evaluation, _ in found]
        folder = found[0][1]
    else:
        folder = Path(out) if out else tested[0].run or Path()
        evaluations = _on_labelled(tested, paths, out, config, overwrite=overwrite)
    return _required(_plans(evaluations, config), folder, config)


def _on_labelled(
    models: Sequence[EvaluatedModel],
    paths: Sequence[str],
    out: str,
    config: EvaluateConfig,
    *,
    overwrite: bool,
) -> list[tuple[Evaluation, set[str]]]:
    """An evaluation for each model, and the names of tasks with earlier results."""
    tasks = evaluate.labelled_tasks(paths, config)
    protocols = named(config.protocols)
    file = Path(out) if out and len(models) == 1 else None
    found = []
    for model in models:
        left = left_of(
            model, tasks, protocols, file, overwrite=overwrite, with_answers=len(models) > 1
        )
        records = (file or model.run or Path()) / ".records"  # does not exist: no job is done
        evaluation = evaluation_of(model, tasks, protocols, config.batch_size, records)
        evaluation = dataclasses.replace(evaluation, is_fresh=overwrite)
        found.append((evaluation, {task.name for task in tasks} - {task.name for task in left}))
    return found


# --- jobs ----------------------------------------------------------------------------------------


def _plans(
    evaluations: Sequence[tuple[Evaluation, set[str]]], config: EvaluateConfig
) -> list[Plan]:
    """The jobs of every evaluation; what one answers is cached for those after it."""
    planned: set[Path] | None = set() if len(evaluations) > 1 and not config.shard else None
    return [_plan(evaluation, done, config, planned) for evaluation, done in evaluations]


def _plan(
    evaluation: Evaluation, done: set[str], config: EvaluateConfig, planned: set[Path] | None
) -> Plan:
    every = [job for jobs in execution.rounds_of(evaluation) for job in jobs]
    if config.shard:
        shard = parse_shard(config.shard)
        units = execution.units_of(evaluation)
        every = [job for job in every if shard.takes(units[execution.unit_of(evaluation, job)])]
    evaluation, described = runner.preview(evaluation)
    cached: set[tuple[Path, str]] = set()
    planned_here = set()
    if not evaluation.is_fresh and (planned is not None or not result_cache.is_empty()):
        evaluation = runner.with_digests(evaluation)
        for entry, task, path in result_cache.places(evaluation, described):
            is_planned = planned is not None and path in planned
            if is_planned or result_cache.complete(path, entry, task):
                cached.add((entry.records, task.name))
            elif task.name not in done:
                planned_here.add(path)
    if planned is not None:
        planned |= planned_here
    left, entries = [], {}
    for job in every:
        task = evaluation.tasks[job.task]
        if task.name in done or execution.is_done(evaluation, job):
            continue
        if job.kind == "frozen":
            numbers = execution.frozen_left(evaluation, task)
            wanted = [evaluation.entries[number] for number in numbers]
            wanted = [entry for entry in wanted if (entry.records, task.name) not in cached]
            entries.update(dict.fromkeys(wanted))
            is_left = bool(wanted)
        else:
            is_left = (evaluation.entries[job.entry].records, task.name) not in cached
        left += [job] if is_left else []
    return Plan(evaluation, every, left, list(entries))


# --- totals --------------------------------------------------------------------------------------


def _required(plans: Sequence[Plan], folder: Path, config: EvaluateConfig) -> Requirements:
    rows = _rows_of_jobs(plans)
    if not any(plan.left for plan in plans):
        return Requirements([*rows, ("fits", "yes", "all jobs are done")], [], True)
    device = best_device()
    measured = [_measured(plan, device) for plan in plans if plan.left]
    needed, disk = max(each.memory for each in measured), sum(each.disk for each in measured)
    free, free_disk = free_memory(device), files.free_bytes(folder)
    rows += _measured_rows(measured, config, device)
    rows.append(("memory", size(needed), f"estimated; {size(free)} free on {device}"))
    rows.append(("disk", size(disk), f"for results; {size(free_disk)} free"))
    fits = needed <= free and disk <= free_disk
    rows.append(("fits", "yes" if fits else "no", ""))
    changes = []
    if needed > free:
        changes.append(_less_memory(config, is_tuned=any(plan.tuned for plan in plans)))
    if disk > free_disk:
        changes.append("less disk: free some space, or choose another --out")
    return Requirements(rows, changes, fits)


def _rows_of_jobs(plans: Sequence[Plan]) -> list[tuple[str, str, str]]:
    entries = [entry for plan in plans for entry in plan.evaluation.entries]
    names = dict.fromkeys(entry.model.name for entry in entries)
    protocols = dict.fromkeys(entry.protocol.name for entry in entries)
    left = [job for plan in plans for job in plan.left]
    num_jobs = sum(len(plan.every) for plan in plans)
    counted = ", ".join(
        f"{count} {kind}" for kind, count in Counter(job.kind for job in left).items()
    )
    tasks = [task.name for task in plans[0].evaluation.tasks]
    more = f" and {len(tasks) - 5} more" if len(tasks) > 5 else ""
    return [
        ("models", f"{len(names)}", ", ".join(names)),
        ("tasks", f"{len(tasks)}", ", ".join(tasks[:5]) + more),
        ("protocols", f"{len(protocols)}", ", ".join(protocols)),
        ("jobs", f"{num_jobs:,}", f"{num_jobs - len(left):,} done or cached"),
        ("jobs left", f"{len(left):,}", counted),
        ("images", f"{sum(plan.num_images for plan in plans):,}", "to decode and embed"),
    ]


def _measured(plan: Plan, device: torch.device) -> Measured:
    """Measure the models of a plan that has jobs left."""
    evaluation, frozen, tuned = plan.evaluation, plan.frozen, plan.tuned
    embedding = tuning = None
    seconds, needed = 0.0, [0]
    if frozen:
        task = evaluation.tasks[frozen[0].task]
        embedding = embedding_of(plan.entries, task, evaluation.batch_size, device)
        for job in frozen:
            task = evaluation.tasks[job.task]
            seconds += task.num_images * embedding.seconds_per_image
            fitted = len(task.train.paths) + len(task.val.paths)
            seconds += fitted * embedding.probe_seconds
        largest = max(evaluation.tasks[job.task].num_images for job in frozen)
        features = 2 * 4 * largest * embedding.width  # twice: they are copied when they are joined
        needed.append(round(OVERHEAD * embedding.batch_bytes) + features)
    if tuned:
        tuning = tuning_of(evaluation, tuned, device)
        # the cost of a job counts a training image as three forward passes
        cost = sum(job.cost for job in tuned)
        seconds += cost * tuning.seconds_per_image / execution.TRAINING_COST
        largest = max(evaluation.tasks[job.task].num_images for job in tuned)
        needed.append(tuning.memory_bytes + 3 * largest * tuning.side**2)
    processes = min(evaluation.workers, len(plan.left)) if evaluation.executor == "local" else 1
    return Measured(embedding, tuning, seconds, max(needed) * processes, _disk(plan))


def _disk(plan: Plan) -> int:
    answers = sum(
        len(plan.evaluation.tasks[job.task].test.paths)
        * (len(plan.entries) if job.kind == "frozen" else 1)
        for job in plan.left
        if job.kind != "select"
    )
    return answers * ANSWER_BYTES + len(plan.left) * RECORD_BYTES


def _measured_rows(
    measured: Sequence[Measured], config: EvaluateConfig, device: torch.device
) -> list[tuple[str, str, str]]:
    rows = []
    embedded = [each.embedding.seconds_per_image for each in measured if each.embedding]
    tuned = [each.tuning.seconds_per_image for each in measured if each.tuning]
    if embedded:
        value = f"{1000 * sum(embedded):.3g} ms"
        rows.append(("per image", value, f"decoding and all models, measured on {device}"))
    if tuned:
        value = f"{1000 * max(tuned):.3g} ms"
        rows.append(("per training image", value, f"measured on {device}"))
    how = "in one process"
    if config.workers > 1:
        how += f"; {config.workers} workers share the cores and GPUs of this machine"
    total = sum(each.seconds for each in measured)
    return [*rows, ("total time", duration(total), how)]


def _less_memory(config: EvaluateConfig, *, is_tuned: bool) -> str:
    if config.workers > 1:
        return "less memory: fewer --workers"
    if is_tuned:
        return "less memory: a smaller --size with another --out, or protocols of frozen features"
    return "less memory: a smaller --batch-size"
