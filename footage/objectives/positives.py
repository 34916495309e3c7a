"""Identities of the embeddings in a batch, and the positive pairs that follow from them.

    positives       positive of a view                    neither positive nor negative
    frame           the other views of its frame          itself
    shot            all other views of its shot           itself
    other_frames    the views of its shot's other frames  all views of its frame, itself included

Sums over all positive pairs are sums over whole groups, so they need no N x N matrix.
"""

from typing import Literal, NamedTuple

from footage.errors import ConfigError
from footage.lazy import torch
from footage.shapes import FlatEmbeddings, Identities, Scalar, ShotRows, Tensor

Positives = Literal["frame", "shot"]
"""Views that share an identity: those of one frame, or those of all frames of one shot."""

PairPositives = Literal["frame", "shot", "other_frames"]
"""The same, or only the other frames of a shot, so that shared pixels are not a shortcut."""


class Pairs(NamedTuple):
    """Two embeddings are a positive pair if they share an identity and neither is excluded."""

    same_identity: Identities
    """Identity numbers; embeddings with equal numbers show the same thing."""

    excluded: Identities
    """Embeddings with equal numbers are never compared; a refinement of `same_identity`."""


def identities(shots: ShotRows, frames: int, views: int, positives: Positives) -> Identities:
    """Return the identity of every embedding of a batch `V S F A`, flattened in that order.

    Under `frame`, all views of a frame share an identity; under `shot`, all frames and views of a
    shot do.

    Args:
        shots: Row of each shot. A video with too few shots contributes parts of one shot, which
            share its row and are therefore never negatives of each other.
        frames: F.
        views: A.
        positives: What shares an identity.
    """
    if positives == "frame":
        places = torch.arange(shots.numel() * frames, device=shots.device)
        return places.repeat_interleave(views)
    return shots.flatten().repeat_interleave(frames * views)


def pairs(shots: ShotRows, frames: int, views: int, positives: PairPositives) -> Pairs:
    """Return the positive pairs of a batch `V S F A`; for the arguments see `identities`.

    Raises:
        ConfigError: The batch contains no positive pair.
    """
    if positives == "other_frames":
        excluded = identities(shots, frames, views, "frame")
        found = Pairs(identities(shots, frames, views, "shot"), excluded)
    else:
        itself = torch.arange(shots.numel() * frames * views, device=shots.device)
        found = Pairs(identities(shots, frames, views, positives), itself)
    if len(found.same_identity.unique()) == len(found.excluded.unique()):  # type: ignore[no-untyped-call]
        raise no_positive_pair(len(found.same_identity))
    return found


def sum_over_positives(values: FlatEmbeddings, pairs: Pairs) -> FlatEmbeddings:
    """Sum `values` over the positives of each embedding."""
    return _sum_over(pairs.same_identity, values) - _sum_over(pairs.excluded, values)


def num_positives(values: FlatEmbeddings, pairs: Pairs) -> Tensor:
    """Count the positives of each embedding, in the data type of `values`."""
    return sum_over_positives(values.new_ones(len(values), 1), pairs).squeeze(1)


def mean_squared_distance(values: FlatEmbeddings, pairs: Pairs) -> Scalar:
    """Return the mean squared Euclidean distance over all positive pairs.

    Formula: `sum over pairs of |x - y|^2 = sum over x of 2 (n(x) |x|^2 - x . sum of positives)`
    """
    # Centre each identity first, so that large numbers do not cancel; distances do not change.
    sizes = _sum_over(pairs.same_identity, values.new_ones(len(values), 1))
    values = values - _sum_over(pairs.same_identity, values) / sizes
    counts = num_positives(values, pairs)
    products = (values * sum_over_positives(values, pairs)).sum(dim=1)
    return 2 * (counts * values.square().sum(dim=1) - products).sum() / counts.sum()


def check_negatives(identities: Identities) -> None:
    """Reject a batch without negatives.

    Raises:
        ConfigError: All embeddings share one identity.
    """
    if bool((identities == identities[0]).all()):
        raise ConfigError(
            f"all {len(identities)} embeddings of the batch share one identity: no negatives",
            "raise videos_per_batch or shots_per_video",
        )


def no_positive_pair(num_embeddings: int) -> ConfigError:
    """Return the error for a batch without positive pairs."""
    return ConfigError(
        f"none of the {num_embeddings} embeddings of the batch shares its identity with another: "
        "there are no positive pairs",
        "raise views_per_frame, or frames_per_shot with positives = shot or other_frames",
    )


def _sum_over(groups: Identities, values: FlatEmbeddings) -> FlatEmbeddings:
    """Sum `values` over the group of each embedding."""
    every, place = groups.unique(return_inverse=True)  # type: ignore[no-untyped-call]
    if len(every) == len(values):
        return values  # every embedding is its own group
    sums = values.new_zeros(len(every), values.shape[1]).index_add(0, place, values)
    return sums.index_select(0, place)
