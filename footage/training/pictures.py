"""Pictures for loggers: the views of a batch, and nearest neighbours of held-out shots."""

import cv2
import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from footage.evaluation.held_out_frames import HeldOutFrames
from footage.store.reader import evenly
from footage.training.loader import Batch
from footage.training.loggers.base import Picture

ROWS = 8
"""Most rows of a picture: videos, or held-out shots."""

COLUMNS = 12
"""Most views per video."""

NEIGHBOURS = 5
"""Neighbours per held-out shot."""

CELL = 96
"""Largest height and width of an image in a picture, in pixels."""

BORDER = 3
"""Width of the frame around an image, in pixels."""

SAME_VIDEO, OTHER_VIDEO, QUERY = (0, 158, 115), (213, 94, 0), (255, 255, 255)
"""Colours of the frames: green, red (Okabe-Ito palette) and white."""


def views_picture(batch: Batch) -> dict[str, Picture]:
    """Return the picture "views" of a batch: a row for each video, or labelled images."""
    if batch.views is not None:
        videos = batch.views[:ROWS].flatten(1, 3)[:, :COLUMNS]
    elif batch.images is not None:
        columns = min(ROWS, len(batch.images))
        count = min(len(batch.images) // columns, ROWS) * columns
        videos = batch.images[:count].reshape(-1, columns, *batch.images.shape[1:])
    else:
        return {}
    return {"views": _grid([[_cell(image) for image in row] for row in videos.cpu().numpy()])}


def neighbours_picture(frames: HeldOutFrames, features: Float[Tensor, "N D"]) -> Picture:
    """Draw held-out shots, one per row, and to the right the nearest frames of other shots.

    The shots are spread evenly over the held-out videos; each is shown by its first frame, and each
    other shot by its nearest frame. A green frame marks a shot of the same video, a red one a shot
    of another video.
    """
    normalised = torch.nn.functional.normalize(features, dim=1)
    firsts = [
        int((frames.shots == shot).nonzero()[0]) for shot in sorted(set(frames.shots.tolist()))
    ]
    queries = [firsts[place] for place in evenly(len(firsts), ROWS)]
    columns = min(NEIGHBOURS, len(firsts) - 1)
    rows = []
    for query in queries:
        nearest = nearest_shots(normalised @ normalised[query], frames.shots, query)[:columns]
        row = [_cell(frames.images[query].numpy(), QUERY)]
        for place in nearest:
            same = bool(frames.videos[place] == frames.videos[query])
            row.append(_cell(frames.images[place].numpy(), SAME_VIDEO if same else OTHER_VIDEO))
        rows.append(row)
    return _grid(rows)


def nearest_shots(
    similarity: Float[Tensor, " N"], shots: Int[Tensor, " N"], query: int
) -> list[int]:
    """Return the nearest frame of each shot other than the query's, the most similar first."""
    found, seen = [], {int(shots[query])}
    for place in similarity.argsort(descending=True, stable=True).tolist():
        if int(shots[place]) not in seen:
            seen.add(int(shots[place]))
            found.append(place)
    return found


def _cell(
    image: UInt8[np.ndarray, "H W 3"], colour: tuple[int, int, int] = QUERY
) -> UInt8[np.ndarray, "C C 3"]:
    """Shrink an image and draw a frame around it."""
    size = min(CELL, max(image.shape[:2]))
    small = cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)
    edges = (BORDER,) * 4
    framed: UInt8[np.ndarray, "C C 3"] = cv2.copyMakeBorder(
        small, *edges, cv2.BORDER_CONSTANT, value=colour
    )
    return framed


def _grid(rows: list[list[UInt8[np.ndarray, "C C 3"]]]) -> Picture:
    """Put images of equal size next to and below each other."""
    return np.concatenate([np.concatenate(row, axis=1) for row in rows], axis=0)
