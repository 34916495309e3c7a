"""Cross-entropy over classes, and over the two orders of a video's shots."""

from jaxtyping import Bool, Float, Int

from footage.lazy import functional
from footage.objectives.losses.numerics import full_precision
from footage.shapes import Scalar, Tensor


def shot_order(logits: Float[Tensor, " V"], reversed: Bool[Tensor, " V"]) -> Scalar:
    """Shot order: predict whether the sequence of shots was shown forward or backward.

    `logits` are the log-odds of backward. An uninformative predictor scores log 2.

    Formula: `-mean over v of log sigmoid(logit(v) if reversed(v) else -logit(v))`
    Source: VIVI, section 3, video-level loss 1 [paper].
    """
    logits = full_precision(logits)
    return functional.binary_cross_entropy_with_logits(logits, reversed.to(logits.dtype))


def classification(
    logits: Float[Tensor, "B C"], labels: Int[Tensor, " B"], label_smoothing: float = 0.0
) -> Scalar:
    """Cross-entropy over classes: the rotations of a view, or the labels of an image.

    For rotations, C is 4 and a label is a number of quarter rotations. An uninformative classifier
    scores log C. Smoothing gives each class label_smoothing / C of the target, the label the rest.

    Formula: `-mean over b of sum over c of target(b,c) log softmax(logits(b))_c`
    Source: rotation: Gidaris et al. 2018 (RotNet), section 3.1; VIVI, section 3 [recalled .8].
        Smoothing: Szegedy et al. 2016, section 7.
    """
    logits = full_precision(logits)
    return functional.cross_entropy(logits, labels.long(), label_smoothing=label_smoothing)
