"""Frozen features of many images: decode in the sandbox, resize to squares, forward in batches.

One pass over the files serves several extractors, so that a model and its baselines get identical
decoded images and no file is decoded twice.
"""

import collections
import functools
import os
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from footage.errors import ConfigError
from footage.images import confined
from footage.images.common import NAMED_IN_ERRORS
from footage.images.confined import Filter, Squares
from footage.images.limits import ImageError
from footage.models.load import Model
from footage.models.preprocessing import normalise
from footage.shapes import Features, Images

Key = TypeVar("Key", bound=Hashable)
Item = TypeVar("Item")
Result = TypeVar("Result")

RawBatch = UInt8[np.ndarray, "B H W 3"]
RawImage = UInt8[np.ndarray, "H W 3"]

BATCHES_AHEAD = 2
"""Maximum number of decoded batches that wait for the network; bounds memory for long lists."""


class FeatureExtractor(NamedTuple):
    """One way to turn a batch of square images into features."""

    size: int
    function: Callable[[RawBatch], Features]


class Unreadable(NamedTuple):
    """An image that could not be decoded, and why."""

    path: Path
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Extracted(Generic[Key]):
    """Features of the readable images by extractor, and the unreadable images."""

    features: dict[Key, Float[Tensor, "N _"]]
    unreadable: list[Unreadable]


def extract(
    paths: Sequence[Path],
    extractors: Mapping[Key, FeatureExtractor],
    *,
    batch_size: int = 64,
    advance: Callable[[float], None] = lambda _: None,
) -> Extracted[Key]:
    """Extract features of image files in the order of the paths, in memory, on the CPU.

    Args:
        paths: Image files.
        extractors: Feature extractors by name or another key.
        batch_size: Images per forward pass.
        advance: Called with the number of images done since its last call, for a progress bar.
    """
    unreadable: list[Unreadable] = []

    def readable() -> Iterator[dict[int, RawImage]]:
        ahead = BATCHES_AHEAD * batch_size
        for item in read_squares(paths, sizes_of(extractors), ahead=ahead):
            if isinstance(item, Unreadable):
                unreadable.append(item)
            else:
                yield item
            advance(1)

    features = forward(readable(), extractors, batch_size=batch_size)
    return Extracted(features=features, unreadable=unreadable)


def read_squares(
    paths: Sequence[Path], sizes: Sequence[int], *, how: Filter = "area", ahead: int
) -> Iterator[Squares | Unreadable]:
    """Yield image files as squares by size, in order, decoded in sandboxed processes.

    Args:
        paths: Image files.
        sizes: Heights and widths of the squares.
        how: Method of resizing images to squares.
        ahead: Maximum number of decoded images ahead of the reader.
    """

    def read(group: list[Path]) -> list[Squares | ImageError]:
        return confined.shared().squares(group, sizes, how)

    groups = list(batches(paths, confined.IMAGES_PER_CALL))
    read_groups = in_threads(groups, read, ahead=ahead // confined.IMAGES_PER_CALL)
    for group, found in zip(groups, read_groups, strict=True):
        for path, each in zip(group, found, strict=True):
            yield Unreadable(path, each.message) if isinstance(each, ImageError) else each


def forward(
    images: Iterable[Mapping[int, RawImage]],
    extractors: Mapping[Key, FeatureExtractor],
    *,
    batch_size: int = 64,
) -> dict[Key, Float[Tensor, "N _"]]:
    """Compute features by extractor, on the CPU, of a stream of images; empty without images.

    Args:
        images: Each image in every size that an extractor needs, by size.
        extractors: Feature extractors by name or another key.
        batch_size: Images per forward pass.
    """
    collected: dict[Key, list[Tensor]] = {name: [] for name in extractors}
    for batch in batches(images, batch_size):
        for name, extractor in extractors.items():
            pixels = np.stack([image[extractor.size] for image in batch])
            collected[name].append(extractor.function(pixels))
    return {name: torch.cat(parts) for name, parts in collected.items() if parts}


def sizes_of(extractors: Mapping[Key, FeatureExtractor]) -> list[int]:
    """The distinct image sizes that the extractors need."""
    return sorted({extractor.size for extractor in extractors.values()})


def refuse_unreadable(unreadable: Sequence[Unreadable], total: int, name: str) -> None:
    """Raise an error if images of a task are unreadable; skipping them would change the task.

    Raises:
        ConfigError: An image is unreadable.
    """
    if unreadable:
        first = "; ".join(image.reason for image in unreadable[:NAMED_IN_ERRORS])
        raise ConfigError(
            f"{len(unreadable)} of {total} images of {name} cannot be read: {first}",
            "fix or remove them; skipping them silently would change the task",
        )


def model_extractor(model: Model, device: torch.device) -> FeatureExtractor:
    """Pooled features of a backbone, in float32, its layers in evaluation mode."""
    backbone = model.backbone.to(device).eval()

    def function(pixels: RawBatch) -> Features:
        with torch.no_grad():
            features: Features = backbone(network_input(pixels, model, device))
        return features.float().cpu()

    return FeatureExtractor(model.preprocessing.size, function)


def pixel_extractor(size: int = 16) -> FeatureExtractor:
    """The pixels themselves, scaled to 0 to 1: what a task reveals without any network."""
    return FeatureExtractor(
        size, lambda pixels: torch.from_numpy(pixels.reshape(len(pixels), -1)).float() / 255
    )


def constant_extractor(size: int = 16) -> FeatureExtractor:
    """No information: one zero per image."""
    return FeatureExtractor(size, lambda pixels: torch.zeros(len(pixels), 1))


def network_input(pixels: RawBatch, model: Model, device: torch.device) -> Images:
    """Convert bytes to the backbone's input, by the model's own preprocessing."""
    preprocessing = model.preprocessing
    return normalise(torch.from_numpy(pixels), preprocessing.mean, preprocessing.std, device)


def in_threads(
    items: Iterable[Item], function: Callable[[Item], Result], *, ahead: int
) -> Iterator[Result]:
    """Like `map`, but in threads: results are in order, at most `ahead` of them are unread.

    The threads and their sandboxed decoders are kept for the next call.
    """
    waiting: collections.deque[Future[Result]] = collections.deque()
    try:
        for item in items:
            waiting.append(_threads().submit(function, item))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for each in waiting:
            each.cancel()


@functools.cache
def _threads() -> ThreadPoolExecutor:
    threads = min(16, os.cpu_count() or 1)
    return ThreadPoolExecutor(threads, thread_name_prefix="decode")


def batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Consecutive lists of `size` items; the last may be shorter."""
    batch: list[Item] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
