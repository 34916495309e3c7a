"""N-shot protocols: the same draws for all models, and a classifier without settings."""

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestCentroid

from footage.commands.evaluate import EvaluateConfig, evaluate
from footage.errors import ConfigError
from footage.evaluation.few_shot import DRAWS, drawn, nearest_mean
from footage.evaluation.probes import Examples
from footage.evaluation.protocols import LINEAR, described, protocols
from tests.evaluation import miniature


def examples(count: int, seed: int, spread: float = 1.0) -> Examples:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 4
    noise = torch.randn(count, 8, generator=generator)
    return Examples(noise + spread * torch.eye(4, 8)[labels] + 3, labels)


TRAIN, VAL, TEST = (examples(count, seed) for seed, count in enumerate((40, 20, 400)))


def test_a_draw_has_the_same_number_of_each_class_and_smaller_draws_are_part_of_larger_ones():
    few, many = (drawn(TRAIN, shots, 3, "photos") for shots in (2, 5))
    assert many.labels.tolist() == [label for label in range(4) for _ in range(5)]
    for label in range(4):
        ours, theirs = (each.features[each.labels == label] for each in (few, many))
        assert torch.equal(ours, theirs[:2])
    again = drawn(TRAIN, 5, 3, "photos")
    assert torch.equal(again.features, many.features)
    assert not torch.equal(drawn(TRAIN, 5, 4, "photos").features, many.features)


def test_a_class_with_too_few_images_is_named_and_one_without_images_is_left_out():
    labels = torch.tensor([0, 0, 0, 2, 2])
    sparse = Examples(torch.randn(5, 3), labels)
    assert drawn(sparse, 2, 0, "photos").labels.tolist() == [0, 0, 2, 2]
    with pytest.raises(ConfigError, match=r"3-shot needs 3 training images.*photos.*2 \(2\)"):
        drawn(sparse, 3, 0, "photos")


def test_the_classifier_is_that_of_scikit_learn_on_centred_and_normalised_features():
    labelled = drawn(TRAIN, 5, 0, "photos")
    fitted = nearest_mean(labelled, VAL)
    centre = labelled.features.double().mean(0)

    def unit(features: torch.Tensor) -> np.ndarray:
        moved = (features.double() - centre).numpy()
        return moved / np.linalg.norm(moved, axis=1, keepdims=True)

    expected = NearestCentroid().fit(unit(labelled.features), labelled.labels.numpy())
    assert fitted.predict(TEST.features).tolist() == expected.predict(unit(TEST.features)).tolist()
    right = expected.predict(unit(VAL.features)) == VAL.labels.numpy()
    assert fitted.validation_accuracy == pytest.approx(right.mean())


def test_more_labels_are_better_and_one_label_is_better_than_chance():
    accuracies = [
        np.mean(
            [
                (nearest_mean(drawn(TRAIN, shots, seed, ""), VAL).predict(TEST.features))
                == TEST.labels
                for seed in range(DRAWS)
            ],
            axis=(0, 1),
        )
        for shots in (1, 3, 10)
    ]
    assert 0.3 < accuracies[0] < accuracies[1] < accuracies[2]


def test_features_that_never_change_break_nothing():
    dead = Examples(torch.zeros(8, 3), torch.arange(8) % 4)
    assert set(nearest_mean(dead, dead).predict(torch.zeros(5, 3)).tolist()) <= set(range(4))


def test_every_number_of_labels_has_a_name():
    five, twenty = protocols(("5-shot", "20-shot"))
    assert (five.shots, twenty.shots) == (5, 20)
    assert five.seed_rule == "mean of 10 draws of labelled images"
    assert described(five)["shots"] == 5
    assert "shots" not in described(LINEAR)
    for name in ("0-shot", "05-shot", "shot", "1000-shot"):
        with pytest.raises(ConfigError, match="unknown protocol"):
            protocols((name,))


def test_a_suite_has_a_row_with_ten_draws_and_a_killed_evaluation_resumes(tmp_path):
    data = miniature.write_suite(tmp_path / "suite")
    config = EvaluateConfig(size=32, protocols=("2-shot",))
    out = tmp_path / "out"
    first = evaluate("test_resnet", suite="folder", data=data, out=out, config=config)
    rows = [row for row in first.rows if not row.baseline]
    assert [row.task for row in rows] == ["first", "second"]
    for row in rows:
        assert len(row.seed_values) == len(row.hits) == DRAWS
        assert row.value == pytest.approx(np.mean(row.seed_values))
        assert row.has_draws
    answers = sorted((out / "2-shot" / "test" / "first").glob("*.answers.json"))
    assert len(answers) == DRAWS
    for path in (out / "2-shot" / "test" / "first").glob("7.*"):
        path.unlink()
    assert evaluate("test_resnet", suite="folder", data=data, out=out, config=config).rows == (
        first.rows
    )


def test_labelled_images_are_compared_draw_by_draw(shapes_folder):
    config = EvaluateConfig(size=32, protocols=("1-shot", "knn"))
    found = evaluate(["test_resnet", "test_vit"], labels=[shapes_folder], config=config)
    assert {row.protocol for row in found.rows if not row.baseline} == {"1-shot", "knn"}
    with pytest.raises(ConfigError, match=r"knn, linear and N-shot, got lightweight"):
        evaluate(
            "test_resnet",
            labels=[shapes_folder],
            config=EvaluateConfig(protocols=("lightweight", "knn")),
        )
