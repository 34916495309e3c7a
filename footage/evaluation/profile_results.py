"""Profiles of several models as a JSON file, and read back from it."""

import dataclasses
import json
import math
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from footage import runs
from footage.clips.factors import RANGES
from footage.errors import CheckpointError
from footage.evaluation.bootstrap import CONFIDENCE, DRAWS
from footage.evaluation.controlled import Factor
from footage.evaluation.invariance import Profile
from footage.evaluation.robustness import Robustness

FILE: Final = "profile.json"

SCHEMA_VERSION: Final = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Profiled:
    """All that was measured of one model or baseline."""

    name: str
    """The MODEL argument, or the baseline in words."""
    is_baseline: bool
    """Whether the others are compared with it."""
    described: Mapping[str, Any]
    """What `model.describe` says; empty for raw pixels."""
    profile: Profile | None
    """On a store, if one was given."""
    factors: Mapping[str, Factor]
    """On rendered scenes, by factor; empty if none were rendered."""
    robustness: Mapping[str, Robustness]
    """On labelled videos, by protocol; empty if none were given."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ProfileFile:
    """What stands in one file."""

    models: Sequence[Profiled]
    measured: Mapping[str, Any]
    """Settings and data: all that a number depends on beside the model."""
    environment: Mapping[str, Any]
    """What `runs.environment` said where it was measured."""


def write_profiles(path: Path, measured: Mapping[str, Any], models: Sequence[Profiled]) -> Path:
    """Write profiles as JSON by rename, so that the file is whole or absent.

    Args:
        path: The file.
        measured: Settings and data: all that a number depends on beside the model.
        models: The profiles. What is not defined becomes null.
    """
    content = {
        "schema_version": SCHEMA_VERSION,
        "environment": runs.environment(),
        "intervals": {"confidence": CONFIDENCE, "draws": DRAWS},
        "ranges": RANGES,
        "measured": dict(measured),
        "models": [dataclasses.asdict(model) for model in models],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.partial")
    aside.write_text(json.dumps(_finite(content), indent=1, allow_nan=False) + "\n")
    aside.replace(path)
    return path


def read_profiles(path: Path) -> ProfileFile:
    """What `write_profiles` wrote.

    Raises:
        CheckpointError: The file is missing, damaged, or of another version.
    """
    again = "measure it again with `footage profile`"
    try:
        content = json.loads(path.read_text())
        if content["schema_version"] != SCHEMA_VERSION:
            raise CheckpointError(f"{path} was written by another version of footage", again)
        found: ProfileFile = _typed(ProfileFile, content)
    except (OSError, ValueError, TypeError, LookupError, AttributeError) as error:
        raise CheckpointError(
            f"{path} holds no profile that can be read: {error!r}", again
        ) from error
    return found


def _finite(value: Any) -> Any:  # noqa: ANN401 (any JSON value)
    """The value with null for every number that is not one."""
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _typed(hint: Any, value: Any) -> Any:  # noqa: ANN401 (any JSON value)
    """A JSON value as a type says; null is nan where a number is wanted."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        hints = typing.get_type_hints(hint)
        return hint(**{name: _typed(hints[name], value[name]) for name in hints})
    if origin is types.UnionType:
        return None if value is None else _typed(arguments[0], value)
    if origin is Mapping:
        return {str(key): _typed(arguments[1], item) for key, item in value.items()}
    if origin is Sequence:
        return [_typed(arguments[0], item) for item in value]
    if hint is float:
        return math.nan if value is None else float(value)
    if hint is not Any and not isinstance(value, hint):
        raise TypeError(f"{value!r} is no {hint.__name__}")
    return value
