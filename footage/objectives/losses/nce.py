"""InfoNCE with several positives per anchor (SupCon)."""

import math
from dataclasses import dataclass

from footage.errors import ConfigError
from footage.lazy import functional, torch
from footage.objectives.inputs import LevelInput, Shape
from footage.objectives.losses.base import EmbeddingLossConfig, register_loss
from footage.objectives.losses.numerics import full_precision, products
from footage.objectives.positives import (
    PairPositives,
    check_negatives,
    num_positives,
    pairs,
    sum_over_positives,
    with_positives,
)
from footage.shapes import Embeddings, Scalar, ShotRows


@register_loss("nce", title="InfoNCE")
@dataclass(frozen=True, kw_only=True, slots=True)
class NCEConfig(EmbeddingLossConfig):
    """Multi-positive InfoNCE [ours]."""

    temperature: float = 0.1
    """Temperature of the cosine similarity, as in SimCLR."""

    def __post_init__(self) -> None:
        """Reject a temperature that is not positive."""
        if not self.temperature > 0:
            raise ConfigError(f"temperature must be > 0, got {self.temperature}", "0.1 is usual")

    def loss(self, embeddings: Embeddings, batch: LevelInput, positives: PairPositives) -> Scalar:
        """Compute `multi_positive_nce`."""
        return multi_positive_nce(embeddings, batch.rows, positives, self.temperature)

    def chance(self, shape: Shape, positives: PairPositives) -> float:
        """Return the log of the number of candidates."""
        excluded = shape[3] if positives == "other_frames" else 1
        return math.log(math.prod(shape) - excluded)


def multi_positive_nce(
    embeddings: Embeddings,
    shots: ShotRows,
    positives: PairPositives = "shot",
    temperature: float = 0.1,
) -> Scalar:
    """InfoNCE with several positives: identify each one among all other embeddings.

    Embeddings are normalised to length 1; `z` is the cosine over the temperature; P(i) are the
    positives of i. The mean over positives is outside the logarithm. With positives `other_frames`,
    the other views of i's frame are excluded like i itself: they are neither in P(i) nor in the sum
    over j, where they would be trivial or ambiguous.
    Uninformative embeddings score log(N - 1), or log(N - A) with `other_frames`.

    Formula: `mean over i, p in P(i) of -log( exp z(i,p) / sum over j != i of exp z(i,j) )`
    Source: Khosla et al. 2020 (SupCon), equation 2 (L_out). Not part of VIVI [ours].

    Raises:
        ConfigError: No two embeddings are a positive pair, or all share an identity.
    """
    frames, views = embeddings.shape[2:4]
    found = pairs(shots, frames, views, positives)
    check_negatives(found.same_identity)
    flat = functional.normalize(full_precision(embeddings.flatten(0, 3)), dim=-1) / math.sqrt(
        temperature
    )
    frame_or_self = found.excluded.to(flat.device, non_blocking=True)
    excluded = frame_or_self[:, None] == frame_or_self
    logits = products(flat).masked_fill(excluded, -torch.inf)
    to_positives = (flat * sum_over_positives(flat, found)).sum(dim=1)
    counts = num_positives(flat, found)
    terms = logits.logsumexp(dim=1) - to_positives / counts.clamp(min=1)
    return terms.index_select(0, with_positives(found).to(terms.device, non_blocking=True)).mean()
