"""The draw of few labels, and the table of the guide."""

import json
from pathlib import Path

import numpy as np
import pytest

from experiments.adapting import ARMS, MODELS, difference, few, table
from footage.evaluation.dataset import Part

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "experiments" / "results" / "adapting.json"


def part(per_class, classes=3):
    labels = np.arange(classes * per_class) % classes
    return Part(tuple(Path(f"{number}.png") for number in range(len(labels))), labels)


def test_as_many_images_of_every_class_are_drawn_by_the_seed():
    whole = part(10)
    drawn = few(whole, 4, 1, "train")
    assert np.bincount(drawn.labels).tolist() == [4, 4, 4]
    assert len(set(drawn.paths)) == 12
    labels = dict(zip(whole.paths, whole.labels, strict=True))
    assert [labels[path] for path in drawn.paths] == drawn.labels.tolist()
    assert few(whole, 4, 1, "train").paths == drawn.paths
    assert few(whole, 4, 2, "train").paths != drawn.paths


def line(arm, seed, original, adapted):
    test = {model: {"kinds": adapted, "objects": adapted} for model in MODELS}
    test["original"] = {"kinds": original, "objects": original}
    hits = {"same_shot_hit": 0.9, "same_video_hit": 0.5}
    return {"arm": arm, "seed": seed, "test": test, "retrieval": dict.fromkeys(MODELS, hits)}


def test_differences_are_paired_by_seed():
    lines = [line(ARMS[0], 0, 0.2, 0.3), line(ARMS[0], 1, 0.5, 0.7), line(ARMS[1], 0, 0.1, 0.9)]
    change = difference(lines, ARMS[0], "adapted")
    assert change.mean == pytest.approx(15)
    assert change.error == pytest.approx(5)
    assert change.t == pytest.approx(3)


def test_the_guide_shows_the_committed_results():
    result = json.loads(RESULTS.read_text())
    seeds = sorted((entry["arm"], entry["seed"]) for entry in result["lines"])
    assert seeds == sorted((arm, seed) for arm in ARMS for seed in range(5))
    guide = (ROOT / "docs" / "guides" / "adapt.md").read_text("utf-8")
    assert table(result["lines"]) in guide
