"""List every departure from a paper that a docstring marks with `Deviation:`."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import footage

LIBRARY = Path(footage.__file__).parent
_SENTENCE = re.compile(r"\bDeviation: (.*?)\.(?= |$)")


class Deviation(NamedTuple):
    """One sentence, and the docstring that contains it."""

    path: str
    """Path of the file in the repository."""
    owner: str
    """Class, function or field; empty for the module itself."""
    text: str


def deviations() -> list[Deviation]:
    """Return all deviations, by file and in the order of the file."""
    return [
        Deviation(path.relative_to(LIBRARY.parent).as_posix(), owner, sentence)
        for path in sorted(LIBRARY.rglob("*.py"))
        for owner, text in _docstrings(ast.parse(path.read_text(encoding="utf-8")), "")
        for sentence in _SENTENCE.findall(" ".join(text.split()))
    ]


def _docstrings(node: ast.AST, owner: str) -> Iterator[tuple[str, str]]:
    """Yield every docstring with its subject: the owner, or the field before it."""
    about = owner
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant):
            yield about, str(child.value.value)
        elif isinstance(child, ast.ClassDef | ast.FunctionDef):
            yield from _docstrings(child, f"{owner}.{child.name}".lstrip("."))
        about = f"{owner}.{_field(child)}".strip(".")


def _field(node: ast.AST) -> str:
    """Return the name that a statement assigns; empty for other statements."""
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return targets[0].id if isinstance(targets[0], ast.Name) else ""
