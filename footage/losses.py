"""The losses: pure functions from embeddings to one number.

Every loss is vectorised, has no state, draws nothing at random and logs nothing. Embeddings come as
`V S F A D` (or flattened, with an identity beside each), predictions and their targets as `V D`.
Inputs in half precision are computed in single precision; double stays double.

To add a loss: write the function here, with a `Formula:` and a `Source:` line in its docstring and
its tensors named as in the others, enter it in `LOSSES` at the end, and write its brute-force twin
in `tests/test_losses.py`. The contract tests and `docs/losses.md` follow by themselves.
"""

import math
from collections.abc import Callable
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import (
    binary_cross_entropy_with_logits,
    cross_entropy,
    normalize,
    relu,
    softplus,
)

from footage.errors import ConfigError
from footage.shapes import Embeddings, FlatEmbeddings, Identities, Scalar, ShotRows

Positives = Literal["frame", "shot"]
"""What counts as the same thing: views of one frame, or all frames of one shot."""

Mining = Literal["semi-hard", "batch-hard"]
"""Which triplets count: see `triplet`."""

Hinge = Literal["margin", "soft"]
"""How a triplet's violation becomes a cost: cut off at the margin, or softly without one."""

CHUNK_ELEMENTS = 2**22
"""Pair-by-candidate distances held at once while mining: 16 MiB in single precision."""


def identities(shots: ShotRows, frames: int, views: int, positives: Positives) -> Identities:
    """The identity of every embedding of a batch `V S F A`, flattened in that order.

    Under `frame` all views of a frame are one identity; under `shot` all frames and views of a
    shot are.

    Args:
        shots: Equal numbers are the same shot, which a batch holds in parts where a video has too
            few shots: its parts show the same thing, so they are never negatives of each other.
        frames: F.
        views: A.
        positives: What makes an identity.
    """
    if positives == "frame":
        places = torch.arange(shots.numel() * frames, device=shots.device)
        return places.repeat_interleave(views)
    return shots.flatten().repeat_interleave(frames * views)


def triplet(
    embeddings: FlatEmbeddings,
    identities: Identities,
    margin: float = 0.5,
    mining: Mining = "semi-hard",
    hinge: Hinge = "margin",
) -> Scalar:
    """Triplet loss, its negatives mined over the whole batch.

    Embeddings are normalised to length 1 and compared by squared Euclidean distance `d`.

    Semi-hard: for every ordered pair (anchor a, positive p) the negative n is the closest one that
    is strictly farther from the anchor than the positive is; where there is none, the farthest
    negative of all. That fallback is the easiest negative, not the hardest: it is the rule of
    TensorFlow's `triplet_semihard_loss`, which the same laboratory's exemplar code calls.
    Batch-hard: for every anchor with a positive, its farthest positive and its closest negative.

    The mean is over all triplets, also those whose term is 0. Embeddings that say nothing pay the
    margin, or log 2 with the soft hinge, which needs no margin and never lets a triplet go.

    Formula: `mean over (a, p, n) of max(0, margin + d(a, p) - d(a, n))`; soft hinge:
        `mean of log(1 + exp(d(a, p) - d(a, n)))`
    Source: Schroff et al. 2015 (FaceNet), section 3.2; margin 0.5 and squared distances as in
        google/revisiting-self-supervised [paper]. Deviation: that code normalises over the batch
        axis, here each embedding is normalised. Batch-hard and the soft hinge: Hermans et al. 2017,
        equation 5, there with plain distances; both named in google-research/s4l [paper].

    Raises:
        ConfigError: If the batch holds no positive pair or no negative.
    """
    embeddings = normalize(_full_precision(embeddings), dim=-1)
    anchors, positives, negatives = _triplets(embeddings.detach(), identities, mining)
    anchor = embeddings.index_select(0, anchors)
    positive = embeddings.index_select(0, positives)
    negative = embeddings.index_select(0, negatives)
    # For unit vectors d(a, p) - d(a, n) = 2 a·(n - p): one product instead of two differences.
    violation = 2 * (anchor * (negative - positive)).sum(dim=-1)
    return (softplus(violation) if hinge == "soft" else relu(margin + violation)).mean()


