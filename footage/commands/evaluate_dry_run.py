"""`footage evaluate --dry-run`: estimate the time, memory and disk space of an evaluation."""

import dataclasses
import functools
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from footage import arguments
from footage.arguments import Location, Locations
from footage.commands import evaluate
from footage.commands.requirements import Requirements, duration, size
from footage.errors import ConfigError
from footage.evaluation import execution, models, runner
from footage.evaluation.config import EvaluateConfig
from footage.evaluation.execution import Evaluation, Job
from footage.evaluation.features import FeatureExtractor, extract, refuse_unreadable
from footage.evaluation.finetune import LabelledPixels, fine_tune
from footage.evaluation.folders import evaluation_of, left_of
from footage.evaluation.models import UNKNOWN, EvaluatedModel, FeatureFunction
from footage.evaluation.probes import PROBES, Examples
from footage.evaluation.protocols import Protocol
from footage.evaluation.protocols import protocols as named
from footage.io import files
from footage.io.copies import on_local_copies
from footage.models.config import Preprocessing
from footage.models.load import best_device
from footage.processes.shards import parse_shard
from footage.training.live_memory import peak_bytes, tensors_of
from footage.training.loader import free_memory
from footage.training.rehearsal import OVERHEAD

PROBE_EXAMPLES = 1000
"""Random examples for timing a probe; more if a task has many classes [ours]."""
PART_IMAGES = 8
"""Batch size of the smaller of two training steps that are measured on a CPU [ours]."""
MOST_SECONDS = 10.0
"""The largest batch is timed on a CPU only if a step should take less than this [ours]."""
ANSWER_BYTES = 8
"""Bytes per stored answer, including score and indentation [ours]."""
RECORD_BYTES = 2000
"""Bytes of the remaining content of the records of a job [ours]."""


class Embedding(NamedTuple):
    """Measurements of frozen features."""

    seconds_per_image: float
    """Time of decoding and of all models."""
    batch_bytes: int
    """Memory of the weights of all models and of one batch."""
    width: int
    """Total number of features of all models."""
    probe_seconds: float
    """Time of all probes of a task, per training example."""


class Tuning(NamedTuple):
    """Measurements of fine-tuning."""

    seconds_per_image: float
    """Time of a training step per image."""
    memory_bytes: int
    """Memory of a step with the largest batch."""
    side: int
    """Height and width of an image."""


@on_local_copies("model", "out", "data", "labels")
def dry_run(
    model: Location | FeatureFunction,
    *,
    labels: Locations = (),
    suite: str = "",
    data: Location = "",
    out: Location = "",
    config: EvaluateConfig | None = None,
    preprocessing: Preprocessing = UNKNOWN,
    overwrite: bool = False,
) -> Requirements:
    """Count the remaining jobs and measure a batch of images; nothing is written.

    The arguments are those of `footage.commands.evaluate.evaluate`.

    Raises:
        CheckpointError: The model cannot be read.
        ConfigError: As in `evaluate`, or the configuration has no dry run.
    """
    config = arguments.settings(config, EvaluateConfig)
    data, out = arguments.location(data, "data"), arguments.location(out, "out")
    paths = arguments.locations(labels, "labels")
    if config.held_out or config.merge:
        option = "--held-out" if config.held_out else "--merge"
        raise ConfigError(f"{option} has no dry run", f"remove {option} or --dry-run")
    evaluated = evaluate.checked(model, paths, suite, config, preprocessing)
    if suite:
        evaluation, folder = evaluate.suite_evaluation(evaluated, suite, data, out, config)
        runner.identify(evaluation, is_dry=True)
    else:
        tasks = evaluate.labelled_tasks(paths, config)
        protocols = named(config.protocols)
        file = Path(out) if str(out) else None
        left = left_of(evaluated, tasks, protocols, file, overwrite=overwrite)
        folder = file or evaluated.run or Path()
        records = folder / ".records"  # does not exist, so no job counts as done
        evaluation = evaluation_of(evaluated, tasks, protocols, config.batch_size, records)
        done = {task.name for task in tasks} - {task.name for task in left}
        return _required(evaluation, folder, config, done)
    return _required(evaluation, folder, config, set())


