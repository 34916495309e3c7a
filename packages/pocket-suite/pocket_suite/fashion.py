"""fashion: classify clothes in 28 x 28 grey pixels, from the Debian package of Fashion-MNIST.

Xiao et al. 2017. Training and validation images are drawn from its training split, test images
from its test split.
"""

import gzip
from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import UInt8

from footage.errors import FootageError
from footage.seeding import generator
from footage.suites.pocket import COUNTS, Part
from pocket_suite.drawing import Example, TaskRenderer, grey_to_pixels

PACKAGE: Final = "dataset-fashion-mnist"
_FOLDER: Final = "usr/share/datasets/fashion-mnist"


def open_fashion(seed: int, assets: Path) -> TaskRenderer:
    """Open the task of classifying a piece of clothing."""
    folder = assets / PACKAGE / _FOLDER
    known = {name: (_idx(folder, name, "images", 3), _idx(folder, name, "labels", 1))
             for name in ("train", "t10k")}  # fmt: skip
    order = {
        name: generator(f"pocket fashion {name}", seed).permutation(len(labels))
        for name, (_, labels) in known.items()
    }

    def render_example(part: Part, number: int) -> Example:
        name = "t10k" if part == "test" else "train"
        place = int(order[name][number + (COUNTS["train800"] if part == "val200" else 0)])
        images, labels = known[name]
        return Example(grey_to_pixels(images[place]), int(labels[place]), f"{name}-{place}")

    return render_example


def _idx(folder: Path, name: str, what: str, dimensions: int) -> UInt8[np.ndarray, "..."]:
    """Return the array of an IDX file."""
    path = folder / f"{name}-{what}-idx{dimensions}-ubyte.gz"
    content = gzip.decompress(path.read_bytes())
    header = np.frombuffer(content[: 4 * (1 + dimensions)], ">u4").astype(np.int64)
    values = np.frombuffer(content, np.uint8, offset=4 * (1 + dimensions))
    if header[0] != 0x800 + dimensions or header[1:].prod() != len(values):
        raise FootageError(f"{path.name} is not a valid IDX file", "fetch it again")
    return values.reshape(header[1:])
