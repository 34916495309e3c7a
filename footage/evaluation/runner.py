"""A whole evaluation of one model on a suite: items of work, over processes, resumable.

Items are done in two rounds, for a final run needs the whole selection of its task. What is already
in the ledger is not done again, so that the same command goes on where it was killed, and ends in
the same table.

    OUT/PROTOCOL/evaluation.json    what is judged and how; another model or setting is refused
    OUT/PROTOCOL/select/ test/      the ledger: see `stages`
    OUT/PROTOCOL/results.jsonl      one row a task, and results.parquet the same
"""

import dataclasses
import functools
import statistics
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import msgspec
import torch

from footage import configuration
from footage.errors import ConfigError
from footage.evaluation import jobs, models
from footage.evaluation.averages import OTHER
from footage.evaluation.digests import task_images
from footage.evaluation.leakage import Compared, Leakage, leakage
from footage.evaluation.models import Contender
from footage.evaluation.protocols import Protocol
from footage.evaluation.records import EVALUATED, publish
from footage.evaluation.suite import Suite, SuiteTask
from footage.evaluation.suite_results import GENERATION, LINES, SuiteRow, read_rows, write_rows
from footage.evaluation.test_set import Score, SealedTest, visible
from footage.io import files
from footage.processes.executors import LocalProcesses
from footage.runs.environment import environment

IDENTITY: Final = "evaluation.json"
SCHEMA_VERSION: Final = 1

TRAINING_COST: Final = 3.0
"""A training image costs about three forward passes; decides only the shown time left."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """All that a worker process needs; sent once."""

    contender: Contender
    tasks: tuple[SuiteTask, ...]
    protocols: tuple[Protocol, ...]
    out: Path
    batch_size: int
    workers: int

    def place(self, protocol: Protocol, number: int) -> jobs.Place:
        """Where an item works; items are spread over the GPUs by their number."""
        size = self.contender.size or protocol.size
        gpus = torch.cuda.device_count()
        return jobs.Place(
            contender=dataclasses.replace(self.contender, size=size),
            ledger=self.out / protocol.name,
            device=torch.device("cuda", number % gpus) if gpus else torch.device("cpu"),
            batch_size=self.batch_size,
        )


class Item(NamedTuple):
    """One piece of work."""

    kind: Literal["select", "final", "frozen"]
    task: int
    """Its place in the job."""
    protocol: int
    """Its place in the job; of a frozen item it says nothing."""
    number: int
    """The setting of a selection, the seed of a final run."""
    cost: float
    """In forward passes of one image, about."""


class Progress(NamedTuple):
    """What is told while items are done."""

    start: Callable[[float, float], None]
    """Called once with the cost of all items and of those that are already done."""
    advance: Callable[[float], None]
    """Called with the cost done since its last call."""


SILENT: Final = Progress(lambda *_: None, lambda _: None)


def run(
    job: Job, suite: Suite, table: Mapping[str, str], progress: Progress = SILENT
) -> list[SuiteRow]:
    """Run all remaining items, and write and return the rows of the suite.

    Args:
        job: The model under test, the protocols, and the output folder.
        suite: For its name and its tasks.
        table: Every task that the suite must have, and its group.
        progress: Progress callbacks.

    Raises:
        ConfigError: OUT contains results of a different evaluation, a model cannot be evaluated by
            a protocol, or images cannot be read.
        BusyError: Another process is writing there.
    """
    if job.workers > 1 and not isinstance(job.contender.model, str):
        raise ConfigError(
            "a Python function cannot be evaluated with multiple workers", "use workers=1"
        )
    described = {each.name: _identify(job, suite, each) for each in job.protocols}
    job, seen = _with_images(job)
    with files.exclusive(job.out / ".lock", job.out):
        rounds = _items(job, ("frozen", "select")), _items(job, ("final",))
        left = [item for items in rounds for item in items if not _done(job, item)]
        total = sum(item.cost for items in rounds for item in items)
        progress.start(total, total - sum(item.cost for item in left))
        for items in rounds:
            _do(job, [item for item in items if item in left], progress)
        rows = []
        for protocol in job.protocols:
            found = collect(job, suite.name, protocol, described[protocol.name], table, seen)
            write_rows(job.out / protocol.name, found)
            rows += found
    return rows


def _with_images(job: Job) -> tuple[Job, dict[str, Leakage]]:
    """The job with a digest of each task's images, and the test images that were seen before."""
    images = [task_images(task.num_classes, task.train, task.val, task.test) for task in job.tasks]
    tasks = tuple(
        dataclasses.replace(task, images=each.digest, fitted_images=each.fitted_digest)
        for task, each in zip(job.tasks, images, strict=True)
    )
    compared = {
        task.name: Compared(task.test, each) for task, each in zip(tasks, images, strict=True)
    }
    seen = leakage(compared, job.contender.training_data)
    return dataclasses.replace(job, tasks=tasks), seen


