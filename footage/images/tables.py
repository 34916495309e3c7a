"""Labelled images as rows of tables: Parquet files, or a folder that Hugging Face `datasets` saved.

    parquet    ROOT.parquet, ROOT/*.parquet, ROOT/data/*.parquet, ROOT/train/*.parquet
    saved      ROOT/state.json, dataset_info.json, data-00000-of-00001.arrow     `save_to_disk`
               ROOT/dataset_dict.json, ROOT/train/...                            of several splits

Images are bytes, or a struct of bytes and path; the path is read if there are no bytes. Labels are
whole numbers or words. Names for the numbers are taken from the `ClassLabel` feature that
`datasets` stores in the metadata. Only pyarrow is required.
"""

import functools
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from jaxtyping import Int

from footage.errors import ConfigError
from footage.images.common import ONLY_TRAIN, TRAIN_NAMES, Found, checked_names, some
from footage.images.decode import open_regular, read_descriptor
from footage.io.documents import Document

log = logging.getLogger(__name__)

IMAGE_COLUMNS: Final = ("image", "img", "jpg", "jpeg", "png", "webp", "picture", "photo")
LABEL_COLUMNS: Final = ("label", "labels", "class", "cls", "target", "category", "fine_label")

LARGE_GROUP: Final = 4 * 2**20
"""Size of a row group, in bytes, above which a warning says that each image reads all of it."""


_FETCH_AGAIN: Final = "it is missing or damaged: download it again"
_UNREADABLE: Final = (OSError, ValueError, KeyError, pa.ArrowException)
"""Errors that pyarrow raises for damaged files; some are Python's own, as for invalid UTF-8."""

_Features = dict[str, Any]
"""Metadata that `datasets` stores about the columns, by name."""


class _Info(msgspec.Struct):
    """The fields of `dataset_info.json` that are used here."""

    features: _Features | None = None


class _DataFile(msgspec.Struct):
    """One of the files that contain the rows."""

    filename: str


class _State(msgspec.Struct):
    """The fields of `state.json` that are used here."""

    data_files: list[_DataFile] = msgspec.field(name="_data_files")
    indices: list[Any] | None = msgspec.field(name="_indices_data_files", default=None)


class _Parts(msgspec.Struct):
    """Content of `dataset_dict.json`."""

    splits: list[str]


class _SchemaNote(msgspec.Struct):
    """Metadata that `datasets` stores in a table."""

    info: _Info = msgspec.field(default_factory=_Info)


class _ClassLabel(msgspec.Struct):
    """Metadata of a column of classes."""

    names: list[str] | None = None


def _document(schema: type, name: str) -> Document[Any]:
    return Document(schema=schema, name=name, error=ConfigError, hint=_FETCH_AGAIN)


_INFO: Final = _document(_Info, "the description of a saved data set")
_STATE: Final = _document(_State, "the state of a saved data set")
_PARTS: Final = _document(_Parts, "the list of splits of a saved data set")
_NOTE: Final = _document(_SchemaNote, "the metadata that Hugging Face datasets leaves")


class ParquetImages(NamedTuple):
    """Images in row groups of Parquet files; reading an image reads its whole row group."""

    column: str
    files: tuple[Path, ...]
    ends: Int[np.ndarray, " G"]
    """Number of images up to the end of each row group."""
    file_of: Int[np.ndarray, " G"]
    group_of: Int[np.ndarray, " G"]
    """Index of the row group in its file."""

    def read(self, row: int) -> bytes:
        """Return the bytes of one image file."""
        place, within = _located(self.ends, row)
        path = self.files[self.file_of[place]]
        table = _parquet(path).read_row_group(
            int(self.group_of[place]), columns=[self.column], use_threads=False
        )
        return _bytes_of(table[self.column][within].as_py(), path.parent)


class ArrowImages(NamedTuple):
    """Images in memory-mapped Arrow streams."""

    column: str
    files: tuple[Path, ...]
    ends: Int[np.ndarray, " K"]
    """Number of images up to the end of each file."""

    def read(self, row: int) -> bytes:
        """Return the bytes of one image file."""
        place, within = _located(self.ends, row)
        path = self.files[place]
        return _bytes_of(_arrow(path)[self.column][within].as_py(), path.parent)