def _required(
    evaluation: Evaluation, folder: Path, config: EvaluateConfig, done: set[str]
) -> Requirements:
    every = [job for jobs in execution.rounds_of(evaluation) for job in jobs]
    if config.shard:
        shard = parse_shard(config.shard)
        units = execution.units_of(evaluation)
        every = [job for job in every if shard.takes(units[execution.unit_of(evaluation, job)])]
    left = [
        job
        for job in every
        if evaluation.tasks[job.task].name not in done and not execution.is_done(evaluation, job)
    ]
    rows = _rows_of_jobs(evaluation, every, left)
    if not left:
        return Requirements([*rows, ("fits", "yes", "all jobs are done")], [], True)
    frozen = [job for job in left if job.kind == "frozen"]
    tuned = [job for job in left if job.kind != "frozen"]
    device = best_device()
    embedding = _embedding(evaluation, frozen, device) if frozen else None
    tuning = _tuning(evaluation, tuned, device) if tuned else None
    seconds = _seconds(evaluation, frozen, tuned, embedding, tuning)
    needed = _memory(evaluation, frozen, tuned, embedding, tuning)
    needed *= min(evaluation.workers, len(left)) if evaluation.executor == "local" else 1
    free = free_memory(device)
    disk, free_disk = _disk(evaluation, left), files.free_bytes(folder)
    rows += _measured_rows(embedding, tuning, seconds, evaluation, device)
    rows.append(("memory", size(needed), f"estimated; {size(free)} free on {device}"))
    rows.append(("disk", size(disk), f"for results; {size(free_disk)} free"))
    fits = needed <= free and disk <= free_disk
    rows.append(("fits", "yes" if fits else "no", ""))
    changes = []
    if needed > free:
        changes.append(_less_memory(evaluation, is_tuned=bool(tuned)))
    if disk > free_disk:
        changes.append("less disk: free some space, or choose another --out")
    return Requirements(rows, changes, fits)


def _rows_of_jobs(
    evaluation: Evaluation, every: Sequence[Job], left: Sequence[Job]
) -> list[tuple[str, str, str]]:
    names = dict.fromkeys(entry.model.name for entry in evaluation.entries)
    protocols = dict.fromkeys(entry.protocol.name for entry in evaluation.entries)
    kinds = Counter(job.kind for job in left)
    counted = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    tasks = [task.name for task in evaluation.tasks]
    more = f" and {len(tasks) - 5} more" if len(tasks) > 5 else ""
    return [
        ("models", f"{len(names)}", ", ".join(names)),
        ("tasks", f"{len(tasks)}", ", ".join(tasks[:5]) + more),
        ("protocols", f"{len(protocols)}", ", ".join(protocols)),
        ("jobs", f"{len(every):,}", f"{len(every) - len(left):,} done"),
        ("jobs left", f"{len(left):,}", counted),
        ("images", f"{_images(evaluation, left):,}", "to decode and embed"),
    ]


def _images(evaluation: Evaluation, jobs: Sequence[Job]) -> int:
    """Number of images to decode: all of a task for features, the test part after fine-tuning."""
    tasks = evaluation.tasks
    return sum(
        tasks[job.task].num_images if job.kind == "frozen" else len(tasks[job.task].test.paths)
        for job in jobs
        if job.kind != "select"
    )


# --- measuring -----------------------------------------------------------------------------------


def _embedding(evaluation: Evaluation, jobs: Sequence[Job], device: torch.device) -> Embedding:
    """Time a batch with all models, after a first one that starts decoders and kernels."""
    entries = [entry for entry in evaluation.entries if entry.protocol.frozen]
    loaded = {entry.model: models.frozen(entry.model, device).extractor for entry in entries}
    task = evaluation.tasks[jobs[0].task]
    paths = [path for part in (task.train, task.val, task.test) for path in part.paths]
    batch = paths[: evaluation.batch_size]
    _extracted(batch, loaded, evaluation.batch_size, task.name)
    start = time.perf_counter()
    widths = _extracted(batch, loaded, evaluation.batch_size, task.name)
    seconds = (time.perf_counter() - start) / len(batch)
    weights = sum(
        tensor.nbytes
        for model in loaded
        if model.has_backbone
        for tensor in models.load(model, seed=0).backbone.state_dict().values()
    )
    peak = max(_forward_bytes(one, evaluation.batch_size, device) for one in loaded.values())
    fitted = sum(
        _probe_seconds(entry.protocol, widths[entry.model], task.num_classes)
        for entry in entries
        if entry.protocol.adapt in PROBES
    )
    return Embedding(seconds, weights + peak, sum(widths.values()), fitted)


def _extracted(
    paths: Sequence[Path],
    extractors: dict[EvaluatedModel, FeatureExtractor],
    batch_size: int,
    name: str,
) -> dict[EvaluatedModel, int]:
    """Extract features and return their widths."""
    found = extract(paths, extractors, batch_size=batch_size)
    refuse_unreadable(found.unreadable, len(paths), name)
    return {key: features.shape[1] for key, features in found.features.items()}


def _forward_bytes(extractor: FeatureExtractor, count: int, device: torch.device) -> int:
    pixels = np.zeros((count, extractor.size, extractor.size, 3), np.uint8)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        extractor.function(pixels)
        return torch.cuda.max_memory_reserved(device)
    return peak_bytes(lambda: extractor.function(pixels))


def _probe_seconds(protocol: Protocol, width: int, num_classes: int) -> float:
    """Return the time per example to fit a probe to random features."""
    count = max(PROBE_EXAMPLES, 2 * num_classes)
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(count, width, generator=generator)
    labels = torch.arange(count) % num_classes
    split = count * 4 // 5
    train, val = (
        Examples(features[:split], labels[:split]),
        Examples(features[split:], labels[split:]),
    )
    start = time.perf_counter()
    PROBES[protocol.adapt](train, val, num_classes)
    return (time.perf_counter() - start) / count


