"""Layout of charts: curves with odd values, ticks, and long names."""

import numpy as np
import pytest

from footage.reporting.charts.axes import ticks
from footage.reporting.charts.curves import Curve, Level, _moving_average, _thinned, curves
from footage.reporting.charts.intervals import accuracy, fractions, ratios
from footage.reporting.rendering import render


def test_a_moving_average_keeps_constants_and_means_its_window() -> None:
    np.testing.assert_allclose(_moving_average(np.full(50, 3.0)), 3.0)
    values = np.random.default_rng(0).normal(size=200)
    assert _moving_average(values)[100] == pytest.approx(values[95:106].mean())


def test_thinning_keeps_the_mean_and_bounds_the_points() -> None:
    line = Curve("run", "run0", list(range(1, 10_001)), np.linspace(0, 1, 10_000).tolist())
    thin = _thinned(line)
    assert len(thin.steps) == 300
    assert np.mean(thin.values) == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0, 12_345), (-0.3, 0.001), (3.2, 3.21)])
def test_ticks_are_round_few_and_inside(low: float, high: float) -> None:
    found = ticks(low, high, 4)
    assert 2 <= len(found) <= 6
    assert all(low - 1e-9 <= tick <= high + 1e-9 for tick in found)


@pytest.mark.parametrize("values", [[], [float("nan")], [1.0], [0.0, 0.0], [5.0, float("inf")]])
def test_odd_curves_still_draw(values: list[float]) -> None:
    lines = [Curve("a", "run0", list(range(len(values))), values)]
    drawn = render("curve_chart.html.j2", chart=curves("t", lines, levels=[Level("c", 0)]))
    assert "nan" not in drawn
    assert "inf" not in drawn


def test_a_long_name_of_a_row_is_wrapped_and_leaves_room_for_the_points() -> None:
    name = "x" * 100
    chart = fractions("t", [(name, [accuracy("a", "run0", "dot", 0.5)]), ("b", [])])
    assert "".join(line.text for line in chart.names[:-1]) == name
    assert all(0 < line.y < chart.bottom for line in chart.names)
    assert 0 < chart.names[0].x < chart.points[0].x < chart.width


def test_ratios_above_one_are_drawn_logarithmically() -> None:
    rows = [("a", [accuracy("m", "run0", "dot", value) for value in (0.5, 1.0, 10.0, 100.0)])]
    chart = ratios("t", rows, "another video", [0.0, 0.5, 1.0, 10.0])
    half, one, ten, hundred = (point.x for point in chart.points)
    assert chart.reference is not None
    assert chart.reference.x == one
    assert hundred - ten == pytest.approx(ten - one)
    assert one - half == pytest.approx(ten - one)  # half of the scale up to 1


def test_a_chart_contains_its_numbers_as_text() -> None:
    chart = fractions("t", [("two\nlines", [accuracy("a", "run0", "dot", 0.5, (0.4, 0.6))])])
    drawn = render("interval_chart.html.j2", chart=chart)
    assert 'aria-label="t. two lines: a 50.0 [40.0, 60.0] %"' in drawn