def open_parquet(root: Path, files: Sequence[Path]) -> Found:
    """Open the labelled images of Parquet files, named by file and row.

    Raises:
        ConfigError: A file is damaged, a column is missing, or labels are not usable.
    """
    names: list[str] = []
    class_names: list[str] = []
    groups: list[tuple[int, int, int, int]] = []
    columns: set[tuple[str, str]] = set()
    for number, path in enumerate(files):
        try:
            file = _parquet(path)
            features = [_features(path, file.schema_arrow)]
            image, label = _columns(path, file.schema_arrow, features)
            labels = file.read(columns=[label], use_threads=False)[label]
            class_names += _class_names(path, labels, label, features)
        except _UNREADABLE as error:
            raise _damaged(path, error) from error
        columns.add((image, label))
        names += [f"{path.relative_to(root).as_posix()}#{row}" for row in range(len(labels))]
        groups += [
            (number, group, file.metadata.row_group(group).num_rows, _bytes_in(file, group, image))
            for group in range(file.num_row_groups)
        ]
    if len(columns) != 1:
        raise ConfigError(
            f"the Parquet files of {root} have different columns: {sorted(columns)}",
            "pass files of a single data set",
        )
    file_of, group_of, num_rows, sizes = np.array(groups, dtype=np.int64).reshape(-1, 4).T
    if len(sizes) and np.median(sizes) > LARGE_GROUP:
        log.warning(
            "row groups of %s contain %.0f MB of images, and reading an image reads a whole group; "
            "save it with `save_to_disk`, as WebDataset or with small row groups to be faster",
            root,
            np.median(sizes) / 1e6,
        )
    source = ParquetImages(image, tuple(files), np.cumsum(num_rows), file_of, group_of)
    return Found("Parquet", checked_names(names, root), class_names, sizes, source)


def open_saved(root: Path) -> Found:
    """Open the images of a folder saved by `datasets`, named by row; only the training split.

    Raises:
        ConfigError: A file is damaged, a column is missing, or labels are not usable.
    """
    folder = _training_part(root) if (root / "dataset_dict.json").is_file() else root
    state, info = _STATE.read(folder / "state.json"), _INFO.read(folder / "dataset_info.json")
    if state.indices:
        raise ConfigError(
            f"{folder} stores the order of its rows separately, as old releases of datasets did",
            "load it and save it again with a current release",
        )
    files = tuple(_inside(folder, entry.filename) for entry in state.data_files)
    class_names: list[str] = []
    sizes: list[Int[np.ndarray, " n"]] = []
    image = ""
    for path in files:
        try:
            table = _arrow(path)
            features = [info.features or {}, _features(path, table.schema)]
            image, label = _columns(path, table.schema, features)
            sizes.append(_lengths(table[image]))
            class_names += _class_names(path, table[label], label, features)
        except _UNREADABLE as error:
            raise _damaged(path, error) from error
    return Found(
        kind="a folder of Hugging Face datasets",
        names=checked_names([f"#{row}" for row in range(len(class_names))], root),
        class_names=class_names,
        sizes=np.concatenate(sizes) if sizes else np.zeros(0, dtype=np.int64),
        source=ArrowImages(image, files, np.cumsum([len(each) for each in sizes], dtype=np.int64)),
    )


# --- files -------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=16)
def _parquet(path: Path) -> pq.ParquetFile:
    return pq.ParquetFile(path, page_checksum_verification=True)


@functools.lru_cache(maxsize=256)
def _arrow(path: Path) -> pa.Table:
    with pa.memory_map(str(path)) as mapped, pa.ipc.open_stream(mapped) as stream:
        return stream.read_all()


def _located(ends: Int[np.ndarray, " K"], row: int) -> tuple[int, int]:
    """Return the piece that contains a row, and the row's position in it."""
    place = int(np.searchsorted(ends, row, side="right"))
    return place, row - int(ends[place - 1] if place else 0)


def _bytes_of(value: Any, folder: Path) -> bytes:  # noqa: ANN401 - whatever the column contains
    if isinstance(value, dict):
        path = value.get("path")
        value = value.get("bytes")
        if value is None and path:
            with open_regular(folder / str(path)) as file:
                return read_descriptor(file.fileno(), str(path))
    if not isinstance(value, bytes):
        raise ValueError("the table contains no bytes for it")
    return value


def _inside(folder: Path, name: str) -> Path:
    """Return the path of a file directly in the folder."""
    if name in ("", ".", "..") or not set(name).isdisjoint("/\\\0"):
        raise ConfigError(
            f"'{folder / 'state.json'}' lists {name!r}, which is not a file next to it",
            _FETCH_AGAIN,
        )
    return folder / name


