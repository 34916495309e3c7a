"""A frozen network whose features a student learns from."""

import torch
from torch import nn
from torch.nn import functional

from footage.models.config import Preprocessing
from footage.models.load import Model
from footage.shapes import Features, Images, Tensor


class FrozenTeacher:
    """A model in evaluation mode without gradients.

    It is not a torch module, so that the module that trains with it neither saves its weights nor
    counts them as its own.

    Args:
        model: The model; its weights are shared, not copied.
    """

    def __init__(self, model: Model) -> None:
        self.name = model.name
        self.weights_origin = model.weights_origin
        self.backbone = model.backbone.eval().requires_grad_(False)

    @property
    def feature_dim(self) -> int:
        """Return the length of its features."""
        return self.backbone.feature_dim

    @property
    def preprocessing(self) -> Preprocessing:
        """Return the preprocessing of its input."""
        return self.backbone.preprocessing

    def to(self, device: torch.device, memory_format: torch.memory_format) -> None:
        """Move the network to a device and into a memory format."""
        nn.Module.to(self.backbone, device, memory_format=memory_format)  # type: ignore[call-overload]

    def __call__(self, images: Images) -> Features:
        """Compute features of images with its own normalisation; resize them to its input size."""
        size = self.preprocessing.size
        if images.shape[-1] != size:
            images = functional.interpolate(images, (size, size), mode="bilinear", antialias=True)
        with torch.no_grad():
            features: Tensor = self.backbone(images)
        return features
