"""Propagate the mask of the first frame through a clip by its nearest patch features.

Each cell of a frame takes the weighted mean label of its most similar cells in the first frame and
in the previous frames, near its own place (Jabri et al. 2020, https://arxiv.org/abs/2006.14613).
The values are those of DINO for DAVIS 2017 (Caron et al. 2021, https://arxiv.org/abs/2104.14294,
section 4.2.2, and its public code):

    context     the first frame and the 7 previous ones, with their soft labels
    neighbours  the 5 most similar cells, weighted by exp(cosine / 0.1)
    place       at most 12 cells away in each direction, on a map with 30 cells on its short side

Deviation: the radius is scaled with the short side of the map, so that it is the same part of the
frame for every network; DINO uses 12 cells for every map.
Deviation: labels are enlarged to the size of the frame in one step; DINO enlarges them to the size
of the input, and the decision to that of the frame.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from footage.evaluation.mask_clips import Indexes

MOST_SIMILARITIES: Final = 2**25
"""Similarities in memory at a time."""

Maps = Float[Tensor, "F h w D"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Propagation:
    """Settings of the propagation."""

    neighbours: int = 5
    """Number of cells from which a cell takes its label."""
    temperature: float = 0.1
    """Temperature of the softmax of their similarities."""
    previous_frames: int = 7
    """Number of previous frames in the context, next to the first frame."""
    radius: int = 12
    """Distance in cells within which neighbours are searched for, on a map of `radius_cells`."""
    radius_cells: int = 30
    """Cells on the short side of the map that the radius is meant for: a stride of 16 pixels at
    480 pixels."""

    def radius_of(self, height: int, width: int) -> int:
        """The radius on a map of another size."""
        return max(1, round(self.radius / self.radius_cells * min(height, width)))


DINO: Final = Propagation()
"""The settings of Caron et al. 2021."""


def propagate(
    maps: Maps, first: Indexes, objects: list[int], settings: Propagation = DINO
) -> list[Indexes]:
    """Return the mask of each frame; the first one is the given mask.

    Args:
        maps: Feature maps of all frames.
        first: The mask of the first frame, in pixels.
        objects: Indexes of its objects.
        settings: Settings of the propagation.
    """
    count, height, width, _ = maps.shape
    features = functional.normalize(maps.flatten(1, 2), dim=2)
    allowed = neighbourhood(height, width, settings.radius_of(height, width)).to(maps.device)
    indexes = np.asarray([0, *objects], np.uint8)
    labels = [_one_hot(first, objects, height, width).to(maps.device)]
    previous: deque[int] = deque(maxlen=settings.previous_frames)
    masks = [np.where(np.isin(first, objects), first, 0).astype(np.uint8)]
    for number in range(1, count):
        context = [0, *previous]
        found = _propagated(
            features[number],
            features[context].flatten(0, 1),
            torch.cat([labels[each] for each in context]),
            allowed,
            settings,
        )
        labels.append(found)
        previous.append(number)
        grid = found.T.reshape(1, len(indexes), height, width)
        masks.append(indexes[_decided(grid, first.shape).cpu().numpy()])
    return masks


def neighbourhood(height: int, width: int, radius: int) -> Bool[Tensor, "N N"]:
    """Whether two cells are at most `radius` rows and columns apart."""
    rows, columns = torch.arange(height), torch.arange(width)
    near_rows = (rows[:, None] - rows).abs() <= radius
    near_columns = (columns[:, None] - columns).abs() <= radius
    near = near_rows[:, None, :, None] & near_columns[None, :, None, :]
    return near.reshape(height * width, height * width)


def _propagated(
    target: Float[Tensor, "N D"],
    source: Float[Tensor, "M D"],
    labels: Float[Tensor, "M C"],
    allowed: Bool[Tensor, "N N"],
    settings: Propagation,
) -> Float[Tensor, "N C"]:
    """The weighted mean label of the most similar allowed cells of all frames of the context."""
    num_frames = len(source) // len(allowed)
    together = max(1, MOST_SIMILARITIES // len(source))
    found = []
    for start in range(0, len(target), together):
        part, near = target[start : start + together], allowed[start : start + together]
        similarity = part @ source.T
        similarity.masked_fill_(~near.repeat(1, num_frames), -torch.inf)
        nearest = similarity.topk(min(settings.neighbours, len(source)), dim=1)
        weights = (nearest.values / settings.temperature).softmax(dim=1)
        found.append((weights[..., None] * labels[nearest.indices]).sum(dim=1))
    return torch.cat(found)


def _one_hot(mask: Indexes, objects: list[int], height: int, width: int) -> Float[Tensor, "N C"]:
    """Background and objects of a mask at the size of the map, by the nearest pixel."""
    pixels = torch.from_numpy(np.ascontiguousarray(mask))[None, None].float()
    small = functional.interpolate(pixels, size=(height, width), mode="nearest-exact").flatten()
    of_objects = small[:, None] == torch.tensor(objects, dtype=torch.float32)
    return torch.cat([~of_objects.any(dim=1, keepdim=True), of_objects], dim=1).float()


def _decided(labels: Float[Tensor, "1 C h w"], size: tuple[int, ...]) -> Tensor:
    """The label of each pixel; each label is scaled to 0 to 1 over the frame first, as in DINO."""
    large = functional.interpolate(labels, size=size, mode="bilinear", align_corners=False)[0]
    low, high = large.amin(dim=(1, 2), keepdim=True), large.amax(dim=(1, 2), keepdim=True)
    scaled = torch.where(high > low, (large - low) / (high - low).clamp_min(1e-12), 0 * large)
    return scaled.argmax(dim=0)
