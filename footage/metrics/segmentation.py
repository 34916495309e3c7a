"""Region similarity J and boundary accuracy F of masks (Perazzi et al. 2016, section 4).

https://doi.org/10.1109/CVPR.2016.85, with the boundaries of the public evaluation of DAVIS 2017.
"""

import math
from typing import Final

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

TOLERANCE: Final = 0.008
"""Distance up to which boundaries match, as a fraction of the diagonal (DAVIS 2017)."""

Mask = Bool[np.ndarray, "h w"]
"""Pixels of one object."""


def region_similarity(found: Mask, truth: Mask, void: Mask) -> float:
    """Return J: intersection over union; 1 if both are empty.

    Args:
        found: The mask to evaluate.
        truth: The annotated mask.
        void: Pixels that do not count.
    """
    union = np.count_nonzero((found | truth) & ~void)
    return np.count_nonzero(found & truth & ~void) / union if union else 1.0


def boundary_accuracy(found: Mask, truth: Mask, void: Mask) -> float:
    """Return F: the harmonic mean of precision and recall of the boundary pixels.

    A pixel matches if the other boundary is within `TOLERANCE`. A missing boundary counts as a
    perfect precision and a recall of 0, or the reverse.

    Args:
        found: The mask to evaluate.
        truth: The annotated mask.
        void: Pixels that belong to neither mask.
    """
    ours, theirs = _boundary(found & ~void), _boundary(truth & ~void)
    disk = _disk(math.ceil(TOLERANCE * math.hypot(*found.shape)))
    precision = _matched(ours, cv2.dilate(theirs.astype(np.uint8), disk))
    recall = _matched(theirs, cv2.dilate(ours.astype(np.uint8), disk))
    total = precision + recall
    return 2 * precision * recall / total if total else 0.0


def _matched(boundary: Mask, near: UInt8[np.ndarray, "h w"] | np.ndarray) -> float:
    count = np.count_nonzero(boundary)
    return np.count_nonzero(boundary & (near > 0)) / count if count else 1.0


def _boundary(mask: Mask) -> Mask:
    """Return the pixels that differ from the next one to the right, below, or diagonally below."""
    padded = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    right, below, diagonal = padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]
    return np.asarray((mask != right) | (mask != below) | (mask != diagonal))


def _disk(radius: int) -> UInt8[np.ndarray, "k k"]:
    across = np.arange(-radius, radius + 1) ** 2
    return (across[:, None] + across <= radius * radius).astype(np.uint8)
