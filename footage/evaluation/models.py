"""Models that can be evaluated: backbones, ONNX files, functions and the baselines.

    runs/first, file.safetensors, resnet50.a1_in1k    a backbone: frozen or fine-tuned
    model.onnx, a Python function                     features only: frozen protocols
    pixels                                            the image itself, 16 x 16
    chance                                            no input: predicts the most common class

Normalisation and input size belong to the model, and every row records them.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor

from footage.errors import ConfigError
from footage.evaluation import onnx
from footage.evaluation.digests import weights_digest
from footage.evaluation.features import (
    FeatureExtractor,
    RawBatch,
    constant_extractor,
    model_extractor,
    pixel_extractor,
)
from footage.evaluation.training_data import NOTHING, TrainingData, training_data, unknown
from footage.io.copies import with_urls
from footage.io.walk import text
from footage.models import load as models
from footage.models.config import Preprocessing
from footage.models.preprocessing import normalise
from footage.runs import layout
from footage.shapes import Features, Images

FeatureFunction = Callable[[Images], Features]

CHANCE: Final = "chance"
PIXELS: Final = "pixels"
RANDOM: Final = "untrained"
BASELINES: Final = (CHANCE, PIXELS, RANDOM)
"""Baselines that a model is compared with, weakest first."""

UNTRAINED: Final = f" {RANDOM}"
"""Name suffix of a network with random weights instead of its own."""

PIXEL_SIZE: Final = 16
"""Height and width of the raw-pixel baseline."""

_AS_IT_IS: Final = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
UNKNOWN: Final = Preprocessing(size=0, mean=_AS_IT_IS[0], std=_AS_IT_IS[1])
"""Preprocessing of a function or a file without any."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluatedModel:
    """A model under test or a baseline, before it is loaded; it is sent to worker processes."""

    model: str | FeatureFunction
    """A MODEL argument, `chance`, `pixels`, or a function from normalised images to features."""
    size: int = 0
    """Input height and width in pixels; 0 uses the model's own."""
    untrained: bool = False
    """Whether to replace its weights with random ones."""
    preprocessing: Preprocessing = UNKNOWN
    """Preprocessing of a function, or of an ONNX file without any; other models have their own."""
    seed: int = 0
    """Seed of random weights, for frozen features."""

    @property
    def name(self) -> str:
        """Its name in results."""
        if isinstance(self.model, str):
            return with_urls(self.model) + UNTRAINED * self.untrained
        return getattr(self.model, "__name__", type(self.model).__name__)

    @property
    def baseline(self) -> str:
        """One of `BASELINES`; empty for a model under test."""
        if self.untrained:
            return RANDOM
        return str(self.model) if self.model in BASELINES else ""

    @property
    def has_backbone(self) -> bool:
        """Whether it can be fine-tuned."""
        return isinstance(self.model, str) and not self._is_onnx and self.model not in BASELINES

    @property
    def run(self) -> Path | None:
        """The folder of the run that trained it; None if it is not a run."""
        path = Path(str(self.model))
        return path if (path / layout.RUN).is_file() else None

    @property
    def training_data(self) -> TrainingData:
        """The data it was trained on, as far as that is recorded."""
        if self.baseline:
            return NOTHING
        return training_data(self.model) if isinstance(self.model, str) else unknown(self.name)

    @property
    def _is_onnx(self) -> bool:
        return isinstance(self.model, str) and self.model.endswith(".onnx")


def with_baselines(model: EvaluatedModel) -> tuple[EvaluatedModel, ...]:
    """The baselines that a model is compared with, then the model.

    Raises:
        ConfigError: It is a baseline itself.
    """
    if model.baseline:
        raise ConfigError(
            f"{model.name!r} is a baseline, and every model is compared with it",
            "choose a model, or evaluate the baseline alone on a suite",
        )
    untrained = (dataclasses.replace(model, untrained=True),) if model.has_backbone else ()
    return (EvaluatedModel(model=CHANCE), EvaluatedModel(model=PIXELS), *untrained, model)


