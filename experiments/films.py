"""Rendered films with known factors: one world per video, one camera and set of objects per shot.

    python -m experiments.films --out OUT [--videos 360] [--seed 0]

    video   place, palette, cast of three to five objects, tint of the light   same in all shots
    shot    choice and positions of objects, camera, height of the lamp        changes at every cut
    frame   yaw of each object, camera's orbit and distance, lamp's azimuth    changes smoothly

so that the shot level can learn orientation and lighting. Output: OUT/film-NNN.mp4, its factors
frame by frame in OUT/factors/film-NNN.json, and finally OUT/truth.json in the form that
`cuts_found` reads. The same call resumes a killed run. The same seed gives the same frames.

All content is ours, and disjoint from the tasks of the pocket suite: none of their meshes,
photographs, textures or plain solids is used. Angles are in degrees, lengths in metres.
"""

import argparse
import json
import math
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from pocket_suite.shading import Camera

from experiments import truth
from experiments.film_render import Frame, Lamp, Stage, Standing
from experiments.film_world import World, world
from experiments.splicing import Look, covering, encode
from footage.seeding import generator
from footage.video.decode import Video

FPS = 6
SIZES = ((128, 128), (144, 112), (160, 120))
FOCAL = (0.95, 1.5)
"""Focal lengths in frame heights, from wide to narrow."""


class Course(NamedTuple):
    """A value at the start of a shot and at its end, eased in and out."""

    start: float
    end: float

    def at(self, share: float) -> float:
        """Return the value at a time from 0 to 1."""
        eased = 0.6 * share + 0.4 * (3 * share**2 - 2 * share**3)
        return self.start + (self.end - self.start) * eased


class Role(NamedTuple):
    """Motion of one object in a shot."""

    cast: int
    """Index of the object in the world's cast."""
    x: Course
    y: Course
    yaw: Course


class Shot(NamedTuple):
    """Everything that changes at a cut."""

    num_frames: int
    roles: tuple[Role, ...]
    move: str
    """Camera move: a key of `MOVES`."""
    azimuth: Course
    """Azimuth of the camera, seen from its target."""
    elevation: Course
    distance: Course
    target: tuple[float, float, float]
    focal: float
    lamp_azimuth: Course
    lamp_elevation: Course
    lamp_strength: float


MOVES = {"orbit": ((25, 90), 1.15), "dolly": ((5, 30), 1.7), "hold": ((0, 8), 1.05)}
"""Orbit of the camera in degrees, and the maximum factor of its change of distance."""


# --- plan ---------------------------------------------------------------------------------------


def shot(random: np.random.Generator, setting: World, num_frames: int) -> Shot:
    """Generate a shot of a world."""
    count = int(random.integers(1, min(3, len(setting.cast)) + 1))
    chosen = random.choice(len(setting.cast), count, replace=False)
    middle = random.uniform(-0.7, 0.7, 2)
    move = str(random.choice(sorted(MOVES), p=[0.3, 0.25, 0.45]))
    (least, most), zoom = MOVES[move]
    around = random.uniform(least, most) * random.choice([-1, 1])
    azimuth, elevation = random.uniform(-180, 180), random.uniform(8, 38)
    factor = zoom ** random.uniform(-1, 1)
    near = (1.5 + 0.45 * count) * random.uniform(0.9, 1.3)
    focal = random.uniform(*FOCAL)
    lamp = random.uniform(-180, 180)
    sweep = random.uniform(30, 150) * random.choice([-1, 1])
    height = random.uniform(28, 65)
    return Shot(
        num_frames=num_frames,
        roles=tuple(_roles(random, setting, chosen, middle)),
        move=move,
        azimuth=Course(azimuth, azimuth + around),
        elevation=Course(elevation, float(np.clip(elevation + random.uniform(-8, 8), 6, 42))),
        distance=Course(near * focal / factor**0.5, near * focal * factor**0.5),
        target=(*map(float, middle), float(random.uniform(0.3, 0.55))),
        focal=focal,
        lamp_azimuth=Course(lamp, lamp + sweep),
        lamp_elevation=Course(height, height + random.uniform(-12, 12)),
        lamp_strength=float(random.uniform(0.55, 0.95)),
    )


