"""Open labelled images on disk in any of the common layouts.

    FOLDER/cat/1.jpg               one subfolder per class; of train/, val/ and test/ only train/
    LIST.txt                       lines `path label`, `path<tab>label` or `path,label`
    FILE.parquet, FOLDER/*.parquet a column of images and one of labels
    FILE.tar, FOLDER/*.tar         WebDataset: 0001.jpg next to 0001.cls, .json or .txt
    FOLDER/state.json              the output of `save_to_disk` of Hugging Face `datasets`

The images are for training: if a data set has its own splits, only the training split is opened.
`docs/reference/images.md` shows an example of each layout. Images are decoded when they are read.
"""

import dataclasses
import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
from jaxtyping import Int

from footage.errors import ConfigError
from footage.images.common import (
    Found,
    Source,
    check_number_of_classes,
    class_order,
    entries,
    is_listable,
    shards,
    some,
)
from footage.images.decode import ImageError, is_image_name
from footage.images.folders import open_folders, open_list
from footage.images.tables import open_parquet, open_saved
from footage.images.webdataset import open_tars
from footage.io.walk import walk

log = logging.getLogger(__name__)

_PACKED: Final = frozenset({".tgz", ".gz", ".bz2", ".xz", ".zst", ".zip", ".7z"})


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelledImages:
    """Images with one class each; a *row* is the position of an image.

    The object contains names, labels and locations, but no pixels and no open file. It is cheap to
    send to a worker process, which opens files when it reads.
    """

    path: Path
    kind: str
    """Description of the layout."""
    classes: tuple[str, ...]
    """Class names in order, numeric if all are numbers; a label is a position in it."""
    labels: Int[np.ndarray, " N"]
    content_hash: str
    """SHA-256 of classes, names, labels and sizes in bytes, but not of the images' bytes: an image
    replaced by one of equal size is not detected. In Parquet, the sizes are those of row groups."""
    _names: pa.Array = dataclasses.field(repr=False)
    _source: Source = dataclasses.field(repr=False)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def names(self) -> tuple[str, ...]:
        """Unique names of the images, the same whenever the same data set is opened."""
        return tuple(self._names.to_pylist())

    def name(self, row: int) -> str:
        """Return the name of one image."""
        return str(self._names[row].as_py())

    def encoded(self, row: int) -> bytes:
        """Return the undecoded bytes of one image file.

        Raises:
            ImageError: They cannot be read; the message names the image.
        """
        try:
            return self._source.read(row)
        except (OSError, ValueError, KeyError, pa.ArrowException, ImageError) as error:
            reason = error.message if isinstance(error, ImageError) else str(error)
            raise ImageError(
                f"image {self.name(row)} of {self.path} cannot be read: {reason}",
                "the images changed or are damaged: fetch them again",
            ) from error


def open_images(path: str | Path) -> LabelledImages:
    """Open the labelled images in a file or a folder, in one of the layouts of this module.

    Raises:
        ConfigError: The path does not exist or cannot be read, images have no label or no usable
            name, or there are fewer than two classes.
    """
    root = Path(path)
    found = _found(root)
    unlabelled = [
        found.names[row].as_py() for row, name in enumerate(found.class_names) if not name
    ]
    if unlabelled:
        raise ConfigError(
            f"{len(unlabelled)} of {len(found.class_names)} images in {root} have no label: "
            f"{some(unlabelled)}",
            "test splits are often published without labels; pass the training split",
        )
    classes = class_order(set(found.class_names))
    odd = [repr(name) for name in classes if not is_listable(name)]
    if odd:
        raise ConfigError(
            f"{root} has class names with tabs, line ends or invalid UTF-8: {some(odd)}",
            "rename them",
        )
    check_number_of_classes(str(root), len(classes))
    number = {name: label for label, name in enumerate(classes)}
    labels = np.array([number[name] for name in found.class_names], dtype=np.int64)
    log.info("%s: %s, %d images of %d classes", root, found.kind, len(labels), len(classes))
    return LabelledImages(
        path=root,
        kind=found.kind,
        classes=classes,
        labels=labels,
        content_hash=_content_hash(found, classes),
        _names=found.names,
        _source=found.source,
    )


def _found(root: Path) -> Found:
    if root.is_file():
        return _found_in_file(root)
    if not root.is_dir():
        raise ConfigError(
            f"labelled images not found: {root}",
            "pass a folder of class folders, a list file, Parquet, WebDataset or saved datasets",
        )
    if (root / "dataset_dict.json").is_file() or (root / "state.json").is_file():
        return open_saved(root)
    for suffix, open_shards in ((".parquet", open_parquet), (".tar", open_tars)):
        files = shards(root, suffix)
        if files and _has_images_in_folders(root):
            raise ConfigError(
                f"{root} contains both {suffix} files and folders of images: {files[0].name}",
                "pass a folder that contains only one of the two",
            )
        if files:
            return open_shards(root, files)
    return open_folders(root)


def _found_in_file(file: Path) -> Found:
    suffix = file.suffix.lower()
    if suffix in _PACKED:
        raise ConfigError(
            f"{file} is compressed, so single images cannot be read from it",
            "unpack it, or pack it as plain .tar",
        )
    if suffix == ".arrow":
        raise ConfigError(f"{file} is part of a saved data set", "pass its folder")
    if suffix == ".parquet":
        return open_parquet(file.parent, [file])
    if suffix == ".tar":
        return open_tars(file.parent, [file])
    return open_list(file)


def _has_images_in_folders(root: Path) -> bool:
    folders = [entry for entry in entries(root) if entry.is_dir()]
    return any(walk(folder, is_image_name).files for folder in folders)


def _content_hash(found: Found, classes: tuple[str, ...]) -> str:
    names, sizes = found.names.to_pylist(), found.sizes.tolist()
    return hash_of(*classes, "", *names, "", *found.class_names, "", *map(str, sizes))


def hash_of(*texts: str) -> str:
    """Return the SHA-256 of a sequence of texts as hexadecimal digits."""
    digest = hashlib.sha256()
    for text in texts:
        # Each is preceded by its length, so that no two sequences give the same bytes.
        encoded = text.encode()
        digest.update(b"%d:%s" % (len(encoded), encoded))
    return digest.hexdigest()
