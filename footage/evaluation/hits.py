"""Which test images a model answered correctly, as text in a result row.

Rows of different models on the same images can then be compared image by image.
"""

import base64
import binascii

import numpy as np
from jaxtyping import Bool

Answered = Bool[np.ndarray, " N"]


def packed(hits: Answered) -> str:
    """One bit per test image in base64, in the order of the task's list."""
    return base64.b64encode(np.packbits(hits).tobytes()).decode()


def unpacked(text: str, count: int) -> Answered:
    """The opposite of `packed`, for this number of test images.

    Raises:
        ValueError: The text has another length, or is not base64.
    """
    try:
        data = np.frombuffer(base64.b64decode(text, validate=True), np.uint8)
    except binascii.Error as error:
        raise ValueError("its answers are not base64") from error
    if len(data) != -(-count // 8):
        raise ValueError(f"it has answers for {8 * len(data)} images instead of {count}")
    return np.unpackbits(data, count=count).astype(bool)
