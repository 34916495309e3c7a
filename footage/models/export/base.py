"""The interface of export formats, and their registry."""

import abc
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final, TypeVar

from torch import Tensor

from footage import configuration
from footage.errors import PluginError
from footage.models.load import HEADER, Model
from footage.registry import Registry
from footage.shapes import Features, Images


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportSettings:
    """What an export contains in addition to the weights."""

    with_preprocessing: bool = False
    """Include resizing and normalisation, so that the input is uint8 pixels of any size."""
    license: str = "unknown"
    """Licence of the weights, by its identifier on the Hugging Face Hub."""
    card: str = ""
    """The model card, if the format has one."""


class Exporter(abc.ABC):
    """Writes a backbone for another program, and loads it back as that program does."""

    name: ClassVar[str] = ""
    default_name: ClassVar[str]
    """File or folder in `RUN/exports/` that is written by default."""
    suffix: ClassVar[str] = ""
    """Required suffix of the file, such as ".safetensors"; empty if the format is a folder."""
    contents: ClassVar[tuple[str, ...]] = ()
    """Allowed names in the folder; an earlier export that contains only these is replaced."""
    is_read_by_footage: ClassVar[bool] = False
    """Whether `footage.load` reads the format; if so, its preprocessing is verified, too."""
    can_include_preprocessing: ClassVar[bool] = False
    """Whether the format can contain operations, and so `ExportSettings.with_preprocessing`."""
    imports_torchvision: ClassVar[bool] = False
    """Whether the other program imports torchvision, as timm does."""
    states_license: ClassVar[bool] = False
    """Whether the format contains `ExportSettings.license`."""
    has_card: ClassVar[bool] = False
    """Whether the format contains `ExportSettings.card`."""
    tolerance: ClassVar[float] = 1e-5
    """Largest difference of a feature from the original, relative to the largest absolute feature
    of the original; absolute if that is less than 1. Programs that execute the same operations of
    torch differ by 0.
    """
    settings: ExportSettings = ExportSettings()
    """Set by `footage export` before `write`."""

    @abc.abstractmethod
    def write(self, model: Model, path: Path) -> None:
        """Write the model to a new file, or into an empty folder."""

    @abc.abstractmethod
    def load(self, path: Path) -> Callable[[Images], Features]:
        """Load the export, for comparison with the original.

        Returns:
            A function from normalised images to features. With preprocessing, its input is pixels,
            uint8 `B h w 3`.
        """

    def tolerance_for(self, model: Model) -> float:  # noqa: ARG002 (for subclasses)
        """Return the tolerance for one model; see `tolerance`."""
        return self.tolerance

    @abc.abstractmethod
    def usage(self, path: Path) -> str:
        """Return one line of Python that loads the export in a fresh interpreter."""


EXPORTERS: Final = Registry[type[Exporter]]("export format", "footage.models.export")
"""Export formats by name."""

Class = TypeVar("Class", bound=type[Exporter])


def register_exporter(name: str) -> Callable[[Class], Class]:
    """Register a format for `footage export --to NAME`.

    Raises:
        ConfigError: Another format has this name.
        PluginError: The class lacks a method or the default name.
    """

    def register(exporter: Class) -> Class:
        example = "see the example in docs/extending/exporter.md"
        if not (isinstance(exporter, type) and issubclass(exporter, Exporter)):
            raise PluginError(f"exporter {name!r} is not a subclass of Exporter", example)
        missing = [f"method {each!r}" for each in sorted(exporter.__abstractmethods__)]
        missing += ["attribute 'default_name'"] * (not hasattr(exporter, "default_name"))
        if missing:
            raise PluginError(f"exporter {name!r} has no {missing[0]}", example)
        exporter.name = name
        EXPORTERS.register(name, exporter)
        return exporter

    return register


def weights(model: Model) -> Mapping[str, Tensor]:
    """Return the tensors of a backbone by their names in its network."""
    named: Mapping[str, Tensor] = model.backbone.network.state_dict()
    return named


def metadata(model: Model) -> dict[str, str]:
    """Return the metadata of an exported program, as JSON: preprocessing, and evidence of a run."""
    stated = {HEADER: json.dumps(configuration.to_dict(model.preprocessing))}
    if model.evidence:
        stated["evidence"] = json.dumps(dict(model.evidence))
    return stated