class Frozen(NamedTuple):
    """A model as an extractor of features, and its description as JSON values."""

    extractor: FeatureExtractor
    described: dict[str, Any]
    feature_dim: int = 0
    """Width of the features; 0 if it is not known in advance."""


def load(model: EvaluatedModel, seed: int) -> models.Model:
    """Load the backbone of a model, on the CPU.

    Args:
        model: The model to load.
        seed: Seed of random weights.

    Raises:
        ConfigError: It has no backbone, or does not exist.
        CheckpointError: It cannot be read.
    """
    if not isinstance(model.model, str) or not model.has_backbone:
        raise ConfigError(
            f"{model.name} only provides features and cannot be fine-tuned",
            "use --protocols linear or knn, or a run, an exported file or a timm name",
        )
    loaded = models.load(model.model, size=model.size, seed=seed)
    return models.untrained(loaded, seed=seed) if model.untrained else loaded


def frozen(model: EvaluatedModel, device: torch.device) -> Frozen:
    """Load a model as a feature extractor, with its description.

    Raises:
        ConfigError: It cannot be loaded, or its preprocessing is unknown.
        CheckpointError: It cannot be read.
    """
    if model.has_backbone:
        return _of_backbone(model, load(model, seed=model.seed), device)
    if model.model == CHANCE:
        described = _described(model, "most common class", UNKNOWN)
        return Frozen(constant_extractor(PIXEL_SIZE), described)
    if model.model == PIXELS:
        preprocessing = dataclasses.replace(UNKNOWN, size=PIXEL_SIZE)
        return Frozen(pixel_extractor(PIXEL_SIZE), _described(model, "raw pixels", preprocessing))
    if isinstance(model.model, str):
        opened = onnx.open_file(Path(model.model), model.preprocessing, model.size)
        extractor = _function_extractor(opened.function, opened.preprocessing, torch.device("cpu"))
        return Frozen(extractor, _described(model, opened.weights_origin, opened.preprocessing))
    if model.preprocessing == UNKNOWN:
        raise ConfigError(
            f"the preprocessing of the function {model.name} is missing",
            "add preprocessing=footage.Preprocessing(size=224, mean=(...), std=(...))",
        )
    extractor = _function_extractor(model.model, model.preprocessing, device)
    return Frozen(extractor, _described(model, "a Python function", model.preprocessing))


def describe(model: EvaluatedModel) -> dict[str, Any]:
    """The description of a model as JSON values, with a digest of its weights if it has any."""
    return frozen(model, torch.device("cpu")).described


def described_backbone(model: EvaluatedModel, loaded: models.Model) -> dict[str, Any]:
    """The description of a model with a backbone, once it is loaded."""
    return _described(model, loaded.weights_origin, loaded.preprocessing) | {
        "architecture": loaded.backbone.architecture,
        "options": dict(loaded.backbone.options),
        "weights": weights_digest(loaded.backbone),
    }


def _of_backbone(model: EvaluatedModel, loaded: models.Model, device: torch.device) -> Frozen:
    described = described_backbone(model, loaded)
    return Frozen(model_extractor(loaded, device), described, loaded.backbone.feature_dim)


def _function_extractor(
    function: FeatureFunction, preprocessing: Preprocessing, device: torch.device
) -> FeatureExtractor:
    def features(pixels: RawBatch) -> Features:
        batch = torch.from_numpy(pixels)
        images = normalise(batch, preprocessing.mean, preprocessing.std, device)
        with torch.no_grad():
            found: Tensor = function(images)
        if found.ndim != 2 or len(found) != len(pixels):
            raise ConfigError(
                f"features of {len(pixels)} images have shape {tuple(found.shape)}",
                "return one vector per image: (images, features)",
            )
        return found.float().cpu()

    return FeatureExtractor(preprocessing.size, features)


def _described(model: EvaluatedModel, origin: str, preprocessing: Preprocessing) -> dict[str, Any]:
    return {
        "model": text(model.name),
        "architecture": "",
        "weights_origin": text(origin),
        "size": preprocessing.size,
        "mean": list(preprocessing.mean),
        "std": list(preprocessing.std),
    }
