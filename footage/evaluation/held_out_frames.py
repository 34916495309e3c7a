"""Frames of the videos that training holds out, decoded once."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from footage.data.batches import FrameSource
from footage.data.views import decode_resized
from footage.store.reader import evenly


class HeldOutFrames(NamedTuple):
    """Frames of held-out videos, decoded once."""

    images: UInt8[Tensor, "N H W 3"]
    videos: Int[Tensor, " N"]
    """Frames with equal numbers belong to the same video."""
    shots: Int[Tensor, " N"]
    """Frames with equal numbers belong to the same shot."""


NO_FRAMES = HeldOutFrames(
    torch.zeros((0, 1, 1, 3), dtype=torch.uint8),
    torch.zeros(0, dtype=torch.int64),
    torch.zeros(0, dtype=torch.int64),
)
"""An empty set."""


def held_out_frames(
    store: FrameSource, held_out: Sequence[str], *, size: int, frames: int, frames_per_shot: int = 4
) -> HeldOutFrames:
    """Decode at most `frames` frames of the held-out videos, evenly spread over their shots.

    Args:
        store: The frame store.
        held_out: Ids of the videos that are never used for training.
        size: Height and width in pixels; frames are resized to squares without cropping.
        frames: Maximum number of frames; shots are selected evenly from all videos.
        frames_per_shot: Number of frames per shot, evenly spread over its length.
    """
    names = np.asarray(store.shots["video"].to_pylist(), dtype=object)
    rows = np.flatnonzero(np.isin(names, list(held_out)))
    rows = rows[evenly(len(rows), max(frames // frames_per_shot, 1))]
    images, videos, shots = [], [], []
    numbers = {name: number for number, name in enumerate(sorted(set(held_out)))}
    for row in rows.tolist():
        length = store.shots["num_frames"][row].as_py()
        chosen = evenly(length, frames_per_shot)
        for jpeg in store.encoded(row, chosen):
            images.append(torch.from_numpy(decode_resized(jpeg, size)))
            videos.append(numbers[names[row]])
            shots.append(row)
    if not images:
        return NO_FRAMES
    return HeldOutFrames(torch.stack(images), torch.tensor(videos), torch.tensor(shots))
