"""The reference columns of the pocket-video suite: the table by hand, and the page as committed."""

from pathlib import Path

from benchmarks.pocket_reference import cells_of, read
from benchmarks.pocket_video_reference import PROTOCOLS, SHOWN, table
from footage.evaluation.protocols import protocols
from footage.suites.pocket_video import TASKS

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "pocket-video-reference.json"


def line(task, column, protocol, value):
    return {
        "task": task, "column": column, "protocol": protocol, "value": value,
        "standard_error": 0.01, "chance": 0.025,
    }  # fmt: skip


def test_a_task_has_a_row_for_each_protocol_of_its_group():
    text = table(
        cells_of(
            [
                line("instance", "pixels", "1-shot", 0.1),
                line("instance", "untrained", "1-shot", 0.2),
                line("instance", "reference", "1-shot", 0.5),
                line("instance", "reference", "4-shot", 0.6),
                line("instance", "reference", "20-shot", 0.7),
            ]
        )
    )
    assert "| instance | 1-shot | 2.5 | 10.0 | 20.0 | 50.0 | +30.0 ± 1.4 |" in text
    assert "| instance | 4-shot | 2.5 |  |  | 60.0 |  |" in text
    assert "20-shot" not in text


def test_every_group_has_protocols_that_exist():
    assert {task.group for task in TASKS} == set(SHOWN)
    assert [each.name for each in protocols(PROTOCOLS)] == list(PROTOCOLS)


def test_the_page_shows_the_committed_results():
    page = (ROOT / "packages" / "pocket-suite" / "README.md").read_text("utf-8")
    assert table(read(RESULTS)) in page, (
        "run: python -m benchmarks.pocket_video_reference"
        " benchmarks/results/pocket-video-reference.json"
    )
