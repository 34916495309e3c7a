"""Measurements for `footage evaluate --dry-run`: a batch of images, and a few training steps."""

import dataclasses
import functools
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from footage.evaluation import models
from footage.evaluation.dataset import Task
from footage.evaluation.execution import Entry, Evaluation, Job
from footage.evaluation.features import FeatureExtractor, extract, refuse_unreadable
from footage.evaluation.few_shot import nearest_mean
from footage.evaluation.finetune import LabelledPixels, fine_tune
from footage.evaluation.models import EvaluatedModel
from footage.evaluation.probes import MAJORITY, PROBES, Examples
from footage.evaluation.protocols import Protocol
from footage.training.live_memory import peak_bytes, tensors_of
from footage.training.loader import free_memory
from footage.training.rehearsal import OVERHEAD

PROBE_EXAMPLES = 1000
"""Random examples for timing a probe; more if a task has many classes [ours]."""
PART_IMAGES = 8
"""Batch size of the smaller of two training steps that are measured on a CPU [ours]."""
MOST_SECONDS = 10.0
"""The largest batch is timed on a CPU only if a step should take less than this [ours]."""


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


def embedding_of(
    entries: Sequence[Entry], task: Task, batch_size: int, device: torch.device
) -> Embedding:
    """Time a batch with all models, after a first one that starts decoders and kernels.

    Args:
        entries: Models under frozen protocols.
        task: The task whose images are measured.
        batch_size: Images per forward pass.
        device: The device of the models.
    """
    loaded = {entry.model: models.frozen(entry.model, device).extractor for entry in entries}
    paths = [path for part in (task.train, task.val, task.test) for path in part.paths]
    batch = paths[:batch_size]
    _extracted(batch, loaded, batch_size, task.name)
    start = time.perf_counter()
    widths = _extracted(batch, loaded, batch_size, task.name)
    seconds = (time.perf_counter() - start) / len(batch)
    weights = sum(
        tensor.nbytes
        for model in loaded
        if model.has_backbone
        for tensor in models.load(model, seed=0).backbone.state_dict().values()
    )
    peak = max(_forward_bytes(one, batch_size, device) for one in loaded.values())
    fitted = sum(
        _probe_seconds(entry.protocol, widths[entry.model], task.num_classes)
        for entry in entries
        if entry.protocol.adapt != MAJORITY
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
    if protocol.shots:
        nearest_mean(train, val)
    else:
        PROBES[protocol.adapt](train, val, num_classes)
    return (time.perf_counter() - start) / count


def tuning_of(evaluation: Evaluation, jobs: Sequence[Job], device: torch.device) -> Tuning:
    """Measure a few steps; on a CPU, memory is extrapolated from small batches to the largest."""
    found = [
        _tuned(entry, evaluation.tasks[jobs[0].task].num_classes, device)
        for entry in {evaluation.entries[job.entry]: None for job in jobs}
    ]
    return Tuning(*map(max, zip(*found, strict=True)))


def _tuned(entry: Entry, num_classes: int, device: torch.device) -> Tuning:
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
