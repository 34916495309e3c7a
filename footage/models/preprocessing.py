"""Convert uint8 images into the normalised float input of a backbone, on its device."""

import torch
from jaxtyping import Float, UInt8
from torch import Tensor


def normalise(
    views: UInt8[Tensor, "*axes H W 3"],
    mean: tuple[float, float, float],
    std: tuple[float, float, float],
    device: torch.device | str,
) -> Float[Tensor, "B 3 H W"]:
    """Convert views to a backbone's input: flat, float32, normalised, channels last in memory.

    Views are transferred as uint8, one byte per value; the arithmetic runs on the device.

    Args:
        views: Pixels from 0 to 255 with any leading axes, which become B.
        mean: Mean of red, green and blue, in [0, 1].
        std: Standard deviation of red, green and blue, in [0, 1].
        device: Device of the result.
    """
    flat = views.to(device, non_blocking=True).flatten(0, -4)
    scale = torch.tensor([1 / (255 * each) for each in std]).to(flat.device, non_blocking=True)
    shift = torch.tensor([-m / s for m, s in zip(mean, std, strict=True)])
    shift = shift.to(flat.device, non_blocking=True)
    return torch.addcmul(shift, flat, scale).permute(0, 3, 1, 2)
