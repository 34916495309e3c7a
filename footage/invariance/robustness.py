"""Does the answer hold while the video goes on? Accuracy on a frame against its worst neighbour.

After Shankar et al. 2021, "Do image classifiers generalize across time?", which brought
ImageNet-Vid-Robust and YTBB-Robust (https://arxiv.org/abs/1906.02168): a classifier is asked about
an anchor frame and about every frame within `reach` of it; the worst answer counts. The videos lie
in folders:

    VIDEOS/CLASS/VIDEO/000123.jpg    frames; the number at the end of a name counts frames
    VIDEOS/anchors.txt               one `CLASS/VIDEO/000123.jpg` a line; without the file the
                                     middle frame of every video is its anchor

Deviation: the authors looked at every neighbour and removed those in which the object was gone;
whoever makes the folder does that, or the drop counts lost objects too. One class a frame.
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
    """A frame that is asked about, and those around it."""

    video: int
    """Counts the videos of the folder from 0."""
    label: int
    frames: tuple[Path, ...]
    """The anchor itself first, then its neighbours in order of time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class VideoSet:
    """Labelled videos as folders of frames."""

    name: str
    anchors: tuple[Anchor, ...]
    reach: int
    """Frames to either side of an anchor, counted by the numbers in their names."""

    @property
    def paths(self) -> list[Path]:
        """Every frame that is asked about, once."""
        return list(dict.fromkeys(path for anchor in self.anchors for path in anchor.frames))


@dataclass(frozen=True, kw_only=True, slots=True)
class Robustness:
    """Accuracies on anchors; every anchor weighs alike, intervals are over videos."""

    anchor: Estimate
    """On the anchor frame alone."""
    average: Estimate
    """On the frames within reach, anchor included."""
    worst: Estimate
    """An anchor counts only where every frame within reach is right."""
    drop: Estimate
    """Anchor less worst, on the same draws."""
    anchors: int
    videos: int
    reach: int
    validation: Share
    """Accuracy on the validation part of the labelled images, by which settings were selected."""


def open_videos(folder: str | Path, classes: Sequence[str], *, reach: int) -> VideoSet:
    """Labelled videos in the layout of the module's docstring.

    Args:
        folder: Of the videos.
        classes: Names of the classes that the classifier knows; a label is a position in it.
        reach: Frames to either side of an anchor.

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
"""By folder of a video, its frames in order of time with their numbers."""


def _videos(folder: Path, classes: Sequence[str]) -> _Videos:
    if not folder.is_dir():
        raise ConfigError(
            f"no folder of labelled videos at {folder}", "give CLASS/VIDEO/000123.jpg below it"
        )
    found = sorted(path for path in folder.glob("*/*") if path.is_dir())
    videos = {path: frames for path in found if (frames := _numbered(path))}
    if not videos:
        raise ConfigError(
            f"no videos in {folder}", "put the frames of each in a folder CLASS/VIDEO"
        )
    unknown = sorted({video.parent.name for video in videos} - set(classes))
    if unknown:
        raise ConfigError(
            f"{folder} has classes that the labelled images lack: {some(unknown)}",
            "name its class folders like those of the labelled images",
        )
    return videos


def _numbered(video: Path) -> dict[Path, int]:
    """The frames of a video in order of time, with their numbers."""
    numbers = {}
    for path in find_images(video):
        digits = re.search(r"(\d+)$", path.stem)
        if digits is None:
            raise ConfigError(f"{path} has no frame number", "end its name in one: 000123.jpg")
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
                f"{str(folder / ANCHORS)!r} lists {name[:200]!r}, which is not a frame there",
                "write one CLASS/VIDEO/000123.jpg per line",
            )
    return [folder / name for name in names]


def _middles(videos: _Videos) -> list[Path]:
    return [list(frames)[len(frames) // 2] for frames in videos.values()]


def robustness(
    fitted: Fitted, features: Float[Tensor, "N D"], videos: VideoSet, *, seed: int
) -> Robustness:
    """Accuracy on anchors, around them, and at the worst frame.

    Args:
        fitted: A classifier.
        features: Of `videos.paths`, in that order.
        videos: The labelled videos.
        seed: Of the draws for the intervals.
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