def _roles(
    random: np.random.Generator, setting: World, chosen: np.ndarray, middle: np.ndarray
) -> Iterator[Role]:
    """Place the objects around the middle without overlap; all rotate, some move a little."""
    begin, count = random.uniform(0, 2 * np.pi), len(chosen)
    widest = max(setting.cast[number].radius for number in chosen)
    # Neighbours on the circle are two radii apart, plus the distance that both may move.
    radius = 0.0 if count == 1 else (widest + 0.12) / math.sin(np.pi / count)
    for place, number in enumerate(chosen):
        angle = begin + 2 * np.pi * place / count
        at = middle + radius * np.asarray([np.cos(angle), np.sin(angle)])
        step = random.uniform(-0.08, 0.08, 2) * (1 if count > 1 else 3)
        yaw = random.uniform(-180, 180)
        turn = random.uniform(60, 320) * random.choice([-1, 1])
        yield Role(
            cast=int(number),
            x=Course(float(at[0] - step[0]), float(at[0] + step[0])),
            y=Course(float(at[1] - step[1]), float(at[1] + step[1])),
            yaw=Course(yaw, yaw + turn),
        )


def plan(seed: int, number: int) -> tuple[World, list[Shot], tuple[int, int]]:
    """Return the world of a video, its shots and the size of its frames."""
    random = generator("films", seed, number)
    setting = world(random)
    lengths = random.uniform(3.5, 8.5, int(random.integers(3, 7)))
    lengths *= random.uniform(20, 30) / lengths.sum()
    frames = np.clip(np.round(lengths * FPS), 3 * FPS, 10 * FPS).astype(int)
    shots = [shot(random, setting, int(count)) for count in frames]
    return setting, shots, SIZES[int(random.integers(len(SIZES)))]


# --- draw ---------------------------------------------------------------------------------------


def frames(setting: World, one: Shot, size: tuple[int, int]) -> Iterator[tuple[Frame, dict]]:
    """Yield the frames of a shot, each with its factors."""
    cast = [setting.cast[role.cast] for role in one.roles]
    stage = Stage(_without_props_before_the_camera(setting, one), cast)
    for number in range(one.num_frames):
        share = number / max(one.num_frames - 1, 1)
        standing = [
            Standing(role.x.at(share), role.y.at(share), math.radians(role.yaw.at(share)), 1.0)
            for role in one.roles
        ]
        camera = _camera(setting, one, share)
        lamp = Lamp(
            math.radians(one.lamp_azimuth.at(share)),
            math.radians(one.lamp_elevation.at(share)),
            one.lamp_strength,
        )
        picture, pixels = stage.draw(standing, camera, lamp, size)
        yield (
            picture,
            {
                "yaw": [_degrees(role.yaw.at(share)) for role in one.roles],
                "place": [[round(at.x, 3), round(at.y, 3)] for at in standing],
                "pixels": pixels.tolist(),
                "camera": np.round(camera.place, 3).tolist(),
                "camera_azimuth": _degrees(one.azimuth.at(share)),
                "lamp_azimuth": _degrees(one.lamp_azimuth.at(share)),
                "lamp_elevation": round(one.lamp_elevation.at(share), 2),
            },
        )


def _camera(setting: World, one: Shot, share: float) -> Camera:
    azimuth, elevation = (math.radians(c.at(share)) for c in (one.azimuth, one.elevation))
    flat = math.cos(elevation)
    towards = [flat * math.cos(azimuth), flat * math.sin(azimuth), math.sin(elevation)]
    place = np.asarray(one.target) + one.distance.at(share) * np.asarray(towards)
    room = setting.place
    inside = np.asarray([*(room.half - 0.3), room.height - 0.3])
    place = np.clip(place, [*(-inside[:2]), 0.25], inside)
    return Camera(place, np.asarray(one.target), one.focal)


def _without_props_before_the_camera(setting: World, one: Shot) -> World:
    """Return the world without props that come too close to the camera in this shot."""
    eyes = np.stack([_camera(setting, one, share).place[:2] for share in (0, 0.25, 0.5, 0.75, 1)])
    gaps = np.linalg.norm(eyes[:, None] - setting.prop_places[None, :, :2], axis=-1).min(axis=0)
    room = [
        prop.radius * at[3] for prop, at in zip(setting.props, setting.prop_places, strict=True)
    ]
    kept = np.flatnonzero(gaps > np.asarray(room) + 0.7)
    return setting._replace(
        props=[setting.props[number] for number in kept], prop_places=setting.prop_places[kept]
    )


