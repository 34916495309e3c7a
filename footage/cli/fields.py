"""Turn the fields of settings classes into options.

The docstring under a field is its help. The placeholder of a text comes from the field's name:
`--tasks TASK [TASK ...]`, not `--tasks [STR [STR ...]]`.
"""

import ast
import dataclasses
import inspect
import itertools
import textwrap
import typing
from collections.abc import Mapping
from typing import Annotated, Any, Final

from tyro.conf import FlagCreatePairsOff, Suppress, arg
from tyro.constructors import (
    MISSING_NONPROP,
    ConstructorRegistry,
    StructConstructorSpec,
    StructFieldSpec,
    StructTypeInfo,
)

REGISTRY = ConstructorRegistry()

FLAG: Final = Annotated[bool, FlagCreatePairsOff, arg(help_behavior_hint="")]
"""A flag that is off by default."""


@REGISTRY.struct_rule
def _settings(info: StructTypeInfo) -> StructConstructorSpec | None:
    if not dataclasses.is_dataclass(info.type):
        return None
    types, helps = typing.get_type_hints(info.type, include_extras=True), _helps(info.type)
    return StructConstructorSpec(
        instantiate=info.type,
        fields=tuple(
            StructFieldSpec(
                name=field.name,
                type=_shown(field, types[field.name], default),
                default=default,
                helptext=helps.get(field.name),
            )
            for field in dataclasses.fields(info.type)
            for default in [_default(field, info)]
        ),
    )


def _default(field: dataclasses.Field[Any], info: StructTypeInfo) -> Any:  # noqa: ANN401
    if isinstance(info.default, info.type):
        return getattr(info.default, field.name)
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return MISSING_NONPROP if field.default is dataclasses.MISSING else field.default


def _shown(field: dataclasses.Field[Any], kind: Any, default: object) -> Any:  # noqa: ANN401
    """Return the type of a field, annotated with what the help shows instead of it."""
    word = field.name.upper().replace("_", "-")
    hint = "" if default in ("", ()) else None  # the help describes the effect of no value
    if "option" in field.metadata:  # an option of the command, which is shown instead
        return Annotated[kind, Suppress]
    if kind is bool and field.default is False:  # others have a second option, --no-NAME
        return FLAG
    if kind is str:
        return Annotated[kind, arg(metavar=word, help_behavior_hint=hint)]
    if kind == tuple[str, ...]:
        word = word.removesuffix("S")
        return Annotated[kind, arg(metavar=f"{word} [{word} ...]", help_behavior_hint=hint)]
    if typing.get_origin(kind) is Mapping:
        return Annotated[kind, arg(metavar="[NAME VALUE ...]")]
    return kind


def _helps(kind: type) -> dict[str, str]:
    """The docstring under each field of a dataclass, on one line."""
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(definition, ast.ClassDef)
    return {
        field.target.id: " ".join(text.value.value.split())
        for field, text in itertools.pairwise(definition.body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }
