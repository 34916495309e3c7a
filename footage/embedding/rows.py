"""The rows of one batch of sources: decode images and videos, and compute their features."""

import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Float, UInt8

from footage.embedding.config import EmbedConfig
from footage.embedding.formats.base import GROUP_BYTES
from footage.embedding.formats.parquet import new_file
from footage.errors import VideoError
from footage.evaluation.features import BATCHES_AHEAD, batches, in_threads, network_input
from footage.images import confined, decode
from footage.images.confined import Squares
from footage.images.limits import ImageError
from footage.ingestion.source_table import Source
from footage.ingestion.sources import LocalFile, local_copies
from footage.models import load as models
from footage.video import decode as video
from footage.video.frame_reader import FrameReader
from footage.video.sandbox import Limits

Kind = Literal["image", "video"]

MODEL: Final = b"footage"
"""Key of the model's description in the metadata of a table."""
COUNTS: Final = b"footage.counts"
"""Key of the number of images and videos in the metadata of a part."""


class Item(NamedTuple):
    """Pixels of one row, or the reason why there are none."""

    source: LocalFile
    kind: Kind
    seconds: float | None
    pixels: UInt8[np.ndarray, "H W 3"] | None
    status: str
    reason: str

    @property
    def input(self) -> str:
        """The file as it is named in the table."""
        return self.source.name


def is_wanted(name: str) -> bool:
    """Whether a file found in a folder counts as an image or a video, by its name."""
    return _kind_by_suffix(name) is not None and not name.startswith(".")


def write_rows(
    path: Path,
    sources: Sequence[Source],
    model: models.Model,
    device: torch.device,
    config: EmbedConfig,
    advance: Callable[[float], None],
) -> None:
    """Write a Parquet file with the rows of some sources, in their order.

    Args:
        path: The file; its metadata has the number of images and videos, too.
        sources: Images and videos.
        model: The model.
        device: Where it computes.
        config: Frame rate, sizes and patch features.
        advance: Called with the number of sources read since its last call.
    """
    kinds: Counter[Kind] = Counter()
    done = 0
    with _Writer(path, model, device, config) as writer:
        items = read_items(sources, kinds, model.preprocessing.size, config)
        for batch in batches(items, config.batch_size):
            writer.write(batch)
            advance(sum(kinds.values()) - done)
            done = sum(kinds.values())
        writer.add_counts(kinds)


def _kind_by_suffix(name: str) -> Kind | None:
    suffix = Path(name).suffix.lower()
    if suffix in decode.SUFFIXES:
        return "image"
    return "video" if suffix in video.SUFFIXES else None


def _kind_by_content(path: Path) -> Kind:
    """Handle a file that the user named and whose suffix is unknown."""
    (found,) = confined.shared().squares([path], [1])
    return "video" if isinstance(found, ImageError) else "image"


def _kind(copy: LocalFile) -> Kind:
    return _kind_by_suffix(copy.source.name) or _kind_by_content(copy.path)


def read_items(
    found: Sequence[Source], kinds: Counter[Kind], size: int, config: EmbedConfig
) -> Iterator[Item]:
    """Decode images and sampled frames in the sandbox, in the order of the files.

    Args:
        found: The files.
        kinds: Counts the files of each kind.
        size: Height and width of the pixels.
        config: Frame rate and batch size.
    """
    ahead = BATCHES_AHEAD * config.batch_size

    def with_kind(copy: LocalFile) -> tuple[LocalFile, Kind]:
        kind = _kind(copy)
        kinds[kind] += 1
        return copy, kind

    def read(group: list[tuple[LocalFile, Kind]]) -> list[Item]:
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


def _failed(copy: LocalFile, kind: Kind, reason: str) -> Item:
    return Item(copy, kind, None, None, "failed", reason)


def _image(copy: LocalFile, found: Squares | ImageError, size: int) -> Item:
    if isinstance(found, ImageError):
        return _failed(copy, "image", found.message.removeprefix(f"{copy.path} "))
    return Item(copy, "image", None, found[size], "ok", "")


def _frames(copy: LocalFile, reader: FrameReader) -> Iterator[Item]:
    num_frames = 0
    try:
        for frame in reader.frames(copy.path):
            yield Item(copy, "video", frame.seconds, frame.pixels, "ok", "")
            num_frames += 1
    except VideoError as error:
        status = "partial" if num_frames else "failed"
        yield Item(copy, "video", None, None, status, error.message)


# --- output ------------------------------------------------------------------------------------


class _Writer:
    """Computes the features of batches and appends them to a Parquet file."""

    def __init__(
        self, path: Path, model: models.Model, device: torch.device, config: EmbedConfig
    ) -> None:
        self._model = model
        self._patches = config.patches
        self._device = device
        self._backbone = model.backbone.to(self._device).eval()
        self._waiting: list[dict[str, Any]] = []
        self._schema = schema(model, config)
        self._row_bytes = 0
        self._file = new_file(path, self._schema)

    def write(self, items: Sequence[Item]) -> None:
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
                "stamp": item.source.source.stamp,
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

    def add_counts(self, kinds: Mapping[Kind, int]) -> None:
        """Add the number of images and videos to the metadata of the file."""
        self._file.add_key_value_metadata({COUNTS: json.dumps([kinds["image"], kinds["video"]])})

    def __enter__(self) -> "_Writer":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._flush()
        self._file.close()


def schema(model: models.Model, config: EmbedConfig) -> pa.Schema:
    """The columns of a table, with the model's description as metadata."""
    fields = [
        ("input", pa.string()),
        ("kind", pa.string()),
        ("seconds", pa.float64()),
        ("status", pa.string()),
        ("reason", pa.string()),
        ("stamp", pa.string()),
        ("embedding", pa.list_(pa.float32(), model.backbone.feature_dim)),
    ]
    if config.patches:
        fields += [
            ("patches", pa.list_(pa.float32())),
            ("patch_rows", pa.int32()),
            ("patch_columns", pa.int32()),
        ]
    description = {"name": model.name, **models.describe(model)}
    return pa.schema(fields, metadata={MODEL: json.dumps(description)})
