"""A loaded model: features of images and videos in memory.

model = footage.load("runs/first")
model("photo.jpg")              # (D,)
model([picture, array, path])   # (B, D)
model.embed("clip.mp4")         # seconds (F,), features (F, D)
"""

import dataclasses
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor, nn

from footage import arguments
from footage.arguments import Location
from footage.errors import ConfigError, VideoError
from footage.evaluation.features import batches, in_threads, network_input
from footage.images import confined
from footage.images.decode import upright_rgb
from footage.images.limits import ImageError
from footage.images.resize import resized
from footage.ingestion.sources import find, local_copies
from footage.io.copies import pulled
from footage.models import load as models
from footage.models.config import Preprocessing
from footage.results import Fields, Result, View
from footage.video.frame_reader import FrameReader
from footage.video.sandbox import Limits

Pixels = UInt8[np.ndarray, "H W 3"]

BATCH_SIZE: Final = 64
_SHAPES: Final = (
    "pass paths, PIL images, arrays (H, W, 3) or (B, H, W, 3), or tensors (3, H, W) or"
    " (B, 3, H, W), with integers from 0 to 255 or floats from 0 to 1"
)


@dataclasses.dataclass(frozen=True, slots=True, repr=False, eq=False)
class VideoFeatures(Result):
    """Features of the frames of one video."""

    path: str
    seconds: Float[np.ndarray, " F"]
    """Presentation time of each frame, in seconds."""
    features: Float[Tensor, "F D"]
    damage: str
    """Why the rest of the video could not be read; empty if all of it was."""

    def views(self) -> Sequence[View]:
        """Return the sizes, one line each."""
        rows: list[tuple[str, object]] = [
            ("video", self.path),
            ("frames", len(self.seconds)),
            ("seconds", f"{self.seconds[0]:.2f} to {self.seconds[-1]:.2f}"),
            ("features", f"{self.features.shape[1]} per frame"),
        ]
        return [Fields(rows + ([("damage", self.damage)] if self.damage else []))]

    def to_dict(self) -> dict[str, Any]:
        """Return the features as JSON values."""
        lists = {"seconds": self.seconds.tolist(), "features": self.features.tolist()}
        return {"path": self.path, **lists, "damage": self.damage}


class LoadedModel:
    """A model that computes features of images and videos.

    Args:
        model: Backbone and preprocessing.
        device: Where it computes.
        batch_size: Maximum number of images per forward pass.
    """

    def __init__(self, model: models.Model, device: torch.device, batch_size: int) -> None:
        self._model = model._replace(backbone=model.backbone.to(device))
        self.device = device
        self.batch_size = batch_size

    @property
    def name(self) -> str:
        """The argument as the user gave it."""
        return self._model.name

    @property
    def backbone(self) -> nn.Module:
        """Network in evaluation mode; maps normalised images (B, 3, H, W) to features (B, D)."""
        return self._model.backbone

    @property
    def preprocessing(self) -> Preprocessing:
        """Preprocessing of the backbone's input."""
        return self._model.preprocessing

    @property
    def weights_origin(self) -> str:
        """Description of the origin of the weights."""
        return self._model.weights_origin

    def __call__(self, images: Any) -> Tensor:  # noqa: ANN401
        """Compute features of images, preprocessed like in training.

        Args:
            images: One image or several: paths, PIL images, arrays (H, W, 3) or tensors (3, H, W),
                in a list or as one array (B, H, W, 3) or tensor (B, 3, H, W). Values are integers
                from 0 to 255 or floats from 0 to 1, not normalised, of any height and width.

        Returns:
            Features (D,) of one image, or (B, D) of several, on the CPU.

        Raises:
            ConfigError: A value is not an image.
            ImageError: A file cannot be decoded.
        """
        several = _several(images)
        if several is None:
            return self._features(self._squares([images]))[0]
        return self._features(self._squares(several))

    def embed(self, video: Location, *, frames_per_second: int | float = 1.0) -> VideoFeatures:
        """Compute features of the frames of one video, decoded in the sandbox.

        Args:
            video: A file or URL.
            frames_per_second: Frames to sample per second of video.

        Raises:
            ConfigError: `frames_per_second` is out of range.
            VideoError: No frame of the video can be read.
        """
        if not 0 < frames_per_second <= 1000:
            raise ConfigError(
                f"frames_per_second must be above 0 and at most 1000, got {frames_per_second}",
                "pass a number such as 1.0",
            )
        name = arguments.location(video, "video")
        (copy,) = list(find([name], lambda _: False))
        seconds: list[float] = []
        damage: list[str] = []

        def frames(path: Path) -> Iterator[Pixels]:
            with FrameReader(self.preprocessing.size, float(frames_per_second)) as reader:
                try:
                    for frame in reader.frames(path):
                        seconds.append(frame.seconds)
                        yield frame.pixels
                except VideoError as error:
                    if not seconds:
                        raise
                    damage.append(error.message)

        for local in local_copies([copy], Limits().max_file_bytes, keep=1):
            if local.failure:
                raise VideoError(local.failure)
            features = self._features(frames(local.path))
        if not seconds:
            raise VideoError("no frame could be decoded")
        return VideoFeatures(name, np.array(seconds), features, "".join(damage))

    def _features(self, squares: Iterable[Pixels]) -> Tensor:
        found = [torch.zeros(0, self._model.backbone.feature_dim)]
        with torch.inference_mode():
            for batch in batches(squares, self.batch_size):
                inputs = network_input(np.stack(batch), self._model, self.device)
                found.append(self._model.backbone(inputs).float().cpu())
        return torch.cat(found).clone()

    def _squares(self, images: Sequence[Any]) -> Iterator[Pixels]:
        """Yield images as squares of the input size, in order; files are decoded in threads."""
        size = self.preprocessing.size

        def square(image: Any) -> Pixels:  # noqa: ANN401
            if isinstance(image, str | os.PathLike):
                return _of_file(arguments.path(image, "image"), size)
            return resized(_pixels(image), size)

        return in_threads(images, square, ahead=2 * self.batch_size)

    def __repr__(self) -> str:
        backbone = self._model.backbone
        network = f"{backbone.architecture}, {backbone.feature_dim} features"
        return f"<model {self.name!r}: {network}, {self.preprocessing.size} px, on {self.device}>"


