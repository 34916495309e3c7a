"""Exemplar loss: treat every frame or shot as its own class, separated by triplets."""

from dataclasses import dataclass
from math import log, prod
from typing import ClassVar, Literal

from footage.errors import ConfigError
from footage.lazy import functional, torch
from footage.objectives.inputs import LevelInput, Shape
from footage.objectives.losses.base import EmbeddingLossConfig, register_loss
from footage.objectives.losses.numerics import full_precision
from footage.objectives.mining import Draws, Mining, mine
from footage.objectives.positives import PairPositives, Positives, identities
from footage.seeding import generator
from footage.shapes import Embeddings, FlatEmbeddings, Identities, Scalar, ShotRows

Hinge = Literal["margin", "soft"]
"""Cost of a triplet: hinge at the margin, or softplus without a margin."""


@register_loss("exemplar", title="exemplar triplet loss")
@dataclass(frozen=True, kw_only=True, slots=True)
class ExemplarConfig(EmbeddingLossConfig):
    """Exemplar loss: triplets over the batch [paper]."""

    allowed_positives: ClassVar[tuple[PairPositives, ...]] = ("frame", "shot")

    margin: float = 0.5
    """Margin of the triplet loss, in squared distance [paper: the same lab's exemplar code]."""

    mining: Mining = "semi-hard"
    """Triplet mining; semi-hard as in the same lab's exemplar code, the others as in s4l
    [paper]."""

    hinge: Hinge = "margin"
    """Hinge at the margin, or the soft margin, which has no margin parameter, as in s4l."""

    def __post_init__(self) -> None:
        """Reject a margin that is not positive."""
        if not self.margin > 0:
            raise ConfigError(f"margin must be > 0, got {self.margin}", "0.5 is usual")

    def loss(self, embeddings: Embeddings, batch: LevelInput, positives: PairPositives) -> Scalar:
        """Compute `exemplar`; seed and step determine the draws of hardness-sampled mining."""
        assert positives != "other_frames"
        draws = None
        if self.mining == "hardness-sampled":
            num_embeddings = prod(embeddings.shape[:4])
            random = generator("mining", batch.seed, batch.step).random((num_embeddings, 2))
            draws = torch.from_numpy(random).to(embeddings, non_blocking=True)
        return exemplar(
            embeddings, batch.rows, positives, self.margin, self.mining, self.hinge, draws
        )

    def chance(self, shape: Shape, positives: PairPositives) -> float:  # noqa: ARG002
        """Return the margin, or log 2 with the soft hinge."""
        return log(2) if self.hinge == "soft" else self.margin


def triplet(
    embeddings: FlatEmbeddings,
    identities: Identities,
    margin: float = 0.5,
    mining: Mining = "semi-hard",
    hinge: Hinge = "margin",
    draws: Draws | None = None,
) -> Scalar:
    """Triplet loss with negatives mined over the whole batch.

    Embeddings are normalised to length 1 and compared by squared Euclidean distance `d`.

    Semi-hard: for every ordered pair (anchor a, positive p), the negative n is the closest one that
    is strictly farther from the anchor than the positive is. If there is none, n is the farthest
    negative. That fallback is the easiest negative, not the hardest: it is the rule of
    TensorFlow's `triplet_semihard_loss`, which the same laboratory's exemplar code calls.
    Batch-hard: for every anchor with a positive, its farthest positive and its closest negative.
    Hardness-sampled: for every such anchor, a positive drawn with probability softmax(d) over its
    positives and a negative with softmax(-d) over its negatives; `draws` determines which.

    The mean is over all triplets, including those whose term is 0. Uninformative embeddings score
    the margin, or log 2 with the soft hinge, which has no margin and is never exactly 0.

    Formula: `mean over (a, p, n) of max(0, margin + d(a, p) - d(a, n))`; soft hinge:
        `mean of log(1 + exp(d(a, p) - d(a, n)))`
    Source: Schroff et al. 2015 (FaceNet), section 3.2; margin 0.5 and squared distances as in
        google/revisiting-self-supervised [paper]. Deviation: that code normalises over the batch
        axis, here each embedding is normalised. Batch-hard and the soft hinge: Hermans et al. 2017,
        equation 5, there with plain distances; both, and sampling by hardness at temperature 1, in
        google-research/s4l [paper]. Deviation: that code's distances are not squared.

    Raises:
        ConfigError: The batch contains no positive pair or no negative, or draws are missing.
    """
    embeddings = functional.normalize(full_precision(embeddings), dim=-1)
    anchors, positives, negatives = mine(embeddings.detach(), identities, mining, draws)
    anchor = embeddings.index_select(0, anchors)
    positive = embeddings.index_select(0, positives)
    negative = embeddings.index_select(0, negatives)
    # For unit vectors d(a, p) - d(a, n) = 2 a·(n - p): one product instead of two differences.
    violation = 2 * (anchor * (negative - positive)).sum(dim=-1)
    return (
        functional.softplus(violation) if hinge == "soft" else functional.relu(margin + violation)
    ).mean()


def exemplar(
    embeddings: Embeddings,
    shots: ShotRows,
    positives: Positives = "shot",
    margin: float = 0.5,
    mining: Mining = "semi-hard",
    hinge: Hinge = "margin",
    draws: Draws | None = None,
) -> Scalar:
    """Exemplar loss: treat every frame (or shot) as its own class, separated by triplets.

    With positives `shot` this is the loss of VIVI-Ex(M) for M augmented frames per shot. With
    `frame` it is the image-only baseline, Ex(1), which contrasts the views of single frames.

    Formula: `triplet` over all embeddings, their identities from `identities`
    Source: VIVI, Tschannen et al. 2020, section 3 [recalled]; Dosovitskiy et al. 2014 for the idea.

    Raises:
        ConfigError: No two embeddings share an identity, or all do, or draws are missing.
    """
    frames, views = embeddings.shape[2:4]
    identity = identities(shots, frames, views, positives)
    return triplet(embeddings.flatten(0, 3), identity, margin, mining, hinge, draws)
