"""Shots of a world: the movements of the camera and the objects, and their rendered frames.

Poses are in pixels of the backdrop. A frame is the part of the backdrop that the camera sees,
overlaid with each object and its shadow, and multiplied by the light at that time.
"""

from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from footage.synthetic.art import Sprite
from footage.synthetic.world import SPRITE_SIZE, World

Frame = UInt8[np.ndarray, "H W 3"]
Matrix = Float[np.ndarray, "2 3"]


class Course(NamedTuple):
    """Path of a camera or an object, from the start of a shot to its end."""

    start: Float[np.ndarray, " n"]
    end: Float[np.ndarray, " n"]

    def at(self, time: float) -> Float[np.ndarray, " n"]:
        """Return the pose at `time` in [0, 1], eased in and out."""
        eased = 0.7 * time + 0.3 * (3 * time**2 - 2 * time**3)
        return np.asarray(self.start + (self.end - self.start) * eased)


class Shot(NamedTuple):
    """One shot: everything that changes at a cut. Poses are in pixels of the backdrop."""

    num_frames: int
    camera: Course
    """x, y, width of the view, and roll in radians."""
    actors: list[tuple[int, Course]]
    """Index in the cast; x, y, size, and roll and yaw in radians."""
    light: Course
    """Gains of red, green and blue."""


# --- draw ---------------------------------------------------------------------------------------


def camera_matrix(pose: Float[np.ndarray, "4"], width: int, height: int) -> Matrix:
    """Make the matrix from backdrop pixels to frame pixels."""
    x, y, view, roll = pose
    scale = width / view
    cosine, sine = np.cos(roll) * scale, np.sin(roll) * scale
    turned = np.asarray([[cosine, -sine], [sine, cosine]])
    shift = np.asarray([width / 2, height / 2]) - turned @ [x, y]
    return np.column_stack([turned, shift])


def actor_matrix(pose: Float[np.ndarray, "5"], side: int) -> Matrix:
    """Make the matrix from sprite pixels to backdrop pixels."""
    x, y, size, roll, turn = pose
    squeeze = np.cos(turn)
    squeeze = np.sign(squeeze) * max(abs(squeeze), 0.35)
    cosine, sine = np.cos(roll) * size / side, np.sin(roll) * size / side
    turned = np.asarray([[cosine * squeeze, -sine], [sine * squeeze, cosine]])
    shift = np.asarray([x, y]) - turned @ [side / 2, side / 2]
    return np.column_stack([turned, shift])


def chained(outer: Matrix, inner: Matrix) -> Matrix:
    """Compose two matrices: first `inner`, then `outer`."""
    turned = outer[:, :2] @ inner
    turned[:, 2] += outer[:, 2]
    return np.asarray(turned, np.float64)


def lay_over(frame: Frame, picture: Sprite, matrix: Matrix) -> None:
    """Draw a sprite into the frame at the position given by the matrix."""
    side = picture.shape[0]
    corners = np.asarray([[0, 0, 1], [side, 0, 1], [side, side, 1], [0, side, 1]]) @ matrix.T
    left, top = np.maximum(np.floor(corners.min(axis=0)).astype(int), 0)
    right, bottom = np.ceil(corners.max(axis=0)).astype(int)
    right, bottom = min(int(right), frame.shape[1]), min(int(bottom), frame.shape[0])
    if right - left < 2 or bottom - top < 2:
        return
    moved = matrix - np.asarray([[0, 0, left], [0, 0, top]])
    drawn = cv2.warpAffine(picture, moved, (right - left, bottom - top), flags=cv2.INTER_LINEAR)
    behind = frame[top:bottom, left:right]
    see_through = 255 - drawn[..., 3:].astype(np.uint16)
    behind[:] = np.minimum((behind * see_through + 127) // 255 + drawn[..., :3], 255)


def _shadow() -> Sprite:
    """Make the sprite of a shadow: a soft dark disc."""
    y, x = np.mgrid[-1 : 1 : SPRITE_SIZE * 1j, -1 : 1 : SPRITE_SIZE * 1j]
    opacity = np.clip(1 - np.hypot(x, y), 0, 1) ** 0.8 * 150
    return np.dstack([np.zeros((SPRITE_SIZE, SPRITE_SIZE, 3)), opacity]).astype(np.uint8)


SHADOW = _shadow()


def shadow_matrix(pose: Float[np.ndarray, "5"]) -> Matrix:
    """Make the matrix from shadow pixels to backdrop pixels, on the ground below an object."""
    x, y, size = pose[:3]
    return np.asarray([[size / 180, 0, x - size / 2.25], [0, size / 700, y + size * 0.3]])


def frames(setting: World, plan: Shot, width: int, height: int) -> Iterator[Frame]:
    """Render the frames of one shot, in order."""
    for number in range(plan.num_frames):
        time = number / max(plan.num_frames - 1, 1)
        camera = camera_matrix(plan.camera.at(time), width, height)
        frame = cv2.warpAffine(
            setting.backdrop, camera, (width, height),
            flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT,
        )  # fmt: skip
        for actor, path in plan.actors:
            pose = path.at(time)
            lay_over(frame, SHADOW, chained(camera, shadow_matrix(pose)))
            matrix = chained(camera, actor_matrix(pose, SPRITE_SIZE))
            lay_over(frame, setting.cast[actor].picture, matrix)
        yield np.clip(frame * plan.light.at(time), 0, 255).astype(np.uint8)