def exemplar(
    embeddings: Embeddings,
    shots: ShotRows,
    positives: Positives = "shot",
    margin: float = 0.5,
    mining: Mining = "semi-hard",
    hinge: Hinge = "margin",
) -> Scalar:
    """Exemplar loss: every frame (or shot) is a class of its own, told apart by triplets.

    With positives `shot` this is the loss of VIVI-Ex(M) for M frames a shot, each augmented; with
    `frame` it is the image-only baseline, Ex(1), which contrasts the views of single frames.

    Formula: `triplet` over all embeddings, their identities from `identities`
    Source: VIVI, Tschannen et al. 2020, section 3 [recalled]; Dosovitskiy et al. 2014 for the idea.

    Raises:
        ConfigError: If no two embeddings share an identity, or all do.
    """
    flat, identity = _flatten(embeddings, shots, positives)
    return triplet(flat, identity, margin, mining, hinge)


def multi_positive_nce(
    embeddings: Embeddings,
    shots: ShotRows,
    positives: Positives = "shot",
    temperature: float = 0.1,
) -> Scalar:
    """InfoNCE with several positives: each is to be found among all the other embeddings.

    Embeddings are normalised to length 1; `z` is the cosine over the temperature; P(i) are the
    other embeddings of i's identity. The mean over positives stands outside the logarithm.
    Embeddings that say nothing pay log(N - 1).

    Formula: `mean over i, p in P(i) of -log( exp z(i,p) / sum over j != i of exp z(i,j) )`
    Source: Khosla et al. 2020 (SupCon), equation 2 (L_out). Not part of VIVI [ours].

    Raises:
        ConfigError: If no two embeddings share an identity, or all do.
    """
    flat, identity = _flatten(embeddings, shots, positives)
    _check_identities(identity)
    flat = normalize(_full_precision(flat), dim=-1)
    similarity = flat @ flat.T / temperature
    itself = torch.eye(len(flat), dtype=torch.bool, device=flat.device)
    pairs = (identity[:, None] == identity) & ~itself
    log_partition = similarity.masked_fill(itself, -torch.inf).logsumexp(dim=1)
    num_positives = pairs.sum(dim=1)
    mean_positive = similarity.masked_fill(~pairs, 0).sum(dim=1) / num_positives
    return (log_partition - mean_positive).mean()


def future_shot_nce(predictions: Float[Tensor, "V D"], targets: Float[Tensor, "V D"]) -> Scalar:
    """InfoNCE over videos: a predicted shot is to be told from the same position in other videos.

    `g` is the inner product; a bilinear critic has multiplied the predictions by its matrix before.
    Negatives are targets of other videos only, never other shots of the same video. Because of the
    1/V the loss is 0 for a critic that knows nothing, whatever V, and never below -log V.

    Formula: `-mean over v of log( exp g(v,v) / ((1/V) sum over u of exp g(v,u)) )`
    Source: VIVI, equation for L_NCE [recalled .75]; van den Oord et al. 2018, equation 4.
    """
    logits = _full_precision(predictions) @ _full_precision(targets).T
    own = torch.arange(len(logits), device=logits.device)
    return cross_entropy(logits, own) - math.log(len(logits))


def shot_order(logits: Float[Tensor, " V"], reversed: Bool[Tensor, " V"]) -> Scalar:
    """Shot order: was the sequence of shots shown forward or backward?

    `logits` are the log-odds of backward. A predictor that knows nothing pays log 2.

    Formula: `-mean over v of log sigmoid(logit(v) if reversed(v) else -logit(v))`
    Source: VIVI, section 3, video-level loss 1 [paper].
    """
    logits = _full_precision(logits)
    return binary_cross_entropy_with_logits(logits, reversed.to(logits.dtype))


