"""Resize whole pictures to squares, by the two methods of evaluation and embedding."""

import cv2
import numpy as np
from jaxtyping import UInt8


def resized(image: UInt8[np.ndarray, "h w 3"], size: int) -> UInt8[np.ndarray, "H W 3"]:
    """Resize an image to a square, stretching it if necessary; returns a new, contiguous array.

    Shrinking averages areas, which avoids aliasing; enlarging is bicubic.
    """
    height, width = min(image.shape[0], size), min(image.shape[1], size)
    scaled = image
    if (height, width) != image.shape[:2]:
        scaled = cv2.resize(scaled, (width, height), interpolation=cv2.INTER_AREA)
    if (height, width) != (size, size):
        scaled = cv2.resize(scaled, (size, size), interpolation=cv2.INTER_CUBIC)
    return np.array(image, order="C") if scaled is image else scaled


def stretched(image: UInt8[np.ndarray, "h w 3"], size: int) -> UInt8[np.ndarray, "H W 3"]:
    """Resize an image to a square, bilinearly with half-pixel centres and without antialiasing."""
    square = cv2.resize(image, (size, size), interpolation=cv2.INTER_LINEAR)
    return np.asarray(square, dtype=np.uint8)
