"""A descriptor that is almost the same for near-duplicates of an image, and for nothing else.

The low spatial frequencies of the luminance. Dark borders, such as letterbox bars, are removed, and
the rest is resized to 32 x 32 pixels. The lowest 8 x 8 coefficients of its discrete cosine
transform, without the mean, are multiplied by their frequency and divided by their norm. This is
the real-valued form of the perceptual hash (Zauner 2010, "Implementation and Benchmarking of
Perceptual Image Hash Functions", section 3.2.1), which keeps only signs. The factor compensates for
the spectrum of natural images, in which the lowest frequencies dominate [ours]. Brightness,
contrast, compression and size hardly change the descriptor. `benchmarks/near_duplicates.py`
measures its threshold.
"""

from typing import Final

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from footage.images.resize import resized

SIZE: Final = 64
"""Height and width in pixels at which borders are searched for; larger images are resized."""
SQUARE: Final = 32
"""Height and width of the image that is transformed, in pixels."""
FREQUENCIES: Final = 8
"""Number of frequencies along each axis."""
DIM: Final = FREQUENCIES**2 - 1
DARK: Final = 32
"""Luminance up to which a row or column at the border is removed [ours]."""
LEAST_SIDE: Final = 8
"""Least number of rows and columns that are not dark [ours]."""
LEAST_DEVIATION: Final = 6.0
"""Images whose luminance varies by less, such as a clear sky, have no descriptor [ours]."""
THRESHOLD: Final = 0.93
"""Cosine similarity above which two images are near-duplicates; see decision 0192."""

Descriptor = Float[np.ndarray, "63"]

_FREQUENCY: Final = np.hypot(*np.mgrid[:FREQUENCIES, :FREQUENCIES]).astype(np.float32)


def describe(image: UInt8[np.ndarray, "height width 3"]) -> Descriptor:
    """Describe an RGB image by a unit vector; zeros if it is dark or almost uniform."""
    luminance = cv2.cvtColor(resized(image, SIZE), cv2.COLOR_RGB2GRAY).astype(np.float32)
    rows = np.flatnonzero(luminance.max(axis=1) > DARK)
    columns = np.flatnonzero(luminance.max(axis=0) > DARK)
    if min(len(rows), len(columns)) < LEAST_SIDE:
        return np.zeros(DIM, np.float32)
    inside = luminance[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    square = cv2.resize(inside, (SQUARE, SQUARE), interpolation=cv2.INTER_AREA)
    if float(square.std()) < LEAST_DEVIATION:
        return np.zeros(DIM, np.float32)
    transformed = cv2.dct(square)[:FREQUENCIES, :FREQUENCIES] * _FREQUENCY
    found: Descriptor = transformed.ravel()[1:]
    return found / max(float(np.linalg.norm(found)), 1e-6)
