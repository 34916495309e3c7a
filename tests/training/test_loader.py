import dataclasses
import shutil

import numpy as np
import pytest
import simplejpeg
import torch

from footage.data.batches import ImageStream, VideoStream, load_views
from footage.data.config import AugmentConfig, LabelledViewConfig, SamplingConfig
from footage.data.image_sampler import ImageSampler
from footage.data.sampling import BatchSampler, shot_table
from footage.data.views import augment_jpeg
from footage.errors import ConfigError, FootageError, StoreError
from footage.images.dataset import open_images
from footage.models.preprocessing import normalise
from footage.seeding import generator
from footage.training.config import ComputeConfig
from footage.training.loader import (
    GPU_THREADS,
    LoadingConfig,
    automatic_workers,
    available_bytes,
    batches,
)
from tests.support.stores import write_store

AUGMENT = AugmentConfig(size=24)
SAMPLING = SamplingConfig(
    videos_per_batch=4, shots_per_video=2, frames_per_shot=3, views_per_frame=2
)


def sampler_of(store, config=SAMPLING, seed=0):
    columns = (store.shots[name].to_pylist() for name in ("video", "num_frames"))
    return BatchSampler(shot_table(*columns), config, seed)


def videos_of(store, sampler=None):
    return VideoStream(store, sampler or sampler_of(store), AUGMENT)


def images_of(folder, images_per_batch=4):
    images = open_images(folder)
    sampler = ImageSampler(np.arange(len(images)), images_per_batch, 0)
    return ImageStream(images, sampler, LabelledViewConfig(), 24)


def loaded(store, steps=range(3), *, workers=0, rank=0, world=1, seed=0, sampler=None, images=None):
    return list(
        batches(
            videos_of(store, sampler) if store else None,
            images,
            seed=seed,
            steps=steps,
            rank=rank,
            world=world,
            loading=LoadingConfig(workers=workers),
        )
    )


def same(one, other):
    return len(one) == len(other) and all(
        a.step == b.step
        and torch.equal(a.views, b.views)
        and all((x == y).all() for x, y in zip(a.plan, b.plan, strict=True))
        for a, b in zip(one, other, strict=True)
    )


@pytest.fixture
def broken_store(tmp_path):
    """Four videos of one shot; the third frame of video 2 is cut short."""
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    whole = simplejpeg.encode_jpeg(image)
    return write_store(
        tmp_path,
        [
            (
                f"video{video}.mp4#{video:012x}",
                [[whole[:500] if (video, index) == (2, 2) else whole for index in range(6)]],
            )
            for video in range(4)
        ],
    )


def test_a_batch_has_the_axes_of_the_plan_and_its_steps_in_order(tiny_store):
    made = loaded(tiny_store, range(2, 5))
    assert [batch.step for batch in made] == [2, 3, 4]
    for batch in made:
        assert batch.views.shape == (4, 2, 3, 2, 24, 24, 3)
        assert batch.views.dtype == torch.uint8
        assert batch.plan.shots.shape == (4, 2)


@pytest.mark.parametrize("workers", [1, 2, 3, 7])
def test_any_number_of_workers_makes_the_same_batches(tiny_store, workers):
    alone = loaded(tiny_store, range(5))
    assert same(loaded(tiny_store, range(5), workers=workers), alone)


def test_two_processes_share_one_global_batch(tiny_store):
    whole = loaded(tiny_store)
    for rank in range(2):
        for part, batch in zip(loaded(tiny_store, rank=rank, world=2), whole, strict=True):
            assert torch.equal(part.views, batch.views[rank::2])
            assert (part.plan.videos == batch.plan.videos[rank::2]).all()


def test_a_resumed_run_sees_the_batches_it_would_have_seen(tiny_store):
    assert same(loaded(tiny_store, range(3, 6)), loaded(tiny_store, range(6))[3:])


def test_another_seed_changes_the_views_of_the_same_frames(tiny_store):
    sampler = sampler_of(tiny_store)
    one, other = (loaded(tiny_store, range(1), seed=seed, sampler=sampler)[0] for seed in (0, 1))
    assert (one.plan.frames == other.plan.frames).all()
    assert not torch.equal(one.views, other.views)


