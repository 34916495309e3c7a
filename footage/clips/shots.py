"""Shots of a world: what the camera and the objects do, and the frames that come of it.

Poses are in pixels of the backdrop. A frame is the part of the backdrop that the camera sees, each
object with its shadow laid over it, times the light of that moment.
"""

from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from footage.clips.art import Sprite
from footage.clips.world import BACKDROP_HEIGHT, BACKDROP_WIDTH, SPRITE_SIZE, World

Frame = UInt8[np.ndarray, "H W 3"]
Matrix = Float[np.ndarray, "2 3"]


class Course(NamedTuple):
    """Where a camera or an object is, from the start of a shot to its end."""

    start: Float[np.ndarray, " n"]
    end: Float[np.ndarray, " n"]

    def at(self, time: float) -> Float[np.ndarray, " n"]:
        """The pose at `time` in [0, 1], eased in and out."""
        eased = 0.7 * time + 0.3 * (3 * time**2 - 2 * time**3)
        return np.asarray(self.start + (self.end - self.start) * eased)


class Shot(NamedTuple):
    """One shot: everything that is redrawn at a cut. Poses are in pixels of the backdrop."""

    num_frames: int
    camera: Course
    """x, y, width of the view, roll in radians."""
    actors: list[tuple[int, Course]]
    """Number in the cast; x, y, size, roll and turn in radians."""
    light: Course
    """Gain of red, green and blue."""
    blur: float
    """Standard deviation of the backdrop's blur in pixels: a close-up has a shallow focus."""


# --- plan ---------------------------------------------------------------------------------------


def shot(generator: np.random.Generator, setting: World, num_frames: int, aspect: float) -> Shot:
    """A shot of a world; `aspect` is the frame's width over its height."""
    closeness = generator.random()
    view_height = 400 - 250 * closeness
    view = np.asarray([view_height * aspect, view_height * aspect])
    view *= generator.uniform(0.85, 1.15, 2)
    low = np.asarray([view.max() / 2 + 10, view_height / 2 + 20])
    high = np.asarray([BACKDROP_WIDTH - low[0], BACKDROP_HEIGHT - low[1]])
    centre = generator.uniform(low, np.maximum(high, low + 1))
    drift = generator.uniform(-0.22, 0.22, 2) * view_height * [1.6, 0.4]
    roll = generator.normal(0, 0.05, 2)
    camera = Course(
        np.asarray([*(centre - drift), view[0], roll[0]]),
        np.asarray([*(centre + drift), view[1], roll[1]]),
    )
    count = int(generator.integers(1, min(3, len(setting.cast)) + 1))
    chosen = generator.choice(len(setting.cast), count, replace=False)
    actors = [
        (int(number), _motion(generator, centre, view_height, aspect, place, count))
        for place, number in enumerate(chosen)
    ]
    gain = generator.uniform(0.75, 1.2) * generator.uniform(0.88, 1.12, 3)
    light = Course(gain, gain * generator.uniform(0.75, 1.25))
    return Shot(num_frames, camera, actors, light, blur=max(0.0, 3.5 * (closeness - 0.5)))


def _motion(
    generator: np.random.Generator,
    centre: Float[np.ndarray, "2"],
    view_height: float,
    aspect: float,
    place: int,
    count: int,
) -> Course:
    """How one object crosses a shot: a line, a change of size, a roll and a turn."""
    across = ((place + 0.5) / count - 0.5) * view_height * aspect * 0.8
    middle = centre + np.asarray([across, generator.uniform(0.0, 0.2) * view_height])
    travel = generator.uniform(-0.3, 0.3, 2) * view_height * [1.0, 0.35]
    size = view_height * generator.uniform(0.4, 0.85) / count**0.3
    growth = generator.uniform(0.75, 1.3)
    roll = generator.normal(0, 0.2) + generator.normal(0, 0.25, 2)
    turn = generator.uniform(-1.0, 1.0, 2) + (np.pi if generator.random() < 0.5 else 0.0)
    return Course(
        np.asarray([*(middle - travel), size, roll[0], turn[0]]),
        np.asarray([*(middle + travel), size * growth, roll[1], turn[1]]),
    )


# --- draw ---------------------------------------------------------------------------------------


def _camera_matrix(pose: Float[np.ndarray, "4"], width: int, height: int) -> Matrix:
    """Backdrop pixels to frame pixels."""
    x, y, view, roll = pose
    scale = width / view
    cosine, sine = np.cos(roll) * scale, np.sin(roll) * scale
    turned = np.asarray([[cosine, -sine], [sine, cosine]])
    shift = np.asarray([width / 2, height / 2]) - turned @ [x, y]
    return np.column_stack([turned, shift])


def actor_matrix(pose: Float[np.ndarray, "5"], side: int) -> Matrix:
    """Sprite pixels to backdrop pixels."""
    x, y, size, roll, turn = pose
    squeeze = np.cos(turn)
    squeeze = np.sign(squeeze) * max(abs(squeeze), 0.35)
    cosine, sine = np.cos(roll) * size / side, np.sin(roll) * size / side
    turned = np.asarray([[cosine * squeeze, -sine], [sine * squeeze, cosine]])
    shift = np.asarray([x, y]) - turned @ [side / 2, side / 2]
    return np.column_stack([turned, shift])


def _chained(outer: Matrix, inner: Matrix) -> Matrix:
    """First `inner`, then `outer`."""
    turned = outer[:, :2] @ inner
    turned[:, 2] += outer[:, 2]
    return np.asarray(turned, np.float64)


def lay_over(frame: Frame, picture: Sprite, matrix: Matrix) -> None:
    """Draw a sprite into the frame where the matrix puts it."""
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
    """A soft dark disc."""
    y, x = np.mgrid[-1 : 1 : SPRITE_SIZE * 1j, -1 : 1 : SPRITE_SIZE * 1j]
    opacity = np.clip(1 - np.hypot(x, y), 0, 1) ** 0.8 * 150
    return np.dstack([np.zeros((SPRITE_SIZE, SPRITE_SIZE, 3)), opacity]).astype(np.uint8)


def frames(setting: World, plan: Shot, width: int, height: int) -> Iterator[Frame]:
    """The frames of one shot, in order."""
    backdrop = setting.backdrop
    if plan.blur > 0:
        backdrop = cv2.GaussianBlur(backdrop, (0, 0), plan.blur)
    shadow = _shadow()
    for number in range(plan.num_frames):
        time = number / max(plan.num_frames - 1, 1)
        camera = _camera_matrix(plan.camera.at(time), width, height)
        frame = cv2.warpAffine(
            backdrop, camera, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
        )
        for actor, path in plan.actors:
            pose = path.at(time)
            x, y, size = pose[:3]
            ground = np.asarray([[size / 180, 0, x - size / 2.25], [0, size / 700, y + size * 0.3]])
            lay_over(frame, shadow, _chained(camera, ground))
            matrix = _chained(camera, actor_matrix(pose, SPRITE_SIZE))
            lay_over(frame, setting.cast[actor].picture, matrix)
        yield np.clip(frame * plan.light.at(time), 0, 255).astype(np.uint8)
