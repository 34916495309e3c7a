"""Rotation prediction (RotNet): name the quarter turn of each view."""

from dataclasses import dataclass
from typing import ClassVar, Final

from footage.objectives.losses.base import LossConfig, register_loss

NUM_ROTATIONS: Final = 4
"""A view is upright, or rotated by one, two or three quarter turns."""


@register_loss("rotation", title="rotation (cross-entropy)")
@dataclass(frozen=True, kw_only=True, slots=True)
class RotationConfig(LossConfig):
    """Predict the rotation of each view [paper].

    The head and the value at chance are those of `levels.rotation`.
    """

    needs_pairs: ClassVar[bool] = False
    rotates_views: ClassVar[bool] = True
