import dataclasses

import pytest

from footage import configuration
from footage.errors import ConfigError
from footage.recipes import RECIPES, recipe
from footage.verbs.train import TrainConfig
from tests.golden import make_recipes


def test_every_resolved_recipe_is_as_committed():
    assert make_recipes.resolved() == make_recipes.PATH.read_text(), (
        "a recipe changed; if it was meant: python -m tests.golden.make_recipes"
    )


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_survives_the_way_through_run_json(name):
    plain = configuration.to_dict(recipe(name))
    assert configuration.from_dict(TrainConfig, plain) == recipe(name)


def test_tiny_differs_from_vivi_ex4_in_scale_but_not_in_its_levels():
    tiny, paper = recipe("tiny"), recipe("vivi-ex4")
    assert tiny.objective.frame_shot.loss == paper.objective.frame_shot.loss == "exemplar"
    assert tiny.sampling.frames_per_shot == paper.sampling.frames_per_shot == 4
    for config in (tiny, paper):
        assert config.objective.future.steps == 3
        assert config.objective.future.weight > 0
        assert config.objective.order.weight > 0


@pytest.mark.parametrize(
    ("name", "baseline"), [("vivi-ex4", "ex-frame"), ("tiny", "tiny-ex-frame")]
)
def test_the_baseline_sees_as_many_views_and_no_video(name, baseline):
    ours, theirs = recipe(name), recipe(baseline)
    assert theirs.sampling.images_per_batch == ours.sampling.images_per_batch
    assert theirs.steps == ours.steps
    assert theirs.objective.frame_shot.positives == "frame"
    assert theirs.objective.future.weight == theirs.objective.order.weight == 0


def test_an_unknown_recipe_is_refused_with_the_nearest():
    with pytest.raises(ConfigError, match=r"no recipe 'vivi-ex5'.*did you mean vivi-ex4"):
        recipe("vivi-ex5")


@pytest.mark.parametrize(
    "change", [{"steps": 0}, {"ema_decay": 1.0}, {"gradient_clip": -1.0}, {"probe_every": 0}]
)
def test_impossible_settings_are_refused_by_name(change):
    with pytest.raises(ConfigError, match=next(iter(change))):
        dataclasses.replace(recipe("tiny"), **change)
