"""References from a document into the code, which fail when the code moves.

objectives.losses:future_shot_nce                  a function, class or constant of a module
objectives.levels.video:FutureConfig.hidden_dim    a field, with its default; or a method
objectives.levels.video:FutureConfig.loss['nce']   one of the values that a field allows
recipes.methods:METHODS['vivi-rot']                an entry of a dictionary
"""

import dataclasses
import importlib
import re
import typing
from collections.abc import Mapping
from typing import Any

_REFERENCE = re.compile(r"(?P<module>[\w.]+):(?P<names>[\w.]+)(?:\['(?P<choice>[\w-]+)'\])?")


def link(reference: str) -> str:
    """A reference as a Markdown link of a page in docs/background/; fails if it leads nowhere.

    Raises:
        ValueError: It names a module, an object, a field or a value that does not exist.
    """
    found = _REFERENCE.fullmatch(reference)
    if found is None:
        raise ValueError(
            f"{reference!r} is not a reference: write module:name or module:name['key']"
        )
    module, names, choice = found["module"], found["names"], found["choice"]
    try:
        home = importlib.import_module(f"footage.{module}")
        owner, last = _owner(home, names)
        value = _value(owner, last, choice)
    except (ImportError, AttributeError, KeyError) as error:
        raise ValueError(f"{reference} leads nowhere: {error}") from error
    born = getattr(owner if owner is not home else value, "__module__", home.__name__)
    if born.startswith("footage.") and born != home.__name__:
        raise ValueError(f"{reference} leads nowhere: it is at home in {born}")
    if module == "recipes.methods" and choice:
        return f"[`{choice}`](../reference/recipes.md#{choice})"
    path = f"../../{(home.__spec__.name if home.__spec__ else '').replace('.', '/')}.py"
    return f"[`{names}{value if isinstance(value, _Shown) else ''}`]({path})"


class _Shown(str):
    """Text shown after a name: the value of a field."""


def _owner(home: Any, names: str) -> tuple[Any, str]:  # noqa: ANN401 - modules and classes
    *outer, last = names.split(".")
    for name in outer:
        home = getattr(home, name)
    return home, last


def _value(owner: Any, name: str, choice: str | None) -> Any:  # noqa: ANN401 - whatever is named
    """Return the object that a name refers to; for a field, the text shown after its name."""
    fields = {}
    if dataclasses.is_dataclass(owner):
        fields = {field.name: field.default for field in dataclasses.fields(owner)}
    if name in fields and choice:
        allowed = typing.get_args(typing.get_type_hints(owner)[name])
        if choice not in allowed:
            raise KeyError(f"{name} may be {', '.join(map(str, allowed))}")
        return _Shown(f" = {choice}")
    if name in fields:
        simple = isinstance(fields[name], int | float | str) and fields[name] != ""
        return _Shown(f" = {fields[name]}" if simple else "")
    value = getattr(owner, name)
    if choice and not (isinstance(value, Mapping) and choice in value):
        raise KeyError(f"{name} has no {choice!r}")
    return value