def _tuning(evaluation: Evaluation, jobs: Sequence[Job], device: torch.device) -> Tuning:
    """Measure a few steps; on a CPU, memory is extrapolated from small batches to the largest."""
    found = [
        _tuned(entry, evaluation.tasks[jobs[0].task].num_classes, device)
        for entry in {evaluation.entries[job.entry]: None for job in jobs}
    ]
    return Tuning(*map(max, zip(*found, strict=True)))


def _tuned(entry: execution.Entry, num_classes: int, device: torch.device) -> Tuning:
    largest = max(setting.batch_size for setting in entry.protocol.settings)
    timed = largest if device.type == "cuda" else 2 * PART_IMAGES
    model = models.load(entry.model, seed=0)
    side = model.preprocessing.size

    def train(count: int, steps: int) -> None:
        setting = dataclasses.replace(entry.protocol.settings[0], steps=steps, batch_size=count)
        pixels = np.zeros((count, side, side, 3), np.uint8)
        part = LabelledPixels(pixels, np.arange(count) % num_classes)
        fine_tune(model, part, num_classes, entry.protocol, setting, 0, device)
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        try:
            train(largest, 1)
        except torch.OutOfMemoryError:
            return Tuning(float("nan"), 2 * torch.cuda.mem_get_info(device)[1], side)
        memory = torch.cuda.max_memory_reserved(device)
    else:
        weights = tensors_of(model.backbone)
        few, more = (
            peak_bytes(functools.partial(train, count, 1), weights)
            for count in (PART_IMAGES, 2 * PART_IMAGES)
        )
        slope = max(more - few, 0) / PART_IMAGES
        memory = round(OVERHEAD * (more + slope * (largest - 2 * PART_IMAGES)))
    seconds = _timed(train, timed)
    if seconds * largest / timed < MOST_SECONDS and memory < free_memory(device) / 2:
        timed, seconds = largest, _timed(train, largest)
    return Tuning(seconds / timed, memory, side)


def _timed(train: Callable[[int, int], None], count: int) -> float:
    """Return the time of a training step: the difference between two runs.

    On a busy machine the longer run may be the faster one; then half of its time is returned.
    """
    start = time.perf_counter()
    train(count, 1)
    middle = time.perf_counter()
    train(count, 2)
    one, two = middle - start, time.perf_counter() - middle
    return two - one if two > one else two / 2


# --- totals --------------------------------------------------------------------------------------


def _seconds(
    evaluation: Evaluation,
    frozen: Sequence[Job],
    tuned: Sequence[Job],
    embedding: Embedding | None,
    tuning: Tuning | None,
) -> float:
    seconds = 0.0
    if embedding is not None:
        for job in frozen:
            task = evaluation.tasks[job.task]
            seconds += task.num_images * embedding.seconds_per_image
            fitted = len(task.train.paths) + len(task.val.paths)
            seconds += fitted * embedding.probe_seconds
    if tuning is not None:  # the cost of a job counts a training image as three forward passes
        cost = sum(job.cost for job in tuned)
        seconds += cost * tuning.seconds_per_image / execution.TRAINING_COST
    return seconds


def _memory(
    evaluation: Evaluation,
    frozen: Sequence[Job],
    tuned: Sequence[Job],
    embedding: Embedding | None,
    tuning: Tuning | None,
) -> int:
    needed = [0]
    if embedding is not None:
        largest = max(evaluation.tasks[job.task].num_images for job in frozen)
        features = 2 * 4 * largest * embedding.width  # twice: they are copied when they are joined
        needed.append(round(OVERHEAD * embedding.batch_bytes) + features)
    if tuning is not None:
        largest = max(evaluation.tasks[job.task].num_images for job in tuned)
        needed.append(tuning.memory_bytes + 3 * largest * tuning.side**2)
    return max(needed)


def _disk(evaluation: Evaluation, left: Sequence[Job]) -> int:
    probes = sum(entry.protocol.frozen for entry in evaluation.entries)
    answers = sum(
        len(evaluation.tasks[job.task].test.paths) * (probes if job.kind == "frozen" else 1)
        for job in left
        if job.kind != "select"
    )
    return answers * ANSWER_BYTES + len(left) * RECORD_BYTES


def _measured_rows(
    embedding: Embedding | None,
    tuning: Tuning | None,
    seconds: float,
    evaluation: Evaluation,
    device: torch.device,
) -> list[tuple[str, str, str]]:
    rows = []
    if embedding is not None:
        value = f"{embedding.seconds_per_image * 1000:.3g} ms"
        rows.append(("per image", value, f"decoding and all models, measured on {device}"))
    if tuning is not None:
        value = f"{tuning.seconds_per_image * 1000:.3g} ms"
        rows.append(("per training image", value, f"measured on {device}"))
    how = "in one process"
    if evaluation.workers > 1:
        how += f"; {evaluation.workers} workers share the cores and GPUs of this machine"
    return [*rows, ("total time", duration(seconds), how)]


def _less_memory(evaluation: Evaluation, *, is_tuned: bool) -> str:
    if evaluation.workers > 1:
        return "less memory: fewer --workers"
    if is_tuned:
        return "less memory: a smaller --size with another --out, or protocols of frozen features"
    return "less memory: a smaller --batch-size"
