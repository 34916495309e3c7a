"""Worker processes that turn plans into batches of views, and pixels into what a backbone takes.

    step -> plan (sampling) -> JPEGs (store) -> views (augment) -> uint8 V S F A H W 3 -> B 3 H W
            |---------------- a worker, one whole batch at a time ----------------|  |- device -|

A batch is a pure function of (seed, step), so any number of workers gives the same batches in the
same order, ranks take disjoint videos of one global batch, and a resumed run starts at any step.
Bytes travel as uint8 and become floats on the device.
"""

import multiprocessing
import shutil
import signal
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from footage.augment import AugmentConfig, augment_jpeg
from footage.errors import ConfigError, FootageError, StoreError
from footage.randomness import generator
from footage.sampling import BatchPlan, BatchSampler
from footage.shapes import Views
from footage.store import Store

BATCHES_AHEAD = 2
"""Batches that each worker prepares in advance."""
_SHARED_MEMORY = Path("/dev/shm")


class Batch(NamedTuple):
    """The part of a step's batch that one process trains on."""

    step: int
    views: Views
    plan: BatchPlan
    """Where each view comes from; rows agree with the first axis of `views`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadingConfig:
    """How batches are made; nothing here changes what is in them."""

    workers: int = 2
    """Processes that decode and augment for each training process; 0 does it in that process."""
    pin_memory: bool = False
    """Put batches into page-locked memory, from which a GPU copies faster."""

    def __post_init__(self) -> None:
        if self.workers < 0:
            raise ConfigError(f"workers must be at least 0, got {self.workers}")


def batches(  # noqa: PLR0913 - six of them say which batches
    store: Store,
    sampler: BatchSampler,
    augmentation: AugmentConfig,
    *,
    seed: int,
    start_step: int,
    stop_step: int,
    rank: int = 0,
    world: int = 1,
    loading: LoadingConfig,
) -> Iterator[Batch]:
    """The batches of the steps from `start_step` up to `stop_step`, in order.

    Args:
        store: Where the frames lie.
        sampler: Which frames make the batch of a step.
        augmentation: How views are made of a frame.
        seed: Seed of the augmentation.
        start_step: First step; the steps before it are not needed for it.
        stop_step: The step after the last.
        rank: This process among `world`; it takes every `world`-th video of the global batch.
        world: Processes that train together.
        loading: How the batches are made.

    Raises:
        ConfigError: The videos of a batch do not divide evenly among the processes, or the batches
            in flight do not fit into shared memory.
        StoreError: A frame cannot be read; the message names its video and shot.
        FootageError: A worker process died.
    """
    videos = sampler.config.videos_per_batch
    if videos % world:
        raise ConfigError(
            f"videos_per_batch is {videos}, which {world} processes cannot share evenly",
            f"set videos_per_batch to a multiple of {world}",
        )
    steps = range(start_step, stop_step)
    dataset = _Batches(store, sampler, augmentation, seed, rank, world)
    if loading.workers:
        _check_shared_memory(dataset.bytes_per_batch, loading.workers)
    return _follow(_items(dataset, steps, loading), dataset, steps)


def load_views(
    store: Store,
    plan: BatchPlan,
    augmentation: AugmentConfig,
    views_per_frame: int,
    key: tuple[int, int],
) -> UInt8[np.ndarray, "V S F A H W 3"]:
    """The views of a plan. Each frame is decoded once; draws belong to (key, video, s, f, a).

    Draws go by the position in the batch and not by the frame, so a frame that had to repeat comes
    in other crops and colours.

    Raises:
        StoreError: A frame cannot be read; the message names its video and shot.
    """
    size = augmentation.size
    views = np.empty((*plan.frames.shape, views_per_frame, size, size, 3), dtype=np.uint8)
    for v, video in enumerate(plan.videos):
        for s, row in enumerate(plan.shots[v]):
            try:
                jpegs = store.jpegs(int(row), plan.frames[v, s].tolist())
                for f, jpeg in enumerate(jpegs):
                    views[v, s, f] = augment_jpeg(
                        jpeg,
                        [
                            generator("augment", *key, video, s, f, a)
                            for a in range(views_per_frame)
                        ],
                        augmentation,
                    )
            except StoreError as error:
                raise _named(error, store, int(row)) from error
    return views


def normalise(
    views: UInt8[Tensor, "*axes H W 3"],
    mean: tuple[float, float, float],
    std: tuple[float, float, float],
    device: torch.device | str,
) -> Float[Tensor, "B 3 H W"]:
    """Views as a backbone takes them: flat, float32, normalised, channels last in memory.

    One byte a value goes to the device; the arithmetic happens there.

    Args:
        views: Pixels from 0 to 255 with any leading axes, which become B.
        mean: Mean of red, green and blue, in [0, 1].
        std: Standard deviation of red, green and blue, in [0, 1].
        device: Where the images are wanted.
    """
    flat = views.to(device, non_blocking=True).flatten(0, -4)
    scale = torch.tensor([1 / (255 * each) for each in std], device=flat.device)
    shift = torch.tensor([-m / s for m, s in zip(mean, std, strict=True)], device=flat.device)
    return torch.addcmul(shift, flat, scale).permute(0, 3, 1, 2)


class _Failure(NamedTuple):
    """An error on its way out of a worker: raised there, it would arrive as a page of traceback."""

    message: str
    hint: str


class _Batches(Dataset[Tensor | _Failure]):
    """One item is one whole batch of this rank; the key is its step."""

    def __init__(
        self,
        store: Store,
        sampler: BatchSampler,
        augmentation: AugmentConfig,
        seed: int,
        rank: int,
        world: int,
    ) -> None:
        self.store = store
        self.sampler = sampler
        self.augmentation = augmentation
        self.seed = seed
        self.rank = rank
        self.world = world

    @property
    def bytes_per_batch(self) -> int:
        """Size of this rank's part of a batch."""
        images = self.sampler.config.images_per_batch // self.world
        return images * self.augmentation.size**2 * 3

    def plan(self, step: int) -> BatchPlan:
        """This rank's part of a step's plan."""
        return self.sampler.plan(step).part(self.rank, self.world)

    def __getitem__(self, step: int) -> Tensor | _Failure:
        views_per_frame = self.sampler.config.views_per_frame
        try:
            views = load_views(
                self.store, self.plan(step), self.augmentation, views_per_frame, (self.seed, step)
            )
        except StoreError as error:
            return _Failure(error.message, error.hint)
        return torch.from_numpy(views)


