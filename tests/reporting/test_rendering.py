"""Templates escape every value and refuse unknown names."""

import jinja2
import pytest

from footage.reporting.rendering import render
from footage.reporting.tables import Cell, Column, Section, Table


def shown(text: str) -> str:
    table = Table(text, [Column(text)], [text, [Cell(text, text)]])
    return render("section.html.j2", section=Section("a", text, "setup.html.j2", table))


def test_text_and_attributes_are_escaped() -> None:
    found = shown("\"<b>'&\x1b\u202e")
    assert "<b>" not in found
    escaped = "&#34;&lt;b&gt;&#39;&amp;\\x1b\\u202e"
    assert found.count(escaped) == 6
    assert f'aria-label="{escaped}"' in found


def test_a_name_that_is_missing_is_an_error() -> None:
    with pytest.raises(jinja2.UndefinedError, match="'chart' is undefined"):
        render("interval_chart.html.j2")
