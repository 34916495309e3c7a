"""Fit classifiers to frozen features: k nearest neighbours and a linear probe.

A probe receives the training and validation parts, selects its settings by accuracy on the
validation part alone, refits on both, and returns a `Fitted`. The test part is not an argument of a
probe, so it cannot influence selection.
"""

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

MAJORITY: Final = "majority"
"""Name of the probe that ignores the features."""

FeatureRows = Float[Tensor, "N D"]
Labels = Int[Tensor, " N"]

NEIGHBOURS: Final = (1, 3, 5, 10, 20, 50, 100, 200)
TEMPERATURES: Final = (0.02, 0.07, 0.2, 1.0)
"""Both grids are tried in full on the validation part; 200 and 0.07 are those of Wu et al. 2018."""

INVERSE_PENALTIES: Final = tuple(10.0**exponent for exponent in range(-6, 3))
"""`C` of scikit-learn: the weight of the summed cross-entropy against half the squared norm."""

LBFGS_ITERATIONS: Final = 500
LBFGS_GRADIENT_TOLERANCE: Final = 1e-5
"""Tolerance of the mean loss; a tenth of scikit-learn's."""

SIMILARITIES_AT_ONCE: Final = 1 << 25
"""Entries of the query-by-training matrix in memory at a time: 128 MB in float32."""


class Examples(NamedTuple):
    """Features of one part of a split, and their class numbers."""

    features: FeatureRows
    labels: Labels

    def joined(self, other: "Examples") -> "Examples":
        """This part followed by another."""
        return Examples(
            torch.cat([self.features, other.features]), torch.cat([self.labels, other.labels])
        )


class Fitted(NamedTuple):
    """A classifier fitted to the training and validation parts, and how it was selected."""

    predict: Callable[[FeatureRows], Labels]
    selected: dict[str, float]
    validation_accuracy: float


class Accuracy(NamedTuple):
    """Fraction of correct predictions and its standard error, which is 0 at the extremes."""

    value: float
    standard_error: float


Probe = Callable[[Examples, Examples, int], Fitted]
"""Fits a classifier to a training part and a validation part with a number of classes."""


def accuracy(predicted: Labels, labels: Labels) -> Accuracy:
    """Top-1 accuracy; every example has equal weight."""
    value = float((predicted == labels).double().mean())
    return Accuracy(value, (value * (1 - value) / len(labels)) ** 0.5)


def majority(train: Examples, val: Examples, num_classes: int) -> Fitted:
    """Predict the most common class: the accuracy that is possible without looking at any image."""
    counts = torch.bincount(train.joined(val).labels, minlength=num_classes)
    # Ties go to the smallest class number, on every device.
    most_common = int((counts == counts.max()).nonzero()[0, 0])
    on_validation = float((val.labels == most_common).double().mean())

    def predict(features: FeatureRows) -> Labels:
        return torch.full((len(features),), most_common, device=features.device)

    return Fitted(predict, {}, on_validation)


# --- k nearest neighbours ----------------------------------------------------------------------


def knn(train: Examples, val: Examples, num_classes: int) -> Fitted:
    """Weight the votes of the nearest training images by exp(cosine similarity / temperature).

    Wu et al. 2018, section 3.4 (https://arxiv.org/abs/1805.01978). The number of neighbours and the
    temperature are selected; ties go to the most neighbours, then to the highest temperature.
    """
    usable = [count for count in NEIGHBOURS if count <= len(train.labels)]
    hits = torch.zeros(len(usable), len(TEMPERATURES), dtype=torch.float64)
    for rows, similarities in _similarities(val.features, train.features):
        nearest = similarities.topk(usable[-1], dim=1)
        neighbour_labels = train.labels[nearest.indices]
        for i, count in enumerate(usable):
            for j, temperature in enumerate(TEMPERATURES):
                votes = _votes(
                    nearest.values[:, :count], neighbour_labels[:, :count], temperature, num_classes
                )
                hits[i, j] += (votes.argmax(1) == val.labels[rows]).sum().cpu()
    best = (hits == hits.max()).nonzero()[-1]
    count, temperature = usable[int(best[0])], TEMPERATURES[int(best[1])]
    both = train.joined(val)

    def predict(features: FeatureRows) -> Labels:
        answers = []
        for _, similarities in _similarities(features, both.features):
            nearest = similarities.topk(count, dim=1)
            labels = both.labels[nearest.indices]
            answers.append(_votes(nearest.values, labels, temperature, num_classes).argmax(1))
        return torch.cat(answers)

    return Fitted(
        predict,
        {"neighbours": float(count), "temperature": temperature},
        float(hits.max()) / len(val.labels),
    )


