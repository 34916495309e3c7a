"""Stores without frames that hardly change, and stores cropped around motion."""

import numpy as np
import pytest
import simplejpeg

from experiments.derived_store import GRID, centres, changed, changes, cropped, derive
from footage.data.views import decode
from tests.support.stores import write_store


def jpeg(image):
    return simplejpeg.encode_jpeg(image, quality=95)


def square(top, left, side=64):
    """A white square of 8 x 8 pixels on black."""
    image = np.zeros((side, side, 3), np.uint8)
    image[top : top + 8, left : left + 8] = 255
    return image


def test_frames_that_hardly_change_are_left_out():
    values = [0.0, 0.01, 0.02, 0.5, 0.51, 0.9, 0.2, 0.21]
    images = np.asarray(values)[:, None, None] * np.ones((1, GRID, GRID))
    assert changes(images) == pytest.approx(np.abs(np.diff(values)))
    assert changed(images, 0.1) == [0, 3, 5, 6]
    assert changed(images, 2.0) == [1, 3, 5, 7]  # too few change, so these are evenly spaced
    assert changed(images[:2], 2.0) == [0, 1]


def test_the_centre_follows_what_moves():
    images = np.zeros((4, GRID, GRID))
    for frame, left in enumerate((0, 8, 16, 24)):
        images[frame, 24:32, left : left + 8] = 1
    found = centres(images)
    assert found[:, 0] == pytest.approx([28 / GRID] * 4)
    assert found[1:3, 1] == pytest.approx([12 / GRID, 20 / GRID])
    assert centres(np.ones((3, GRID, GRID))) == pytest.approx(np.full((3, 2), 0.5))
    # A change of brightness is not motion.
    brighter = np.linspace(0, 1, 3)[:, None, None] * np.ones((1, GRID, GRID))
    assert centres(brighter) == pytest.approx(np.full((3, 2), 0.5))


@pytest.mark.parametrize(
    ("centre", "corner"), [((0.5, 0.5), (10, 10)), ((0, 1), (0, 19)), ((1, 0.5), (19, 10))]
)
def test_a_crop_lies_within_the_frame(centre, corner):
    image = np.tile(np.arange(64, dtype=np.uint8)[:, None, None] * 3, (1, 64, 3))
    image[..., 2] = image[..., 2].T
    crop = decode(cropped(jpeg(image), np.asarray(centre)), 45)
    top, left = corner
    wanted = image[top : top + 45, left : left + 45].astype(int)
    assert crop.shape == wanted.shape
    assert np.abs(crop.astype(int) - wanted).mean() < 6


def test_derived_stores_keep_videos_shots_and_times(tmp_path):
    still = [jpeg(square(8, 8))] * 6
    moving = [jpeg(square(40, left)) for left in range(0, 48, 8)]
    store = write_store(tmp_path / "store", [("a.mp4#0a", [still, moving]), ("b.mp4#0b", [moving])])
    fewer = derive(store, tmp_path / "fewer", keep="changed")
    assert fewer.shots["num_frames"].to_pylist() == [4, 6, 6]
    assert fewer.videos["video"].to_pylist() == store.videos["video"].to_pylist()
    assert [frame.seconds for frame in fewer.frames_of_shot(1)] == [
        frame.seconds for frame in store.frames_of_shot(1)
    ]
    assert fewer.encoded(1, [0, 3]) == store.encoded(1, [0, 3])
    followed = derive(store, tmp_path / "followed", crop="motion")
    assert followed.shots["num_frames"].to_pylist() == [6, 6, 6]
    for index, jpeg_bytes in enumerate(followed.encoded(1, range(6))):
        crop = decode(jpeg_bytes, 45)
        assert crop.shape == (45, 45, 3)
        assert crop.max() > 200, f"the square is missing in frame {index}"
    assert len({store.content_hash, fewer.content_hash, followed.content_hash}) == 3
