"""Parts of a table of features: one per batch of sources, computed anywhere, joined in order.

Batches depend on the sources alone. A part's name contains a digest of everything that determines
its bytes, so parts of an interrupted call are used again, and others are ignored.

    FOLDER/.NAME.parquet.parts/000012-0123456789abcdef.parquet
"""

import functools
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq
import torch

from footage.embedding import rows
from footage.embedding.config import EmbedConfig
from footage.embedding.formats.base import grouped
from footage.embedding.rows import COUNTS, MODEL
from footage.errors import ConfigError
from footage.evaluation.digests import weights_digest
from footage.ingestion.batches import batches
from footage.ingestion.source_table import Source, SourceTable
from footage.io import files
from footage.models import load as models

FILES_PER_PART: Final = 256
BYTES_PER_PART: Final = 256 * 2**20
"""A part ends with the source that reaches one of these; see `footage.ingestion.batches`."""


class Part(NamedTuple):
    """A batch of sources, and the file for its rows."""

    number: int
    sources: tuple[Source, ...]
    path: Path


class PartSettings(NamedTuple):
    """What all parts share; sent to each worker once."""

    model: str
    weights: str
    """Digest of the model's weights."""
    config: EmbedConfig
    workers: int
    """Number of processes that share the cores of a machine."""


class Failure(NamedTuple):
    """An input that could not be read, or only in part."""

    input: str
    reason: str


class Joined(NamedTuple):
    """Counts of a table."""

    num_images: int
    num_videos: int
    num_frames: int
    """Number of video frames."""
    num_read: int
    """Number of rows with features."""
    failures: list[Failure]


def folder_of(target: Path) -> Path:
    """The folder of the parts of a table."""
    return target.with_name(f".{target.name}.parts")


def parts_of(
    sources: SourceTable, folder: Path, model: models.Model, settings: PartSettings
) -> list[Part]:
    """The parts of a table, in order."""
    config = settings.config
    shared = [
        pa.__version__,
        torch.__version__,
        settings.weights,
        rows.schema(model, config).metadata[MODEL].decode(),
        rows.schema(model, config).names,
        [config.frames_per_second, config.patches, config.size, config.batch_size],
    ]
    divided = batches(sources.num_bytes, FILES_PER_PART, BYTES_PER_PART)
    found = []
    for number in range(len(divided.starts) - 1):
        batch = tuple(sources.take(divided.batch(number)))
        name = f"{number:06d}-{_digest([shared, _stamps(batch)])}.parquet"
        found.append(Part(number, batch, folder / name))
    return found


def is_done(part: Part) -> bool:
    """Whether the file of a part exists and is complete."""
    try:
        return COUNTS in (pq.read_metadata(part.path).metadata or {})
    except (OSError, pa.ArrowInvalid):
        return False


def compute(
    part: Part, model: models.Model, config: EmbedConfig, advance: Callable[[float], None]
) -> None:
    """Write the file of a part.

    Raises:
        OutputError: The file cannot be written.
    """
    with files.atomic_write(part.path) as temporary:
        rows.write_rows(temporary, part.sources, model, _device(part.number), config, advance)


def work(settings: PartSettings, part: Part) -> None:
    """Compute a part in a worker process, which shares the cores with the others.

    Raises:
        ConfigError: The model changed since the call began.
        OutputError: The file cannot be written.
    """
    if is_done(part):  # a task may run twice
        return
    _share_cores(settings.workers)
    model = _loaded(settings.model, settings.config.size, settings.weights)
    compute(part, model, settings.config, lambda _: None)


def summary(parts: Sequence[Part]) -> Joined:
    """Count the rows of all parts, and list what could not be read."""
    frames = num_read = 0
    failures: list[Failure] = []
    for part in parts:
        found = pq.read_table(part.path, columns=["input", "seconds", "status", "reason"])
        failed = _failures(found)
        frames += len(found) - found["seconds"].null_count
        num_read += len(found) - len(failed)
        failures += failed
    return Joined(*counts(parts), frames, num_read, failures)


def groups(parts: Sequence[Part], schema: pa.Schema, batch_size: int) -> Iterator[pa.Table]:
    """Yield the rows of all parts, in order, in groups of about the same size.

    Raises:
        ConfigError: A part has features of another model.
    """
    return grouped(_batches(parts, schema, batch_size), schema)


def counts(parts: Sequence[Part]) -> tuple[int, int]:
    """The number of images and of videos in finished parts."""
    found = [json.loads(pq.read_metadata(part.path).metadata[COUNTS]) for part in parts]
    return sum(images for images, _ in found), sum(videos for _, videos in found)


def _batches(parts: Sequence[Part], schema: pa.Schema, batch_size: int) -> Iterator[pa.RecordBatch]:
    for part in parts:
        with pq.ParquetFile(part.path) as file:
            if file.schema_arrow.metadata[MODEL] != schema.metadata[MODEL]:
                raise ConfigError(
                    f"{str(part.path)!r} contains features of another model",
                    "remove it, then rerun the command",
                )
            yield from file.iter_batches(batch_size=batch_size)


def _failures(table: pa.Table) -> list[Failure]:
    failed = table.filter(pyarrow.compute.not_equal(table["status"], "ok"))
    columns = (failed["input"].to_pylist(), failed["reason"].to_pylist())
    return [Failure(*row) for row in zip(*columns, strict=True)]


def _stamps(batch: Sequence[Source]) -> list[list[Any]]:
    """What is known about the sources without reading them."""
    return [[one.name, one.location, one.num_bytes, one.stamp] for one in batch]


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content).encode("utf-8", "surrogateescape")).hexdigest()[:16]


@functools.lru_cache(maxsize=1)
def _loaded(name: str, size: int, weights: str) -> models.Model:
    model = models.load(name, size=size)
    if weights_digest(model.backbone) != weights:
        raise ConfigError(
            f"the weights of {name!r} changed while features were computed",
            "rerun the command when the model no longer changes",
        )
    return model


@functools.cache
def _share_cores(workers: int) -> None:
    torch.set_num_threads(max(1, torch.get_num_threads() // workers))


def _device(number: int) -> torch.device:
    """The default device; parts are spread over several GPUs."""
    device = models.best_device()
    gpus = torch.cuda.device_count() if device.type == "cuda" else 0
    return torch.device("cuda", number % gpus) if gpus > 1 else device
