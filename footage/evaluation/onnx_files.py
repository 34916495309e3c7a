"""Features of an ONNX file, by onnxruntime on the CPU; nothing of it is run as Python.

The first input is images (B, 3, H, W), the first output features (B, D). The file's metadata may
hold its preprocessing under the key `footage`, as JSON: {"size": 224, "mean": [...], "std": [...]};
one that says nothing is taken to want ImageNet's mean and deviation, which is warned about.
"""

import hashlib
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch

from footage import configuration
from footage.backbone import Preprocessing
from footage.errors import CheckpointError, ConfigError
from footage.shapes import Features, Images

log = logging.getLogger(__name__)

METADATA: Final = "footage"
IMAGENET_MEAN: Final = (0.485, 0.456, 0.406)
IMAGENET_STD: Final = (0.229, 0.224, 0.225)


class Opened(NamedTuple):
    """An ONNX file that can be asked for features."""

    function: Callable[[Images], Features]
    preprocessing: Preprocessing
    start: str


def open_file(path: Path, given: Preprocessing, size: int) -> Opened:
    """Open an ONNX file.

    Args:
        path: The file.
        given: Its preprocessing, for a file that does not say; of size 0 when unknown.
        size: Input pixels where neither says them; 0 when unknown.

    Raises:
        ConfigError: onnxruntime is not installed, or the input size is unknown.
        CheckpointError: The file cannot be read.
    """
    session = _session(path)
    image = session.get_inputs()[0]
    preprocessing = _preprocessing(session, path, given, size)

    def function(images: Images) -> Features:
        found = session.run(None, {image.name: images.contiguous().cpu().numpy()})[0]
        return torch.from_numpy(found)

    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    return Opened(function, preprocessing, f"{path.name}, sha256 {digest}")


def _session(path: Path) -> Any:  # noqa: ANN401 (an optional package)
    try:
        import onnxruntime
    except ImportError as error:
        raise ConfigError(
            f"{path} needs onnxruntime, which is not installed", "pip install 'footage[onnx]'"
        ) from error
    if not path.is_file():
        raise CheckpointError(f"there is no file {path}", "give the path of an ONNX file")
    try:
        return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises classes of its own that share no other base
        raise CheckpointError(f"{path} cannot be read as ONNX: {error}") from error


def _preprocessing(session: Any, path: Path, given: Preprocessing, size: int) -> Preprocessing:  # noqa: ANN401
    said = session.get_modelmeta().custom_metadata_map.get(METADATA)
    if said:
        return configuration.from_dict(Preprocessing, json.loads(said), f"{path}: ")
    if given.size:
        return given
    fixed = session.get_inputs()[0].shape[-1]
    found = fixed if isinstance(fixed, int) else size
    if not found:
        raise ConfigError(f"{path} does not say its input size", "add --size PIXELS")
    log.warning(
        "%s does not say how its input is normalised: ImageNet's mean and deviation are taken", path
    )
    return Preprocessing(size=found, mean=IMAGENET_MEAN, std=IMAGENET_STD)
