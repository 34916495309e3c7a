"""A suite at the size at which it is evaluated: the pixels that an evaluation would see."""

import numpy as np
import pytest
from PIL import Image

from experiments import small_suite
from footage.data.views import resized
from footage.images.decode import read_image

LISTS = {
    "train800.txt": ["images/train800/000000.png 4"],
    "val200.txt": ["images/val200/000000.png 0"],
    "train800val200.txt": ["images/train800/000000.png 4", "images/val200/000000.png 0"],
    "test.txt": ["images/test/000000.png 7", "images/test/000001.png 4"],
}


@pytest.fixture
def task(tmp_path):
    folder, random = tmp_path / "task", np.random.default_rng(0)
    for part in ("train800", "val200", "test"):
        (folder / "images" / part).mkdir(parents=True)
    for number, line in enumerate({line for lines in LISTS.values() for line in lines}):
        pixels = random.integers(0, 256, (40 + number, 60, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / line.split()[0])
    for name, lines in LISTS.items():
        (folder / name).write_text("".join(f"{line}\n" for line in lines))
    return folder


def test_images_and_labels_are_those_that_an_evaluation_would_see(task, tmp_path):
    small_suite.shrink(task, tmp_path / "small", 32)
    for name, lines in LISTS.items():
        moved = [line.split() for line in (tmp_path / "small" / name).read_text().splitlines()]
        for (small, label), line in zip(moved, lines, strict=True):
            large, expected = line.split()
            seen = resized(read_image(tmp_path / "small" / small), 32)
            np.testing.assert_array_equal(seen, resized(read_image(task / large), 32))
            assert label == expected
