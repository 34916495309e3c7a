import dataclasses
import json
import re
from pathlib import Path

import pytest

from footage import configuration
from footage.errors import ConfigError
from footage.recipes.methods import METHODS, RECIPES, recipe
from footage.recipes.scales import SCALES
from footage.training.config import TrainConfig
from tests.golden import make_recipes


def test_every_resolved_recipe_is_as_committed():
    assert make_recipes.resolved() == make_recipes.PATH.read_text(), (
        "a recipe changed; if it was meant: python -m tests.golden.make_recipes"
    )


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_survives_the_way_through_run_json(name):
    plain = configuration.to_dict(recipe(name))
    assert configuration.from_dict(TrainConfig, plain) == recipe(name)


def test_every_method_comes_at_every_scale():
    assert len(RECIPES) == len(METHODS) * len(SCALES)
    for method in METHODS:
        configs = [recipe(f"{method}{scale}") for scale in ("", "-gpu", "-tiny")]
        paper, gpu, tiny = (as_far_ahead(config.objective, 1) for config in configs)
        assert paper == gpu == tiny, "a scale changes the size, not the method"


def as_far_ahead(objective, steps):
    return dataclasses.replace(objective, future=dataclasses.replace(objective.future, steps=steps))


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_looks_ahead_as_far_as_its_shots_reach_three_at_most(name):
    config = recipe(name)
    if config.objective.has_video_level:
        assert config.objective.future.steps == min(3, config.sampling.shots_per_video - 1)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_says_what_it_is(name):
    assert "[paper]" in RECIPES[name].notes or "[ours]" in RECIPES[name].notes
    assert f"footage train {name} --" in RECIPES[name].notes
    assert "\nCost: " in RECIPES[name].notes


def test_the_relative_cost_of_a_method_is_the_measured_one():
    results = Path(__file__).parents[2] / "benchmarks" / "results" / "recipe-costs.json"
    measured = json.loads(results.read_text())["cost"]
    assert measured.keys() == METHODS.keys()
    for method in METHODS:
        told = re.findall(r"^Relative cost: (.*)$", RECIPES[method].notes, flags=re.MULTILINE)
        assert told == ([] if method == "vivi-ex4" else [str(measured[method])]), method


def test_the_cost_of_the_gpu_scale_is_the_measured_one():
    results = Path(__file__).parents[2] / "benchmarks" / "results" / "recipe-costs-gpu.json"
    measured = json.loads(results.read_text())
    gpu = measured["machine"]["accelerator"]
    expected = f"Cost: {measured['reference_seconds']} s per step of vivi-ex4 on an {gpu}"
    assert expected in RECIPES["vivi-ex4-gpu"].notes


def test_every_method_with_labels_sees_as_many_of_them():
    batches = {
        recipe(f"{method}-tiny").labelled.images_per_batch
        for method in METHODS
        if recipe(method).objective.supervised.weight
    }
    assert len(batches) == 1


@pytest.mark.parametrize("scale", ["", "-gpu", "-tiny"])
def test_all_three_levels_at_once_see_as_many_views_of_half_as_many_videos(scale):
    plain, full = recipe(f"vivi-ex4{scale}"), recipe(f"vivi-full{scale}")
    assert full.sampling.images_per_batch == plain.sampling.images_per_batch
    assert 2 * full.sampling.videos_per_batch == plain.sampling.videos_per_batch
    assert full.objective.frame.weight == full.objective.frame_shot.weight == 1
    without = dataclasses.replace(full.objective, frame=plain.objective.frame)
    assert without == plain.objective


@pytest.mark.parametrize("scale", ["", "-gpu", "-tiny"])
@pytest.mark.parametrize("control", ["ex-shot", "ex-frame", "frames-as-images"])
def test_a_control_sees_as_many_views_as_the_method_and_has_no_video_level(control, scale):
    ours, theirs = recipe(f"vivi-ex4{scale}"), recipe(f"{control}{scale}")
    assert theirs.sampling.images_per_batch == ours.sampling.images_per_batch
    assert theirs.steps == ours.steps
    assert not theirs.objective.has_video_level
    assert theirs.objective.frame_shot.positives == ("shot" if control == "ex-shot" else "frame")


def test_an_unknown_recipe_is_refused_with_the_nearest():
    with pytest.raises(ConfigError, match=r"unknown recipe 'vivi-ex5'.*did you mean vivi-ex4"):
        recipe("vivi-ex5")


@pytest.mark.parametrize(
    "change", [{"steps": 0}, {"ema_decay": 1.0}, {"gradient_clip": -1.0}, {"metrics_every": 0}]
)
def test_impossible_settings_are_refused_by_name(change):
    with pytest.raises(ConfigError, match=next(iter(change))):
        dataclasses.replace(recipe("vivi-ex4-tiny"), **change)
