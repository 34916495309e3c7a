"""Render videos with known ground truth from a seed.

Few real clips are small enough to download for a demo, and contrasting videos requires many. The
plot of all videos is in `journey`. Every video has its own cast and camera; a few videos share each
place.
"""

import functools
import os
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from footage.errors import ConfigError, FootageError
from footage.io import files
from footage.io.documents import Document
from footage.seeding import generator
from footage.synthetic.encoding import encode_video
from footage.synthetic.journey import journey
from footage.synthetic.shots import Shot, frames
from footage.synthetic.world import Place, film_place, world

TRUTH_VERSION = 1


class Truth(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The ground truth of a set of rendered videos."""

    schema_version: int
    settings: dict[str, int | float]
    """Settings of the rendering."""
    videos: list[dict[str, Any]]
    """One entry per video: its file, size, cuts, and the factors of its shots."""


TRUTH: Document[Truth] = Document(
    schema=Truth,
    name="the truth of rendered videos",
    hint="delete the folder to render the videos again",
    version_key="schema_version",
    versions=(TRUTH_VERSION,),
)
SIZES = ((208, 144), (192, 144), (176, 144), (160, 160))
"""Width and height of rendered videos, in pixels."""

NUM_PLACES = 24
"""Number of places, which videos share, so that the place does not identify the video."""

FPS = 8
"""Frame rate of rendered videos, in frames per second."""

NUM_SHOTS = 4
"""Number of shots of a video, and of objects in its cast."""

# --- videos -------------------------------------------------------------------------------------


def render_clips(
    folder: str | Path,
    *,
    num_videos: int = 36,
    seed: int = 0,
    shortest_seconds: int | float = 8.0,
    longest_seconds: int | float = 16.0,
) -> list[Path]:
    """Render videos with `truth.json` next to them; an existing complete set is kept.

    Each video has four shots. Every pixel is determined by the seed and the video's number.

    Raises:
        ConfigError: The number of videos or their length is out of range.
        BusyError: Another process is rendering into the folder.
    """
    if num_videos < 1:
        raise ConfigError(f"num_videos must be at least 1, got {num_videos}")
    if not 3.0 <= shortest_seconds <= longest_seconds:
        raise ConfigError(
            f"shortest_seconds must be from 3 to longest_seconds ({longest_seconds}), "
            f"got {shortest_seconds}"
        )
    folder = Path(folder)
    settings = {
        "num_videos": num_videos,
        "seed": seed,
        "shortest_seconds": shortest_seconds,
        "longest_seconds": longest_seconds,
    }
    paths = [folder / f"rendered-{number:03d}.mp4" for number in range(num_videos)]
    if is_complete(folder, settings, paths):
        return paths
    place = functools.cache(lambda number: film_place(generator("film place", seed, number)))
    with files.exclusive(folder / ".lock", folder):
        videos = []
        for number, path in enumerate(paths):
            random = generator("film", seed, number)
            seconds = float(random.uniform(shortest_seconds, longest_seconds))
            at = place(int(random.integers(NUM_PLACES)))
            videos.append({"file": path.name, **_render(path, random, at, seconds)})
        TRUTH.write(folder / "truth.json", Truth(TRUTH_VERSION, settings, videos))
    return paths


def is_complete(folder: Path, settings: dict[str, Any], paths: list[Path]) -> bool:
    """Return whether the same set exists already; `truth.json` is written last."""
    if not all(path.exists() for path in paths):
        return False
    try:
        written = TRUTH.read(folder / "truth.json")
    except FootageError:
        return False
    return written.settings == settings and [video["file"] for video in written.videos] == [
        path.name for path in paths
    ]


def _render(path: Path, random: np.random.Generator, at: Place, seconds: float) -> dict[str, Any]:
    """Render and encode one video; return its ground truth."""
    width, height = SIZES[int(random.integers(len(SIZES)))]
    setting = world(random, at, NUM_SHOTS)
    shares = random.uniform(0.7, 1.3, NUM_SHOTS)
    # At least a second per shot, because cut detectors may merge shorter shots.
    lengths = np.maximum(np.round(shares / shares.sum() * seconds * FPS).astype(int), FPS)
    shots = journey(random, lengths.tolist(), width / height)
    partial = path.with_name(path.name + ".partial")
    pictures = (pixels for plan in shots for pixels in frames(setting, plan, width, height))
    encode_video(partial, pictures, FPS, (width, height))
    os.replace(partial, path)
    ends = np.cumsum(lengths)
    return {
        "width": width,
        "height": height,
        "fps": FPS,
        "num_frames": int(ends[-1]),
        "cut_frames": ends[:-1].tolist(),
        "cut_seconds": [round(float(end) / FPS, 6) for end in ends[:-1]],
        "world": {
            "kind": setting.kind,
            "palette": setting.palette,
            "light_angle": setting.light_angle,
            "cast": [{"shape": a.shape, "textures": list(a.textures)} for a in setting.cast],
        },
        "shots": [_shot_truth(plan) for plan in shots],
    }


def _shot_truth(plan: Shot) -> dict[str, Any]:
    """Return the factors of a shot for `truth.json`."""
    return {
        "num_frames": plan.num_frames,
        "camera": {"start": plan.camera.start.tolist(), "end": plan.camera.end.tolist()},
        "light": {"start": plan.light.start.tolist(), "end": plan.light.end.tolist()},
        "actors": [
            {"cast": number, "start": path.start.tolist(), "end": path.end.tolist()}
            for number, path in plan.actors
        ],
    }
