"""Data of a run: the store and labelled images to train on, and the frames for online metrics."""

import dataclasses
import logging
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Int

from footage import distributed
from footage.data.batches import FrameSource, ImageStream, VideoStream
from footage.data.image_sampler import ImageSampler
from footage.data.label_subset import label_fraction
from footage.data.sampling import BatchSampler, TooFewVideosError, hold_out, shot_table
from footage.errors import ConfigError, StoreError
from footage.images.as_videos import ImagesAsVideos
from footage.images.dataset import LabelledImages, open_images
from footage.io.copies import with_urls
from footage.runs import layout
from footage.store.columns import column, one_chunk
from footage.store.reader import Store
from footage.training.config import TrainConfig

log = logging.getLogger(__name__)


class Data(NamedTuple):
    """Training data, and the frames for online metrics."""

    config: TrainConfig
    """The configuration; its batch is smaller if there are not enough data for it."""
    capped: dict[str, int]
    """Requested batch sizes that the data are too few for, by the name of their setting."""

    videos: VideoStream | None
    """Unlabelled views; None if no level needs them."""
    images: ImageStream | None
    """Labelled images; None if no level needs them."""
    watched: list[str]
    """Ids of the videos, or of the still images, for online metrics."""
    held_out: list[str]
    """Ids of videos excluded from training; still images are never held out."""
    picked: Int[np.ndarray, " N"]
    """Rows of the labelled images whose labels are used."""
    sources: dict[str, str]
    """Paths and hashes of the store and the images, as in run.json."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Return the class names of the labelled images; a label is an index into them."""
        return self.images.images.classes if self.images else ()

    @property
    def num_videos(self) -> int:
        """Return the number of training videos."""
        return self.videos.sampler.num_eligible if self.videos and self.sources["store"] else 0

    @property
    def record(self) -> dict[str, Any]:
        """Return the entries of run.json that describe the data."""
        return {
            **self.sources,
            "capped": self.capped,
            "classes": list(self.classes),
            "videos_used": self.num_videos,
            "labels_used": len(self.picked),
            "held_out": self.held_out,
        }


