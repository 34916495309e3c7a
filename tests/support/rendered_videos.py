"""Labelled videos and labelled images of the same rendered objects, in the layout of `profile`."""

from pathlib import Path

import cv2
import numpy as np

from footage.synthetic import factors
from footage.synthetic.factors import Scene, SceneKey
from footage.synthetic.solids import Lamp, Pose

OBJECTS = ("ant", "bee", "cow")
SIZE = 32


def _write(path: Path, moment: Scene) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), factors.rendered(moment)[..., ::-1])


def _moments(label: int, seed: int, count: int, backdrops: list[np.ndarray]) -> list[Scene]:
    """An object seen `count` times, each a little further round than the last."""
    random = np.random.default_rng([label, seed])
    thing = factors.thing(SceneKey(0, label, SIZE), 0)
    yaw, azimuth, backdrop = random.uniform(-3, 3), random.uniform(2, 4), random.integers(4)
    return [
        Scene(
            thing=thing,
            backdrop=backdrops[backdrop],
            pose=Pose(float(yaw + 0.15 * step), 0.3, float(3.6 - 0.1 * step)),
            lamp=Lamp(float(azimuth + 0.1 * step), 0.8),
            hue=0.0,
            contrast=1.0,
        )
        for step in range(count)
    ]


def draw(folder: Path, *, videos: int = 3, frames: int = 7, images: int = 15) -> tuple[Path, Path]:
    """Three objects: the folder of their videos, and that of their labelled images."""
    backdrops = [factors.backdrop(SceneKey(1, 0, SIZE), which) for which in range(4)]
    for label, name in enumerate(OBJECTS):
        for video in range(videos):
            for number, moment in enumerate(_moments(label, video, frames, backdrops)):
                _write(folder / "videos" / name / f"v{video}" / f"{number:06d}.png", moment)
        for image in range(images):
            moment = _moments(label, 100 + image, 1, backdrops)[0]
            _write(folder / "images" / name / f"{image:03d}.png", moment)
    return folder / "videos", folder / "images"
