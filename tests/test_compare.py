"""The tables of benchmarks/compare.py against numbers worked out by hand."""

import runpy
from pathlib import Path

import pytest

from footage.errors import ConfigError

compare = runpy.run_path(str(Path(__file__).parents[1] / "benchmarks" / "compare.py"))


def line(label, seed, model, retrieved):
    """A made-up result: two tasks of one protocol, and the retrieval of shots."""
    values = {"chance": 0.1, "pixels": 0.3, "untrained": 0.2, "model": model}
    rows = [
        {
            "task": task,
            "column": column,
            "protocol": "majority" if column == "chance" else "knn",
            "value": value + shift,
            "validation": 0.5,
        }
        for task, shift in (("birds", 0.0), ("boats", 0.1))
        for column, value in values.items()
    ]
    probe = {
        "untrained": {"same_shot_hit": 0.5, "same_shot_chance": 0.01},
        "trained": {"same_shot_hit": retrieved, "same_shot_chance": 0.01},
    }
    return {"label": label, "seed": seed, "rows": rows, "probe": probe}


def test_a_table_has_mean_extremes_and_paired_differences():
    lines = [line("first", seed, 0.4 + seed / 10, 0.8) for seed in range(3)]
    # Better by 1, 2 and 3 points: 2 on average, with a standard error of 1 / sqrt(3).
    lines += [line("second", seed, 0.41 + seed * 0.11, 0.9) for seed in range(3)]
    means, differences = compare["table"](lines).split("Difference to first")
    assert "| same shot | 1.0 (1.0..1.0) |  | 50.0 (50.0..50.0) | 80.0 (80.0..80.0) |" in means
    assert "| birds, knn | 10.0 (10.0..10.0) | 30.0 (30.0..30.0) | 20.0 (20.0..20.0) |" in means
    assert "| 50.0 (40.0..60.0) | 52.0 (41.0..63.0) |" in means
    assert "| mean of 2 sets, knn | 15.0 (15.0..15.0) | 35.0" in means
    assert "| birds, knn | +2.0 ± 0.6 |" in differences
    assert "| same shot | +10.0 ± 0.0 |" in differences


def test_one_seed_has_no_spread_and_settings_are_chosen_on_the_validation_part():
    text = compare["table"]([line("only", 0, 0.4, 0.8)], "validation")
    assert "| birds, knn | 50.0 | 50.0 | 50.0 | 50.0 |" in text
    assert "Difference" not in text


def test_arms_that_see_different_numbers_of_views_are_refused():
    arms = [
        compare["read_arm"]("vivi-ex4-tiny"),
        compare["read_arm"]("ex-shot-tiny:longer:steps=400,objective.frame_shot.margin=1"),
    ]
    assert arms[1].config({"steps": 300}, 5).objective.frame_shot.margin == 1.0
    with pytest.raises(ConfigError, match="different numbers of views"):
        compare["check_views"](arms, {"steps": 300})
