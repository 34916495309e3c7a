"""docs/reference/configuration.md: every setting, from the dataclasses of the configurations."""

import ast
import dataclasses
import inspect
import itertools
import re
import textwrap
import typing
from collections.abc import Iterator
from types import UnionType
from typing import Any

from footage.commands.embed import EmbedConfig
from footage.commands.evaluate import EvaluateConfig
from footage.commands.ingest import IngestConfig
from footage.commands.profile import ProfileConfig
from footage.training.config import TrainConfig

HEAD = """# Configuration

Generated from the configuration classes by `python -m docs.generate`; a test keeps it up to date.

A configuration is a frozen dataclass. Every setting is an option of the command line: the setting
`optimizer.learning_rate` is `--optimizer.learning-rate`. The defaults of `footage train` come from
its [recipe](recipes.md); the table shows those of `TrainConfig()`. A run saves all of its settings
in `run.json`, and `footage train --from RUN/run.json --out OTHER` repeats it.
"""
CONFIGS = {
    "footage train": TrainConfig,
    "footage ingest": IngestConfig,
    "footage evaluate": EvaluateConfig,
    "footage profile": ProfileConfig,
    "footage embed": EmbedConfig,
}


def page() -> str:
    """Render the page."""
    return "\n".join([HEAD, *(_config(command, one) for command, one in CONFIGS.items())])


def _config(command: str, config: type) -> str:
    groups: dict[str, list[str]] = {}
    for path, row in _rows(config, ""):
        groups.setdefault(path.rpartition(".")[0], []).append(row)
    lines = [f"## `{command}`: {config.__name__}", ""]
    for group, rows in groups.items():
        title = [f"### {command.split()[-1]}: `{group}`", ""] if group else []
        lines += [*title, "| setting | default | description |", "| --- | --- | --- |", *rows, ""]
    return "\n".join(lines)


def _rows(config: type, prefix: str) -> Iterator[tuple[str, str]]:
    """One row per setting, with those of nested configurations after it."""
    about, types = _descriptions(config), typing.get_type_hints(config)
    nested = []
    for field in dataclasses.fields(config):
        path = f"{prefix}{field.name}"
        groups = _groups(types[field.name])
        if groups:
            nested += [(one, f"{path}.") for one in groups]
            continue
        values = _values(types[field.name])
        description = f"{about[field.name]}{values}".replace("|", r"\|")
        yield path, f"| `{path}` | {_default(field)} | {description} |"
    for one, inner in nested:
        yield from _rows(one, inner)


def _groups(kind: Any) -> list[type]:  # noqa: ANN401 (types)
    """The configurations that a setting holds: one, or the choices of a union."""
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return [kind]
    if typing.get_origin(kind) in (UnionType, typing.Union):
        return [one for part in typing.get_args(kind) for one in _groups(part)]
    return []


def _values(kind: Any) -> str:  # noqa: ANN401 (types)
    if typing.get_origin(kind) is not typing.Literal:
        return ""
    return f" One of {', '.join(f'`{value}`' for value in typing.get_args(kind))}."


def _default(field: Any) -> str:  # noqa: ANN401 (typeshed has no public name for a Field[...])
    if field.default is dataclasses.MISSING:
        if field.default_factory is dataclasses.MISSING:
            return "required"
        return "one per CPU" if field.name == "workers" else f"`{field.default_factory()!r}`"
    if isinstance(field.default, tuple):
        return f"`{' '.join(map(str, field.default))}`" if field.default else ""
    return "" if field.default in ("", None) else f"`{field.default}`"


def _descriptions(config: type) -> dict[str, str]:
    """The docstring below each field, of the class and of the classes that it extends."""
    found: dict[str, str] = {}
    for owner in reversed(config.__mro__):
        if not dataclasses.is_dataclass(owner):
            continue
        for field, text in itertools.pairwise(ast.parse(_source(owner)).body[0].body):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                is_text = isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
                words = str(text.value.value) if is_text else ""
                found[field.target.id] = re.sub(r"\s+", " ", words).strip()
    return found


def _source(owner: type) -> str:
    return textwrap.dedent(inspect.getsource(owner))
