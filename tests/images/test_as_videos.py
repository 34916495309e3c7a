import pickle

import numpy as np
import pytest

from footage.data.config import AugmentConfig, SamplingConfig
from footage.data.sampling import BatchSampler, shot_table
from footage.data.views import augment_jpeg
from footage.errors import StoreError
from footage.images.as_videos import ImagesAsVideos
from footage.images.dataset import open_images
from footage.seeding import generator
from tests.images import layouts

ROWS = np.array([4, 1, 7])


@pytest.fixture
def images(tmp_path):
    return open_images(layouts.write_folders(tmp_path / "set"))


def test_each_image_is_a_video_of_one_shot_of_one_frame(images):
    source = ImagesAsVideos(images, ROWS)
    assert source.shots["video"].to_pylist() == [images.names[row] for row in ROWS]
    assert source.shots["shot"].to_pylist() == [0, 0, 0]
    assert source.shots["num_frames"].to_pylist() == [1, 1, 1]
    assert source.encoded(2, [0, 0]) == [images.encoded(7)] * 2


def test_images_can_be_sampled_and_augmented_like_frames(images):
    source = ImagesAsVideos(images, np.arange(9))
    columns = (source.shots[name].to_pylist() for name in ("video", "num_frames"))
    config = SamplingConfig(videos_per_batch=4, shots_per_video=1, frames_per_shot=1)
    plan = BatchSampler(shot_table(*columns), config, 0).plan(0)
    (png,) = source.encoded(int(plan.shots[0, 0]), plan.frames[0, 0].tolist())
    assert augment_jpeg(png, [generator("test", 0)], AugmentConfig(size=8)).shape == (1, 8, 8, 3)


def test_the_hash_is_of_the_images_that_are_taken(images):
    hashes = {ImagesAsVideos(images, rows).content_hash for rows in (ROWS, ROWS[:2], np.arange(9))}
    assert len(hashes) == 3
    assert ImagesAsVideos(images, ROWS).content_hash in hashes


def test_it_can_be_sent_to_a_worker(images):
    sent = pickle.loads(pickle.dumps(ImagesAsVideos(images, ROWS)))
    assert sent.encoded(0, [0]) == [images.encoded(4)]
    assert sent.content_hash == ImagesAsVideos(images, ROWS).content_hash


def test_what_is_not_there_is_refused(images):
    source = ImagesAsVideos(images, ROWS)
    for row, frames in ((3, [0]), (-1, [0]), (0, [1])):
        with pytest.raises(IndexError, match="3 images of one frame"):
            source.encoded(row, frames)


def test_an_image_that_vanished_is_a_store_error_that_names_it(images):
    source = ImagesAsVideos(images, ROWS)
    (images.path / images.name(1)).unlink()
    with pytest.raises(StoreError, match=images.name(1)):
        source.encoded(1, [0])
