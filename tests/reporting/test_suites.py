"""The section on suites shows what can be compared, and only that, side by side."""

import re

import msgspec

from footage.reporting.inputs import SuiteResults
from footage.reporting.rendering import render
from footage.reporting.sections.suites import section
from tests.evaluation.rows import row, suite


def words(text: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", text).split())


def shown(*evaluated: SuiteResults) -> str:
    return render("section.html.j2", section=section(evaluated))


def test_there_is_no_section_without_results() -> None:
    assert section([SuiteResults("a", [])]) is None


def test_runs_stand_beside_the_untrained_network_and_published_rows_of_the_same_kind() -> None:
    rows = suite(model="runs/a")
    untrained = [
        msgspec.structs.replace(each, model="runs/a untrained", value=0.2) for each in rows
    ]
    found = shown(SuiteResults("a", rows + untrained), SuiteResults("b", suite(model="runs/b")))
    told = words(found)
    assert "vtab-1k, lightweight: 4 settings tried, median of 3 seeds" in told
    assert re.search(r"task group chance a a untrained b deviations caltech101 natural", told)
    assert "mean of 7 natural tasks 90.0 20.0 90.0" in told
    assert "mean of 19 tasks 58.4 20.0 58.4" in told
    assert "Published, mean of 19 tasks: " in told
    assert "Rotation ResNet-50 59.5" in told
    assert "66.4" not in told  # published, but of the first generation
    assert found.count("<figure>") == 3
    assert "lossy JPEG dump" in told


def test_kinds_that_cannot_be_compared_have_tables_of_their_own() -> None:
    found = shown(SuiteResults("a", suite(model="a") + suite(model="a", protocol="linear")))
    assert found.count("<table>") == 2
    assert "vtab-1k, linear: 4 settings" in words(found)


def test_a_missing_task_is_named_in_place_of_the_mean() -> None:
    rows = [each for each in suite(missing={"kitti": "structured"}) if each.task != "kitti"]
    told = words(shown(SuiteResults("a", rows)))
    assert "No mean: 1 missing: kitti" in told
    assert "mean of 19" not in told
    assert "Published" not in told


def test_names_of_tasks_cannot_break_the_page() -> None:
    found = shown(SuiteResults("a", [row("<script>alert(1)</script>", 0.5)]))
    assert "<script>" not in found
    assert "&lt;script&gt;" in found
