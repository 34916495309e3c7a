"""Paired intervals: agreement with the binomial test, coverage, and spread over seeds."""

import numpy as np
import pytest
from scipy import stats

from footage.metrics import paired
from footage.metrics.intervals import difference
from footage.metrics.paired import PairedTask, Spread, paired_interval, spread, spreads

ONE_RUN = (Spread(0.0, 0), Spread(0.0, 0))


def mean(values):
    return values.mean(axis=1)


def interval(ours, theirs, spreads=ONE_RUN, **options):
    task = PairedTask(np.atleast_2d(ours), np.atleast_2d(theirs), 1.0)
    return paired_interval([task], (mean, mean), spreads, **options)


def answers(both, ours, theirs, neither):
    """Answers of two models, from the number of images that each answers correctly."""
    counts = [both, ours, theirs, neither]
    return np.repeat([True, True, False, False], counts), np.repeat(
        [True, False, True, False], counts
    )


def test_the_verdict_agrees_with_the_exact_sign_test_on_few_disagreements():
    for ours in range(4, 12):
        low, _ = interval(*answers(10, ours, 0, 10))
        exact = stats.binomtest(ours, ours).pvalue
        assert (low > 0) == (exact < 0.05), ours


def test_pairing_makes_the_interval_narrower_than_independent_samples():
    ours, theirs = answers(150, 20, 5, 25)
    low, high = interval(ours, theirs)
    unpaired = difference(ours.mean(), 200, theirs.mean(), 200)
    assert low > 0 > unpaired.low
    assert high - low < 0.7 * (unpaired.high - unpaired.low)


def test_models_that_agree_on_all_images_have_an_interval_around_zero():
    low, high = interval(*answers(10, 0, 0, 10))
    assert -0.2 < low < 0 < high < 0.2
    assert interval(*answers(1000, 0, 0, 1000)).high < 0.003


def test_the_same_answers_give_the_same_interval():
    assert interval(*answers(10, 6, 2, 4)) == interval(*answers(10, 6, 2, 4))


@pytest.mark.parametrize("count", [50, 400])
def test_the_interval_covers_the_true_difference(count, monkeypatch):
    monkeypatch.setattr(paired, "DRAWS", 1000)
    draw = np.random.default_rng(0)
    covered = 0
    for _ in range(300):
        easy = draw.random(count)
        low, high = interval(easy < 0.6, (easy < 0.5) | (easy > 0.95))  # true: +0.05
        covered += low <= 0.05 <= high
    assert covered >= 0.93 * 300


def test_several_seeds_widen_the_interval_by_their_spread():
    ours, theirs = answers(150, 20, 5, 25)
    alone = interval(ours, theirs)
    seeds = np.stack([ours, ours])
    few = interval(seeds, theirs, (spread([0.86, 0.84]), Spread(0.0, 0)))
    many = interval(seeds, theirs, (spread([0.86, 0.84] * 5), Spread(0.0, 0)))
    assert few.low < 0 < alone.low
    assert few.high - few.low > many.high - many.low > alone.high - alone.low
    assert spread([0.5]) == (0.0, 0)


def test_shared_draws_of_labels_widen_the_interval_only_by_the_spread_of_the_differences():
    ours, theirs = [0.5, 0.7, 0.6], [0.45, 0.66, 0.54]
    first, second = spreads(ours, theirs, is_paired=True)
    assert second == Spread(0.0, 0)
    assert first == pytest.approx(spread([0.05, 0.04, 0.06]))
    assert spreads(ours, theirs, is_paired=False) == (spread(ours), spread(theirs))


def test_a_mean_over_tasks_is_narrower_than_each_task():
    ours, theirs = answers(150, 20, 5, 25)
    task = PairedTask(ours[None], theirs[None], 0.5)
    low, high = paired_interval([task, task], (mean, mean), ONE_RUN)
    alone = interval(ours, theirs)
    assert 0.6 < (high - low) / (alone.high - alone.low) < 0.8


def test_a_higher_level_is_wider():
    pair = answers(150, 20, 5, 25)
    assert interval(*pair, level=0.99).low < interval(*pair).low
