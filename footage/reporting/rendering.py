"""Jinja2 templates of HTML and Markdown; values are escaped, and an unknown name is an error.

A video called `<img src=x onerror=alert(1)>` is shown under that name and has no effect. Control
characters and characters that reverse text are shown as escapes.
"""

import re
from importlib import resources
from typing import Final

import jinja2
from markupsafe import Markup

from footage.text import one_line, printable

POLICY: Final = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""The browser neither loads nor runs anything, whatever a file name contains."""

_TEMPLATES: Final = jinja2.Environment(
    loader=jinja2.PackageLoader("footage.reporting"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)

_MARKDOWN: Final = jinja2.Environment(
    loader=jinja2.PackageLoader("footage.reporting"),
    autoescape=False,  # `finalize` escapes every value
    finalize=lambda value: value if isinstance(value, Markup) else _markdown(str(value)),
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_SPECIAL: Final = re.compile(r"[\\`*\[\]<>|~#$&]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
"""Characters with a meaning in Markdown, except those that only matter at the start of a line."""


def _markdown(text: str) -> str:
    return _SPECIAL.sub(r"\\\g<0>", one_line(text))


def render(template: str, **values: object) -> Markup:
    """Fill in a template of `templates/`.

    Args:
        template: File name.
        values: Plain data, by the names that the template uses.
    """
    return Markup(printable(_TEMPLATES.get_template(template).render(values)))


def render_markdown(template: str, **values: object) -> str:
    """Fill in a Markdown template; values at the start of a line must begin with a letter.

    Args:
        template: File name.
        values: Plain data, by the names that the template uses. `Markup` is not escaped.
    """
    return _MARKDOWN.get_template(template).render(values)


def render_page(template: str, **values: object) -> Markup:
    """Fill in a template that extends `page.html.j2`; see `render`."""
    return render(template, policy=POLICY, style=style_sheet(), **values)


def style_sheet() -> str:
    """The content of style.css."""
    return resources.files("footage.reporting").joinpath("style.css").read_text("utf-8")


def _coordinate(value: int | float) -> str:
    """At most two decimals: 3.5 and 12.33, but 4 for 4.0."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


_TEMPLATES.filters["coordinate"] = _coordinate
