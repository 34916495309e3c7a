"""Write and read the profiles of several models as a JSON file."""

import dataclasses
import math
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec

from footage.errors import CheckpointError, ConfigError, FootageError
from footage.evaluation.fields import Count, Environment, Hash, Pixels, Record, Seed, Text
from footage.invariance.factors import Factor
from footage.invariance.robustness import Robustness
from footage.invariance.video_levels import Profile
from footage.io.documents import Document
from footage.metrics.bootstrap import CONFIDENCE, DRAWS
from footage.runs.environment import environment
from footage.synthetic.factors import RANGES

FILE: Final = "profile.json"

SCHEMA_VERSION: Final = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Profiled:
    """All measurements of one model or baseline."""

    name: str
    """The MODEL argument, or a description of the baseline."""
    is_baseline: bool
    """Whether other models are compared with it."""
    described: Mapping[str, Any]
    """Output of `model.describe`; empty for raw pixels."""
    profile: Profile | None
    """Levels measured on a store, if one was given."""
    factors: Mapping[str, Factor]
    """Factors measured on rendered scenes; empty if none were rendered."""
    robustness: Mapping[str, Robustness]
    """Robustness on labelled videos, by protocol; empty if none were given."""


class Settings(msgspec.Struct, frozen=True):
    """The settings of `footage profile` that the report shows; a file has all of them."""

    seed: Seed


class StoreData(Record, frozen=True):
    """The part of a store that was measured."""

    path: Text
    content_hash: Hash
    eligible_videos: Count
    videos: Count
    shots: Count
    frames: Count
    views: dict[str, Any]
    unchecked: list[Text] | None = None
    """Reasons why the training data of some models is unknown; None in earlier files."""


class SceneData(Record, frozen=True):
    """The rendered scenes."""

    scenes: Count
    frame_size: Pixels


class VideoData(Record, frozen=True):
    """The labelled videos, and the labelled images that the classifier was fitted on."""

    videos: Text
    anchors: Count
    frames: Count
    reach: Count
    labelled: Text
    split: Text
    num_train: Count
    num_val: Count
    classes: list[Text]


class Measured(Record, frozen=True):
    """Settings and data: everything that a number depends on apart from the model."""

    settings: Settings
    store: StoreData | None = None
    scenes: SceneData | None = None
    videos: VideoData | None = None


class ProfileFile(typing.NamedTuple):
    """Content of one file."""

    models: Sequence[Profiled]
    measured: Measured
    environment: Environment
    digest: str = ""
    """Digest of everything that the numbers depend on; empty in files of earlier versions."""


def write_profiles(
    path: Path, measured: Mapping[str, Any], models: Sequence[Profiled], digest: str = ""
) -> Path:
    """Write profiles to a JSON file, complete or not at all.

    Args:
        path: The file.
        measured: Everything that a number depends on apart from the model, see `Measured`.
        models: The profiles. Numbers that are not defined become null.
        digest: Digest of everything that the numbers depend on.

    Raises:
        OutputError: The file cannot be written.
    """
    content = {
        "schema_version": SCHEMA_VERSION,
        "environment": environment(),
        "intervals": {"confidence": CONFIDENCE, "draws": DRAWS},
        "ranges": RANGES,
        "measured": dict(measured),
        "models": [dataclasses.asdict(model) for model in models],
        "digest": digest,
    }
    PROFILES.write(path, _finite(content))
    return path


def read_profiles(path: Path) -> ProfileFile:
    """Read a file that `write_profiles` wrote.

    Raises:
        CheckpointError: The file is missing, damaged, or of another version.
    """
    found = PROFILES.read(path)
    models = [_typed(Profiled, model) for model in found.models]
    return ProfileFile(models, found.measured, found.environment, found.digest)


def refuse_another(path: Path, digest: str) -> None:
    """Refuse to replace the file of another profile.

    Raises:
        ConfigError: The file contains something else.
    """
    hint = "choose another --out, or add --overwrite to replace it"
    try:
        found = read_profiles(path).digest if path.exists() else digest
    except FootageError as error:
        raise ConfigError(f"{str(path)!r} exists, and {error.message}", hint) from error
    if found != digest:
        raise ConfigError(f"{str(path)!r} exists and contains another profile", hint)


def _finite(value: Any) -> Any:  # noqa: ANN401 (any JSON value)
    """Replace every float that is not finite by null."""
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


# --- schema of the dataclasses -------------------------------------------------------------------


def _schema(hint: Any) -> Any:  # noqa: ANN401 (any annotation)
    """Return the type that msgspec checks for an annotation; a float may be null."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        hints = typing.get_type_hints(hint, include_extras=True)
        fields = [(name, _schema(hints[name])) for name in hints]
        return msgspec.defstruct(hint.__name__, fields, frozen=True, forbid_unknown_fields=True)
    if origin is types.UnionType:
        return _schema(arguments[0]) | None
    if origin is Mapping:
        return dict[str, _schema(arguments[1])]  # type: ignore[misc]
    if origin is Sequence:
        return list[_schema(arguments[0])]  # type: ignore[misc]
    if hint is float or (origin is Annotated and arguments[0] is float):
        return hint | None
    return {int: Count, str: Text}.get(hint, hint)


def _typed(hint: Any, value: Any) -> Any:  # noqa: ANN401
    """Convert a checked value to its annotation: a null float becomes nan."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return _typed(arguments[0], value)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        hints = typing.get_type_hints(hint, include_extras=True)
        return hint(**{name: _typed(hints[name], getattr(value, name)) for name in hints})
    if origin is types.UnionType:
        return None if value is None else _typed(arguments[0], value)
    if origin is Mapping:
        return {key: _typed(arguments[1], item) for key, item in value.items()}
    if origin is Sequence:
        return [_typed(arguments[0], item) for item in value]
    return math.nan if hint is float and value is None else value


class _Intervals(Record, frozen=True):
    confidence: float
    draws: Count


class _File(Record, frozen=True):
    """Content of a file as JSON."""

    schema_version: Count
    environment: Environment
    intervals: _Intervals
    ranges: dict[str, Text]
    measured: Measured
    models: list[_schema(Profiled)]  # type: ignore[valid-type]
    digest: Hash = ""


PROFILES: Final = Document[_File](
    schema=_File,
    name="an invariance profile",
    error=CheckpointError,
    hint="measure it again with `footage profile`",
    version_key="schema_version",
    versions=(SCHEMA_VERSION,),
)
