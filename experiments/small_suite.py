"""Shrink the pocket suite to the size of its evaluation: a quarter of the bytes, the same results.

    python -m experiments.small_suite --suite POCKET --out OUT --size 64

Every image is resized as an evaluation would resize it and written as lossless WebP, so that an
evaluation at that size sees the same pixels; at any other size it would not. Use it for machines to
which the whole suite is too large to copy.
"""

import argparse
import shutil
from pathlib import Path

from PIL import Image

from footage.data.views import resized
from footage.errors import FootageError
from footage.images.decode import read_image
from footage.suites.pocket import COUNTED
from footage.suites.vtab.folder import BOTH, TEST, TRAIN, VAL


def shrink(task: Path, out: Path, size: int) -> None:
    """Write a task's lists, and its images at another size.

    Args:
        task: The folder of a task.
        out: A new folder.
        size: Height and width of the images, in pixels.
    """
    out.mkdir(parents=True)
    for name in (TRAIN, VAL, TEST, BOTH):
        lines = [line.rsplit(" ", 1) for line in (task / name).read_text().splitlines()]
        moved = [(Path(image).with_suffix(".webp"), label) for image, label in lines]
        (out / name).write_text("".join(f"{image} {label}\n" for image, label in moved))
        for (image, _), (small, _) in zip(lines if name != BOTH else (), moved, strict=False):
            (out / small).parent.mkdir(parents=True, exist_ok=True)
            pixels = Image.fromarray(resized(read_image(task / image), size))
            pixels.save(out / small, lossless=True, quality=100)


def main() -> None:
    """Write every task that counts."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--suite", type=Path, required=True, help="the folder of the pocket suite")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--size", type=int, default=64)
    options = parser.parse_args()
    try:
        for row in COUNTED:
            shrink(options.suite / row.name, options.out / row.name, options.size)
        shutil.copy(options.suite / "manifest.json", options.out)
    except (FootageError, OSError) as error:
        parser.exit(1, f"error: {error}\n")


if __name__ == "__main__":
    main()
