"""Resize whole pictures to squares: the two methods of evaluation and embedding."""

import cv2
import numpy as np
from jaxtyping import UInt8


def resized(image: UInt8[np.ndarray, "h w 3"], size: int) -> UInt8[np.ndarray, "H W 3"]:
    """The whole image as a square, stretched if it was not one; a new, contiguous array.

    Shrinking averages areas, so it does not alias; enlarging is cubic.
    """
    height, width = min(image.shape[0], size), min(image.shape[1], size)
    scaled = image
    if (height, width) != image.shape[:2]:
        scaled = cv2.resize(scaled, (width, height), interpolation=cv2.INTER_AREA)
    if (height, width) != (size, size):
        scaled = cv2.resize(scaled, (size, size), interpolation=cv2.INTER_CUBIC)
    return np.array(image, order="C") if scaled is image else scaled


def stretched(image: UInt8[np.ndarray, "h w 3"], size: int) -> UInt8[np.ndarray, "H W 3"]:
    """The whole image as a square, bilinear with half-pixel centres and without smoothing."""
    square = cv2.resize(image, (size, size), interpolation=cv2.INTER_LINEAR)
    return np.asarray(square, dtype=np.uint8)
