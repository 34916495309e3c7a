"""Augmentation policies for labelled images: RandAugment, and AutoAugment's policy for ImageNet.

An operation takes an image, a strength from 0 to 1 and a sign, and returns an image of equal size:

    kind        operations                                        at strength 1
    shape       shear_x, shear_y, translate_x, translate_y        0.3, 0.3, 45 % of the side, 45 %
                rotate                                            30 degrees
    tones       solarize, posterize                               all inverted, 4 bits kept
    blends      colour, contrast, brightness, sharpness           0.1 or 1.9 of it; 1 is unchanged
    fixed       identity, autocontrast, equalize, invert          no strength

Source: Cubuk et al. 2019, "AutoAugment" (ranges, and the policy for ImageNet); Cubuk et al. 2020,
"RandAugment". Recalled: the tables of both, and the grey of 128 outside the image.

Deviation: in RandAugment the effect of every operation grows with its strength, and blends have
random signs, as in torchvision; in the authors' code posterize and solarize weaken with strength,
and blends run from 0.1 to 1.9.
"""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageEnhance, ImageOps

Picture = Image.Image
Operation = Callable[[Picture, float, float], Picture]
"""Takes an image, a strength from 0 to 1, and a sign of 1 or -1."""

OUTSIDE: Final = (128, 128, 128)
"""Fill colour outside the image in shape operations."""
_SHEAR: Final = 0.3
_TRANSLATION: Final = 150 / 331
"""Maximum translation as a fraction of the side: the papers' 150 pixels at their input size."""
_DEGREES: Final = 30.0
_BLEND: Final = 0.9
_BITS: Final = 4


def _moved(image: Picture, *fetched_from: float) -> Picture:
    """Transform an image; output pixel (x, y) is read from (ax + by + c, dx + ey + f)."""
    affine, bilinear = Image.Transform.AFFINE, Image.Resampling.BILINEAR
    return image.transform(image.size, affine, fetched_from, bilinear, fillcolor=OUTSIDE)


def _shear_x(image: Picture, strength: float, sign: float) -> Picture:
    return _moved(image, 1.0, sign * strength * _SHEAR, 0.0, 0.0, 1.0, 0.0)


def _shear_y(image: Picture, strength: float, sign: float) -> Picture:
    return _moved(image, 1.0, 0.0, 0.0, sign * strength * _SHEAR, 1.0, 0.0)


def _translate_x(image: Picture, strength: float, sign: float) -> Picture:
    shift = sign * strength * _TRANSLATION * image.width
    return _moved(image, 1.0, 0.0, shift, 0.0, 1.0, 0.0)


def _translate_y(image: Picture, strength: float, sign: float) -> Picture:
    shift = sign * strength * _TRANSLATION * image.height
    return _moved(image, 1.0, 0.0, 0.0, 0.0, 1.0, shift)


def _rotate(image: Picture, strength: float, sign: float) -> Picture:
    angle = sign * strength * _DEGREES
    return image.rotate(angle, Image.Resampling.BILINEAR, fillcolor=OUTSIDE)


def _solarize(image: Picture, strength: float, _: float) -> Picture:
    return ImageOps.solarize(image, round(256 * (1 - strength)))


def _posterize(image: Picture, strength: float, _: float) -> Picture:
    return ImageOps.posterize(image, 8 - round((8 - _BITS) * strength))


def _blend(kind: Callable[[Picture], ImageEnhance._Enhance]) -> Operation:
    """Blend away from or towards grey, the mean, black, or the blurred image."""
    return lambda image, strength, sign: kind(image).enhance(1 + sign * strength * _BLEND)


def _fixed(change: Callable[[Picture], Picture]) -> Operation:
    return lambda image, _strength, _sign: change(image)


OPERATIONS: Final[Mapping[str, Operation]] = MappingProxyType(
    {
        "identity": _fixed(lambda image: image),
        "autocontrast": _fixed(ImageOps.autocontrast),
        "equalize": _fixed(ImageOps.equalize),
        "rotate": _rotate,
        "solarize": _solarize,
        "colour": _blend(ImageEnhance.Color),
        "posterize": _posterize,
        "contrast": _blend(ImageEnhance.Contrast),
        "brightness": _blend(ImageEnhance.Brightness),
        "sharpness": _blend(ImageEnhance.Sharpness),
        "shear_x": _shear_x,
        "shear_y": _shear_y,
        "translate_x": _translate_x,
        "translate_y": _translate_y,
        "invert": _fixed(ImageOps.invert),
    }
)
"""All operations by name; only AutoAugment uses `invert`."""

_RANDAUGMENT: Final = tuple(name for name in OPERATIONS if name != "invert")


