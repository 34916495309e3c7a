"""Settings as keyword arguments of the Python functions.

    footage.train("vivi-ex4-tiny", ..., steps=500, optimizer__learning_rate=0.01)
    footage.train("vivi-ex4-tiny", ..., steps=500, optimizer={"learning_rate": 0.01})
    footage.train("vivi-ex4-tiny", ..., steps=500, learning_rate=0.01)
    footage.train("vivi-ex4-tiny", ..., **{"steps": 500, "optimizer.learning-rate": 0.01})

All four calls are the same: a nested setting has the path of its command-line option, with two
underscores for the dot. Its last part alone is enough if no other setting ends in it.
"""

import dataclasses
import difflib
import inspect
import os
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeVar

from footage import arguments, configuration
from footage.configuration import Variant, is_variant
from footage.errors import ConfigError

Config = TypeVar("Config")

FEW: Final = 8
"""Up to this many settings are listed in an error."""


def configured(
    config: Config | None,
    kind: type[Config],
    options: Mapping[str, Any],
    function: Callable[..., object],
) -> Config:
    """Return a configuration with changed settings.

    Args:
        config: The configuration to change; None is the default one.
        kind: Its class.
        options: The changed settings, by name.
        function: The function that the settings were passed to, for error messages.

    Raises:
        ConfigError: An option does not exist, or has a wrong value.
    """
    base = arguments.settings(config, kind)
    changes: dict[str, Any] = {}
    for option, value in options.items():
        *groups, last = _setting(option, base, function).split(".")
        place = changes
        for group in groups:
            place = place.setdefault(group, {})
            if not isinstance(place, dict):
                raise ConfigError(
                    f"{option} and {group} set the same option", f"remove {option} or {group}"
                )
        if last in place:
            raise ConfigError(f"{option} is set twice", "remove one of the two")
        place[last] = dict(value) if isinstance(value, Mapping) else value
    try:
        changed: Config = _changed(base, changes, "")
    except ConfigError as error:
        raise ConfigError(error.message, error.hint or _lists_all(base, function)) from error
    return changed


def _setting(option: str, config: object, function: Callable[..., object]) -> str:
    """Return the dotted path of the setting that an option names."""
    name = option.lstrip("-").replace("__", ".").replace("-", "_")
    settings = list(_settings(config))
    if name in settings:
        return name
    same = [one for one in settings if one.rpartition(".")[2] == name]
    if len(same) == 1:
        return same[0]
    if same:
        listed = ", ".join(one.replace(".", "__") for one in same)
        raise ConfigError(f"option {option!r} is ambiguous", f"use one of {listed}")
    if any(name.startswith(f"{one}.") for one in _free_groups(config)):
        return name
    names = [one.replace(".", "__") for one in settings]
    names += [one for one in inspect.signature(function).parameters if one != "options"]
    near = difflib.get_close_matches(option, names, n=1, cutoff=0.7)
    near = near or _ending_like(name.rpartition(".")[2], names)
    hint = f"did you mean {near[0]}? " if near else ""
    raise ConfigError(f"unknown option {option!r}", hint + _lists_all(config, function))


def _ending_like(name: str, names: list[str]) -> list[str]:
    """Return the setting whose last part resembles a name."""
    by_ending = {one.rpartition("__")[2]: one for one in names}
    near = difflib.get_close_matches(name, by_ending, n=1, cutoff=0.7)
    return [by_ending[one] for one in near]


def _lists_all(config: object, function: Callable[..., object]) -> str:
    settings = list(_settings(config))
    if len(settings) <= FEW:
        return f"settings: {', '.join(settings)}"
    return f"`footage {function.__name__} --help` lists all options"


def _settings(config: object, prefix: str = "") -> Iterator[str]:
    """Yield the dotted paths of all settings, and of the groups that contain them."""
    assert dataclasses.is_dataclass(config)
    for field in dataclasses.fields(config):
        path, value = prefix + field.name, getattr(config, field.name)
        yield path
        if dataclasses.is_dataclass(value):
            yield from _settings(value, f"{path}.")


def _free_groups(config: object) -> Iterator[str]:
    """Yield the paths of settings in which names are free, or depend on other settings."""
    for path in _settings(config):
        value = config
        for part in path.split("."):
            value = getattr(value, part)
        if isinstance(value, Mapping | Variant):
            yield path


def _changed(config: Any, changes: Mapping[str, Any], where: str) -> Any:  # noqa: ANN401
    """Return a dataclass with some fields replaced, at any depth."""
    hints = typing.get_type_hints(type(config))
    unknown = [name for name in changes if name not in hints]
    if unknown:
        near = difflib.get_close_matches(unknown[0], hints, n=1)
        hint = f"did you mean {near[0]}?" if near else f"valid settings: {', '.join(hints)}"
        raise ConfigError(f"unknown setting {where}{unknown[0]}", hint)
    values = {
        name: _value(hints[name], getattr(config, name), value, where + name)
        for name, value in changes.items()
    }
    return dataclasses.replace(config, **values)


def _value(hint: Any, before: Any, value: Any, where: str) -> Any:  # noqa: ANN401
    if dataclasses.is_dataclass(value) and isinstance(hint, type) and isinstance(value, hint):
        return value
    if is_variant(hint):
        return _variant(hint, before, value, where)
    if dataclasses.is_dataclass(before) and isinstance(value, Mapping):
        return _changed(before, value, f"{where}.")
    kinds = typing.get_args(hint)
    if typing.get_origin(hint) is Mapping and is_variant(kinds[-1]) and isinstance(value, Mapping):
        return {**before} | {
            name: _variant(kinds[-1], before.get(name), item, f"{where}.{name}")
            for name, item in value.items()
        }
    if isinstance(value, os.PathLike) and hint is str:
        value = os.fspath(value)
    return configuration.checked(hint, configuration.plain(value), where)


def _variant(hint: Any, before: Any, value: Any, where: str) -> Any:  # noqa: ANN401
    """Return a variant from its name, or from some of its settings."""
    if dataclasses.is_dataclass(value):
        return value
    settings = {"name": value} if isinstance(value, str) else value
    if before is not None and isinstance(settings, Mapping):
        settings = {"name": before.name, **settings}
        if settings["name"] == before.name:
            changes = {name: item for name, item in settings.items() if name != "name"}
            return _changed(before, changes, f"{where}.")
    return configuration.checked(hint, settings, where)
