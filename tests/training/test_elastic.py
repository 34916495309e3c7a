"""Any number of processes, from any step on, sees the same samples in the same order."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from footage.data.batches import BatchMaker, ImageStream, VideoStream
from footage.data.config import AugmentConfig, LabelledViewConfig, SamplingConfig
from footage.data.image_sampler import ImageSampler
from footage.data.sampling import BatchSampler, shot_table

WORLDS = (1, 2, 4)


class Nothing:
    """Planning needs neither frames nor images."""

    shots = None
    labels = np.arange(1000)

    def encoded(self, row, indices):
        raise NotImplementedError


def makers(videos, per_batch, seed, world):
    """The batch makers of all ranks, over videos of three shots and as many labelled images."""
    names = [f"video{video:03}" for video in range(videos) for _ in range(3)]
    config = SamplingConfig(videos_per_batch=per_batch, shots_per_video=2, frames_per_shot=2)
    sampler = BatchSampler(shot_table(names, [5] * len(names)), config, seed)
    images = ImageSampler(np.arange(videos), per_batch, seed)
    streams = (
        VideoStream(Nothing(), sampler, AugmentConfig(size=8)),
        ImageStream(Nothing(), images, LabelledViewConfig(), 8),
    )
    return [BatchMaker(*streams, seed, rank, world) for rank in range(world)]


def samples(step, makers):
    """Ids of everything in a step's global batch, in the order of the losses."""
    found = []
    for part in zip(*(_of_rank(maker, step) for maker in makers), strict=True):
        found += part
    return found


def _of_rank(maker, step):
    plan, rows, labels = maker.plan(step), maker.rows(step), maker.labels(step)
    return [
        (int(video), shots.tolist(), frames.tolist(), int(row), int(label))
        for video, shots, frames, row, label in zip(*plan, rows, labels, strict=True)
    ]


CASES = given(
    videos=st.integers(8, 60),
    per_batch=st.sampled_from([4, 8]),
    seed=st.integers(0, 2**32),
    first=st.integers(0, 40),
)


@CASES
def test_the_stream_of_samples_does_not_depend_on_the_number_of_processes(
    videos, per_batch, seed, first
):
    streams = {
        world: [
            samples(step, makers(videos, per_batch, seed, world)) for step in (first, first + 1)
        ]
        for world in WORLDS
    }
    assert streams[1] == streams[2] == streams[4]


@CASES
def test_changing_the_number_of_processes_in_the_middle_changes_no_sample(
    videos, per_batch, seed, first
):
    alone = makers(videos, per_batch, seed, 1)
    changing = [makers(videos, per_batch, seed, WORLDS[step % 3]) for step in range(3)]
    for step in range(first, first + 3):
        assert samples(step, changing[step - first]) == samples(step, alone)


@CASES
def test_every_sample_comes_once_per_epoch(videos, per_batch, seed, first):
    videos -= videos % per_batch  # whole batches: nothing sits an epoch out
    steps = videos // per_batch
    for world in WORLDS:
        ranks = makers(videos, per_batch, seed, world)
        epoch = [one for step in range(steps) for one in samples(first * steps + step, ranks)]
        assert sorted(video for video, *_ in epoch) == list(range(videos))
        assert sorted(row for *_, row, _ in epoch) == list(range(videos))
