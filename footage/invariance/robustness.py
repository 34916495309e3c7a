"""Temporal robustness: accuracy on anchor frames compared with that on their worst neighbours.

After Shankar et al. 2021, "Do image classifiers generalize across time?", which introduced
ImageNet-Vid-Robust and YTBB-Robust (https://arxiv.org/abs/1906.02168): a classifier predicts the
class of an anchor frame and of every frame within `reach` of it; the worst prediction counts. The
videos are in folders:

    VIDEOS/CLASS/VIDEO/000123.jpg    frames; the number at the end of a name counts frames
    VIDEOS/anchors.txt               one `CLASS/VIDEO/000123.jpg` per line; without the file, the
                                     middle frame of every video is its anchor

Deviation: the authors inspected every neighbour and removed those in which the object was gone. Do
this when you make the folder; otherwise the drop also counts lost objects. One class per frame.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from footage.errors import ConfigError
from footage.evaluation.fields import Share
from footage.evaluation.probes import Fitted
from footage.images.common import some
from footage.images.decode import find_images
from footage.io import documents
from footage.metrics.bootstrap import Estimate, fraction

ANCHORS: Final = "anchors.txt"


class Anchor(NamedTuple):
    """An anchor frame and its neighbours."""

    video: int
    """Index of the video in the folder, from 0."""
    label: int
    frames: tuple[Path, ...]
    """The anchor itself first, then its neighbours in temporal order."""


@dataclass(frozen=True, kw_only=True, slots=True)
class VideoSet:
    """Labelled videos as folders of frames."""

    name: str
    anchors: tuple[Anchor, ...]
    reach: int
    """Half-width of the window around an anchor, in the frame numbers of file names."""

    @property
    def paths(self) -> list[Path]:
        """Return every frame to classify, once."""
        return list(dict.fromkeys(path for anchor in self.anchors for path in anchor.frames))


@dataclass(frozen=True, kw_only=True, slots=True)
class Robustness:
    """Accuracies on anchors; every anchor has equal weight, intervals are over videos."""

    anchor: Estimate
    """Accuracy on the anchor frame alone."""
    average: Estimate
    """Accuracy on the frames within reach, including the anchor."""
    worst: Estimate
    """Accuracy where every frame within reach must be correct."""
    drop: Estimate
    """Anchor accuracy minus worst accuracy, on the same resamples."""
    anchors: int
    videos: int
    reach: int
    validation: Share
    """Accuracy on the validation split of the labelled images, by which settings were selected."""


def open_videos(folder: str | Path, classes: Sequence[str], *, reach: int) -> VideoSet:
    """Open labelled videos in the layout of the module's docstring.

    Args:
        folder: Folder of the videos.
        classes: Class names of the classifier; a label is an index into them.
        reach: Half-width of the window around an anchor, in frames.

    Raises:
        ConfigError: There are no videos, a class is unknown, an anchor is missing, a frame has no
            number, or no anchor has a neighbour.
    """
    folder = Path(folder)
    videos = _videos(folder, classes)
    listed = (folder / ANCHORS).exists()
    wanted = _listed(folder, videos) if listed else _middles(videos)
    numbers = {video: number for number, video in enumerate(videos)}
    anchors = []
    for path in wanted:
        video, frames = path.parent, videos[path.parent]
        near = (other for other, at in frames.items() if 0 < abs(at - frames[path]) <= reach)
        label = list(classes).index(video.parent.name)
        anchors.append(Anchor(numbers[video], label, (path, *near)))
    if all(len(anchor.frames) == 1 for anchor in anchors):
        raise ConfigError(
            f"no anchor of {folder} has another frame within {reach} of it",
            "keep more frames of each video, or raise --reach",
        )
    return VideoSet(name=folder.resolve().name, anchors=tuple(anchors), reach=reach)


_Videos = dict[Path, dict[Path, int]]
"""The numbered frames of each video in temporal order, by the folder of the video."""


def _videos(folder: Path, classes: Sequence[str]) -> _Videos:
    if not folder.is_dir():
        raise ConfigError(
            f"folder of labelled videos not found: {folder}",
            "pass a folder that contains CLASS/VIDEO/000123.jpg",
        )
    found = sorted(path for path in folder.glob("*/*") if path.is_dir())
    videos = {path: frames for path in found if (frames := _numbered(path))}
    if not videos:
        raise ConfigError(
            f"no videos in {folder}", "put the frames of each video in a folder CLASS/VIDEO"
        )
    unknown = sorted({video.parent.name for video in videos} - set(classes))
    if unknown:
        raise ConfigError(
            f"{folder} has classes that the labelled images lack: {some(unknown)}",
            "name its class folders like those of the labelled images",
        )
    return videos


def _numbered(video: Path) -> dict[Path, int]:
    """Return the frames of a video in temporal order, with their numbers."""
    numbers = {}
    for path in find_images(video):
        digits = re.search(r"(\d+)$", path.stem)
        if digits is None:
            raise ConfigError(
                f"{path} has no frame number", "end its name with a number, as in 000123.jpg"
            )
        numbers[path] = int(digits[1])
    return dict(sorted(numbers.items(), key=lambda item: item[1]))


def _listed(folder: Path, videos: _Videos) -> list[Path]:
    try:
        lines = documents.read_list(folder / ANCHORS)
    except OSError as error:
        raise ConfigError(
            f"{str(folder / ANCHORS)!r} cannot be read as a list of anchors: {error.strerror}",
            "write one CLASS/VIDEO/000123.jpg per line, or remove the file",
        ) from error
    names = list(dict.fromkeys(line.strip() for line in lines if line.strip()))
    if not names:
        raise ConfigError(f"{folder / ANCHORS} is empty", "list anchors, or remove the file")
    for name in names:
        if folder / name not in videos.get((folder / name).parent, {}):
            raise ConfigError(
                f"{str(folder / ANCHORS)!r} lists {name[:200]!r}, which is not one of the frames",
                "write one CLASS/VIDEO/000123.jpg per line",
            )
    return [folder / name for name in names]


def _middles(videos: _Videos) -> list[Path]:
    return [list(frames)[len(frames) // 2] for frames in videos.values()]


def robustness(
    fitted: Fitted, features: Float[Tensor, "N D"], videos: VideoSet, *, seed: int
) -> Robustness:
    """Measure the accuracy on anchors, around them, and at the worst frame.

    Args:
        fitted: A classifier.
        features: Features of `videos.paths`, in that order.
        videos: The labelled videos.
        seed: Seed of the bootstrap.
    """
    places = {path: place for place, path in enumerate(videos.paths)}
    predicted = fitted.predict(features)
    right = [
        predicted[torch.tensor([places[path] for path in anchor.frames])] == anchor.label
        for anchor in videos.anchors
    ]
    of_video = np.array([anchor.video for anchor in videos.anchors])
    units = np.unique(of_video)
    members = (of_video[:, None] == units).astype(float)
    on_anchor, average, worst = (
        np.array([measure(each) for each in right]) @ members for measure in (_first, _mean, _every)
    )
    whole = members.sum(axis=0)

    def accuracy(part: Float[np.ndarray, " U"]) -> Estimate:
        return fraction(part, whole, seed)

    return Robustness(
        anchor=accuracy(on_anchor),
        average=accuracy(average),
        worst=accuracy(worst),
        drop=accuracy(on_anchor - worst),
        anchors=len(videos.anchors),
        videos=len(units),
        reach=videos.reach,
        validation=fitted.validation_accuracy,
    )


def _first(right: Bool[Tensor, " n"]) -> float:
    return float(right[0])


def _mean(right: Bool[Tensor, " n"]) -> float:
    return float(right.double().mean())


def _every(right: Bool[Tensor, " n"]) -> float:
    return float(right.all())