def load(
    spec: Location,
    *,
    size: int = 0,
    seed: int = 0,
    device: str | torch.device = "cpu",
    batch_size: int = BATCH_SIZE,
) -> LoadedModel:
    """Load a model for features of images and videos.

    Args:
        spec: A run folder, an exported file or folder, or a timm name; see `footage.models.load`.
        size: Input height and width in pixels; 0 keeps the model's own.
        seed: Seed of the random weights of a bare timm name.
        device: "cpu", "cuda", "cuda:1", or "auto" for a GPU if there is one.
        batch_size: Maximum number of images per forward pass.

    Raises:
        CheckpointError: The run or the file cannot be read.
        ConfigError: Nothing of that name exists, the weights do not fit, or the device or batch
            size cannot be used.
    """
    if batch_size < 1:
        raise ConfigError(f"batch_size must be at least 1, got {batch_size}", "64 is usual")
    chosen = _device(device)
    found = models.load(pulled(arguments.location(spec, "model")), size=size, seed=seed)
    return LoadedModel(found, chosen, batch_size)


def _device(device: str | torch.device) -> torch.device:
    if device == "auto":
        return models.best_device()
    try:
        chosen = torch.device(device)
        torch.zeros(0, device=chosen)
    except (RuntimeError, AssertionError, TypeError, NotImplementedError) as error:
        raise ConfigError(
            f"device {str(device)!r} cannot be used: {str(error).partition(chr(10))[0]}",
            'pass "cpu", "cuda" or "auto"',
        ) from error
    return chosen


def _several(images: Any) -> Sequence[Any] | None:  # noqa: ANN401
    """Return the images of a list, batch or iterator; None for a single image."""
    if isinstance(images, str | os.PathLike | Image.Image):
        return None
    if isinstance(images, np.ndarray | Tensor):
        return list(images) if images.ndim == 4 else None
    if isinstance(images, Iterable) and not isinstance(images, bytes | dict):
        return list(images)
    return None


def _of_file(path: Path, size: int) -> Pixels:
    (found,) = confined.shared().squares([path], [size])
    if isinstance(found, ImageError):
        raise found
    return found[size]


def _pixels(image: Any) -> Pixels:  # noqa: ANN401
    """Return the pixels of a picture, an array or a tensor."""
    if isinstance(image, Image.Image):
        return upright_rgb(image)
    if isinstance(image, Tensor):
        axes = (1, 2, 0) if image.ndim == 3 else tuple(range(image.ndim))
        image = image.detach().cpu().permute(axes).numpy()
    if not isinstance(image, np.ndarray):
        raise ConfigError(f"{arguments.described(image)} is not an image", _SHAPES)
    if image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise ConfigError(f"the shape {image.shape} is not that of an RGB image", _SHAPES)
    if image.dtype == np.uint8:
        return np.ascontiguousarray(image)
    if not np.issubdtype(image.dtype, np.floating):
        raise ConfigError(f"an image of type {image.dtype} cannot be used", _SHAPES)
    low, high = float(image.min()), float(image.max())
    if not 0 <= low <= high <= 1:
        raise ConfigError(f"a float image has values from {low:g} to {high:g}, not 0 to 1", _SHAPES)
    return np.asarray(np.rint(image * 255), dtype=np.uint8)
