"""The jobs of an evaluation: which there are, which are left, and how they run.

Jobs run in two rounds, because a final run needs the whole selection of its task. A job whose
result is recorded is not repeated.
"""

import dataclasses
import functools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Literal, NamedTuple

import torch

from footage.errors import ConfigError
from footage.evaluation import jobs, protocols
from footage.evaluation.dataset import Task
from footage.evaluation.jobs import Advance, JobContext
from footage.evaluation.models import CHANCE, EvaluatedModel
from footage.evaluation.protocols import Protocol
from footage.evaluation.test_set import TestSet, train_val
from footage.processes.executors import EXECUTORS, Executor, ExecutorSettings

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
    executor: str = "local"
    """Name of the executor that runs the jobs; a single local worker is this process."""
    ray_address: str = ""
    is_merge: bool = False
    """Whether shards must have done all jobs before."""
    suite: str = ""
    """Name in results; empty for labelled images."""
    is_fresh: bool = False
    """Whether to ignore cached answers and replace them."""
    replaces: bool = False
    """Whether records of other weights are moved aside; otherwise they are an error."""
    table: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """All tasks of the complete suite, with their groups."""

    @property
    def is_here(self) -> bool:
        """Whether the jobs run in this process."""
        return self.executor == "local" and self.workers == 1

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
    log: Callable[[str], None] = lambda _: None
    """Called with a line when one of several tasks or protocols is done."""


SILENT: Final = Progress(lambda *_: None, lambda _: None)


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


def rounds_of(evaluation: Evaluation) -> tuple[list[Job], list[Job]]:
    """All jobs; those of the second round need the results of the first."""
    return _jobs(evaluation, ("frozen", "select")), _jobs(evaluation, ("final",))


_FROZEN: Final = -1

Unit = tuple[str, int]
"""A task, and the index of an entry or `_FROZEN`: jobs that need no other jobs."""


def unit_of(evaluation: Evaluation, job: Job) -> Unit:
    """The unit that a job belongs to."""
    entry = _FROZEN if evaluation.entries[job.entry].protocol.frozen else job.entry
    return evaluation.tasks[job.task].name, _FROZEN if job.kind == "frozen" else entry


def units_of(evaluation: Evaluation) -> dict[Unit, int]:
    """The units and their positions, the same in every shard."""
    jobs_of_all = [job for jobs in rounds_of(evaluation) for job in jobs]
    units = dict.fromkeys(unit_of(evaluation, job) for job in jobs_of_all)
    return {unit: number for number, unit in enumerate(units)}


def is_done(evaluation: Evaluation, job: Job) -> bool:
    """Whether the result of a job is recorded."""
    task, entry = evaluation.tasks[job.task], evaluation.entries[job.entry]
    if job.kind == "frozen":
        return not frozen_left(evaluation, task)
    test = TestSet(task, entry.records)
    if job.kind == "select":
        return jobs.tried(entry.records, train_val(task), job.number) or all(
            test.is_answered(seed) for seed in entry.protocol.seeds
        )
    return test.is_answered(job.number)


def frozen_left(evaluation: Evaluation, task: Task) -> dict[int, TestSet]:
    """The test part by index of each frozen entry that is not recorded yet."""
    tests = {
        number: TestSet(task, entry.records)
        for number, entry in enumerate(evaluation.entries)
        if entry.protocol.frozen
    }
    return {
        number: test
        for number, test in tests.items()
        if not all(test.is_answered(seed) for seed in evaluation.entries[number].protocol.seeds)
    }


def do_rounds(evaluation: Evaluation, rounds: Sequence[Sequence[Job]], progress: Progress) -> None:
    """Run the jobs of all rounds that are not done."""
    left = [[job for job in jobs if not is_done(evaluation, job)] for jobs in rounds]
    total = sum(job.cost for jobs in rounds for job in jobs)
    progress.start(total, total - sum(job.cost for jobs in left for job in jobs))
    settings = ExecutorSettings(
        workers=evaluation.workers, ray_address=evaluation.ray_address, uses_gpu=True
    )
    executor = EXECUTORS.find(evaluation.executor)(settings)
    waiting = Counter(unit_of(evaluation, job) for jobs in left for job in jobs)
    for jobs_of_round in left:
        for job in _do(evaluation, jobs_of_round, executor, progress):
            _log_done(evaluation, job, waiting, progress)


def _log_done(evaluation: Evaluation, job: Job, waiting: Counter[Unit], progress: Progress) -> None:
    """Log that a unit is done after its last job, if there are several.

    Args:
        evaluation: The evaluation.
        job: The job that is done.
        waiting: The number of jobs of each unit that are not done; reduced by this one.
        progress: Progress callbacks.
    """
    task, entry = unit = unit_of(evaluation, job)
    waiting[unit] -= 1
    if waiting[unit] or len(waiting) == 1:
        return
    protocols = [each.protocol for each in evaluation.entries if each.model.baseline != CHANCE]
    names = [each.name for each in protocols if each.frozen]
    if entry != _FROZEN:
        names = [evaluation.entries[entry].protocol.name]
    done = sum(not count for count in waiting.values())
    listed = ", ".join(dict.fromkeys(names))
    progress.log(f"{done} of {len(waiting)} done: {listed} on {task}")


def _do(
    evaluation: Evaluation, left: Sequence[Job], executor: Executor, progress: Progress
) -> Iterator[Job]:
    """Do jobs, and yield each one when it is done."""
    if evaluation.is_here or not left:
        for job in left:
            perform(evaluation, job, functools.partial(_advance, progress, job.cost))
            yield job
        return
    for outcome in executor.run(functools.partial(_work, evaluation), left):
        if outcome.failure:
            task = evaluation.tasks[outcome.task.task].name
            raise ConfigError(
                f"{outcome.task.kind} of {task}: {outcome.failure}",
                "it may need more memory: lower --workers; finished jobs are kept",
            )
        progress.advance(outcome.task.cost)
        yield outcome.task


def _advance(progress: Progress, cost: float, fraction: float) -> None:
    progress.advance(cost * fraction)


def _work(evaluation: Evaluation, job: Job) -> None:
    """Do a job in a worker process with a share of the cores.

    Results and time depend on the number of threads.
    """
    _share_cores(evaluation.workers)
    perform(evaluation, job, lambda _: None)


@functools.cache
def _share_cores(workers: int) -> None:
    """Once per process, which may do many jobs."""
    torch.set_num_threads(max(1, torch.get_num_threads() // workers))


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
        left = frozen_left(evaluation, task)
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