def open_data(
    config: TrainConfig, store: str | Path, images: str | Path, store_hash: str = ""
) -> Data:
    """Open the streams that a configuration needs, from a store and labelled images.

    Args:
        config: The training configuration.
        store: A frame store; empty to train on images alone.
        store_hash: Content hash of an earlier version of the store; empty for the newest.
        images: A path that `footage.images.dataset.open_images` can open; empty for none.

    Raises:
        ConfigError: A required source is missing, or a source has no effect; there are too few
            videos or images for any batch.
        StoreError: The store is missing or damaged.
    """
    _check_given(config, str(store), str(images))
    opened = Store.open(store, store_hash) if str(store) else None
    labelled = open_images(images) if str(images) else None
    frames: FrameSource | None = opened
    if config.unlabelled_source == "images" and config.objective.has_unlabelled_level:
        assert labelled is not None
        frames = ImagesAsVideos(labelled, np.arange(len(labelled)))
    videos, watched, held_out, requested = None, [], [], config.sampling.videos_per_batch
    if frames is not None:
        codes, ids = _video_ids(frames.shots)
        if config.unlabelled_source == "videos":
            _check_enough_videos(len(ids), config, str(store))
            excluded = hold_out(ids, config.held_out_fraction, config.seed).nonzero()[0]
            watched = held_out = [ids[number] for number in excluded]
        else:
            excluded = np.zeros(0, dtype=np.int64)
            watched = ids[:: max(1, len(ids) // config.metrics_frames)]
        table = shot_table(codes, column(frames.shots, "num_frames"), excluded)
        try:
            sampler = BatchSampler(table, config.sampling, config.seed)
        except TooFewVideosError as error:
            config = _capped(config, error)
            sampler = BatchSampler(table, config.sampling, config.seed)
        videos = VideoStream(frames, sampler, config.augment)
    stream, picked = _labelled(config, labelled)
    sources = _sources(opened, labelled)
    is_capped = config.sampling.videos_per_batch < requested
    capped = {"sampling.videos_per_batch": requested} if is_capped else {}
    return Data(config, capped, videos, stream, watched, held_out, picked, sources)


def _video_ids(shots: pa.Table) -> tuple[Int[np.ndarray, " N"], list[str]]:
    """Return the number of each shot's video, counted by first appearance, and the ids by number.

    Nothing is converted to Python objects per shot, of which there may be many millions.
    """
    names = one_chunk(shots["video"])
    if not isinstance(names, pa.DictionaryArray):
        names = names.dictionary_encode()
    codes = names.indices.to_numpy()
    present, first = np.unique(codes, return_index=True)
    order = np.argsort(first)
    number = np.zeros(len(names.dictionary), dtype=np.int64)
    number[present[order]] = np.arange(len(present))
    return number[codes], names.dictionary.take(pa.array(present[order])).to_pylist()


def _capped(config: TrainConfig, error: TooFewVideosError) -> TrainConfig:
    """Return the configuration with the largest batch that the eligible videos or images allow.

    Raises:
        TooFewVideosError: There are not even enough for one per process, or for the levels.
    """
    world = distributed.world_size()
    found = error.num_eligible
    number = found - found % world
    if number < max(config.objective.least_videos, 1):
        raise error
    what = "images" if config.unlabelled_source == "images" else "training videos"
    if distributed.rank() == 0:
        log.warning(
            "sampling.videos_per_batch is %d, but only %d %s can be used: a batch has %d; the"
            " learning rate stays the same",
            config.sampling.videos_per_batch, found, what, number,
        )  # fmt: skip
    sampling = dataclasses.replace(config.sampling, videos_per_batch=number)
    return dataclasses.replace(config, sampling=sampling)


def version_for_run(run: Path, store: str | Path) -> str:
    """Return the content hash of the version of a store that a run was started with.

    Returns:
        The hash if the store has grown since then and still contains that version; otherwise an
        empty string, for the newest version.
    """
    if not str(store) or not (run / layout.RUN).exists():
        return ""
    wanted = str(layout.read_record(run).get("store_hash", ""))
    if not wanted or Store.content_hash_of(store) == wanted:
        return ""
    try:
        Store.content_hash_of(store, wanted)
    except StoreError:
        return ""  # another store, which the run folder will reject
    return wanted


def with_earlier_cap(config: TrainConfig, run: Path) -> TrainConfig:
    """Return the configuration with the batch of a run that is resumed, if that was capped.

    Another number of processes may then divide the batch, or not, but never changes it.

    Raises:
        CheckpointError: run.json cannot be read.
    """
    if not (run / layout.RUN).exists():
        return config
    record = layout.read_record(run)
    requested = record.get("capped", {}).get("sampling.videos_per_batch")
    if requested != config.sampling.videos_per_batch:
        return config
    earlier = record["config"]["sampling"]["videos_per_batch"]
    sampling = dataclasses.replace(config.sampling, videos_per_batch=earlier)
    return dataclasses.replace(config, sampling=sampling)


def _check_given(config: TrainConfig, store: str, images: str) -> None:
    objective = config.objective
    learns_from_images = objective.has_unlabelled_level and config.unlabelled_source == "images"
    wants_store = config.learns_from_videos
    wants_images = objective.supervised.weight > 0 or learns_from_images
    if wants_store and not store:
        raise ConfigError("this recipe needs a frame store", "pass --store STORE")
    if store and not wants_store:
        raise ConfigError(
            f"--store {store!r} has no effect: this recipe trains on images only",
            "drop --store, or choose a video recipe",
        )
    if wants_images and not images:
        raise ConfigError(
            "no labelled images are given, but objective.supervised.weight is "
            f"{objective.supervised.weight}",
            "pass --labels DIR, such as a folder with one subfolder per class",
        )
    if images and not wants_images:
        raise ConfigError(
            f"--labels {images!r} has no effect: objective.supervised.weight is 0, so the labels "
            "are not used",
            "use vivi-ex4-co, or set --objective.supervised.weight 1",
        )


def _check_enough_videos(num_videos: int, config: TrainConfig, store: str) -> None:
    """Reject a store that is too small for any batch size, before other errors are reported."""
    trained, held_out = config.objective.least_videos, int(config.held_out_fraction > 0)
    if num_videos >= trained + held_out:
        return
    kept = f" and {held_out} to hold out" if held_out else ""
    raise ConfigError(
        f"the store {store!r} contains {num_videos} video{'s' * (num_videos != 1)}, but this"
        f" configuration needs at least {trained} to train on{kept}",
        f"ingest at least {trained + held_out} videos into the store",
    )


def _labelled(
    config: TrainConfig, images: LabelledImages | None
) -> tuple[ImageStream | None, Int[np.ndarray, " N"]]:
    if images is None or not config.objective.supervised.weight:
        return None, np.zeros(0, dtype=np.int64)
    rows = label_fraction(images.names, images.labels, config.label_fraction, config.seed)
    sampler = ImageSampler(rows, config.labelled.images_per_batch, config.seed)
    stream = ImageStream(images, sampler, config.labelled.view, config.augment.size)
    return stream, rows


def _sources(store: Store | None, images: LabelledImages | None) -> dict[str, str]:
    return {
        "store": store.location if store else "",
        "store_hash": store.content_hash if store else "",
        "images": with_urls(str(images.path.resolve())) if images else "",
        "images_hash": images.content_hash if images else "",
    }
