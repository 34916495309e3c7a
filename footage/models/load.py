"""Load the model that a MODEL argument names: a run, an export, or a timm name.

runs/first                  a run folder: its latest intact checkpoint; of it the weights that early
                            stopping found to be best, or averaged weights, if it keeps them
backbone.safetensors        a file that `footage export --to safetensors` wrote
exported/                   a folder that `footage export --to timm` wrote
resnet50.a1_in1k            a timm name with its tag: those weights (timm fetches them)
dinov2-small/               a folder written by `save_pretrained` of the transformers library
hf-hub:owner/name           a Hugging Face repository in either format (footage fetches it)
resnet50                    a bare timm name: random weights
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from footage import arguments, configuration
from footage.arguments import Location
from footage.errors import CheckpointError
from footage.io import files
from footage.io import tensors as tensor_files
from footage.io.copies import with_urls
from footage.models import lora, networks, pretrained, transformers_format
from footage.models.backbone import Backbone, build, fill, preprocessing_of, usual_size
from footage.models.config import BackboneConfig, Preprocessing
from footage.models.options import OWN_OPTIONS
from footage.runs import checkpoint, layout, records
from footage.runs.checkpoint import Checkpoint
from footage.runs.origin import of_step
from footage.runs.records import ModelRecord, RunRecord

HEADER: Final = "footage"
"""Key of the description in the header of an exported safetensors or ONNX file."""
HUB: Final = "hf-hub:"
"""Prefix of the name of a Hugging Face repository, as in timm."""
TIMM_CONFIG: Final = "config.json"
TIMM_WEIGHTS: Final = "model.safetensors"
"""File in which timm folders keep their weights."""


class Model(NamedTuple):
    """A backbone with everything needed to use it."""

    name: str
    """The argument as the user gave it."""
    backbone: Backbone
    """Network in evaluation mode, on the CPU, in float32."""
    weights_origin: str
    """Description of the origin of its weights."""
    evidence: Mapping[str, Any] = MappingProxyType({})
    """Data, results and warnings of the run that trained it, see `footage.evaluation.evidence`;
    only if it is exported or was loaded from an export."""

    @property
    def preprocessing(self) -> Preprocessing:
        """Preprocessing of its input."""
        return self.backbone.preprocessing


def load(spec: Location, *, size: int = 0, seed: int = 0) -> Model:
    """Load the model that `spec` names.

    Args:
        spec: See the module's docstring.
        size: Input height and width in pixels; 0 keeps the model's own.
        seed: Seed of the random weights of a bare timm name.

    Raises:
        CheckpointError: The run or the file cannot be read.
        ConfigError: Nothing of that name exists, or the weights do not fit.
    """
    path = Path(arguments.location(spec, "model"))
    spec = with_urls(str(spec))
    if spec.startswith(HUB):
        return _from_folder(spec, pretrained.fetch_repository(spec.removeprefix(HUB)), size)
    if (path / layout.RUN).is_file():
        return _from_run(spec, path, size)
    if (path / TIMM_CONFIG).is_file():
        return _from_folder(spec, path, size)
    if path.is_file():
        return _from_file(spec, path, size)
    if path.exists() or "/" in spec or spec.endswith(".safetensors"):
        raise CheckpointError(
            f"{spec!r} is not a run, an exported file, or a timm folder"
            if path.exists()
            else f"model not found: {spec!r}",
            "give a folder with run.json, a .safetensors file, or a timm name such as resnet50",
        )
    networks.require_known(spec)
    return _from_timm(spec, size, seed)


def require_known(spec: Location) -> None:
    """Check that a model exists, without reading its weights.

    Raises:
        CheckpointError: It is a path, and nothing is there.
        ConfigError: No run or file has this name, and timm does not have the network.
    """
    spec = arguments.location(spec, "model")
    if Path(spec).exists():
        return
    if "/" in spec or spec.endswith(".safetensors"):
        load(spec)
    networks.require_known(spec)


def untrained(model: Model, *, seed: int) -> Model:
    """Return the same architecture and preprocessing with random weights."""
    config = BackboneConfig(
        architecture=model.backbone.architecture, options=model.backbone.options
    )
    backbone, origin = build(config, size=model.preprocessing.size, seed=seed)
    backbone.preprocessing = model.preprocessing
    return Model(f"{model.name} untrained", backbone.eval(), origin)


def describe(model: Model) -> dict[str, Any]:
    """Return the metadata that is stored with the weights, as JSON values."""
    return {
        "architecture": model.backbone.architecture,
        "options": model.backbone.options,
        "feature_dim": model.backbone.feature_dim,
        "preprocessing": configuration.to_dict(model.preprocessing),
        "weights_origin": model.weights_origin,
        **({"evidence": dict(model.evidence)} if model.evidence else {}),
    }


def _from_run(spec: str, run: Path, size: int) -> Model:
    record = records.RUN.read(run / layout.RUN)
    found = checkpoint.newest(run / layout.CHECKPOINTS)
    if found is None:
        raise CheckpointError(f"run {spec!r} has no checkpoint yet", "train it for longer")
    weights = checkpoint.final_weights(found)
    origin = _origin(spec, record, found)
    with layout.naming_plugins(record.plugins):
        return _assemble(spec, record.model, origin, size, backbone_part(weights))


def _origin(spec: str, record: RunRecord, found: Checkpoint) -> str:
    """Describe the final weights of a checkpoint: the step that they are from."""
    initial, step = record.model.weights_origin, found.step
    if found.tensors.get("best"):
        last, best = (record.stopping.get(name) for name in ("last_step", "best_step"))
        known = found.state.best_step
        if known is None and best is not None and last == found.step:
            known = int(best)  # of a checkpoint of an earlier version
        if known is None:
            return f"best of the first {step} steps of {spec}, initialised from {initial}"
        step = known
    return of_step(step, spec, initial)


def earlier_origin(spec: str) -> str:
    """Describe a run's weights as earlier versions did, which named the step of the checkpoint.

    Empty for other models.
    """
    run = Path(spec)
    if not (run / layout.RUN).is_file():
        return ""
    steps = checkpoint.steps(run / layout.CHECKPOINTS)
    initial = records.RUN.read(run / layout.RUN).model.weights_origin
    return f"step {max(steps, default=0)} of {spec}, initialised from {initial}"


def backbone_part(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the backbone's tensors in a checkpoint, by their names in the timm network.

    Low-rank updates are merged into the weights.
    With self-distillation, return the teacher's, which are better (Caron et al. 2021, section 5.2).
    """
    has_teacher = any(name.startswith("teacher.network.") for name in weights)
    prefix = "teacher.network." if has_teacher else "backbone.network."
    own = {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
    return lora.merged(own)


def read_evidence(path: Path) -> Mapping[str, Any]:
    """The data, results and warnings that an export contains; empty without any.

    Raises:
        CheckpointError: The export cannot be read.
    """
    if path.is_dir():
        if records.KIND.read(path / TIMM_CONFIG).is_transformers:
            return {}
        return records.TIMM.read(path / TIMM_CONFIG).footage.evidence
    if not describes_itself(path):
        return {}
    with safe_open(path, framework="pt") as file:
        return records.HEADER.parse(file.metadata()[HEADER], str(path)).evidence


def describes_itself(path: Path) -> bool:
    """Whether a safetensors file names its architecture, as exported ones do."""
    try:
        with safe_open(path, framework="pt") as file:
            return HEADER in (file.metadata() or {})
    except (OSError, SafetensorError):
        return False  # reading the weights will report what is wrong


def _from_file(spec: str, path: Path, size: int) -> Model:
    found = tensor_files.read(path)
    if HEADER not in found.metadata:
        raise CheckpointError(
            f"{spec!r} does not name its architecture",
            "give a file that `footage export --to safetensors` wrote",
        )
    record = records.HEADER.parse(found.metadata[HEADER], spec)
    loaded = _assemble(spec, record, record.weights_origin, size, found.tensors)
    return loaded._replace(evidence=record.evidence)


def _from_folder(spec: str, folder: Path, size: int) -> Model:
    if not records.KIND.read(folder / TIMM_CONFIG).is_transformers:
        return _from_timm_folder(spec, folder, size)
    backbone = transformers_format.read_backbone(spec, folder, size)
    return Model(spec, backbone.eval(), f"weights of {spec}")


def _from_timm_folder(spec: str, folder: Path, size: int) -> Model:
    record = records.TIMM.read(folder / TIMM_CONFIG)
    weights = folder / TIMM_WEIGHTS
    if not weights.is_file():
        raise CheckpointError(
            f"{spec!r} contains no {TIMM_WEIGHTS}, the only file of weights that footage reads",
            "save it again with timm.models.save_for_hf(..., safe_serialization=True)",
        )
    tensors = tensor_files.read(weights).tensors
    expected = record.footage.weights_sha256
    if expected and files.sha256(weights) != expected:
        raise CheckpointError(
            f"{str(weights)!r} is not the file that {TIMM_CONFIG} was written with",
            "export both again",
        )
    cfg, size = record.pretrained_cfg, size or record.size
    own = {name: value for name, value in record.footage.options.items() if name in OWN_OPTIONS}
    backbone = Backbone(record.architecture, size=size, options={**record.options, **own})
    fill(backbone, tensors, f"weights {str(weights)!r}")
    backbone.preprocessing = Preprocessing(size=size, mean=cfg.mean, std=cfg.std)
    return Model(spec, backbone.eval(), f"weights of {spec}", record.footage.evidence)


def _from_timm(spec: str, size: int, seed: int) -> Model:
    config = BackboneConfig(architecture=spec)
    size = size or usual_size(spec)
    backbone, origin = build(config, size=size, seed=seed, use_tag="." in spec)
    return Model(spec, backbone.eval(), origin)


def _assemble(
    spec: str, record: ModelRecord, origin: str, size: int, weights: Mapping[str, Tensor]
) -> Model:
    preprocessing = preprocessing_of(record.preprocessing)
    if size:
        preprocessing = dataclasses.replace(preprocessing, size=size)
    backbone = Backbone(record.architecture, size=preprocessing.size, options=record.options)
    backbone.preprocessing = preprocessing
    fill(backbone, weights, f"the weights of {spec!r}")
    return Model(spec, backbone.eval(), origin)


def best_device() -> torch.device:
    """Return the default device: a GPU if there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
