"""Schemas of the descriptions of models in files: run.json, exported headers and timm folders.

The files may come from anyone, so every field has a type and bounds. `footage.models.options`
lists the allowed options.
"""

from typing import Annotated, Any, Final, Literal

import msgspec

from footage.errors import CheckpointError
from footage.io.documents import Document
from footage.runs.migration import described_model, run_record

MOST_PIXELS: Final = 4096
"""Maximum height and width of an input."""
LEAST_STD: Final = 1e-4
MOST_MEAN: Final = 1e4
"""Bound of the normalisation values; pixels lie in [0, 1]."""

Text = Annotated[str, msgspec.Meta(max_length=100_000)]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
_Pixels = Annotated[int, msgspec.Meta(ge=1, le=MOST_PIXELS)]
_Mean = Annotated[float, msgspec.Meta(ge=-MOST_MEAN, le=MOST_MEAN)]
_Std = Annotated[float, msgspec.Meta(ge=LEAST_STD, le=MOST_MEAN)]
Options = dict[str, bool | int | float | str]


class PreprocessingRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Preprocessing of a model; see `footage.models.config.Preprocessing`."""

    size: _Pixels
    mean: tuple[_Mean, _Mean, _Mean]
    std: tuple[_Std, _Std, _Std]


class ModelRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Metadata that is stored with the weights of a backbone."""

    architecture: Text
    options: Options
    feature_dim: Count = 0
    preprocessing: PreprocessingRecord
    weights_origin: Text = ""


class ExportRecord(ModelRecord, frozen=True, kw_only=True):
    """Metadata of exported weights."""

    evidence: dict[str, Any] = {}
    """Results and warnings that stay with them."""


class PretrainedConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The part of timm's `pretrained_cfg` that footage reads, without the sources of weights."""

    input_size: tuple[int, _Pixels, _Pixels]
    mean: tuple[_Mean, _Mean, _Mean]
    std: tuple[_Std, _Std, _Std]

    def __post_init__(self) -> None:
        channels, height, width = self.input_size
        if channels != 3 or height != width:
            raise ValueError("its input is not a square RGB image")


class ExportNote(msgspec.Struct, frozen=True, kw_only=True):
    """Fields that footage adds to the config.json of a timm folder that it writes."""

    weights_sha256: Text = ""
    evidence: dict[str, Any] = {}
    """Results and warnings that stay with exported weights."""
    options: Options = {}
    """All options of the network; timm reads only `model_args`."""


class _OwnArguments(msgspec.Struct, frozen=True, kw_only=True):
    """Arguments of a timm network that footage sets itself."""

    num_classes: int | None = None
    in_chans: Literal[3] | None = None
    img_size: int | list[int] | None = None
    # Not `Annotated[int, ...] | tuple[int, int]`: such a union crashes msgspec 0.23.


class ConfigKind(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of a config.json that identify the library that wrote it."""

    architecture: Any = None
    """Name of the network, in timm's format."""
    model_type: Any = None
    """Name of the family of networks, in the transformers format."""

    @property
    def is_transformers(self) -> bool:
        """Whether it describes a transformers model."""
        return self.architecture is None and isinstance(self.model_type, str)


class TimmConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The config.json of a folder for timm's `local-dir:` and `hf-hub:` sources."""

    architecture: Text
    model_args: dict[str, Any] = {}
    pretrained_cfg: PretrainedConfig
    footage: ExportNote = ExportNote()

    def __post_init__(self) -> None:
        """Check the arguments."""
        _ = self.options, self.size

    @property
    def options(self) -> Options:
        """Return the arguments of the network, without those that footage sets itself."""
        own = _OwnArguments.__struct_fields__
        rest = {key: value for key, value in self.model_args.items() if key not in own}
        return msgspec.convert(rest, Options, strict=True)

    @property
    def size(self) -> int:
        """Return the height and width of the input, in pixels."""
        size = msgspec.convert(self.model_args, _OwnArguments, strict=True).img_size
        if size is None:
            return self.pretrained_cfg.input_size[-1]
        sides = [size, size] if isinstance(size, int) else size
        if len(sides) != 2 or sides[0] != sides[1] or not 1 <= sides[0] <= MOST_PIXELS:
            raise ValueError("img_size is not the side of a square image")
        return sides[0]


class RunRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The content of run.json."""

    version: int = 1
    recipe: Text = ""
    config: dict[str, Any]
    store: Text = ""
    store_hash: Text = ""
    images: Text = ""
    images_hash: Text = ""
    classes: list[Text] = []
    videos_used: Count = 0
    labels_used: Count = 0
    held_out: list[Text] = []
    extended_at: list[Count] = []
    teacher: dict[str, Text] = {}
    stopping: dict[str, bool | int | float] = {}
    capped: dict[str, Count] = {}
    plugins: list[Text] = []
    seed: int = 0
    model: ModelRecord
    chance: dict[str, float] = {}
    versions: dict[str, Text] = {}
    commit: Text = "unknown"
    machine: dict[str, Any] = {}


RUN: Final = Document[RunRecord](
    schema=RunRecord,
    name="the record of a run",
    error=CheckpointError,
    hint="restore it from a copy, or use another run",
    version_key="version",
    versions=(1, 2),
    migrate=run_record,
)
HEADER: Final = Document[ExportRecord](
    schema=ExportRecord,
    name="the description of a model",
    error=CheckpointError,
    hint="export it again",
    migrate=described_model,
)
KIND: Final = Document[ConfigKind](
    schema=ConfigKind,
    name="the configuration of a timm model",
    error=CheckpointError,
    hint="export it again, or save it again with timm",
)
TIMM: Final = Document[TimmConfig](
    schema=TimmConfig,
    name="the configuration of a timm model",
    error=CheckpointError,
    hint="export it again, or save it again with timm",
)
