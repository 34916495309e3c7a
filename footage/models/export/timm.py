"""Export as a folder that timm reads by `local-dir:FOLDER` or from the Hugging Face hub."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Final

import footage._torchvision_compat  # noqa: F401  (must come before timm)
from footage.io import files, tensors
from footage.models.export.base import Exporter, register_exporter, weights
from footage.models.load import TIMM_CONFIG, TIMM_WEIGHTS, Model, describe
from footage.models.options import OWN_OPTIONS
from footage.runs import records
from footage.shapes import Features, Images

import timm  # isort: skip

log = logging.getLogger(__name__)

EPSILON_TOLERANCE: Final = 1e-3
"""Tolerance if the layer-norm epsilon differs from timm's, which is 1e-6 in most networks."""


@register_exporter("timm")
class TimmExporter(Exporter):
    """config.json and model.safetensors, in timm's layout."""

    default_name = "timm"
    contents: ClassVar[tuple[str, ...]] = (TIMM_CONFIG, TIMM_WEIGHTS)
    is_read_by_footage = True
    imports_torchvision = True
    states_license = True

    def write(self, model: Model, path: Path) -> None:
        """Write both files; the configuration contains the hash of the weights."""
        own = sorted(OWN_OPTIONS & set(model.backbone.options))
        if own:
            log.warning(
                "timm has no argument for %s, so features computed by timm differ slightly;"
                " footage.load reads it from the export",
                " and ".join(f"{name} = {model.backbone.options[name]}" for name in own),
            )
        tensors.write(path / TIMM_WEIGHTS, weights(model), {"format": "pt"})
        digest = files.sha256(path / TIMM_WEIGHTS)
        records.TIMM.write(path / TIMM_CONFIG, _timm_config(model, digest, self.settings.license))

    def load(self, path: Path) -> Callable[[Images], Features]:
        """The network as timm alone loads it."""
        network = timm.create_model(f"local-dir:{path}", pretrained=True, num_classes=0)
        evaluated: Callable[[Images], Features] = network.eval()
        return evaluated

    def tolerance_for(self, model: Model) -> float:
        """Return a larger one if timm has no argument for the layer-norm epsilon."""
        has_own = bool(OWN_OPTIONS & set(model.backbone.options))
        return EPSILON_TOLERANCE if has_own else self.tolerance

    def usage(self, path: Path) -> str:
        """A call of timm."""
        call = f"timm.create_model({f'local-dir:{path}'!r}, pretrained=True, num_classes=0)"
        return f"import timm; network = {call}"


def _timm_config(model: Model, weights_sha256: str, license: str) -> dict[str, Any]:
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
            "license": license,
        },
        "model_args": {
            name: value for name, value in model.backbone.options.items() if name not in OWN_OPTIONS
        },
        "footage": {**describe(model), "weights_sha256": weights_sha256},
    }