class Stage(NamedTuple):
    """One half of a sub-policy of AutoAugment."""

    operation: str
    probability: float
    level: int = 0
    """Level from 0 to 10, from the low to the high end of the operation's range in the paper."""


AUTOAUGMENT: Final = (
    (Stage("posterize", 0.4, 8), Stage("rotate", 0.6, 9)),
    (Stage("solarize", 0.6, 5), Stage("autocontrast", 0.6)),
    (Stage("equalize", 0.8), Stage("equalize", 0.6)),
    (Stage("posterize", 0.6, 7), Stage("posterize", 0.6, 6)),
    (Stage("equalize", 0.4), Stage("solarize", 0.2, 4)),
    (Stage("equalize", 0.4), Stage("rotate", 0.8, 8)),
    (Stage("solarize", 0.6, 3), Stage("equalize", 0.6)),
    (Stage("posterize", 0.8, 5), Stage("equalize", 1.0)),
    (Stage("rotate", 0.2, 3), Stage("solarize", 0.6, 8)),
    (Stage("equalize", 0.6), Stage("posterize", 0.4, 6)),
    (Stage("rotate", 0.8, 8), Stage("colour", 0.4, 0)),
    (Stage("rotate", 0.4, 9), Stage("equalize", 0.6)),
    (Stage("equalize", 0.0), Stage("equalize", 0.8)),
    (Stage("invert", 0.6), Stage("equalize", 1.0)),
    (Stage("colour", 0.6, 4), Stage("contrast", 1.0, 8)),
    (Stage("rotate", 0.8, 8), Stage("colour", 1.0, 2)),
    (Stage("colour", 0.8, 8), Stage("solarize", 0.8, 7)),
    (Stage("sharpness", 0.4, 7), Stage("invert", 0.6)),
    (Stage("shear_x", 0.6, 5), Stage("equalize", 1.0)),
    (Stage("colour", 0.4, 0), Stage("equalize", 0.6)),
    (Stage("equalize", 0.4), Stage("solarize", 0.2, 4)),
    (Stage("solarize", 0.6, 5), Stage("autocontrast", 0.6)),
    (Stage("invert", 0.6), Stage("equalize", 1.0)),
    (Stage("colour", 0.6, 4), Stage("contrast", 1.0, 8)),
    (Stage("equalize", 0.8), Stage("equalize", 0.6)),
)
"""The 25 sub-policies for ImageNet; the paper lists some of them twice."""


def rand_augment(
    image: UInt8[np.ndarray, "h w 3"], random: np.random.Generator, operations: int, magnitude: int
) -> UInt8[np.ndarray, "h w 3"]:
    """Apply randomly drawn operations of equal strength and random sign.

    Cubuk et al. 2020, "RandAugment", figure 2. Each operation is one of fourteen and uses two
    random numbers.

    Args:
        image: The image, which is not changed.
        random: Source of the draws.
        operations: Number of operations, drawn with replacement.
        magnitude: Common strength in tenths.
    """
    picture = Image.fromarray(image)
    for which, sign in random.random((operations, 2)).tolist():
        operation = OPERATIONS[_RANDAUGMENT[int(which * len(_RANDAUGMENT))]]
        picture = operation(picture, magnitude / 10, math.copysign(1, sign - 0.5))
    return np.array(picture)


def auto_augment(
    image: UInt8[np.ndarray, "h w 3"], random: np.random.Generator
) -> UInt8[np.ndarray, "h w 3"]:
    """Apply one of the 25 sub-policies for ImageNet; its two stages have separate probabilities.

    Cubuk et al. 2019, "AutoAugment". Uses five random numbers.
    """
    which, *numbers = random.random(5).tolist()
    picture = Image.fromarray(image)
    stages = AUTOAUGMENT[int(which * len(AUTOAUGMENT))]
    for stage, applies, number in zip(stages, numbers[:2], numbers[2:], strict=True):
        if applies < stage.probability:
            strength, sign = _on_our_scale(stage, math.copysign(1, number - 0.5))
            picture = OPERATIONS[stage.operation](picture, strength, sign)
    return np.array(picture)


def _on_our_scale(stage: Stage, sign: float) -> tuple[float, float]:
    """Convert a stage's level, counted from the low end of the paper's range, to strength and sign.

    Solarize runs from 0 (all inverted) to 256 (nothing inverted), posterize from 4 bits to 8, and
    blends from 0.1 to 1.9, so the level of a blend also determines its sign.
    """
    share = stage.level / 10
    if stage.operation in ("solarize", "posterize"):
        return 1 - share, sign
    if stage.operation in ("colour", "contrast", "brightness", "sharpness"):
        return abs(2 * share - 1), math.copysign(1, 2 * share - 1)
    return share, sign
