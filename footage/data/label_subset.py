"""A share of the labels: which images co-training may use, and the list of them on disk.

"10 % of ImageNet" means nothing until it is said which 10 %. A share is a function of the images'
names, their classes and a seed, and the list it picked is written beside the run: one
`name<TAB>class` a line.
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
    """Rows of the images whose labels may be used, in ascending order.

    Every class keeps max(1, round(share x its images)), those that come first in the order of the
    hash of (seed, name). So a smaller share is part of a larger one, and images that are added move
    only a few others.

    Args:
        names: Of the images, each once.
        labels: Their class numbers.
        share: Part of the images, above 0; 1 takes all.
        seed: Another seed picks other images.

    Raises:
        ConfigError: The share is out of range.
    """
    if not 0.0 < share <= 1.0:
        raise ConfigError(
            f"the share of labels must be above 0 and at most 1, got {share}", "0.1 means 10 %"
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
    """Write the list of some images.

    Raises:
        OutputError: It cannot be written.
    """
    lines = [f"{images.name(row)}\t{images.classes[images.labels[row]]}\n" for row in rows.tolist()]
    files.write_text(path, "".join(lines))
    return path
