"""How training with labels distorts an image: RandAugment and AutoAugment's policy for ImageNet.

An operation has a strength from 0 to 1 and a sign, and turns an image into another of equal size:

    kind        operations                                        at strength 1
    shape       shear_x, shear_y, translate_x, translate_y        0.3, 0.3, 45 % of the side, 45 %
                rotate                                            30 degrees
    tones       solarize, posterize                               all inverted, 4 bits kept
    blends      colour, contrast, brightness, sharpness           0.1 or 1.9 of it; 1 is unchanged
    fixed       identity, autocontrast, equalize, invert          no strength

Source: Cubuk et al. 2019, "AutoAugment" (ranges, and the policy for ImageNet); Cubuk et al. 2020,
"RandAugment". Recalled: the tables of both, and the grey of 128 outside the image.

Deviation: in RandAugment every operation grows with its strength and blends go either way, as in
torchvision; the authors' code let posterize and solarize weaken and blends run from 0.1 to 1.9.
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
"""An image, a strength from 0 to 1 and a sign, which is 1 or -1."""

OUTSIDE: Final = (128, 128, 128)
"""What is seen where a shape operation has nothing to show."""
_SHEAR: Final = 0.3
_TRANSLATION: Final = 150 / 331
"""Of the side: the papers' 150 pixels at their input size."""
_DEGREES: Final = 30.0
_BLEND: Final = 0.9
_BITS: Final = 4


def _moved(image: Picture, *fetched_from: float) -> Picture:
    """Where each pixel is fetched from: a, b, c, d, e, f of x' = ax + by + c, y' = dx + ey + f."""
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
    """Away from grey, from the mean, from black or from the blurred image, or towards it."""
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
"""Every operation by its name. `invert` is AutoAugment's alone."""

_RANDAUGMENT: Final = tuple(name for name in OPERATIONS if name != "invert")


class Stage(NamedTuple):
    """One half of a sub-policy of AutoAugment."""

    operation: str
    probability: float
    level: int = 0
    """0 to 10, from the low to the high end of the operation's range in the paper."""


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
    """Operations drawn one after the other from fourteen, all of one strength, with random signs.

    Cubuk et al. 2020, "RandAugment", figure 2. Takes two random numbers an operation.

    Args:
        image: Left as it is.
        random: Where the draws come from.
        operations: How many, with repetition.
        magnitude: Their common strength in tenths.
    """
    picture = Image.fromarray(image)
    for which, sign in random.random((operations, 2)).tolist():
        operation = OPERATIONS[_RANDAUGMENT[int(which * len(_RANDAUGMENT))]]
        picture = operation(picture, magnitude / 10, math.copysign(1, sign - 0.5))
    return np.array(picture)


def auto_augment(
    image: UInt8[np.ndarray, "h w 3"], random: np.random.Generator
) -> UInt8[np.ndarray, "h w 3"]:
    """One of the 25 sub-policies for ImageNet, each of its two stages with its own probability.

    Cubuk et al. 2019, "AutoAugment". Takes five random numbers. The image is left as it is.
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
    """Strength and sign of a level, which counts from the low end of the paper's range.

    Solarize runs from 0, all inverted, to 256, nothing; posterize from 4 bits to 8; blends from 0.1
    to 1.9, so their level decides the sign as well.
    """
    share = stage.level / 10
    if stage.operation in ("solarize", "posterize"):
        return 1 - share, sign
    if stage.operation in ("colour", "contrast", "brightness", "sharpness"):
        return abs(2 * share - 1), math.copysign(1, 2 * share - 1)
    return share, sign
