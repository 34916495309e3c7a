"""Feature maps of whole frames: one vector per cell of a grid, for a model or for raw pixels.

The map of a network is the deepest one with a stride of at most 16: the last block of a ViT, the
third of the four stages of a ResNet, which is the stage that the literature propagates masks with.
"""

import copy
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from footage.errors import ConfigError
from footage.evaluation import models
from footage.evaluation.models import PIXELS, EvaluatedModel
from footage.models.backbone import Backbone
from footage.models.preprocessing import normalise

MAX_STRIDE: Final = 16
"""Stride of the feature maps in pixels, if the network has such a map."""

FRAMES_TOGETHER: Final = 4
"""Frames per forward pass; they are larger than the images of other tasks."""

PATCH: Final = 4
"""Height and width of the pixels of a cell, for the baseline of raw pixels."""

Frames = UInt8[np.ndarray, "F H W 3"]
"""The frames of a clip, which have the same size."""
Maps = Float[Tensor, "F h w D"]


class MapExtractor(NamedTuple):
    """One way to turn the frames of a clip into feature maps."""

    stride: int
    """Height and width of a cell in pixels of the input."""
    function: Callable[[Frames], Maps]
    """Feature maps of frames whose height and width are multiples of the stride."""

    def maps(self, frames: Frames, short_side: int) -> Maps:
        """Return the feature maps of frames that are resized to a height or width first.

        The longer side keeps the proportions. Both are rounded to multiples of the stride.
        """
        scale = short_side / min(frames.shape[1:3])
        height, width = (
            max(1, round(scale * side / self.stride)) * self.stride for side in frames.shape[1:3]
        )
        return self.function(np.stack([_scaled(each, height, width) for each in frames]))


class FrozenMaps(NamedTuple):
    """A model as an extractor of feature maps, and its description as JSON values."""

    extractor: MapExtractor
    described: dict[str, Any]


def frozen_maps(model: EvaluatedModel, device: torch.device) -> FrozenMaps:
    """Load a model, or the baseline of raw pixels, for feature maps.

    Raises:
        ConfigError: It cannot be loaded, or it has no feature map.
        CheckpointError: It cannot be read.
    """
    if model.model == PIXELS:
        described = models.describe(model) | {"size": model.size}
        return FrozenMaps(MapExtractor(MAX_STRIDE, _colours), described)
    if not model.has_backbone:
        raise ConfigError(
            f"{model.name} only provides one vector per image, and masks need a feature map",
            "use a run, an exported file or a timm name",
        )
    loaded = models.load(model, seed=model.seed)
    backbone = loaded.backbone.to(device).eval()
    mean, std = loaded.preprocessing.mean, loaded.preprocessing.std
    of_shape: dict[tuple[int, int], Backbone] = {}

    def function(frames: Frames) -> Maps:
        shape = frames.shape[1], frames.shape[2]
        if shape not in of_shape:
            of_shape[shape] = _for_shape(backbone, shape)
        parts = [
            _map(of_shape[shape], normalise(torch.from_numpy(part), mean, std, device)).cpu()
            for part in np.split(frames, range(FRAMES_TOGETHER, len(frames), FRAMES_TOGETHER))
        ]
        return torch.cat(parts)

    stride = _stride(backbone, model.size)
    return FrozenMaps(MapExtractor(stride, function), models.described_backbone(model, loaded))


def _scaled(frame: UInt8[np.ndarray, "_ _ 3"], height: int, width: int) -> np.ndarray:
    is_smaller = height * width < frame.shape[0] * frame.shape[1]
    how = cv2.INTER_AREA if is_smaller else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(frame, (width, height), interpolation=how), np.uint8)


def _colours(frames: Frames) -> Maps:
    """The colours of the pixels of each cell, shrunk to `PATCH`, around medium grey."""
    cells = [side // MAX_STRIDE for side in frames.shape[1:3]]
    small = [_scaled(each, PATCH * cells[0], PATCH * cells[1]) for each in frames]
    values = torch.from_numpy(np.stack(small)).float() / 255 - 0.5
    grid = values.reshape(len(frames), cells[0], PATCH, cells[1], PATCH, 3)
    return grid.permute(0, 1, 3, 2, 4, 5).flatten(3)


def _for_shape(backbone: Backbone, shape: tuple[int, int]) -> Backbone:
    """The network for frames of a shape: a ViT needs its position embeddings resized."""
    if not hasattr(backbone.network, "set_input_size"):
        return backbone
    changed = copy.deepcopy(backbone)  # every shape starts from the original embeddings
    changed.network.set_input_size(img_size=shape)
    return changed


def _stride(backbone: Backbone, size: int) -> int:
    device = next(backbone.parameters()).device
    rows = _map(backbone, torch.zeros(1, 3, size, size, device=device)).shape[1]
    return max(1, round(size / rows))


def _map(backbone: Backbone, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B _ _ _"]:
    try:
        with torch.no_grad():
            found = backbone.feature_map(images, MAX_STRIDE)
    except (AttributeError, RuntimeError, AssertionError, ValueError) as error:
        height, width = images.shape[2:]
        reason = " ".join(str(error).split())[:200]
        raise ConfigError(
            f"{backbone.architecture} has no feature map of frames with {height} x {width} pixels:"
            f" {reason}",
            "choose another --size, or another architecture such as a ResNet or a ViT",
        ) from error
    if found.ndim != 4:
        raise ConfigError(
            f"{backbone.architecture} has no feature map: its output has {found.ndim} axes",
            "use an architecture such as a ResNet or a ViT",
        )
    return found.float()
