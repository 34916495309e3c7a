"""Compare our losses with those of pytorch-metric-learning and lightly; see `losses.py --peers`.

These packages are not dependencies of footage, and must not replace its torch. To install them:

    pip install --no-deps pytorch-metric-learning lightly lightly-utils

A row uses one leaf of N embeddings, 8 per identity unless the row states 2. Our loss and theirs run
in turn, forward and backward. The ratio is the median over the rounds of their time over ours.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch

import footage._torchvision_compat  # noqa: F401  (before lightly brings torchvision in)
from footage.objectives.losses.distillation import self_distillation
from footage.objectives.losses.exemplar import triplet
from footage.objectives.losses.nce import multi_positive_nce
from footage.objectives.losses.vicreg import vicreg

MOST_BYTES = 8e9
"""A peer that needs more memory is skipped."""

Loss = Callable[[torch.Tensor], torch.Tensor]


class Row(NamedTuple):
    """One of our losses and its counterpart."""

    name: str
    peer: str
    ours: Loss
    theirs: Loss
    same: bool = True
    """Whether the definitions agree, so that the values must, too."""

    peer_bytes: float = 0.0
    """Approximate memory of the peer, if it grows with N squared times more, or with N cubed."""


def rows(num_embeddings: int, dimension: int) -> Iterator[Row]:
    """Yield the pairs of equal losses, for a leaf `N D` in the order V S F A."""
    yield from _metric_learning(num_embeddings)
    yield from _lightly(num_embeddings, dimension)


def _metric_learning(num_embeddings: int) -> Iterator[Row]:
    from pytorch_metric_learning import distances, losses, miners, reducers

    squared = distances.LpDistance(normalize_embeddings=True, p=2, power=2)
    margin = losses.TripletMarginLoss(margin=0.5, distance=squared, reducer=reducers.MeanReducer())
    labels = torch.arange(num_embeddings // 8).repeat_interleave(8)
    pairs = torch.arange(num_embeddings // 2).repeat_interleave(2)
    peer = "pytorch-metric-learning"

    hard = miners.BatchHardMiner(distance=squared)
    yield Row(
        "triplet, batch-hard",
        peer,
        lambda x: triplet(x, labels, mining="batch-hard"),
        lambda x: margin(x, labels, hard(x, labels)),
    )
    semi_hard = miners.TripletMarginMiner(0.5, type_of_triplets="semihard", distance=squared)
    yield Row(
        "triplet, semi-hard (theirs: every semi-hard negative, ours: the closest)",
        peer,
        lambda x: triplet(x, labels),
        lambda x: margin(x, labels, semi_hard(x, labels)),
        same=False,
        peer_bytes=3 * 3 * 8 * 7 * num_embeddings**2,  # index triples, three times over
    )
    contrast = losses.SupConLoss(temperature=0.1)
    yield Row(
        "multi_positive_nce, 8 an identity",
        peer,
        lambda x: multi_positive_nce(*_shots(x, 4, 2)),
        lambda x: contrast(x, labels),
    )
    pairwise = losses.NTXentLoss(temperature=0.1)
    yield Row(
        "multi_positive_nce, 2 an identity (theirs: NT-Xent)",
        peer,
        lambda x: multi_positive_nce(*_shots(x, 1, 2)),
        lambda x: pairwise(x, pairs),
        peer_bytes=3 * 4 * num_embeddings**3,  # positive pairs times negative pairs
    )
    regularised = losses.VICRegLoss()
    yield Row(
        "vicreg, half the variance weight",
        peer,
        lambda x: vicreg(*_shots(x, 1, 2), variance=12.5),
        lambda x: regularised(x[0::2], ref_emb=x[1::2]),
    )


def _lightly(num_embeddings: int, dimension: int) -> Iterator[Row]:
    from lightly.loss import DINOLoss, NTXentLoss, VICRegLoss

    contrast, regularised = NTXentLoss(temperature=0.1), VICRegLoss()
    yield Row(
        "multi_positive_nce, 2 an identity (theirs: NT-Xent)",
        "lightly",
        lambda x: multi_positive_nce(*_shots(x, 1, 2)),
        lambda x: contrast(x[0::2], x[1::2]),
    )
    yield Row(
        "vicreg, half the variance weight",
        "lightly",
        lambda x: vicreg(*_shots(x, 1, 2), variance=12.5),
        lambda x: regularised(x[0::2], x[1::2]),
    )
    teachers, centre = torch.randn(num_embeddings, dimension) / 10, torch.zeros(dimension)

    def theirs(x: torch.Tensor) -> torch.Tensor:
        loss = DINOLoss(dimension)  # a fresh one, whose centre has not moved
        students, taught = x.view(-1, 8, dimension), teachers.view(-1, 8, dimension)
        return loss(list(taught.unbind(1)), list(students.unbind(1)))

    def ours(x: torch.Tensor) -> torch.Tensor:
        students, shots = _shots(x, 4, 2)
        return self_distillation(students, teachers.view_as(students), shots, centre)

    yield Row("self_distillation, 8 an identity", "lightly", ours, theirs)


def _shots(flat: torch.Tensor, frames: int, views: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the leaf as `V S F A D` with one shot per video, and the indices of the shots."""
    embeddings = flat.view(-1, 1, frames, views, flat.shape[1])
    return embeddings, torch.arange(len(embeddings)).view(-1, 1)


def compare(num_embeddings: int, dimension: int, repeats: int) -> list[dict[str, Any]]:
    """Return the times of each row, and the differences of values and gradients."""
    return [
        _measured(row, num_embeddings, dimension, repeats)
        for row in rows(num_embeddings, dimension)
    ]


def _measured(row: Row, num_embeddings: int, dimension: int, repeats: int) -> dict[str, Any]:
    answer: dict[str, Any] = {"loss": row.name, "peer": row.peer}
    if row.peer_bytes > MOST_BYTES:
        return answer | {"skipped": f"the peer needs about {row.peer_bytes / 1e9:.1f} GB"}
    centres = torch.randn(num_embeddings // 8, 1, dimension)
    drawn = (centres + 3 * torch.randn(num_embeddings // 8, 8, dimension)).flatten(0, 1) / 10
    values, gradients, taken = {}, {}, {"ours": [], "theirs": []}
    for _ in range(repeats + 1):
        for side in taken:
            leaf = drawn.clone().requires_grad_()
            start = time.perf_counter()
            value = getattr(row, side)(leaf)
            value.backward()
            taken[side].append(time.perf_counter() - start)
            values[side], gradients[side] = value.item(), leaf.grad
    milliseconds = {side: 1e3 * statistics.median(turns[1:]) for side, turns in taken.items()}
    ratios = [theirs / ours for ours, theirs in zip(taken["ours"], taken["theirs"], strict=True)]
    answer |= {
        "milliseconds": {side: round(median, 1) for side, median in milliseconds.items()},
        "their time over ours": round(statistics.median(ratios[1:]), 2),
    }
    if row.same:
        exact = row.ours(drawn.double()).item()
        apart = (gradients["ours"] - gradients["theirs"]).norm() / gradients["theirs"].norm()
        answer |= {
            "value in double precision": exact,
            "value, difference from it": {side: value - exact for side, value in values.items()},
            "gradients, relative difference": apart.item(),
        }
    return answer
