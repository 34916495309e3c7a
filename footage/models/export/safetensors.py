"""Export as one safetensors file whose header contains architecture and preprocessing."""

from collections.abc import Callable
from pathlib import Path

from footage.io import tensors
from footage.models.export.base import Exporter, register_exporter, weights
from footage.models.load import HEADER, Model, describe, load
from footage.runs import records
from footage.shapes import Features, Images


@register_exporter("safetensors")
class SafetensorsExporter(Exporter):
    """One self-describing file that `footage.load` reads."""

    default_name = "backbone.safetensors"
    suffix = ".safetensors"
    is_read_by_footage = True

    def write(self, model: Model, path: Path) -> None:
        """Write the file."""
        write_file(model, path)

    def load(self, path: Path) -> Callable[[Images], Features]:
        """The backbone as footage loads it."""
        return load(str(path)).backbone

    def usage(self, path: Path) -> str:
        """A call of `footage.load`."""
        return f"import footage; model = footage.load({str(path)!r})"


def write_file(model: Model, path: Path) -> None:
    """Write a backbone as one self-describing safetensors file, without verifying it."""
    header = records.HEADER.line(describe(model)).strip()
    tensors.write(path, weights(model), {"format": "pt", HEADER: header})
