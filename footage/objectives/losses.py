"""The losses: pure functions from embeddings to one number.

Every loss is vectorised, has no state, draws nothing at random and logs nothing. Embeddings come as
`V S F A D` (or flattened, with an identity beside each), predictions and their targets as `V D`.
Inputs in half precision are computed in single precision; double stays double.

To add a loss: write the function here, with a `Formula:` and a `Source:` line in its docstring and
its tensors named as in the others, enter it in `LOSSES` at the end, and write its brute-force twin
in `tests/objectives/loss_twins.py`. The contract tests and `docs/losses.md` follow by themselves.
"""

import math
from collections.abc import Callable
from typing import Any, Literal

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
from footage.objectives.mining import Draws, mine
from footage.objectives.mining import Mining as Mining
from footage.objectives.positives import PairPositives as PairPositives
from footage.objectives.positives import Positives as Positives
from footage.objectives.positives import (
    check_negatives,
    mean_squared_distance,
    num_positives,
    pairs,
    sum_over_positives,
)
from footage.objectives.positives import identities as identities
from footage.shapes import Embeddings, FlatEmbeddings, Identities, Scalar, ShotRows

Hinge = Literal["margin", "soft"]
"""How a triplet's violation becomes a cost: cut off at the margin, or softly without one."""


def triplet(
    embeddings: FlatEmbeddings,
    identities: Identities,
    margin: float = 0.5,
    mining: Mining = "semi-hard",
    hinge: Hinge = "margin",
    draws: Draws | None = None,
) -> Scalar:
    """Triplet loss, its negatives mined over the whole batch.

    Embeddings are normalised to length 1 and compared by squared Euclidean distance `d`.

    Semi-hard: for every ordered pair (anchor a, positive p) the negative n is the closest one that
    is strictly farther from the anchor than the positive is; where there is none, the farthest
    negative of all. That fallback is the easiest negative, not the hardest: it is the rule of
    TensorFlow's `triplet_semihard_loss`, which the same laboratory's exemplar code calls.
    Batch-hard: for every anchor with a positive, its farthest positive and its closest negative.
    Hardness-sampled: for every such anchor a positive drawn with probability softmax(d) over its
    positives and a negative with softmax(-d) over its negatives; `draws` decides which.

    The mean is over all triplets, also those whose term is 0. Embeddings that say nothing pay the
    margin, or log 2 with the soft hinge, which needs no margin and never lets a triplet go.

    Formula: `mean over (a, p, n) of max(0, margin + d(a, p) - d(a, n))`; soft hinge:
        `mean of log(1 + exp(d(a, p) - d(a, n)))`
    Source: Schroff et al. 2015 (FaceNet), section 3.2; margin 0.5 and squared distances as in
        google/revisiting-self-supervised [paper]. Deviation: that code normalises over the batch
        axis, here each embedding is normalised. Batch-hard and the soft hinge: Hermans et al. 2017,
        equation 5, there with plain distances; both, and sampling by hardness at temperature 1, in
        google-research/s4l [paper]. Deviation: that code's distances are not squared.

    Raises:
        ConfigError: If the batch holds no positive pair or no negative, or draws are needed.
    """
    embeddings = normalize(_full_precision(embeddings), dim=-1)
    anchors, positives, negatives = mine(embeddings.detach(), identities, mining, draws)
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
    draws: Draws | None = None,
) -> Scalar:
    """Exemplar loss: every frame (or shot) is a class of its own, told apart by triplets.

    With positives `shot` this is the loss of VIVI-Ex(M) for M frames a shot, each augmented; with
    `frame` it is the image-only baseline, Ex(1), which contrasts the views of single frames.

    Formula: `triplet` over all embeddings, their identities from `identities`
    Source: VIVI, Tschannen et al. 2020, section 3 [recalled]; Dosovitskiy et al. 2014 for the idea.

    Raises:
        ConfigError: If no two embeddings share an identity, or all do, or draws are needed.
    """
    frames, views = embeddings.shape[2:4]
    identity = identities(shots, frames, views, positives)
    return triplet(embeddings.flatten(0, 3), identity, margin, mining, hinge, draws)


