"""Configurations to JSON and back: nested frozen dataclasses, unknown keys refused.

Every configuration class stands beside the code that it configures; this module only carries them
to and from the files that a run or a store leaves behind.
"""

import dataclasses
import difflib
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any, Literal, TypeVar

from footage.errors import ConfigError

Config = TypeVar("Config")


def to_dict(config: Any) -> dict[str, Any]:  # noqa: ANN401 (any dataclass)
    """A configuration as plain JSON values."""
    plain = _plain(config)
    assert isinstance(plain, dict)
    return plain


def from_dict(kind: type[Config], values: Mapping[str, Any], where: str = "") -> Config:
    """A configuration read back from plain JSON values.

    Args:
        kind: The frozen dataclass to make.
        values: Its fields; an absent one takes its default.
        where: Dotted prefix for messages.

    Raises:
        ConfigError: A key is unknown, or a value is not of its field's type.
    """
    hints = typing.get_type_hints(kind)
    names = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    for key in values:
        if key not in names:
            near = difflib.get_close_matches(key, names, n=1)
            hint = f"did you mean {where}{near[0]}?" if near else f"known: {', '.join(names)}"
            raise ConfigError(f"unknown setting {where}{key}", hint)
    return kind(**{key: _value(hints[key], values[key], where + key) for key in values})


def differences(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> Iterator[str]:
    """One line for each setting in which two plain configurations differ."""
    ours_flat, theirs_flat = _flat(ours), _flat(theirs)
    for key in sorted(ours_flat.keys() | theirs_flat.keys()):
        if ours_flat.get(key) != theirs_flat.get(key):
            yield f"{key}: {theirs_flat.get(key)!r} there, {ours_flat.get(key)!r} here"


def _plain(value: Any) -> Any:  # noqa: ANN401
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {item.name: _plain(getattr(value, item.name)) for item in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def _value(hint: Any, value: Any, where: str) -> Any:  # noqa: ANN401
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        if not isinstance(value, Mapping):
            raise ConfigError(f"{where} must be a group of settings, got {value!r}")
        return from_dict(hint, value, where + ".")
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        fits = value in arguments
    elif origin is tuple:
        fits = isinstance(value, list | tuple)
        value = tuple(value) if fits else value
    elif origin in (types.UnionType, typing.Union):
        fits = isinstance(value, arguments)
    elif hint is float:
        fits = isinstance(value, int | float) and not isinstance(value, bool)
        value = float(value) if fits else value
    elif hint is int:
        fits = isinstance(value, int) and not isinstance(value, bool)
    else:
        fits = isinstance(value, origin or hint)
    if not fits:
        raise ConfigError(f"{where} must be {hint}, got {value!r}")
    return value
