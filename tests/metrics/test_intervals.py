"""Intervals of accuracies, held against closed forms, published numbers and coverage."""

import numpy as np
import pytest

from footage.metrics.bootstrap import Estimate, fraction
from footage.metrics.intervals import Z, difference, few_images, percent, wilson


@pytest.mark.parametrize(
    ("right", "count", "low", "high"),
    [
        # Newcombe 1998, Statistics in Medicine 17:857, table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_agrees_with_published_intervals(
    right: int, count: int, low: float, high: float
) -> None:
    assert wilson(right / count, count) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize("count", [1, 4, 30, 10_000])
def test_all_right_and_all_wrong_are_not_certain(count: int) -> None:
    assert wilson(1.0, count) == pytest.approx((count / (count + Z * Z), 1.0))
    assert wilson(0.0, count) == pytest.approx((0.0, Z * Z / (count + Z * Z)))
    assert wilson(1.0, count).high == 1.0
    assert wilson(0.0, count).low == 0.0


def test_four_of_four_reach_down_to_a_half() -> None:
    assert percent(1.0, wilson(1.0, 4)) == "100.0 [51.0, 100.0]"


def test_without_images_nothing_is_known() -> None:
    assert wilson(0.0, 0) == (0.0, 1.0)


@pytest.mark.parametrize("truth", [0.02, 0.5, 0.9, 0.99])
def test_the_interval_covers_the_truth_in_about_95_of_100_cases(truth: float) -> None:
    drawn = np.random.default_rng(0).binomial(40, truth, 4000)
    intervals = {right: wilson(right / 40, 40) for right in set(drawn.tolist())}
    covered = np.mean([intervals[r].low <= truth <= intervals[r].high for r in drawn.tolist()])
    assert 0.92 <= covered <= 0.995


def test_a_difference_agrees_with_published_intervals() -> None:
    # Newcombe 1998, Statistics in Medicine 17:873, table II, method 10
    assert difference(56 / 70, 70, 48 / 80, 80) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert difference(9 / 10, 10, 3 / 10, 10) == pytest.approx((0.1705, 0.8090), abs=5e-5)
    assert difference(10 / 10, 10, 0 / 10, 10) == pytest.approx((0.6075, 1.0), abs=5e-5)


def test_a_perfect_score_on_few_images_does_not_clearly_beat_a_good_one() -> None:
    assert difference(4 / 4, 4, 3 / 4, 4).low < 0 < difference(400 / 400, 400, 300 / 400, 400).low


def test_small_test_sets_are_named() -> None:
    assert few_images([("a", 50), ("b", 4), ("b", 4)]).startswith(
        "Very small test sets, fewer than 50 images: b (4); "
    )
    assert few_images([("a", 50)]) == ""


def test_a_fraction_of_units_that_all_agree_is_not_certain_either() -> None:
    ones = np.ones(9)
    assert fraction(ones, ones, seed=0) == Estimate(1.0, *wilson(1.0, 9))
    assert fraction(0 * ones, ones, seed=0) == Estimate(0.0, *wilson(0.0, 9))
    one_unit = fraction(np.array([0.5, 0, 0]), np.array([1.0, 0, 0]), seed=0)
    assert one_unit == Estimate(0.5, *wilson(0.5, 1))
    assert np.isnan(fraction(0 * ones, 0 * ones, seed=0).value)
    mixed = fraction(np.arange(9.0) % 2, ones, seed=0)
    assert 0 < mixed.low < mixed.value < mixed.high < 1