def multi_positive_nce(
    embeddings: Embeddings,
    shots: ShotRows,
    positives: PairPositives = "shot",
    temperature: float = 0.1,
) -> Scalar:
    """InfoNCE with several positives: each is to be found among all the other embeddings.

    Embeddings are normalised to length 1; `z` is the cosine over the temperature; P(i) are the
    positives of i. The mean over positives stands outside the logarithm. Positives `other_frames`
    leave the other views of i's frame out, as i itself: they are neither in P(i) nor in the sum
    over j, where they would be easy to find or hard to tell from a positive.
    Embeddings that say nothing pay log(N - 1), or log(N - A) with `other_frames`.

    Formula: `mean over i, p in P(i) of -log( exp z(i,p) / sum over j != i of exp z(i,j) )`
    Source: Khosla et al. 2020 (SupCon), equation 2 (L_out). Not part of VIVI [ours].

    Raises:
        ConfigError: If no two embeddings are a positive pair, or all share an identity.
    """
    frames, views = embeddings.shape[2:4]
    found = pairs(shots, frames, views, positives)
    check_negatives(found.mates)
    flat = normalize(_full_precision(embeddings.flatten(0, 3)), dim=-1) / math.sqrt(temperature)
    left_out = found.left_out[:, None] == found.left_out
    logits = _products(flat).masked_fill(left_out, -torch.inf)
    to_positives = (flat * sum_over_positives(flat, found)).sum(dim=1)
    counts = num_positives(flat, found)
    terms = logits.logsumexp(dim=1) - to_positives / counts.clamp(min=1)
    return terms[counts > 0].mean()


def vicreg(
    embeddings: Embeddings,
    shots: ShotRows,
    positives: PairPositives = "shot",
    invariance: float = 25.0,
    variance: float = 25.0,
    covariance: float = 1.0,
) -> Scalar:
    """VICReg: positives come close, while every dimension keeps its spread and says its own.

    `s` is the mean squared distance of positive pairs over D. `v` and `c` look at one view slot at
    a time, a matrix Z of one row per identity, and are averaged over the slots: slot (f, a) of each
    shot, or slot a of each frame with positives `frame`. Embeddings are not normalised.
    Embeddings at one point pay 2 * 0.99 * variance: s and c are 0 there, each v is 1 - 0.01.

    Formula: `invariance s + 2 variance mean of v(Z) + 2 covariance mean of c(Z)` with
        `v(Z) = mean over dimensions j of max(0, 1 - sqrt(Var(Z_j) + 0.0001))` and
        `c(Z) = (1/D) sum over j != k of Cov(Z)_jk^2`
    Source: Bardes et al. 2022, equations 1 to 6, and its weights; with two slots it is equation 6,
        except that s is divided by D, as in facebookresearch/vicreg. Deviation: that code also
        halves v + v'; half the weight `variance` gives its value. More than two views [ours].

    Raises:
        ConfigError: If no two embeddings are a positive pair, or all share an identity.
    """
    frames, views = embeddings.shape[2:4]
    found = pairs(shots, frames, views, positives)
    check_negatives(found.mates)
    embeddings = _full_precision(embeddings)
    closeness = mean_squared_distance(embeddings.flatten(0, 3), found) / embeddings.shape[-1]
    slots = _slots(embeddings, positives)
    num_rows, dimension = slots.shape[1:]
    centred = slots - slots.mean(dim=1, keepdim=True)
    variances = centred.square().sum(dim=1) / (num_rows - 1)
    # The squares in Z Z' add up to those in Z' Z: take the smaller one.
    products = _products(centred if num_rows < dimension else centred.mT) / (num_rows - 1)
    all_squares, own_squares = products.square().sum(dim=(1, 2)), variances.square().sum(dim=1)
    return (
        invariance * closeness
        + 2 * variance * relu(1 - (variances + 1e-4).sqrt()).mean()
        + 2 * covariance * (all_squares - own_squares).mean() / dimension
    )


def self_distillation(
    students: Embeddings,
    teachers: Embeddings,
    shots: ShotRows,
    centre: Float[Tensor, " D"],
    positives: PairPositives = "shot",
    student_temperature: float = 0.1,
    teacher_temperature: float = 0.04,
) -> Scalar:
    """Self-distillation: from one view, say what the teacher says of another view of the same.

    `P` is the softmax over the D dimensions. The mean is over all ordered positive pairs of views
    (t, s), each embedded by teacher and student; no view is its own positive. The teachers and the
    centre get no gradient. There are no negatives: `centre`, the running mean of the teachers that
    the caller keeps, and the colder teacher are all that stands against collapse.
    Students that say nothing, each dimension being as likely, pay log D whatever the teachers say;
    collapse onto one dimension pays 0, so a low value alone proves nothing.

    Formula: `-mean over (t, s) of sum over d of P((teacher(t) - centre) / teacher_temperature)_d
        log P(student(s) / student_temperature)_d`
    Source: DINO, Caron et al. 2021, equations 1 to 3 and algorithm 1. Not part of VIVI [ours].

    Raises:
        ConfigError: If no two embeddings are a positive pair.
    """
    frames, views = students.shape[2:4]
    found = pairs(shots, frames, views, positives)
    log_student = (_full_precision(students).flatten(0, 3) / student_temperature).log_softmax(dim=1)
    with torch.no_grad():
        logits = _full_precision(teachers).flatten(0, 3) - centre
        wanted = sum_over_positives((logits / teacher_temperature).softmax(dim=1), found)
    return -(wanted * log_student).sum() / num_positives(wanted, found).sum()


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


