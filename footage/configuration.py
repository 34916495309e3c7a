"""Convert nested frozen dataclasses to JSON and back; unknown keys are errors.

Every configuration class is defined next to the code that it configures. This module only converts
them to and from the files of a run or a store.
"""

import dataclasses
import difflib
import math
import typing
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Final, Literal, TypeGuard, TypeVar

import msgspec

from footage.errors import ConfigError, PluginError, UnknownNameError

Config = TypeVar("Config")

LARGEST: Final = 2**63
"""Upper bound on the absolute value of whole numbers."""


class Variant:
    """Base of configurations that are selected by name; files store the name with the settings."""

    __slots__ = ()
    name: ClassVar[str] = ""

    @staticmethod
    def variants() -> Mapping[str, Any]:
        """Return the dataclasses to choose from, by name."""
        raise NotImplementedError


def require_settings(what: str, kind: type) -> None:
    """Check that a class is a dataclass with settings for all of its fields.

    Raises:
        PluginError: It is not a dataclass, or a field has no default.
    """
    if "__dataclass_fields__" not in vars(kind):
        raise PluginError(
            f"{what} is not a dataclass",
            "decorate the class with @dataclass(frozen=True, kw_only=True, slots=True), below the"
            " decorator that registers it",
        )
    for field in dataclasses.fields(kind):
        if field.default is field.default_factory is dataclasses.MISSING:
            raise PluginError(f"the setting {field.name!r} of {what} has no default", "add one")


def check_ranges(config: object, command: str, **is_fine: bool) -> None:
    """Check the settings of a command.

    Args:
        config: The settings.
        command: The command, whose help lists them.
        **is_fine: Whether a setting is in its range, by name.

    Raises:
        ConfigError: A setting is out of range.
    """
    for name, each in is_fine.items():
        if not each:
            raise ConfigError(
                f"{name} is out of range, got {getattr(config, name)}",
                f"see footage {command} --help",
            )


def to_dict(config: Any) -> dict[str, Any]:  # noqa: ANN401 (any dataclass)
    """Convert a configuration to plain JSON values."""
    values = plain(config)
    assert isinstance(values, dict)
    return values


def plain(value: Any) -> Any:  # noqa: ANN401
    """Convert a value for JSON: dataclasses and mappings become objects, tuples become lists."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        chosen = {"name": value.name} if isinstance(value, Variant) else {}
        fields = dataclasses.fields(value)
        return chosen | {item.name: plain(getattr(value, item.name)) for item in fields}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    return value


def from_dict(kind: type[Config], values: Mapping[str, Any], where: str = "") -> Config:
    """Build a configuration from plain JSON values.

    Args:
        kind: The frozen dataclass to build.
        values: Its fields; an absent one takes its default.
        where: Dotted prefix for messages.

    Raises:
        ConfigError: A key is unknown or missing, or a value is not of its field's type.
    """
    hints = typing.get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for key in values:
        if key not in fields:
            near = difflib.get_close_matches(str(key)[:100], fields, n=1)
            hint = (
                f"did you mean {where}{near[0]}?"
                if near
                else f"valid settings: {', '.join(fields)}"
            )
            raise ConfigError(f"unknown setting {where}{str(key)[:100]}", hint)
    for name, field in fields.items():
        if name not in values and field.default is field.default_factory is dataclasses.MISSING:
            raise ConfigError(f"setting {where}{name} is missing", f"add {where}{name}")
    try:
        return kind(**{key: checked(hints[key], values[key], where + key) for key in values})
    except ConfigError as error:
        if error.hint:
            raise
        name = where.rstrip(".")
        raise ConfigError(error.message, f"change the settings of {name or 'this file'}") from error


def differences(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> Iterator[str]:
    """Yield one line per setting in which two plain configurations differ.

    Variants of different names come first, without their settings, which differ with the name.
    """
    ours_flat, theirs_flat = _flat(ours), _flat(theirs)
    keys = sorted(ours_flat.keys() | theirs_flat.keys())
    keys = [key for key in keys if ours_flat.get(key) != theirs_flat.get(key)]
    names = [key for key in keys if key.endswith(".name")]
    groups = tuple(key.removesuffix("name") for key in names)
    for key in names + [key for key in keys if not (groups and key.startswith(groups))]:
        yield f"{key}: {theirs_flat.get(key)!r} there, {ours_flat.get(key)!r} here"


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def checked(hint: Any, value: Any, where: str) -> Any:  # noqa: ANN401
    """Convert a plain JSON value to the type of a field.

    Args:
        hint: The annotation of the field.
        value: The value.
        where: Name of the setting, for messages.

    Raises:
        ConfigError: The value does not fit.
    """
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        if not isinstance(value, Mapping):
            raise ConfigError(
                f"{where} must be a group of settings, got {_short(value)}",
                f"set {where} to an object with the keys "
                + ", ".join(field.name for field in dataclasses.fields(hint)),
            )
        if is_variant(hint):
            return _variant(hint, value, where)
        return from_dict(hint, value, where + ".")
    kinds = typing.get_args(hint)
    if typing.get_origin(hint) is Mapping and is_variant(kinds[-1]) and isinstance(value, Mapping):
        return {key: checked(kinds[-1], item, f"{where}.{key}") for key, item in value.items()}
    try:
        converted = msgspec.convert(value, hint, strict=True)
        if not all(map(_is_bounded, _leaves(converted))):
            raise ValueError("a number is not finite or too large")
    except (ValueError, TypeError, RecursionError) as error:
        wanted = _words(hint)
        if isinstance(value, int) and not _is_bounded(value):
            wanted += " below 2^63"
        raise ConfigError(
            f"{where} must be {wanted}, got {_short(value)}", f"set {where} to {wanted}"
        ) from error
    return converted


def is_variant(hint: Any) -> TypeGuard[type[Variant]]:  # noqa: ANN401
    """Return whether a type is selected by name."""
    return isinstance(hint, type) and issubclass(hint, Variant)


def _variant(hint: type[Variant], value: Mapping[str, Any], where: str) -> Any:  # noqa: ANN401
    known, name = hint.variants(), value.get("name")
    if not isinstance(name, str) or name not in known:
        raise UnknownNameError(f"{where}.name", str(name)[:100], known, plugins=True)
    settings = {key: item for key, item in value.items() if key != "name"}
    return from_dict(known[name], settings, where + ".")


def _leaves(value: Any) -> Iterator[Any]:  # noqa: ANN401
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for item in value:
            yield from _leaves(item)
    else:
        yield value


def _is_bounded(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return not isinstance(value, int) or abs(value) < LARGEST


def _words(hint: Any) -> str:  # noqa: ANN401
    if typing.get_origin(hint) is Literal:
        return " or ".join(map(repr, typing.get_args(hint)))
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    return words.get(hint) or f"of the type {hint}".replace("typing.", "")


def _short(value: object) -> str:
    """Format a value for a message; hostile values may be large or deeply nested."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # an integer of thousands of digits, or a deep list
        return f"a value of type {type(value).__name__} that is too large"
    return text if len(text) <= 100 else f"{text[:100]}..."
