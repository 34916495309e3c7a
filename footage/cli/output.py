"""What a command prints on standard output: its result as text, or as JSON with `--json`."""

import contextlib
import json
import sys
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from typing import Any

from rich.console import Console
from rich.segment import Segment, Segments

from footage.results import WIDTH, Fields, PathResult, Result, View, as_text
from footage.text import printable

_AS_JSON = ContextVar("as_json", default=False)


@contextlib.contextmanager
def form(*, as_json: bool) -> Iterator[None]:
    """Choose the form of what the commands print while the block runs."""
    token = _AS_JSON.set(as_json)
    try:
        yield
    finally:
        _AS_JSON.reset(token)


def show(result: Result) -> None:
    """Print a result: as JSON, as the path of a file or folder, or all of its views."""
    if _AS_JSON.get():
        _print_json(result.to_dict())
    elif isinstance(result, PathResult):
        print(printable(str(result)))
    else:
        for view in result.views():
            _show(view)


def show_values(values: Mapping[str, Any], text: str) -> None:
    """Print the output of a command that has no result.

    Args:
        values: The output as JSON values.
        text: The output as text.
    """
    if _AS_JSON.get():
        _print_json(values)
    elif text:
        print(printable(text))


def _print_json(values: Mapping[str, Any]) -> None:
    """Print one JSON document, in ASCII: names of files may contain control characters."""
    print(json.dumps(values, indent=2 if sys.stdout.isatty() else None, allow_nan=False))


def _show(view: View) -> None:
    """Print a view, with tables as wide as the terminal; names are not read as markup."""
    if isinstance(view, Fields | str):
        print(as_text(view, WIDTH))
        return
    console = Console(width=None if sys.stdout.isatty() else WIDTH, markup=False)
    safe = [
        part if part.control else Segment(printable(part.text), part.style)
        for part in console.render(view)
    ]
    console.print(Segments(safe), end="")
