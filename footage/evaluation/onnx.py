"""Compute the features of an ONNX file with onnxruntime on the CPU; nothing in it runs as Python.

The first input is images (B, 3, H, W), the first output is features (B, D). The file's metadata may
contain its preprocessing under the key `footage`, as JSON: {"size": 224, "mean": [...], "std":
[...]}. Without it, ImageNet's mean and standard deviation are used, with a warning. Weights in
separate files must be next to the file; onnxruntime 1.24 and later refuses other locations.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch

from footage.errors import CheckpointError, ConfigError
from footage.io import files
from footage.io.documents import Document
from footage.models.backbone import preprocessing_of
from footage.models.config import Preprocessing
from footage.models.load import HEADER
from footage.runs.records import PreprocessingRecord
from footage.shapes import Features, Images

log = logging.getLogger(__name__)

FLOAT: Final = "tensor(float)"
"""Type of normalised images, as onnxruntime names it."""
IMAGENET_MEAN: Final = (0.485, 0.456, 0.406)
IMAGENET_STD: Final = (0.229, 0.224, 0.225)

_PREPROCESSING: Final = Document[PreprocessingRecord](
    schema=PreprocessingRecord,
    name="the preprocessing of a model",
    error=CheckpointError,
    hint=f"correct the metadata {HEADER!r} of the file",
)


class Opened(NamedTuple):
    """An ONNX file that can compute features."""

    function: Callable[[Images], Features]
    preprocessing: Preprocessing
    weights_origin: str


def open_file(path: Path, given: Preprocessing, size: int) -> Opened:
    """Open an ONNX file.

    Args:
        path: The file.
        given: Preprocessing for a file without any; its size is 0 if unknown.
        size: Input size in pixels if neither file nor `given` contains it; 0 if unknown.

    Raises:
        ConfigError: onnxruntime is not installed, or the input size is unknown.
        CheckpointError: The file cannot be read.
    """
    session = _session(path)
    image = _first_input(session, path)
    preprocessing = _preprocessing(session, path, given, size)

    def function(images: Images) -> Features:
        try:
            found = session.run(None, {image.name: images.contiguous().cpu().numpy()})[0]
            return torch.from_numpy(found)
        except Exception as error:  # onnxruntime's errors have no more specific base class
            raise _bad(path, "run", error) from error

    return Opened(function, preprocessing, f"{path.name}, sha256 {files.sha256(path)[:12]}")


def _session(path: Path) -> Any:  # noqa: ANN401 (an optional package)
    try:
        import onnxruntime
    except ImportError as error:
        raise ConfigError(
            f"{path} needs onnxruntime, which is not installed", "pip install 'footage[onnx]'"
        ) from error
    if not path.is_file():
        raise CheckpointError(f"{str(path)!r} does not exist", "pass the path of an ONNX file")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # errors are raised, so do not log them as well
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors have no more specific base class
        raise _bad(path, "be read as ONNX", error) from error


def _bad(path: Path, verb: str, error: Exception) -> CheckpointError:
    reason = " ".join(str(error).split())[:300]
    return CheckpointError(
        f"{str(path)!r} cannot {verb}: {reason}",
        "export it again; footage needs images (B, 3, H, W) as the first input and features (B, D)"
        " as the first output",
    )


def _first_input(session: Any, path: Path) -> Any:  # noqa: ANN401
    inputs = session.get_inputs()
    if not inputs or len(inputs[0].shape or ()) != 4:
        raise _bad(path, "be used", ValueError("its first input is not a batch of images"))
    if inputs[0].type != FLOAT:
        raise CheckpointError(
            f"{str(path)!r} cannot be used: its first input is {inputs[0].type}, not {FLOAT}",
            "export it for float32 images, without preprocessing; footage normalises them itself",
        )
    return inputs[0]


def _preprocessing(session: Any, path: Path, given: Preprocessing, size: int) -> Preprocessing:  # noqa: ANN401
    text = session.get_modelmeta().custom_metadata_map.get(HEADER)
    if text:
        return preprocessing_of(_PREPROCESSING.parse(text, str(path)))
    if given.size:
        return given
    fixed = _first_input(session, path).shape[-1]
    found = fixed if isinstance(fixed, int) else size
    if not found:
        raise ConfigError(f"{str(path)!r} does not contain its input size", "add --size PIXELS")
    log.warning(
        "%s does not contain its normalisation; using ImageNet's mean and standard deviation", path
    )
    return Preprocessing(size=found, mean=IMAGENET_MEAN, std=IMAGENET_STD)
