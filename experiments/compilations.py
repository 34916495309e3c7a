"""Splice single clips into multi-shot videos with known cuts and dissolves.

    python -m experiments.compilations --clips CLIPS --out OUT [--seed 0]

CLIPS is a folder of clips with a MANIFEST.csv that has at least the columns file, source_repo,
seconds, width, height, fps, shots and subject. Output:

    OUT/train/THEME/NN.mp4      videos of the training sources
    OUT/held-out/THEME/NN.mp4   videos of whole held-out sources
    OUT/truth.json              the pieces of every video, and the side of every source

A theme is a source with enough clips, or a subject for the clips of smaller sources. Only clips of
a single shot are spliced, so every transition is known. Other clips are copied unchanged: a clip
with more shots in the manifest has cuts at unknown times (`is_known` is false). Of clips with the
same pictures only the first is used.
The same call resumes a killed run; another seed or manifest needs another folder.
"""

import argparse
import collections
import csv
import dataclasses
import hashlib
import json
import math
import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments import truth
from experiments.splicing import Look, Piece, Splice, encode, even_frames, opening
from footage.seeding import generator, hash_order

MIXED = "mixed"
"""The manifest's value for clips without a subject."""
COPY = 0.01
"""Two clips are copies if their openings differ by at most this mean difference, 0 to 1."""
SIDES = ("train", "held-out")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """Settings that determine which videos are made."""

    seed: int = 0
    """Seed of all random draws."""
    held_out_fraction: float = 0.2
    """Fraction of the sources that are held out as a whole."""
    capped_subject: str = "robot"
    """Sources in which most clips show this subject are capped."""
    most_capped_clips: int = 8
    """Maximum number of clips from a capped source."""
    dissolve_share: float = 0.3
    """Fraction of the transitions that are dissolves."""
    short_side: int = 256
    """Maximum shorter side of a video, in pixels."""
    fewest_clips: int = 3
    """Minimum number of single-shot clips for a source to be its own theme."""


class Clip(NamedTuple):
    """A row of the manifest."""

    file: str
    source: str
    seconds: float
    width: int
    height: int
    fps: float
    shots: int
    subject: str

    @property
    def can_be_spliced(self) -> bool:
        """Whether it is a single shot, and long enough to be visible as one."""
        return self.shots == 1 and self.seconds >= 1.5


class Compilation(NamedTuple):
    """A planned video: its pieces in order, and the dissolve of each transition in seconds."""

    name: str
    theme: str
    clips: tuple[Clip, ...]
    pieces: tuple[Piece, ...]
    dissolves: tuple[float, ...]


def read_manifest(folder: Path) -> list[Clip]:
    """Read the rows of the folder's MANIFEST.csv."""
    with (folder / "MANIFEST.csv").open(newline="", encoding="utf-8") as file:
        return [
            Clip(
                file=row["file"],
                source=row["source_repo"],
                seconds=float(row["seconds"]),
                width=int(row["width"]),
                height=int(row["height"]),
                fps=float(row["fps"]),
                shots=int(row["shots"]),
                subject=row["subject"],
            )
            for row in csv.DictReader(file)
        ]


def without_copies(clips: Sequence[Clip], folder: Path) -> list[Clip]:
    """Return the clips without those that start with the pictures of an earlier one."""
    kept: list[Clip] = []
    openings: list[np.ndarray] = []
    for clip in sorted(clips):
        own = opening(folder / clip.file)
        if all(np.abs(own - other).mean() > COPY for other in openings):
            kept.append(clip)
            openings.append(own)
    return kept


# --- plan ---------------------------------------------------------------------------------------


def held_out_sources(clips: Sequence[Clip], settings: Settings) -> list[str]:
    """Choose held-out sources among those with many clips, with some, and with few."""
    counts = collections.Counter(clip.source for clip in clips if clip.can_be_spliced)
    sizes = collections.defaultdict(list)
    for source in sorted({clip.source for clip in clips}):
        size = (counts[source] >= settings.fewest_clips) + (counts[source] >= 8)
        sizes[size].append(source)
    chosen = []
    for sources in sizes.values():
        order = hash_order(sources, settings.seed)
        chosen += [
            sources[place] for place in order[: round(settings.held_out_fraction * len(order))]
        ]
    return sorted(chosen)