def _degrees(angle: float) -> float:
    """Wrap the angle to -180 to 180."""
    return round((angle + 180) % 360 - 180, 2)


def film(seed: int, number: int, path: Path) -> dict[str, Any]:
    """Draw and encode one video; return all its factors."""
    setting, shots, size = plan(seed, number)
    factors: list[list[dict]] = []

    def pictures() -> Iterator[Frame]:
        for one in shots:
            factors.append([])
            for picture, moment in frames(setting, one, size):
                factors[-1].append(moment)
                yield picture

    encode(path, pictures(), Look(*size, Fraction(FPS)), quality=18)
    return {
        "place": setting.place.kind,
        "palette": setting.palette,
        "cast": [one.family for one in setting.cast],
        "width": size[0],
        "height": size[1],
        "fps": FPS,
        "shots": [
            {
                "num_frames": one.num_frames,
                "objects": [role.cast for role in one.roles],
                "move": one.move,
                "focal": round(one.focal, 3),
                "lamp_strength": round(one.lamp_strength, 3),
                "frames": moments,
            }
            for one, moments in zip(shots, factors, strict=True)
        ],
    }


def truth_of(factors: dict[str, Any]) -> dict[str, Any]:
    """Return the ground truth of a video for `cuts_found`."""
    ends = np.cumsum([one["num_frames"] for one in factors["shots"]]) / FPS
    cuts = [round(float(end), 6) for end in ends[:-1]]
    return {
        "theme": factors["place"],
        "is_known": True,
        "seconds": float(ends[-1]),
        "cut_seconds": cuts,
        "transitions": [{"kind": "hard", "start_seconds": cut, "end_seconds": cut} for cut in cuts],
    }


def make_all(out: Path, num_videos: int, seed: int) -> dict[str, Any]:
    """Draw all missing videos; a later call can ask for more."""
    made_with = {"seed": seed}
    truth.read(out, made_with)
    videos = {}
    for number in range(num_videos):
        name = f"film-{number:03}"
        path = out / "factors" / f"{name}.json"
        if not (out / f"{name}.mp4").exists() or not path.exists():
            truth.write(path, film(seed, number, out / f"{name}.mp4"))
        videos[f"{name}.mp4"] = truth_of(json.loads(path.read_text("utf-8")))
    found = {"made_with": made_with, "videos": videos}
    truth.write(out / truth.FILE, found)
    return found


def sheet(out: Path, path: Path, rows: int = 8) -> None:
    """Draw an overview of the first films: one row each, four frames of each of three shots."""
    strips = []
    for number in range(rows):
        shots = json.loads((out / "factors" / f"film-{number:03}.json").read_text())["shots"]
        first = np.cumsum([0, *(one["num_frames"] for one in shots)])
        wanted = [
            first[one] + share * (shots[one]["num_frames"] - 1) // 3
            for one in range(3)
            for share in range(4)
        ]
        with Video(out / f"film-{number:03}.mp4", 10**6) as video:
            seen = [frame.picture.to_ndarray(format="bgr24") for frame in video.frames()]
        strips.append(np.hstack([covering(seen[one], 88, 88) for one in wanted]))
    cv2.imwrite(str(path), np.vstack(strips), [cv2.IMWRITE_JPEG_QUALITY, 85])


def main() -> None:
    """Draw the films and print their counts."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--videos", type=int, default=360)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sheet", type=Path, help="draw the first films into this picture")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    begin = time.process_time()
    videos = make_all(options.out, options.videos, options.seed)["videos"].values()
    seconds = sum(one["seconds"] for one in videos)
    if options.sheet:
        sheet(options.out, options.sheet, min(8, len(videos)))
    print(
        json.dumps(
            {
                "videos": len(videos),
                "hours": round(seconds / 3600, 3),
                "shots": sum(len(one["cut_seconds"]) + 1 for one in videos),
                "frames": round(seconds * FPS),
                "cpu_seconds": round(time.process_time() - begin, 1),
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
