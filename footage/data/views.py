"""Make augmented views of frames and images.

    image -> decode (as small as the crops allow) -> for each view:
        crop -> scale -> flip -> one 3x4 colour matrix -> blur          uint8 in, uint8 out

The random numbers of a view are first turned into a `Draw`, which is then rendered. A draw always
uses 31 random numbers, so disabling the blur, for example, does not change any crop.

Recalled: random resized ("inception") crop, flip, HSV colour jitter and greyscale are the exemplar
augmentations of the paper's lab. The default strengths are those of BYOL (Grill et al. 2020,
appendix B) as recalled, with one blur for all views and no solarisation; that choice is ours.

Deviation: brightness, contrast, saturation and hue are fused into one matrix, in this order, and
clipped once; hue is rotated in the YIQ plane, which preserves luma, instead of in HSV. The
operations do not match those of torchvision one by one.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from footage.data.config import AugmentConfig
from footage.errors import StoreError
from footage.images.decode import Encoded
from footage.images.limits import ImageError
from footage.images.opening import open_one
from footage.images.resize import resized as resized

LUMA = np.array([0.299, 0.587, 0.114])
"""Weights of red, green and blue in luma (ITU-R BT.601)."""
_TO_YIQ = np.array([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])
_FROM_YIQ = np.linalg.inv(_TO_YIQ)

FRAME = "a stored frame"
"""Name in errors for an image without a name; the caller adds video and shot."""

_CROP_ATTEMPTS = 10
_NUM_DRAWS = 11 + 2 * _CROP_ATTEMPTS
_REFERENCE_SIZE = 224
_SMALLEST_SIGMA = 0.28
"""Smallest effective blur in pixels; the outer weights of a narrower one change no byte."""


class Draw(NamedTuple):
    """The random choices of one view; the crop is in pixels of the full frame."""

    top: int
    left: int
    height: int
    width: int
    flip: bool
    coloured: bool
    """Whether the matrix differs from the identity."""
    matrix: Float[np.ndarray, "3 3"]
    """Matrix by which colours are multiplied."""
    lift: float
    """Fraction of the view's mean luma that is then added: contrast is scaled about the mean."""
    sigma: float
    """Standard deviation of the blur in pixels of the view; 0 is no blur."""


def augment(
    image: UInt8[np.ndarray, "h w 3"], random: np.random.Generator, config: AugmentConfig
) -> UInt8[np.ndarray, "H W 3"]:
    """Make one random view of an image."""
    height, width, _ = image.shape
    return render(image, draw(height, width, random, config), config.size)


def augment_jpeg(
    jpeg: bytes, randoms: Sequence[np.random.Generator], config: AugmentConfig
) -> UInt8[np.ndarray, "A H W 3"]:
    """Make views of one frame, as `augment_encoded` does.

    Raises:
        StoreError: The bytes are not a complete image.
    """
    try:
        return augment_encoded(open_one(FRAME, jpeg), randoms, config)
    except ImageError as error:
        raise _damaged_frame(error) from error


def augment_encoded(
    encoded: Encoded, randoms: Sequence[np.random.Generator], config: AugmentConfig
) -> UInt8[np.ndarray, "A H W 3"]:
    """Make one view per generator from a single decode of an encoded image.

    If every crop has more pixels than needed, a JPEG is decoded at half its size or less, which is
    cheaper than shrinking it later.

    Raises:
        ImageError: The bytes are not a complete image; the message names it.
    """
    height, width = encoded.height, encoded.width
    draws = [draw(height, width, random, config) for random in randoms]
    spare = min(min(each.height, each.width) for each in draws) / config.size
    image = encoded.pixels(math.ceil(min(height, width) / max(spare, 1.0)))
    vertical, horizontal = image.shape[0] / height, image.shape[1] / width
    views = np.empty((len(draws), config.size, config.size, 3), dtype=np.uint8)
    for view, full in zip(views, draws, strict=True):
        view[...] = render(image, _shrunk(full, vertical, horizontal), config.size)
    return views


def draw(height: int, width: int, random: np.random.Generator, config: AugmentConfig) -> Draw:
    """Draw the random choices for a view of an image of this size."""
    numbers = random.random(_NUM_DRAWS).tolist()
    crop_height, crop_width = _crop_size(height, width, numbers[11:], config)
    matrix, lift = (
        _colour(numbers[4:8], config) if numbers[3] < config.colour_probability else _SAME
    )
    grey = numbers[8] < config.grey_probability
    if grey:
        matrix = np.tile(LUMA @ matrix, (3, 1))
    sigma = config.blur_sigma_min + numbers[10] * (config.blur_sigma_max - config.blur_sigma_min)
    return Draw(
        top=int(numbers[0] * (height - crop_height + 1)),
        left=int(numbers[1] * (width - crop_width + 1)),
        height=crop_height,
        width=crop_width,
        flip=numbers[2] < config.flip_probability,
        coloured=matrix is not _SAME[0],
        matrix=matrix,
        lift=lift,
        sigma=sigma * config.size / _REFERENCE_SIZE
        if numbers[9] < config.blur_probability
        else 0.0,
    )