def _training_part(root: Path) -> Path:
    parts: list[str] = _PARTS.read(root / "dataset_dict.json").splits
    train = [part for part in parts if part.lower() in TRAIN_NAMES]
    if not train:
        raise ConfigError(
            f"{root} has no training split, only {some(parts)}", "pass the folder of one split"
        )
    log.info("%s has its own splits: %s, which is %s", root, ONLY_TRAIN, train[0])
    return root / train[0]


def _damaged(path: Path, error: Exception) -> ConfigError:
    first = (str(error).splitlines() or [""])[0]
    return ConfigError(f"{path} cannot be read: {first}", _FETCH_AGAIN)


def _bytes_in(file: pq.ParquetFile, group: int, column: str) -> int:
    """Return the size of a column in a row group; the fields of a struct are separate columns."""
    row_group = file.metadata.row_group(group)
    parts = (row_group.column(number) for number in range(row_group.num_columns))
    return sum(
        part.total_compressed_size for part in parts if part.path_in_schema.split(".")[0] == column
    )


def _lengths(images: pa.ChunkedArray) -> Int[np.ndarray, " n"]:
    """Return the bytes per image; 0 if only its path is known."""
    if pa.types.is_struct(images.type):
        if images.type.get_field_index("bytes") < 0:
            return np.zeros(len(images), dtype=np.int64)
        images = pc.struct_field(images, "bytes")
    lengths: Int[np.ndarray, " n"] = pc.fill_null(pc.binary_length(images), 0).to_numpy()
    return lengths.astype(np.int64)


# --- columns -----------------------------------------------------------------------------------


def _features(path: Path, schema: pa.Schema) -> _Features:
    """Read the column metadata of `datasets`; empty for tables of other origin."""
    noted = (schema.metadata or {}).get(b"huggingface")
    return {} if noted is None else _NOTE.parse(noted, str(path)).info.features or {}


def _columns(path: Path, schema: pa.Schema, features: Sequence[_Features]) -> tuple[str, str]:
    """Return the names of the image column and of the label column."""
    image = _column(path, schema, features, IMAGE_COLUMNS, "Image")
    label = _column(path, schema, features, LABEL_COLUMNS, "ClassLabel")
    kind = schema.field(image).type
    fields = [kind.field(number).name for number in range(kind.num_fields)]
    is_struct = pa.types.is_struct(kind) and {"bytes", "path"} & set(fields)
    if not (is_struct or pa.types.is_binary(kind) or pa.types.is_large_binary(kind)):
        raise ConfigError(
            f"the column {image} of {path} contains {kind}, not the bytes of image files",
            "write encoded images, as JPEG or PNG",
        )
    return image, label


def _column(
    path: Path,
    schema: pa.Schema,
    features: Sequence[_Features],
    names: tuple[str, ...],
    feature: str,
) -> str:
    """Return the column with one of the names, or else the one that has the feature."""
    named = [name for name in names if name in schema.names]
    typed = [
        name
        for noted_there in features
        for name, noted in noted_there.items()
        if isinstance(noted, dict) and noted.get("_type") == feature and name in schema.names
    ]
    if not named and not typed:
        raise ConfigError(
            f"{path} has no column called {' or '.join(names)}; it has {', '.join(schema.names)}",
            "rename the column",
        )
    return (named or typed)[0]


def _class_names(
    path: Path, labels: pa.ChunkedArray, column: str, features: Sequence[_Features]
) -> list[str]:
    """Return the class name of each image; empty if its label is null or negative."""
    if pa.types.is_dictionary(labels.type):
        labels = labels.cast(labels.type.value_type)
    values = labels.to_pylist()
    if pa.types.is_string(labels.type) or pa.types.is_large_string(labels.type):
        return [(value or "").strip() for value in values]
    if not pa.types.is_integer(labels.type):
        raise ConfigError(
            f"the column {column} of {path} contains {labels.type}, not one class per image",
            "write whole numbers or words",
        )
    classes = _noted_classes(column, features)
    if not classes:
        return ["" if value is None or value < 0 else str(value) for value in values]
    most = max((value for value in values if value is not None), default=-1)
    if most >= len(classes) or len(set(classes)) != len(classes):
        raise ConfigError(
            f"{path} has class numbers up to {most} but {len(set(classes))} class names",
            "its metadata does not match: write it again",
        )
    return ["" if value is None or value < 0 else str(classes[value]) for value in values]


def _noted_classes(column: str, features: Sequence[_Features]) -> list[str]:
    """Return the class names from the first metadata that has them; empty if none has."""
    for noted_there in features:
        noted = noted_there.get(column)
        classes = msgspec.convert(noted, _ClassLabel | None)
        if classes is not None and classes.names:
            return classes.names
    return []
