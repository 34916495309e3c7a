"""Arguments and options that several commands have in common, and how the help shows them."""

from collections.abc import Sequence
from typing import Annotated

from tyro.conf import FlagCreatePairsOff, Positional, UseAppendAction, arg
from tyro.constructors import PrimitiveConstructorSpec

from footage.cli.parsing import NO_VALUE


def required(metavar: str, help: str) -> object:
    """A required argument or option."""
    return arg(metavar=metavar, help=help, help_behavior_hint="(required)")


def optional(metavar: str, help: str) -> object:
    """An option whose default is described in its help."""
    return arg(metavar=metavar, help=help, help_behavior_hint="")


def _some(words: Sequence[str]) -> tuple[str, ...]:
    if not words:
        raise ValueError(NO_VALUE)
    return tuple(words)


SOME = PrimitiveConstructorSpec(
    nargs="*",
    metavar="",
    instance_from_str=_some,
    is_instance=lambda value: isinstance(value, tuple),
    str_from_instance=list,
)
"""One or more words."""

Model = Annotated[
    str, Positional, required("MODEL", "Run, exported file or folder, or timm model name.")
]
Repeated = UseAppendAction[tuple[Annotated[tuple[str, ...], SOME], ...]]
"""Values of an option that accepts several and can be repeated."""


Flag = Annotated[bool, FlagCreatePairsOff]


def flat(groups: Sequence[Sequence[str]]) -> list[str]:
    """All values of a `Repeated` option."""
    return [value for group in groups for value in group]
