"""Compare the features of an export, loaded as its user loads it, with those of the original."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final

import torch
from jaxtyping import UInt8
from torch import Tensor

from footage.errors import CheckpointError, PluginError
from footage.models import load as models
from footage.models.export.base import Exporter
from footage.models.load import Model
from footage.models.preprocessing import normalise
from footage.registry import plugin_errors
from footage.shapes import Features, Images

NUM_IMAGES: Final = 4


def errors_of(exporter: Exporter, method: str) -> AbstractContextManager[None]:
    """Report an exception of a plugin's exporter as one error that names the method."""
    return plugin_errors(f"exporter {exporter.name!r} failed in {method}", exporter)


def verified_difference(model: Model, exporter: Exporter, path: Path) -> float:
    """Reload an export and return the largest difference of its features from the original.

    Args:
        model: The original.
        exporter: What wrote the export.
        path: The file or folder.

    Raises:
        CheckpointError: The difference exceeds the tolerance of the format.
        PluginError: The exporter raises an exception, or returns something else than features.
    """
    with errors_of(exporter, "load"):
        loaded = exporter.load(path)
    pixels = _random_pixels(model)
    images = normalise(pixels, model.preprocessing.mean, model.preprocessing.std, "cpu")
    readers: list[tuple[Callable[[Any], Features], Tensor]] = [
        (loaded, pixels if exporter.settings.with_preprocessing else images)
    ]
    if exporter.is_read_by_footage:
        readers.append((_read_again(model, path), images))
    with torch.no_grad():
        expected = model.backbone(images)
        with errors_of(exporter, "the function that load returned"):
            found = [reader(values) for reader, values in readers]
    for features in found:
        _check_features(exporter, features, expected)
    difference = max(float((features - expected).abs().max()) for features in found)
    with errors_of(exporter, "tolerance_for"):
        tolerance = exporter.tolerance_for(model)
    allowed = tolerance * max(1.0, float(expected.abs().max()))
    if not difference <= allowed:
        raise CheckpointError(
            f"the exported {model.backbone.architecture} differs from the original by "
            f"{difference:.2g}, more than {allowed:.0e}",
            "check the weights for values that are not finite; otherwise this is a bug in footage"
            " or in the library that wrote the export, so please report it",
        )
    return difference


def _read_again(model: Model, path: Path) -> Callable[[Images], Features]:
    again = models.load(str(path))
    if again.preprocessing != model.preprocessing:
        raise CheckpointError(
            f"the preprocessing read back is {again.preprocessing}, not {model.preprocessing}",
            "this is a bug in footage; please report it",
        )
    return again.backbone


def _check_features(exporter: Exporter, features: Any, expected: Features) -> None:  # noqa: ANN401
    is_tensor = isinstance(features, Tensor)
    if not is_tensor or features.shape != expected.shape:
        found = f"shape {tuple(features.shape)}" if is_tensor else type(features).__name__
        raise PluginError(
            f"exporter {exporter.name!r}: the function that load returned must return a tensor of"
            f" shape {tuple(expected.shape)}, got {found}",
            "return one vector of features per image",
        )


def _random_pixels(model: Model) -> UInt8[Tensor, "B H W 3"]:
    generator = torch.Generator().manual_seed(0)
    size = model.preprocessing.size
    shape = (NUM_IMAGES, size, size, 3)
    return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
