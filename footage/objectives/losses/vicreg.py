"""VICReg (Bardes et al. 2022), extended to several positives per anchor."""

from dataclasses import dataclass

from jaxtyping import Float

from footage.lazy import functional
from footage.objectives.inputs import LevelInput, Shape
from footage.objectives.losses.base import EmbeddingLossConfig, register_loss
from footage.objectives.losses.numerics import full_precision, products
from footage.objectives.positives import (
    PairPositives,
    check_negatives,
    mean_squared_distance,
    pairs,
)
from footage.shapes import Embeddings, Scalar, ShotRows, Tensor


@register_loss("vicreg", title="VICReg")
@dataclass(frozen=True, kw_only=True, slots=True)
class VICRegConfig(EmbeddingLossConfig):
    """VICReg: the weights of its three terms."""

    invariance: float = 25.0
    """Weight of the invariance term (distance between positives)."""

    variance: float = 25.0
    """Weight of the variance term (spread of each dimension)."""

    covariance: float = 1.0
    """Weight of the covariance term (correlation between dimensions)."""

    def loss(self, embeddings: Embeddings, batch: LevelInput, positives: PairPositives) -> Scalar:
        """Compute `vicreg`."""
        weights = (self.invariance, self.variance, self.covariance)
        return vicreg(embeddings, batch.rows, positives, *weights)

    def chance(self, shape: Shape, positives: PairPositives) -> float:  # noqa: ARG002
        """Return the value for collapsed embeddings, which have spread 0.01: see `vicreg`."""
        return 2 * 0.99 * self.variance


def vicreg(
    embeddings: Embeddings,
    shots: ShotRows,
    positives: PairPositives = "shot",
    invariance: float = 25.0,
    variance: float = 25.0,
    covariance: float = 1.0,
) -> Scalar:
    """VICReg: pull positives together while keeping dimensions spread out and decorrelated.

    `s` is the mean squared distance of positive pairs over D. `v` and `c` are computed for one view
    slot at a time, a matrix Z with one row per identity, and averaged over the slots: slot (f, a)
    of each shot, or slot a of each frame with positives `frame`. Embeddings are not normalised.
    Collapsed embeddings score 2 * 0.99 * variance: s and c are 0 there, and each v is 1 - 0.01.

    Formula: `invariance s + 2 variance mean of v(Z) + 2 covariance mean of c(Z)` with
        `v(Z) = mean over dimensions j of max(0, 1 - sqrt(Var(Z_j) + 0.0001))` and
        `c(Z) = (1/D) sum over j != k of Cov(Z)_jk^2`
    Source: Bardes et al. 2022, equations 1 to 6, and its weights; with two slots it is equation 6,
        except that s is divided by D, as in facebookresearch/vicreg. Deviation: that code also
        halves v + v'; half the weight `variance` gives its value. More than two views [ours].

    Raises:
        ConfigError: No two embeddings are a positive pair, or all share an identity.
    """
    frames, views = embeddings.shape[2:4]
    found = pairs(shots, frames, views, positives)
    check_negatives(found.same_identity)
    embeddings = full_precision(embeddings)
    closeness = mean_squared_distance(embeddings.flatten(0, 3), found) / embeddings.shape[-1]
    slots = _slots(embeddings, positives)
    num_rows, dimension = slots.shape[1:]
    centred = slots - slots.mean(dim=1, keepdim=True)
    variances = centred.square().sum(dim=1) / (num_rows - 1)
    # Z Z' and Z' Z have the same sum of squares: compute the smaller one.
    scaled = products(centred if num_rows < dimension else centred.mT) / (num_rows - 1)
    all_squares, own_squares = scaled.square().sum(dim=(1, 2)), variances.square().sum(dim=1)
    return (
        invariance * closeness
        + 2 * variance * functional.relu(1 - (variances + 1e-4).sqrt()).mean()
        + 2 * covariance * (all_squares - own_squares).mean() / dimension
    )


def _slots(embeddings: Embeddings, positives: PairPositives) -> Float[Tensor, "slots rows D"]:
    """Split the embeddings by view slot: one view of each shot, or of each frame, per slot."""
    if positives == "frame":
        return embeddings.flatten(0, 2).transpose(0, 1)
    return embeddings.flatten(0, 1).flatten(1, 2).transpose(0, 1)
