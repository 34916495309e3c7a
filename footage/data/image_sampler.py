"""Select the labelled images of batch n, as a pure function of the seed and n.

Images are sampled in epochs, as videos are. An epoch is cut into batches of B; the remaining
N mod B images are left out of it:

    N >= B      epoch 0 |B B B|B B B|r      epoch 1 |B B B|B B B|r

If there are fewer images than a batch needs, they repeat. Epochs then follow one another without a
gap, and batches extend across their boundaries:

    N < B       0 2 1 | 2 0 1 | 1 0 2       B = 4:  0 2 1 2, 0 1 1 0, ...
"""

import numpy as np
from jaxtyping import Int

from footage.data.sampling import Epochs
from footage.errors import ConfigError


class ImageSampler:
    """Batches of labelled images as a pure function of (seed, step)."""

    def __init__(self, rows: Int[np.ndarray, " N"], images_per_batch: int, seed: int) -> None:
        """Sample from some rows of a `LabelledImages`.

        Args:
            rows: The images to sample from, each once.
            images_per_batch: B, summed over all processes.
            seed: Seed of the random order.

        Raises:
            ConfigError: There are no images, or `images_per_batch` is less than 1.
        """
        if images_per_batch < 1:
            raise ConfigError(f"images_per_batch must be at least 1, got {images_per_batch}")
        if not len(rows):
            raise ConfigError("there are no labelled images to sample from")
        self.rows = rows
        self.images_per_batch = images_per_batch
        self._epochs = Epochs("image pass", seed, len(rows), min(images_per_batch, len(rows)))

    def plan(self, step: int) -> Int[np.ndarray, " B"]:
        """Return the rows of a step's global batch; each rank takes every `world`-th of them.

        Raises:
            ConfigError: The step is negative.
        """
        if step < 0:
            raise ConfigError(f"step must be at least 0, got {step}")
        rows: Int[np.ndarray, " B"] = self.rows[self._places(step)]
        return rows

    def _places(self, step: int) -> Int[np.ndarray, " B"]:
        count, wanted = len(self.rows), self.images_per_batch
        if wanted <= count:
            return self._epochs.batch(step)
        first, end = step * wanted, (step + 1) * wanted
        numbers = range(first // count, -(-end // count))
        joined = np.concatenate([self._epochs.permutation(number) for number in numbers])
        return joined[first % count :][:wanted]
