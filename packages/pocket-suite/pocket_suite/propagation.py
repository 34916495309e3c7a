"""propagation: clips of moving objects with masks, in the layout of DAVIS 2017.

    propagation/JPEGImages/480p/clip-00/00000.png     frames of 160 x 120 pixels
    propagation/Annotations/480p/clip-00/00000.png    palette PNG: 0 background, then the objects

One to three objects cross the ground in lanes while they turn, so that near ones cover far ones.
They keep the paint that they have in the task `instance`. The photograph behind them moves as if
the camera panned, and the light moves and changes its strength. The folder of the resolution has
its usual name, which is not that of the size.
"""

import hashlib
import io
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from footage.seeding import generator
from pocket_suite import photos
from pocket_suite.drawing import Pixels, png, to_pixels
from pocket_suite.meshes import load
from pocket_suite.objects import FOCAL, standing
from pocket_suite.raster import rasterise
from pocket_suite.shading import Camera, Light, Triangles, render
from pocket_suite.views import OBJECTS, paint

FRAMES: Final = Path("JPEGImages") / "480p"
MASKS: Final = Path("Annotations") / "480p"

WIDTH, HEIGHT = 160, 120
LENGTHS: Final = (24, 33)
"""Number of frames: the smallest, and the end of the range."""
MOST_OBJECTS: Final = 3
LEAST_VISIBLE: Final = 80
"""Pixels of each object in the first frame."""
LANES: Final = 1.5
"""Distance between the lanes of two objects, in units of the world; an object is about one wide."""
COLOURS: Final = (0, 0, 0, 220, 60, 50, 60, 170, 80, 70, 110, 230)
"""Palette of the masks: red, green and blue of each index."""

Mask = UInt8[np.ndarray, "H W"]


class Clip(NamedTuple):
    """What stays the same in a clip, and what changes from its start to its end."""

    names: tuple[str, ...]
    sizes: Float[np.ndarray, " objects"]
    places: Float[np.ndarray, "2 objects 2"]
    """Positions on the ground in the first and the last frame."""
    angles: Float[np.ndarray, "2 objects"]
    """Rotations in radians."""
    camera: Camera
    lights: Float[np.ndarray, "2 4"]
    """Direction towards the light, and its strength."""
    gains: Float[np.ndarray, "2 3"]
    """Exposure of red, green and blue."""
    wall: str
    window: photos.Window
    pan: Float[np.ndarray, "2 2"]
    """Position of the window in the photograph, as fractions of the free space."""
    length: int

    def at(self, bounds: Float[np.ndarray, "2 ..."], number: int) -> Float[np.ndarray, "..."]:
        """Return a property in a frame, which changes evenly."""
        share = number / (self.length - 1)
        return np.asarray((1 - share) * bounds[0] + share * bounds[1])


class Written(NamedTuple):
    """A file of a clip."""

    name: str
    sha256: str


def write_clip(seed: int, assets: Path, folder: Path, number: int) -> list[Written]:
    """Draw a clip, and write its frames and masks."""
    clip = draw_clip(seed, assets, number)
    name = f"clip-{number:02d}"
    written = []
    for kind in (FRAMES, MASKS):
        (folder / kind / name).mkdir(parents=True)
    for frame in range(clip.length):
        pixels, mask = draw_frame(clip, assets, frame)
        for kind, content in ((FRAMES, png(pixels)), (MASKS, mask_png(mask))):
            path = kind / name / f"{frame:05d}.png"
            (folder / path).write_bytes(content)
            written.append(Written(path.as_posix(), hashlib.sha256(content).hexdigest()))
    return written


def draw_clip(seed: int, assets: Path, number: int) -> Clip:
    """Draw the content of a clip, again if an object would be hidden in the first frame."""
    attempt = 0
    while True:
        clip = _clip(seed, number, attempt)
        counts = np.bincount(_mask(_triangles(clip, assets, 0), clip.camera).ravel(), minlength=9)
        if counts[1 : len(clip.names) + 1].min() >= LEAST_VISIBLE:
            return clip
        attempt += 1


