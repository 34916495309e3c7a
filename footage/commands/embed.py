"""The command `footage embed`: features of images and videos in one table.

The table has one row per image and per sampled frame. A file that could not be read completely has
an additional row with the reason and without an embedding: nothing is dropped silently.

    input     string   the file, as it was given or found
    kind      string   image | video
    seconds   double   time of the frame in the video; null for images
    status    string   ok | failed (nothing could be read) | partial (some of it could not be read)
    reason    string   reason of the failure; empty if ok
    stamp     string   size and modification time, or etag, of the file
    embedding fixed-size list of float32
    patches   list of float32, [rows x columns x channels] flattened; only on request
    patch_rows, patch_columns   int32

The files are divided into parts, see `footage.embedding.parts`. Parts are computed in this process,
by an executor, or by the shards of a job array, and joined in order: the table is the same. The
suffix of the output selects its format, see `footage.embedding.formats`.
"""

import contextlib
import dataclasses
import functools
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import pyarrow as pa

from footage import arguments
from footage.arguments import Location, Locations
from footage.embedding import appending, parts, rows
from footage.embedding.config import EmbedConfig as EmbedConfig
from footage.embedding.formats import Format, format_of
from footage.embedding.parts import Failure, Part, PartSettings
from footage.errors import ConfigError, MachineError
from footage.evaluation.digests import weights_digest
from footage.ingestion.source_table import SourceTable
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
    num_skipped: int = 0
    """Number of files that the output already contained, with `append`."""


@on_local_copies("model", "out")
def embed(
    model: Location,
    inputs: Locations,
    *,
    out: Location,
    config: EmbedConfig | None = None,
    **options: Any,  # noqa: ANN401
) -> Embedded:
    """Write the features of images and videos to a Parquet file, a NumPy array or a Lance data set.

    The same call resumes after a kill. With `append`, files that the output already contains are
    skipped, and only added files are counted. With `shard`, only the parts of a shard
    are computed; the same call with `merge` then writes the table.

    Args:
        model: A run folder, an exported file or folder, or a timm name.
        inputs: Image files, video files, folders of both, or fsspec URLs of any of these.
        out: A path that ends in .parquet, .npy (with a table of its rows in .rows.parquet) or
            .lance; it is complete or absent.
        config: Frame rate, sizes and patch features; the defaults when omitted.
        **options: Settings, by name; see `footage.keywords`.

    Raises:
        CheckpointError: The model cannot be read.
        ConfigError: `out` has an unsupported suffix; or exists and is neither to be overwritten nor
            appended to; or was written with a different model or settings; or no input could be
            read; or shards are missing.
        FootageError: An input does not exist, or the inputs contain neither images nor videos.
        MachineError: Worker processes died repeatedly.
        OutputError: `out` cannot be written, or another process is writing it.
    """
    config = configured(config, EmbedConfig, options, embed)
    table = format_of(arguments.path(out, "out"))
    table.check(config)
    _check_absent(table, config)
    shard = parse_shard(config.shard) if config.shard else None
    name, paths = arguments.location(model, "model"), arguments.locations(inputs, "inputs")
    found = find(paths, rows.is_wanted, "image or video")
    loaded = models.load(name, size=config.size)
    settings = PartSettings(str(name), weights_digest(loaded.backbone), config, config.workers)
    with contextlib.ExitStack() as stack:
        if shard is None:
            lock = table.path.with_name(f".{table.path.name}.lock")
            stack.enter_context(files.exclusive(lock, table.path))
        plan = _plan(table, found, loaded, settings)
        if shard is not None:
            return _shard(plan, loaded, settings, shard)
        done = _written(plan, loaded, settings)
        files.remove(plan.folder)
    return done


class _Plan(NamedTuple):
    """What a call adds to a table."""

    table: Format
    schema: pa.Schema
    parts: list[Part]
    num_skipped: int
    """Number of files that the table already contains."""
    appends: bool
    """Whether the table exists, and keeps its rows."""

    @property
    def folder(self) -> Path:
        """The folder of the parts."""
        return parts.folder_of(self.table.path)


def _plan(table: Format, found: SourceTable, loaded: models.Model, settings: PartSettings) -> _Plan:
    schema = appending.table_schema(loaded, settings.weights, settings.config)
    appends = settings.config.append and table.exists()
    left = found
    if appends:
        contents = table.contents()
        appending.check_alike(contents, schema, table)
        left = appending.missing(found, contents, table)
        schema = schema.with_metadata(contents.metadata)
    listed = parts.parts_of(left, parts.folder_of(table.path), loaded, settings)
    if listed:
        num_bytes = len(left) * 4 * loaded.backbone.feature_dim
        if appends:
            num_bytes = 2 * num_bytes + table.copied_bytes
        what = "the table of features"
        files.require_space(table.path, num_bytes, what, copies=1 if appends else 2)
    return _Plan(table, schema, listed, len(found) - len(left), appends)


def _check_absent(table: Format, config: EmbedConfig) -> None:
    if table.exists() and not (config.overwrite or config.append):
        raise ConfigError(
            f"{str(table.path)!r} exists",
            "choose another --out, add --append to add new files, or --overwrite to replace it",
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


def _written(plan: _Plan, loaded: models.Model, settings: PartSettings) -> Embedded:
    """Write the table from all parts, and log what could not be read."""
    listed, path = plan.parts, plan.table.path
    if settings.config.merge:
        missing = [part.number for part in listed if not parts.is_done(part)]
        shards.check_none_missing(plan.folder, missing, len(listed))
    else:
        _compute(listed, loaded, settings)
    done = parts.summary(listed)
    if not done.num_read and not plan.appends:
        first = done.failures[0]
        files.remove(plan.folder)
        raise ConfigError(
            f"none of {sum(len(part.sources) for part in listed)} files could be read;"
            f" {first.input}: {first.reason}",
            "check the files",
        )
    if listed:
        groups = parts.groups(listed, plan.schema, settings.config.batch_size)
        plan.table.write(groups, plan.schema, append=plan.appends)
    for failure in done.failures[:NAMED_FAILURES]:
        log.warning("%s: %s", failure.input, failure.reason)
    if len(done.failures) > NAMED_FAILURES:
        log.warning("%s lists %d more reasons", path, len(done.failures) - NAMED_FAILURES)
    return Embedded(
        path,
        done.num_images,
        done.num_videos,
        done.num_frames,
        done.failures,
        num_skipped=plan.num_skipped,
    )


# --- shards ------------------------------------------------------------------------------------


def _shard(plan: _Plan, loaded: models.Model, settings: PartSettings, shard: Shard) -> Embedded:
    """Compute the parts of a shard; another process may compute the same ones."""
    shards.note_count(plan.folder, shard.count)
    mine = [part for part in plan.parts if shard.takes(part.number)]
    _compute(mine, loaded, settings)
    images, videos = parts.counts(mine)
    path = plan.table.path
    return Embedded(path, images, videos, 0, [], str(shard), plan.num_skipped)
