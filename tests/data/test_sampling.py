import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from footage.data.config import SamplingConfig
from footage.data.sampling import BatchSampler, hold_out, shot_table
from footage.errors import ConfigError, StoreError

VIDEOS = st.lists(st.lists(st.integers(1, 30), min_size=1, max_size=8), min_size=1, max_size=12)
CONFIGS = st.builds(
    SamplingConfig,
    videos_per_batch=st.integers(1, 4),
    shots_per_video=st.integers(1, 5),
    frames_per_shot=st.integers(1, 5),
    frame_stride=st.integers(1, 3),
    short_video_policy=st.sampled_from(["split", "drop"]),
    short_shot_policy=st.sampled_from(["wrap", "drop"]),
)
steps = settings(deadline=None, derandomize=True, max_examples=150)


def table_of(videos, held_out=()):
    """A table of videos given as lists of the numbers of frames of their shots."""
    names = [f"video-{number}" for number, shots in enumerate(videos) for _ in shots]
    return shot_table(names, [length for shots in videos for length in shots], held_out)


def sampler_of(videos, config, seed=0):
    """A sampler, or None where the policies leave too few videos."""
    try:
        return BatchSampler(table_of(videos), config, seed)
    except ConfigError:
        return None


def one_video(shots, **options):
    options = {"shots_per_video": 1, "frames_per_shot": 4, **options}
    return BatchSampler(table_of([shots]), SamplingConfig(videos_per_batch=1, **options), 0)


@steps
@given(VIDEOS, CONFIGS, st.integers(0, 200))
def test_frames_lie_inside_the_named_shot_and_the_shot_in_the_named_video(videos, config, step):
    sampler = sampler_of(videos, config)
    if sampler is None:
        return
    table = table_of(videos)
    plan = sampler.plan(step)
    shape = (config.videos_per_batch, config.shots_per_video, config.frames_per_shot)
    assert plan.videos.shape == shape[:1]
    assert plan.shots.shape == shape[:2]
    assert plan.frames.shape == shape
    assert (table.videos[plan.shots] == plan.videos[:, None]).all()
    assert (plan.frames >= 0).all()
    assert (plan.frames < table.num_frames[plan.shots][..., None]).all()


@steps
@given(VIDEOS, st.integers(1, 4), st.integers(1, 4), st.integers(0, 200))
def test_shuffled_frames_lie_inside_their_shots(videos, videos_per_batch, shots, step):
    sampler = sampler_of(videos, _shuffled(videos_per_batch, shots))
    if sampler is None:
        return
    plan = sampler.plan(step)
    assert plan.frames.shape == (videos_per_batch, shots, 1)
    assert (plan.frames >= 0).all()
    assert (plan.frames < table_of(videos).num_frames[plan.shots][..., None]).all()


def test_shuffled_frames_come_from_all_videos_evenly_and_do_not_stand_together():
    videos = [[20, 20]] * 6
    sampler, table = sampler_of(videos, _shuffled(4, 3)), table_of(videos)
    drawn = np.stack([table.videos[sampler.plan(step).shots] for step in range(500)])
    together = (drawn[..., 0] == drawn[..., 1]).mean()
    assert together == pytest.approx(1 / 6, abs=0.04)  # under "video" it is 1
    counts = np.bincount(drawn.flatten()) / drawn.size
    assert counts == pytest.approx(np.full(6, 1 / 6), abs=0.02)


def test_shuffled_frames_are_single_frames():
    with pytest.raises(ConfigError, match=r"frames_per_shot is 4.*views_per_frame"):
        SamplingConfig(structure="shuffled", frames_per_shot=4)


def _shuffled(videos, shots):
    return SamplingConfig(
        structure="shuffled", videos_per_batch=videos, shots_per_video=shots, frames_per_shot=1
    )


@steps
@given(VIDEOS, CONFIGS, st.integers(0, 200))
def test_shots_of_a_video_are_in_temporal_order_and_share_no_frame(videos, config, step):
    sampler = sampler_of(videos, config)
    if sampler is None:
        return
    plan = sampler.plan(step)
    for rows, frames in zip(plan.shots, plan.frames, strict=True):
        for shot in range(1, config.shots_per_video):
            before = (rows[shot - 1], frames[shot - 1].max())
            after = (rows[shot], frames[shot].min())
            assert before < after


