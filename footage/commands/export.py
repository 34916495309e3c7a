"""The command `footage export`: a backbone as files for other programs, verified by reloading.

    --to timm          OUT/config.json, OUT/model.safetensors: timm reads them by `local-dir:OUT`
    --to safetensors   one file; its header contains architecture and preprocessing

The output is reloaded and must reproduce the original's features on random images. Only then does
it get its final name. Plugins add formats; see `footage.models.export.base`.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from footage import arguments
from footage.arguments import Location
from footage.errors import CheckpointError, ConfigError, PluginError
from footage.io import files
from footage.io.copies import on_local_copies
from footage.models import load as models
from footage.models.export.base import EXPORTERS, Exporter, weights
from footage.registry import plugin_errors
from footage.runs import layout
from footage.shapes import Features, Images

LARGEST_DIFFERENCE: Final = 1e-5
"""Absolute tolerance for features of random images. The same operations run on the same weights:
expect 0.
"""

NUM_PARITY_IMAGES: Final = 4

SPACE_FOR_TEXT: Final = 2**18
"""Maximum size of headers and config.json, in bytes."""


class Exported(NamedTuple):
    """The output, and its agreement with the original."""

    path: Path
    to: str
    largest_difference: float
    """Largest absolute difference of any feature between the original and the reloaded export."""
    usage: str
    """One line of Python that loads the export in a fresh interpreter."""


@on_local_copies("model", "out")
def export(model: Location, *, to: str, out: Location = "") -> Exported:
    """Export a backbone for other programs.

    Args:
        model: A run folder, an exported file or folder, or a timm name.
        to: The export format: "timm", "safetensors", or the format of a plugin.
        out: The folder (timm) or file (safetensors); for a run, the default is in `RUN/exports/`.

    Raises:
        CheckpointError: The model cannot be read, or the export does not agree with it.
        ConfigError: The format is unknown, or `out` contains something else.
        OutputError: The files cannot be written.
    """
    kind = EXPORTERS.find(to)
    with plugin_errors(f"exporter {to!r} cannot be created", kind):
        exporter = kind()
    name = arguments.location(model, "model")
    loaded = models.load(name)
    path = Path(arguments.location(out, "out")) if str(out) else _default_place(name, exporter)
    target = path.resolve()
    _check_target(target, exporter)
    num_bytes = sum(t.numel() * t.element_size() for t in weights(loaded).values())
    written = files.atomic_write if exporter.suffix else files.atomic_folder
    with files.exclusive(target.with_name(f".{target.name}.lock"), target):
        files.require_space(target, num_bytes + SPACE_FOR_TEXT, "an export")
        with written(target) as temporary:
            with _errors_of(exporter, "write"), files.output_errors(target):
                exporter.write(loaded, temporary)
            difference = _verified_difference(loaded, exporter, temporary)
    with _errors_of(exporter, "usage"):
        usage = exporter.usage(target)
    return Exported(path, to, difference, usage)


def _errors_of(exporter: Exporter, method: str) -> AbstractContextManager[None]:
    return plugin_errors(f"exporter {exporter.name!r} failed in {method}", exporter)


def _default_place(model: str, exporter: Exporter) -> Path:
    run = Path(model)
    if not (run / layout.RUN).is_file():
        raise ConfigError(f"{model!r} is not a run, so --out is required", "add --out PATH")
    return run / "exports" / exporter.default_name


def _check_target(path: Path, exporter: Exporter) -> None:
    """Allow an earlier export to be replaced, and refuse anything else."""
    if exporter.suffix:
        if path.is_dir():
            raise ConfigError(
                f"{str(path)!r} is a folder; --to {exporter.name} writes a file",
                "add a file name to --out",
            )
        if path.suffix != exporter.suffix:
            raise ConfigError(
                f"{str(path)!r} must end in {exporter.suffix}",
                "change --out; loaders rely on the suffix",
            )
    elif path.is_file():
        raise ConfigError(
            f"{str(path)!r} is a file; --to {exporter.name} writes a folder", "choose another --out"
        )
    elif path.is_dir():
        foreign = sorted({entry.name for entry in path.iterdir()} - set(exporter.contents))
        if foreign:
            raise ConfigError(
                f"{str(path)!r} exists and contains other files, such as {foreign[0]!r}",
                "choose another --out",
            )


def _verified_difference(model: models.Model, exporter: Exporter, path: Path) -> float:
    """Return the largest difference of features after reloading; reject one that is too large."""
    with _errors_of(exporter, "load"):
        loaded = exporter.load(path)
    readers: list[Callable[[Images], Features]] = [loaded]
    if exporter.is_read_by_footage:
        again = models.load(str(path))
        if again.preprocessing != model.preprocessing:
            raise CheckpointError(
                f"the preprocessing read back is {again.preprocessing}, not {model.preprocessing}",
                "this is a bug in footage; please report it",
            )
        readers.append(again.backbone)
    images = _random_images(model)
    with torch.no_grad():
        expected = model.backbone(images)
        with _errors_of(exporter, "the function that load returned"):
            found = [reader(images) for reader in readers]
        for features in found:
            _check_features(exporter, features, expected)
        difference = max(float((features - expected).abs().max()) for features in found)
    if not difference <= LARGEST_DIFFERENCE:
        raise CheckpointError(
            f"the exported {model.backbone.architecture} differs from the original by "
            f"{difference:.2g}, more than {LARGEST_DIFFERENCE:.0e}",
            "check the weights for values that are not finite; otherwise this is a bug in footage"
            " or timm, so please report it",
        )
    return difference


def _check_features(exporter: Exporter, features: Any, expected: Features) -> None:  # noqa: ANN401
    is_tensor = isinstance(features, Tensor)
    if not is_tensor or features.shape != expected.shape:
        found = f"shape {tuple(features.shape)}" if is_tensor else type(features).__name__
        raise PluginError(
            f"exporter {exporter.name!r}: the function that load returned must return a tensor of"
            f" shape {tuple(expected.shape)}, got {found}",
            "return one vector of features per image",
        )


def _random_images(model: models.Model) -> Float[Tensor, "B 3 H W"]:
    generator = torch.Generator().manual_seed(0)
    size = model.preprocessing.size
    return torch.randn(NUM_PARITY_IMAGES, 3, size, size, generator=generator)
