"""The command `footage embed`: features of images and videos in one Parquet table.

The table has one row per image and per sampled frame. A file that could not be read completely has
an additional row with the reason and without an embedding: nothing is dropped silently.

    input     string   the file, as it was given or found
    kind      string   image | video
    seconds   double   time of the frame in the video; null for images
    status    string   ok | failed (nothing could be read) | partial (some of it could not be read)
    reason    string   reason of the failure; null if ok
    embedding fixed-size list of float32
    patches   list of float32, [rows x columns x channels] flattened; only on request
    patch_rows, patch_columns   int32

The files are divided into parts, see `footage.embedding.parts`. Parts are computed in this process,
by an executor, or by the shards of a job array, and joined in order: the table is the same.
"""

import dataclasses
import functools
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from footage import arguments
from footage.arguments import Location, Locations
from footage.embedding import parts, rows
from footage.embedding.config import EmbedConfig as EmbedConfig
from footage.embedding.parts import Failure, Part, PartSettings
from footage.errors import ConfigError, MachineError
from footage.evaluation.digests import weights_digest
from footage.ingestion.sources import find
from footage.io import files
from footage.io.copies import on_local_copies
from footage.keywords import configured
from footage.models import load as models
from footage.processes import shards
from footage.processes.executors import EXECUTORS, ExecutorSettings
from footage.processes.shards import Shard, parse_shard
from footage.progress import progress_bar
from footage.results import PathResult

log = logging.getLogger(__name__)

NAMED_FAILURES: Final = 10
"""Number of failures that are logged by name; the table contains all of them."""


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class Embedded(PathResult):
    """Summary of the output and of the failures."""

    path: Path
    num_images: int
    num_videos: int
    num_frames: int
    """Number of video frames."""
    failures: list[Failure]
    shard: str = ""
    """The shard that was computed, as I/N; empty if the table was written."""


@on_local_copies("model", "out")
def embed(
    model: Location,
    inputs: Locations,
    *,
    out: Location,
    config: EmbedConfig | None = None,
    **options: Any,  # noqa: ANN401
) -> Embedded:
    """Write the features of images and videos to a Parquet file.

    The same call resumes after a kill. With `config.shard`, only the parts of a shard are computed;
    the same call with `config.merge` then writes the table.

    Args:
        model: A run folder, an exported file or folder, or a timm name.
        inputs: Image files, video files, folders of both, or fsspec URLs of any of these.
        out: The Parquet file; it is complete or absent.
        config: Frame rate, sizes and patch features; the defaults when omitted.
        **options: Settings, by name; see `footage.keywords`.

    Raises:
        CheckpointError: The model cannot be read.
        ConfigError: `out` does not end in .parquet, or exists and is not to be overwritten; or no
            input could be read; or shards are missing.
        FootageError: An input does not exist, or the inputs contain neither images nor videos.
        MachineError: Worker processes died repeatedly.
        OutputError: `out` cannot be written, or another process is writing it.
    """
    config = configured(config, EmbedConfig, options, embed)
    target = arguments.path(out, "out")
    _check_target(target, config)
    shard = parse_shard(config.shard) if config.shard else None
    name, paths = arguments.location(model, "model"), arguments.locations(inputs, "inputs")
    found = find(paths, rows.is_wanted, "image or video")
    loaded = models.load(name, size=config.size)
    row_bytes = 4 * loaded.backbone.feature_dim
    files.require_space(target, len(found) * row_bytes, "the table of features", copies=2)
    settings = PartSettings(str(name), weights_digest(loaded.backbone), config, config.workers)
    folder = parts.folder_of(target)
    listed = parts.parts_of(found, folder, loaded, settings)
    if shard is not None:
        return _shard(listed, loaded, settings, shard, target)
    with files.exclusive(target.with_name(f".{target.name}.lock"), target):
        if config.merge:
            missing = [part.number for part in listed if not parts.is_done(part)]
            shards.check_none_missing(folder, missing, len(listed))
        else:
            _compute(listed, loaded, settings)
        done = _join(listed, target, loaded, config)
        files.remove(folder)
    return done


def _check_target(target: Path, config: EmbedConfig) -> None:
    if target.suffix.lower() != ".parquet":
        raise ConfigError(
            f"embed writes Parquet, but --out is {target.name!r}",
            f"use {target.with_suffix('.parquet').name}; DuckDB, Polars and pandas read it",
        )
    if target.exists() and not config.overwrite:
        raise ConfigError(
            f"{str(target)!r} exists", "choose another --out, or add --overwrite to replace it"
        )


def _compute(listed: Sequence[Part], loaded: models.Model, settings: PartSettings) -> None:
    """Compute the parts that do not exist, in this process or with an executor."""
    left = [part for part in listed if not parts.is_done(part)]
    config = settings.config
    total = sum(len(part.sources) for part in left)
    with progress_bar("embed", total=total, unit="files") as bar:
        if config.executor == "local" and min(config.workers, len(left)) <= 1:
            for part in left:
                parts.compute(part, loaded, config, bar.advance)
            return
        wanted = ExecutorSettings(
            workers=min(config.workers, max(len(left), 1)),
            ray_address=config.ray_address,
            uses_gpu=True,
        )
        executor = EXECUTORS.find(config.executor)(wanted)
        for outcome in executor.run(functools.partial(parts.work, settings), left):
            if outcome.failure:
                names = [source.name for source in outcome.task.sources]
                raise MachineError(
                    f"{len(names)} files from {names[0]!r} to {names[-1]!r} could not be"
                    f" processed: {outcome.failure}",
                    "lower --workers or --batch-size, then rerun to resume",
                )
            bar.advance(len(outcome.task.sources))


def _join(
    listed: Sequence[Part], target: Path, loaded: models.Model, config: EmbedConfig
) -> Embedded:
    """Write the table from all parts, and log what could not be read."""
    with files.atomic_write(target) as temporary:
        done = parts.join(listed, temporary, loaded, config)
        if not done.num_read:
            first = done.failures[0]
            files.remove(parts.folder_of(target))
            raise ConfigError(
                f"none of {sum(len(part.sources) for part in listed)} files could be read;"
                f" {first.input}: {first.reason}",
                "check the files",
            )
    for failure in done.failures[:NAMED_FAILURES]:
        log.warning("%s: %s", failure.input, failure.reason)
    if len(done.failures) > NAMED_FAILURES:
        log.warning("%s lists %d more reasons", target, len(done.failures) - NAMED_FAILURES)
    return Embedded(target, done.num_images, done.num_videos, done.num_frames, done.failures)


# --- shards ------------------------------------------------------------------------------------


def _shard(
    listed: Sequence[Part],
    loaded: models.Model,
    settings: PartSettings,
    shard: Shard,
    target: Path,
) -> Embedded:
    """Compute the parts of a shard; another process may compute the same ones."""
    folder = parts.folder_of(target)
    shards.note_count(folder, shard.count)
    mine = [part for part in listed if shard.takes(part.number)]
    _compute(mine, loaded, settings)
    images, videos = parts.counts(mine)
    return Embedded(target, images, videos, 0, [], str(shard))
