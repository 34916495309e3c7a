"""Mining: select the triplets (anchor, positive, negative) of a batch for the triplet loss.

Mining runs without gradient, in chunks of anchors, so that memory does not grow with the number
of triplets times N. It returns rows only; the loss differentiates through those rows alone.
"""

from typing import Literal

from jaxtyping import Bool, Float, Int

from footage.errors import ConfigError
from footage.lazy import torch
from footage.objectives.positives import check_negatives, no_positive_pair
from footage.shapes import FlatEmbeddings, Identities, Tensor

Mining = Literal["semi-hard", "batch-hard", "hardness-sampled"]
"""Rule that selects the triplets: see `triplet`."""

Draws = Float[Tensor, "N 2"]
"""Two uniform numbers in [0, 1) per anchor: for its positive and for its negative."""

CHUNK_ELEMENTS = 2**22
"""Number of distances held in memory at once while mining: 16 MiB in single precision."""

Rows = Int[Tensor, " P"]
"""Rows of the embeddings, one for each of P triplets."""

Similarity = Float[Tensor, "R N"]
"""Cosines of a chunk's anchors with all embeddings. d = 2 - 2 s: farther is less similar."""

Mask = Bool[Tensor, "R N"]
"""Which embeddings share an anchor's identity (`same`), and which of them are not the anchor
itself (`pairs`).
"""


def mine(
    embeddings: FlatEmbeddings, identities: Identities, mining: Mining, draws: Draws | None = None
) -> tuple[Rows, Rows, Rows]:
    """Return the rows of (anchor, positive, negative).

    Args:
        embeddings: Embeddings of length 1.
        identities: Identity of each embedding.
        mining: Mining rule; see `triplet`.
        draws: Needed by hardness-sampled only.

    Raises:
        ConfigError: The batch contains no positive pair or no negative, or draws are missing.
    """
    with torch.no_grad():
        return _mine(embeddings, identities, mining, draws)


def _mine(
    embeddings: FlatEmbeddings, identities: Identities, mining: Mining, draws: Draws | None
) -> tuple[Rows, Rows, Rows]:
    check_negatives(identities)
    largest_identity = int(identities.unique(return_counts=True)[1].max())  # type: ignore[no-untyped-call]
    if largest_identity < 2:
        raise no_positive_pair(len(identities))
    every = torch.arange(len(embeddings), device=embeddings.device)
    triplets = []
    for rows in torch.split(every, max(1, CHUNK_ELEMENTS // (len(every) * largest_identity))):
        same = identities[rows, None] == identities
        pairs = same & (rows[:, None] != every)
        similarity = embeddings[rows] @ embeddings.T
        match mining:
            case "semi-hard":
                row, positive, negative = _semi_hard(similarity, same, pairs)
            case "batch-hard":
                row, positive, negative = _batch_hard(similarity, same, pairs)
            case "hardness-sampled":
                drawn = _given(draws)[rows]
                row, positive, negative = _hardness_sampled(similarity, same, pairs, drawn)
        triplets.append((rows[row], positive, negative))
    anchors, positives, negatives = zip(*triplets, strict=True)
    return torch.cat(anchors), torch.cat(positives), torch.cat(negatives)


def _semi_hard(similarity: Similarity, same: Mask, pairs: Mask) -> tuple[Rows, Rows, Rows]:
    """Pair each positive with the closest negative beyond it, or with the farthest negative."""
    row, positive = pairs.nonzero(as_tuple=True)
    to_positive = similarity[row, positive]
    to_farthest, farthest = similarity.masked_fill(same, torch.inf).min(dim=1)
    candidates = similarity.masked_fill(same, -torch.inf)[row]
    not_farther = candidates >= to_positive[:, None]
    closest = candidates.masked_fill_(not_farther, -torch.inf).argmax(dim=1)
    none_farther = to_farthest[row] >= to_positive
    return row, positive, torch.where(none_farther, farthest[row], closest)


def _batch_hard(similarity: Similarity, same: Mask, pairs: Mask) -> tuple[Rows, Rows, Rows]:
    """Select each anchor's least similar positive and most similar negative."""
    row = pairs.any(dim=1).nonzero().squeeze(1)
    positive = similarity.masked_fill(~pairs, torch.inf).argmin(dim=1)
    negative = similarity.masked_fill(same, -torch.inf).argmax(dim=1)
    return row, positive[row], negative[row]


def _hardness_sampled(
    similarity: Similarity, same: Mask, pairs: Mask, draws: Float[Tensor, "R 2"]
) -> tuple[Rows, Rows, Rows]:
    """Draw for each anchor a positive by softmax(d) and a negative by softmax(-d)."""
    row = pairs.any(dim=1).nonzero().squeeze(1)
    positive = _draw(-2 * similarity, pairs, draws[:, 0])
    negative = _draw(2 * similarity, ~same, draws[:, 1])
    return row, positive[row], negative[row]


def _draw(scores: Similarity, candidates: Mask, draws: Float[Tensor, " R"]) -> Int[Tensor, " R"]:
    """Draw one candidate per row by the softmax of the scores, by inverting the running sum.

    Scores lie in [-2, 2], so their exponentials cannot overflow.
    """
    running = (scores.double().exp() * candidates).cumsum(dim=1)
    total = running[:, -1:]
    # Rounding could lift u * total to the total, which only the last candidate reaches.
    below = torch.minimum(draws[:, None] * total, total.nextafter(torch.zeros_like(total)))
    return torch.searchsorted(running, below, right=True).squeeze(1)


def _given(draws: Draws | None) -> Draws:
    if draws is None:
        raise ConfigError(
            "mining = hardness-sampled draws its triplets, but no draws were given",
            "pass draws: for each embedding, two uniform numbers in [0, 1)",
        )
    return draws
