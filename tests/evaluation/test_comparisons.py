"""A model compared with its baselines: what the intervals allow to be said."""

import pytest

from footage.evaluation.comparisons import comparisons, pixels_ahead
from footage.evaluation.probes import MAJORITY
from footage.evaluation.results import NEAREST
from tests.evaluation.rows import labelled


def row(task, baseline, protocol, value, num_test=400):
    return labelled(
        task=task, baseline=baseline, protocol=protocol, value=value, num_test=num_test,
        weights_origin=baseline, weights="",
    )  # fmt: skip


def rows(task, protocol, chance, pixels, untrained, model):
    values = {"pixels": pixels, "untrained": untrained, "": model}
    return [
        row(task, "chance", MAJORITY if protocol != NEAREST else NEAREST, chance),
        *(row(task, baseline, protocol, value) for baseline, value in values.items()),
    ]


def one(*values):
    (found,) = comparisons(rows("kinds", "knn", 0.1, *values))
    return found


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ((0.3, 0.5, 0.6), "better than the untrained network and raw pixels"),
        (
            (0.3, 0.5, 0.53),
            "no clear difference from the untrained network; better than raw pixels",
        ),
        ((0.7, 0.5, 0.6), "better than the untrained network; worse than raw pixels"),
        ((0.7, 0.7, 0.6), "worse than the untrained network and raw pixels"),
    ],
)
def test_the_verdict_is_what_the_intervals_allow(values, verdict):
    assert one(*values).verdict == verdict


def test_the_same_gain_is_unclear_on_few_images():
    few = [row("a", baseline, "knn", value, num_test=20) for baseline, value in
           {"untrained": 0.5, "": 0.6}.items()]  # fmt: skip
    (found,) = comparisons(few)
    assert found.verdict == "no clear difference from the untrained network"


def test_raw_pixels_that_are_ahead_are_named_and_explained():
    ahead, behind = one(0.7, 0.5, 0.6), one(0.3, 0.5, 0.6)
    assert pixels_ahead([ahead, behind]).startswith("Raw pixels are ahead on kinds (knn). This")
    assert pixels_ahead([behind]) == ""
