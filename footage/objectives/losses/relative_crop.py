"""The crop of one view relative to that of another: coordinates and a regression loss.

frame   +-----------------+        first   +---------+
        |  +------+       |                |         |        centre of the second view,
        |  |first +--+    |    ----->      |     +---+---     its width and height, and
        |  |   |  |  |    |                |     |   |        whether it is mirrored
        |  +---+--+  |    |                +-----+---+
        +------+-----+----+
"""

from jaxtyping import Float

from footage.lazy import functional, torch
from footage.objectives.losses.numerics import full_precision
from footage.shapes import Scalar, Tensor

EPSILON = 1e-5
"""Added to mean squares."""


def relative_crops(
    first: Float[Tensor, "*shape 5"], second: Float[Tensor, "*shape 5"]
) -> Float[Tensor, "*shape 5"]:
    """Return the crops of the second views in the coordinates of the first ones.

    A crop is left, top, width and height as fractions of the frame; then 1 if flipped, else 0. The
    result contains:

    - the offset of the second centre from the first, right and down, in widths and heights of the
      first view;
    - the natural logarithms of the ratios of the widths and of the heights, second to first;
    - 1 if exactly one of the two views is flipped, else 0.

    Directions are those of the visible image: if the first view is flipped, its right is the left
    of the frame. In coordinates from -1/2 to 1/2 around the centre of a view, the point `v` of the
    second view is the point `offset + exp(log ratio) * v` of the first; the horizontal coordinate
    of `v` is negated if exactly one of the two is flipped.
    """
    size = first[..., 2:4]
    offset = (_centre(second) - _centre(first)) / size
    flipped = first[..., 4:]
    mirrored = torch.cat([offset[..., :1] * (1 - 2 * flipped), offset[..., 1:]], dim=-1)
    ratio = (second[..., 2:4] / size).log()
    return torch.cat([mirrored, ratio, (flipped - second[..., 4:]).abs()], dim=-1)


def relative_crop(predictions: Float[Tensor, "N 5"], relations: Float[Tensor, "N 5"]) -> Scalar:
    """Relative crop: predict the crop and flip of one view of a shot relative to another view.

    `relations` are the results of `relative_crops`. Their first four numbers, the offset and the
    log ratios, are scaled to a mean square of 1 over all pairs. Offset, ratios and flip therefore
    have similar weights for all crop settings and frame shapes. The last prediction is the log-odds
    of a flip. `h` is the smooth L1 loss: `h(x)` is `x^2 / 2` below 1 and `|x| - 1/2` above.

    Formula: `mean over pairs n of (h(n,1) + h(n,2)) / 2 + (h(n,3) + h(n,4)) / 2 - log
        sigmoid(prediction(n)_5 if flip(n) else -prediction(n)_5)` with `h(n,i) =
        h(|prediction(n) - z(relation)(n)|_i)` and `z(x) = x / sqrt(mean of x^2 over pairs +
        0.00001)`
    Source: the idea: AugSelf, Lee et al. 2021, section 3.2 [recalled]. Not part of VIVI [ours].
        Deviation: there, differences of absolute crops are predicted from pooled features; here,
        the second crop is predicted in the coordinates of the first, from feature maps.
    """
    predicted, wanted = full_precision(predictions), full_precision(relations.detach())
    crops = wanted[:, :4] / (wanted[:, :4].square().mean(dim=0) + EPSILON).sqrt()
    # The mean over four numbers, doubled, is the mean of the offset plus that of the ratio.
    geometry = 2 * functional.smooth_l1_loss(predicted[:, :4], crops)
    flip = functional.binary_cross_entropy_with_logits(predicted[:, 4], wanted[:, 4])
    return geometry + flip


def _centre(crops: Float[Tensor, "*shape 5"]) -> Float[Tensor, "*shape 2"]:
    return crops[..., :2] + crops[..., 2:4] / 2
