"""Worker processes that turn plans into batches of views, and pixels into what a backbone takes.

    step -> plan (sampling) -> JPEGs (store) -> views (augment) -> uint8 V S F A H W 3 -> B 3 H W
         -> plan (images)   -> files         -> views (images)  -> uint8 B H W 3      /
            |---------------- a worker, one whole batch at a time ----------------|  |- device -|

A batch is a pure function of (seed, step), so any number of workers gives the same batches in the
same order, ranks take disjoint videos of one global batch, and a resumed run starts at any step.
Bytes travel as uint8 and become floats on the device.
"""

import multiprocessing
import multiprocessing.forkserver
import shutil
import signal
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

import cv2
import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from footage import interpreters
from footage.augment import AugmentConfig, augment_jpeg
from footage.errors import ConfigError, FootageError, StoreError
from footage.images.batches import ImageSampler
from footage.images.labelled import LabelledImages
from footage.images.views import LabelledViewConfig, labelled_view_of
from footage.randomness import generator
from footage.sampling import BatchPlan, BatchSampler
from footage.shapes import Views

BATCHES_AHEAD = 2
"""Batches that each worker prepares in advance."""
_SHARED_MEMORY = Path("/dev/shm")


@runtime_checkable
class FrameSource(Protocol):
    """What views are made of: a store of frames, or still images with the face of one."""

    @property
    def shots(self) -> pa.Table:
        """One row a shot, with the columns `video`, `shot` and `num_frames`."""

    def encoded(self, row: int, indices: Sequence[int]) -> list[bytes]:
        """The files of some frames of a shot."""


class VideoStream(NamedTuple):
    """Where the unlabelled views of a batch come from."""

    frames: FrameSource
    sampler: BatchSampler
    """Which frames make the batch of a step."""
    augment: AugmentConfig
    """How views are made of a frame."""


class ImageStream(NamedTuple):
    """Where the labelled images of a batch come from."""

    images: LabelledImages
    sampler: ImageSampler
    """Which images make the batch of a step."""
    view: LabelledViewConfig
    """How a view is made of an image."""
    size: int
    """Height and width of that view, in pixels."""


class Batch(NamedTuple):
    """The part of a step's batch that one process trains on."""

    step: int
    views: Views | None
    """Without labels; None where nothing learns from them."""
    plan: BatchPlan | None
    """Where each view comes from; rows agree with the first axis of `views`."""
    images: UInt8[Tensor, "B H W 3"] | None
    """With labels; None where nothing learns from them."""
    labels: Int[Tensor, " B"] | None
    """Their class numbers."""


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


def batches(
    videos: VideoStream | None,
    images: ImageStream | None,
    *,
    seed: int,
    steps: range,
    rank: int = 0,
    world: int = 1,
    loading: LoadingConfig,
) -> Iterator[Batch]:
    """The batches of some steps, in order.

    Args:
        videos: Where unlabelled views come from; None loads none.
        images: Where labelled images come from; None loads none.
        seed: Seed of the augmentation.
        steps: Numbers of the batches; the steps before the first are not needed for it.
        rank: This process among `world`; it takes every `world`-th video and image of a batch.
        world: Processes that train together.
        loading: How the batches are made.

    Raises:
        ConfigError: The videos or images of a batch do not divide evenly among the processes, or
            the batches in flight do not fit into shared memory.
        StoreError: A frame cannot be read; the message names its video and shot.
        FootageError: An image cannot be read, or a worker process died.
    """
    if videos:
        _check_even("sampling.videos_per_batch", videos.sampler.config.videos_per_batch, world)
    if images:
        _check_even("labelled.images_per_batch", images.sampler.images_per_batch, world)
    dataset = _Batches(videos, images, seed, rank, world)
    if loading.workers:
        _check_shared_memory(dataset.bytes_per_batch, loading.workers)
    return _follow(_items(dataset, steps, loading), dataset, steps)


def _check_even(name: str, count: int, world: int) -> None:
    if count % world:
        raise ConfigError(
            f"{name} is {count}, which {world} processes cannot share evenly",
            f"set it to a multiple of {world}",
        )


