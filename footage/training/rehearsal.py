"""Measure a few training steps without a run folder: memory, time, and time to load a batch.

On a GPU, memory is that of a whole step. On a CPU it is the sum of all tensors that are alive at
the same time, counted in steps of a few videos and extrapolated linearly to the whole batch; see
`footage.training.live_memory`. `benchmarks/dry_run_memory.py` measures the error of this estimate.
"""

import contextlib
import functools
import time
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import nn

from footage.data.sampling import BatchPlan
from footage.training import setup
from footage.training.config import TrainConfig
from footage.training.datasets import Data
from footage.training.live_memory import peak_bytes, tensors_of
from footage.training.loader import Batch
from footage.training.module import TrainState
from footage.training.updates import Updates

OVERHEAD = 1.25
"""Memory of a process on a CPU, relative to its tensors, with kernels and allocator [ours]."""

ESTIMATE_ERROR = 0.2
"""Largest relative error of `OVERHEAD` times the counted tensors, rounded up, among the networks of
benchmarks/dry_run_memory.py."""

MOST_SECONDS = 30.0
"""On a CPU, the whole batch is timed only if a step is expected to take less than this [ours]."""

PART_IMAGES = 128
"""Images of the larger part of a batch whose memory is counted [ours]."""

LOADED_BATCHES = 3
"""Batches whose loading is timed, after those that the workers prepare in advance [ours]."""

TIMED_STEPS = 3
"""Steps that are timed after a first one that sets up the network [ours]."""


class Rehearsal(NamedTuple):
    """Measurements of a few steps on this machine."""

    memory_bytes: int
    """Memory of the training process for tensors, on its device."""
    fixed_bytes: int
    """The part of it that does not depend on the batch: weights, gradients, moments."""
    is_measured: bool
    """Whether the memory is measured on a whole step; else it is estimated."""
    step_seconds: float
    """Time to compute one step."""
    is_whole_step: bool
    """Whether a step of the whole batch was timed; else one of fewer videos was."""
    load_seconds: float
    """Time in which the loading workers deliver a batch."""
    workers: int
    """Number of loading workers."""


def rehearse(
    config: TrainConfig, data: Data, state: TrainState, device: torch.device, every: int
) -> Rehearsal:
    """Take a few steps, from which the state changes.

    Args:
        config: The training configuration.
        data: Its data.
        state: The state before the first step.
        device: Where it trains.
        every: Steps between two fetches of losses; more than one needs a copy of the state.

    Raises:
        FootageError: A frame cannot be read, or a loading worker died.
        torch.OutOfMemoryError: The GPU has too little memory for one step.
    """
    batch, load_seconds, workers = _load(config, data, device)
    state.learner.train()
    updates = Updates(state, every)
    with setup.threads_of(config, device) as after_step:
        if device.type == "cuda":
            seconds = [_seconds(config, state, updates, batch, device) for _ in range(4)]
            memory = torch.cuda.max_memory_reserved(device)
            fixed = sum(one.numel() * one.element_size() for one in _fixed(state, updates))
            return Rehearsal(memory, fixed, True, min(seconds[1:]), True, load_seconds, workers)
        few, more = _small_parts(config, batch)
        _seconds(config, state, updates, few, device)
        memory, fixed = _estimate(config, state, updates, (few, more, batch))
        part, seconds_of_part = more, _seconds(config, state, updates, more, device)
        after_step(seconds_of_part)
        expected = seconds_of_part * _images(batch) / _images(more)
        if expected < MOST_SECONDS:
            part = batch
        timed = [_seconds(config, state, updates, part, device) for _ in range(TIMED_STEPS)]
        step_seconds = min(timed) * _images(batch) / _images(part)
        memory = round(OVERHEAD * memory)
        return Rehearsal(memory, fixed, False, step_seconds, part is batch, load_seconds, workers)


