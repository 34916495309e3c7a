"""A model next to its baselines: what the intervals allow to be said, and the tables."""

import io

import pytest
from rich.console import Console

from footage.evaluation.comparisons import comparisons, pixels_ahead, table
from footage.evaluation.results import MAJORITY, NEAREST, ResultRow

UNTRAINED = "from the untrained network"


def row(task, column, protocol, value, num_test=400):
    return ResultRow(
        model="", column=column, task=task, protocol=protocol, metric="top-1", value=value,
        standard_error=0.02, validation=value, selected={}, num_classes=8, num_train=1, num_val=1,
        num_test=num_test, split="", seed=0, architecture="", start=column, size=64,
    )  # fmt: skip


def rows(task, protocol, chance, pixels, untrained, model):
    values = {"pixels": pixels, "untrained": untrained, "model": model}
    return [
        row(task, "chance", MAJORITY if protocol != NEAREST else NEAREST, chance),
        *(row(task, column, protocol, value) for column, value in values.items()),
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
    few = [row("a", column, "knn", value, num_test=20) for column, value in
           {"untrained": 0.5, "model": 0.6}.items()]  # fmt: skip
    (found,) = comparisons(few)
    assert found.verdict == "no clear difference from the untrained network"


def test_raw_pixels_that_are_ahead_are_named_and_explained():
    ahead, behind = one(0.7, 0.5, 0.6), one(0.3, 0.5, 0.6)
    assert pixels_ahead([ahead, behind]).startswith("Raw pixels are ahead on kinds (knn). This")
    assert pixels_ahead([behind]) == ""


def test_retrieval_has_a_table_of_its_own():
    found = rows("same video", NEAREST, 0.05, 0.1, 0.2, 0.4) + rows(
        "kinds", "knn", 0.1, 0.2, 0.3, 0.5
    )
    written = io.StringIO()
    Console(file=written, width=160).print(table(found))
    retrieval, labelled = written.getvalue().split("top-1 accuracy on the test part")
    assert "held-out videos" in retrieval
    assert "5.0" in retrieval
    assert "same video" in retrieval
    assert "same video" not in labelled
    assert "+20.0" in labelled
