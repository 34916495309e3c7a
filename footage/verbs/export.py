"""The verb `footage export`: a backbone as files for other programs, checked by reading back.

    --to timm          OUT/config.json, OUT/model.safetensors: timm reads them by `local-dir:OUT`
    --to safetensors   one file; its header holds architecture and preprocessing

What was written is loaded again and must answer random images as the original does; only then is it
renamed into place.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import torch
from jaxtyping import Float
from safetensors.torch import save_file
from torch import Tensor

import footage.torchvision_compatibility  # noqa: F401  (must come before timm)
from footage import model as models
from footage import runs
from footage.errors import CheckpointError, ConfigError

import timm  # isort: skip

Target = Literal["timm", "safetensors"]

WEIGHTS: Final = "model.safetensors"
CONFIG: Final = "config.json"

LARGEST_DIFFERENCE: Final = 1e-5
"""Absolute, on features of random images. The same operations run on the same weights: expect 0."""

NUM_PARITY_IMAGES: Final = 4


class Exported(NamedTuple):
    """What was written and how well it agrees with the original."""

    path: Path
    to: Target
    largest_difference: float
    """Largest absolute difference of any feature between the original and what was read back."""
    usage: str
    """How to load it, as a line of Python."""


def export(model: str, *, to: Target, out: str | Path = "") -> Exported:
    """Write a backbone for other programs.

    Args:
        model: A run folder, an exported file or folder, or a timm name.
        to: The form.
        out: The folder (timm) or file (safetensors); a run has a default place in `RUN/exports/`.

    Raises:
        CheckpointError: The model cannot be read, or what was written does not agree with it.
        ConfigError: The form is unknown, or something else lies in the place already.
    """
    if to not in ("timm", "safetensors"):
        raise ConfigError(f"to must be timm or safetensors, got {to!r}")
    loaded = models.load(model)
    path = Path(out) if str(out) else _default_place(model, to)
    if to == "timm":
        _refuse_foreign_folder(path)
    else:
        _refuse_folder(path)
    aside = path.resolve().with_name(f".{path.resolve().name}.partial")
    aside.parent.mkdir(parents=True, exist_ok=True)
    try:
        if to == "timm":
            _write_timm_folder(loaded, aside)
            difference = _timm_difference(loaded, aside)
        else:
            write_file(loaded, aside)
            difference = _largest_difference(loaded, models.load(str(aside)))
        if not difference <= LARGEST_DIFFERENCE:
            raise CheckpointError(
                f"the exported {loaded.backbone.architecture} differs from the original by "
                f"{difference:.2g}, allowed are {LARGEST_DIFFERENCE:.0e}",
                "this is a fault of footage or of the installed timm; please report it",
            )
        if path.is_dir():
            shutil.rmtree(path)
        aside.rename(path)
    finally:
        _remove(aside)
    return Exported(path, to, difference, _usage(path, to))


def _default_place(model: str, to: Target) -> Path:
    run = Path(model)
    if not (run / runs.RUN).is_file():
        raise ConfigError(f"{model} is no run, so there is no usual place", "add --out PATH")
    return run / "exports" / ("timm" if to == "timm" else "backbone.safetensors")


def _usage(path: Path, to: Target) -> str:
    if to == "timm":
        return f'timm.create_model("local-dir:{path}", pretrained=True, num_classes=0)'
    return f'footage.model.load("{path}")'


# --- timm --------------------------------------------------------------------------------------


def _write_timm_folder(model: models.Model, folder: Path) -> None:
    _remove(folder)
    folder.mkdir()
    save_file(_weights(model), folder / WEIGHTS, {"format": "pt"})
    (folder / CONFIG).write_text(json.dumps(_timm_config(model), indent=2) + "\n")


def _timm_config(model: models.Model) -> dict[str, Any]:
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
            # The nearest that timm has to our resize, which averages areas: a whole-image squash
            # with torchvision's antialiased bilinear filter.
            "interpolation": "bilinear",
            "crop_mode": "squash",
            "crop_pct": 1.0,
            "first_conv": network_cfg.get("first_conv"),
            "classifier": network_cfg.get("classifier"),
            "license": "unknown",
        },
        "model_args": model.backbone.options,
        "footage": models.describe(model),
    }


def _timm_difference(model: models.Model, folder: Path) -> float:
    """Read back by timm alone and by footage; the larger of the two differences."""
    network = timm.create_model(f"local-dir:{folder}", pretrained=True, num_classes=0).eval()
    images = _random_images(model)
    with torch.no_grad():
        by_timm = float((network(images) - model.backbone(images)).abs().max())
    return max(by_timm, _largest_difference(model, models.load(str(folder))))


def _refuse_foreign_folder(path: Path) -> None:
    """An earlier export is replaced; anything else is somebody's."""
    if path.is_file():
        raise ConfigError(f"{path} is a file; --to timm writes a folder", "give another --out")
    if path.is_dir():
        known = {CONFIG, WEIGHTS}
        foreign = sorted(entry.name for entry in path.iterdir() if entry.name not in known)
        if foreign:
            raise ConfigError(
                f"{path} exists and holds other files, such as {foreign[0]}", "give another --out"
            )


# --- safetensors -------------------------------------------------------------------------------


def write_file(model: models.Model, path: Path) -> None:
    """Write a backbone as one safetensors file that says what it is; nothing is checked."""
    header = json.dumps(models.describe(model))
    save_file(_weights(model), path, {"format": "pt", models.HEADER: header})


def _refuse_folder(path: Path) -> None:
    if path.is_dir():
        raise ConfigError(f"{path} is a folder; --to safetensors writes a file", "add a file name")
    if path.suffix != ".safetensors":
        raise ConfigError(f"{path} must end in .safetensors", "loaders go by the suffix")


def _largest_difference(ours: models.Model, theirs: models.Model) -> float:
    if theirs.preprocessing != ours.preprocessing:
        raise CheckpointError(
            f"the preprocessing read back is {theirs.preprocessing}, not {ours.preprocessing}"
        )
    images = _random_images(ours)
    with torch.no_grad():
        return float((theirs.backbone(images) - ours.backbone(images)).abs().max())


def _random_images(model: models.Model) -> Float[Tensor, "B 3 H W"]:
    generator = torch.Generator().manual_seed(0)
    size = model.preprocessing.size
    return torch.randn(NUM_PARITY_IMAGES, 3, size, size, generator=generator)


def _weights(model: models.Model) -> dict[str, Tensor]:
    """Copies that share no memory, as safetensors asks for."""
    named = model.backbone.network.state_dict()
    return {name: tensor.detach().cpu().contiguous().clone() for name, tensor in named.items()}


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
