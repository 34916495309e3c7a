"""A backbone that takes pixels: the resize of `footage.images.resize` in operations of torch.

Programs that contain it need no image library with the same filters. The result of the resize is
that of OpenCV, except for rounding: a value differs by at most 1 of 255.
"""

from typing import Final

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from footage.models.load import Model
from footage.models.preprocessing import normalise
from footage.shapes import Features

CUBIC: Final = -0.75
"""Parameter of the bicubic filter, as in OpenCV and torch."""


class PixelInput(nn.Module):
    """Resize uint8 pixels of any size to the model's square, normalise, and compute features."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.backbone = model.backbone
        self.preprocessing = model.preprocessing

    def forward(self, pixels: UInt8[Tensor, "B h w 3"]) -> Features:
        """Compute pooled features, before any head."""
        size, mean, std = self.preprocessing.size, self.preprocessing.mean, self.preprocessing.std
        squares = resized(pixels, size)
        features: Tensor = self.backbone(normalise(squares, mean, std, pixels.device))
        return features


def resized(pixels: UInt8[Tensor, "B h w 3"], size: int) -> UInt8[Tensor, "B H W 3"]:
    """Resize pictures to squares, stretching them if necessary.

    Shrinking averages areas, which avoids aliasing; enlarging is bicubic.
    """
    rows, columns = _weights(pixels[0, :, 0, 0], size), _weights(pixels[0, 0, :, 0], size)
    values = torch.einsum("Hh,bhwc->bHwc", rows, pixels.float())
    values = torch.einsum("Ww,bHwc->bHWc", columns, values)
    return values.round().clamp(0, 255).to(torch.uint8)


def _weights(line: UInt8[Tensor, " n"], size: int) -> Float[Tensor, "size n"]:
    """Return the weight of each pixel of a line in each of `size` pixels.

    Lengths are tensors, so that a traced program accepts lines of any length.
    """
    places = torch.ones_like(line, dtype=torch.float32).cumsum(0) - 1
    length = places[-1] + 1
    targets = torch.arange(size, dtype=torch.float32, device=line.device)[:, None]
    return torch.where(
        length >= size,
        _area_weights(places, targets, length / size),
        _cubic_weights(places, targets, length / size),
    )


def _area_weights(
    places: Float[Tensor, " n"], targets: Float[Tensor, "size 1"], scale: Float[Tensor, ""]
) -> Float[Tensor, "size n"]:
    """Return the fraction of the area of each target that each pixel covers."""
    end = torch.minimum((targets + 1) * scale, places + 1)
    start = torch.maximum(targets * scale, places)
    return (end - start).clamp(min=0) / scale


def _cubic_weights(
    places: Float[Tensor, " n"], targets: Float[Tensor, "size 1"], scale: Float[Tensor, ""]
) -> Float[Tensor, "size n"]:
    """Return the weights of bicubic interpolation; pixels at the border are repeated.

    Source: Keys, "Cubic convolution interpolation for digital image processing", 1981.
    """
    centre = (targets + 0.5) * scale - 0.5
    first = centre.floor() - 1
    weights = torch.zeros_like(targets * places)
    for offset in range(4):
        distance = (centre - first - offset).abs()
        near = ((CUBIC + 2) * distance - (CUBIC + 3)) * distance**2 + 1
        far = CUBIC * (((distance - 5) * distance + 8) * distance - 4)
        pixel = torch.minimum((first + offset).clamp(min=0), places[-1])
        weights += torch.where(distance <= 1, near, far) * (pixel == places)
    return weights