@steps
@given(VIDEOS, CONFIGS, st.integers(0, 200))
def test_frames_of_a_shot_are_neighbours_and_repeat_only_when_there_are_too_few(
    videos, config, step
):
    sampler = sampler_of(videos, config)
    if sampler is None:
        return
    plan = sampler.plan(step)
    for frames in plan.frames.reshape(-1, config.frames_per_shot):
        distances = np.diff(frames)
        if len(np.unique(frames)) == config.frames_per_shot:
            assert len(set(distances)) <= 1
            assert (distances >= 1).all()
            assert (distances <= config.frame_stride).all()
        else:
            assert config.short_shot_policy == "wrap"
            length = len(np.unique(frames))
            expected = frames.min() + np.arange(config.frames_per_shot) % length
            assert (frames == expected).all()
    if config.short_shot_policy == "drop" and config.frames_per_shot > 1:
        assert (np.diff(plan.frames, axis=-1) == config.frame_stride).all()


@steps
@given(VIDEOS, CONFIGS, st.lists(st.integers(0, 60), min_size=1, max_size=8), st.integers(0, 60))
def test_a_plan_does_not_depend_on_what_was_asked_before(videos, config, history, step):
    fresh, used = sampler_of(videos, config), sampler_of(videos, config)
    if fresh is None:
        return
    for earlier in history:
        used.plan(earlier)
    for one, other in zip(fresh.plan(step), used.plan(step), strict=True):
        assert (one == other).all()


@steps
@given(VIDEOS, CONFIGS, st.integers(0, 2**31))
def test_no_video_comes_twice_in_a_pass(videos, config, seed):
    sampler = sampler_of(videos, config, seed)
    if sampler is None:
        return
    for number in range(3):
        first = number * sampler.batches_per_epoch
        plans = [sampler.plan(first + batch).videos for batch in range(sampler.batches_per_epoch)]
        seen = np.concatenate(plans)
        assert len(seen) == len(set(seen))
        assert len(seen) > sampler.num_eligible - config.videos_per_batch


@steps
@given(VIDEOS, CONFIGS)
def test_every_video_is_either_eligible_or_counted_as_ineligible(videos, config):
    sampler = sampler_of(videos, config)
    if sampler is None:
        return
    assert sampler.num_eligible + sampler.num_ineligible == len(videos)
    seen = set()
    for step in range(40 * sampler.batches_per_epoch):
        seen.update(sampler.plan(step).videos.tolist())
    assert len(seen) == sampler.num_eligible


@steps
@given(VIDEOS, CONFIGS, st.integers(0, 50), st.sampled_from([1, 2, 4]))
def test_the_parts_of_all_ranks_interleave_to_the_global_batch(videos, config, step, world):
    sampler = sampler_of(videos, config)
    if sampler is None:
        return
    plan = sampler.plan(step)
    for rank in range(world):
        part = plan.part(rank, world)
        assert (part.frames == plan.frames[rank::world]).all()
        assert (part.shots == plan.shots[rank::world]).all()
        assert (part.videos == plan.videos[rank::world]).all()


def test_seeds_and_steps_give_different_batches():
    videos = [[9, 9, 9, 9]] * 30
    config = SamplingConfig(videos_per_batch=8)
    one, other = (BatchSampler(table_of(videos), config, seed) for seed in (0, 1))
    assert (one.plan(0).videos != other.plan(0).videos).any()
    assert (one.plan(0).videos != one.plan(1).videos).any()


def test_a_video_with_many_shots_gives_a_run_of_neighbours_from_anywhere():
    sampler = one_video([5] * 9, shots_per_video=3)
    plans = [sampler.plan(step).shots[0] for step in range(200)]
    assert all((np.diff(rows) == 1).all() for rows in plans)
    assert {int(rows[0]) for rows in plans} == set(range(7))


def test_frames_start_anywhere_in_the_shot():
    sampler = one_video([10])
    starts = [int(sampler.plan(step).frames[0, 0, 0]) for step in range(700)]
    assert set(starts) == set(range(7))
    counts = np.bincount(starts)
    assert counts.min() > 60, counts
    assert counts.max() < 150, counts


def test_stride_spreads_the_frames():
    sampler = one_video([10], frame_stride=3)
    assert (sampler.plan(0).frames[0, 0] == [0, 3, 6, 9]).all()


def test_stride_narrows_before_a_frame_repeats():
    assert (one_video([8], frame_stride=3).plan(0).frames[0, 0] % 2).std() == 0
    assert (one_video([4], frame_stride=3).plan(0).frames[0, 0] == [0, 1, 2, 3]).all()


def test_a_short_shot_begins_again_under_wrap():
    sampler = one_video([3])
    assert (sampler.plan(0).frames[0, 0] == [0, 1, 2, 0]).all()
    assert sampler.num_wrapped == 1


def test_a_short_shot_is_not_used_under_drop():
    sampler = one_video([3, 9, 2, 9], short_shot_policy="drop", shots_per_video=2)
    assert (sampler.plan(0).shots[0] == [1, 3]).all()
    with pytest.raises(ConfigError, match="only 0 of 1 training videos"):
        one_video([3, 3], short_shot_policy="drop")