def test_each_view_shows_the_frame_that_the_plan_names(tiny_store):
    batch = loaded(tiny_store, range(7, 8))[0]
    for v, s, f in np.ndindex(*batch.plan.frames.shape):
        row, frame = int(batch.plan.shots[v, s]), int(batch.plan.frames[v, s, f])
        keys = [("augment", 0, 7, batch.plan.videos[v], s, f, a) for a in range(2)]
        expected = augment_jpeg(
            tiny_store.frames_of_shot(row)[frame].jpeg, [generator(*key) for key in keys], AUGMENT
        )
        assert (batch.views[v, s, f].numpy() == expected).all()


def test_a_frame_that_repeats_comes_in_other_views(tiny_store):
    config = SamplingConfig(videos_per_batch=1, shots_per_video=1, frames_per_shot=8)
    sampler = sampler_of(tiny_store, config)
    batch = loaded(tiny_store, range(1), sampler=sampler)[0]
    frames = batch.plan.frames[0, 0].tolist()
    again = frames.index(frames[0], 1)
    assert not torch.equal(batch.views[0, 0, 0], batch.views[0, 0, again])


@pytest.mark.parametrize("workers", [0, 2])
def test_labelled_images_come_beside_the_videos(tiny_store, shapes_folder, workers):
    images = images_of(shapes_folder)
    made = loaded(tiny_store, images=images, workers=workers)
    assert same(made, loaded(tiny_store))  # the videos do not notice
    for batch in made:
        assert batch.images.shape == (4, 24, 24, 3)
        assert batch.images.dtype == torch.uint8
        assert (
            batch.labels.tolist() == images.images.labels[images.sampler.plan(batch.step)].tolist()
        )
    again = loaded(None, images=images)  # nor the images the videos
    assert all(
        torch.equal(a.images, b.images) and b.views is None
        for a, b in zip(made, again, strict=True)
    )


def test_two_processes_share_the_labelled_images_of_one_global_batch(shapes_folder):
    images = images_of(shapes_folder)
    whole = loaded(None, images=images)
    for rank in range(2):
        parts = loaded(None, images=images, rank=rank, world=2)
        for part, batch in zip(parts, whole, strict=True):
            assert torch.equal(part.images, batch.images[rank::2])
            assert torch.equal(part.labels, batch.labels[rank::2])
    with pytest.raises(
        ConfigError, match=r"images_per_batch is 4, which cannot be divided evenly among 3"
    ):
        loaded(None, images=images, world=3)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_labelled_image_is_one_clear_error_that_names_it(
    shapes_folder, tmp_path, workers
):
    shutil.copytree(shapes_folder, tmp_path / "shapes")
    broken = tmp_path / "shapes" / "disc" / "03.png"
    broken.write_bytes(broken.read_bytes()[:60])
    images = images_of(tmp_path / "shapes", images_per_batch=120)
    with pytest.raises(FootageError, match=r"disc/03\.png"):
        loaded(None, range(1), images=images, workers=workers)


def test_videos_that_processes_cannot_share_evenly_are_refused_at_once(tiny_store):
    with pytest.raises(ConfigError, match="cannot be divided evenly among 3 processes"):
        loaded(tiny_store, world=3)


def test_batches_that_do_not_fit_into_memory_are_refused_at_once(tiny_store):
    with pytest.raises(ConfigError, match=r"10000000 workers need up to [\d,]+ MB for batches"):
        loaded(tiny_store, workers=10**7)


def test_the_limit_of_a_container_counts_as_memory(tmp_path):
    meminfo, limit = tmp_path / "meminfo", tmp_path / "memory.max"
    meminfo.write_text("MemTotal:  4000 kB\nMemAvailable:   2000 kB\n")
    assert available_bytes(meminfo, limit) == 2_048_000
    for text, expected in (("max\n", 2_048_000), ("1000\n", 1000), ("9999999\n", 2_048_000)):
        limit.write_text(text)
        assert available_bytes(meminfo, limit) == expected


