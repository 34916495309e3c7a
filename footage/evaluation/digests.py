"""Digests of weights and image files, which identify what a result belongs to."""

import hashlib
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from torch import Tensor, nn, uint8

from footage.evaluation.dataset import Part
from footage.evaluation.features import in_threads
from footage.io.files import without_waiting

DIGITS = 16
"""Number of hexadecimal digits of a SHA-256 that are kept."""


class ImageFile(NamedTuple):
    """Digest of an image file's content, without decoding it."""

    num_bytes: int
    sha256: bytes


UNREADABLE = ImageFile(0, b"")
"""A file that cannot be opened; decoding it reports why."""


def weights_digest(network: nn.Module) -> str:
    """Digest of all parameters and buffers by name."""
    hashed = hashlib.sha256()
    state: Mapping[str, Tensor] = network.state_dict()
    for name, tensor in state.items():
        hashed.update(name.encode())
        hashed.update(tensor.detach().cpu().contiguous().flatten().view(uint8).numpy().data)
    return hashed.hexdigest()[:DIGITS]


class TaskImages(NamedTuple):
    """The image files of a task, and digests of their contents and labels.

    The digests do not depend on the names and locations of files.
    """

    fitted: list[ImageFile]
    """Digest of the training and validation parts."""
    test: list[ImageFile]
    fitted_digest: str
    digest: str
    """Digest of all three parts."""


def task_images(num_classes: int, train: Part, val: Part, test: Part) -> TaskImages:
    """Read and hash every image file of a task."""
    hashed = hashlib.sha256(str(num_classes).encode())
    read = [list(in_threads(part.paths, _image_file, ahead=256)) for part in (train, val, test)]
    digests = []
    for part, files in zip((train, val, test), read, strict=True):
        hashed.update(b"%d\n" % len(files))
        hashed.update(b"".join(file.sha256 for file in files))
        hashed.update(np.asarray(part.labels, dtype="<i8").tobytes())
        digests.append(hashed.hexdigest()[:DIGITS])
    return TaskImages(read[0] + read[1], read[2], digests[1], digests[2])


def _image_file(path: Path) -> ImageFile:
    try:
        with open(path, "rb", opener=without_waiting) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                return UNREADABLE
            return ImageFile(status.st_size, hashlib.file_digest(file, "sha256").digest())
    except OSError:
        return UNREADABLE
