"""The probes against scikit-learn and against what they must not be able to do."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from footage.evaluation import probes
from footage.evaluation.probes import PROBES, Examples


def _examples(
    num_images: int, *, num_classes: int = 6, dim: int = 40, spread: float = 0.6, seed: int = 0
) -> Examples:
    """Overlapping Gaussian classes in features of very different scales, with an offset."""
    fixed = torch.Generator().manual_seed(99)
    centres = torch.randn(num_classes, dim, generator=fixed) * spread
    scales = torch.logspace(-2, 2, dim)
    draw = torch.Generator().manual_seed(seed)
    labels = torch.randint(num_classes, (num_images,), generator=draw)
    features = (torch.randn(num_images, dim, generator=draw) + centres[labels] + 3) * scales
    return Examples(features, labels)


TRAIN, VAL, TEST = _examples(300, seed=1), _examples(150, seed=2), _examples(600, seed=3)


@pytest.mark.parametrize("inverse_penalty", [1e-4, 1e-2, 1.0])
def test_logistic_regression_finds_the_weights_that_scikit_learn_finds(
    inverse_penalty: float,
) -> None:
    scaling = probes.standardisation(TRAIN.features)
    ours = probes.fit_logistic(TRAIN, 6, inverse_penalty, scaling)
    features = scaling(TRAIN.features).numpy()
    theirs = LogisticRegression(C=inverse_penalty, max_iter=10_000, tol=1e-8)
    theirs.fit(features, TRAIN.labels.numpy())
    size = np.abs(theirs.coef_).max()
    np.testing.assert_allclose(ours.weight.T.numpy(), theirs.coef_, atol=1e-2 * size)


@pytest.mark.parametrize("inverse_penalty", probes.INVERSE_PENALTIES)
def test_every_penalty_gives_the_accuracy_of_scikit_learn_within_half_a_point(
    inverse_penalty: float,
) -> None:
    scaling = probes.standardisation(TRAIN.features)
    ours = probes.fit_logistic(TRAIN, 6, inverse_penalty, scaling).logits(TEST.features).argmax(1)
    theirs = LogisticRegression(C=inverse_penalty, max_iter=10_000, tol=1e-8)
    theirs.fit(scaling(TRAIN.features).numpy(), TRAIN.labels.numpy())
    score = theirs.score(scaling(TEST.features).numpy(), TEST.labels.numpy())
    assert abs(probes.accuracy(ours, TEST.labels).value - score) <= 0.005


def test_fewer_examples_than_features_give_the_same_weights_as_scikit_learn() -> None:
    few = Examples(TRAIN.features[:25], TRAIN.labels[:25])
    scaling = probes.standardisation(few.features)
    ours = probes.fit_logistic(few, 6, 0.1, scaling)
    theirs = LogisticRegression(C=0.1, max_iter=10_000, tol=1e-8)
    theirs.fit(scaling(few.features).numpy(), few.labels.numpy())
    np.testing.assert_allclose(ours.weight.T.numpy(), theirs.coef_, atol=1e-3)


def test_the_linear_probe_agrees_with_scikit_learn_within_half_a_point() -> None:
    fitted = probes.linear(TRAIN, VAL, 6)
    ours = probes.accuracy(fitted.predict(TEST.features), TEST.labels)
    both = TRAIN.joined(VAL)
    scaling = probes.standardisation(both.features)
    theirs = LogisticRegression(C=fitted.selected["C"], max_iter=10_000, tol=1e-8)
    theirs.fit(scaling(both.features).numpy(), both.labels.numpy())
    score = theirs.score(scaling(TEST.features).numpy(), TEST.labels.numpy())
    assert abs(ours.value - score) <= 0.005


def test_knn_agrees_with_scikit_learn_for_one_neighbour() -> None:
    both = TRAIN.joined(VAL)
    nearest = KNeighborsClassifier(1, metric="cosine").fit(both.features, both.labels)
    similar = next(probes._similarities(TEST.features, both.features))[1].topk(1, dim=1)
    ours = probes._votes(similar.values, both.labels[similar.indices], 0.07, 6).argmax(1)
    assert (ours.numpy() == nearest.predict(TEST.features)).mean() > 0.995


def test_knn_votes_are_the_weighted_sums_of_a_loop() -> None:
    generator = torch.Generator().manual_seed(0)
    similarities = torch.rand(5, 7, generator=generator).sort(dim=1, descending=True).values
    labels = torch.randint(3, (5, 7), generator=generator)
    votes = probes._votes(similarities, labels, 0.2, 3)
    for row in range(5):
        for label in range(3):
            weights = [
                float(torch.exp((similarities[row, k] - similarities[row, 0]) / 0.2))
                for k in range(7)
                if labels[row, k] == label
            ]
            assert votes[row, label].item() == pytest.approx(sum(weights), rel=1e-5)


def test_knn_does_not_depend_on_how_many_queries_are_held_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = probes.knn(TRAIN, VAL, 6)
    expected = whole.predict(TEST.features)
    monkeypatch.setattr(probes, "SIMILARITIES_AT_ONCE", 1000)
    chunked = probes.knn(TRAIN, VAL, 6)
    assert chunked.selected == whole.selected
    assert torch.equal(chunked.predict(TEST.features), expected)


@pytest.mark.parametrize("name", PROBES)
def test_separable_classes_are_learned_and_shuffled_labels_are_not(name: str) -> None:
    wide = [_examples(n, spread=2.0, seed=seed) for n, seed in ((300, 1), (150, 2), (600, 3))]
    fitted = PROBES[name](wide[0], wide[1], 6)
    assert probes.accuracy(fitted.predict(wide[2].features), wide[2].labels).value > 0.9
    shuffled = [Examples(part.features, part.labels.roll(1)) for part in wide]
    fitted = PROBES[name](shuffled[0], shuffled[1], 6)
    assert probes.accuracy(fitted.predict(shuffled[2].features), shuffled[2].labels).value < 0.35


@pytest.mark.parametrize("name", PROBES)
def test_a_protocol_works_with_three_images_and_a_class_missing_from_train(name: str) -> None:
    part = Examples(torch.randn(3, 4), torch.tensor([0, 2, 2]))
    assert PROBES[name](part, part, 3).predict(torch.randn(5, 4)).shape == (5,)


@pytest.mark.parametrize("name", PROBES)
def test_features_that_never_change_break_nothing(name: str) -> None:
    dead = [Examples(torch.zeros_like(part.features), part.labels) for part in (TRAIN, VAL)]
    predicted = PROBES[name](*dead, 6).predict(torch.zeros_like(TEST.features))
    assert ((predicted >= 0) & (predicted < 6)).all()


def test_the_majority_is_the_commonest_class_of_train_and_val() -> None:
    train = Examples(torch.zeros(3, 1), torch.tensor([0, 0, 1]))
    val = Examples(torch.zeros(3, 1), torch.tensor([1, 1, 2]))
    assert probes.majority(train, val, 3).predict(torch.zeros(4, 1)).tolist() == [1, 1, 1, 1]


def test_the_standard_error_is_the_spread_of_repeated_measurements() -> None:
    generator = torch.Generator().manual_seed(0)
    right = (torch.rand(4000, 200, generator=generator) < 0.7).long()
    measured = right.double().mean(1)
    claimed = probes.accuracy(right[0], torch.ones(200, dtype=torch.long)).standard_error
    assert claimed == pytest.approx(float(measured.std()), rel=0.15)
