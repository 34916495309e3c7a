"""The command `footage export`: a backbone as files for other programs, verified by reading back.

    --to timm          OUT/config.json, OUT/model.safetensors: timm reads them by `local-dir:OUT`
    --to safetensors   one file; its header contains architecture and preprocessing

The output is reloaded and must reproduce the original's features on random images. Only then does
it get its final name.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

import footage._torchvision_compat  # (must come before timm)
from footage import arguments
from footage.arguments import Location
from footage.commands.settings import Target
from footage.errors import CheckpointError, ConfigError
from footage.io import files, tensors
from footage.models import load as models
from footage.models.load import TIMM_CONFIG, TIMM_WEIGHTS
from footage.runs import layout, records

import timm  # isort: skip

LARGEST_DIFFERENCE: Final = 1e-5
"""Absolute, on features of random images. The same operations run on the same weights: expect 0."""

NUM_PARITY_IMAGES: Final = 4

SPACE_FOR_TEXT: Final = 2**18
"""Bytes that headers and config.json take at most, next to the weights."""


class Exported(NamedTuple):
    """What was written and how well it agrees with the original."""

    path: Path
    to: Target
    largest_difference: float
    """Largest absolute difference of any feature between the original and what was read back."""
    usage: str
    """Python that loads it, as one line for a fresh interpreter."""


def export(model: Location, *, to: Target, out: Location = "") -> Exported:
    """Write a backbone for other programs.

    Args:
        model: A run folder, an exported file or folder, or a timm name.
        to: The output format.
        out: The folder (timm) or file (safetensors); for a run, the default is in `RUN/exports/`.

    Raises:
        CheckpointError: The model cannot be read, or what was written does not agree with it.
        ConfigError: The format is unknown, or `out` contains something else.
        OutputError: The files cannot be written.
    """
    if to not in ("timm", "safetensors"):
        raise ConfigError(f"to must be timm or safetensors, got {to!r}", "add --to timm")
    name = arguments.location(model, "model")
    loaded = models.load(name)
    path = Path(arguments.location(out, "out")) if str(out) else _default_place(name, to)
    target = path.resolve()
    if to == "timm":
        _check_folder(target)
    else:
        _check_file(target)
    num_bytes = sum(t.numel() * t.element_size() for t in _weights(loaded).values())
    with files.exclusive(target.with_name(f".{target.name}.lock"), target):
        files.require_space(target, num_bytes + SPACE_FOR_TEXT, "an export")
        if to == "timm":
            with files.atomic_folder(target) as temporary:
                _write_timm_folder(loaded, temporary)
                difference = _timm_difference(loaded, temporary)
                _check_difference(loaded, difference)
        else:
            with files.atomic_write(target) as temporary:
                write_file(loaded, temporary)
                difference = _largest_difference(loaded, models.load(str(temporary)))
                _check_difference(loaded, difference)
    return Exported(path, to, difference, _usage(target, to))


def _check_difference(model: models.Model, difference: float) -> None:
    if not difference <= LARGEST_DIFFERENCE:
        raise CheckpointError(
            f"the exported {model.backbone.architecture} differs from the original by "
            f"{difference:.2g}, more than {LARGEST_DIFFERENCE:.0e}",
            "check the weights for values that are not finite; otherwise this is a bug in footage"
            " or timm, so please report it",
        )


def _default_place(model: str, to: Target) -> Path:
    run = Path(model)
    if not (run / layout.RUN).is_file():
        raise ConfigError(f"{model!r} is not a run, so --out is required", "add --out PATH")
    return run / "exports" / ("timm" if to == "timm" else "backbone.safetensors")


def _usage(path: Path, to: Target) -> str:
    if to == "safetensors":
        return f"import footage; model = footage.load({str(path)!r})"
    needed = footage._torchvision_compat.KEPT_ALIVE
    first = "import footage._torchvision_compat; " * bool(needed)
    name = f"local-dir:{path}"
    return (
        f"{first}import timm; network = timm.create_model({name!r}, pretrained=True, num_classes=0)"
    )


# --- timm --------------------------------------------------------------------------------------


def _write_timm_folder(model: models.Model, folder: Path) -> None:
    tensors.write(folder / TIMM_WEIGHTS, _weights(model), {"format": "pt"})
    digest = files.sha256(folder / TIMM_WEIGHTS)
    records.TIMM.write(folder / TIMM_CONFIG, _timm_config(model, digest))


def _timm_config(model: models.Model, weights_sha256: str) -> dict[str, Any]:
    """The layout that timm's `local-dir:` and `hf-hub:` sources read."""
    network_cfg: Mapping[str, Any] = model.backbone.network.pretrained_cfg
    preprocessing = model.preprocessing
    return {
        "architecture": model.backbone.architecture.partition(".")[0],
        "num_classes": 0,
        "num_features": model.backbone.feature_dim,
        "pretrained_cfg": {
            "num_classes": 0,
            "input_size": [3, preprocessing.size, preprocessing.size],
            "fixed_input_size": bool(network_cfg.get("fixed_input_size", False)),
            "mean": list(preprocessing.mean),
            "std": list(preprocessing.std),
            # The closest to our resize, which averages areas, that timm has: a squash of the whole
            # image with torchvision's antialiased bilinear filter.
            "interpolation": "bilinear",
            "crop_mode": "squash",
            "crop_pct": 1.0,
            "first_conv": network_cfg.get("first_conv"),
            "classifier": network_cfg.get("classifier"),
            "license": "unknown",
        },
        "model_args": model.backbone.options,
        "footage": {**models.describe(model), "weights_sha256": weights_sha256},
    }