def render(
    image: UInt8[np.ndarray, "h w 3"], choices: Draw, size: int
) -> UInt8[np.ndarray, "H W 3"]:
    """Render the view that a draw describes into a new, contiguous array."""
    bottom, right = choices.top + choices.height, choices.left + choices.width
    view = resized(image[choices.top : bottom, choices.left : right], size)
    if choices.flip:
        view = cv2.flip(view, 1)
    if choices.coloured:
        mean = float(LUMA @ cv2.mean(view)[:3])
        offset = np.full((3, 1), choices.lift * mean)
        view = cv2.transform(view, np.hstack([choices.matrix, offset]))
    if choices.sigma >= _SMALLEST_SIGMA:
        # Two standard deviations contain 95 % of the weight; a wider kernel would only cost time.
        side = 2 * math.ceil(2 * choices.sigma) + 1
        view = cv2.GaussianBlur(view, (side, side), choices.sigma)
    return view


def decode(jpeg: bytes, min_short_side: int) -> UInt8[np.ndarray, "h w 3"]:
    """Decode a frame into RGB pixels; any image format is accepted, JPEG is fastest.

    Args:
        jpeg: The file's bytes.
        min_short_side: A JPEG may be delivered at half its size or less as long as its short side
            has this many pixels.

    Raises:
        StoreError: The bytes are not a complete image.
    """
    try:
        return open_one(FRAME, jpeg).pixels(min_short_side)
    except ImageError as error:
        raise _damaged_frame(error) from error


def decode_resized(jpeg: bytes, size: int) -> UInt8[np.ndarray, "H W 3"]:
    """Decode a whole stored frame and resize it to a square, without augmentation, for evaluation.

    Raises:
        StoreError: The bytes are not a complete image.
    """
    return resized(decode(jpeg, size), size)


def _damaged_frame(error: ImageError) -> StoreError:
    return StoreError(
        error.message, "the store is damaged: ingest again; or fix or remove the still image"
    )


def _shrunk(full: Draw, vertical: float, horizontal: float) -> Draw:
    """Scale a draw to an image that was decoded smaller; the crop never becomes empty."""
    top, left = round(full.top * vertical), round(full.left * horizontal)
    bottom = round((full.top + full.height) * vertical)
    right = round((full.left + full.width) * horizontal)
    return full._replace(
        top=top, left=left, height=max(bottom - top, 1), width=max(right - left, 1)
    )


def _crop_size(
    height: int, width: int, numbers: list[float], config: AugmentConfig
) -> tuple[int, int]:
    """Draw a crop of random area and aspect ratio (Szegedy et al. 2015, section 6: Inception).

    The area and the logarithm of the aspect ratio are uniform. After ten crops that do not fit into
    the image, the largest one with an allowed aspect ratio is taken.
    """
    stretch = math.log(config.crop_stretch)
    for share, shape in zip(numbers[::2], numbers[1::2], strict=True):
        scale = config.crop_scale_min + share * (config.crop_scale_max - config.crop_scale_min)
        ratio = math.exp((2 * shape - 1) * stretch)
        crop_height = round(math.sqrt(scale * height * width / ratio))
        crop_width = round(math.sqrt(scale * height * width * ratio))
        if 0 < crop_height <= height and 0 < crop_width <= width:
            return crop_height, crop_width
    ratio = min(max(width / height, 1 / config.crop_stretch), config.crop_stretch)
    return max(min(height, round(width / ratio)), 1), max(min(width, round(height * ratio)), 1)


_SAME = (np.eye(3), 0.0)


def _colour(numbers: list[float], config: AugmentConfig) -> tuple[Float[np.ndarray, "3 3"], float]:
    """Combine all colour changes into one matrix and the fraction of mean luma to add.

    Saturation and hue do not change greys, so they do not affect the constant that contrast adds.
    """
    strengths = (config.brightness, config.contrast, config.saturation)
    brightness, contrast, saturation = (
        1 + (2 * number - 1) * strength
        for number, strength in zip(numbers[:3], strengths, strict=True)
    )
    # From red to yellow to green is clockwise in the plane of I and Q.
    turn = -2 * math.pi * (2 * numbers[3] - 1) * config.hue
    rotation = np.eye(3)
    rotation[1:, 1:] = [[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]]
    saturate = saturation * np.eye(3) + (1 - saturation) * LUMA
    matrix = brightness * contrast * (_FROM_YIQ @ rotation @ _TO_YIQ @ saturate)
    return matrix, (1 - contrast) * brightness
