"""Check the arguments of the Python functions: one path or many, as strings or `Path`."""

import functools
import os
import re
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from footage.errors import ConfigError

Location = str | os.PathLike[str]
"""A path, a URL or a name."""
Locations = Location | Iterable[Location]
"""One location, or several."""

_URL_AS_PATH = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")

Config = TypeVar("Config")
Parameters = ParamSpec("Parameters")
Returned = TypeVar("Returned")


def renamed(
    **names: str,
) -> Callable[[Callable[Parameters, Returned]], Callable[Parameters, Returned]]:
    """Accept old names of keyword arguments, with a warning; `old="new"` for each."""

    def decorate(function: Callable[Parameters, Returned]) -> Callable[Parameters, Returned]:
        @functools.wraps(function)
        def wrapper(*values: Any, **options: Any) -> Returned:  # noqa: ANN401
            for old in names.keys() & options.keys():
                warnings.warn(
                    f"{old}= is deprecated; use {names[old]}=", FutureWarning, stacklevel=2
                )
                options[names[old]] = options.pop(old)
            return function(*values, **options)

        return wrapper

    return decorate


def location(value: Location, name: str) -> str:
    """Convert one argument to a string.

    Raises:
        ConfigError: It is neither a string nor a path.
    """
    text = os.fspath(value) if isinstance(value, os.PathLike) else value
    if isinstance(value, Path) and _URL_AS_PATH.match(str(value)):
        raise ConfigError(
            f"{name} is {str(value)!r}: a Path cannot contain a URL, because it removes a slash",
            f"pass {name} as a string",
        )
    if not isinstance(text, str):
        raise ConfigError(
            f"{name} must be a string or a Path, got {described(value)}",
            f"pass {name} as a string",
        )
    return text


def path(value: Location, name: str) -> Path:
    """Convert one argument to a path.

    Raises:
        ConfigError: It is neither a string nor a path.
    """
    return Path(location(value, name))


def locations(values: Locations, name: str) -> list[str]:
    """Convert several arguments to strings; a single one counts as a list of one.

    Raises:
        ConfigError: One of them is neither a string nor a path.
    """
    if isinstance(values, str | os.PathLike):
        return [location(values, name)]
    if isinstance(values, bytes | Mapping) or not isinstance(values, Iterable):
        raise ConfigError(
            f"{name} must be a string, a Path or a list of them, got {described(values)}",
            f"pass {name} as a list of paths",
        )
    return [location(value, name) for value in values]


def settings(value: Config | None, kind: Callable[[], Config], name: str = "config") -> Config:
    """Return the configuration, or the default one for None.

    Raises:
        ConfigError: The value has another type.
    """
    if value is None:
        return kind()
    if isinstance(kind, type) and not isinstance(value, kind):
        raise ConfigError(
            f"{name} must be a {kind.__name__}, got {described(value)}",
            f"pass {kind.__module__}.{kind.__name__}(...)",
        )
    return value


def described(value: object) -> str:
    """Return the type and the start of a value, for messages."""
    text = repr(value)
    return f"{type(value).__name__} {text[:60]}{'...' * (len(text) > 60)}"
