"""Video-level losses that compare predicted shots with the shots that follow."""

import math

from jaxtyping import Float

from footage.errors import ConfigError
from footage.lazy import functional, torch
from footage.objectives.losses.numerics import full_precision
from footage.shapes import Scalar, Tensor


def future_shot_nce(predictions: Float[Tensor, "V D"], targets: Float[Tensor, "V D"]) -> Scalar:
    """InfoNCE over videos: distinguish the predicted shot from the same position in other videos.

    `g` is the inner product; a bilinear critic has already applied its matrix to the predictions.
    Negatives are targets of other videos only, never other shots of the same video. Because of the
    1/V, the loss is 0 for an uninformative critic, whatever V, and never below -log V.

    Formula: `-mean over v of log( exp g(v,v) / ((1/V) sum over u of exp g(v,u)) )`
    Source: VIVI, equation for L_NCE [recalled .75]; van den Oord et al. 2018, equation 4.
    """
    logits = full_precision(predictions) @ full_precision(targets).T
    own = torch.arange(len(logits), device=logits.device)
    return functional.cross_entropy(logits, own) - math.log(len(logits))


def future_shot_mse(predictions: Float[Tensor, "V D"], targets: Float[Tensor, "V D"]) -> Scalar:
    """Regression of a future shot, with targets standardised over the videos: an ablation.

    `z` has mean 0 and variance 1 in each dimension, so the best constant, 0, scores 1. The gradient
    also reaches the targets, as in `future_shot_nce`. With few videos z carries little information
    (with two, each of its values is 1 or -1), and nothing keeps the dimensions of z from being
    redundant. Targets whose variance falls far below 0.00001 standardise to 0, and predicting 0
    then scores 0: values below 1 prove nothing unless the targets' variance is monitored.

    Formula: `mean over v, d of (prediction - z(target))^2` with
        `z(x) = (x - mean of x over videos) / sqrt(variance of x over videos + 0.00001)`
    Source: [ours], as an alternative to `future_shot_nce`.

    Raises:
        ConfigError: There is only one video, so the targets cannot be standardised.
    """
    if len(targets) < 2:
        raise ConfigError(
            "the targets of future_shot_mse are standardised over videos, but there is only one",
            "raise videos_per_batch",
        )
    centred = full_precision(targets) - full_precision(targets).mean(dim=0)
    standardised = centred / (centred.square().mean(dim=0) + 1e-5).sqrt()
    return (full_precision(predictions) - standardised).square().mean()
