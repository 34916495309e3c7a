"""Export as a program of torch.export, which torch executes without the network's source code."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import fx, nn
from torch.export import Dim, ExportedProgram

from footage.errors import ConfigError
from footage.models.export.base import Exporter, metadata, register_exporter
from footage.models.load import Model
from footage.models.pixel_input import PixelInput
from footage.shapes import Features


@register_exporter("torch-export")
class TorchExporter(Exporter):
    """One .pt2 file for batches of any size."""

    default_name = "backbone.pt2"
    suffix = ".pt2"
    can_include_preprocessing = True

    def write(self, model: Model, path: Path) -> None:
        """Write the program and its metadata, without the images that it was traced with."""
        program = traced(model, with_preprocessing=self.settings.with_preprocessing)
        program.example_inputs = None
        with path.open("wb") as file:
            torch.export.save(program, file, extra_files=metadata(model))

    def load(self, path: Path) -> Callable[[Any], Features]:
        """The program as a module."""
        with path.open("rb") as file:
            return torch.export.load(file).module()

    def usage(self, path: Path) -> str:
        """A call of torch."""
        return f"import torch; network = torch.export.load({str(path)!r}).module()"


def traced(model: Model, *, with_preprocessing: bool) -> ExportedProgram:
    """Trace a backbone as a program with a dynamic batch size.

    Args:
        model: The model.
        with_preprocessing: Whether the input `pixels` is uint8 `B h w 3` of any size. Otherwise
            the input `images` is normalised, float32 `B 3 H W`, of the model's size.

    Raises:
        ConfigError: torch cannot trace the network.
    """
    size = model.preprocessing.size
    network: nn.Module = model.backbone.network
    inputs: dict[str, Any] = {"x": torch.zeros(2, 3, size, size)}
    axes = {0: Dim("batch")}
    if with_preprocessing:
        network = PixelInput(model)
        inputs = {"pixels": torch.zeros(2, size + 1, size + 2, 3, dtype=torch.uint8)}
        axes |= {1: Dim("height"), 2: Dim("width")}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch deprecates functions that it calls itself
            program = torch.export.export(
                network.eval(), tuple(inputs.values()), dynamic_shapes=(axes,)
            )
    except Exception as error:  # torch's errors have no common base class
        reason = str(error).strip().partition("\n")[0][:300]
        raise ConfigError(
            f"torch.export cannot trace {model.backbone.architecture}: {reason}",
            "use --to timm or --to safetensors",
        ) from error
    _remove_origins(program)
    return program


def _remove_origins(program: ExportedProgram) -> None:
    """Remove the lines of source code that operations come from, with local paths."""
    for module in program.graph_module.modules():
        if isinstance(module, fx.GraphModule):
            for node in module.graph.nodes:
                node.meta.pop("stack_trace", None)