def _full_precision(tensor: Tensor) -> Tensor:
    """Half precision becomes single: distances of near neighbours do not survive in 8 bits."""
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def _flatten(
    embeddings: Embeddings, shots: ShotRows, positives: Positives
) -> tuple[Tensor, Tensor]:
    frames, views = embeddings.shape[2:4]
    return embeddings.flatten(0, 3), identities(shots, frames, views, positives)


def _check_identities(identities: Tensor) -> int:
    """The size of the largest identity, after making sure that there is something to contrast."""
    counts = identities.unique(return_counts=True)[1]  # type: ignore[no-untyped-call]
    if len(counts) < 2:
        raise ConfigError(
            f"all {len(identities)} embeddings of the batch are one identity: there is no negative",
            "Raise videos_per_batch or shots_per_video.",
        )
    largest = int(counts.max())
    if largest < 2:
        raise ConfigError(
            f"each of the {len(identities)} embeddings of the batch is an identity of its own: "
            "there is no positive pair",
            "Raise views_per_frame, or frames_per_shot with positives = shot.",
        )
    return largest


Indices = Int[Tensor, " P"]
"""Rows of the embeddings, one for each of P triplets."""


@torch.no_grad()
def _triplets(
    embeddings: Float[Tensor, "N D"], identities: Int[Tensor, " N"], mining: Mining
) -> tuple[Indices, Indices, Indices]:
    """Rows of (anchor, positive, negative).

    Chunked over anchors, so that memory does not grow with the number of triplets times N; only the
    indices leave, and the caller differentiates through those rows alone.
    """
    largest_identity = _check_identities(identities)
    mine = _semi_hard if mining == "semi-hard" else _batch_hard
    num_embeddings = len(embeddings)
    rows_per_chunk = max(1, CHUNK_ELEMENTS // (num_embeddings * largest_identity))
    every = torch.arange(num_embeddings, device=embeddings.device)
    triplets = []
    for start in range(0, num_embeddings, rows_per_chunk):
        rows = every[start : start + rows_per_chunk]
        same = identities[rows, None] == identities
        pairs = same & (rows[:, None] != every)
        # d = 2 - 2 s, so farther is less similar
        row, positive, negative = mine(embeddings[rows] @ embeddings.T, same, pairs)
        triplets.append((rows[row], positive, negative))
    anchors, positives, negatives = zip(*triplets, strict=True)
    return torch.cat(anchors), torch.cat(positives), torch.cat(negatives)


def _semi_hard(
    similarity: Float[Tensor, "R N"], same: Bool[Tensor, "R N"], pairs: Bool[Tensor, "R N"]
) -> tuple[Indices, Indices, Indices]:
    """For every pair the most similar negative less similar than it, else the least similar."""
    row, positive = pairs.nonzero(as_tuple=True)
    to_positive = similarity[row, positive]
    to_farthest, farthest = similarity.masked_fill(same, torch.inf).min(dim=1)
    candidates = similarity.masked_fill(same, -torch.inf)[row]
    not_farther = candidates >= to_positive[:, None]
    closest = candidates.masked_fill_(not_farther, -torch.inf).argmax(dim=1)
    none_farther = to_farthest[row] >= to_positive
    return row, positive, torch.where(none_farther, farthest[row], closest)


def _batch_hard(
    similarity: Float[Tensor, "R N"], same: Bool[Tensor, "R N"], pairs: Bool[Tensor, "R N"]
) -> tuple[Indices, Indices, Indices]:
    """For every anchor that has one, its least similar positive and its most similar negative."""
    row = pairs.any(dim=1).nonzero().squeeze(1)
    positive = similarity.masked_fill(~pairs, torch.inf).argmin(dim=1)
    negative = similarity.masked_fill(same, -torch.inf).argmax(dim=1)
    return row, positive[row], negative[row]


LOSSES: dict[str, Callable[..., Tensor]] = {
    "triplet": triplet,
    "exemplar": exemplar,
    "multi_positive_nce": multi_positive_nce,
    "future_shot_nce": future_shot_nce,
    "shot_order": shot_order,
}
"""Every loss by its name; options have defaults, so a loss can be called with its tensors alone."""
