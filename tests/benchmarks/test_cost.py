"""The cost calculator, with amounts that are easy to check."""

import pytest

from benchmarks import cost
from benchmarks.cost import Inputs, stages, table, tables_of


def of(name, **inputs):
    return next(one for one in stages(Inputs(**inputs)) if one.name == name)


def test_an_ingest_costs_the_measured_time_per_frame_and_a_request_per_block(monkeypatch):
    monkeypatch.setattr(cost, "core_seconds_per_frame", lambda _: 0.001)
    found = of("ingest", videos=1000, seconds=120, megabytes=40, kilobytes_per_frame=10)
    assert found.core_hours == pytest.approx(1000 * 120 * 30 * 0.001 / 3600)
    assert (found.gets, found.puts) == (3000, 2000)  # 16 MB per request; a unit per large file
    assert found.read_bytes == pytest.approx(40e9)
    assert found.written_bytes == pytest.approx(1000 * 120 * 2 * 10e3)


def test_small_files_share_units():
    assert of("ingest", videos=6400, megabytes=0.1).puts == pytest.approx(2 * 100)
    assert of("ingest", videos=1000, megabytes=1.048576).puts == pytest.approx(2 * 1000 / 16)


def test_training_costs_views_and_the_price_of_each_unit_counts():
    found = of("train", videos=1e6, passes=10)
    assert found.gpu_hours == pytest.approx(16e7 / cost.views_per_second() / 3600)
    assert found.dollars(Inputs(gpu_hour=2.0, thousand_gets=0.5)) == pytest.approx(
        2 * found.gpu_hours + 40e6 / 1000 * 0.5
    )


def test_twice_the_videos_cost_twice_as_much_but_for_the_evaluation():
    one, two = (stages(Inputs(videos=videos)) for videos in (1e6, 2e6))
    for small, large in zip(one[:-1], two[:-1], strict=True):
        assert large[1:] == pytest.approx([2 * value for value in small[1:]])
    assert one[-1] == two[-1]
    assert "| **all** |" in table(Inputs())


def test_a_measured_store_is_reproduced_and_a_larger_one_costs_about_in_proportion():
    row = cost.read("scale.json")["rows"][-1]
    found = tables_of(row["videos"])
    larger = tables_of(10 * row["videos"])
    for task, (seconds, megabytes) in found.items():
        assert seconds == pytest.approx(row[task]["seconds"])
        assert megabytes == pytest.approx(row[task]["peak_mb"])
        more_seconds, more_megabytes = larger[task]
        assert 4 < more_seconds / seconds < 15
        assert 7 < more_megabytes / megabytes < 15
