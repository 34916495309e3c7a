"""Results as terminal tables: what stands next to what."""

import io

from rich.console import Console

from footage.evaluation.averages import summarise
from footage.evaluation.results import NEAREST
from footage.evaluation.tables import tables
from tests.evaluation.rows import suite
from tests.evaluation.test_comparisons import rows


def shown(found, summaries=()):
    written = io.StringIO()
    for view in tables(found, dict(summaries)):
        Console(file=written, width=160).print(view)
    return written.getvalue()


def test_retrieval_has_a_table_of_its_own():
    found = rows("same video", NEAREST, 0.05, 0.1, 0.2, 0.4) + rows(
        "kinds", "knn", 0.1, 0.2, 0.3, 0.5
    )
    retrieval, labelled = shown(found).split("top-1 accuracy on the test part")
    assert "held-out videos" in retrieval
    assert "5.0" in retrieval
    assert "same video" in retrieval
    assert "same video" not in labelled
    assert "+20.0" in labelled


def test_a_model_without_an_untrained_network_leaves_its_cells_empty():
    found = [row for row in rows("kinds", "knn", 0.1, 0.2, 0.3, 0.5) if row.baseline != "untrained"]
    line = next(line for line in shown(found).splitlines() if "kinds" in line)
    cells = [cell.strip() for cell in line.split("│")[1:-1]]
    assert (cells[4], cells[6]) == ("", "")
    assert cells[5].startswith("50.0")


def test_a_suite_has_a_table_per_protocol_with_its_averages():
    linear = suite(protocol="linear")
    found = shown(
        suite() + linear, {"lightweight": summarise(suite()), "linear": summarise(linear)}
    )
    assert found.count("mean of 19 tasks") == 2
    assert "a on vtab-1k, linear: top-1 accuracy" in found
    assert "published for the same protocol" in found
    assert "(lossy JPEG dump)" in found
