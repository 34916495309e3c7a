"""Average the weights of a network before and after training."""

import copy
from typing import Final

from footage.models.backbone import Backbone

COEFFICIENTS: Final = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Weights of the trained network in a mixture; 0 is the network before training."""


def mixed(before: Backbone, after: Backbone, coefficient: float) -> Backbone:
    """Return the network `(1 - coefficient) * before + coefficient * after`, in evaluation mode.

    Batch norm statistics are averaged, too. Source: WiSE-FT, Wortsman et al. 2022, equation 1,
    https://arxiv.org/abs/2109.01903.

    Args:
        before: The network that training started from.
        after: The same network after training.
        coefficient: From 0 to 1.
    """
    result = copy.deepcopy(after).eval()
    start = before.network.state_dict()
    for name, value in result.network.state_dict().items():
        if value.is_floating_point():
            value.lerp_(start[name].to(value), 1 - coefficient)
    return result