def future_shot_mse(predictions: Float[Tensor, "V D"], targets: Float[Tensor, "V D"]) -> Scalar:
    """Regression of a future shot, its targets standardised over the videos: an ablation.

    `z` has mean 0 and variance 1 in each dimension, so the best constant, 0, pays 1. The gradient
    reaches the targets too, as in `future_shot_nce`. With few videos z says little (with two, every
    number of it is 1 or -1), and nothing keeps the dimensions of z from saying the same. Targets
    whose variance falls far below 0.00001 standardise to 0, and predicting 0 then pays 0: values
    below 1 prove nothing while the targets' spread is not watched.

    Formula: `mean over v, d of (prediction - z(target))^2` with
        `z(x) = (x - mean of x over videos) / sqrt(variance of x over videos + 0.00001)`
    Source: [ours], against `future_shot_nce`.

    Raises:
        ConfigError: If there is one video only, over which nothing can be standardised.
    """
    if len(targets) < 2:
        raise ConfigError(
            "the targets of future_shot_mse are standardised over videos, and there is one only",
            "Raise videos_per_batch.",
        )
    centred = _full_precision(targets) - _full_precision(targets).mean(dim=0)
    standardised = centred / (centred.square().mean(dim=0) + 1e-5).sqrt()
    return (_full_precision(predictions) - standardised).square().mean()


def shot_order(logits: Float[Tensor, " V"], reversed: Bool[Tensor, " V"]) -> Scalar:
    """Shot order: was the sequence of shots shown forward or backward?

    `logits` are the log-odds of backward. A predictor that knows nothing pays log 2.

    Formula: `-mean over v of log sigmoid(logit(v) if reversed(v) else -logit(v))`
    Source: VIVI, section 3, video-level loss 1 [paper].
    """
    logits = _full_precision(logits)
    return binary_cross_entropy_with_logits(logits, reversed.to(logits.dtype))


def classification(
    logits: Float[Tensor, "B C"], labels: Int[Tensor, " B"], label_smoothing: float = 0.0
) -> Scalar:
    """Cross-entropy over classes: the quarter turns of an image, or the labels of a supervised one.

    For rotation C is 4 and a label counts quarter turns. A classifier that knows nothing pays
    log C. Smoothing gives each class label_smoothing / C of the target, the label the rest.

    Formula: `-mean over b of sum over c of target(b,c) log softmax(logits(b))_c`
    Source: rotation: Gidaris et al. 2018 (RotNet), section 3.1; VIVI, section 3 [recalled .8].
        Smoothing: Szegedy et al. 2016, section 7.
    """
    logits = _full_precision(logits)
    return cross_entropy(logits, labels.long(), label_smoothing=label_smoothing)


def _full_precision(tensor: Tensor) -> Tensor:
    """Half precision becomes single: distances of near neighbours do not survive in 8 bits."""
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def _products(rows: Float[Tensor, "... N D"]) -> Float[Tensor, "... N N"]:
    """The inner product of every row with every row."""
    return _Products.apply(rows)  # type: ignore[no-any-return, no-untyped-call]


class _Products(torch.autograd.Function):
    """`rows @ rows.mT`, in whose backward one product does the work of two: it is symmetric."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:  # noqa: ANN401
        ctx.save_for_backward(rows)
        return rows @ rows.mT

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:  # noqa: ANN401
        rows: Tensor = ctx.saved_tensors[0]
        return (gradients[0] + gradients[0].mT) @ rows


def _slots(embeddings: Embeddings, positives: PairPositives) -> Float[Tensor, "slots rows D"]:
    """One view of each identity at a time: what a slot holds of a shot, or of a frame."""
    if positives == "frame":
        return embeddings.flatten(0, 2).transpose(0, 1)
    return embeddings.flatten(0, 1).flatten(1, 2).transpose(0, 1)


LOSSES: dict[str, Callable[..., Tensor]] = {
    "triplet": triplet,
    "exemplar": exemplar,
    "multi_positive_nce": multi_positive_nce,
    "vicreg": vicreg,
    "self_distillation": self_distillation,
    "future_shot_nce": future_shot_nce,
    "future_shot_mse": future_shot_mse,
    "shot_order": shot_order,
    "classification": classification,
}
"""Every loss by its name; options have defaults, so a loss can be called with its tensors alone."""
