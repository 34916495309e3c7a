"""Task folders in the form in which VTAB-1k is passed around, tiny."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from footage.suites.task_spec import TaskRow

ROW = TaskRow(
    name="cifar",
    group="natural",
    num_classes=5,
    num_train=8,
    num_val=4,
    num_test=6,
    pixels="lossless",
)


def encoded(number: int, encoding: str = "PNG") -> bytes:
    """An image file; each number gives another image."""
    generator = np.random.default_rng(number)
    pixels = generator.integers(0, 256, (8, 9, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, encoding)
    return buffer.getvalue()


def write_task(folder: Path, row: TaskRow = ROW, encoding: str = "PNG") -> Path:
    """A folder as the redistributed copies have it: the thousand images are there twice."""
    sizes = {"train800": row.num_train, "val200": row.num_val, "test": row.num_test}
    together: list[tuple[bytes, int]] = []
    number = 0
    for part, size in sizes.items():
        items = [
            (encoded(number + k, encoding), (number + k) % row.num_classes) for k in range(size)
        ]
        number += size
        _write_part(folder, part, items)
        if part != "test":
            together += items
    _write_part(folder, "train800val200", together)
    return folder


def _write_part(folder: Path, part: str, items: list[tuple[bytes, int]]) -> None:
    images = folder / "images" / part
    images.mkdir(parents=True)
    lines = []
    for place, (content, label) in enumerate(items):
        (images / f"{place:06}.jpg").write_bytes(content)
        lines.append(f"images/{part}/{place:06}.jpg {label}\n")
    (folder / f"{part}.txt").write_text("".join(lines))
