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
"""

import itertools
import json
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from jaxtyping import Float, UInt8

from footage import arguments
from footage.arguments import Location, Locations
from footage.commands.settings import EmbedConfig
from footage.errors import ConfigError, VideoError
from footage.evaluation.features import BATCHES_AHEAD, batches, in_threads, network_input
from footage.images import confined, decode
from footage.images.confined import Squares
from footage.images.limits import ImageError
from footage.ingestion.sources import LocalCopy, Source, find, local_copies
from footage.io import files
from footage.models import load as models
from footage.progress import progress_bar
from footage.video import decode as video
from footage.video.frame_reader import FrameReader
from footage.video.sandbox import Limits

log = logging.getLogger(__name__)

Kind = Literal["image", "video"]

NAMED_FAILURES: Final = 10
"""Number of failures that are logged by name; the table contains all of them."""

GROUP_BYTES: Final = 32 * 2**20
"""Rows are written when they reach this size, so that memory does not grow with the inputs."""


class Failure(NamedTuple):
    """An input that could not be read, or only partly."""

    input: str
    reason: str


class Embedded(NamedTuple):
    """Summary of the output and of the failures."""

    path: Path
    num_images: int
    num_videos: int
    num_frames: int
    """Number of video frames."""
    failures: list[Failure]


class _Item(NamedTuple):
    """Pixels of one row, or the reason why there are none."""

    input: str
    kind: Kind
    seconds: float | None
    pixels: UInt8[np.ndarray, "H W 3"] | None
    status: str
    reason: str


def embed(
    model: Location,
    inputs: Locations,
    *,
    out: Location,
    config: EmbedConfig | None = None,
) -> Embedded:
    """Write the features of images and videos to a Parquet file.

    Args:
        model: A run folder, an exported file or folder, or a timm name.
        inputs: Image files, video files, folders of both, or fsspec URLs of any of these.
        out: The Parquet file; it is complete or absent.
        config: Frame rate, sizes and patch features; the defaults when omitted.

    Raises:
        CheckpointError: The model cannot be read.
        ConfigError: `out` does not end in .parquet, or exists and is not to be overwritten; or no
            input could be read.
        FootageError: An input does not exist, or the inputs contain neither images nor videos.
        OutputError: `out` cannot be written, or another process is writing it.
    """
    config = arguments.settings(config, EmbedConfig)
    target = arguments.path(out, "out")
    _check_target(target, config)
    name, paths = arguments.location(model, "model"), arguments.locations(inputs, "inputs")
    found = find(paths, _is_wanted, "image or video")
    loaded = models.load(name, size=config.size)
    row_bytes = 4 * loaded.backbone.feature_dim
    files.require_space(target, len(found) * row_bytes, "the table of features")
    with (
        files.exclusive(target.with_name(f".{target.name}.lock"), target),
        files.atomic_write(target) as temporary,
    ):
        done = _embed_all(found, loaded, config, temporary)
    for failure in done.failures[:NAMED_FAILURES]:
        log.warning("%s: %s", failure.input, failure.reason)
    if len(done.failures) > NAMED_FAILURES:
        log.warning("%s lists %d more reasons", target, len(done.failures) - NAMED_FAILURES)
    return done._replace(path=target)


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


def _embed_all(
    found: Sequence[Source], model: models.Model, config: EmbedConfig, path: Path
) -> Embedded:
    """Write the rows of all files to `path`."""
    frames = num_read = 0
    kinds: Counter[Kind] = Counter()
    failures: list[Failure] = []
    with (
        _Writer(path, model, config) as writer,
        progress_bar("embed", total=len(found), unit="files") as bar,
    ):
        for batch in batches(
            _items(found, kinds, model.preprocessing.size, config), config.batch_size
        ):
            writer.write(batch)
            frames += sum(item.seconds is not None for item in batch)
            num_read += sum(item.pixels is not None for item in batch)
            failures += [Failure(i.input, i.reason) for i in batch if i.status != "ok"]
            bar.update(sum(kinds.values()))
        if not num_read:
            raise ConfigError(
                f"none of {len(found)} files could be read; {failures[0].input}: "
                f"{failures[0].reason}",
                "check the files",
            )
    return Embedded(path, kinds["image"], kinds["video"], frames, failures)


# --- inputs ------------------------------------------------------------------------------------


def _is_wanted(name: str) -> bool:
    return _kind_by_suffix(name) is not None and not name.startswith(".")


def _kind_by_suffix(name: str) -> Kind | None:
    suffix = Path(name).suffix.lower()
    if suffix in decode.SUFFIXES:
        return "image"
    return "video" if suffix in video.SUFFIXES else None


def _kind_by_content(path: Path) -> Kind:
    """Handle a file that the user named and whose suffix is unknown."""
    (found,) = confined.shared().squares([path], [1])
    return "video" if isinstance(found, ImageError) else "image"


def _kind(copy: LocalCopy) -> Kind:
    return _kind_by_suffix(copy.source.name) or _kind_by_content(copy.path)


def _items(
    found: Sequence[Source], kinds: Counter[Kind], size: int, config: EmbedConfig
) -> Iterator[_Item]:
    """Yield rows in the order of the files and count `kinds`; images decode in the sandbox."""
    ahead = BATCHES_AHEAD * config.batch_size

    def with_kind(copy: LocalCopy) -> tuple[LocalCopy, Kind]:
        kind = _kind(copy)
        kinds[kind] += 1
        return copy, kind

    def read(group: list[tuple[LocalCopy, Kind]]) -> list[_Item]:
        whole = [copy.path for copy, _ in group if not copy.failure]
        found = iter(confined.shared().squares(whole, [size]))
        return [
            _failed(copy, kind, copy.failure) if copy.failure else _image(copy, next(found), size)
            for copy, kind in group
        ]

    copies = map(with_kind, local_copies(found, Limits().max_file_bytes, keep=2 * ahead))
    with FrameReader(size, config.frames_per_second) as reader:
        for is_video, group in itertools.groupby(
            copies, key=lambda item: item[1] == "video" and not item[0].failure
        ):
            if is_video:
                for copy, _ in group:
                    yield from _frames(copy, reader)
            else:
                groups = batches(group, confined.IMAGES_PER_CALL)
                for items in in_threads(groups, read, ahead=ahead // confined.IMAGES_PER_CALL):
                    yield from items


def _failed(copy: LocalCopy, kind: Kind, reason: str) -> _Item:
    return _Item(copy.name, kind, None, None, "failed", reason)


def _image(copy: LocalCopy, found: Squares | ImageError, size: int) -> _Item:
    if isinstance(found, ImageError):
        return _failed(copy, "image", found.message.removeprefix(f"{copy.path} "))
    return _Item(copy.name, "image", None, found[size], "ok", "")


def _frames(copy: LocalCopy, reader: FrameReader) -> Iterator[_Item]:
    num_frames = 0
    try:
        for frame in reader.frames(copy.path):
            yield _Item(copy.name, "video", frame.seconds, frame.pixels, "ok", "")
            num_frames += 1
    except VideoError as error:
        status = "partial" if num_frames else "failed"
        yield _Item(copy.name, "video", None, None, status, error.message)


# --- output ------------------------------------------------------------------------------------


class _Writer:
    """Computes the features of batches and appends them to a Parquet file."""

    def __init__(self, path: Path, model: models.Model, config: EmbedConfig) -> None:
        self.num_rows = 0
        self._model = model
        self._patches = config.patches
        self._device = models.best_device()
        self._backbone = model.backbone.to(self._device).eval()
        self._waiting: list[dict[str, Any]] = []
        self._schema = _schema(model, config)
        self._row_bytes = 0
        self._file = pq.ParquetWriter(
            path, self._schema, compression="zstd", write_page_checksum=True
        )

    def write(self, items: Sequence[_Item]) -> None:
        """Embed the items that have pixels; the others become rows with a reason."""
        readable = [item.pixels for item in items if item.pixels is not None]
        embeddings: Iterator[Any] = iter(())
        patches: Iterator[Any] = iter(())
        if readable:
            pooled, maps = self._forward(np.stack(readable))
            embeddings, patches = iter(pooled), iter(maps)
        for item in items:
            row: dict[str, Any] = {
                "input": item.input,
                "kind": item.kind,
                "seconds": item.seconds,
                "status": item.status,
                "reason": item.reason,
                "embedding": None,
            }
            if self._patches:
                row |= {"patches": None, "patch_rows": None, "patch_columns": None}
            if item.pixels is not None:
                row["embedding"] = next(embeddings)
                self._row_bytes += row["embedding"].nbytes
                if self._patches:
                    cells = next(patches)
                    row |= {"patches": cells.reshape(-1), "patch_rows": cells.shape[0]}
                    row["patch_columns"] = cells.shape[1]
                    self._row_bytes += cells.nbytes
            self._waiting.append(row)
        self.num_rows += len(items)
        if self._row_bytes > GROUP_BYTES:
            self._flush()

    def _forward(
        self, pixels: UInt8[np.ndarray, "B H W 3"]
    ) -> tuple[Float[np.ndarray, "B D"], Float[np.ndarray, "n h w d"]]:
        inputs = network_input(pixels, self._model, self._device)
        empty: Float[np.ndarray, "n h w d"] = np.zeros((0, 0, 0, 0), dtype=np.float32)
        with torch.no_grad():
            pooled = self._backbone(inputs).float().cpu().numpy()
            if not self._patches:
                return pooled, empty
            return pooled, self._backbone.patch_features(inputs).float().cpu().numpy()

    def _flush(self) -> None:
        if self._waiting:
            self._file.write_table(pa.Table.from_pylist(self._waiting, schema=self._schema))
        self._waiting = []
        self._row_bytes = 0

    def __enter__(self) -> "_Writer":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._flush()
        self._file.close()


def _schema(model: models.Model, config: EmbedConfig) -> pa.Schema:
    fields = [
        ("input", pa.string()),
        ("kind", pa.string()),
        ("seconds", pa.float64()),
        ("status", pa.string()),
        ("reason", pa.string()),
        ("embedding", pa.list_(pa.float32(), model.backbone.feature_dim)),
    ]
    if config.patches:
        fields += [
            ("patches", pa.list_(pa.float32())),
            ("patch_rows", pa.int32()),
            ("patch_columns", pa.int32()),
        ]
    description = {"name": model.name, **models.describe(model)}
    return pa.schema(fields, metadata={"footage": json.dumps(description)})
