import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from footage.errors import ConfigError
from footage.optim.schedules import ScheduleConfig, learning_rate

NAMES = ("cosine", "steps", "constant")
# Drawn as plain values and built inside the tests: the type checks that pytest switches on draw at
# random themselves, which hypothesis does not allow inside a strategy.
schedules = st.fixed_dictionaries(
    {
        "name": st.sampled_from(NAMES),
        "warmup_fraction": st.floats(0, 0.3),
        "decay_fractions": st.sampled_from([(), (0.5,), (1 / 3, 2 / 3, 0.9)]),
        "decay_factor": st.floats(0.01, 1),
        "final_fraction": st.floats(0, 1),
    }
)
lengths = st.integers(1, 400)


def rates(config, total_steps, peak=2.0):
    return [
        learning_rate(step, config, peak=peak, total_steps=total_steps)
        for step in range(total_steps)
    ]


@settings(derandomize=True, max_examples=100, deadline=None)
@given(schedules, lengths)
def test_rates_are_never_negative_and_never_above_the_peak(values, total_steps):
    config = ScheduleConfig(**values)
    every = rates(config, total_steps)
    assert all(math.isfinite(rate) and 0 <= rate <= 2.0 for rate in every)
    assert every[0] > 0


@settings(derandomize=True, max_examples=100, deadline=None)
@given(schedules, lengths)
def test_warm_up_rises_and_ends_at_the_peak(values, total_steps):
    config = ScheduleConfig(**values)
    warmup_steps = round(config.warmup_fraction * total_steps)
    every = rates(config, total_steps)[: warmup_steps + 1]
    assert every == sorted(every)
    if warmup_steps < total_steps:
        assert every[-1] == pytest.approx(2.0)


@settings(derandomize=True, max_examples=100, deadline=None)
@given(schedules, lengths)
def test_after_warm_up_the_rate_never_rises(values, total_steps):
    config = ScheduleConfig(**values)
    every = rates(config, total_steps)[round(config.warmup_fraction * total_steps) :]
    assert every == sorted(every, reverse=True)


@settings(derandomize=True, max_examples=100, deadline=None)
@given(schedules.filter(lambda values: values["name"] != "steps"), lengths)
def test_without_steps_the_rate_moves_by_no_more_than_its_steepest_part(values, total_steps):
    config = ScheduleConfig(**values)
    warmup_steps = round(config.warmup_fraction * total_steps)
    steepest = max(1 / (warmup_steps + 1), math.pi / 2 / max(1, total_steps - warmup_steps))
    every = rates(config, total_steps)
    for before, after in itertools.pairwise(every):
        assert abs(after - before) <= 2.0 * steepest + 1e-9


def test_the_cosine_ends_at_its_final_share():
    config = ScheduleConfig(warmup_fraction=0.1, final_fraction=0.25)
    assert learning_rate(100, config, peak=4.0, total_steps=100) == pytest.approx(1.0)
    assert learning_rate(10**6, config, peak=4.0, total_steps=100) == pytest.approx(1.0)
    half_way = learning_rate(55, config, peak=4.0, total_steps=100)
    assert half_way == pytest.approx((4.0 + 1.0) / 2)


def test_steps_fall_by_the_factor_at_each_share():
    config = ScheduleConfig(name="steps", warmup_fraction=0.0, decay_fractions=(0.5, 0.75))
    every = rates(config, 8, peak=1.0)
    assert every == pytest.approx([1.0] * 4 + [0.1] * 2 + [0.01] * 2)


def test_a_run_of_one_step_has_a_rate():
    for name in NAMES:
        assert rates(ScheduleConfig(name=name), 1) == [2.0]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("warmup_fraction", 1.0),
        ("warmup_fraction", -0.1),
        ("decay_fractions", (0.5, 0.4)),
        ("decay_fractions", (0.01,)),
        ("decay_fractions", (0.5, 1.0)),
        ("decay_factor", 0.0),
        ("decay_factor", 1.5),
        ("final_fraction", 2.0),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(field, value):
    with pytest.raises(ConfigError, match=f"schedule.{field}"):
        ScheduleConfig(**{"name": "steps", field: value})


def test_decay_shares_matter_to_steps_only():
    assert ScheduleConfig(name="cosine", warmup_fraction=0.5).warmup_fraction == 0.5
    with pytest.raises(ConfigError, match=r"schedule.decay_fractions .* \(0.5\)"):
        ScheduleConfig(name="steps", warmup_fraction=0.5)