def capped(clips: Sequence[Clip], settings: Settings) -> list[Clip]:
    """Return the clips, with sources of the capped subject reduced."""
    kept = []
    for source in sorted({clip.source for clip in clips}):
        own = [clip for clip in clips if clip.source == source]
        most = sum(clip.subject == settings.capped_subject for clip in own) * 2 > len(own)
        order = hash_order([clip.file for clip in own], settings.seed)
        kept += [own[place] for place in order[: settings.most_capped_clips if most else None]]
    return kept


def plan(clips: Sequence[Clip], settings: Settings) -> list[Compilation]:
    """Plan all videos, as a pure function of the manifest and the settings."""
    held_out = set(held_out_sources(clips, settings))
    sides: dict[str, list[Clip]] = {side: [] for side in SIDES}
    for clip in capped(clips, settings):
        sides[SIDES[clip.source in held_out]].append(clip)
    return [
        video
        for side, own in sides.items()
        for theme, members in sorted(themes(own, settings).items())
        for video in theme_videos(side, theme, members, settings)
    ]


def themes(clips: Sequence[Clip], settings: Settings) -> dict[str, list[Clip]]:
    """Group clips by source or by subject; a clip without either is its own group."""
    counts = collections.Counter(clip.source for clip in clips if clip.can_be_spliced)
    subjects = collections.Counter(
        clip.subject
        for clip in clips
        if clip.can_be_spliced and counts[clip.source] < settings.fewest_clips
    )
    found = collections.defaultdict(list)
    for clip in sorted(clips):
        if not clip.can_be_spliced:
            theme = f"whole/{_slug(clip.file)}"
        elif counts[clip.source] >= settings.fewest_clips:
            theme = _slug(clip.source)
        elif subjects[clip.subject] > 1 and clip.subject != MIXED:
            theme = f"subject/{_slug(clip.subject)}"
        else:
            theme = f"whole/{_slug(clip.file)}"
        found[theme].append(clip)
    return found


def theme_videos(
    side: str, theme: str, clips: Sequence[Clip], settings: Settings
) -> Iterator[Compilation]:
    """Distribute the clips of a theme over videos of three to six pieces."""
    if len(clips) == 1:
        piece = Piece(clips[0].file, 0.0, clips[0].seconds)
        yield Compilation(f"{side}/{theme}.mp4", theme, tuple(clips), (piece,), ())
        return
    key = int.from_bytes(hashlib.blake2b(theme.encode(), digest_size=8).digest(), "little")
    random = generator("compilations", settings.seed, key)
    left = [clips[place] for place in random.permutation(len(clips))]
    number = 0
    while left:
        wanted, chosen = int(random.integers(3, 7)), [left.pop(), left.pop()]
        while left and (len(left) == 1 or len(ordered(chosen)) < wanted):
            chosen.append(left.pop())
        pieces = ordered(chosen)
        is_dissolve = random.random(len(pieces) - 1) < settings.dissolve_share
        seconds = random.uniform(0.4, 1.2, len(pieces) - 1) * is_dissolve
        name = f"{side}/{theme}/{number:02}.mp4"
        dissolves = tuple(round(float(value), 3) for value in seconds)
        yield Compilation(name, theme, tuple(chosen), tuple(pieces), dissolves)
        number += 1


def ordered(clips: Sequence[Clip]) -> list[Piece]:
    """Order pieces so that neighbours are of different clips: all first pieces, then the second."""
    own = [pieces_of(clip) for clip in clips]
    turns = [
        [pieces[turn] for pieces in own if turn < len(pieces)] for turn in range(max(map(len, own)))
    ]
    joined: list[Piece] = []
    for piece in (piece for turn in turns for piece in turn):
        if not joined or joined[-1].clip != piece.clip:
            joined.append(piece)
    return joined


