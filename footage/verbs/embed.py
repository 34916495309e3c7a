"""The verb `footage embed`: images and videos to one Parquet table of features.

One row for each image and each sampled frame, and one row with a reason, and without an embedding,
for everything that could not be read: nothing is dropped silently.

    input     string   the file, as it was given or found
    kind      string   image | video
    seconds   double   when the frame is shown; null for images
    status    string   ok | failed (nothing could be read) | partial (a part of it could not)
    reason    string   why, when not ok
    embedding fixed-size list of float32
    patches   list of float32, [rows x columns x channels] flattened; only on request
    patch_rows, patch_columns   int32
"""

import itertools
import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from jaxtyping import Float, UInt8
from rich.console import Console
from rich.progress import Progress, TextColumn, TimeElapsedColumn

from footage import model as models
from footage.augment import resized
from footage.errors import ConfigError, VideoError
from footage.evaluation.features import BATCHES_AHEAD, batches, in_threads, network_input
from footage.images import reading
from footage.videos import video
from footage.videos.frames import FrameReader

log = logging.getLogger(__name__)

Kind = Literal["image", "video"]

NAMED_FAILURES: Final = 10
"""Failures that are logged by name; the table holds all of them."""

GROUP_BYTES: Final = 32 * 2**20
"""Rows are written when they have grown to this size: memory does not grow with the inputs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EmbedConfig:
    """What is embedded, and how."""

    frames_per_second: float = 1.0
    """Frames taken of each second of a video."""

    patches: bool = False
    """Also write the last feature map: one vector for each cell of the network's grid."""

    size: int = 0
    """Input height and width in pixels; 0 keeps the model's own."""

    batch_size: int = 64
    """Images in one forward pass."""

    def __post_init__(self) -> None:
        if not self.frames_per_second > 0:
            raise ConfigError(f"frames_per_second must be above 0, got {self.frames_per_second}")
        if self.batch_size < 1:
            raise ConfigError(f"batch_size must be at least 1, got {self.batch_size}")
        if self.size < 0:
            raise ConfigError(f"size must be 0 or a number of pixels, got {self.size}")


class Failure(NamedTuple):
    """An input of which nothing, or not everything, could be read."""

    input: str
    reason: str


class Embedded(NamedTuple):
    """What was written, and what could not be read."""

    path: Path
    num_images: int
    num_videos: int
    num_frames: int
    """Frames of videos."""
    num_ignored: int
    """Files in the given folders that are neither images nor videos, by their suffix."""
    failures: list[Failure]


class _Found(NamedTuple):
    path: Path
    kind: Kind


class _Item(NamedTuple):
    """One row to be: pixels, or the reason why there are none."""

    input: str
    kind: Kind
    seconds: float | None
    pixels: UInt8[np.ndarray, "H W 3"] | None
    status: str
    reason: str


def embed(
    model: str,
    inputs: Sequence[str | Path],
    *,
    out: str | Path,
    config: EmbedConfig | None = None,
) -> Embedded:
    """Write the features of images and videos to a Parquet file.

    Args:
        model: A run folder, an exported file or folder, or a timm name.
        inputs: Image files, video files, and folders of both.
        out: The Parquet file; it is whole or absent.
        config: Frame rate, sizes and patch features; the defaults when left out.

    Raises:
        CheckpointError: The model cannot be read.
        ConfigError: An input does not exist, or there is neither image nor video in them.
    """
    config = config or EmbedConfig()
    found, num_ignored = _find(inputs)
    loaded = models.load(model, size=config.size)
    target = Path(out)
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f".{target.name}.partial")
    counts = {"image": 0, "video": 0, "frames": 0}
    failures: list[Failure] = []
    try:
        with _Writer(aside, loaded, config) as writer, _progress() as progress:
            bar = progress.add_task(f"{len(found)} files", rows=0)
            for batch in batches(
                _items(found, loaded.preprocessing.size, config), config.batch_size
            ):
                writer.write(batch)
                counts["frames"] += sum(item.seconds is not None for item in batch)
                failures += [Failure(i.input, i.reason) for i in batch if i.status != "ok"]
                progress.update(bar, rows=writer.num_rows)
        aside.replace(target)
    finally:
        aside.unlink(missing_ok=True)
    for file in found:
        counts[file.kind] += 1
    for failure in failures[:NAMED_FAILURES]:
        log.warning("%s: %s", failure.input, failure.reason)
    if len(failures) > NAMED_FAILURES:
        log.warning("%d more inputs have a reason in %s", len(failures) - NAMED_FAILURES, target)
    return Embedded(
        target, counts["image"], counts["video"], counts["frames"], num_ignored, failures
    )


# --- inputs ------------------------------------------------------------------------------------


def _find(inputs: Sequence[str | Path]) -> tuple[list[_Found], int]:
    """Files to embed in a fixed order, each once, and how many files were ignored."""
    found: dict[Path, Kind] = {}
    num_ignored = 0
    for given in map(Path, inputs):
        if given.is_dir():
            for path in sorted(path for path in given.rglob("*") if path.is_file()):
                kind = _kind_by_suffix(path)
                num_ignored += kind is None
                if kind is not None and not path.name.startswith("."):
                    found.setdefault(path, kind)
        elif given.is_file():
            found.setdefault(given, _kind_by_suffix(given) or _kind_by_content(given))
        else:
            raise ConfigError(f"no such file or folder: {given}", "check the path")
    if not found:
        raise ConfigError(
            f"neither images nor videos in {', '.join(map(str, inputs)) or 'no inputs'}",
            "give image files, video files or folders of them",
        )
    return [_Found(path, kind) for path, kind in found.items()], num_ignored


def _kind_by_suffix(path: Path) -> Kind | None:
    suffix = path.suffix.lower()
    if suffix in reading.SUFFIXES:
        return "image"
    return "video" if suffix in video.SUFFIXES else None


def _kind_by_content(path: Path) -> Kind:
    """For a file that was named by the user and whose suffix says nothing."""
    try:
        reading.read_image(path)
    except reading.ImageError:
        return "video"
    return "image"


def _items(found: Sequence[_Found], size: int, config: EmbedConfig) -> Iterator[_Item]:
    """Rows in the order of the files; runs of images are decoded in threads."""

    def read(file: _Found) -> _Item:
        try:
            pixels = resized(reading.read_image(file.path), size)
        except reading.ImageError as error:
            reason = error.message.removeprefix(f"{file.path} ")
            return _Item(str(file.path), "image", None, None, "failed", reason)
        return _Item(str(file.path), "image", None, pixels, "ok", "")

    with FrameReader(size, config.frames_per_second) as reader:
        for kind, files in itertools.groupby(found, key=lambda file: file.kind):
            if kind == "image":
                yield from in_threads(files, read, ahead=BATCHES_AHEAD * config.batch_size)
            else:
                for file in files:
                    yield from _frames(file, reader)


def _frames(file: _Found, reader: FrameReader) -> Iterator[_Item]:
    num_frames = 0
    try:
        for frame in reader.frames(file.path):
            yield _Item(str(file.path), "video", frame.seconds, frame.pixels, "ok", "")
            num_frames += 1
    except VideoError as error:
        status = "partial" if num_frames else "failed"
        yield _Item(str(file.path), "video", None, None, status, error.message)


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
        self._file = pq.ParquetWriter(path, self._schema, compression="zstd")

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


def _progress() -> Progress:
    return Progress(
        TextColumn("embed {task.description}: {task.fields[rows]} rows"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
    )
