"""Batches for training: made by worker processes, in order, as tensors.

    step -> pixels (batch_making) -> uint8 V S F A H W 3 -> B 3 H W
                                  -> uint8 B H W 3      /
            |------ a worker -------|                |- device -|

A resumed run starts at any step. Pixels are transferred as uint8 and become floats on the device.
"""

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from footage.data.batches import BatchMaker, ImageStream, VideoStream
from footage.data.sampling import BatchPlan
from footage.errors import ConfigError
from footage.shapes import ShotRows, Views
from footage.training.loader_workers import BATCHES_AHEAD, Workers

MOST_WORKERS = 32
"""Largest number of workers that is chosen automatically [ours]."""

GPU_THREADS = 2
"""Cores that a training process on a GPU needs: to launch kernels and to pin memory [ours]."""


class Batch(NamedTuple):
    """The part of a step's batch that one process trains on."""

    step: int
    views: Views | None
    """Unlabelled views; None if no level uses them."""
    plan: BatchPlan | None
    """Origin of each view; rows correspond to the first axis of `views`."""
    images: UInt8[Tensor, "B H W 3"] | None
    """Labelled images; None if no level uses them."""
    labels: Int[Tensor, " B"] | None
    """Class indices of the images."""
    rows: ShotRows | None
    """Row in the store of each shot of the batch of all processes; None without views."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadingConfig:
    """Settings of the loader; they do not affect the content of batches."""

    workers: int
    """Worker processes per training process; 0 decodes and augments in the training process."""
    pin_memory: bool = False
    """Put batches into page-locked memory, from which a GPU copies faster."""

    def __post_init__(self) -> None:
        if self.workers < 0:
            raise ConfigError(f"workers must be at least 0, got {self.workers}")


def automatic_workers(cores: int, threads: int, bytes_per_batch: int, free_bytes: int) -> int:
    """Return the number of loading workers for one training process, at least 1.

    Workers take the cores that training leaves, but at least one in eight: on a CPU, torch uses
    all cores by default, and a view costs several times as much to train on as to load. They hold
    at most half of the available memory in batches. All limits [ours].

    Args:
        cores: Cores that this process may use.
        threads: Cores that training keeps busy.
        bytes_per_batch: Size of this process's part of a batch.
        free_bytes: Available memory of this process.
    """
    wanted = max(cores - threads, cores // 8, 1)
    room = free_bytes // 2 // max(bytes_per_batch * BATCHES_AHEAD, 1)
    return max(min(wanted, MOST_WORKERS, room), 1)


def batches(
    videos: VideoStream | None,
    images: ImageStream | None,
    *,
    seed: int,
    steps: range,
    rank: int = 0,
    world: int = 1,
    loading: LoadingConfig,
) -> "BatchStream":
    """Return the batches of some steps, in order; workers start immediately.

    Args:
        videos: Source of unlabelled views; None loads none.
        images: Source of labelled images; None loads none.
        seed: Seed of the augmentation.
        steps: Indices of the batches; any first step is possible.
        rank: This process among `world`; it takes every `world`-th video and image of a batch.
        world: Number of training processes.
        loading: Settings of the workers.

    Raises:
        ConfigError: The videos or images of a batch do not divide evenly among the processes, or
            the batches in flight do not fit into memory.
        StoreError: A frame cannot be read; the message names its video and shot.
        FootageError: An image cannot be read, or a worker process died.
    """
    if videos:
        _check_even("sampling.videos_per_batch", videos.sampler.config.videos_per_batch, world)
    if images:
        _check_even("labelled.images_per_batch", images.sampler.images_per_batch, world)
    maker = BatchMaker(videos, images, seed, rank, world)
    if loading.workers:
        _check_memory(maker.bytes_per_batch, loading.workers)
    return BatchStream(maker, steps, loading)


class BatchStream(Iterator[Batch]):
    """Batches in order; its worker processes end when it is exhausted, closed, or fails."""

    def __init__(self, maker: BatchMaker, steps: range, loading: LoadingConfig) -> None:
        self._workers = Workers(maker, loading.workers)
        made = _as_batches(maker, self._workers, steps)
        self._batches = _pinned_ahead(made) if loading.pin_memory else made

    def __next__(self) -> Batch:
        try:
            return next(self._batches)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the worker processes immediately."""
        self._workers.close()  # first, because it ends a thread that waits for them
        self._batches.close()


def _check_even(name: str, count: int, world: int) -> None:
    if count % world:
        raise ConfigError(
            f"{name} is {count}, which cannot be divided evenly among {world} processes",
            f"set it to a multiple of {world}",
        )


def _as_batches(maker: BatchMaker, workers: Workers, steps: range) -> Generator[Batch, None, None]:
    for step, pixels in zip(steps, workers.make(steps), strict=True):
        yield Batch(
            step=step,
            views=_tensor(pixels.views),
            plan=maker.plan(step),
            images=_tensor(pixels.images),
            labels=_tensor(maker.labels(step)),
            rows=_tensor(maker.shots(step)),
        )


def _tensor(array: np.ndarray | None) -> Tensor | None:
    return None if array is None else torch.from_numpy(array)


def _pinned_ahead(batches: Iterator[Batch]) -> Generator[Batch, None, None]:
    """Copy batches into page-locked memory; a thread copies the next one while this one is used."""

    def following() -> Batch | None:
        batch = next(batches, None)
        if batch is None:
            return None
        return batch._replace(
            views=_pinned(batch.views),
            images=_pinned(batch.images),
            labels=_pinned(batch.labels),
        )

    with ThreadPoolExecutor(1) as thread:
        future = thread.submit(following)
        while (batch := future.result()) is not None:
            future = thread.submit(following)
            yield batch


def _pinned(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.pin_memory()


def _check_memory(bytes_per_batch: int, workers: int) -> None:
    """Reject, before the start, batches that would make a worker run out of memory later."""
    wanted, free = bytes_per_batch * workers * BATCHES_AHEAD, available_bytes()
    if wanted > free:
        raise ConfigError(
            f"{workers} workers need up to {wanted / 1e6:,.0f} MB for batches, but only"
            f" {free / 1e6:,.0f} MB of memory are available",
            "use fewer --compute.workers or smaller batches",
        )


def available_bytes(
    meminfo: Path = Path("/proc/meminfo"), limit: Path = Path("/sys/fs/cgroup/memory.max")
) -> int:
    """Return the available memory of this machine or of its container."""
    lines = dict(line.split(":", 1) for line in meminfo.read_text().splitlines())
    available = int(lines["MemAvailable"].split()[0]) * 1024
    try:
        return min(available, int(limit.read_text()))
    except (OSError, ValueError):  # not in a container, or in one without a limit
        return available


def free_memory(device: torch.device) -> int:
    """Return the free memory of a GPU, or the available memory of this machine, in bytes."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else available_bytes()
