"""Models that a suite can evaluate: backbones, ONNX files, functions and raw pixels.

    runs/first, file.safetensors, resnet50.a1_in1k    a backbone: frozen or fine-tuned
    model.onnx, a Python function                     features only: frozen protocols
    pixels                                            the image itself, 16 x 16

How pixels are normalised and how large they are belongs to the model, and stands in every row.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor

from footage.errors import ConfigError
from footage.evaluation import onnx
from footage.evaluation.columns import PIXEL_SIZE
from footage.evaluation.digests import weights_digest
from footage.evaluation.features import Column, RawBatch, model_column, pixel_column
from footage.evaluation.training_data import NOTHING, TrainingData, training_data, unknown
from footage.io.walk import text
from footage.models import load as models
from footage.models.config import Preprocessing
from footage.models.preprocessing import normalise
from footage.shapes import Features, Images

FeatureFunction = Callable[[Images], Features]

PIXELS: Final = "pixels"
UNTRAINED: Final = " untrained"
"""What the name of a network with random weights in place of its own ends with."""

UNKNOWN: Final = Preprocessing(size=0, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
"""Of a function or a file that was given without any."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Contender:
    """A model to be judged, before it is loaded; it travels to worker processes."""

    model: str | FeatureFunction
    """A MODEL argument, or a function from normalised images to features."""
    size: int = 0
    """Input pixels; 0 keeps the model's own."""
    untrained: bool = False
    """The same network with random weights."""
    preprocessing: Preprocessing = UNKNOWN
    """Of a function, or of an ONNX file that does not say; other models know theirs."""

    @property
    def name(self) -> str:
        """As results call it."""
        if isinstance(self.model, str):
            return self.model + UNTRAINED * self.untrained
        return getattr(self.model, "__name__", type(self.model).__name__)

    @property
    def has_backbone(self) -> bool:
        """Whether it can be trained further."""
        return isinstance(self.model, str) and not self._is_onnx and self.model != PIXELS

    @property
    def training_data(self) -> TrainingData:
        """The data it was trained on, as far as that is recorded."""
        if self.untrained:
            return NOTHING
        return training_data(self.model) if isinstance(self.model, str) else unknown(self.name)

    @property
    def _is_onnx(self) -> bool:
        return isinstance(self.model, str) and self.model.endswith(".onnx")


class Frozen(NamedTuple):
    """A way to features, and what it is, as JSON values."""

    column: Column
    described: dict[str, Any]


def load(contender: Contender, seed: int) -> models.Model:
    """The backbone of a contender, on the CPU.

    Args:
        contender: Which.
        seed: Of random weights, where it has such.

    Raises:
        ConfigError: It is no backbone, or does not exist.
        CheckpointError: It cannot be read.
    """
    if not isinstance(contender.model, str) or not contender.has_backbone:
        raise ConfigError(
            f"{contender.name} only provides features and cannot be fine-tuned",
            "use --protocols linear or knn, or a run, an exported file or a timm name",
        )
    model = models.load(contender.model, size=contender.size, seed=seed)
    return models.untrained(model, seed=seed) if contender.untrained else model


def frozen(contender: Contender, device: torch.device) -> Frozen:
    """The features of a contender and what it is.

    Raises:
        ConfigError: It cannot be loaded, or its preprocessing is unknown.
        CheckpointError: It cannot be read.
    """
    if contender.has_backbone:
        model = load(contender, seed=0)
        return Frozen(model_column(model, device), _of_model(contender, model))
    if contender.model == PIXELS:
        described = _described(
            contender,
            "raw pixels",
            Preprocessing(size=PIXEL_SIZE, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)),
        )
        return Frozen(pixel_column(PIXEL_SIZE), described)
    if isinstance(contender.model, str):
        opened = onnx.open_file(Path(contender.model), contender.preprocessing, contender.size)
        column = _function_column(opened.function, opened.preprocessing, torch.device("cpu"))
        return Frozen(column, _described(contender, opened.start, opened.preprocessing))
    return _of_function(contender, contender.model, device)


def describe(contender: Contender) -> dict[str, Any]:
    """What a contender is, as JSON values, with a digest of its weights where it has any."""
    return frozen(contender, torch.device("cpu")).described


def _of_function(contender: Contender, function: FeatureFunction, device: torch.device) -> Frozen:
    preprocessing = contender.preprocessing
    if preprocessing == UNKNOWN:
        raise ConfigError(
            f"the function {contender.name} was given without its preprocessing",
            "add preprocessing=footage.Preprocessing(size=224, mean=(...), std=(...))",
        )
    column = _function_column(function, preprocessing, device)
    return Frozen(column, _described(contender, "a Python function", preprocessing))


def _function_column(
    function: FeatureFunction, preprocessing: Preprocessing, device: torch.device
) -> Column:
    def features(pixels: RawBatch) -> Features:
        batch = torch.from_numpy(pixels)
        images = normalise(batch, preprocessing.mean, preprocessing.std, device)
        with torch.no_grad():
            found: Tensor = function(images)
        if found.ndim != 2 or len(found) != len(pixels):
            raise ConfigError(
                f"features of {len(pixels)} images have shape {tuple(found.shape)}",
                "give one vector an image: (images, features)",
            )
        return found.float().cpu()

    return Column(preprocessing.size, features)


def _of_model(contender: Contender, model: models.Model) -> dict[str, Any]:
    return _described(contender, model.start, model.preprocessing) | {
        "architecture": model.backbone.architecture,
        "options": dict(model.backbone.options),
        "weights": weights_digest(model.backbone),
    }


def _described(contender: Contender, start: str, preprocessing: Preprocessing) -> dict[str, Any]:
    return {
        "model": text(contender.name),
        "architecture": "",
        "start": text(start),
        "size": preprocessing.size,
        "mean": list(preprocessing.mean),
        "std": list(preprocessing.std),
    }
