"""Label-free metrics of features: distances, spread, effective rank, retrieval.

The online metrics of training and the invariance profile share them.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor


class Retrieval(NamedTuple):
    """Hit rate of the nearest allowed frame, and the hit rate expected by chance."""

    hit: float
    chance: float
    queries: int


class Answers(NamedTuple):
    """Result of each query; only rows with a relevant frame are queries."""

    is_query: Bool[Tensor, " N"]
    hit: Float[Tensor, " N"]
    """1 where the nearest allowed frame is relevant, else 0."""
    chance: Float[Tensor, " N"]
    """Fraction of relevant frames among those allowed."""


def distances(features: Float[Tensor, "N D"]) -> Float[Tensor, "N N"]:
    """Return cosine distances, 1 - cosine, between all pairs, in float64; 0 to 2."""
    unit = torch.nn.functional.normalize(features.double(), dim=1)
    return (1 - unit @ unit.T).clamp(min=0)


def paired_distances(
    first: Float[Tensor, "*axes D"], second: Float[Tensor, "*axes D"]
) -> Float[Tensor, "*axes"]:
    """Return cosine distances between features at the same index, in float64."""
    cosine = torch.nn.functional.cosine_similarity(first.double(), second.double(), dim=-1)
    return (1 - cosine).clamp(min=0)


def uniformity(distance: Float[Tensor, "N N"]) -> float:
    """Measure how evenly features fill the sphere: log of the mean of exp(-2 |f - g|^2) over pairs.

    Wang & Isola 2020, equation 2 with t = 2 (https://arxiv.org/abs/2005.10242). 0 for one point,
    about -4 for a uniform sphere of many dimensions; lower is more even.

    Args:
        distance: Cosine distances of the features; |f - g|^2 of unit vectors is twice as large.
    """
    others = ~torch.eye(len(distance), dtype=torch.bool)
    return float((-4 * distance[others]).exp().mean().log())


def embedding_std(features: Float[Tensor, "N D"]) -> float:
    """Return the mean standard deviation over axes of the normalised features, times sqrt(D)."""
    normalised = torch.nn.functional.normalize(features.double(), dim=1)
    return float(normalised.std(dim=0).mean()) * math.sqrt(features.shape[1])


def rankme(features: Float[Tensor, "N D"]) -> float:
    """Return the effective rank: exp of the entropy of the normalised singular values.

    Garrido et al. 2023, "RankMe", equation 1 (https://arxiv.org/abs/2210.02885). From 1 to
    min(N, D); 0 for features that are all zero.
    """
    values = torch.linalg.svdvals(features.double())
    if not float(values.sum()) > 0:
        return 0.0
    shares = values / values.sum() + 1e-7
    return float(torch.exp(-(shares * shares.log()).sum()))


def answers(
    distance: Float[Tensor, "N N"], right: Bool[Tensor, "N N"], allowed: Bool[Tensor, "N N"]
) -> Answers:
    """Find nearest neighbours, one query per row.

    Args:
        distance: Distance from each query (row) to each frame.
        right: Relevant frames of each query.
        allowed: Frames that each query may retrieve.
    """
    nearest = distance.masked_fill(~allowed, math.inf).argmin(dim=1, keepdim=True)
    return Answers(
        right.any(dim=1),
        right.gather(1, nearest)[:, 0].double(),
        right.sum(dim=1) / allowed.sum(dim=1).clamp(min=1).double(),
    )


def retrieval(
    features: Float[Tensor, "N D"], right: Bool[Tensor, "N N"], allowed: Bool[Tensor, "N N"]
) -> Retrieval:
    """Retrieve the nearest neighbour by cosine for all queries; see `answers` for the masks.

    Rows without a relevant frame are not queries. Chance is the hit rate of uninformative features.
    """
    found = answers(distances(features), right, allowed)
    if not bool(found.is_query.any()):
        return Retrieval(0.0, 0.0, 0)
    return Retrieval(
        float(found.hit[found.is_query].mean()),
        float(found.chance[found.is_query].mean()),
        int(found.is_query.sum()),
    )