def _load(config: TrainConfig, data: Data, device: torch.device) -> tuple[Batch, float, int]:
    """Return a batch, the seconds per batch when workers are busy, and their number."""
    ahead = 0
    workers = setup.workers_of(config, data, device)
    count = 1 + workers * 2 + LOADED_BATCHES
    with contextlib.closing(setup.loader(config, data, range(count), device)) as loader:
        first = next(loader)
        start = time.perf_counter()
        for _ in loader:
            ahead += 1
        return first, (time.perf_counter() - start) / ahead, workers


def _seconds(
    config: TrainConfig, state: TrainState, updates: Updates, batch: Batch, device: torch.device
) -> float:
    """Take one step and return its duration."""
    start = time.perf_counter()
    _step(config, state, updates, batch)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def _step(config: TrainConfig, state: TrainState, updates: Updates, batch: Batch) -> None:
    updates.before_forward()
    loss = _gradients(state, batch)
    bound = config.gradient_clip or float("inf")
    norm = nn.utils.clip_grad_norm_(state.learner.parameters(), bound)
    updates.update(loss, norm, 0.0, teacher_decay=1.0)


def _gradients(state: TrainState, batch: Batch) -> torch.Tensor:
    loss: torch.Tensor
    loss, _ = state.learner(batch)
    state.optimizer.zero_grad(set_to_none=True)
    state.learner.backward(loss)
    return loss.detach()


def _small_parts(config: TrainConfig, batch: Batch) -> tuple[Batch, Batch]:
    """Return two parts of a batch, with a quarter and a half of it, or less if that is much."""
    share = min(0.5, max(PART_IMAGES, 4 * config.compute.accumulate) / _images(batch))
    least = max(2, config.objective.least_videos)
    parts = (_part(batch, one, config.compute.accumulate, least) for one in (share / 2, share))
    return next(parts), next(parts)


def _part(batch: Batch, share: float, least_images: int, least_videos: int) -> Batch:
    def first(count: int, smallest: int) -> int:
        return min(max(round(count * share), smallest), count)

    if batch.images is not None and batch.labels is not None:
        number = first(len(batch.images), least_images)
        batch = batch._replace(images=batch.images[:number], labels=batch.labels[:number])
    if batch.views is not None and batch.plan is not None and batch.rows is not None:
        number = first(len(batch.views), least_videos)
        batch = batch._replace(
            views=batch.views[:number],
            plan=BatchPlan(*(column[:number] for column in batch.plan)),
            rows=batch.rows[:number],
        )
    return batch


def _images(batch: Batch) -> int:
    views = 0 if batch.views is None else batch.views.shape[:4].numel()
    return views + (0 if batch.images is None else len(batch.images))


def _fixed(state: TrainState, updates: Updates) -> Iterator[torch.Tensor]:
    yield from tensors_of(state.learner)
    if state.learner.frozen_teacher is not None:
        yield from tensors_of(state.learner.frozen_teacher.backbone)
    yield from updates.tensors()


def _estimate(
    config: TrainConfig, state: TrainState, updates: Updates, parts: tuple[Batch, Batch, Batch]
) -> tuple[int, int]:
    """Return the memory of the whole batch, and the part that does not depend on the batch.

    The memory of forward and backward pass is a straight line through two smaller batches; that of
    the update does not depend on the batch.
    """
    storages = (one.untyped_storage() for one in _fixed(state, updates))
    size = sum({one.data_ptr(): one.nbytes() for one in storages}.values())
    few, more, whole = parts
    peaks = []
    for part in (few, more):
        run = functools.partial(_gradients, state, part)
        peaks.append(peak_bytes(run, _fixed(state, updates)))
    update = peak_bytes(
        functools.partial(_step, config, state, updates, few), _fixed(state, updates)
    )
    images = _images(more) - _images(few)
    slope = max(peaks[1] - peaks[0], 0) / images if images else 0.0
    passes = round(peaks[1] + slope * (_images(whole) - _images(more)))
    return max(passes, update), size
