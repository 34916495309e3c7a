"""The messages of the troubleshooting guide are those of the code."""

import ast
import re

import pytest

from docs.generate import ROOT
from docs.pages.deviations import LIBRARY

GUIDE = (ROOT / "docs" / "guides" / "troubleshooting.md").read_text("utf-8")
MESSAGES = re.findall(r"^\| `(.+?)` \|", GUIDE, re.MULTILINE)
PLACEHOLDER = re.compile(r"'?\b(?!(?:MB|GPU)\b)[A-Z]+\b'?")


def templates(tree):
    """Every string of a module, with a space for each value that is inserted."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            yield "".join(
                part.value if isinstance(part, ast.Constant) else " " for part in node.values
            )


TEMPLATES = {
    template
    for path in LIBRARY.rglob("*.py")
    for template in templates(ast.parse(path.read_text("utf-8")))
    if " " in template
}


def is_in_the_code(message):
    parts = [part.strip() for part in PLACEHOLDER.split(message) if part.strip()]
    return any(all(part in template for part in parts) for template in TEMPLATES)


@pytest.mark.parametrize("message", MESSAGES)
def test_every_message_of_the_guide_is_one_of_the_code(message):
    assert is_in_the_code(message)


@pytest.mark.parametrize("message", ["the store at STORE is broken", "there is no sandwich NAME"])
def test_a_message_that_does_not_exist_would_be_noticed(message):
    assert not is_in_the_code(message)
