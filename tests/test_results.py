"""Results are shown as text and HTML, and convert to JSON."""

import dataclasses
import json
import os
from pathlib import Path
from typing import NamedTuple

import pytest
from rich.console import Group
from rich.table import Table

from footage.results import Fields, PathResult, Result, jsonable


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class Counted(Result):
    name: str
    count: int


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class Written(PathResult):
    path: Path
    count: int


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class Tabular(Result):
    cells: list[tuple[str, str]]

    def views(self):
        table = Table("name", "value", title="a <title>")
        for row in self.cells:
            table.add_row(*row)
        return [Group(table, "a note"), Fields([("file", "a.json")])]


class Pair(NamedTuple):
    left: float
    right: Path


def test_a_result_is_shown_as_one_line_per_field():
    assert repr(Counted("photos", 12)) == "name   photos\ncount  12"


def test_control_characters_of_names_never_reach_a_terminal_or_a_notebook():
    result = Counted("a\x1b[31m\n<b>", 1)
    assert repr(result).splitlines() == [r"name   a\x1b[31m\n<b>", "count  1"]
    assert "\x1b" not in result._repr_html_()
    assert "&lt;b&gt;" in result._repr_html_()


def test_tables_are_shown_in_full_and_become_tables_in_a_notebook():
    result = Tabular([("[red]a & b", "1")])
    assert "[red]a & b" in repr(result)
    assert repr(result).splitlines()[-2:] == ["a note", "file  a.json"]
    page = result._repr_html_()
    assert "<caption>a &lt;title&gt;</caption>" in page
    assert (
        "<tr><th>name</th><th>value</th></tr>\n<tr><td>[red]a &amp; b</td><td>1</td></tr>" in page
    )
    assert "<pre>a note</pre>" in page
    assert "<tr><td>file</td><td>a.json</td></tr>" in page


def test_a_result_that_is_a_file_is_usable_as_a_path(tmp_path):
    result = Written(tmp_path / "features.parquet", 3)
    assert os.fspath(result) == str(result) == str(tmp_path / "features.parquet")
    assert Written(tmp_path, 0) / "a.txt" == tmp_path / "a.txt"
    assert Path(Written(tmp_path, 0)).is_dir()


def test_records_inside_a_result_become_json_objects():
    values = jsonable({"pair": Pair(float("nan"), Path("a/b")), "all": [Counted("x", 1)], 3: {1}})
    assert values == {
        "pair": {"left": None, "right": "a/b"},
        "all": [{"name": "x", "count": 1}],
        "3": [1],
    }
    assert json.loads(json.dumps(values, allow_nan=False)) == values


@pytest.mark.parametrize("name", ["plain", "caf\udce9", "\x1b"])
def test_names_are_not_changed_in_json(name):
    assert json.loads(json.dumps(Counted(name, 1).to_dict())) == {"name": name, "count": 1}