def collect(
    job: Job,
    suite: str,
    protocol: Protocol,
    described: Mapping[str, Any],
    table: Mapping[str, str],
    seen: Mapping[str, Leakage],
) -> list[SuiteRow]:
    """A row for each task whose runs are all in the ledger, tasks of earlier calls included."""
    ledger = job.out / protocol.name
    rows = {row.task: row for row in read_rows(ledger)} if (ledger / LINES).exists() else {}
    precision = "bfloat16" if torch.cuda.is_available() and not protocol.frozen else "float32"
    shared = {
        "suite": suite,
        "protocol": protocol.name,
        "sweep_size": protocol.sweep_size,
        "seed_rule": protocol.seed_rule,
        "generation": GENERATION,
        "missing": {},
        "resize": protocol.resize,
        "precision": precision,
        **{name: described[name] for name in ("model", "architecture", "start", "size")},
        "mean": tuple(described["mean"]),
        "std": tuple(described["std"]),
        "weights": described.get("weights", ""),
    }
    for task in job.tasks:
        test = SealedTest(task, ledger)
        found = [test.recorded(seed) for seed in protocol.seeds]
        scores = [score for score in found if score is not None]
        if len(scores) == len(found):
            rows[task.name] = _row(
                task, protocol, scores, shared | {"leakage": seen.get(task.name)}
            )
    missing = {name: group for name, group in table.items() if name not in rows}
    order = [name for name in table if name in rows] + sorted(rows.keys() - table.keys())
    return [
        msgspec.structs.replace(rows[name], missing=missing, group=table.get(name, OTHER))
        for name in order
    ]


def _row(
    task: SuiteTask, protocol: Protocol, scores: list[Score], shared: Mapping[str, Any]
) -> SuiteRow:
    values = [score.accuracy for score in scores]
    value = float(
        statistics.median(values) if protocol.aggregate == "median" else statistics.fmean(values)
    )
    num_test = len(task.test.paths)
    return SuiteRow(
        task=task.name,
        group=task.group,
        value=value,
        standard_error=(value * (1 - value) / num_test) ** 0.5,
        seed_values=tuple(values),
        chance=scores[0].chance,
        validation=scores[0].choice.validation,
        selected=scores[0].choice.selected,
        num_classes=task.num_classes,
        num_train=len(task.train.paths),
        num_val=len(task.val.paths),
        num_test=num_test,
        marks=task.marks,
        images=task.images,
        **shared,
    )


# --- items -------------------------------------------------------------------------------------


def _items(job: Job, kinds: tuple[str, ...]) -> list[Item]:
    items = []
    for place, task in enumerate(job.tasks):
        seen, num_test = len(task.train.paths) + len(task.val.paths), len(task.test.paths)
        if any(protocol.frozen for protocol in job.protocols):
            items.append(Item("frozen", place, 0, 0, float(seen + num_test)))
        for order, protocol in enumerate(job.protocols):
            costs = [
                TRAINING_COST * setting.steps * setting.batch_size for setting in protocol.settings
            ]
            items += [Item("select", place, order, n, cost) for n, cost in enumerate(costs)]
            if not protocol.frozen:
                mean = sum(costs) / len(costs) + num_test
                items += [Item("final", place, order, seed, mean) for seed in protocol.seeds]
    return [item for item in items if item.kind in kinds]


