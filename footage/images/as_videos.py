"""Still images with the face of a frame store, for training without labels on them.

Each image is a video of one shot of one frame. Levels that need several frames or shots refuse such
a source by themselves; the exemplar of one frame, rotation and the like can learn from it.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from jaxtyping import Int

from footage.errors import StoreError
from footage.images.dataset import LabelledImages, hash_of
from footage.images.decode import ImageError


class ImagesAsVideos:
    """Some labelled images as what a `Store` is to sampling and loading; labels are not looked at.

    Plain data: cheap to send to a worker process.
    """

    def __init__(self, images: LabelledImages, rows: Int[np.ndarray, " n"]) -> None:
        """Take these rows of the images, each once, in this order."""
        self.path: Path = images.path
        names = [images.name(row) for row in rows.tolist()]
        self.content_hash = hash_of(images.content_hash, *names)
        """Of the images' own hash and of which of them are taken."""
        self.shots = pa.table(
            {
                "video": names,
                "shot": np.zeros(len(rows), dtype=np.int32),
                "num_frames": np.ones(len(rows), dtype=np.int32),
            }
        )
        """One shot an image, in the order of `rows`; the columns of `Store.shots` that sampling
        needs."""
        self._images = images
        self._rows = rows

    def encoded(self, row: int, indices: Sequence[int]) -> list[bytes]:
        """The bytes of an image file, once for each index asked for; only 0 exists.

        Args:
            row: The image, counted in `shots`.
            indices: Numbers of frames.

        Raises:
            IndexError: An image or a frame that does not exist was asked for.
            StoreError: The bytes cannot be read; the message names the image.
        """
        if not 0 <= row < len(self._rows) or any(indices):
            raise IndexError(
                f"there are {len(self._rows)} images of one frame, asked for {list(indices)} of "
                f"image {row}"
            )
        try:
            return [self._images.encoded(int(self._rows[row]))] * len(indices)
        except ImageError as error:
            raise StoreError(error.message, error.hint) from error
