"""What a MODEL argument means: a run, an exported file or folder, or a timm name.

runs/first                  a run folder: its newest whole checkpoint, averaged weights if kept
backbone.safetensors        a file that `footage export --to safetensors` wrote
exported/                   a folder that `footage export --to timm` wrote
resnet50.a1_in1k            a timm name with its tag: those weights (timm fetches them)
resnet50                    a bare timm name: random weights
"""

import dataclasses
import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from footage import checkpoint, configuration, runs
from footage.backbone import (
    Backbone,
    BackboneConfig,
    Preprocessing,
    build,
    load_weights,
    usual_size,
)
from footage.errors import CheckpointError, ConfigError

HEADER = "footage"
"""Key of the description in the header of an exported safetensors file."""


class Model(NamedTuple):
    """A backbone with all that is needed to use it."""

    name: str
    """As the user gave it."""
    backbone: Backbone
    """In evaluation mode, on the CPU, in float32."""
    start: str
    """Where its weights come from, in words."""

    @property
    def preprocessing(self) -> Preprocessing:
        """How pixels become its input."""
        return self.backbone.preprocessing


def load(spec: str, *, size: int = 0, seed: int = 0) -> Model:
    """The model that `spec` names.

    Args:
        spec: See the module's docstring.
        size: Input height and width in pixels; 0 keeps the model's own.
        seed: Seed of the random weights of a bare timm name.

    Raises:
        CheckpointError: The run or the file cannot be read.
        ConfigError: Nothing of that name exists, or the weights do not fit.
    """
    path = Path(spec)
    if (path / runs.RUN).is_file():
        return _from_run(spec, path, size)
    if (path / "config.json").is_file():
        return _from_timm_folder(spec, path, size)
    if path.is_file():
        return _from_file(spec, path, size)
    if path.exists() or "/" in spec or spec.endswith(".safetensors"):
        raise CheckpointError(
            f"{spec!r} is no run, exported file or timm folder",
            "give a folder with run.json, a .safetensors file, or a timm name such as resnet50",
        )
    return _from_timm(spec, size, seed)


def untrained(model: Model, *, seed: int) -> Model:
    """The same architecture and preprocessing with random weights."""
    config = BackboneConfig(
        architecture=model.backbone.architecture, options=model.backbone.options
    )
    backbone, start = build(config, size=model.preprocessing.size, seed=seed)
    backbone.preprocessing = model.preprocessing
    return Model(f"{model.name} untrained", backbone.eval(), start)


def describe(model: Model) -> dict[str, Any]:
    """What must travel with the weights, as JSON values."""
    return {
        "architecture": model.backbone.architecture,
        "options": model.backbone.options,
        "feature_dim": model.backbone.feature_dim,
        "preprocessing": configuration.to_dict(model.preprocessing),
        "start": model.start,
    }


def _from_run(spec: str, run: Path, size: int) -> Model:
    record = runs.read_record(run)
    found = checkpoint.newest(run / runs.CHECKPOINTS)
    if found is None:
        raise CheckpointError(f"run {spec} has no checkpoint yet", "let `footage train` go further")
    weights = found.tensors.get("ema") or found.tensors["model"]
    start = f"step {found.step} of {spec}, begun from {record['model']['start']}"
    return _assemble(spec, record["model"], start, size, backbone_part(weights))


def backbone_part(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The backbone's tensors of a checkpoint, under the names that the timm network gives them.

    Of self-distillation the teacher's, which are the better ones (Caron et al. 2021, section 5.2).
    """
    has_teacher = any(name.startswith("teacher.network.") for name in weights)
    prefix = "teacher.network." if has_teacher else "backbone.network."
    return {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}


def describes_itself(path: Path) -> bool:
    """Whether a safetensors file says of which architecture it is, as exported ones do."""
    try:
        with safe_open(path, framework="pt") as file:
            return HEADER in (file.metadata() or {})
    except (OSError, SafetensorError):
        return False  # reading the weights will say what is wrong


def _from_file(spec: str, path: Path, size: int) -> Model:
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get(HEADER, "null"))
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, ValueError, SafetensorError) as error:
        raise CheckpointError(f"{spec!r} cannot be read as safetensors: {error}") from error
    if header is None:
        raise CheckpointError(
            f"{spec!r} does not say of which architecture it is",
            "give a file that `footage export --to safetensors` wrote",
        )
    return _assemble(spec, header, header["start"], size, weights)


def _from_timm_folder(spec: str, folder: Path, size: int) -> Model:
    record = json.loads((folder / "config.json").read_text())
    cfg = record["pretrained_cfg"]
    config = BackboneConfig(
        architecture=record["architecture"], options=record.get("model_args", {})
    )
    size = size or int(cfg["input_size"][-1])
    backbone, _ = build(config, size=size, seed=0)
    load_weights(backbone, folder / "model.safetensors")
    mean, std = tuple(cfg["mean"]), tuple(cfg["std"])
    backbone.preprocessing = Preprocessing(size=size, mean=mean, std=std)
    return Model(spec, backbone.eval(), f"weights of {spec}")


def _from_timm(spec: str, size: int, seed: int) -> Model:
    config = BackboneConfig(architecture=spec)
    size = size or usual_size(spec)
    backbone, start = build(config, size=size, seed=seed, use_tag="." in spec)
    return Model(spec, backbone.eval(), start)


def _assemble(
    spec: str, record: dict[str, Any], start: str, size: int, weights: dict[str, Tensor]
) -> Model:
    preprocessing = configuration.from_dict(Preprocessing, record["preprocessing"])
    if size:
        preprocessing = dataclasses.replace(preprocessing, size=size)
    backbone = Backbone(record["architecture"], size=preprocessing.size, options=record["options"])
    backbone.preprocessing = preprocessing
    try:
        backbone.network.load_state_dict(weights)
    except RuntimeError as error:
        problem = re.sub(r"\s+", " ", str(error))
        raise ConfigError(f"the weights of {spec!r} do not fit: {problem[:200]}") from error
    return Model(spec, backbone.eval(), start)


def best_device() -> torch.device:
    """The device that is used when none is named: a GPU when there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
