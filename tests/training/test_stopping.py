import pytest

from footage.training.stopping import EarlyStopping, score


def metrics(value):
    return {"same_shot_hit": value + 0.1, "same_video_hit": value - 0.1, "rankme": 7.0}


def followed(values, patience, **options):
    stopping = EarlyStopping(patience, **options)
    return stopping, [stopping.add(10 * n, metrics(value)) for n, value in enumerate(values)]


def test_the_score_is_the_mean_of_the_hit_rates_that_exist():
    assert score(metrics(0.5)) == pytest.approx(0.5)
    assert score({"same_shot_hit": 0.9}) == 0.9
    assert score({"rankme": 3.0}) is None


def test_training_stops_after_as_many_scores_without_improvement_as_patience():
    stopping, best = followed([0.3, 0.5, 0.4, 0.5], 2)
    assert best == [True, True, False, False]
    assert stopping.is_exhausted
    assert stopping.best_step == 10
    assert not followed([0.3, 0.5, 0.4], 2)[0].is_exhausted
    assert not followed([0.3, 0.2, 0.2, 0.2], 0)[0].is_exhausted


def test_the_same_history_gives_the_same_decision():
    values = [0.3, 0.5, 0.4, 0.5]
    lines = [{"step": 10 * n, "probe": metrics(value)} for n, value in enumerate(values)]
    again = EarlyStopping(2, [*lines, {"step": 31, "loss": 1.0}])
    assert again.is_exhausted
    assert (again.best_step, again.first) == (10, pytest.approx(0.3))


def test_scores_before_an_extension_no_longer_count():
    values = [0.5, 0.4, 0.4]
    lines = [{"step": 10 * n, "probe": metrics(value)} for n, value in enumerate(values)]
    stopping = EarlyStopping(2, lines, extended_at=20)
    assert not stopping.is_exhausted
    stopping.add(30, metrics(0.4))
    assert not stopping.is_exhausted
    stopping.add(40, metrics(0.4))
    assert stopping.is_exhausted


def test_the_sentence_names_the_step_that_is_used():
    stopping, _ = followed([0.3, 0.5, 0.4, 0.4], 2)
    sentence = stopping.sentence(30, total_steps=100)
    assert sentence.startswith("stopped early after step 30 of 100: ")
    assert "best after step 10 (0.500; initial weights 0.300)" in sentence
    worse, _ = followed([0.3, 0.2, 0.2], 2)
    assert "the run keeps the initial weights" in worse.sentence(20, total_steps=20)
    assert "has no effect" in EarlyStopping(2).sentence(20, total_steps=20)
    assert EarlyStopping(2).record(20, total_steps=20) == {}
