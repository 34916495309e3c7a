"""Changes one at a time, and pretrained weights adapted to gameplay."""

import statistics
from math import log
from pathlib import Path

import pytest
import torch

from experiments import adapted_gameplay, interventions, shot_classes, video_tasks
from experiments.compare import check_views, read_arm, read_settings
from experiments.compare_table import difference
from experiments.results_page import RESULTS
from experiments.shot_classes import ShotClassesLevel
from experiments.video_measures import RATE, read
from footage.errors import ConfigError
from footage.objectives.inputs import LevelInput
from tests.support.plugins import forget_at_end


def test_every_change_uses_as_many_views_as_the_recipes(monkeypatch):
    forget_at_end(monkeypatch)
    shot_classes.register()
    arms = [read_arm(text) for text in (*video_tasks.ARMS, *interventions.ARMS)]
    check_views(arms, read_settings(interventions.COMMON))
    crops = {
        arm.label.partition(RATE)[0]: arm.config({}, 0).augment.crop_scale_max
        for arm in arms
        if "small crops" in arm.label
    }
    assert crops == dict.fromkeys(
        [
            "vivi-full, small crops", "vivi-ex4, small crops", "frames-as-images, small crops",
            "ex-frame, small crops",
        ],
        0.35,
    )  # fmt: skip


def test_arms_that_adapt_differ_only_in_their_videos_and_rate():
    arms = [read_arm(text) for text in adapted_gameplay.ARMS]
    check_views(arms, read_settings(adapted_gameplay.COMMON))
    configs = [arm.config(read_settings(adapted_gameplay.COMMON), 0) for arm in arms]
    assert len({config.init for config in configs}) == 1
    assert {config.adapt.frozen_fraction for config in configs} == {0.4}
    assert {config.sampling.structure for config in configs} == {"video", "shuffled"}
    rates = sorted({config.optimizer.learning_rate for config in configs})
    assert rates == pytest.approx([0.00003, 0.0001, 0.0003])


def batch(features, rows):
    return LevelInput(features=features, rows=rows, step=0, seed=0)


def test_views_of_a_shot_have_its_class():
    level = ShotClassesLevel(8, 16)
    rows = torch.tensor([[3, 9], [3, 15]])
    still = batch(torch.zeros(2, 2, 2, 2, 8), rows)
    with torch.no_grad():
        level.classify.bias.zero_()
        assert level(still).item() == pytest.approx(log(16))
        level.classify.bias[3] = 100.0  # right for half of the views
        assert level(still).item() == pytest.approx(50.0)
    assert level.chance((2, 2, 2, 2)) == pytest.approx(log(16))


def test_a_store_with_more_shots_is_refused():
    with pytest.raises(ConfigError, match="more than 4 shots"):
        ShotClassesLevel(8, 4)(batch(torch.zeros(1, 1, 1, 1, 8), torch.tensor([[4]])))


@pytest.mark.parametrize("recipe", ["vivi-ex4", "ex-frame", "frames-as-images"])
def test_the_guide_has_the_numbers_of_the_adapted_weights(recipe):
    scores = read(RESULTS / "adapted-gameplay.jsonl", by=["in-domain"])
    label = scores.best()[f"{recipe}, adapted"]
    cells = [label.partition(RATE)[2] or "0.0001"]
    for part in ("in-domain", "search", "instances"):
        ours = scores.values(label, part)
        original = {seed: scores.originals[seed].parts[part] for seed in ours}
        cells += [f"{statistics.mean(ours.values()):.1f}", difference(ours, original)]
    guide = Path(__file__).parents[2] / "docs" / "guides" / "adapt.md"
    assert f" | {' | '.join(cells)} |\n" in guide.read_text("utf-8")