def _similarities(
    queries: FeatureRows, database: Float[Tensor, "M D"]
) -> Iterator[tuple[slice, Float[Tensor, "n M"]]]:
    """Yield cosine similarities of a few queries at a time with every row of the database."""
    database = torch.nn.functional.normalize(database, dim=1)
    num_rows = max(1, SIMILARITIES_AT_ONCE // len(database))
    for start in range(0, len(queries), num_rows):
        rows = slice(start, min(start + num_rows, len(queries)))
        yield rows, torch.nn.functional.normalize(queries[rows], dim=1) @ database.T


def _votes(
    similarities: Float[Tensor, "n k"],
    labels: Int[Tensor, "n k"],
    temperature: float,
    num_classes: int,
) -> Float[Tensor, "n C"]:
    # Relative to the nearest: a common factor does not change the vote, and small temperatures do
    # not overflow.
    weights = ((similarities - similarities[:, :1]) / temperature).exp()
    votes = torch.zeros(len(labels), num_classes, dtype=weights.dtype, device=weights.device)
    return votes.scatter_add_(1, labels, weights)


# --- linear probe ------------------------------------------------------------------------------


class LinearClassifier(NamedTuple):
    """Logits = features * scale @ weight + bias, all in float64."""

    scaling: "Standardisation"
    weight: Float[Tensor, "D C"]
    bias: Float[Tensor, " C"]

    def logits(self, features: FeatureRows) -> Float[Tensor, "N C"]:
        """Class scores of raw features."""
        return self.scaling(features) @ self.weight + self.bias


class Standardisation(NamedTuple):
    """Subtract a mean and divide by a standard deviation, both measured beforehand."""

    mean: Float[Tensor, " D"]
    deviation: Float[Tensor, " D"]

    def __call__(self, features: FeatureRows) -> FeatureRows:
        """Standardised features in float64."""
        return (features.double() - self.mean) / self.deviation


def standardisation(features: FeatureRows) -> Standardisation:
    """Measure mean and standard deviation of each feature; constant features keep their scale."""
    features = features.double()
    mean, deviation = features.mean(0), features.std(0, correction=0)
    constant: Bool[Tensor, " D"] = deviation <= 1e-12 * (1 + mean.abs())
    return Standardisation(mean, deviation.masked_fill(constant, 1.0))


def linear(train: Examples, val: Examples, num_classes: int) -> Fitted:
    """Multinomial logistic regression on standardised features, with a penalty on squared weights.

    The strength of the penalty is selected; ties go to the strongest. Selection proceeds from
    strong to weak and starts each fit at the previous solution, which does not change the optimum.
    """
    scaling = standardisation(train.features)
    classifier: LinearClassifier | None = None
    best, best_accuracy = INVERSE_PENALTIES[0], -1.0
    for inverse_penalty in INVERSE_PENALTIES:
        classifier = fit_logistic(train, num_classes, inverse_penalty, scaling, start=classifier)
        on_validation = accuracy(classifier.logits(val.features).argmax(1), val.labels).value
        if on_validation > best_accuracy:
            best, best_accuracy = inverse_penalty, on_validation
    both = train.joined(val)
    chosen = fit_logistic(both, num_classes, best, standardisation(both.features))
    return Fitted(
        lambda features: chosen.logits(features).argmax(1), {"C": best}, max(best_accuracy, 0.0)
    )


def fit_logistic(
    examples: Examples,
    num_classes: int,
    inverse_penalty: float,
    scaling: Standardisation,
    start: LinearClassifier | None = None,
) -> LinearClassifier:
    """Minimise `C * summed cross-entropy + |W|^2 / 2` with LBFGS; the bias is not penalised.

    The objective is divided by `C` times the number of examples, which does not move the minimum,
    so that one tolerance suits every size. It is convex, so the start affects only the time.
    """
    features = scaling(examples.features)
    basis = _row_space(features)
    features = features @ basis
    shape = (features.shape[1], num_classes)
    if start is None:
        weight, bias = features.new_zeros(shape), features.new_zeros(num_classes)
    else:
        weight, bias = basis.T @ start.weight, start.bias.clone()
    weight.requires_grad_(True)
    bias.requires_grad_(True)
    penalty = 0.5 / (inverse_penalty * len(features))
    optimiser = torch.optim.LBFGS(
        [weight, bias],
        max_iter=LBFGS_ITERATIONS,
        tolerance_grad=LBFGS_GRADIENT_TOLERANCE,
        tolerance_change=1e-12,
        line_search_fn="strong_wolfe",
    )

    def objective() -> Tensor:
        optimiser.zero_grad()
        with torch.enable_grad():
            logits = features @ weight + bias
            loss = torch.nn.functional.cross_entropy(logits, examples.labels)
            total = loss + penalty * weight.square().sum()
            total.backward()  # type: ignore[no-untyped-call]
        return total.detach()

    optimiser.step(objective)  # type: ignore[no-untyped-call]
    return LinearClassifier(scaling, basis @ weight.detach(), bias.detach())


def _row_space(features: FeatureRows) -> Float[Tensor, "D R"]:
    """An orthonormal basis that contains all examples; smaller than D for fewer than D examples.

    The penalty keeps the weights in the span of the examples, and rotations preserve norms.
    """
    num_examples, dim = features.shape
    if num_examples >= dim:
        return torch.eye(dim, dtype=features.dtype, device=features.device)
    basis: Float[Tensor, "D R"] = torch.linalg.qr(features.T).Q
    return basis


PROBES: Final[dict[str, Probe]] = {"knn": knn, "linear": linear}
"""Probes by the name of their protocol."""