def draw_frame(clip: Clip, assets: Path, number: int) -> tuple[Pixels, Mask]:
    """Draw a frame of a clip, and its mask."""
    triangles = _triangles(clip, assets, number)
    *towards, strength = clip.at(clip.lights, number)
    light = Light(np.asarray(towards) / np.linalg.norm(towards), float(strength), 0.4)
    top, left = clip.at(clip.pan, number)
    behind = photos.window(assets, clip.wall, WIDTH, clip.window, (float(top), float(left)))
    picture = render(triangles, clip.camera, light, behind) * clip.at(clip.gains, number)
    return to_pixels(_cropped(picture)), _mask(triangles, clip.camera)


def mask_png(mask: Mask) -> bytes:
    """Encode a mask as a PNG with a palette."""
    image = Image.fromarray(mask)
    image.putpalette(COLOURS)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def _clip(seed: int, number: int, attempt: int) -> Clip:
    draws = generator("pocket propagation", seed, number, attempt)
    walls = photos.parts("pocket propagation", seed)
    count = 1 + number % MOST_OBJECTS
    names = tuple(str(name) for name in draws.choice(OBJECTS, count, replace=False))
    elevation, distance = np.radians(draws.uniform(15, 35)), draws.uniform(6.5, 8.0)
    target = np.asarray([0.0, 0.0, 0.4])
    camera = Camera(
        target + distance * np.asarray([0.0, -np.cos(elevation), np.sin(elevation)]), target, FOCAL
    )
    lanes = LANES * (draws.permutation(count) - (count - 1) / 2)
    start = draws.permutation(np.linspace(-1.3, 1.3, count) if count > 1 else np.zeros(1))
    across = draws.uniform(1.0, 2.2, count) * np.where(start > 0, -1, 1)
    places = np.stack(
        [
            np.stack([start, lanes], axis=1),
            np.stack([start + across, lanes + draws.uniform(-0.3, 0.3, count)], axis=1),
        ]
    )
    angle = draws.uniform(-np.pi, np.pi, count)
    turn = np.radians(draws.uniform(40, 150, count)) * draws.choice([-1, 1], count)
    return Clip(
        names=names,
        sizes=draws.uniform(0.6, 0.8, count),
        places=places,
        angles=np.stack([angle, angle + turn]),
        camera=camera,
        lights=np.concatenate([_directions(draws), draws.uniform(0.45, 0.75, (2, 1))], axis=1),
        gains=draws.uniform(0.8, 1.15, (2, 3)),
        wall=str(draws.choice(walls["test"])),
        window=photos.Window(float(draws.uniform(0.4, 0.7)), bool(draws.random() < 0.5)),
        pan=draws.uniform(0, 1, (2, 2)) * [1.0, 0.5] + [[0, 0], [0, 0.5]],
        length=int(draws.integers(*LENGTHS)),
    )


def _directions(draws: np.random.Generator) -> Float[np.ndarray, "2 3"]:
    """Return directions towards the light at the start and the end, up to 90 degrees apart."""
    angle = draws.uniform(-np.pi, np.pi) + np.asarray([0, draws.uniform(-0.5, 0.5) * np.pi])
    return np.stack([np.sin(angle), -np.cos(angle), draws.uniform(0.7, 1.2, 2)], axis=1)


def _triangles(clip: Clip, assets: Path, number: int) -> Triangles:
    """Return all objects at their places in a frame."""
    parts = []
    places, angles = clip.at(clip.places, number), clip.at(clip.angles, number)
    for owner, name in enumerate(clip.names):
        mesh = load(assets, name)
        turned = standing(mesh, float(angles[owner]))
        corners = clip.sizes[owner] * turned.corners + [*places[owner], 0.0]
        colours = paint(OBJECTS.index(name), mesh)[mesh.material]
        parts.append(turned._replace(corners=corners, colours=colours, owner=turned.owner + owner))
    return Triangles(*(np.concatenate(each) for each in zip(*parts, strict=True)))


def _mask(triangles: Triangles, camera: Camera) -> Mask:
    raster = rasterise(camera.image(triangles.corners, WIDTH), WIDTH)
    owner = np.where(raster.covered, triangles.owner[raster.triangle] + 1, 0)
    return np.ascontiguousarray(_cropped(owner), np.uint8)


def _cropped(square: np.ndarray) -> np.ndarray:
    """Return the middle of a square picture."""
    top = (WIDTH - HEIGHT) // 2
    return square[top : top + HEIGHT]
