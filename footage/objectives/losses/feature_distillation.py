"""Distillation of a frozen teacher's features: the student predicts them from the same view."""

from typing import Literal

from footage.errors import ConfigError
from footage.lazy import functional
from footage.objectives.losses.numerics import full_precision
from footage.shapes import Embeddings, FlatEmbeddings, Scalar

TeacherLoss = Literal["cosine", "smooth_l1"]
"""Loss between a student's prediction and a teacher's features."""

EPSILON = 1e-5
"""Added to variances."""


def feature_cosine(students: Embeddings, teachers: Embeddings) -> Scalar:
    """Feature distillation: predict the direction of a frozen teacher's features of the same view.

    A student's embedding is the output of a head that is as wide as the teacher's features. `z` has
    mean 0 and variance 1 in each dimension over all views, and no gradient. Without it, the mean of
    the teacher's features, which every view shares, would dominate the cosine. A constant
    prediction scores about 1, a perfect one 0.

    Formula: `mean over views n of 1 - cos(student(n), z(teacher)(n))` with
        `z(x) = (x - mean of x over views) / sqrt(variance of x over views + 0.00001)`
    Source: the cosine: AM-RADIO, Ranzinger et al. 2024, section 3.4. Not part of VIVI [ours].
        Deviation: standardised targets [ours].

    Raises:
        ConfigError: There is only one view, so the targets cannot be standardised.
    """
    predicted = full_precision(students).flatten(0, 3)
    return (1 - functional.cosine_similarity(predicted, _standardised(teachers), dim=1)).mean()


def feature_smooth_l1(students: Embeddings, teachers: Embeddings) -> Scalar:
    """Feature distillation: predict a frozen teacher's features of the same view by regression.

    `h(x)` is `x^2 / 2` below 1 and `|x| - 1/2` above. `z` is that of `feature_cosine`. A constant
    prediction of 0 scores at most 1/2, a perfect one 0.

    Formula: `mean over views n, d of h(|student(n) - z(teacher)(n)|_d)`
    Source: Wei et al. 2022 (feature distillation), equation 1 [recalled]. Not part of VIVI [ours].
        Deviation: there, each feature vector is whitened by a layer norm; here, each dimension is
        standardised over the batch, so that a constant prediction cannot be good.

    Raises:
        ConfigError: There is only one view, so the targets cannot be standardised.
    """
    predicted = full_precision(students).flatten(0, 3)
    return functional.smooth_l1_loss(predicted, _standardised(teachers))


def _standardised(teachers: Embeddings) -> FlatEmbeddings:
    targets = full_precision(teachers.detach()).flatten(0, 3)
    if len(targets) < 2:
        raise ConfigError(
            "a teacher's features are standardised over the views of a batch, but there is only"
            " one",
            "raise sampling.videos_per_batch",
        )
    centred = targets - targets.mean(dim=0)
    return centred / (centred.square().mean(dim=0) + EPSILON).sqrt()
