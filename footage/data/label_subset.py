"""Select a fraction of the labels for co-training, and write the selection to disk.

"10 % of ImageNet" is reproducible only if the images are known. The subset is a function of the
images' names, their classes and a seed. Its list is saved with the run, one `name<TAB>class` per
line.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int

from footage.errors import ConfigError
from footage.images.dataset import LabelledImages
from footage.io import files
from footage.seeding import hash_order


def label_fraction(
    names: Sequence[str], labels: Int[np.ndarray, " N"], share: float, seed: int
) -> Int[np.ndarray, " n"]:
    """Return the rows of the images whose labels are used, in ascending order.

    Each class keeps max(1, round(share x its images)): those with the smallest hashes of
    (seed, name). A smaller subset is therefore contained in a larger one, and adding images changes
    the selection of only a few others.

    Args:
        names: Unique names of the images.
        labels: Class numbers of the images.
        share: Fraction of the images, above 0; 1 selects all.
        seed: Seed of the selection.

    Raises:
        ConfigError: The fraction is out of range.
    """
    if not 0.0 < share <= 1.0:
        raise ConfigError(
            f"the fraction of labels must be above 0 and at most 1, got {share}", "0.1 means 10 %"
        )
    order = hash_order(names, seed)
    by_class = order[np.argsort(labels[order], kind="stable")]
    _, starts, counts = np.unique(labels[by_class], return_index=True, return_counts=True)
    kept = [
        by_class[start : start + max(1, round(share * count))]
        for start, count in zip(starts.tolist(), counts.tolist(), strict=True)
    ]
    return np.sort(np.concatenate(kept)) if kept else np.zeros(0, dtype=np.int64)


def write_share(path: Path, images: LabelledImages, rows: Int[np.ndarray, " n"]) -> Path:
    """Write the names and classes of some images.

    Raises:
        OutputError: The file cannot be written.
    """
    lines = [f"{images.name(row)}\t{images.classes[images.labels[row]]}\n" for row in rows.tolist()]
    files.write_text(path, "".join(lines))
    return path
