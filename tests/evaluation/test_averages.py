"""What cannot be compared is never averaged, nor put side by side."""

from pathlib import Path

import msgspec
import pytest

from footage.errors import CheckpointError, ConfigError
from footage.evaluation.averages import (
    Identity,
    identity,
    one_averaging,
    one_identity,
    published,
    summarise,
)
from footage.evaluation.protocols import PROTOCOLS
from footage.evaluation.results import ResultRow, read_rows, write_lines
from tests.evaluation.rows import VTAB, row, suite


def test_the_mean_of_tasks_is_not_the_mean_of_groups() -> None:
    tasks, groups = summarise(suite()).headline[0], summarise(suite(), "groups").headline[0]
    assert tasks.value == pytest.approx((7 * 0.9 + 4 * 0.6 + 8 * 0.3) / 19)
    assert tasks.averaging == "mean of 19 tasks"
    assert groups.value == pytest.approx(0.6)
    assert groups.averaging == "mean of 3 groups"
    with pytest.raises(ConfigError, match="mean of 19 tasks and mean of 3 groups"):
        one_averaging([tasks, groups])


def test_a_missing_task_takes_the_headline_and_its_group_and_is_named() -> None:
    rows = [each for each in suite(missing={"kitti": "structured"}) if each.task != "kitti"]
    for rule in ("tasks", "groups"):
        summary = summarise(rows, rule)
        assert summary.headline == ()
        assert list(summary.groups) == ["natural", "specialized"]
        assert summary.missing == ("kitti",)


def test_a_task_that_no_table_knows_enters_no_average_of_a_suite() -> None:
    assert summarise([*suite(), row("mine", 0.0)]).headline == summarise(suite()).headline
    alone = summarise([row("mine", 0.5), row("other", 0.7)]).headline[0]
    assert (alone.averaging, alone.value) == ("mean of 2 tasks", pytest.approx(0.6))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("suite", "pocket"),
        ("protocol", "heavy"),
        ("sweep_size", 100),
        ("seed_rule", "mean of 5 seeds"),
        ("generation", "v1"),
    ],
)
def test_rows_of_different_kinds_are_refused_and_both_are_named(field: str, value: object) -> None:
    other = row("dtd", 0.5, **{field: value})
    with pytest.raises(ConfigError, match="cannot share a table") as refused:
        one_identity([identity(row("dtd", 0.5)), identity(other)])
    assert str(value) in refused.value.message
    assert "vtab-1k lightweight, 4 settings, median of 3 seeds" in refused.value.message
    with pytest.raises(ConfigError, match="cannot share a table"):
        summarise([row("dtd", 0.5), other])


def test_rows_of_two_models_or_one_task_twice_are_not_averaged() -> None:
    with pytest.raises(ConfigError, match="several models"):
        summarise([row("dtd", 0.5), row("svhn", 0.5, model="b")])
    with pytest.raises(ConfigError, match="a task appears twice"):
        summarise([row("dtd", 0.5), row("dtd", 0.5)])
    with pytest.raises(ConfigError, match="there are no results"):
        summarise([])


def test_rows_come_back_from_json_lines_and_parquet(tmp_path: Path) -> None:
    import polars

    files = write_lines(tmp_path, suite())
    assert read_rows(tmp_path) == suite()
    table = polars.read_parquet(files[1])
    assert table.shape == (19, len(msgspec.structs.fields(ResultRow)))
    assert table["task"].to_list() == list(VTAB)
    files[0].write_text('{"suite"')
    with pytest.raises(CheckpointError, match="run `footage evaluate` again"):
        read_rows(files[0])


def test_published_group_means_give_the_published_mean() -> None:
    for each in published():
        assert each.source
        groups = each.groups
        if each.averaging == "mean of 19 tasks" and groups:
            parts = 7 * groups["natural"] + 4 * groups["specialized"] + 8 * groups["structured"]
            assert parts / 19 == pytest.approx(each.mean, abs=0.07), each
        if each.averaging == "mean of 3 groups":
            assert sum(groups.values()) / 3 == pytest.approx(each.mean, abs=0.07)


def test_only_published_rows_of_the_same_kind_are_compared_with_ours() -> None:
    lightweight = PROTOCOLS["lightweight"]
    ours = Identity(
        suite="vtab-1k",
        protocol="lightweight",
        generation="v2",
        sweep_size=lightweight.sweep_size,
        seed_rule=lightweight.seed_rule,
    )
    others = published(ours)
    assert {each.mean for each in others} == {42.1, 51.1, 50.8, 59.5, 59.1, 35.3}
    assert not any(each.generation == "v1" for each in others)
    assert {each.mean for each in published() if each.generation == "v1"} >= {43.1, 66.4, 68.0}
