"""Rotation prediction (RotNet): classify the rotation of each view."""

from dataclasses import dataclass
from typing import ClassVar, Final

from footage.objectives.losses.base import LossConfig, register_loss

NUM_ROTATIONS: Final = 4
"""Number of rotations: 0, 90, 180 and 270 degrees."""


@register_loss("rotation", title="rotation (cross-entropy)")
@dataclass(frozen=True, kw_only=True, slots=True)
class RotationConfig(LossConfig):
    """Predict the rotation of each view [paper].

    `levels.rotation` contains the head and the value at chance.
    """

    needs_pairs: ClassVar[bool] = False
    rotates_views: ClassVar[bool] = True
