"""Queries of a search: images and videos as vectors, each with small pictures for the page."""

import itertools
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
import simplejpeg
import torch
from jaxtyping import Float

from footage.embedding import rows
from footage.embedding.config import EmbedConfig
from footage.embedding.parts import Failure
from footage.errors import ConfigError
from footage.evaluation.features import batches, model_extractor
from footage.images.resize import resized
from footage.ingestion.source_table import Source
from footage.ingestion.sources import find
from footage.models.load import Model
from footage.retrieval.config import SearchConfig
from footage.retrieval.features import Vectors, unit

log = logging.getLogger(__name__)

PICTURE_SIZE: Final = 108
"""Height and width of pictures in pixels; they are displayed smaller."""


class Query(NamedTuple):
    """An image, or the frames of a video."""

    name: str
    """The file, as it was given or found."""
    seconds: list[float | None]
    """Time of each frame of a video; None for an image."""
    vectors: Vectors
    pictures: list[bytes]
    """A JPEG of each frame, stretched to a square."""


class Queries(NamedTuple):
    """The queries that could be read, and why others could not."""

    found: list[Query]
    failures: list[Failure]


def find_queries(paths: Sequence[str]) -> list[Source]:
    """Find the files of queries, in the order of the paths.

    Raises:
        FootageError: A path does not exist, or contains neither images nor videos.
    """
    return [source for path in paths for source in find([path], rows.is_wanted, "image or video")]


def read_queries(
    sources: Sequence[Source], model: Model, device: torch.device, config: SearchConfig
) -> Queries:
    """Decode queries in the sandbox and compute their vectors.

    Raises:
        ConfigError: No query can be read.
    """
    failures: list[Failure] = []
    queries = []
    described = _described(sources, model, device, config, failures)
    for name, group in itertools.groupby(described, key=lambda frame: frame.input):
        frames = list(group)
        vectors = unit(np.stack([frame.vector for frame in frames]))
        seconds = [frame.seconds for frame in frames]
        queries.append(Query(name, seconds, vectors, [frame.picture for frame in frames]))
    for failure in failures:
        log.warning("%s: %s", failure.input, failure.reason)
    if not queries:
        first = failures[0]
        raise ConfigError(
            f"none of {len(sources)} queries can be read; {first.input}: {first.reason}",
            "check the files",
        )
    return Queries(queries, failures)


class _Frame(NamedTuple):
    """A readable image or frame of a query."""

    input: str
    seconds: float | None
    vector: Float[np.ndarray, " D"]
    picture: bytes


def _described(
    sources: Sequence[Source],
    model: Model,
    device: torch.device,
    config: SearchConfig,
    failures: list[Failure],
) -> Iterator[_Frame]:
    """Yield the images and frames in order, and append to `failures` what cannot be read."""
    extractor = model_extractor(model, device)
    settings = EmbedConfig(frames_per_second=config.frames_per_second, batch_size=config.batch_size)
    items = rows.read_items(sources, Counter(), extractor.size, settings)
    for batch in batches(items, config.batch_size):
        failures += [Failure(item.input, item.reason) for item in batch if item.pixels is None]
        read = [(item, item.pixels) for item in batch if item.pixels is not None]
        if read:
            features = extractor.function(np.stack([pixels for _, pixels in read])).numpy()
            for (item, pixels), vector in zip(read, features, strict=True):
                small = resized(pixels, PICTURE_SIZE)
                yield _Frame(
                    item.input, item.seconds, vector, simplejpeg.encode_jpeg(small, quality=82)
                )
