"""docs/reference/losses.md: every loss with its formula and source, from the docstrings."""

import inspect
import re

from footage.objectives.losses.catalogue import functions

FUNCTIONS = functions()

HEAD = """# Losses

Generated from `footage/objectives/losses/` by `python -m docs.generate`; a test keeps it up to
date.
[paper]: certain. [recalled]: from memory of the paper, with confidence. [ours]: our choice.

"""


def page() -> str:
    """Render the page."""
    return HEAD + "\n".join(_entry(name) for name in FUNCTIONS)


def _entry(name: str) -> str:
    loss = FUNCTIONS[name]
    text = inspect.getdoc(loss) or ""
    formula, source = _part(text, "Formula"), _part(text, "Source")
    parameters = inspect.signature(loss).parameters.values()
    options = ", ".join(
        f"`{parameter.name} = {parameter.default}`"
        for parameter in parameters
        if parameter.default is not inspect.Parameter.empty
    )
    lines = [
        f"## `{name}`",
        "",
        text.split("\n", 1)[0],
        "",
        "| | |",
        "| --- | --- |",
        f"| formula | {formula.replace('|', chr(92) + '|')} |",
        f"| source | {source} |",
        f"| options | {options or 'none'} |",
        "",
    ]
    return "\n".join(lines)


def _part(text: str, name: str) -> str:
    """Return the text after `name:`, with its indented continuation lines."""
    found = re.search(rf"^{name}: (.*(?:\n +.*)*)", text, flags=re.MULTILINE)
    return " ".join(found.group(1).split()) if found else ""
