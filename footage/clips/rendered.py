"""Rendered videos and labelled images with a known truth, drawn from a seed.

Real clips small enough to ship are few; contrasting videos needs many. Each rendered video is a
little film: one world (`rendered_world`), several shots with hard cuts between them.

    world   | palette, backdrop, light, cast of objects            same in all shots of a video
    shot    | camera, part of the backdrop, which objects, how     changes at every cut
            | they move, exposure and colour cast
    frame   | position, size, roll and turn of each object,        changes smoothly
            | camera position, zoom and roll, brightness

so what stays the same inside a shot and inside a video is there to be learned, while exposure and
colour cast differ between the shots of one video and palettes are shared between videos.
"""

import os
from pathlib import Path
from typing import Any, cast

import av
import cv2
import msgspec
import numpy as np

from footage.clips.art import LABELLED_SHAPES, LABELLED_TEXTURES, noise, painted, sprite
from footage.clips.shots import Frame, Shot, actor_matrix, frames, lay_over, shot
from footage.clips.world import SPRITE_SIZE, World, random_colours, world
from footage.documents import Document
from footage.errors import ConfigError, FootageError

TRUTH_VERSION = 1


class Truth(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is true of a set of rendered videos."""

    schema_version: int
    settings: dict[str, int | float]
    """What the set was rendered from."""
    videos: list[dict[str, Any]]
    """One entry per video: its file, its size, its cuts, and the factors of its shots."""


TRUTH: Document[Truth] = Document(
    schema=Truth,
    name="the truth of rendered videos",
    hint="delete the folder to render the videos again",
    version_key="schema_version",
    versions=(TRUTH_VERSION,),
)
SIZES = ((320, 180), (320, 240), (288, 216), (256, 256))
"""Width and height of rendered videos, in pixels."""

RATES = (12, 15, 24)
"""Frame rates of rendered videos, in frames per second."""

# --- videos -------------------------------------------------------------------------------------


def render_clips(
    folder: str | Path,
    *,
    num_videos: int = 36,
    seed: int = 0,
    shortest_seconds: int | float = 8.0,
    longest_seconds: int | float = 16.0,
) -> list[Path]:
    """The rendered videos, with `truth.json` beside them; those already there are not redone.

    Three to six shots each. Every pixel is fixed by the seed and the number of the video.

    Raises:
        ConfigError: The number of videos or their length is out of range.
    """
    if num_videos < 1:
        raise ConfigError(f"num_videos must be at least 1, got {num_videos}")
    if not 3.0 <= shortest_seconds <= longest_seconds:
        raise ConfigError(
            f"shortest_seconds must be from 3 to longest_seconds ({longest_seconds}), "
            f"got {shortest_seconds}"
        )
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    settings = {
        "num_videos": num_videos,
        "seed": seed,
        "shortest_seconds": shortest_seconds,
        "longest_seconds": longest_seconds,
    }
    paths = [folder / f"rendered-{number:03d}.mp4" for number in range(num_videos)]
    if _is_done(folder, settings, paths):
        return paths
    videos = []
    for number, path in enumerate(paths):
        generator = np.random.default_rng([seed, number])
        seconds = float(generator.uniform(shortest_seconds, longest_seconds))
        videos.append({"file": path.name, **_render(path, generator, seconds)})
    TRUTH.write(folder / "truth.json", Truth(TRUTH_VERSION, settings, videos))
    return paths


def _is_done(folder: Path, settings: dict[str, Any], paths: list[Path]) -> bool:
    """Whether the very same set was rendered here before: the truth is written last."""
    if not all(path.exists() for path in paths):
        return False
    try:
        written = TRUTH.read(folder / "truth.json")
    except FootageError:
        return False
    return written.settings == settings and [video["file"] for video in written.videos] == [
        path.name for path in paths
    ]


def _render(path: Path, generator: np.random.Generator, seconds: float) -> dict[str, Any]:
    """Draw and encode one video; what is true of it."""
    width, height = SIZES[int(generator.integers(len(SIZES)))]
    fps = RATES[int(generator.integers(len(RATES)))]
    setting = world(generator)
    num_shots = int(generator.integers(3, 7))
    shares = generator.uniform(0.6, 1.4, num_shots)
    # No shot under a second: a cut detector may merge shorter ones, and the truth should be easy.
    lengths = np.maximum(np.round(shares / shares.sum() * seconds * fps).astype(int), fps)
    shots = [shot(generator, setting, int(n), width / height) for n in lengths]
    partial = path.with_name(path.name + ".partial")
    _encode(partial, setting, shots, (width, height), fps)
    os.replace(partial, path)
    ends = np.cumsum(lengths)
    return {
        "width": width,
        "height": height,
        "fps": fps,
        "num_frames": int(ends[-1]),
        "cut_frames": ends[:-1].tolist(),
        "cut_seconds": [round(float(end) / fps, 6) for end in ends[:-1]],
        "world": {
            "kind": setting.kind,
            "palette": setting.palette,
            "light_angle": setting.light_angle,
            "cast": [{"shape": a.shape, "textures": list(a.textures)} for a in setting.cast],
        },
        "shots": [_shot_truth(plan) for plan in shots],
    }


def _shot_truth(plan: Shot) -> dict[str, Any]:
    """The factors of a shot, for the record."""
    return {
        "num_frames": plan.num_frames,
        "camera": {"start": plan.camera.start.tolist(), "end": plan.camera.end.tolist()},
        "light": {"start": plan.light.start.tolist(), "end": plan.light.end.tolist()},
        "blur": plan.blur,
        "actors": [
            {"cast": number, "start": path.start.tolist(), "end": path.end.tolist()}
            for number, path in plan.actors
        ],
    }


def _encode(path: Path, setting: World, shots: list[Shot], size: tuple[int, int], fps: int) -> None:
    """Write the shots as H.264 in an MP4 file, or as MPEG-4 where PyAV has no H.264 encoder."""
    codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
    with av.open(str(path), "w", format="mp4") as container:
        stream = cast(av.VideoStream, container.add_stream(codec, rate=fps))
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        # The same seed must give the same bytes. More threads, or x264's rate control (crf), which
        # looks at the padding of its frames, gave other bytes from one run to the next.
        stream.codec_context.thread_count = 1
        stream.options = {"preset": "veryfast", "qp": "23"} if codec == "libx264" else {}
        if codec == "mpeg4":
            stream.bit_rate = 800_000
        for plan in shots:
            for pixels in frames(setting, plan, *size):
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


# --- labelled images ----------------------------------------------------------------------------

LABELLED_TASKS = {"shapes": sorted(LABELLED_SHAPES), "materials": sorted(LABELLED_TEXTURES)}
"""What is to be told apart: the outline, or the texture; both unknown to the rendered videos."""


def render_labelled(
    folder: str | Path, *, task: str = "shapes", per_class: int = 80, seed: int = 0, size: int = 96
) -> Path:
    """A folder of labelled images, one subfolder a class; images already there are kept.

    `shapes` shows eight outlines in any texture, `materials` six textures on any outline; colour,
    backdrop, pose, size and light are drawn at random and say nothing about the class.

    Raises:
        ConfigError: There is no such task.
    """
    if task not in LABELLED_TASKS:
        raise ConfigError(f"task must be one of {', '.join(LABELLED_TASKS)}, got {task!r}")
    folder = Path(folder)
    task_number = list(LABELLED_TASKS).index(task)
    for label, name in enumerate(LABELLED_TASKS[task]):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(per_class):
            path = folder / name / f"{number:04d}.png"
            if path.exists():
                continue
            generator = np.random.default_rng([seed, task_number, label, number])
            pixels = _labelled_image(generator, task, name, size)
            done, encoded = cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
            assert done
            partial = path.with_suffix(".partial")
            partial.write_bytes(encoded.tobytes())
            os.replace(partial, path)
    return folder


def _labelled_image(generator: np.random.Generator, task: str, name: str, size: int) -> Frame:
    """One object before a painted backdrop; only the class is given, all else is random."""
    shape = name if task == "shapes" else str(generator.choice(sorted(LABELLED_SHAPES)))
    textures = [
        name if task == "materials" else str(generator.choice(sorted(LABELLED_TEXTURES)))
        for _ in range(2)
    ]
    heights = [LABELLED_TEXTURES[t](generator, SPRITE_SIZE, SPRITE_SIZE) for t in textures]
    colours = random_colours(generator, 3)
    angle = float(generator.uniform(-np.pi, 0))
    picture = sprite(LABELLED_SHAPES[shape], heights, colours, angle, generator)
    behind = random_colours(generator, 2) * generator.uniform(0.4, 1.0)
    frame = painted(noise(generator, size, size, int(generator.integers(3, 12))), *behind)
    frame = np.round(np.clip(frame, 0, 1) * 255).astype(np.uint8)
    # A material shows in the fine structure, so its objects fill more of the image.
    closeness = (0.9, 1.4) if task == "materials" else (0.8, 1.25)
    pose = np.asarray(
        [
            *generator.uniform(0.4, 0.6, 2) * size,
            size * generator.uniform(*closeness),
            generator.normal(0, 0.2),
            generator.uniform(-0.6, 0.6) + (np.pi if generator.random() < 0.5 else 0.0),
        ]
    )
    lay_over(frame, picture, actor_matrix(pose, SPRITE_SIZE))
    gain = generator.uniform(0.6, 1.2) * generator.uniform(0.85, 1.15, 3)
    grain = generator.normal(0, 4, frame.shape)
    return np.asarray(np.clip(frame * gain + grain, 0, 255), np.uint8)