def _items(dataset: _Batches, steps: range, loading: LoadingConfig) -> Iterator[Tensor | _Failure]:
    """The items of the steps in order; workers begin at once."""
    context: BaseContext | None = None
    if loading.workers:
        # Forking this process would copy its threads' locks; the server forks one that has none.
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([__name__])
    with warnings.catch_warnings():
        # More workers than cores are slow, not wrong, and they were asked for.
        warnings.filterwarnings("ignore", "This DataLoader will create", UserWarning)
        loader = DataLoader(
            dataset,
            batch_size=None,
            sampler=steps,
            num_workers=loading.workers,
            prefetch_factor=BATCHES_AHEAD if loading.workers else None,
            multiprocessing_context=context,
            worker_init_fn=_begin_worker,
            pin_memory=loading.pin_memory,
        )
        return iter(loader)


def _begin_worker(_: int) -> None:
    # Terminals and schedulers signal the whole process group. Whether to stop is for the training
    # process to say, which still wants its last batches; workers end with it.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    # Workers already fill the cores; threads inside them would only take turns.
    torch.set_num_threads(1)
    cv2.setNumThreads(0)


def _follow(items: Iterator[Tensor | _Failure], dataset: _Batches, steps: range) -> Iterator[Batch]:
    try:
        for step in steps:
            item = _next(items, step)
            if isinstance(item, _Failure):
                raise StoreError(item.message, item.hint)
            yield Batch(step, item, dataset.plan(step))
    finally:
        # The last reference: workers end now, and not when an error's traceback is collected.
        del items


def _next(items: Iterator[Tensor | _Failure], step: int) -> Tensor | _Failure:
    try:
        return next(items)
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise FootageError(
            f"a loading worker died before step {step}: {str(error).splitlines()[0]}",
            "memory ran out, most often: use fewer workers, smaller batches or more /dev/shm; "
            'at the first step: a script needs `if __name__ == "__main__":` around its training',
        ) from error


def _named(error: StoreError, store: Store, row: int) -> StoreError:
    video, shot = (store.shots[name][row].as_py() for name in ("video", "shot"))
    return StoreError(f"shot {shot} of video {video}: {error.message}", error.hint)


def _check_shared_memory(bytes_per_batch: int, workers: int) -> None:
    """Refuse at the start what would kill a worker with a bus error in the middle of a run."""
    if not _SHARED_MEMORY.is_dir():
        return
    wanted, free = bytes_per_batch * workers * BATCHES_AHEAD, shutil.disk_usage(_SHARED_MEMORY).free
    if wanted > free:
        raise ConfigError(
            f"{workers} workers hold up to {wanted / 1e6:.0f} MB of batches in {_SHARED_MEMORY}, "
            f"which has {free / 1e6:.0f} MB free",
            "use fewer workers or smaller batches, or give the machine more shared memory",
        )
