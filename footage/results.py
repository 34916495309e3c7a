"""Results of commands: shown in a terminal or a notebook, or converted to JSON.

`views` is the only description of how a result is shown: `repr`, notebooks and the command line are
made from it.
"""

import dataclasses
import html
import io
import itertools
import math
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
from rich.console import Console, Group, RenderableType
from rich.table import Table

from footage.io.copies import with_urls
from footage.text import one_line, printable

WIDTH: Final = 160
"""Width of a table that is not written to a terminal, in characters."""


class Fields(NamedTuple):
    """Names and values, one line each."""

    rows: Sequence[tuple[str, object]]

    def __str__(self) -> str:
        """Return the lines, with the values below each other."""
        width = max((len(name) for name, _ in self.rows), default=0)
        return "\n".join(one_line(f"{name:<{width}}  {value}") for name, value in self.rows)


View = Fields | RenderableType
"""A part of a result as shown: names with values, a table of rich, or text."""


class Result:
    """Base of the results of commands, which are frozen dataclasses."""

    __slots__ = ()

    def views(self) -> Sequence[View]:
        """Return what is shown, from top to bottom; by default, all fields."""
        return [Fields(list(self._fields().items()))]

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON values."""
        return {name: jsonable(value) for name, value in self._fields().items()}

    def _fields(self) -> dict[str, Any]:
        assert dataclasses.is_dataclass(self)
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    def __repr__(self) -> str:
        width = shutil.get_terminal_size((WIDTH, 24)).columns
        return "\n".join(as_text(view, width) for view in self.views())

    def _repr_html_(self) -> str:
        """Return the result for a notebook."""
        return "\n".join(itertools.chain.from_iterable(map(_html, self.views())))


class PathResult(Result):
    """Base of results that are mainly a file or folder: usable wherever a path is."""

    __slots__ = ()

    path: Path

    def __fspath__(self) -> str:
        return os.fspath(self.path)

    def __str__(self) -> str:
        """Return the path, or the URL of which it is the local copy."""
        return with_urls(str(self.path))

    def __truediv__(self, name: str | os.PathLike[str]) -> Path:
        """Return the path of a file in the folder."""
        return self.path / name


def as_text(view: View, width: int) -> str:
    """Return a view as text without control characters.

    Args:
        view: The view.
        width: Width of tables, in characters.
    """
    if isinstance(view, Fields | str):
        return printable(with_urls(str(view)))
    text = io.StringIO()
    Console(file=text, width=width, markup=False, color_system=None).print(view)
    lines = (line.rstrip() for line in text.getvalue().splitlines())
    return printable("\n".join(lines))


def jsonable(value: Any) -> Any:  # noqa: ANN401
    """Convert a value for JSON: records become objects, paths become text, NaN becomes null."""
    if isinstance(value, Result):
        return value.to_dict()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return {field.name: jsonable(getattr(value, field.name)) for field in fields}
    if isinstance(value, msgspec.Struct):
        return jsonable(msgspec.to_builtins(value))
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return jsonable(value._asdict())
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [jsonable(item) for item in value]
    if isinstance(value, os.PathLike | str):
        return with_urls(os.fspath(value))
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _html(view: View) -> Iterator[str]:
    if isinstance(view, Group):
        for part in view.renderables:
            yield from _html(part)
    elif isinstance(view, Table):
        yield _table([view.title] if view.title else [], _header(view), _cells(view))
    elif isinstance(view, Fields):
        yield _table([], [], [(name, with_urls(str(value))) for name, value in view.rows])
    else:
        yield f"<pre>{_escaped(as_text(view, WIDTH))}</pre>"


def _header(table: Table) -> list[RenderableType]:
    headers = [column.header for column in table.columns]
    return headers if any(map(str, headers)) else []


def _cells(table: Table) -> Iterator[tuple[RenderableType, ...]]:
    return zip(*(column.cells for column in table.columns), strict=True)


def _table(
    title: Sequence[object], header: Sequence[object], rows: Iterator[Any] | Sequence[Any]
) -> str:
    lines = [f"<caption>{_escaped(one)}</caption>" for one in title]
    lines += [_row("th", header)] if header else []
    lines += [_row("td", row) for row in rows]
    return "<table>\n" + "\n".join(lines) + "\n</table>"


def _row(cell: str, values: Sequence[object]) -> str:
    return "<tr>" + "".join(f"<{cell}>{_escaped(each)}</{cell}>" for each in values) + "</tr>"


def _escaped(value: object) -> str:
    return html.escape(printable(str(value)))
