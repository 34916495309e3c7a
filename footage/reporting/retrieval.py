"""Retrieve the frames of other videos that are nearest to a query, without labels."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from footage.data.views import decode, resized
from footage.evaluation.features import batches, model_extractor
from footage.models.load import Model, best_device
from footage.reporting.thumbnails import ShownFrame
from footage.store.reader import Store, evenly


class Found(NamedTuple):
    """A frame and its cosine similarity to the query."""

    frame: ShownFrame
    similarity: float


class Answer(NamedTuple):
    """A query frame and the nearest frames of other videos, in order of similarity."""

    query: ShownFrame
    found: list[Found]


class Gallery(NamedTuple):
    """Frames to search; the first ones are the queries."""

    frames: list[ShownFrame]
    num_queries: int
    are_held_out: bool
    """Whether the queries come from held-out videos rather than from any video."""


def gallery(store: Store, held_out: Sequence[str], *, num_queries: int, num_frames: int) -> Gallery:
    """Select queries from held-out videos, and other frames evenly from the store.

    The middle frame represents a shot. Without held-out videos, queries come from any video.
    """
    names = store.shots["video"].to_pylist()
    asking = [row for row, name in enumerate(names) if name in set(held_out)]
    are_held_out = bool(asking)
    asking = asking or list(range(len(names)))
    queries = [asking[place] for place in evenly(len(asking), num_queries)]
    others = [row for row in range(len(names)) if row not in set(queries)]
    others = [others[place] for place in evenly(len(others), num_frames - len(queries))]
    frames = [_middle(store, row) for row in [*queries, *others]]
    return Gallery(frames, len(queries), are_held_out)


def answers(model: Model, searched: Gallery, *, num_found: int) -> list[Answer]:
    """Find the nearest frames by cosine similarity for each query, at most one per other video."""
    features = torch.nn.functional.normalize(_features(model, searched.frames), dim=1)
    similarity = features[: searched.num_queries] @ features.T
    return [
        Answer(
            searched.frames[query],
            _nearest(searched.frames, query, similarity[query], num_found),
        )
        for query in range(searched.num_queries)
    ]


def _nearest(
    frames: Sequence[ShownFrame], query: int, similarity: Float[Tensor, " N"], num_found: int
) -> list[Found]:
    seen = {frames[query].video}
    found: list[Found] = []
    for place in similarity.argsort(descending=True, stable=True).tolist():
        if len(found) == num_found:
            break
        if frames[place].video not in seen:
            seen.add(frames[place].video)
            found.append(Found(frames[place], float(similarity[place])))
    return found


def _features(model: Model, frames: Sequence[ShownFrame]) -> Float[Tensor, "N D"]:
    extractor = model_extractor(model, best_device())
    parts = []
    for batch in batches(frames, 64):
        pixels = [resized(decode(frame.jpeg, extractor.size), extractor.size) for frame in batch]
        parts.append(extractor.function(np.stack(pixels)))
    return torch.cat(parts)


def _middle(store: Store, row: int) -> ShownFrame:
    shot = store.shots.slice(row, 1).to_pylist()[0]
    frame = store.frames_of_shot(row)[shot["num_frames"] // 2]
    return ShownFrame(shot["video"], shot["shot"], frame.seconds, frame.jpeg)
