"""Export as a folder to upload to the Hugging Face Hub: timm's layout and a model card."""

from pathlib import Path
from typing import Final

from footage.models.export.base import register_exporter
from footage.models.export.timm import TimmExporter
from footage.models.load import Model
from footage.text import without_folders

CARD: Final = "README.md"


@register_exporter("huggingface")
class HuggingFaceExporter(TimmExporter):
    """config.json, model.safetensors and README.md, without local paths."""

    default_name = "huggingface"
    contents = (*TimmExporter.contents, CARD)
    has_card = True

    def write(self, model: Model, path: Path) -> None:
        """Write the three files."""
        origin = without_folders(model.weights_origin)
        super().write(model._replace(weights_origin=origin), path)
        (path / CARD).write_text(self.settings.card, "utf-8")
