"""The arms as they are shipped are the recipes, to the last setting."""

from benchmarks.compare import check_views, read_arm
from benchmarks.experiments.shipped import ARMS, SHIPPED
from footage.recipes import recipe


def test_arms_see_equally_many_views():
    check_views([read_arm(text) for text in ARMS], {})


def test_the_first_arms_are_the_recipes_with_nothing_changed():
    for arm in map(read_arm, SHIPPED):
        assert arm.config({}, 0) == recipe(arm.recipe), arm.label
