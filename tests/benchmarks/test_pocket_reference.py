"""The reference columns of the pocket suite: rule and tables by hand, and the page as committed."""

import json
import runpy
from pathlib import Path

import msgspec
import pytest

from footage.errors import ConfigError
from footage.evaluation.results import write_lines
from footage.suites.pocket import COUNTED, TASKS
from tests.evaluation.rows import row

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "pocket-reference.json"
reference = runpy.run_path(str(ROOT / "benchmarks" / "pocket_reference.py"))


def cells(**values):
    """Made-up rows from `task="column protocol value, ..."`; each has an error of one point."""
    group_of = {task.name: task.group for task in TASKS}
    lines = []
    for task, told in values.items():
        name = task.replace("_", "-")
        for words in told.split(", "):
            column, protocol, value = words.split()
            lines.append(
                {
                    "task": name,
                    "group": group_of[name],
                    "column": column,
                    "protocol": protocol,
                    "value": float(value) / 100,
                    "standard_error": 0.01,
                    "chance": 0.1,
                }
            )
    return reference["cells_of"](lines)


def test_the_reference_must_win_by_two_errors_of_the_difference_in_one_of_two_ways():
    # One error of the difference of two such rows is 1.41 points.
    found = cells(
        fashion="untrained linear 50, reference linear 53",
        clipart="untrained linear 50, reference linear 52.8",
        landcover="untrained linear 50, reference linear 52, "
        "untrained pocket-finetune 50, reference pocket-finetune 53",
        doom="untrained linear 50, reference linear 51, "
        "untrained pocket-finetune 60, reference pocket-finetune 50",
    )
    assert reference["wins_by"](found, "fashion") == ["linear"]
    assert reference["wins_by"](found, "landcover") == ["pocket-finetune"]
    assert reference["undecided"](found) == ["clipart"]
    assert reference["dropped"](found) == ["doom"]


def test_means_leave_dropped_tasks_out_and_have_no_gaps():
    found = cells(
        fashion="untrained linear 50, reference linear 70, pixels linear 40",
        clipart="untrained linear 30, reference linear 60",
        doom="untrained linear 50, reference linear 50, pixels linear 90, "
        "untrained pocket-finetune 50, reference pocket-finetune 49",
    )
    text = reference["tables"](found)
    assert "| fashion | 10.0 | 40.0 | 50.0 | 70.0 | +20.0 ± 1.4 |" in text
    assert "| doom (dropped) | 10.0 | 90.0 | 50.0 | 50.0 | +0.0 ± 1.4 |" in text
    assert "| **mean of 2 natural** | 10.0 |  | 40.0 | 65.0 | +25.0 ± 1.0 |" in text
    assert "| **mean of 2** | 10.0 |  | 40.0 | 65.0 | +25.0 ± 1.0 |" in text


def test_rows_are_gathered_with_weights_and_commit(tmp_path):
    with pytest.raises(ConfigError, match="contains no results"):
        reference["collect"](tmp_path)
    folder = tmp_path / "untrained" / "linear"
    made = [msgspec.structs.replace(row("caltech101", 0.5), task="fashion", suite="pocket")]
    write_lines(folder, made)
    told = {
        "identity": {"model": {"model": "/some/where/lite0 untrained", "weights": "abc"}},
        "environment": {"commit": "123"},
    }
    (folder / "evaluation.json").write_text(json.dumps(told))
    path = tmp_path / "found.json"
    reference["write"](path, reference["collect"](tmp_path))
    (run,) = json.loads(path.read_text())["runs"]
    assert (run["weights"], run["commit"], run["column"]) == ("abc", "123", "untrained")
    assert run["model"] == "lite0 untrained"
    found = reference["read"](path)
    assert found["fashion", "untrained", "linear"]["value"] == 0.5


def test_the_page_shows_the_committed_results():
    page = (ROOT / "packages" / "pocket-suite" / "README.md").read_text("utf-8")
    assert reference["tables"](reference["read"](RESULTS)) in page, (
        "run: python benchmarks/pocket_reference.py benchmarks/results/pocket-reference.json"
    )


def test_dropped_are_the_tasks_that_the_committed_results_drop():
    found = reference["read"](RESULTS)
    assert reference["tasks_of"](found) == [task.name for task in TASKS]
    assert reference["undecided"](found) == []
    counted = {task.name for task in COUNTED}
    assert reference["dropped"](found) == [task.name for task in TASKS if task.name not in counted]
