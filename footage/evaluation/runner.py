"""Evaluate models on tasks: jobs, over processes, resumable.

Jobs run in two rounds, because a final run needs the whole selection of its task. A job whose
result is recorded is not repeated, so the same call resumes after a kill and returns the same rows.
Each entry, a model under one protocol, has a folder of records:

    RECORDS/evaluation.json    the model, the protocol and the suite; others are refused
    RECORDS/select/ test/      the records of the jobs, see `jobs`
    RECORDS/results.jsonl      one row per task, and results.parquet the same
"""

import dataclasses
import functools
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import msgspec
import torch

from footage import configuration
from footage.errors import ConfigError
from footage.evaluation import jobs, models, protocols
from footage.evaluation.dataset import OTHER, Task
from footage.evaluation.digests import TaskImages, task_images
from footage.evaluation.jobs import Advance, JobContext
from footage.evaluation.leakage import Compared, Leakage, leakage
from footage.evaluation.models import CHANCE, EvaluatedModel
from footage.evaluation.protocols import Protocol
from footage.evaluation.records import EVALUATION, publish
from footage.evaluation.results import GENERATION, LINES, ResultRow, read_rows, write_lines
from footage.evaluation.test_set import Score, TestSet, train_val
from footage.io import files
from footage.processes.executors import LocalProcesses
from footage.runs.environment import environment

IDENTITY: Final = "evaluation.json"
SCHEMA_VERSION: Final = 1

TRAINING_COST: Final = 3.0
"""A training image costs about three forward passes; affects only the displayed remaining time."""


class Entry(NamedTuple):
    """A model under one protocol, and the folder of its records."""

    model: EvaluatedModel
    protocol: Protocol
    records: Path


def entry(model: EvaluatedModel, protocol: Protocol, records: Path) -> Entry:
    """Make an entry; the protocol determines the input size if the model does not."""
    size = model.size or protocol.size
    return Entry(dataclasses.replace(model, size=size), protocol, records)


def protocols_of(model: EvaluatedModel, asked: Sequence[Protocol]) -> Sequence[Protocol]:
    """The protocols of a model: the requested ones; chance has its own."""
    return (protocols.CHANCE,) if model.baseline == CHANCE else asked


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    """Everything that a worker process needs; sent once."""

    entries: tuple[Entry, ...]
    tasks: tuple[Task, ...]
    out: Path
    """The folder of the lock; the records are in it."""
    batch_size: int
    workers: int = 1
    suite: str = ""
    """Name in results; empty for labelled images."""
    table: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """All tasks of the complete suite, with their groups."""

    def context(self, number: int, order: int) -> JobContext:
        """The context of an entry's job; jobs are assigned to the GPUs in turn."""
        gpus = torch.cuda.device_count()
        return JobContext(
            *self.entries[number],
            device=torch.device("cuda", order % gpus) if gpus else torch.device("cpu"),
            batch_size=self.batch_size,
        )


class Job(NamedTuple):
    """One piece of work."""

    kind: Literal["select", "final", "frozen"]
    task: int
    """Index of the task."""
    entry: int
    """Index of the entry; a frozen job covers all entries of frozen protocols."""
    number: int
    """The setting of a `select` job, the seed of a `final` job."""
    cost: float
    """Approximate cost, in forward passes of one image."""


class Progress(NamedTuple):
    """Progress callbacks."""

    start: Callable[[float, float], None]
    """Called once with the cost of all jobs and of those already done."""
    advance: Callable[[float], None]
    """Called with the cost of the work done since its last call."""


