"""The five measures, and the choice of a learning rate, from hand-made results."""

import json

import pytest

from experiments.video_measures import FIVE, LINEAR, SEARCH, read, score, table


def values(names, value):
    return {name: {"chance": 1.0, "untrained": 10.0, "model": value} for name in names}


def line(label, seed, tasks=40.0, search=60.0, validation=50.0):
    """A result in which every measure but search and the thirteen tasks is 30."""
    test = values(LINEAR, tasks) | values(SEARCH, search)
    for name, names in FIVE.items():
        test |= {} if name == "search" else values(names, 30.0)
    nearest = [each.replace("linear", "knn") for each in LINEAR]
    kept = values(LINEAR, validation) | values(nearest, 0)
    kept |= values(FIVE["instances"], validation) | values(FIVE["in-domain"], validation)
    return {"label": label, "seed": seed, "test": test, "validation": kept}


def written(folder, *lines):
    path = folder / "results.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in lines))
    return path


def test_the_measures_are_means_of_their_tasks():
    found = line("vivi-ex4", 0)
    found["test"]["instance, 4-shot"]["model"] = 36.0
    found["test"]["doom-item, 5-shot"]["model"] = 39.0
    one = score(found)
    assert one.parts["instances"] == 32.0
    assert one.parts["in-domain"] == 31.0
    assert one.parts["mean of five"] == pytest.approx((32 + 31 + 30 + 30 + 60) / 5)
    assert one.parts["13 tasks"] == 40.0
    # The thirteen tasks, instances and in-domain count equally; kNN is zero here.
    assert one.validation == pytest.approx((25 + 50 + 50) / 3)
    assert score(found, by=["in-domain"]).validation == 50


def test_an_absent_measure_is_left_out():
    found = line("vivi-ex4", 0)
    del found["test"]["propagation, propagation"]
    assert "propagation" not in score(found).parts
    assert "mean of five" not in score(found).parts


def test_recipes_and_controls_are_compared_at_their_best_rates(tmp_path):
    path = written(
        tmp_path,
        line("vivi-ex4", 0, search=60.0),
        line("vivi-ex4, learning rate 0.003", 0, search=90.0, validation=40.0),
        line("ex-frame", 0, search=55.0),
        line("ex-frame, learning rate 0.003", 0, search=50.0, validation=60.0),
        line("vivi-ex4", 1, search=64.0),
        line("ex-frame, learning rate 0.003", 1, search=50.0),
    )
    means, leads = table(read(path)).split("\n\n")
    assert "| vivi-ex4 * | 2 | 41.7 |" in means
    assert "| vivi-ex4, learning rate 0.003 | 1 |" in means
    assert "| ex-frame, learning rate 0.003 * | 2 |" in means
    assert "| untrained |  |  | 10.0 |" in means
    assert "| vivi-ex4 - ex-frame | 2 |" in leads
    assert "| +12.0 ± 2.0 |" in leads
    assert "ex-frame - " not in leads.replace("vivi-ex4 - ex-frame", "")


def test_adapted_weights_are_compared_with_the_original_ones(tmp_path):
    adapted = line("vivi-ex4, adapted", 0, search=62.0)
    for found in adapted["test"].values():
        found["original"] = found.pop("untrained")
    leads = table(read(written(tmp_path, adapted))).split("\n\n")[1]
    assert "| vivi-ex4, adapted - original | 1 | +20.0 | +20.0 | +20.0 | +52.0 |" in leads
    other = json.loads(json.dumps(adapted)) | {"seed": 1}
    for measure in SEARCH:  # in other held-out videos
        other["test"][measure]["original"] = 30.0
    leads = table(read(written(tmp_path, adapted, other))).split("\n\n")[1]
    assert "| vivi-ex4, adapted - original | 2 | +20.0 ± 0.0 |" in leads
    assert "| +42.0 ± 10.0 |" in leads