def test_fewer_than_no_workers_are_refused():
    with pytest.raises(ConfigError, match="workers must be at least 0, got -1"):
        LoadingConfig(workers=-1)
    with pytest.raises(ConfigError, match=r"compute\.workers must be at least 0, got -1") as error:
        ComputeConfig(workers=-1)
    assert "leave it at 0" in error.value.hint


@pytest.mark.parametrize(
    ("cores", "threads", "megabytes", "expected"),
    [
        (2, 1, 1, 1),
        (2, 2, 1, 1),  # torch uses both
        (16, GPU_THREADS, 1, 14),
        (16, 4, 1, 12),
        (64, 64, 1, 8),  # one in eight although torch uses all
        (256, 2, 1, 32),  # at most
        (16, 2, 1000, 2),  # of 8 GB, half for batches, two per worker
        (16, 2, 10_000, 1),
    ],
)
def test_workers_take_the_cores_and_the_memory_that_training_leaves(
    cores, threads, megabytes, expected
):
    assert automatic_workers(cores, threads, megabytes * 10**6, 8 * 10**9) == expected


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_frame_is_one_clear_error_that_names_its_video_and_shot(broken_store, workers):
    config = SamplingConfig(videos_per_batch=4, shots_per_video=1, frames_per_shot=6)
    with pytest.raises(StoreError) as error:
        loaded(broken_store, workers=workers, sampler=sampler_of(broken_store, config))
    assert error.value.message.startswith("shot 0 of video video2.mp4#000000000002: ")
    assert "a stored frame is damaged" in error.value.message
    assert error.value.hint


def test_a_missing_part_is_an_error_that_names_a_video(broken_store):
    (broken_store.path / broken_store.parts.name(0)).unlink()
    config = SamplingConfig(videos_per_batch=1, shots_per_video=1, frames_per_shot=2)
    with pytest.raises(StoreError, match="of video video"):
        loaded(broken_store, sampler=sampler_of(broken_store, config))


def test_normalised_images_are_channels_last_and_centred():
    views = torch.randint(0, 256, (2, 3, 4, 1, 8, 6, 3), dtype=torch.uint8)
    mean, std = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)
    images = normalise(views, mean, std, "cpu")
    assert images.shape == (24, 3, 8, 6)
    assert images.dtype == torch.float32
    assert images.is_contiguous(memory_format=torch.channels_last)
    expected = (views.reshape(24, 8, 6, 3).double() / 255 - torch.tensor(mean)) / torch.tensor(std)
    torch.testing.assert_close(images.double(), expected.permute(0, 3, 1, 2), atol=1e-5, rtol=1e-5)


@pytest.mark.gpu
@pytest.mark.parametrize("workers", [0, 2])
def test_page_locked_batches_are_the_same(tiny_store, workers):
    expected = loaded(tiny_store)
    loading = LoadingConfig(workers=workers, pin_memory=True)
    made = list(batches(videos_of(tiny_store), None, seed=0, steps=range(3), loading=loading))
    assert same(made, expected)
    assert all(batch.views.is_pinned() for batch in made)


def test_a_plan_can_be_loaded_without_a_loader(tiny_store):
    plan = sampler_of(tiny_store).plan(0)
    views = load_views(tiny_store, plan, AUGMENT, 2, (0, 0))
    assert torch.equal(torch.from_numpy(views), loaded(tiny_store, range(1))[0].views)


def test_the_frames_of_a_shot_share_their_draws_on_request(tiny_store):
    plan = sampler_of(tiny_store).plan(0)
    still = plan._replace(frames=np.repeat(plan.frames[..., :1], plan.frames.shape[-1], axis=-1))
    own, shared = (
        load_views(tiny_store, still, dataclasses.replace(AUGMENT, draw_per=per), 2, (0, 0))
        for per in ("frame", "shot")
    )
    assert np.array_equal(own[:, :, 0], shared[:, :, 0])
    assert all(np.array_equal(shared[:, :, 0], frame) for frame in np.moveaxis(shared, 2, 0))
    assert not np.array_equal(own[:, :, 0], own[:, :, 1])
    assert not np.array_equal(shared[..., 0, :, :, :], shared[..., 1, :, :, :])
