"""The arms of the experiment on video structure exist, and see equally many views."""

from experiments.compare import check_views, read_arm
from experiments.structure import ARMS
from footage.recipes.methods import recipe

SHIPPED, *_, BEFORE = (read_arm(text) for text in ARMS)


def test_the_first_arm_is_the_shipped_recipe_and_all_see_equal_views():
    check_views([read_arm(text) for text in ARMS], {})
    assert SHIPPED.config({}, 0) == recipe("vivi-ex4-tiny")


def test_the_last_arm_is_the_earlier_recipe():
    sampling = BEFORE.config({}, 0).sampling
    assert (sampling.videos_per_batch, sampling.shots_per_video) == (8, 4)
    assert BEFORE.config({}, 0).augment.crop_scale_min == 0.2