def _timm_difference(model: models.Model, folder: Path) -> float:
    """Read back by timm alone and by footage; the larger of the two differences."""
    network = timm.create_model(f"local-dir:{folder}", pretrained=True, num_classes=0).eval()
    images = _random_images(model)
    with torch.no_grad():
        by_timm = float((network(images) - model.backbone(images)).abs().max())
    return max(by_timm, _largest_difference(model, models.load(str(folder))))


def _check_folder(path: Path) -> None:
    """Allow an earlier export to be replaced, and refuse anything else."""
    if path.is_file():
        raise ConfigError(
            f"{str(path)!r} is a file; --to timm writes a folder", "choose another --out"
        )
    if path.is_dir():
        known = {TIMM_CONFIG, TIMM_WEIGHTS}
        foreign = sorted(entry.name for entry in path.iterdir() if entry.name not in known)
        if foreign:
            raise ConfigError(
                f"{str(path)!r} exists and contains other files, such as {foreign[0]!r}",
                "choose another --out",
            )


# --- safetensors -------------------------------------------------------------------------------


def write_file(model: models.Model, path: Path) -> None:
    """Write a backbone as one self-describing safetensors file, without verifying it."""
    header = records.HEADER.line(models.describe(model)).strip()
    tensors.write(path, _weights(model), {"format": "pt", models.HEADER: header})


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise ConfigError(
            f"{str(path)!r} is a folder; --to safetensors writes a file", "add a file name to --out"
        )
    if path.suffix != ".safetensors":
        raise ConfigError(
            f"{str(path)!r} must end in .safetensors", "change --out; loaders rely on the suffix"
        )


def _largest_difference(ours: models.Model, theirs: models.Model) -> float:
    if theirs.preprocessing != ours.preprocessing:
        raise CheckpointError(
            f"the preprocessing read back is {theirs.preprocessing}, not {ours.preprocessing}",
            "this is a bug in footage; please report it",
        )
    images = _random_images(ours)
    with torch.no_grad():
        return float((theirs.backbone(images) - ours.backbone(images)).abs().max())


def _random_images(model: models.Model) -> Float[Tensor, "B 3 H W"]:
    generator = torch.Generator().manual_seed(0)
    size = model.preprocessing.size
    return torch.randn(NUM_PARITY_IMAGES, 3, size, size, generator=generator)


def _weights(model: models.Model) -> Mapping[str, Tensor]:
    named: Mapping[str, Tensor] = model.backbone.network.state_dict()
    return named
