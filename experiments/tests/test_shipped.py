"""The shipped arms equal the recipes in every setting."""

from dataclasses import replace

from experiments.compare import check_views, read_arm
from experiments.shipped import ARMS, RATES, SHIPPED
from footage.recipes.methods import recipe


def test_arms_see_equally_many_views():
    check_views([read_arm(text) for text in ARMS], {})


def test_the_first_arms_are_the_recipes_with_nothing_changed():
    for arm in map(read_arm, SHIPPED):
        assert arm.config({}, 0) == recipe(arm.recipe), arm.label


def test_every_arm_but_one_is_tuned_with_two_more_learning_rates():
    arms = {arm.label: arm.config({}, 0) for arm in map(read_arm, (*SHIPPED, *RATES))}
    for label in ("vivi-ex4", "frames-as-images", "ex-frame"):
        for rate in (0.0003, 0.003):
            tuned = arms[f"{label}, learning rate {rate}"]
            assert tuned.optimizer.learning_rate == rate
            optimizer = replace(tuned.optimizer, learning_rate=0.001)
            assert replace(tuned, optimizer=optimizer) == arms[label]
