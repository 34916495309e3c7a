"""Export as an ONNX file, which onnxruntime and many other programs execute."""

import importlib.util
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import torch

from footage.errors import ConfigError
from footage.models.export.base import Exporter, metadata, register_exporter, weights
from footage.models.export.torch_export import traced
from footage.models.load import Model
from footage.shapes import Features

OPSET: Final = 18
"""Version of the set of operations; onnxruntime supports it since 1.14."""
AXES: Final = ("batch", "height", "width")
"""Names of the axes of any length, in their order in the input."""
PACKAGES: Final = ("onnx", "onnxscript", "onnxruntime")
MAX_BYTES: Final = 2_000_000_000
"""Largest size of the weights; Protocol Buffers limit a file to 2 GiB."""


@register_exporter("onnx")
class OnnxExporter(Exporter):
    """One .onnx file for batches of any size, with its preprocessing in the metadata."""

    default_name = "backbone.onnx"
    suffix = ".onnx"
    can_include_preprocessing = True

    def write(self, model: Model, path: Path) -> None:
        """Write the file.

        Raises:
            ConfigError: A package is missing, the weights are too large, or a part of the network
                cannot be converted.
        """
        _check(model)
        with_preprocessing = self.settings.with_preprocessing
        program = traced(model, with_preprocessing=with_preprocessing)
        converted = _converted(program, "pixels" if with_preprocessing else "images", model)
        _name_axes(converted.graph)
        for name, text in metadata(model).items():
            converted.metadata_props.add(key=name, value=text)
        converted.doc_string = f"{model.backbone.architecture}: {model.weights_origin}"
        path.write_bytes(converted.SerializeToString())

    def load(self, path: Path) -> Callable[[Any], Features]:
        """The first output of onnxruntime on the CPU."""
        import onnxruntime

        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name

        def function(values: Any) -> Features:  # noqa: ANN401 (images, or pixels)
            return torch.from_numpy(session.run(None, {name: values.contiguous().numpy()})[0])

        return function

    def usage(self, path: Path) -> str:
        """A session of onnxruntime."""
        call = f"onnxruntime.InferenceSession({str(path)!r}, providers=['CPUExecutionProvider'])"
        return f"import onnxruntime; session = {call}"


def _check(model: Model) -> None:
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"--to onnx needs {' and '.join(missing)}, which is not installed",
            "pip install 'footage[onnx]'",
        )
    num_bytes = sum(each.numel() * each.element_size() for each in weights(model).values())
    if num_bytes > MAX_BYTES:
        raise ConfigError(
            f"{model.backbone.architecture} has {num_bytes / 1e9:.1f} GB of weights, and an ONNX"
            f" file contains at most {MAX_BYTES / 1e9:.0f} GB",
            "use --to torch-export",
        )


def _converted(program: torch.export.ExportedProgram, name: str, model: Model) -> Any:  # noqa: ANN401
    """Convert a program into a message of onnx; messages have no types."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch deprecates functions that it calls itself
            converted = torch.onnx.export(
                program,
                dynamo=True,
                opset_version=OPSET,
                input_names=[name],
                output_names=["features"],
                verbose=False,
            )
    except Exception as error:  # torch's errors have no common base class
        cause: BaseException = error
        while cause.__cause__ is not None:  # the outer ones are advice for developers of torch
            cause = cause.__cause__
        reason = str(cause).strip().partition("\n")[0][:300]
        raise ConfigError(
            f"torch.onnx cannot convert {model.backbone.architecture}: {reason}",
            "use --to torch-export",
        ) from error
    assert converted is not None
    return converted.model_proto


def _name_axes(graph: Any) -> None:  # noqa: ANN401
    """Replace the names of torch's symbols; the shapes in between are inferred when it is run."""
    del graph.value_info[:]
    inputs = [axis for axis in _axes(graph.input[0]) if axis.dim_param]
    names = dict(zip((axis.dim_param for axis in inputs), AXES, strict=False))
    for axis in (*inputs, *_axes(graph.output[0])):
        if axis.dim_param:
            axis.dim_param = names[axis.dim_param]


def _axes(value: Any) -> Iterator[Any]:  # noqa: ANN401
    yield from value.type.tensor_type.shape.dim