def _done(job: Job, item: Item) -> bool:
    task, protocol = job.tasks[item.task], job.protocols[item.protocol]
    ledger = job.out / protocol.name
    if item.kind == "frozen":
        return not _frozen_left(job, task)
    if item.kind == "select":
        return jobs.tried(ledger, visible(task), item.number)
    return SealedTest(task, ledger).recorded(item.number) is not None


def _frozen_left(job: Job, task: SuiteTask) -> list[tuple[Protocol, SealedTest]]:
    tests = [(each, SealedTest(task, job.out / each.name)) for each in job.protocols if each.frozen]
    return [(each, test) for each, test in tests if test.recorded(each.seeds[0]) is None]


def _do(job: Job, items: list[Item], progress: Progress) -> None:
    if job.workers == 1:
        for item in items:
            perform(job, item, functools.partial(_advance, progress, item.cost))
        return
    for outcome in LocalProcesses(job.workers).run(functools.partial(_work, job), items):
        if outcome.failure:
            raise ConfigError(
                f"{outcome.task.kind} of {job.tasks[outcome.task.task].name}: {outcome.failure}",
                "it may need more memory: lower --workers; what is done is kept",
            )
        progress.advance(outcome.task.cost)


def _advance(progress: Progress, cost: float, share: float) -> None:
    progress.advance(cost * share)


def _work(job: Job, item: Item) -> None:
    """In a worker process: cores are shared out, for the numbers depend on threads as time does."""
    torch.set_num_threads(max(1, torch.get_num_threads() // job.workers))
    perform(job, item, lambda _: None)


def perform(job: Job, item: Item, advance: Callable[[float], None]) -> None:
    """Do one item; its result lies in the ledger afterwards.

    Raises:
        ConfigError: It cannot be done, or does not fit into the memory of the GPU.
    """
    try:
        _perform(job, item, advance)
    except torch.OutOfMemoryError as error:
        protocol, task = job.protocols[item.protocol].name, job.tasks[item.task].name
        raise ConfigError(
            f"{protocol} on {task} does not fit into the GPU's memory: {str(error)[:100]}",
            "give fewer --workers or a smaller --size and another --out; what is done is kept",
        ) from error


def _perform(job: Job, item: Item, advance: Callable[[float], None]) -> None:
    task, protocol = job.tasks[item.task], job.protocols[item.protocol]
    if item.kind == "frozen":
        left = _frozen_left(job, task)
        if left:
            jobs.judge_frozen(job.place(left[0][0], item.task), visible(task), left, advance)
    elif item.kind == "select":
        place = job.place(protocol, item.number)
        jobs.try_setting(place, visible(task), protocol, item.number, advance)
    else:
        place = job.place(protocol, item.number)
        test = SealedTest(task, place.ledger)
        jobs.finish(place, visible(task), test, protocol, item.number, advance)


# --- the folder --------------------------------------------------------------------------------


def _identify(job: Job, suite: Suite, protocol: Protocol) -> dict[str, Any]:
    """Write what is judged and how, or compare it with what was begun there."""
    contender = job.place(protocol, 0).contender
    if not protocol.frozen and not contender.has_backbone:
        models.load(contender, seed=0)  # says what is wrong
    described = models.describe(contender)
    wanted = {
        "schema_version": SCHEMA_VERSION,
        "suite": suite.name,
        "contender": described,
        "protocol": configuration.to_dict(protocol),
    }
    path = job.out / protocol.name / IDENTITY
    found = publish(EVALUATED, path, {"identity": wanted, "environment": environment()})
    different = list(configuration.differences(wanted, found.identity))
    if different:
        raise ConfigError(
            f"{path.parent} contains results for a different model or configuration: "
            f"{'; '.join(different[:3])}",
            "choose another --out",
        )
    return described
