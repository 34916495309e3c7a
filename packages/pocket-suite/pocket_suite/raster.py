"""A small triangle rasteriser in numpy, with exact depth and without a graphics library.

Every pixel of every triangle's bounding box is a fragment; all fragments are tested at once and
the nearest one wins its pixel:

    triangles -> bounding boxes -> fragments -> inside? -> nearest per pixel

Depths are compared as 1 / depth, which is linear in the image.
"""

from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

_MOST_FRAGMENTS: Final = 1 << 20
"""Maximum number of fragments in memory at a time."""


class Raster(NamedTuple):
    """The visible triangle of each pixel."""

    triangle: Int[np.ndarray, "side side"]
    """Index of the triangle; -1 for none."""
    weights: Float[np.ndarray, "side side 3"]
    """Barycentric weights of the triangle's corners in the image; 0 for none."""
    inverse_depth: Float[np.ndarray, "side side"]
    """Inverse depth of the triangle; 0 for none."""

    @property
    def covered(self) -> Bool[np.ndarray, "side side"]:
        """Whether each pixel shows a triangle."""
        return np.asarray(self.triangle >= 0)


def rasterise(corners: Float[np.ndarray, "T 3 3"], side: int) -> Raster:
    """Return the nearest triangle of each pixel of a square image.

    Args:
        corners: x and y in pixels, y downwards, and 1 / depth, which must be above 0.
        side: Height and width of the image, in pixels.
    """
    low, high = _boxes(corners, side)
    extent = np.maximum(high - low, 0)
    planes = _planes(corners)
    num_fragments = np.where(np.isfinite(planes).all(axis=(1, 2)), extent[:, 0] * extent[:, 1], 0)
    nearest = np.zeros(side * side)
    triangle = np.full(side * side, -1)
    for batch in _batches(num_fragments):
        pixel, owner = _candidates(batch, num_fragments[batch], low[batch], extent[batch], side)
        second, third = _weights(planes[owner], pixel, side)
        inside = np.flatnonzero((second >= 0) & (third >= 0) & (second + third <= 1))
        pixel, owner = pixel[inside], owner[inside]
        at_first, at_second, at_third = corners[owner, :, 2].T
        depth = at_first + (at_second - at_first) * second[inside]
        depth += (at_third - at_first) * third[inside]
        np.maximum.at(nearest, pixel, depth)
        wins = depth >= nearest[pixel]
        triangle[pixel[wins]] = owner[wins]
    shown = np.flatnonzero(triangle >= 0)
    second, third = _weights(planes[triangle[shown]], shown, side)
    weights = np.zeros((side * side, 3))
    weights[shown] = np.stack([1 - second - third, second, third], axis=1)
    return Raster(
        triangle.reshape(side, side), weights.reshape(side, side, 3), nearest.reshape(side, side)
    )


def _boxes(
    corners: Float[np.ndarray, "T 3 3"], side: int
) -> tuple[Int[np.ndarray, "T 2"], Int[np.ndarray, "T 2"]]:
    """Return the first pixel whose centre may be in the triangle, and the end of the range."""
    low = np.ceil(corners[:, :, :2].min(axis=1) - 0.5)
    high = np.floor(corners[:, :, :2].max(axis=1) - 0.5) + 1
    return np.clip(low, 0, side).astype(np.int64), np.clip(high, 0, side).astype(np.int64)


def _planes(corners: Float[np.ndarray, "T 3 3"]) -> Float[np.ndarray, "T 2 3"]:
    """Return coefficients of the weights of the second and third corner, for x, y and 1.

    They are not finite if a triangle has no area.
    """
    (x0, x1, x2), (y0, y1, y2) = corners[:, :, 0].T, corners[:, :, 1].T
    area = (x1 - x0) * (y2 - y0) - (y1 - y0) * (x2 - x0)
    second = np.stack([y2 - y0, x0 - x2, x2 * y0 - y2 * x0], axis=1)
    third = np.stack([y0 - y1, x1 - x0, x0 * y1 - y0 * x1], axis=1)
    area = np.where(np.abs(area) > 1e-9, area, np.nan)
    return np.asarray(np.stack([second, third], axis=1) / area[:, None, None])


def _batches(num_fragments: Int[np.ndarray, " T"]) -> list[Int[np.ndarray, " n"]]:
    """Group triangles that have pixels into batches that fit into memory."""
    present = np.flatnonzero(num_fragments)
    room = np.cumsum(num_fragments[present]) // _MOST_FRAGMENTS
    return np.split(present, np.flatnonzero(np.diff(room)) + 1) if len(present) else []


def _candidates(
    batch: Int[np.ndarray, " n"],
    counts: Int[np.ndarray, " n"],
    low: Int[np.ndarray, "n 2"],
    extent: Int[np.ndarray, "n 2"],
    side: int,
) -> tuple[Int[np.ndarray, " k"], Int[np.ndarray, " k"]]:
    """Return pixel and triangle of every fragment of the triangles' bounding boxes."""
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    rows, columns = np.divmod(within, np.repeat(extent[:, 0], counts))
    start = np.repeat(low[:, 1] * side + low[:, 0], counts)
    return start + rows * side + columns, np.repeat(batch, counts)


def _weights(
    planes: Float[np.ndarray, "k 2 3"], pixel: Int[np.ndarray, " k"], side: int
) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, " k"]]:
    """Return the weights of the second and third corner at the centres of pixels."""
    rows, columns = np.divmod(pixel, side)
    x, y = columns + 0.5, rows + 0.5
    second, third = (
        planes[:, corner, 0] * x + planes[:, corner, 1] * y + planes[:, corner, 2]
        for corner in range(2)
    )
    return second, third
