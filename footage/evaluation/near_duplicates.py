"""Find test images of which a near-duplicate was used to train a model or to fit a classifier.

Neighbouring frames, copies in another size, with another JPEG quality or brightness have almost the
same descriptor, see `images.descriptor`. Descriptors are cached by the content of the data:

    CACHE/descriptors/KEY.safetensors    one row per image
"""

import hashlib
import logging
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float

from footage.errors import CheckpointError, FootageError, OutputError
from footage.evaluation.dataset import Task
from footage.evaluation.features import Unreadable, read_squares
from footage.evaluation.fields import Count, Record, Share
from footage.evaluation.training_data import Source
from footage.images import descriptor
from footage.images.decode import ImageError
from footage.images.opening import open_one
from footage.io import cache, tensors

log = logging.getLogger(__name__)

VERSION: Final = 1
"""Part of every key; a new value invalidates all cached descriptors."""
MOST_IMAGES: Final = 300_000
"""Maximum number of training images of a source to describe [ours]."""
LEAST_SIDE: Final = descriptor.SIZE
"""Images are decoded at no more than about this size."""
ROWS_AT_ONCE: Final = 1 << 12
_NAME: Final = "descriptors"

Descriptors = Float[np.ndarray, "_ 63"]


class NearDuplicates(Record, frozen=True):
    """Test images with a near-duplicate elsewhere; exact copies are counted in `Leakage`."""

    images: Count
    """Among the labelled images that the model was trained on."""
    frames: Count
    """Among the frames of videos that the model was trained on."""
    copies: Count
    """Among the training or validation images of the task itself."""
    threshold: Share
    """Cosine similarity of the descriptors of near-duplicates."""


class TaskDescriptors(NamedTuple):
    """Descriptors of the images of a task."""

    fitted: Descriptors
    """Of the training and validation parts."""
    test: Descriptors


def describe_task(task: Task) -> TaskDescriptors:
    """Describe all images of a task that has a digest of its images; unreadable ones are zeros."""
    paths = [path for part in (task.train, task.val, task.test) for path in part.paths]

    def described() -> Iterator[descriptor.Descriptor]:
        for item in read_squares(paths, [descriptor.SIZE], ahead=256):
            if isinstance(item, Unreadable):
                yield np.zeros(descriptor.DIM, np.float32)
            else:
                yield descriptor.describe(item[descriptor.SIZE])

    every = _cached(f"task {task.images}", described)
    count = len(paths) - len(task.test.paths)
    return TaskDescriptors(every[:count], every[count:])


def describe_source(source: Source) -> tuple[Descriptors, str]:
    """Describe training images; also return why some were left out, or nothing."""
    problems: list[str] = []

    def described() -> Iterator[descriptor.Descriptor]:
        try:
            for number, data in enumerate(source.encoded()):
                if number == MOST_IMAGES:
                    problems.append(f"after the first {MOST_IMAGES:,}")
                    return
                try:
                    pixels = open_one("an image", data).pixels(LEAST_SIDE)
                except ImageError:  # training reports what it cannot decode
                    continue
                yield descriptor.describe(pixels)
        except FootageError as error:
            problems.append(f"({error.message})")

    found = _cached(f"source {source.digest} {MOST_IMAGES}", described, lambda: not problems)
    return found, f"near-duplicates in {source.name} {problems[0]}" if problems else ""


def near(
    queries: Float[np.ndarray, "N 63"], database: Float[np.ndarray, "M 63"]
) -> Bool[np.ndarray, " N"]:
    """Whether each query has a near-duplicate in a database."""
    found = np.zeros(len(queries), bool)
    for first in range(0, len(queries), ROWS_AT_ONCE):
        part = slice(first, first + ROWS_AT_ONCE)
        for start in range(0, len(database), ROWS_AT_ONCE):
            similar = queries[part] @ database[start : start + ROWS_AT_ONCE].T
            found[part] |= (similar > descriptor.THRESHOLD).any(axis=1)
    return found


def _cached(
    content: str,
    images: Callable[[], Iterator[descriptor.Descriptor]],
    is_complete: Callable[[], bool] = lambda: True,
) -> Descriptors:
    """Read descriptors from the cache, or compute them and add them to it."""
    key = hashlib.sha256(f"{VERSION} {content}".encode()).hexdigest()[:32]
    path = cache.folder() / "descriptors" / f"{key}.safetensors"
    if path.exists():
        try:
            return tensors.read(path).tensors[_NAME].float().numpy()
        except (CheckpointError, KeyError) as error:
            log.warning("%s cannot be used and is replaced: %s", path, error)
    rows = list(images())
    described = np.stack(rows) if rows else np.zeros((0, descriptor.DIM), np.float32)
    found = torch.from_numpy(described).half()
    if is_complete():
        try:
            tensors.write(path, {_NAME: found}, {})
        except OutputError as error:
            log.warning("descriptors are not cached: %s", error.message)
    return found.float().numpy()