SILENT: Final = Progress(lambda *_: None, lambda _: None)


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
            a protocol, or images cannot be read.
        BusyError: Another process is writing to the same folder.
    """
    entries = evaluation.entries
    if evaluation.workers > 1 and any(callable(each.model.model) for each in entries):
        raise ConfigError(
            "a Python function cannot be evaluated with multiple workers", "use workers=1"
        )
    described = _identify(evaluation)
    evaluation, seen = _with_images(evaluation, images)
    with files.exclusive(evaluation.out / ".lock", evaluation.out):
        rounds = _jobs(evaluation, ("frozen", "select")), _jobs(evaluation, ("final",))
        left = [job for jobs in rounds for job in jobs if not _done(evaluation, job)]
        total = sum(job.cost for jobs in rounds for job in jobs)
        progress.start(total, total - sum(job.cost for job in left))
        for jobs_of_round in rounds:
            _do(evaluation, [job for job in jobs_of_round if job in left], progress)
        rows = []
        for each in entries:
            found = _collect(evaluation, each, described[each.model], seen[each.model.name])
            write_lines(each.records, found)
            rows += found
    return rows


def _with_images(
    evaluation: Evaluation, images: Mapping[str, TaskImages] | None
) -> tuple[Evaluation, dict[str, dict[str, Leakage]]]:
    """Add digests of images to the evaluation, and find test images that each model saw before."""
    images = images or {
        task.name: task_images(task.num_classes, task.train, task.val, task.test)
        for task in evaluation.tasks
    }
    tasks = tuple(
        dataclasses.replace(
            task,
            images=images[task.name].digest,
            fitted_images=images[task.name].fitted_digest,
        )
        for task in evaluation.tasks
    )
    compared = {task.name: Compared(task.test, images[task.name]) for task in tasks}
    by_name = {each.model.name: each.model for each in evaluation.entries}
    seen = {name: leakage(compared, model.training_data) for name, model in by_name.items()}
    return dataclasses.replace(evaluation, tasks=tasks), seen


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


# --- jobs --------------------------------------------------------------------------------------


def _jobs(evaluation: Evaluation, kinds: tuple[str, ...]) -> list[Job]:
    listed = []
    for place, task in enumerate(evaluation.tasks):
        num_test = len(task.test.paths)
        if any(entry.protocol.frozen for entry in evaluation.entries):
            listed.append(Job("frozen", place, 0, 0, float(task.num_images)))
        for number, (_, protocol, _) in enumerate(evaluation.entries):
            costs = [
                TRAINING_COST * setting.steps * setting.batch_size for setting in protocol.settings
            ]
            listed += [Job("select", place, number, n, cost) for n, cost in enumerate(costs)]
            if not protocol.frozen:
                mean = sum(costs) / len(costs) + num_test
                listed += [Job("final", place, number, seed, mean) for seed in protocol.seeds]
    return [job for job in listed if job.kind in kinds]


def _done(evaluation: Evaluation, job: Job) -> bool:
    task, entry = evaluation.tasks[job.task], evaluation.entries[job.entry]
    if job.kind == "frozen":
        return not _frozen_left(evaluation, task)
    if job.kind == "select":
        return jobs.tried(entry.records, train_val(task), job.number)
    return TestSet(task, entry.records).recorded(job.number) is not None


def _frozen_left(evaluation: Evaluation, task: Task) -> dict[int, TestSet]:
    """The test part by index of each frozen entry that is not recorded yet."""
    tests = {
        number: TestSet(task, entry.records)
        for number, entry in enumerate(evaluation.entries)
        if entry.protocol.frozen
    }
    return {
        number: test
        for number, test in tests.items()
        if test.recorded(evaluation.entries[number].protocol.seeds[0]) is None
    }


def _do(evaluation: Evaluation, left: Sequence[Job], progress: Progress) -> None:
    if evaluation.workers == 1:
        for job in left:
            perform(evaluation, job, functools.partial(_advance, progress, job.cost))
        return
    processes = LocalProcesses(evaluation.workers)
    for outcome in processes.run(functools.partial(_work, evaluation), left):
        if outcome.failure:
            task = evaluation.tasks[outcome.task.task].name
            raise ConfigError(
                f"{outcome.task.kind} of {task}: {outcome.failure}",
                "it may need more memory: lower --workers; finished jobs are kept",
            )
        progress.advance(outcome.task.cost)


def _advance(progress: Progress, cost: float, fraction: float) -> None:
    progress.advance(cost * fraction)


def _work(evaluation: Evaluation, job: Job) -> None:
    """Do a job in a worker process with a share of the cores.

    Results and time depend on the number of threads.
    """
    torch.set_num_threads(max(1, torch.get_num_threads() // evaluation.workers))
    perform(evaluation, job, lambda _: None)


def perform(evaluation: Evaluation, job: Job, advance: Advance) -> None:
    """Do one job and record its result.

    Raises:
        ConfigError: The job fails, or does not fit into the GPU's memory.
    """
    try:
        _perform(evaluation, job, advance)
    except torch.OutOfMemoryError as error:
        protocol = evaluation.entries[job.entry].protocol.name
        task = evaluation.tasks[job.task].name
        raise ConfigError(
            f"{protocol} on {task} does not fit into the GPU's memory: {str(error)[:100]}",
            "use fewer --workers, or a smaller --size with another --out; finished jobs are kept",
        ) from error


def _perform(evaluation: Evaluation, job: Job, advance: Advance) -> None:
    task = evaluation.tasks[job.task]
    if job.kind == "frozen":
        left = _frozen_left(evaluation, task)
        if left:
            contexts = [evaluation.context(number, job.task) for number in left]
            jobs.evaluate_frozen(contexts, train_val(task), list(left.values()), advance)
        return
    context = evaluation.context(job.entry, job.number)
    if job.kind == "select":
        jobs.try_setting(context, train_val(task), job.number, advance)
    else:
        test = TestSet(task, context.records)
        jobs.finish(context, train_val(task), test, job.number, advance)


# --- the records -------------------------------------------------------------------------------


def _identify(evaluation: Evaluation) -> dict[EvaluatedModel, dict[str, Any]]:
    """Describe the models, and compare them with those whose records exist.

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
        found = publish(EVALUATION, records / IDENTITY, {"identity": wanted, "environment": here})
        different = list(configuration.differences(wanted, found.identity))
        if different:
            raise ConfigError(
                f"{records} contains results for a different model or configuration: "
                f"{'; '.join(different[:3])}",
                "choose another --out",
            )
    return described
