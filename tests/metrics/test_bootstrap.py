import numpy as np
import pytest

from footage.metrics.bootstrap import divided, estimate, share


def test_the_interval_of_a_mean_agrees_with_the_textbook():
    values = np.random.default_rng(0).normal(3.0, 2.0, 400)
    found = estimate(share(values, np.ones(400)), 400, seed=0)
    assert found.value == pytest.approx(values.mean())
    half = 1.96 * values.std(ddof=1) / 20
    assert found.low == pytest.approx(values.mean() - half, abs=0.03)
    assert found.high == pytest.approx(values.mean() + half, abs=0.03)


def test_the_same_seed_gives_the_same_interval_and_another_one_another():
    values = np.arange(20.0)
    first = estimate(share(values, np.ones(20)), 20, seed=1)
    assert first == estimate(share(values, np.ones(20)), 20, seed=1)
    assert first != estimate(share(values, np.ones(20)), 20, seed=2)


def test_intervals_are_wider_over_videos_than_over_their_frames():
    # Ten videos of fifty identical frames: the frames are no observations of their own.
    video = np.random.default_rng(0).normal(size=10)
    frames = np.repeat(video, 50)
    over_videos = estimate(share(video * 50, np.full(10, 50.0)), 10, seed=0)
    over_frames = estimate(share(frames, np.ones(500)), 500, seed=0)
    assert over_videos.value == pytest.approx(over_frames.value)
    assert over_videos.high - over_videos.low > 4 * (over_frames.high - over_frames.low)


def test_what_cannot_be_divided_is_not_a_number():
    assert np.isnan(divided(np.array([1.0]), np.array([0.0]))).all()
    found = estimate(share(np.zeros(3), np.zeros(3)), 3, seed=0)
    assert np.isnan([found.value, found.low, found.high]).all()


def test_draws_in_which_nothing_is_defined_are_left_out():
    # One unit of three has pairs at all; draws without it say nothing.
    found = estimate(share(np.array([0.5, 0, 0]), np.array([1.0, 0, 0])), 3, seed=0)
    assert (found.value, found.low, found.high) == pytest.approx((0.5, 0.5, 0.5))
