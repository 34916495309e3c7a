"""Make the pixels of a training batch, a pure function of (seed, step), without torch.

    step -> plan (sampling) -> JPEGs (store) -> views (augment) -> uint8 V S F A H W 3
         -> plan (images)   -> files         -> views (images)  -> uint8 B H W 3

The batches do not depend on the number of workers. Ranks take disjoint videos of a global batch.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import pyarrow as pa
from jaxtyping import Int, UInt8

from footage.data.config import AugmentConfig, LabelledViewConfig
from footage.data.image_sampler import ImageSampler
from footage.data.image_views import labelled_view_of
from footage.data.sampling import BatchPlan, BatchSampler
from footage.data.views import augment_jpeg
from footage.errors import StoreError
from footage.images.dataset import LabelledImages
from footage.images.opening import opened
from footage.seeding import generator


@runtime_checkable
class FrameSource(Protocol):
    """A source of frames: a frame store, or still images with the same interface."""

    @property
    def shots(self) -> pa.Table:
        """One row per shot, with the columns `video`, `shot` and `num_frames`."""

    def encoded(self, row: int, indices: Sequence[int]) -> list[bytes]:
        """Return the encoded images of some frames of a shot."""

    def prefetch(self, rows: Iterable[int], frames: Iterable[Sequence[int]]) -> None:
        """Start to read remote frames that `encoded` will return later; do not wait."""


class VideoStream(NamedTuple):
    """The source of the unlabelled views of a batch."""

    frames: FrameSource
    sampler: BatchSampler
    """Selects the frames of the batch of a step."""
    augment: AugmentConfig
    """Augmentation of frames."""


class ImageStream(NamedTuple):
    """The source of the labelled images of a batch."""

    images: LabelledImages
    sampler: ImageSampler
    """Selects the images of the batch of a step."""
    view: LabelledViewConfig
    """Augmentation of labelled images."""
    size: int
    """Height and width of the views, in pixels."""


class Pixels(NamedTuple):
    """The pixels that one process trains on in a step."""

    views: UInt8[np.ndarray, "V S F A H W 3"] | None
    """Views without labels; None if no objective uses them."""
    images: UInt8[np.ndarray, "B H W 3"] | None
    """Views with labels; None if no objective uses them."""


class BatchMaker:
    """Make one rank's part of the batch of any step.

    Args:
        videos: Source of unlabelled views, or None.
        images: Source of labelled images, or None.
        seed: Seed of the augmentation.
        rank: Index of this process; it takes every `world`-th video and image of a batch.
        world: Number of processes that train together.
    """

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
        """Return this rank's part of a step's plan."""
        return self.videos.sampler.plan(step).part(self.rank, self.world) if self.videos else None

    def shots(self, step: int) -> Int[np.ndarray, "V S"] | None:
        """Return the row in the store of each shot of a step's batch, of all ranks together."""
        return self.videos.sampler.plan(step).shots if self.videos else None

    def rows(self, step: int) -> Int[np.ndarray, " B"] | None:
        """Return the rows of this rank's labelled images of a step."""
        if self.images is None:
            return None
        rows: Int[np.ndarray, " B"] = self.images.sampler.plan(step)[self.rank :: self.world]
        return rows

    def labels(self, step: int) -> Int[np.ndarray, " B"] | None:
        """Return the classes of this rank's labelled images of a step."""
        rows = self.rows(step)
        if self.images is None or rows is None:
            return None
        labels: Int[np.ndarray, " B"] = self.images.images.labels[rows]
        return labels

    def prefetch(self, step: int) -> None:
        """Start to read the frames of a step; do not wait for them."""
        plan = self.plan(step)
        if self.videos is not None and plan is not None:
            frames = plan.frames.reshape(-1, plan.frames.shape[-1]).tolist()
            self.videos.frames.prefetch(plan.shots.reshape(-1).tolist(), frames)

    def make(self, step: int) -> Pixels:
        """Make the pixels of a step.

        Raises:
            StoreError: A frame cannot be read; the message names its video and shot.
            ImageError: A labelled image cannot be read.
        """
        return Pixels(self._views(step), self._images(step))

    def _views(self, step: int) -> UInt8[np.ndarray, "V S F A H W 3"] | None:
        plan = self.plan(step)
        if self.videos is None or plan is None:
            return None
        views_per_frame = self.videos.sampler.config.views_per_frame
        return load_views(
            self.videos.frames, plan, self.videos.augment, views_per_frame, (self.seed, step)
        )

    def _images(self, step: int) -> UInt8[np.ndarray, "B H W 3"] | None:
        rows = self.rows(step)
        if self.images is None or rows is None:
            return None
        source, _, view, size = self.images
        images = np.empty((len(rows), size, size, 3), dtype=np.uint8)
        encoded = ((source.name(row), source.encoded(row)) for row in rows.tolist())
        for place, image in enumerate(opened(encoded)):
            # Keyed by the position in the global batch: the number of ranks does not matter.
            random = generator("image", self.seed, step, self.rank + place * self.world)
            images[place] = labelled_view_of(image, random, view, size)
        return images


def load_views(
    store: FrameSource,
    plan: BatchPlan,
    augmentation: AugmentConfig,
    views_per_frame: int,
    key: tuple[int, int],
) -> UInt8[np.ndarray, "V S F A H W 3"]:
    """Load the views of a plan; draws are keyed by (key, video, s, f, a).

    Each frame is decoded once. Draws depend on the position in the batch and not on the frame, so
    a repeated frame gets different crops and colours. If the frames of a shot share their draws,
    the `f` of the key is 0.

    Raises:
        StoreError: A frame cannot be read; the message names its video and shot.
    """
    size = augmentation.size
    is_own = augmentation.draw_per == "frame"
    views = np.empty((*plan.frames.shape, views_per_frame, size, size, 3), dtype=np.uint8)
    for v, video in enumerate(plan.videos):
        for s, row in enumerate(plan.shots[v]):
            try:
                jpegs = store.encoded(int(row), plan.frames[v, s].tolist())
                for f, jpeg in enumerate(jpegs):
                    views[v, s, f] = augment_jpeg(
                        jpeg,
                        [
                            generator("augment", *key, video, s, is_own * f, a)
                            for a in range(views_per_frame)
                        ],
                        augmentation,
                    )
            except StoreError as error:
                raise _named(error, store, int(row)) from error
    return views


def _named(error: StoreError, store: FrameSource, row: int) -> StoreError:
    video, shot = (store.shots[name][row].as_py() for name in ("video", "shot"))
    return StoreError(f"shot {shot} of video {video}: {error.message}", error.hint)
