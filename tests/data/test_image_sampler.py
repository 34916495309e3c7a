import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from footage.data.image_sampler import ImageSampler
from footage.errors import ConfigError

COUNTS = st.integers(1, 40)


@settings(deadline=None, derandomize=True)
@given(count=COUNTS, per_batch=COUNTS, step=st.integers(0, 10**7), seed=st.integers(0, 2**40))
def test_a_batch_is_a_function_of_seed_and_step_alone(count, per_batch, step, seed):
    rows = np.arange(count) * 7
    used, fresh = (ImageSampler(rows, per_batch, seed) for _ in range(2))
    used.plan(0)
    used.plan(step + 1)
    plan = fresh.plan(step)
    assert plan.shape == (per_batch,)
    assert set(plan.tolist()) <= set(rows.tolist())
    np.testing.assert_array_equal(plan, used.plan(step))


@settings(deadline=None, derandomize=True)
@given(count=COUNTS, per_batch=COUNTS)
def test_no_image_comes_twice_before_a_pass_is_over(count, per_batch):
    sampler = ImageSampler(np.arange(count), per_batch, 3)
    if per_batch <= count:
        batches = count // per_batch
        for number in range(3):
            steps = range(number * batches, (number + 1) * batches)
            drawn = np.concatenate([sampler.plan(step) for step in steps])
            assert len(set(drawn.tolist())) == batches * per_batch
    else:
        stream = np.concatenate([sampler.plan(step) for step in range(3 * count)])
        passes = stream.reshape(-1, count)
        assert (np.sort(passes) == np.arange(count)).all()


def test_the_rest_that_sits_out_changes_from_pass_to_pass():
    sampler = ImageSampler(np.arange(10), 4, 0)
    absent = {
        frozenset(range(10)) - {*sampler.plan(2 * n).tolist(), *sampler.plan(2 * n + 1).tolist()}
        for n in range(20)
    }
    assert len(absent) > 5


def test_another_seed_gives_other_batches():
    rows = np.arange(100)
    assert (ImageSampler(rows, 50, 0).plan(0) != ImageSampler(rows, 50, 1).plan(0)).any()


def test_what_cannot_be_sampled_is_refused():
    with pytest.raises(ConfigError, match="images_per_batch must be at least 1, got 0"):
        ImageSampler(np.arange(3), 0, 0)
    with pytest.raises(ConfigError, match="no labelled images"):
        ImageSampler(np.arange(0), 3, 0)
    with pytest.raises(ConfigError, match="step must be at least 0, got -1"):
        ImageSampler(np.arange(3), 1, 0).plan(-1)