def pieces_of(clip: Clip) -> list[Piece]:
    """Return the clip as one piece; a long one as two or three, evenly spaced, of at most 12 s."""
    count = 1 + (clip.seconds >= 14) + (clip.seconds >= 40)
    stride = clip.seconds / count
    length = min(stride, 12.0) if count == 1 else min(stride * 0.8, 12.0)
    return [
        Piece(clip.file, round(part * stride, 3), round(part * stride + length, 3))
        for part in range(count)
    ]


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9.-]+", "_", name.lower().removesuffix(".mp4").replace("/", "__"))


# --- make ---------------------------------------------------------------------------------------


def look_of(clips: Sequence[Clip], short_side: int) -> Look:
    """Return the most common shape and frame rate of the clips, within the size limit."""
    (width, height), _ = collections.Counter((c.width, c.height) for c in clips).most_common(1)[0]
    scale = min(1.0, short_side / min(width, height))
    fps, _ = collections.Counter(clip.fps for clip in clips).most_common(1)[0]
    even = [2 * max(8, math.floor(side * scale / 2)) for side in (width, height)]
    return Look(even[0], even[1], Fraction(str(min(fps, 30.0))))


def make(video: Compilation, folder: Path, out: Path, settings: Settings) -> dict[str, Any]:
    """Write one video; return its ground truth."""
    look = look_of(video.clips, settings.short_side)
    shots = (list(even_frames(folder / piece.clip, piece, look)) for piece in video.pieces)
    splice = Splice(shots, [round(value * look.fps) for value in video.dissolves], look.fps)
    encode(out / video.name, splice, look)
    used = [{**piece._asdict(), "source": _source(video, piece)} for piece in video.pieces]
    return {
        "theme": video.theme,
        "sources": sorted({clip.source for clip in video.clips}),
        "subject": collections.Counter(c.subject for c in video.clips).most_common(1)[0][0],
        "is_known": all(clip.shots == 1 for clip in video.clips),
        "width": look.width,
        "height": look.height,
        "fps": float(look.fps),
        "seconds": float(splice.num_frames / look.fps),
        "clips": used,
        "cut_seconds": [(one.start_seconds + one.end_seconds) / 2 for one in splice.transitions],
        "transitions": [one._asdict() for one in splice.transitions],
    }


def _source(video: Compilation, piece: Piece) -> str:
    return next(clip.source for clip in video.clips if clip.file == piece.clip)


def make_all(folder: Path, out: Path, settings: Settings) -> dict[str, Any]:
    """Write all missing videos, and update the ground truth after each of them."""
    clips = without_copies(read_manifest(folder), folder)
    videos = plan(clips, settings)
    held_out = held_out_sources(clips, settings)
    made_with = dataclasses.asdict(settings) | {"plan": _digest(videos)}
    new = {"made_with": made_with, "held_out_sources": held_out, "videos": {}}
    found = truth.read(out, made_with) or new
    found["train_sources"] = sorted({clip.source for clip in clips} - set(held_out))
    for video in videos:
        if video.name not in found["videos"] or not (out / video.name).exists():
            found["videos"][video.name] = make(video, folder, out, settings)
            truth.write(out / truth.FILE, found)
    return found


def _digest(videos: Sequence[Compilation]) -> str:
    return hashlib.sha256(json.dumps(videos).encode()).hexdigest()[:16]


def summary(found: dict[str, Any]) -> dict[str, Any]:
    """Count the videos on each side."""
    told = {}
    for side in SIDES:
        own = [one for name, one in found["videos"].items() if name.startswith(f"{side}/")]
        kinds = collections.Counter(t["kind"] for one in own for t in one["transitions"])
        told[side] = {
            "videos": len(own),
            "hours": round(sum(one["seconds"] for one in own) / 3600, 3),
            "pieces": sum(len(one["clips"]) for one in own),
            **kinds,
        }
    return told


def main() -> None:
    """Make the videos and print their counts."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clips", type=Path, required=True, help="folder with MANIFEST.csv")
    parser.add_argument("--out", type=Path, required=True)
    for field in dataclasses.fields(Settings):
        name = f"--{field.name.replace('_', '-')}"
        parser.add_argument(name, type=type(field.default), default=field.default)
    options = vars(parser.parse_args())
    folder, out = options.pop("clips"), options.pop("out")
    print(json.dumps(summary(make_all(folder, out, Settings(**options))), indent=1))


if __name__ == "__main__":
    main()