def test_a_single_shot_is_split_into_equal_parts():
    sampler = one_video([16], shots_per_video=4)
    plan = sampler.plan(0)
    assert (plan.shots == 0).all()
    assert (plan.frames.reshape(-1) == np.arange(16)).all()
    assert (sampler.num_split, sampler.num_wrapped) == (1, 0)


def test_the_longest_shots_are_split_first():
    sampler = one_video([4, 30, 11], shots_per_video=5)
    assert (sampler.plan(0).shots[0] == [0, 1, 1, 1, 2]).all()


def test_parts_keep_two_frames_at_least():
    assert one_video([8], shots_per_video=4).num_eligible == 1
    with pytest.raises(ConfigError, match="only 0 of 1"):
        one_video([7], shots_per_video=4)


def test_parts_are_not_cut_shorter_than_drop_allows():
    options = {"shots_per_video": 4, "short_shot_policy": "drop"}
    assert one_video([16], **options).num_eligible == 1
    with pytest.raises(ConfigError):
        one_video([15], **options)


def test_videos_with_few_shots_are_not_used_under_drop():
    config = SamplingConfig(videos_per_batch=1, shots_per_video=2, short_video_policy="drop")
    sampler = BatchSampler(table_of([[50], [5, 5]]), config, 0)
    assert (sampler.num_eligible, sampler.num_ineligible) == (1, 1)
    assert sampler.plan(3).videos.tolist() == [1]


def test_more_videos_a_batch_than_there_are_is_an_error_with_its_cure():
    with pytest.raises(ConfigError, match="videos_per_batch is 3, but only 2 of 2") as error:
        BatchSampler(table_of([[16], [16]]), SamplingConfig(videos_per_batch=3), 0)
    assert "at most 2" in error.value.hint


def test_held_out_videos_are_never_sampled_and_renumber_none():
    videos = [[9, 9]] * 6
    table = table_of(videos, held_out={"video-0", "video-3"})
    assert set(table.videos.tolist()) == {1, 2, 4, 5}
    assert table.rows.tolist() == [2, 3, 4, 5, 8, 9, 10, 11]
    sampler = BatchSampler(table, SamplingConfig(videos_per_batch=2, shots_per_video=2), 0)
    drawn = {video for step in range(20) for video in sampler.plan(step).videos.tolist()}
    assert drawn == {1, 2, 4, 5}
    assert (sampler.plan(0).shots // 2 == sampler.plan(0).videos[:, None]).all()


def test_a_store_without_shots_is_an_error():
    with pytest.raises(StoreError, match="no shots with frames"):
        shot_table([], [])


def test_shots_of_a_video_must_stand_together():
    with pytest.raises(StoreError, match="consecutive rows"):
        shot_table(["a", "b", "a"], [3, 3, 3])


@pytest.mark.parametrize("field", ["videos_per_batch", "shots_per_video", "frame_stride"])
def test_counts_below_one_are_refused(field):
    with pytest.raises(ConfigError, match=f"{field} must be at least 1, got 0"):
        SamplingConfig(**{field: 0})


def test_a_sampler_is_small_to_send_to_a_worker():
    names = [f"a long name of a video, number {number}.mp4" for number in range(2000)]
    sampler = BatchSampler(
        shot_table([name for name in names for _ in range(10)], [7] * 20000),
        SamplingConfig(videos_per_batch=4),
        0,
    )
    copy = pickle.loads(pickle.dumps(sampler))
    assert (copy.plan(77).frames == sampler.plan(77).frames).all()
    assert len(pickle.dumps(sampler)) < 20000 * 4 * 8


@steps
@given(st.lists(st.text(max_size=8), min_size=2, unique=True), st.floats(0.01, 0.99))
def test_holding_out_leaves_videos_on_both_sides_and_ignores_their_order(videos, share):
    mask = hold_out(videos, share, 0)
    assert 1 <= mask.sum() <= len(videos) - 1
    assert (hold_out(videos[::-1], share, 0) == mask[::-1]).all()


def test_holding_out_takes_the_asked_share_and_follows_the_seed():
    videos = [f"{number}.mp4" for number in range(1000)]
    mask = hold_out(videos, 0.1, 0)
    assert mask.sum() == 100
    assert (hold_out(videos, 0.1, 0) == mask).all()
    assert (hold_out(videos, 0.1, 1) != mask).any()
    grown = hold_out([*videos, "one more.mp4"], 0.1, 0)
    assert (grown[:-1] != mask).sum() <= 1


def test_a_share_of_zero_holds_out_none():
    assert not hold_out(["a", "b"], 0.0, 0).any()


def test_one_video_cannot_be_divided():
    with pytest.raises(ConfigError, match="cannot be divided"):
        hold_out(["a"], 0.5, 0)
