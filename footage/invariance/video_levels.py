"""Invariance within videos: feature distances at each level of the hierarchy, on any store.

    view     two augmented views of one frame
    shot     different frames of one shot
    video    frames of different shots of one video
    others   frames of different videos: the reference

The invariance profile is the mean distance at each of the first three levels over that of the last:
0 means invariant, 1 means that the change moves the features as far as another video does.
For each level it also reports how often the nearest frame is relevant. Distances are
1 - cosine; every video has equal weight; the intervals are over videos.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from footage.data.config import AugmentConfig
from footage.data.views import augment_jpeg, decode_resized
from footage.errors import ConfigError
from footage.evaluation.features import (
    BATCHES_AHEAD,
    FeatureExtractor,
    RawImage,
    forward,
    in_threads,
    sizes_of,
)
from footage.evaluation.fields import Positive, Share
from footage.metrics.bootstrap import Estimate, Weights, divided, estimate, fraction, share
from footage.metrics.representation import (
    answers,
    distances,
    embedding_std,
    paired_distances,
    rankme,
    uniformity,
)
from footage.seeding import generator, hash_order
from footage.store.reader import Store, evenly

LEVELS: Final = ("view", "shot", "video")
"""Levels from the smallest change to the largest."""

VIEWS: Final = AugmentConfig()
"""Augmentation of the two views of a frame, except for their size; equal for all models [ours]."""


class ChosenFrame(NamedTuple):
    """A frame of a store, by its indices."""

    video: int
    """Index of the video among the chosen ones, from 0."""
    row: int
    """Index of its shot in `store.shots`."""
    place: int
    """Index of the frame in the shot."""


class FrameFeatures(NamedTuple):
    """One model's features of the chosen frames, and of two views of each."""

    plain: Float[Tensor, "N D"]
    first: Float[Tensor, "N D"]
    second: Float[Tensor, "N D"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Level:
    """Effect of one level of the hierarchy on the features."""

    ratio: Estimate
    """Mean distance relative to the mean distance between videos."""
    distance: Estimate
    """Mean distance, 1 - cosine."""
    hit: Estimate
    """Fraction of queries whose nearest candidate is from the same frame, shot or video."""
    chance: Share
    """The same fraction for uninformative features."""
    videos: int
    """Number of videos that have such pairs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Profile:
    """The invariance profile of a model."""

    levels: Mapping[str, Level]
    """Levels by name; a level without pairs in the store is absent."""
    others: Estimate
    """Mean distance between frames of different videos."""
    alignment: float
    """Mean squared distance of two views on the unit sphere (Wang & Isola 2020, equation 1)."""
    uniformity: float
    rankme: Positive
    embedding_std: Positive


# --- frames -------------------------------------------------------------------------------------


def choose_frames(
    store: Store, eligible: Sequence[str], *, videos: int, shots: int, frames: int, seed: int
) -> list[ChosenFrame]:
    """Choose frames spread evenly over the shots of videos, and shots evenly over each video.

    Args:
        store: The store.
        eligible: Ids of the videos that may be chosen.
        videos: Maximum number of videos: those with the smallest hashes of (seed, id).
        shots: Maximum number of shots per video.
        frames: Maximum number of frames per shot.
        seed: Seed of the choice of videos.

    Raises:
        ConfigError: There are fewer than two videos to compare.
    """
    names = sorted(set(eligible) & set(store.shots["video"].to_pylist()))
    if len(names) < 2:
        raise ConfigError(
            f"a profile needs at least 2 videos to compare, and {store.path} has {len(names)} that"
            " no model was trained on",
            "choose a store with more such videos",
        )
    taken = [names[place] for place in hash_order(names, seed)[:videos]]
    rows: dict[str, list[int]] = {name: [] for name in taken}
    for row, name in enumerate(store.shots["video"].to_pylist()):
        if name in rows:
            rows[name].append(row)
    lengths = store.shots["num_frames"].to_pylist()
    return [
        ChosenFrame(number, row, place)
        for number, name in enumerate(taken)
        for row in (rows[name][i] for i in evenly(len(rows[name]), shots))
        for place in evenly(lengths[row], frames)
    ]


def frame_features(
    store: Store,
    chosen: Sequence[ChosenFrame],
    extractors: Mapping[str, FeatureExtractor],
    *,
    seed: int,
    batch_size: int = 64,
) -> dict[str, FrameFeatures]:
    """Extract features of the chosen frames and of two views of each, by extractor.

    Views are a function of the seed, the frame and the size, so models do not affect each other.
    """
    sizes = sizes_of(extractors)

    def read(encoded: tuple[ChosenFrame, bytes]) -> list[dict[int, RawImage]]:
        frame, jpeg = encoded
        key = (seed, frame.row, frame.place)
        plain = {size: decode_resized(jpeg, size) for size in sizes}
        views = {size: _two_views(jpeg, size, key) for size in sizes}
        return [plain, *({size: views[size][i] for size in sizes} for i in range(2))]

    def images() -> Iterator[dict[int, RawImage]]:
        # One thread reads the store; decoding is the expensive part.
        encoded = ((frame, store.encoded(frame.row, [frame.place])[0]) for frame in chosen)
        for images_of_frame in in_threads(encoded, read, ahead=BATCHES_AHEAD * batch_size):
            yield from images_of_frame

    features = forward(images(), extractors, batch_size=batch_size)
    return {
        name: FrameFeatures(found[0::3], found[1::3], found[2::3])
        for name, found in features.items()
    }


def _two_views(jpeg: bytes, size: int, key: tuple[int, int, int]) -> list[RawImage]:
    config = dataclasses.replace(VIEWS, size=size)
    randoms = [generator("profile view", *key, number) for number in range(2)]
    return list(augment_jpeg(jpeg, randoms, config))


# --- the profile --------------------------------------------------------------------------------


def profile_of(features: FrameFeatures, chosen: Sequence[ChosenFrame], *, seed: int) -> Profile:
    """Compute the invariance profile from features.

    Args:
        features: Features in the order of `chosen`.
        chosen: The frame of each row.
        seed: Seed of the bootstrap.
    """
    videos = torch.tensor([frame.video for frame in chosen])
    shots = torch.tensor([frame.row for frame in chosen])
    same_video, same_shot = videos[:, None] == videos, shots[:, None] == shots
    itself = torch.eye(len(chosen), dtype=torch.bool)
    distance = distances(features.plain)
    between = _Between(distance, videos)
    view_distance = paired_distances(features.first, features.second)
    view_search = _first_to_second(features)
    pairs = {
        "view": (torch.diag(view_distance), itself),
        "shot": (distance, same_shot & ~itself),
        "video": (distance, same_video & ~same_shot),
    }
    searches = {
        "view": (view_search, itself, torch.ones_like(itself)),
        "shot": (distance, same_shot & ~itself, ~itself),
        "video": (distance, same_video & ~same_shot, ~same_shot),
    }
    levels = {
        name: _level(*pairs[name], searches[name], between, videos, seed)
        for name in LEVELS
        if bool(pairs[name][1].any())
    }
    return Profile(
        levels=levels,
        others=estimate(between, between.units, seed),
        alignment=2 * float(view_distance.mean()),
        uniformity=uniformity(distance),
        rankme=rankme(features.plain),
        embedding_std=embedding_std(features.plain),
    )


def _first_to_second(features: FrameFeatures) -> Float[Tensor, "N N"]:
    """Return cosine distances from each first view to all second views."""
    count = len(features.first)
    return distances(torch.cat([features.first, features.second]))[:count, count:]


class _Between:
    """The mean distance between videos, as a statistic of weighted videos.

    Pairs of a video with itself are excluded, even if a resample contains it twice.
    """

    def __init__(self, distance: Float[Tensor, "N N"], videos: Int[Tensor, " N"]) -> None:
        members = _members(videos)
        counts = members.sum(axis=0)
        self.units = len(counts)
        self._mean = members.T @ distance.numpy() @ members / np.outer(counts, counts)

    def __call__(self, weights: Weights) -> Float[np.ndarray, " R"]:
        own = weights**2 @ np.diag(self._mean)
        total = ((weights @ self._mean) * weights).sum(axis=1) - own
        return divided(total, weights.sum(axis=1) ** 2 - (weights**2).sum(axis=1))


def _level(
    distance: Float[Tensor, "N N"],
    pairs: Bool[Tensor, "N N"],
    search: tuple[Float[Tensor, "N N"], Bool[Tensor, "N N"], Bool[Tensor, "N N"]],
    between: _Between,
    videos: Int[Tensor, " N"],
    seed: int,
) -> Level:
    members = _members(videos)
    number = pairs.sum(dim=1).double().numpy() @ members
    summed = (distance * pairs).sum(dim=1).numpy() @ members
    has_pairs = (number > 0).astype(float)
    mean = share(summed / np.maximum(number, 1), has_pairs)
    found = answers(*search)
    asked = found.is_query.double()
    queries = asked.numpy() @ members
    return Level(
        ratio=estimate(lambda w: divided(mean(w), between(w)), between.units, seed),
        distance=estimate(mean, between.units, seed),
        hit=fraction((found.hit * asked).numpy() @ members, queries, seed),
        chance=float((found.chance * asked).sum() / asked.sum()),
        videos=int(has_pairs.sum()),
    )


def _members(videos: Int[Tensor, " N"]) -> Float[np.ndarray, "N U"]:
    """Return 1 where a frame (row) belongs to a video (column), else 0."""
    one_hot: Float[np.ndarray, "N U"] = torch.nn.functional.one_hot(videos).double().numpy()
    return one_hot