def load_views(
    store: FrameSource,
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
                jpegs = store.encoded(int(row), plan.frames[v, s].tolist())
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
    of_store: bool


class _Pixels(NamedTuple):
    """What a worker makes of a step."""

    views: Tensor | None
    images: Tensor | None


class _Batches(Dataset[_Pixels | _Failure]):
    """One item is one whole batch of this rank; the key is its step."""

    def __init__(
        self,
        videos: VideoStream | None,
        images: ImageStream | None,
        seed: int,
        rank: int,
        world: int,
    ) -> None:
        self.videos = videos
        self.images = images
        self.seed = seed
        self.rank = rank
        self.world = world

    @property
    def bytes_per_batch(self) -> int:
        """Size of this rank's part of a batch."""
        pixels = 0
        if self.videos:
            views = self.videos.sampler.config.images_per_batch
            pixels += views * self.videos.augment.size**2
        if self.images:
            pixels += self.images.sampler.images_per_batch * self.images.size**2
        return pixels // self.world * 3

    def plan(self, step: int) -> BatchPlan | None:
        """This rank's part of a step's plan."""
        return self.videos.sampler.plan(step).part(self.rank, self.world) if self.videos else None

    def rows(self, step: int) -> Int[np.ndarray, " B"] | None:
        """This rank's labelled images of a step."""
        if self.images is None:
            return None
        rows: Int[np.ndarray, " B"] = self.images.sampler.plan(step)[self.rank :: self.world]
        return rows

    def labels(self, step: int) -> Tensor | None:
        """Their classes."""
        rows = self.rows(step)
        if self.images is None or rows is None:
            return None
        return torch.from_numpy(self.images.images.labels[rows])

    def __getitem__(self, step: int) -> _Pixels | _Failure:
        try:
            return _Pixels(self._views(step), self._images(step))
        except FootageError as error:
            return _Failure(error.message, error.hint, isinstance(error, StoreError))

    def _views(self, step: int) -> Tensor | None:
        plan = self.plan(step)
        if self.videos is None or plan is None:
            return None
        views_per_frame = self.videos.sampler.config.views_per_frame
        return torch.from_numpy(
            load_views(
                self.videos.frames, plan, self.videos.augment, views_per_frame, (self.seed, step)
            )
        )

    def _images(self, step: int) -> Tensor | None:
        rows = self.rows(step)
        if self.images is None or rows is None:
            return None
        source, _, view, size = self.images
        images = np.empty((len(rows), size, size, 3), dtype=np.uint8)
        for place, row in enumerate(rows.tolist()):
            # the place in the global batch, so that any number of ranks draws alike
            random = generator("image", self.seed, step, self.rank + place * self.world)
            data = source.encoded(row)
            images[place] = labelled_view_of(data, source.name(row), random, view, size)
        return torch.from_numpy(images)


def _items(dataset: _Batches, steps: range, loading: LoadingConfig) -> Iterator[_Pixels | _Failure]:
    """The items of the steps in order; workers begin at once."""
    context: BaseContext | None = None
    if loading.workers:
        # Forking this process would copy its threads' locks; the server forks one that has none.
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([__name__])
        with interpreters.safe_path():
            multiprocessing.forkserver.ensure_running()
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


def _follow(
    items: Iterator[_Pixels | _Failure], dataset: _Batches, steps: range
) -> Iterator[Batch]:
    try:
        for step in steps:
            item = _next(items, step)
            if isinstance(item, _Failure):
                raise (StoreError if item.of_store else FootageError)(item.message, item.hint)
            yield Batch(step, item.views, dataset.plan(step), item.images, dataset.labels(step))
    finally:
        # The last reference: workers end now, and not when an error's traceback is collected.
        del items


def _next(items: Iterator[_Pixels | _Failure], step: int) -> _Pixels | _Failure:
    try:
        return next(items)
    except (RuntimeError, ConnectionError, EOFError, FileNotFoundError) as error:
        # torch itself says so, or the memory of a batch cannot be had from the process that is gone
        if isinstance(error, RuntimeError) and "DataLoader worker" not in str(error):
            raise
        raise FootageError(
            f"a loading worker died before step {step}: {str(error).partition(chr(10))[0]}",
            "memory ran out, most often: use fewer workers, smaller batches or more /dev/shm; "
            'at the first step: a script needs `if __name__ == "__main__":` around its training',
        ) from error


def _named(error: StoreError, store: FrameSource, row: int) -> StoreError:
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
