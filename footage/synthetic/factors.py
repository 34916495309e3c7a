"""Rendered shots in which one factor changes at a time, and the same scenes with other objects.

A scene is an object in front of a backdrop, with a camera and a lamp. Each factor of `FACTORS`
changes the anchor frame while everything else stays the same; `identity` puts other objects into
the same place, pose and light. Every pixel is a function of the seed and the number of the scene,
so no video is needed or written.

Ours: the objects, the range of each factor (`RANGES`) and its four steps.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from footage.data.views import LUMA
from footage.seeding import generator
from footage.synthetic.solids import Lamp, Pixels, Pose, Solid, picture, solid
from footage.synthetic.world import place

STEPS: Final = (-1.0, -0.5, 0.5, 1.0)
"""Positions of a factor's frames, as fractions of its range; 0 is the anchor."""

RANGES: Final = {
    "colour": "the hue of the whole frame shifts by up to a quarter of the colour circle",
    "contrast": "the contrast about the mean brightness changes by factors of 0.5 to 2",
    "lighting": "the lamp orbits the object by up to 120 degrees",
    "orientation": "the object rotates about the vertical axis by up to 90 degrees",
    "distance": "the camera moves away or closer, by a factor of 1.4",
    "background": "four other backdrops",
    "identity": "four other objects",
}
"""Description of each factor's range, for tables and documents."""


class Scene(NamedTuple):
    """Everything that a frame depends on."""

    thing: Solid
    backdrop: Pixels
    pose: Pose
    lamp: Lamp
    hue: float
    """Rotation of the colour circle, in full rotations."""
    contrast: float
    """Factor by which distances from the mean brightness are multiplied."""


class SceneKey(NamedTuple):
    """The key of a scene, and the size of its frames."""

    seed: int
    number: int
    size: int
    """Height and width in pixels."""


Shots = dict[str, UInt8[np.ndarray, "T H W 3"]]
"""The frames at `STEPS`, by factor."""


class ControlledScene(NamedTuple):
    """An anchor frame and its variants in which one factor changes."""

    anchor: Pixels
    shots: Shots
    """The frames by the names in `RANGES`."""


# --- scenes -------------------------------------------------------------------------------------


def scene(key: SceneKey) -> Scene:
    """Make the anchor of a scene: object, backdrop, pose and lamp are random."""
    random = generator("controlled pose", key.seed, key.number)
    pose = Pose(
        yaw=float(random.uniform(-np.pi, np.pi)),
        elevation=float(random.uniform(0.2, 0.45)),
        distance=float(random.uniform(3.4, 4.2)),
    )
    lamp = Lamp(
        azimuth=float(np.pi + random.uniform(-1.2, 1.2)),
        elevation=float(random.uniform(0.6, 1.0)),
    )
    return Scene(thing(key, 0), backdrop(key, 0), pose, lamp, hue=0.0, contrast=1.0)


def thing(key: SceneKey, which: int) -> Solid:
    """Make the scene's object (0) or another one that may replace it."""
    return solid(generator("controlled object", key.seed, key.number, which))


def backdrop(key: SceneKey, which: int) -> Pixels:
    """Make the scene's backdrop (0) or another one: a square crop of a rendered world."""
    random = generator("controlled backdrop", key.seed, key.number, which)
    painting = place(random).backdrop
    side = painting.shape[0]
    left = int(random.integers(painting.shape[1] - side))
    square = painting[:, left : left + side]
    return np.asarray(cv2.resize(square, (key.size, key.size), interpolation=cv2.INTER_AREA))


# --- factors ---------------------------------------------------------------------------------


def _colour(start: Scene, step: int, key: SceneKey) -> Scene:  # noqa: ARG001
    return start._replace(hue=0.25 * STEPS[step])


def _contrast(start: Scene, step: int, key: SceneKey) -> Scene:  # noqa: ARG001
    return start._replace(contrast=2.0 ** STEPS[step])


def _lighting(start: Scene, step: int, key: SceneKey) -> Scene:  # noqa: ARG001
    turned = start.lamp.azimuth + np.radians(120) * STEPS[step]
    return start._replace(lamp=start.lamp._replace(azimuth=float(turned)))


def _orientation(start: Scene, step: int, key: SceneKey) -> Scene:  # noqa: ARG001
    turned = start.pose.yaw + np.radians(90) * STEPS[step]
    return start._replace(pose=start.pose._replace(yaw=float(turned)))


def _distance(start: Scene, step: int, key: SceneKey) -> Scene:  # noqa: ARG001
    moved = start.pose.distance * 1.4 ** STEPS[step]
    return start._replace(pose=start.pose._replace(distance=moved))


def _background(start: Scene, step: int, key: SceneKey) -> Scene:
    return start._replace(backdrop=backdrop(key, step + 1))


def _identity(start: Scene, step: int, key: SceneKey) -> Scene:
    return start._replace(thing=thing(key, step + 1))


IDENTITY: Final = "identity"
"""The factor that a representation should be sensitive to, as a reference."""

MOVES: Final[dict[str, Callable[[Scene, int, SceneKey], Scene]]] = {
    "colour": _colour,
    "contrast": _contrast,
    "lighting": _lighting,
    "orientation": _orientation,
    "distance": _distance,
    "background": _background,
    IDENTITY: _identity,
}
"""Functions from an anchor scene and a step to the changed scene, by the names in `RANGES`."""

FACTORS: Final = tuple(name for name in MOVES if name != IDENTITY)
"""The factors that a representation may be invariant to."""


def controlled(key: SceneKey) -> ControlledScene:
    """Render the anchor frame of a scene and its frames for every factor."""
    start = scene(key)
    shots = {
        name: np.stack([rendered(move(start, step, key)) for step in range(len(STEPS))])
        for name, move in MOVES.items()
    }
    return ControlledScene(rendered(start), shots)


def rendered(moment: Scene) -> Pixels:
    """Render the frame of a scene."""
    drawn = picture(moment.thing, moment.pose, moment.lamp, moment.backdrop)
    return _contrasted(_hue_turned(drawn, moment.hue), moment.contrast)


def _hue_turned(frame: Pixels, turns: float) -> Pixels:
    if turns == 0:
        return frame
    hsv = cv2.cvtColor(frame.astype(np.float32) / 255, cv2.COLOR_RGB2HSV)
    hsv[..., 0] = (hsv[..., 0] + 360 * turns) % 360
    turned: Float[np.ndarray, "H W 3"] = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
    return np.asarray(np.round(np.clip(turned, 0, 1) * 255), np.uint8)


def _contrasted(frame: Pixels, factor: float) -> Pixels:
    if factor == 1:
        return frame
    mean = float((frame @ LUMA).mean())
    return np.asarray(np.round(np.clip(mean + (frame - mean) * factor, 0, 255)), np.uint8)
