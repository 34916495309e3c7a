"""Present still images as a frame store, for training on them without labels.

Each image is a video of one shot with one frame. Levels that need several frames or shots refuse
such a source; frame-level losses such as exemplar and rotation can use it.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from jaxtyping import Int

from footage.errors import StoreError
from footage.images.dataset import LabelledImages, hash_of
from footage.images.decode import ImageError


class ImagesAsVideos:
    """Labelled images with the interface of a `Store` for sampling and loading; labels are ignored.

    The object is plain data, so it is cheap to send to a worker process.
    """

    def __init__(self, images: LabelledImages, rows: Int[np.ndarray, " n"]) -> None:
        """Select these distinct rows of the images, in this order."""
        self.path: Path = images.path
        names = [images.name(row) for row in rows.tolist()]
        self.content_hash = hash_of(images.content_hash, *names)
        """Hash of the images' own hash and of the selected rows."""
        self.shots = pa.table(
            {
                "video": names,
                "shot": np.zeros(len(rows), dtype=np.int32),
                "num_frames": np.ones(len(rows), dtype=np.int32),
            }
        )
        """One shot per image, in the order of `rows`, with the columns of `Store.shots` that
        sampling needs."""
        self._images = images
        self._rows = rows

    def prefetch(self, rows: Iterable[int], frames: Iterable[Sequence[int]]) -> None:
        """Do nothing: images are local files."""

    def encoded(self, row: int, indices: Sequence[int]) -> list[bytes]:
        """Return the bytes of an image file, once per requested index; only index 0 exists.

        Args:
            row: Row of the image in `shots`.
            indices: Indices of frames.

        Raises:
            IndexError: The image or a frame does not exist.
            StoreError: The bytes cannot be read; the message names the image.
        """
        if not 0 <= row < len(self._rows) or any(indices):
            raise IndexError(
                f"there are {len(self._rows)} images of one frame, requested {list(indices)} of "
                f"image {row}"
            )
        try:
            return [self._images.encoded(int(self._rows[row]))] * len(indices)
        except ImageError as error:
            raise StoreError(error.message, error.hint) from error
